/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for dead owners is cheap: with 500 processes alive, of which each holds 20 of 10 000
 * pending commits, a refused commit makes no more system calls than it does with nobody else there,
 * or hardly more. How long it takes is told; bench/deaths compares it.
 *
 * That holds while a thread of each process lives that was the first to call. Where all such
 * threads have ended, the kernel has to be asked about each process: that only has to be right.
 */
#include "crash.h"
#include "traced.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	OWNERS = TEST_SANITIZED ? 100 : 500,
	COMMITS = 20, /* held by each */
	ROUNDS = 9,
	REFUSALS = 100, /* in a round */
	TRACED = 10     /* refusals whose system calls are counted */
};

/* For all of a trial, whatever the number of owners. */
static const int most_calls_more = 8;

struct pool {
	char path[PATH_MAX];
	pid_t owners[OWNERS];
	struct gate ready;
};

static void hold(struct pool *pool)
{
	struct be_enforcer *handle = test_open(pool->path, BE_DURABILITY_PROCESS);
	uint64_t id;
	int i;

	for (i = 0; i < COMMITS; i++)
		EXPECT_OK(be_commit(handle, "shared", 1, NULL, &id));
}

static void *hold_in_thread(void *context)
{
	hold(context);
	return NULL;
}

/* Every call was made by a thread that has ended, as where each request has a thread of its own. */
static int hold_by_thread_until_killed(int index, void *context)
{
	struct pool *pool = context;
	pthread_t thread;

	(void)index;
	EXPECT(pthread_create(&thread, NULL, hold_in_thread, pool) == 0);
	EXPECT(pthread_join(thread, NULL) == 0);
	gate_open(&pool->ready);
	wait_for_death();
}

static int hold_until_killed(int index, void *context)
{
	struct pool *pool = context;

	(void)index;
	hold(pool);
	gate_open(&pool->ready);
	wait_for_death();
}

/* In nanos; the least of several medians. */
static int64_t time_refusal(struct be_enforcer *handle, const char *what)
{
	int64_t medians[ROUNDS], took_ns[REFUSALS];
	uint64_t id;
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < REFUSALS; i++) {
			int64_t start = test_monotonic_ns();
			enum be_status status = be_commit(handle, "full", 1, NULL, &id);

			took_ns[i] = test_monotonic_ns() - start;
			EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
		}
		medians[round] = median(took_ns, REFUSALS);
	}
	median(medians, ROUNDS);
	print_figures(what, medians, ROUNDS);
	return medians[0];
}

/* getppid() marks where counting begins and ends; the library has no use for it. */
static int refuse_traced(int index, void *context)
{
	struct pool *pool = context;
	struct be_enforcer *handle = test_open(pool->path, BE_DURABILITY_PROCESS);
	uint64_t id;
	int i;

	(void)index;
	EXPECT_STATUS(be_commit(handle, "full", 1, NULL, &id), BE_EXCEEDS_BUDGET);
	traced_begin();
	syscall(SYS_getppid);
	for (i = 0; i < TRACED; i++)
		EXPECT_STATUS(be_commit(handle, "full", 1, NULL, &id), BE_EXCEEDS_BUDGET);
	syscall(SYS_getppid);
	be_close(handle);
	return 0;
}

/* How many system calls some refusals make; 0 where they cannot be counted. */
static int count_calls(struct pool *pool)
{
	const char *reason = traced_why_not();
	pid_t child;
	int calls;

	if (reason != NULL) {
		printf("system calls are not counted: %s\n", reason);
		return 0;
	}
	child = traced_start(refuse_traced, 0, pool);
	EXPECT(traced_to_call(child, SYS_getppid));
	calls = traced_calls_before(child, SYS_getppid);
	traced_let_go(child);
	EXPECT_EQUAL(child_wait(child), 0);
	EXPECT(calls >= 0);
	return calls;
}

static void make_pool(struct pool *pool, const char *name, struct be_enforcer **handle)
{
	uint64_t id;

	test_path(pool->path, "%s", name);
	pool->ready = gate_make();
	*handle = test_open(pool->path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(*handle, "shared", OWNERS * COMMITS, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(*handle, "full", 1, BE_PERIOD_TOTAL, NULL));
	/* By a commit, which might have been a dead owner's. */
	EXPECT_OK(be_commit(*handle, "full", 1, NULL, &id));
}

static void start_owners(struct pool *pool, child_function *owner)
{
	int i;

	for (i = 0; i < OWNERS; i++)
		pool->owners[i] = child_start(owner, i, pool);
	for (i = 0; i < OWNERS; i++)
		gate_wait(&pool->ready);
}

/* One dead owner among the living is noticed by the next commit that finds no room, and then all
 * others. */
static void expect_the_dead_are_found(struct pool *pool, struct be_enforcer *handle)
{
	int64_t start;
	uint64_t id, reaped;
	int i;

	EXPECT_BALANCE(handle, "shared", 0, OWNERS * COMMITS);
	EXPECT_STATUS(be_commit(handle, "shared", COMMITS, NULL, &id), BE_EXCEEDS_BUDGET);
	kill_child(pool->owners[0]);
	start = test_monotonic_ns();
	EXPECT_OK(be_commit(handle, "shared", COMMITS, NULL, &id));
	printf("one owner of %d dead: a commit took its place within %.2f ms\n", OWNERS,
	       test_seconds_since(start) * 1e3);
	EXPECT_BALANCE(handle, "shared", 0, OWNERS * COMMITS);
	EXPECT_OK(be_release(handle, id));

	for (i = 1; i < OWNERS; i++)
		EXPECT(kill(pool->owners[i], SIGKILL) == 0);
	for (i = 1; i < OWNERS; i++)
		EXPECT_EQUAL(child_wait(pool->owners[i]), 128 + SIGKILL);
	start = test_monotonic_ns();
	EXPECT_OK(be_reap(handle, &reaped));
	printf("the others dead too: %d commits reaped in %.2f ms\n", (int)reaped,
	       test_seconds_since(start) * 1e3);
	EXPECT_EQUAL(reaped, (OWNERS - 1) * COMMITS);
	EXPECT_BALANCE(handle, "shared", 0, 0);
	EXPECT_VERIFIED(handle);
}

/* Returns how many more system calls some refusals make among the owners. */
static int look_among(child_function *owner, const char *name)
{
	static struct pool pool;
	struct be_enforcer *handle;
	int64_t alone_ns, among_ns;
	int alone, among;

	make_pool(&pool, name, &handle);
	printf("%s, medians of %d:\n", name, REFUSALS);
	alone = count_calls(&pool);
	alone_ns = time_refusal(handle, "a refused commit with nobody else");
	start_owners(&pool, owner);
	among = count_calls(&pool);
	among_ns = time_refusal(handle, "a refused commit among live owners");
	printf("%d live owners with %d pending commits: %.1f us more; %d refusals make %d system "
	       "calls, "
	       "and %d with nobody else\n",
	       OWNERS, OWNERS * COMMITS, (double)(among_ns - alone_ns) / 1e3, TRACED, among, alone);
	expect_the_dead_are_found(&pool, handle);
	be_close(handle);
	return among - alone;
}

int main(void)
{
	test_begin(60);
	test_in_memory();
	EXPECT(look_among(hold_until_killed, "their threads live") <= most_calls_more);
	look_among(hold_by_thread_until_killed, "their threads have ended");
	return 0;
}
