/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that is to lead next is stopped (by an operator, a debugger) while it waits. The
 * others must go on without it, all of them to their end; when it runs again it must get its
 * answer. One that is killed there holds up nobody either, not even those who write without group
 * commit, and who let it go first.
 */
#include "crash.h"
#include "traced.h"

#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define WORKERS 4
#define OPERATIONS 50

static struct gate opened;
static char path[PATH_MAX];
static int64_t *most_ns;

static int work_traced(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);

	(void)index;
	(void)context;
	gate_open(&opened);
	traced_begin();
	EXPECT_OK(be_record(handle, "llm", 1, "stopped", NULL));
	be_close(handle);
	return 0;
}

static int work(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);

	(void)context;
	for (int i = 0; i < OPERATIONS; i++) {
		int64_t start_ns = test_monotonic_ns(), took_ns;

		EXPECT_OK(be_record(handle, "llm", 1, "going on", NULL));
		took_ns = test_monotonic_ns() - start_ns;
		if (took_ns > most_ns[index])
			most_ns[index] = took_ns;
	}
	be_close(handle);
	return 0;
}

/* A process that holds `next`, and is held where it waits for `leader`. */
static pid_t make_next(void)
{
	pid_t holder = traced_start(work_traced, 0, NULL), next;

	EXPECT(traced_to_call(holder, SYS_pwrite64));
	next = traced_start(work_traced, 0, NULL);
	EXPECT(traced_to_call(next, SYS_futex));
	traced_let_go(holder);
	EXPECT_EQUAL(child_wait(holder), 0);
	return next;
}

static void next_is_stopped(struct be_enforcer *handle)
{
	pid_t next = make_next(), workers[WORKERS];
	int64_t start_ns = test_monotonic_ns();

	children_start(workers, WORKERS, work, NULL);
	for (int i = 0; i < WORKERS; i++)
		EXPECT_EQUAL(child_wait(workers[i]), 0);
	printf("%d operations took %.3f s with the next leader stopped\n", WORKERS * OPERATIONS,
	       test_seconds_since(start_ns));
	median(most_ns, WORKERS);
	print_figures("the slowest of each worker", most_ns, WORKERS);
	/* They have carried out its operation, too. */
	EXPECT_BALANCE(handle, "llm", 2 + WORKERS * OPERATIONS, 0);
	traced_let_go(next);
	EXPECT_EQUAL(child_wait(next), 0);
	EXPECT_BALANCE(handle, "llm", 2 + WORKERS * OPERATIONS, 0);
}

static int work_directly(int index, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	struct rusage before, after;

	(void)index;
	(void)context;
	options.durability = BE_DURABILITY_PROCESS;
	options.flags = BE_OPEN_DIRECT;
	EXPECT_OK(be_open(path, &options, &handle));
	EXPECT(getrusage(RUSAGE_SELF, &before) == 0);
	for (int i = 0; i < OPERATIONS; i++)
		EXPECT_OK(be_record(handle, "llm", 1, "directly", NULL));
	EXPECT(getrusage(RUSAGE_SELF, &after) == 0);
	printf("%d operations without group commit slept %ld times after the next leader died\n",
	       OPERATIONS, after.ru_nvcsw - before.ru_nvcsw);
	EXPECT(after.ru_nvcsw - before.ru_nvcsw < OPERATIONS / 2);
	be_close(handle);
	return 0;
}

static void next_is_killed(void)
{
	kill_child(make_next());
	EXPECT_EQUAL(child_wait(child_start(work_directly, 0, NULL)), 0);
}

int main(void)
{
	struct be_enforcer *handle;

	test_in_memory();
	test_begin(60);
	traced_require();
	opened = gate_make();
	most_ns = shared_make(WORKERS * sizeof *most_ns);
	test_path(path, "environment");
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(handle, "llm", 1000, BE_PERIOD_TOTAL, NULL));
	next_is_stopped(handle);
	next_is_killed();
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
