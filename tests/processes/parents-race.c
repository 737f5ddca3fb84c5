/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16 processes commit 0.1 in a loop on 8 children (limit 5 each) of one parent (limit 10) until
 * they are refused: exactly 100 commits are granted in all, the children's sums equal the parent's,
 * and each refusal names the envelope that was full. Each child envelope lies in a namespace of its
 * own.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

enum {
	WORKERS = 16,
	TASKS = 8,
	RUNS = 10,
	GRANTS = 100
};

static const int64_t day_limit = 10 * BE_UNIT;
static const int64_t task_limit = 5 * BE_UNIT;
static const int64_t amount = BE_UNIT / 10;

struct race {
	char path[PATH_MAX];
	bool settle;
	pthread_barrier_t *barrier;
	int *granted; /* one per worker, as is the next */
	bool *parent_refused;
};

static struct be_enforcer *open_task(const char *path, int task)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	char name[16];

	snprintf(name, sizeof name, "task-%d", task);
	options.namespace_name = name;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

/* True when the parent refused. */
static bool expect_refusal_is_true(const struct be_decision *decision, int task)
{
	bool parent_refused = strcmp(decision->category, "day") == 0;
	char name[16];

	snprintf(name, sizeof name, "task-%d", task);
	EXPECT_EQUAL(decision->requested, amount);
	EXPECT(decision->available < amount);
	if (!parent_refused)
		EXPECT_TEXT(decision->category, "llm");
	EXPECT_TEXT(decision->namespace_name, parent_refused ? "" : name);
	EXPECT_EQUAL(decision->limit, parent_refused ? day_limit : task_limit);
	EXPECT_EQUAL(decision->spent + decision->committed, decision->limit);
	return parent_refused;
}

static int worker(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = open_task(race->path, index % TASKS);
	struct be_decision decision = BE_DECISION_INIT;
	enum be_status status;
	uint64_t id;

	while ((status = be_commit_with(handle, "llm", amount, NULL, NULL, &id, &decision)) ==
	       BE_OK) {
		race->granted[index]++;
		if (race->settle)
			EXPECT_OK(be_settle(handle, id, amount, NULL, NULL));
	}
	EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	race->parent_refused[index] = expect_refusal_is_true(&decision, index % TASKS);

	/* What a worker holds must not be freed by its death before the parent process has
	 * looked. */
	pthread_barrier_wait(race->barrier);
	pthread_barrier_wait(race->barrier);
	be_close(handle);
	return 0;
}

static struct be_enforcer *make_envelopes(const char *path)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_FULL);
	struct be_enforcer *child;
	int task;

	EXPECT_OK(be_envelope_create(handle, "day", day_limit, BE_PERIOD_TOTAL, NULL));
	options.parent_namespace = "";
	options.parent_category = "day";
	for (task = 0; task < TASKS; task++) {
		child = open_task(path, task);
		EXPECT_OK(be_envelope_create(child, "llm", task_limit, BE_PERIOD_TOTAL, &options));
		be_close(child);
	}
	return handle;
}

/* Each child's sums are what its two workers were granted, and the parent's are the sum of
 * these. */
static void expect_sums(struct be_enforcer *handle, const struct race *race)
{
	struct be_enforcer *child;
	int64_t taken, total = 0;
	int task;

	for (task = 0; task < TASKS; task++) {
		taken = amount * (race->granted[task] + race->granted[task + TASKS]);
		child = open_task(race->path, task);
		EXPECT_BALANCE(child, "llm", race->settle ? taken : 0, race->settle ? 0 : taken);
		be_close(child);
		total += taken;
	}
	EXPECT_EQUAL(total, amount * GRANTS);
	EXPECT_BALANCE(handle, "day", race->settle ? total : 0, race->settle ? 0 : total);
	EXPECT_VERIFIED(handle);
}

static int run(bool settle)
{
	struct race race = {.settle = settle};
	struct be_enforcer *handle;
	pid_t workers[WORKERS];
	int i, parent_refused = 0;

	test_path(race.path, "family");
	race.barrier = barrier_make(WORKERS + 1);
	race.granted = shared_make(WORKERS * sizeof *race.granted);
	race.parent_refused = shared_make(WORKERS * sizeof *race.parent_refused);
	handle = make_envelopes(race.path);
	children_start(workers, WORKERS, worker, &race);
	pthread_barrier_wait(race.barrier);
	expect_sums(handle, &race);
	pthread_barrier_wait(race.barrier);
	children_expect_success(workers, WORKERS);
	for (i = 0; i < WORKERS; i++)
		parent_refused += race.parent_refused[i];
	be_close(handle);
	test_remove(race.path);
	return parent_refused;
}

int main(void)
{
	int i, parent_refused = 0;
	int64_t start;

	test_begin(120);
	start = test_monotonic_ns();
	for (i = 0; i < RUNS; i++)
		parent_refused += run(i % 2 == 1);
	printf("exactly %d granted in each of %d runs (%.2f s); the parent refused %d times, a "
	       "full child "
	       "%d\n",
	       GRANTS, RUNS, test_seconds_since(start), parent_refused,
	       RUNS * WORKERS - parent_refused);
	EXPECT(parent_refused > 0);
	return 0;
}
