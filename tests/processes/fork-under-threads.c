/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four threads commit, settle, record and check while the main thread forks 200 times; each child
 * uses the inherited handle and ends. A lock held by another thread at the moment of the fork must not
 * be held for ever in the child: nothing hangs, and the balance is exact in the end.
 */
#include "support.h"

#include <stdatomic.h>
#include <stdio.h>

enum {
	THREADS = 4,
	FORKS = 200
};

static const int64_t limit = 1000000000 * BE_UNIT;

struct busy {
	struct be_enforcer *handle;
	atomic_bool over;
	atomic_int rounds; /* by all threads */
};

static void *keep_busy(void *context)
{
	struct busy *busy = context;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	uint64_t id;

	while (!atomic_load(&busy->over)) {
		EXPECT_OK(be_check(busy->handle, "llm", BE_UNIT, NULL));
		EXPECT_OK(be_commit(busy->handle, "llm", 2 * BE_UNIT, "thread", &id));
		EXPECT_OK(be_utilization(busy->handle, "llm", &envelope));
		EXPECT_OK(be_settle(busy->handle, id, BE_UNIT, NULL, NULL));
		EXPECT_OK(be_record(busy->handle, "llm", BE_UNIT, NULL, NULL));
		atomic_fetch_add(&busy->rounds, 1);
	}
	return NULL;
}

/* Begins with a read or with a write in turn: both must open the environment anew. */
static int child(int index, void *context)
{
	struct busy *busy = context;
	uint64_t id;

	if (index % 2 == 0)
		EXPECT_OK(be_check(busy->handle, "llm", BE_UNIT, NULL));
	EXPECT_OK(be_commit(busy->handle, "llm", 3 * BE_UNIT, "child", &id));
	EXPECT_OK(be_settle(busy->handle, id, 2 * BE_UNIT, NULL, NULL));
	if (index % 3 == 0)
		be_close(busy->handle);
	return 0;
}

static void run(enum be_durability durability, const char *name)
{
	struct busy busy = {.over = false};
	pthread_t threads[THREADS];
	pid_t children[4];
	char path[PATH_MAX];
	int64_t start;
	int i, j, rounds;

	test_path(path, "%s", name);
	busy.handle = test_open(path, durability);
	EXPECT_OK(be_envelope_create(busy.handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	start = test_monotonic_ns();
	for (i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&threads[i], NULL, keep_busy, &busy) == 0);
	for (i = 0; i < FORKS; i += 4) {
		for (j = 0; j < 4; j++)
			children[j] = child_start(child, i + j, &busy);
		children_expect_success(children, 4);
	}
	atomic_store(&busy.over, true);
	for (i = 0; i < THREADS; i++)
		EXPECT(pthread_join(threads[i], NULL) == 0);
	rounds = atomic_load(&busy.rounds);
	EXPECT(rounds > 0);
	EXPECT_BALANCE(busy.handle, "llm", (2 * FORKS + 2 * (int64_t)rounds) * BE_UNIT, 0);
	EXPECT_VERIFIED(busy.handle);
	be_close(busy.handle);
	printf("%s durability: %d forks under %d threads, which made %d rounds meanwhile, in %.2f s\n", name,
	       FORKS, THREADS, rounds, test_seconds_since(start));
}

int main(void)
{
	if (TEST_SANITIZED)
		test_skip("a sanitizer's own locks may be held by another thread at the fork");
	test_begin(120);
	run(BE_DURABILITY_FULL, "full");
	run(BE_DURABILITY_PROCESS, "process");
	return 0;
}
