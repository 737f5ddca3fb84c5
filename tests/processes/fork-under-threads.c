/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four threads commit, settle, record and check, and another one opens and closes environments,
 * while the main thread forks 200 times, half of them in each durability; each child uses the
 * inherited handle, opens what that thread opens, and ends. A lock held by another thread at the
 * moment of the fork must not be held for ever in the child: nothing hangs, and the balance is
 * exact in the end.
 */
#include "support.h"

#include <stdatomic.h>
#include <stdio.h>

enum {
	WORKING = 4,
	OPENING = 1,
	FORKS = 100
};

static const int64_t limit = 1000000000 * BE_UNIT;

struct busy {
	char path[PATH_MAX], other_path[PATH_MAX];
	enum be_durability durability;
	struct be_enforcer *handle;
	atomic_bool over;
	atomic_int rounds;   /* by the working threads */
	atomic_int openings; /* by the other one */
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

static void *keep_opening(void *context)
{
	struct busy *busy = context;
	struct be_enforcer *same, *other;

	while (!atomic_load(&busy->over)) {
		same = test_open(busy->path, busy->durability);
		other = test_open(busy->other_path, busy->durability);
		EXPECT_OK(be_check(same, "llm", BE_UNIT, NULL));
		/* Only a pause by writing lets the others have the lock of the openings for
		 * long. */
		EXPECT_OK(be_envelope_ensure(other, "llm", limit, BE_PERIOD_TOTAL, NULL));
		if (atomic_load(&busy->openings) % 16 == 0)
			EXPECT_OK(be_record(other, "llm", 0, NULL, NULL));
		be_close(other);
		be_close(same);
		atomic_fetch_add(&busy->openings, 1);
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
	be_close(test_open(busy->other_path, busy->durability));
	return 0;
}

static void run(enum be_durability durability, const char *name)
{
	struct busy busy = {.durability = durability};
	pthread_t threads[WORKING + OPENING];
	pid_t children[4];
	int64_t start;
	int i, j, rounds;

	test_path(busy.path, "%s", name);
	test_path(busy.other_path, "%s-other", name);
	busy.handle = test_open(busy.path, durability);
	EXPECT_OK(be_envelope_create(busy.handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	start = test_monotonic_ns();
	for (i = 0; i < WORKING + OPENING; i++)
		EXPECT(pthread_create(&threads[i], NULL, i < WORKING ? keep_busy : keep_opening,
				      &busy) == 0);
	for (i = 0; i < FORKS; i += 4) {
		for (j = 0; j < 4; j++)
			children[j] = child_start(child, i + j, &busy);
		children_expect_success(children, 4);
	}
	atomic_store(&busy.over, true);
	for (i = 0; i < WORKING + OPENING; i++)
		EXPECT(pthread_join(threads[i], NULL) == 0);
	rounds = atomic_load(&busy.rounds);
	EXPECT(rounds > 0 && atomic_load(&busy.openings) > 0);
	EXPECT_BALANCE(busy.handle, "llm", (2 * FORKS + 2 * (int64_t)rounds) * BE_UNIT, 0);
	EXPECT_VERIFIED(busy.handle);
	be_close(busy.handle);
	printf("%s durability: %d forks in %.2f s, while threads made %d rounds and opened %d "
	       "environments\n",
	       name, FORKS, test_seconds_since(start), rounds, 2 * atomic_load(&busy.openings));
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
