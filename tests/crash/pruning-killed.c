/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who prunes is killed, again and again, wherever that may be. After each kill all that was ever
 * charged is there, once: in the ledger or in the daily sums, by envelope and day.
 */
#include "crash.h"
#include "support.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 150
#define LINES 40
#define DAYS 8
#define HOUR_NS (3600 * BE_UNIT)
#define DAY_NS (24 * HOUR_NS)
#define BEGIN_NS (INT64_C(20000) * DAY_NS)

static const char *const categories[] = {"llm", "search"};
static char path[PATH_MAX];
static enum be_durability durability;
static _Atomic int64_t *now_ns;

struct account {
	int64_t amount[2][DAYS];
	uint64_t count[2][DAYS];
};

static int64_t read_clock(void *context)
{
	(void)context;
	return *now_ns;
}

static struct be_enforcer *open_with_clock(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.durability = durability;
	options.now = read_clock;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

static void note(struct account *account, const char *category, int64_t at_ns, int64_t amount,
		 uint64_t count)
{
	int which = strcmp(category, categories[1]) == 0;
	int64_t day = (at_ns - BEGIN_NS) / DAY_NS;

	EXPECT(day >= 0 && day < DAYS);
	account->amount[which][day] += amount;
	account->count[which][day] += count;
}

static bool note_line(void *context, const struct be_transaction *line)
{
	note(context, line->category, line->at_ns, line->amount, 1);
	return true;
}

static bool note_sum(void *context, const struct be_daily_sum *sum)
{
	note(context, sum->category, sum->day_ns, sum->amount, sum->count);
	return true;
}

static int prune(int index, void *context)
{
	struct be_enforcer *handle = open_with_clock();

	(void)index;
	EXPECT_OK(be_prune(handle, *(const int64_t *)context, NULL, NULL, NULL));
	be_close(handle);
	return 0;
}

/* Everything that was charged, once. */
static void expect_all(struct be_enforcer *handle, const struct account *charged)
{
	struct account found = {0};
	struct be_filter filter = BE_FILTER_INIT;

	EXPECT_OK(be_daily_sums_each(handle, NULL, note_sum, &found, &filter.after_id));
	EXPECT_OK(be_transactions_each(handle, &filter, note_line, &found));
	EXPECT(memcmp(&found, charged, sizeof found) == 0);
}

static void charge(struct be_enforcer *handle, uint64_t *random, struct account *charged)
{
	static const struct be_envelope_name also[] = {{NULL, "day"}};
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	struct be_transaction line = BE_TRANSACTION_INIT;

	options.also = also;
	for (int i = 0; i < LINES; i++) {
		int64_t amount = (int64_t)(test_random(random) % 1000) + 10;

		options.also_count = (uint32_t)(test_random(random) % 2);
		EXPECT_OK(be_record_with(handle, categories[test_random(random) % 2], amount, "",
					 &options, &line));
		note_line(charged, &line);
		if (test_random(random) % 8 == 0) {
			EXPECT_OK(be_correct(handle, line.id, 3, "", &line));
			note_line(charged, &line);
		}
	}
}

int main(int argc, char **argv)
{
	struct account charged = {0};
	struct be_enforcer *handle;
	unsigned killed = 0;
	uint64_t random;

	test_begin(120);
	random = test_seed();
	durability = argc > 1 && strcmp(argv[1], "full") == 0 ? BE_DURABILITY_FULL
							      : BE_DURABILITY_PROCESS;
	now_ns = shared_make(sizeof *now_ns);
	*now_ns = BEGIN_NS;
	test_path(path, "environment");
	handle = open_with_clock();
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
	EXPECT_OK(be_envelope_create(handle, "search", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "day", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int round = 0; round < ROUNDS; round++) {
		int64_t before_ns = *now_ns - (int64_t)(test_random(&random) % 3) * HOUR_NS;
		pid_t child;

		charge(handle, &random, &charged);
		*now_ns += HOUR_NS;
		child = child_start(prune, 0, &before_ns);
		usleep((useconds_t)(test_random(&random) % 6000));
		EXPECT(kill(child, SIGKILL) == 0);
		killed += child_wait(child) == 128 + SIGKILL;
		expect_all(handle, &charged);
	}
	EXPECT_VERIFIED(handle);
	EXPECT_OK(be_prune(handle, INT64_MAX, NULL, NULL, NULL));
	expect_all(handle, &charged);
	EXPECT_VERIFIED(handle);
	printf("%u of %d killed\n", killed, ROUNDS);
	EXPECT(killed > 0);
	be_close(handle);
	return 0;
}
