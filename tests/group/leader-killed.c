/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader of a batch is killed before and after every system call that it makes while it carries
 * the operations of others, and so both before and after its txn is committed, and before and after
 * the others are told. Each of them must get a true answer, and be in the ledger exactly once.
 *
 * With "sick" the leader may write no file beyond a few pages, so that its batch fails and goes
 * back to those it carried it for: that must hold at every step as well. Of its own operation it is
 * told the fault, and it is not in the ledger.
 *
 * The batch is put together for certain: a first child leads and is held where it writes. The
 * second child, the one to be killed, then waits to lead next, and three more post their operations
 * and sleep. When the first is let go, the second carries all of them.
 */
#include "crash.h"
#include "traced.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FOLLOWERS 3
#define WORKERS (FOLLOWERS + 2)
#define LEADER 1
#define STEPS_MAX 200

static struct gate opened;
static char path[PATH_MAX];
static enum be_durability durability;
static bool is_sick; /* the leader */
static struct answers {
	uint64_t transaction[WORKERS];
	int64_t done_ns[WORKERS];
} * answers;

/* LMDB's two meta pages, and no others. */
static void write_no_more(void)
{
	EXPECT(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	EXPECT(setrlimit(RLIMIT_FSIZE, &(struct rlimit){8192, RLIM_INFINITY}) == 0);
}

static int work(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, durability);
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	const bool *is_traced = context;
	enum be_status status;
	char description[32];

	snprintf(description, sizeof description, "worker %d", index);
	if (is_sick && index == LEADER)
		write_no_more();
	gate_open(&opened);
	if (*is_traced)
		traced_begin();
	status = be_record(handle, "llm", 1, description, &transaction);
	/* Another one may have led, if this one was held up as the next. */
	if (status != BE_IO_ERROR || !is_sick || index != LEADER)
		EXPECT_OK(status);
	answers->done_ns[index] = test_monotonic_ns();
	answers->transaction[index] = transaction.id;
	be_close(handle);
	return 0;
}

struct ledger {
	int lines[WORKERS];
	uint64_t transaction[WORKERS];
};

static bool note(void *context, const struct be_transaction *transaction)
{
	struct ledger *ledger = context;
	int index;

	EXPECT(sscanf(transaction->description, "worker %d", &index) == 1 && index < WORKERS);
	ledger->lines[index]++;
	ledger->transaction[index] = transaction->id;
	return true;
}

static void expect_once(bool leader_lived)
{
	struct be_enforcer *handle = test_open(path, durability);
	struct ledger ledger = {0};

	EXPECT_OK(be_transactions_each(handle, NULL, note, &ledger));
	for (int i = 0; i < WORKERS; i++) {
		/* That of a leader that died, or was refused, may have been led by another one. */
		if (i == LEADER && answers->transaction[i] == 0) {
			EXPECT(is_sick || !leader_lived);
			EXPECT(ledger.lines[i] <= !leader_lived);
			continue;
		}
		EXPECT_EQUAL(ledger.lines[i], 1);
		EXPECT_EQUAL(ledger.transaction[i], answers->transaction[i]);
	}
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

/* Kills the leader at its step so many. Returns false when it ended before that; *delay_ns is how
 * long after the kill the last of the others was answered. */
static bool kill_at(int step, int64_t *delay_ns)
{
	static bool traced = true, untraced = false;
	struct be_enforcer *handle = test_open(path, durability);
	pid_t holder, leader, followers[FOLLOWERS];
	int64_t killed_ns = 0, last_ns = 0;
	int status = 0;
	bool lives = true;

	EXPECT_OK(be_envelope_ensure(handle, "llm", 1000, BE_PERIOD_TOTAL, NULL));
	memset(answers, 0, sizeof *answers);
	holder = traced_start(work, 0, &traced);
	gate_wait(&opened);
	EXPECT(traced_to_call(holder, SYS_pwrite64) || !"the holder writes nothing");
	leader = traced_start(work, LEADER, &traced);
	gate_wait(&opened);
	EXPECT(traced_to_call(leader, SYS_futex)); /* it waits for the holder */
	EXPECT(ptrace(PTRACE_SYSCALL, leader, NULL, NULL) == 0);
	for (int i = 0; i < FOLLOWERS; i++) {
		followers[i] = child_start(work, 2 + i, &untraced);
		gate_wait(&opened);
	}
	for (int i = 0; i < FOLLOWERS; i++)
		wait_until_asleep(followers[i]);
	traced_let_go(holder);
	EXPECT_EQUAL(child_wait(holder), 0);
	EXPECT(waitpid(leader, &status, 0) == leader && WIFSTOPPED(status)); /* it leads */
	for (int i = 0; lives && i < step; i++)
		lives = traced_step(leader, &status);
	if (lives) {
		killed_ns = test_monotonic_ns();
		kill_child(leader);
	} else {
		EXPECT_EQUAL(status, 0);
	}
	for (int i = 0; i < FOLLOWERS; i++)
		EXPECT_EQUAL(child_wait(followers[i]), 0);
	for (int i = 2; i < WORKERS; i++)
		if (answers->done_ns[i] > last_ns)
			last_ns = answers->done_ns[i];
	*delay_ns = last_ns - killed_ns;
	be_close(handle);
	expect_once(!lives);
	test_remove(path);
	return lives;
}

int main(int argc, char **argv)
{
	int64_t delays[STEPS_MAX];
	int steps = 0;

	is_sick = argc > 2 && strcmp(argv[2], "sick") == 0;
	durability = crash_durability(argc, argv);
	test_begin(60);
	traced_require();
	opened = gate_make();
	answers = shared_make(sizeof *answers);
	test_path(path, "environment");
	while (steps < STEPS_MAX && kill_at(steps, &delays[steps]))
		steps++;
	printf("%s durability: the leader%s was killed at %d steps\n",
	       crash_durability_name(durability), is_sick ? ", which was sick," : "", steps);
	EXPECT(steps > 4 && steps < STEPS_MAX);
	median(delays, steps);
	print_figures("from its death to the last answer", delays, steps);
	return 0;
}
