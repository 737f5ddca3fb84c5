/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each kind of operation (steps.c), a child is killed before and after every system call that
 * it makes inside that operation. Then another process opens the environment, at once, and all
 * there is to know about it must be what it is when the operation was not done at all, or what it
 * is when it was done and the process died after it: nothing in between, and from some system call
 * on always the latter. That includes what the dead process held, which is reaped, and what a
 * settle of every commit is answered.
 *
 * It is done with nobody else there, and with a keeper, which has the environment open all along,
 * so that nothing is set right by somebody being the first to open it.
 *
 * Where each txn waits for the disk, only some of that is done; system calls are the same there,
 * but for the flushes.
 *
 * The child is traced. It stops itself when it is ready, and shows the end of its operation by a
 * system call with an argument that nobody else would give.
 *
 * usage: kill-at-every-step process|full [KIND]
 */
#include "steps.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	STOPS_MAX = 2000,
	SYSCALL_STOP = SIGTRAP | 0x80,
	END_MARK = 0x0be0be
};

static const struct step *current_step;

/* ---- the victim */

static int victim(int index, void *context)
{
	struct trial *trial = context;

	(void)index;
	EXPECT(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	kill(getpid(), SIGSTOP);
	stage_prepare(current_step, trial);
	kill(getpid(), SIGSTOP);
	current_step->run(trial);
	atomic_store(&trial->stage->answered, true);
	syscall(SYS_getppid, END_MARK);
	return 0;
}

/* ---- the tracer */

/* Lets the child run to its next stop by SIGSTOP, past other signals. */
static void run_to_own_stop(pid_t child)
{
	int status, signal_number = 0;

	do {
		EXPECT(ptrace(PTRACE_CONT, child, NULL, (long)signal_number) == 0);
		EXPECT(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
		signal_number = WSTOPSIG(status);
	} while (signal_number != SIGSTOP);
}

static void run_to_next_call(pid_t child)
{
	int status;

	EXPECT(ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0);
	EXPECT(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
	EXPECT_EQUAL(WSTOPSIG(status), SYSCALL_STOP);
}

static bool is_at_end(pid_t child)
{
	struct __ptrace_syscall_info information;

	EXPECT(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof information, &information) > 0);
	return information.op == PTRACE_SYSCALL_INFO_ENTRY && information.entry.nr == SYS_getppid &&
	       information.entry.args[0] == END_MARK;
}

static pid_t start_victim(struct trial *trial)
{
	pid_t child = child_start(victim, 0, trial);
	int status;

	EXPECT(waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGSTOP);
	EXPECT(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) ==
	       0);
	return child;
}

/* Kills a victim at the stop of that number within its operation, counting from 0. False: it was
 * over. */
static bool kill_at(struct trial *trial, int stop)
{
	pid_t child = start_victim(trial);
	bool over = false;
	int i;

	run_to_own_stop(child);
	for (i = 0; i <= stop && !over; i++) {
		run_to_next_call(child);
		over = is_at_end(child);
	}
	kill_child(child);
	return !over;
}

/* Is all of the above allowed here, and known to the kernel? Else says why not. */
static const char *why_not(void)
{
	struct __ptrace_syscall_info information;
	const char *reason = NULL;
	int status;
	pid_t child = fork();

	EXPECT(child >= 0);
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
			kill(getpid(), SIGSTOP);
		_exit(0);
	}
	EXPECT(waitpid(child, &status, WUNTRACED) == child);
	if (!WIFSTOPPED(status))
		return "ptrace() is not permitted here";
	if (ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD) != 0 ||
	    ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0 || waitpid(child, &status, 0) != child ||
	    ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof information, &information) <= 0)
		reason = "this kernel does not tell a tracer about system calls (before Linux 5.3)";
	kill_child(child);
	return reason;
}

/* ---- the trials */

/* The maker must be gone: it would stay the owner of what it commits, even with nothing open. */
static int make_and_leave(int index, void *context)
{
	(void)index;
	stage_make(context);
	return 0;
}

static void remove_all(const struct trial *trial)
{
	test_remove(trial->path);
	if (access(trial->backup, F_OK) == 0)
		test_remove(trial->backup);
	if (access(trial->restored, F_OK) == 0)
		test_remove(trial->restored);
}

/* One victim, and what can be told of the environment afterwards. *over: its operation was. */
static char *try(struct trial *trial, bool with_keeper, int stop, bool *over)
{
	struct be_enforcer *keeper = NULL, *handle;
	char *text;

	test_path(trial->path, "environment");
	test_path(trial->backup, "backup");
	test_path(trial->restored, "restored");
	atomic_store(&trial->stage->now_ns, INT64_C(2000000000) * BE_UNIT);
	atomic_store(&trial->stage->answered, false);
	if (!current_step->is_new)
		EXPECT_EQUAL(child_wait(child_start(make_and_leave, 0, trial)), 0);
	if (with_keeper)
		keeper = stage_open(trial, trial->path, trial->durability, 0);
	trial->handle = keeper;
	*over = !kill_at(trial, stop);
	EXPECT_EQUAL(*over, atomic_load(&trial->stage->answered));

	/* A lock that the dead process left would take for ever. */
	handle = stage_open(trial, trial->path, trial->durability, 0);
	EXPECT_VERIFIED(handle);
	text = stage_describe(trial, handle);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	if (current_step->check)
		current_step->check(trial);
	be_close(keeper);
	remove_all(trial);
	return text;
}

/* Returns how many victims were killed. */
static int kill_at_every_stop(struct trial *trial, bool with_keeper)
{
	static char *texts[STOPS_MAX];
	bool is_thinned = current_step->is_long && trial->durability == BE_DURABILITY_FULL;
	int stride = is_thinned ? 3 : 1;
	int stops = 0, done_from, i;
	bool over = false;

	while (!over) {
		EXPECT(stops < STOPS_MAX);
		texts[stops] = try(trial, with_keeper, stops * stride, &over);
		stops++;
	}
	for (done_from = 0; done_from < stops && strcmp(texts[done_from], texts[0]) == 0;
	     done_from++)
		;
	for (i = done_from; i < stops && !current_step->is_in_parts; i++)
		if (strcmp(texts[i], texts[stops - 1]) != 0)
			test_fail(__FILE__, __LINE__,
				  "%s, killed at stop %d of %d, is neither done nor not "
				  "done:\n%s\nnot done:\n"
				  "%s\ndone:\n%s",
				  current_step->name, i, stops, texts[i], texts[0],
				  texts[stops - 1]);
	if (current_step->is_invisible != (done_from == stops))
		test_fail(__FILE__, __LINE__, "%s: done from stop %d of %d on:\n%s",
			  current_step->name, done_from, stops, texts[0]);
	printf("  %s: %d stops%s", current_step->name, stops,
	       is_thinned ? ", each third of all" : "");
	if (current_step->is_invisible)
		printf("\n");
	else
		printf(", done from number %d on\n", done_from);
	for (i = 0; i < stops; i++)
		free(texts[i]);
	return stops;
}

/* Where each txn waits for the disk, each step is done either alone or with the keeper. */
static bool is_wanted(const struct trial *trial, bool with_keeper, const char *name)
{
	if (name != NULL && strcmp(name, current_step->name) != 0)
		return false;
	if (trial->durability == BE_DURABILITY_FULL && name == NULL &&
	    with_keeper == current_step->opens)
		return false;
	if (with_keeper)
		return !current_step->is_new && !current_step->keeper_forbids;
	return !current_step->inherits;
}

int main(int argc, char **argv)
{
	struct trial trial = {.handle = NULL};
	int64_t start = test_monotonic_ns();
	int killed = 0, with_keeper, i;
	const char *reason;

	test_begin(170);
	if (TEST_SANITIZED)
		test_skip("sanitizers make system calls of their own and do not bear tracing");
	reason = why_not();
	if (reason != NULL)
		test_skip("%s", reason);
	trial.durability = crash_durability(argc, argv);
	trial.stage = shared_make(sizeof *trial.stage);
	for (with_keeper = 0; with_keeper <= 1; with_keeper++) {
		printf("%s durability, %s:\n", crash_durability_name(trial.durability),
		       with_keeper ? "with a keeper" : "with nobody else there");
		for (i = 0; i < step_count; i++) {
			current_step = &steps[i];
			if (is_wanted(&trial, with_keeper, argv[2]))
				killed += kill_at_every_stop(&trial, with_keeper);
		}
	}
	printf("%d victims in %.1f s\n", killed, test_seconds_since(start));
	return 0;
}
