/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16 processes race to cross the thresholds of one envelope, and of the one above it: each
 * threshold gives one alert, in every one of 100 runs, and it names a charge with which the sum
 * came to it. Then workers are killed at any moment while they charge: after each, the alerts are
 * exactly those that the charges of the ledger must have given.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	WORKERS = 16,
	RUNS = 100,
	KILLS = 40,
	THRESHOLDS = 4
};

static const uint16_t percents[THRESHOLDS] = {25, 50, 75, 100};

struct race {
	char path[PATH_MAX];
	pthread_barrier_t *barrier;
};

struct found {
	struct be_enforcer *handle;
	const char *category;
	int64_t spent; /* by the ledger, up to transaction_id */
	uint64_t transaction_id;
	unsigned count;
};

static void make(struct be_enforcer *handle, const char *category, const char *parent,
		 int64_t limit)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_settings settings = BE_SETTINGS_INIT;

	options.parent_category = parent;
	EXPECT_OK(be_envelope_create(handle, category, limit, BE_PERIOD_TOTAL, &options));
	settings.mask = BE_SET_THRESHOLDS;
	memcpy(settings.thresholds, percents, sizeof percents);
	EXPECT_OK(be_envelope_set(handle, category, &settings, NULL));
}

static bool add(void *context, const struct be_transaction *transaction)
{
	struct found *found = context;

	if (transaction->id <= found->transaction_id)
		found->spent += transaction->amount;
	return true;
}

/* Each alert names the charge with which what is spent came to its threshold. */
static bool look(void *context, const struct be_alert *alert)
{
	struct found *found = context;
	int64_t least = alert->limit / 100 * alert->percent;

	if (strcmp(alert->category, found->category) != 0)
		return true;
	EXPECT(found->count < THRESHOLDS);
	EXPECT_EQUAL(alert->percent, percents[found->count]);
	found->count++;
	found->spent = 0;
	found->transaction_id = alert->transaction_id;
	EXPECT_OK(be_transactions_each(found->handle, NULL, add, found));
	EXPECT_EQUAL(alert->spent, found->spent);
	EXPECT(found->spent >= least);
	return true;
}

/* There are those alerts that what is spent must have given, and no other. */
static void expect_alerts(struct be_enforcer *handle, const char *category)
{
	struct found found = {.handle = handle, .category = category};
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	unsigned expected = 0;

	EXPECT_OK(be_alerts_each(handle, NULL, look, &found));
	EXPECT_OK(be_utilization(handle, category, &envelope));
	while (expected < THRESHOLDS && envelope.spent >= envelope.limit / 100 * percents[expected])
		expected++;
	EXPECT_EQUAL(found.count, expected);
	EXPECT_EQUAL(envelope.passed, expected > 0 ? percents[expected - 1] : 0);
}

static int charge_all(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, BE_DURABILITY_PROCESS);

	(void)index;
	pthread_barrier_wait(race->barrier);
	for (int i = 0; i < 4; i++)
		EXPECT_OK(be_record(handle, "task", 100, NULL, NULL));
	be_close(handle);
	return 0;
}

static void run_races(struct race *race)
{
	pid_t children[WORKERS];

	for (int run = 0; run < RUNS; run++) {
		struct be_enforcer *handle;

		test_path(race->path, "race-%d", run);
		handle = test_open(race->path, BE_DURABILITY_PROCESS);
		make(handle, "day", NULL, WORKERS * 4 * 100);
		make(handle, "task", "day", WORKERS * 2 * 100);
		children_start(children, WORKERS, charge_all, race);
		children_expect_success(children, WORKERS);
		expect_alerts(handle, "task");
		expect_alerts(handle, "day");
		be_close(handle);
		test_remove(race->path);
	}
	printf("%d times %d processes: each of 8 thresholds gave one alert\n", RUNS, WORKERS);
}

_Noreturn static int charge_for_ever(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, BE_DURABILITY_PROCESS);

	(void)index;
	pthread_barrier_wait(race->barrier);
	for (;;)
		EXPECT_OK(be_record(handle, "task", 1, NULL, NULL));
}

/* A window of a few hundred charges, so that kills come near its thresholds. */
static void run_kills(struct race *race)
{
	struct be_enforcer *handle;
	uint64_t seed = test_seed();

	test_path(race->path, "kills");
	handle = test_open(race->path, BE_DURABILITY_PROCESS);
	make(handle, "day", NULL, INT64_C(1000000));
	make(handle, "task", "day", 400);
	for (int i = 0; i < KILLS; i++) {
		pid_t children[3];

		for (int k = 0; k < 3; k++)
			children[k] = child_start(charge_for_ever, k, race);
		pthread_barrier_wait(race->barrier);
		usleep((useconds_t)(test_random(&seed) % 3000));
		for (int k = 0; k < 3; k++)
			EXPECT(kill(children[k], SIGKILL) == 0);
		for (int k = 0; k < 3; k++)
			EXPECT_EQUAL(child_wait(children[k]), 128 + SIGKILL);
		expect_alerts(handle, "task");
		/* The next round crosses them again. */
		EXPECT_OK(be_envelope_remove(handle, "task"));
		EXPECT_OK(be_prune(handle, INT64_MAX, NULL, NULL, NULL));
		make(handle, "task", "day", 400);
	}
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("%d kills of 3: no alert was lost or repeated\n", KILLS);
}

int main(void)
{
	struct race race;

	test_begin(30);
	test_in_memory();
	race.barrier = barrier_make(WORKERS);
	run_races(&race);
	race.barrier = barrier_make(4);
	run_kills(&race);
	return 0;
}
