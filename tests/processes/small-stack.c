/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every public call on a thread with little stack, as runtimes with many threads or coroutines have
 * them. What a call needs is measured by what it has left of a pattern, and is at most what the
 * header promises; a call that needed more than there is would meet the guard page.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What budget_enforcer.h promises: see THREADS, PROCESSES, FORK. */
#define PROMISED (48 << 10)
/* The thread's own data and the C library's beginnings are beside that. */
#define STACK_BYTES ((size_t)(64 << 10) + (16 << 10))
#define PATTERN 0xa5

static char environment[PATH_MAX], copy[PATH_MAX], restored[PATH_MAX];
static struct be_enforcer *budget;
static uint64_t id;

static void observe(void *context, const struct be_event *event)
{
	(void)context;
	(void)event;
}

static void call_open(void)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.observe = observe;
	EXPECT_OK(be_open(environment, &options, &budget));
}

static void call_create(void)
{
	EXPECT_OK(be_envelope_create(budget, "l0", BE_UNIT, BE_PERIOD_DAILY, NULL));
}

static void call_apply(void)
{
	struct be_envelope_change changes[BE_DEPTH_MAX - 1];
	struct be_envelope_options options[BE_DEPTH_MAX - 1];
	static const char *const names[] = {"l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"};

	for (int i = 0; i < BE_DEPTH_MAX - 1; i++) {
		options[i] = (struct be_envelope_options)BE_ENVELOPE_OPTIONS_INIT;
		options[i].parent_category = names[i];
		changes[i] = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
		changes[i].operation = BE_OPERATION_CREATE;
		changes[i].category = names[i + 1];
		changes[i].limit = BE_UNIT;
		changes[i].options = &options[i];
	}
	EXPECT_OK(be_envelopes_apply(budget, changes, BE_DEPTH_MAX - 1, NULL));
}

static void call_ensure(void)
{
	EXPECT_OK(be_envelope_ensure(budget, "l7", BE_UNIT, BE_PERIOD_TOTAL, NULL));
}

static void call_steer(void)
{
	EXPECT_OK(be_envelope_set_limit(budget, "l7", 2 * BE_UNIT));
	EXPECT_OK(be_envelope_suspend(budget, "l7"));
	EXPECT_OK(be_envelope_resume(budget, "l7"));
	EXPECT_OK(be_envelope_reset(budget, "l7"));
	EXPECT_OK(be_envelope_create(budget, "gone", 1, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_remove(budget, "gone"));
}

static void call_check(void)
{
	struct be_decision decision = BE_DECISION_INIT;

	EXPECT_OK(be_check(budget, "l7", 1, &decision));
	EXPECT_STATUS(be_check(budget, "l7", 10 * BE_UNIT, &decision), BE_EXCEEDS_BUDGET);
}

static void call_commit(void)
{
	struct be_decision decision = BE_DECISION_INIT;

	EXPECT_OK(be_commit_with(budget, "l7", 1, "text", NULL, &id, &decision));
	EXPECT_STATUS(be_commit(budget, "l7", 10 * BE_UNIT, "text", &id), BE_EXCEEDS_BUDGET);
	EXPECT_OK(be_commit(budget, "l7", 1, "text", &id));
}

static void call_extend(void)
{
	EXPECT_OK(be_extend(budget, id, 2, 1000, NULL));
}

static void call_settle(void)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;

	EXPECT_OK(be_settle(budget, id, 1, "text", &transaction));
}

static void call_release(void)
{
	EXPECT_OK(be_commit(budget, "l7", 1, "text", &id));
	EXPECT_OK(be_release(budget, id));
}

static void call_record(void)
{
	EXPECT_OK(be_record(budget, "l7", 1, "text", NULL));
}

/* What expires and what is charged takes the longest way. */
static void call_reap(void)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t reaped = 0;

	options.ttl_ms = 1;
	options.reap_policy = BE_REAP_CHARGE;
	EXPECT_OK(be_commit_with(budget, "l7", 1, "text", &options, &id, NULL));
	while (reaped == 0)
		EXPECT_OK(be_reap(budget, &reaped));
}

/* The thread itself finds what has expired, ends it, and serves the line in which it stands. */
static void call_wait(void)
{
	struct be_commit_options brief = BE_COMMIT_OPTIONS_INIT, patient = BE_COMMIT_OPTIONS_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_utilization(budget, "l7", &envelope));
	brief.ttl_ms = 100;
	brief.least = 1; /* all that is left above it */
	EXPECT_OK(be_commit_with(budget, "l7", envelope.available, NULL, &brief, &id, NULL));
	patient.wait_ms = BE_WAIT_FOREVER;
	patient.key = "wait";
	EXPECT_OK(be_commit_with(budget, "l7", 1, "text", &patient, &id, NULL));
	EXPECT_OK(be_release(budget, id));
}

static void call_utilization(void)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_utilization(budget, "l7", &envelope));
}

static bool see_envelope(void *context, const struct be_envelope *envelope)
{
	(void)context;
	return envelope->id != 0;
}

static bool see_commit(void *context, const struct be_commit_info *commit)
{
	(void)context;
	return commit->id != 0;
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	(void)context;
	return transaction->id != 0;
}

static bool see_owner(void *context, const struct be_owner_info *owner)
{
	(void)context;
	return owner->pid != 0;
}

static void call_list(void)
{
	EXPECT_OK(be_envelopes_each(budget, NULL, see_envelope, NULL));
	EXPECT_OK(be_commits_each(budget, NULL, see_commit, NULL));
	EXPECT_OK(be_transactions_each(budget, NULL, see_transaction, NULL));
	EXPECT_OK(be_owners_each(budget, see_owner, NULL));
}

static void call_stats(void)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	EXPECT_OK(be_stats(budget, &stats));
}

static void call_verify(void)
{
	EXPECT_OK(be_verify(budget, NULL, NULL, NULL));
}

static void call_backup(void)
{
	EXPECT_OK(be_backup(budget, copy));
}

static void call_restore(void)
{
	EXPECT_OK(be_restore(copy, restored));
}

static void call_prune(void)
{
	EXPECT_OK(be_prune(budget, INT64_MAX, NULL, NULL, NULL));
}

static void call_close(void)
{
	be_close(budget);
}

/* Failing makes error texts, too. */
static void call_fail(void)
{
	struct be_enforcer *none;
	struct be_options options = BE_OPTIONS_INIT;
	char long_path[2048];

	memset(long_path, 'x', sizeof long_path - 1);
	long_path[sizeof long_path - 1] = '\0';
	EXPECT(be_open(long_path, &options, &none) != BE_OK);
	EXPECT(be_open("/proc/none/such", &options, &none) != BE_OK);
	EXPECT_STATUS(be_backup(budget, copy), BE_ALREADY_THERE);
	EXPECT_STATUS(be_restore(copy, restored), BE_ALREADY_THERE);
	EXPECT_STATUS(be_restore("/proc/self/maps", "/proc/none"), BE_NOT_FOUND);
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{"be_open", call_open},
	{"be_envelope_create", call_create},
	{"be_envelopes_apply", call_apply},
	{"be_envelope_ensure", call_ensure},
	{"be_envelope_set_limit and the like", call_steer},
	{"be_check", call_check},
	{"be_commit", call_commit},
	{"be_extend", call_extend},
	{"be_settle", call_settle},
	{"be_release", call_release},
	{"be_record", call_record},
	{"be_reap", call_reap},
	{"be_commit that waits", call_wait},
	{"be_utilization", call_utilization},
	{"listings", call_list},
	{"be_stats", call_stats},
	{"be_verify", call_verify},
	{"be_backup", call_backup},
	{"be_restore", call_restore},
	{"failures", call_fail},
	{"be_prune", call_prune},
	{"be_close", call_close},
};

static void *run_call(void *context)
{
	size_t i = *(size_t *)context;

	calls[i].call();
	return NULL;
}

static void *run_nothing(void *context)
{
	return context;
}

/* Bytes of a thread's stack that were used. */
static size_t run_thread(void *(*function)(void *), void *context)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), unused = 0;
	unsigned char *stack = mmap(NULL, page + STACK_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;

	EXPECT(stack != MAP_FAILED && mprotect(stack, page, PROT_NONE) == 0);
	memset(stack + page, PATTERN, STACK_BYTES);
	EXPECT(pthread_attr_init(&attributes) == 0);
	EXPECT(pthread_attr_setstack(&attributes, stack + page, STACK_BYTES) == 0);
	EXPECT(pthread_create(&thread, &attributes, function, context) == 0);
	EXPECT(pthread_join(thread, NULL) == 0);
	pthread_attr_destroy(&attributes);
	while (unused < STACK_BYTES && stack[page + unused] == PATTERN)
		unused++;
	munmap(stack, page + STACK_BYTES);
	return STACK_BYTES - unused;
}

int main(void)
{
	size_t idle, most = 0;

	test_begin(60);
	if (TEST_SANITIZED)
		test_skip("sanitizers need more stack themselves");
	test_path(environment, "environment");
	test_path(copy, "copy");
	test_path(restored, "restored");
	idle = run_thread(run_nothing, NULL);
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		size_t used;

		printf("%s: ", calls[i].name);
		fflush(stdout);
		used = run_thread(run_call, &i) - idle;
		printf("%zu bytes of stack\n", used);
		if (used > most)
			most = used;
	}
	printf("at most %zu bytes\n", most);
	EXPECT(most <= PROMISED);
	return 0;
}
