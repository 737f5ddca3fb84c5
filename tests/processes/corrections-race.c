/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16 processes race to correct one line of the ledger, and some are killed at it: together they
 * give back no more than it charged, in its envelope and in the one above. The same correction that
 * all of them send under one key is made once.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	WORKERS = 16,
	RUNS = 10,
	CHARGED = 1000,
	PART = 7
};

struct race {
	char path[PATH_MAX];
	uint64_t wrong; /* the line's id */
	uint64_t keyed; /* and that of one which is corrected under a key */
};

static int correct_all(int index, void *context)
{
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, BE_DURABILITY_PROCESS);
	enum be_status status;

	(void)index;
	options.key = "ticket-5";
	EXPECT_OK(be_correct_with(handle, race->keyed, PART, NULL, &options, NULL));
	while ((status = be_correct(handle, race->wrong, PART, NULL, NULL)) == BE_OK)
		;
	EXPECT_EQUAL(status, BE_EXCEEDS_CHARGE);
	be_close(handle);
	return 0;
}

static uint64_t record(struct be_enforcer *handle)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;

	EXPECT_OK(be_record(handle, "task", CHARGED, NULL, &transaction));
	return transaction.id;
}

static void expect_given_back(struct be_enforcer *handle, const char *category, int64_t given_back)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_utilization(handle, category, &envelope));
	EXPECT_EQUAL(envelope.charged, 2 * CHARGED);
	EXPECT_EQUAL(envelope.given_back, given_back);
	EXPECT_EQUAL(envelope.spent, 2 * CHARGED - given_back);
}

static void run(struct race *race, uint64_t *seed)
{
	struct be_enforcer *handle = test_open(race->path, BE_DURABILITY_PROCESS);
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	pid_t children[WORKERS];
	int64_t most = CHARGED / PART * PART;

	below.parent_category = "day";
	EXPECT_OK(be_envelope_create(handle, "day", BE_UNIT, BE_PERIOD_DAILY, NULL));
	EXPECT_OK(be_envelope_create(handle, "task", BE_UNIT, BE_PERIOD_TOTAL, &below));
	race->wrong = record(handle);
	race->keyed = record(handle);
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(correct_all, i, race);
	usleep((useconds_t)(test_random(seed) % 3000));
	for (int i = 0; i < 4; i++)
		EXPECT(kill(children[i], SIGKILL) == 0);
	for (int i = 0; i < WORKERS; i++) {
		int status = child_wait(children[i]);

		EXPECT(status == 0 || (i < 4 && status == 128 + SIGKILL));
	}
	expect_given_back(handle, "task", most + PART);
	expect_given_back(handle, "day", most + PART);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(race->path);
}

int main(void)
{
	uint64_t seed = test_seed();
	struct race race;

	test_begin(30);
	test_in_memory();
	for (int i = 0; i < RUNS; i++) {
		test_path(race.path, "race-%d", i);
		run(&race, &seed);
	}
	printf("%d times %d processes gave back what one line had charged, and no more\n", RUNS,
	       WORKERS);
	return 0;
}
