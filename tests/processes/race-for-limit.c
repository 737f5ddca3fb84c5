/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16 processes commit 0.1 in a loop against one envelope of limit 10 until they are refused:
 * exactly 100 commits are granted in every run, whatever the durability and whatever becomes of the
 * commits. The environment does not exist before, so that the processes race for its creation too.
 */
#include "support.h"

#include <stdio.h>

enum {
	WORKERS = 16,
	RUNS = 20,
	GRANTS = 100
};

static const int64_t limit = 10 * BE_UNIT;
static const int64_t amount = BE_UNIT / 10;

/* What a worker does with a commit. Each way, the amount stays taken until the run is over. */
enum keeping {
	HOLD,
	SETTLE,
	DETACH
};

struct race {
	char path[PATH_MAX];
	enum be_durability durability;
	enum keeping keeping;
	pthread_barrier_t *barrier;
	int *granted; /* one per worker */
};

static void commit_until_refused(struct be_enforcer *handle, const struct race *race, int *granted)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	enum be_status status;
	uint64_t id;

	options.detached = race->keeping == DETACH;
	for (;;) {
		status = be_commit_with(handle, "llm", amount, "race", &options, &id, &decision);
		if (status != BE_OK)
			break;
		EXPECT(++*granted <= GRANTS); /* or it would never end */
		if (race->keeping == SETTLE)
			EXPECT_OK(be_settle(handle, id, amount, NULL, NULL));
	}
	EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	EXPECT_EQUAL(id, 0);
	EXPECT_EQUAL(decision.requested, amount);
	EXPECT_EQUAL(decision.available, 0);
}

static int worker(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, race->durability);
	bool settle = race->keeping == SETTLE;

	EXPECT_OK(be_envelope_ensure(handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	commit_until_refused(handle, race, &race->granted[index]);

	/* The death of a worker frees what it holds, so all stay until all have looked. */
	pthread_barrier_wait(race->barrier);
	EXPECT_BALANCE(handle, "llm", settle ? limit : 0, settle ? 0 : limit);
	pthread_barrier_wait(race->barrier);
	be_close(handle);
	return 0;
}

static double run_once(enum be_durability durability, enum keeping keeping)
{
	struct race race = {.durability = durability, .keeping = keeping};
	pid_t workers[WORKERS];
	struct be_enforcer *handle;
	int64_t start;
	double seconds;
	int i, granted = 0;

	test_path(race.path, "race");
	race.barrier = barrier_make(WORKERS);
	race.granted = shared_make(WORKERS * sizeof *race.granted);
	start = test_monotonic_ns();
	children_start(workers, WORKERS, worker, &race);
	children_expect_success(workers, WORKERS);
	seconds = test_seconds_since(start);

	for (i = 0; i < WORKERS; i++)
		granted += race.granted[i];
	EXPECT_EQUAL(granted, GRANTS);
	handle = test_open(race.path, durability);
	EXPECT_BALANCE(handle, "llm", keeping == SETTLE ? limit : 0, keeping == DETACH ? limit : 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(race.path);
	return seconds;
}

static void run(enum be_durability durability, enum keeping keeping)
{
	static const char *const keepings[] = {"held to the end", "settled at once", "detached"};
	double seconds, total = 0, slowest = 0;
	int i;

	for (i = 0; i < RUNS; i++) {
		seconds = run_once(durability, keeping);
		total += seconds;
		if (seconds > slowest)
			slowest = seconds;
	}
	printf("%s durability, %s: exactly %d granted in each of %d runs; %.3f s a run, slowest "
	       "%.3f s\n",
	       durability == BE_DURABILITY_FULL ? "full" : "process", keepings[keeping], GRANTS,
	       RUNS, total / RUNS, slowest);
}

int main(void)
{
	test_begin(120);
	run(BE_DURABILITY_FULL, HOLD);
	run(BE_DURABILITY_FULL, SETTLE);
	run(BE_DURABILITY_PROCESS, HOLD);
	run(BE_DURABILITY_PROCESS, DETACH);
	return 0;
}
