/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool [MODE]: processes that share nothing but a server. Simultaneous first
 * openings make one environment; a limit is kept exactly; a fork child goes on by itself; workers
 * that are killed cost one change each at most; a check is decided by the server's clock.
 */
#include "server.h"

#include <budget_enforcer_storage.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 8
#define OPENERS 32

static struct counts {
	_Atomic int64_t begun;
	_Atomic int64_t acknowledged;
} * counts;

static int open_first(int index, void *context)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("opened", &storage);

	(void)index;
	(void)context;
	EXPECT_OK(be_envelope_ensure(handle, "llm", 1000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	EXPECT_OK(be_record(handle, "llm", BE_UNIT, NULL, NULL));
	server_close(handle, storage);
	return 0;
}

static void first_openings_make_one_environment(void)
{
	struct be_storage *storage;
	struct be_enforcer *handle;
	pid_t children[OPENERS];

	children_start(children, OPENERS, open_first, NULL);
	children_expect_success(children, OPENERS);
	handle = server_open("opened", &storage);
	EXPECT_BALANCE(handle, "llm", OPENERS * BE_UNIT, 0);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

static int commit_all(int index, void *context)
{
	(void)context;
	(void)index;
	server_commit_all(&counts->acknowledged);
	return 0;
}

static void a_limit_is_kept_exactly(int64_t limit)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("limit", &storage);
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	pid_t children[WORKERS];
	int64_t start_ns = test_monotonic_ns();

	EXPECT_OK(be_envelope_create(handle, "day", limit * BE_UNIT, BE_PERIOD_DAILY, NULL));
	below.parent_category = "day";
	EXPECT_OK(be_envelope_create(handle, "job", limit * BE_UNIT * 2, BE_PERIOD_TOTAL, &below));
	atomic_store(&counts->acknowledged, 0);
	children_start(children, WORKERS, commit_all, NULL);
	children_expect_success(children, WORKERS);
	EXPECT_EQUAL(atomic_load(&counts->acknowledged), limit);
	EXPECT_BALANCE(handle, "day", 0, limit * BE_UNIT);
	EXPECT_BALANCE(handle, "job", 0, limit * BE_UNIT);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
	printf("%d processes: %lld commits, exactly, in %.1f s\n", WORKERS, (long long)limit,
	       test_seconds_since(start_ns));
}

static void a_fork_child_goes_on_by_itself(void)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("forked", &storage);

	EXPECT_OK(be_envelope_create(handle, "llm", 1000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	for (int i = 0; i < 5; i++) {
		pid_t child = fork();

		EXPECT(child >= 0);
		if (child == 0) {
			for (int k = 0; k < 10; k++)
				EXPECT_OK(be_record(handle, "llm", BE_UNIT, NULL, NULL));
			_exit(0);
		}
		for (int k = 0; k < 10; k++)
			EXPECT_OK(be_record(handle, "llm", BE_UNIT, NULL, NULL));
		EXPECT_EQUAL(child_wait(child), 0);
	}
	EXPECT_BALANCE(handle, "llm", 100 * BE_UNIT, 0);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

static int record_on(int index, void *context)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("killed", &storage);

	(void)index;
	(void)context;
	for (;;) {
		atomic_fetch_add(&counts->begun, 1);
		EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
		atomic_fetch_add(&counts->acknowledged, 1);
	}
	return 0;
}

static void killed_workers_cost_one_change_each_at_most(void)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("killed", &storage);
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	pid_t children[WORKERS];
	int64_t acknowledged;

	EXPECT_OK(be_envelope_create(handle, "llm", 1000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	atomic_store(&counts->acknowledged, 0);
	atomic_store(&counts->begun, 0);
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(record_on, i, NULL);
	for (int i = 0; i < WORKERS; i++) {
		int64_t before = atomic_load(&counts->acknowledged), start = test_monotonic_ns();

		/* Those that are left go on. */
		while (atomic_load(&counts->acknowledged) < before + 40)
			EXPECT(test_wait_on(start, 60));
		kill(children[i], SIGKILL);
		EXPECT_EQUAL(child_wait(children[i]), 128 + SIGKILL);
	}
	acknowledged = atomic_load(&counts->acknowledged);
	EXPECT_OK(be_record(handle, "llm", 0, NULL, NULL)); /* waits for the last one's session */
	EXPECT_OK(be_utilization(handle, "llm", &envelope));
	printf("%lld acknowledged, %lld charged, %d workers killed\n", (long long)acknowledged,
	       (long long)envelope.spent, WORKERS);
	EXPECT(envelope.spent >= acknowledged && envelope.spent <= acknowledged + WORKERS);
	EXPECT(envelope.spent <= atomic_load(&counts->begun));
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

/* Takes the lock of all writers, and stops. */
static int stop_with_the_lock(int index, void *context)
{
	struct be_storage *storage = server_storage(NULL, "stopped");
	struct be_bytes value;
	void *txn;

	(void)index;
	EXPECT_EQUAL(storage->ops->begin(storage->self, true, &txn), 0);
	EXPECT_EQUAL(storage->ops->get(storage->self, txn, (struct be_bytes){"\3", 1}, &value), 0);
	atomic_store((_Atomic int *)context, 1);
	raise(SIGSTOP);
	/* It has lost the lock meanwhile, and can change nothing. */
	EXPECT(storage->ops->put(storage->self, txn, (struct be_bytes){"\3", 1},
				 (struct be_bytes){"x", 1}) == 0 &&
	       storage->ops->commit(storage->self, txn) != 0);
	server_close(NULL, storage);
	return 0;
}

static void a_process_that_stops_with_the_lock_loses_it(void)
{
	_Atomic int *has_lock = shared_make(sizeof *has_lock);
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("stopped", &storage);
	int64_t start_ns = test_monotonic_ns();
	pid_t child;

	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
	child = child_start(stop_with_the_lock, 0, has_lock);
	while (!atomic_load(has_lock))
		EXPECT(test_wait_on(start_ns, 30));
	start_ns = test_monotonic_ns();
	EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
	printf("a stopped process held up the others for %.1f s\n", test_seconds_since(start_ns));
	kill(child, SIGCONT);
	EXPECT_EQUAL(child_wait(child), 0);
	EXPECT_BALANCE(handle, "llm", 1, 0);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

int main(int count, char **arguments)
{
	const char *isolation = count > 1 ? arguments[1] : NULL;

	test_begin(30);
	counts = shared_make(sizeof *counts);
	server_start(isolation);
	first_openings_make_one_environment();
	a_limit_is_kept_exactly(isolation ? 150 : 1000);
	a_fork_child_goes_on_by_itself();
	if (!isolation) {
		killed_workers_cost_one_change_each_at_most();
		a_process_that_stops_with_the_lock_loses_it();
	}
	server_stop();
	return 0;
}
