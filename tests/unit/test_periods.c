/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Periods: names and lengths, and windows that follow each other without drift for every start and
 * every time, at the ends of int64_t too.
 */
#include "rules/period.h"
#include "support.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define MONTH (30 * DAY)

static const struct {
	enum be_period period;
	const char *name;
	int64_t seconds;
} periods[] = {
	{BE_PERIOD_TOTAL, "total", 0},           {BE_PERIOD_HOURLY, "hourly", 3600},
	{BE_PERIOD_DAILY, "daily", 86400},       {BE_PERIOD_WEEKLY, "weekly", 604800},
	{BE_PERIOD_MONTHLY, "monthly", 2592000},
};

#define PERIODS (sizeof periods / sizeof periods[0])

Test(periods, each_has_its_name_and_length)
{
	for (size_t i = 0; i < PERIODS; i++) {
		enum be_period parsed = BE_PERIOD_MONTHLY;

		cr_expect(period_is_known(periods[i].period));
		cr_expect_str_eq(be_period_name(periods[i].period), periods[i].name);
		cr_expect_eq(be_period_seconds(periods[i].period), periods[i].seconds);
		cr_expect_eq(be_period_parse(periods[i].name, &parsed), BE_OK);
		cr_expect_eq(parsed, periods[i].period);
	}
}

Test(periods, of_the_calendar_have_names_and_no_length)
{
	enum be_period parsed;

	cr_expect_str_eq(be_period_name(BE_PERIOD_QUARTERLY), "quarterly");
	cr_expect_str_eq(be_period_name(BE_PERIOD_YEARLY), "yearly");
	cr_expect_eq(be_period_parse("yearly", &parsed), BE_OK);
	cr_expect_eq(parsed, BE_PERIOD_YEARLY);
	cr_expect_eq(be_period_seconds(BE_PERIOD_QUARTERLY), 0);
	cr_expect_eq(be_period_seconds(BE_PERIOD_YEARLY), 0);
}

Test(periods, other_numbers_are_unknown)
{
	static const int numbers[] = {-1, 7, 8, INT32_MAX, INT32_MIN};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		enum be_period period = (enum be_period)numbers[i];

		cr_expect_not(period_is_known(period));
		cr_expect_str_eq(be_period_name(period), "unknown");
		cr_expect_eq(be_period_seconds(period), 0);
		cr_expect_eq(period_start_at(period, 5, INT64_MAX), 5);
		cr_expect_eq(period_end(period, 5), 0);
	}
}

Test(periods, other_names_are_refused)
{
	static const char *const names[] = {"",       "Daily",   "daily ", "dail",
					    "dailyy", "unknown", "annual"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		enum be_period period = BE_PERIOD_MONTHLY;

		cr_expect_eq(be_period_parse(names[i], &period), BE_INVALID_PERIOD, "\"%s\"",
			     names[i]);
		cr_expect_eq(period, 0);
		cr_expect(strlen(be_last_error()) > 0);
	}
}

Test(periods, null_is_an_invalid_argument)
{
	enum be_period period = BE_PERIOD_MONTHLY;

	cr_expect_eq(be_period_parse(NULL, &period), BE_INVALID_ARGUMENT);
	cr_expect_eq(period, 0);
	cr_expect_eq(be_period_parse("daily", NULL), BE_INVALID_ARGUMENT);
}

Test(periods, a_window_lasts_until_just_before_its_end)
{
	const int64_t start = 1700000000 * SECOND + 7;

	for (size_t i = 1; i < PERIODS; i++) {
		enum be_period period = periods[i].period;
		int64_t length = periods[i].seconds * SECOND;

		cr_expect_eq(period_end(period, start), start + length);
		cr_expect_eq(period_start_at(period, start, start), start);
		cr_expect_eq(period_start_at(period, start, start + length - 1), start);
		cr_expect_eq(period_start_at(period, start, start + length), start + length);
		cr_expect_eq(period_start_at(period, start, start + 1000 * length - 1),
			     start + 999 * length);
		cr_expect_eq(period_start_at(period, start, start + 1000 * length),
			     start + 1000 * length);
	}
}

Test(periods, total_never_begins_again)
{
	cr_expect_eq(period_start_at(BE_PERIOD_TOTAL, 7, INT64_MAX), 7);
	cr_expect_eq(period_start_at(BE_PERIOD_TOTAL, 7, INT64_MIN), 7);
	cr_expect_eq(period_end(BE_PERIOD_TOTAL, 7), 0);
}

Test(periods, a_clock_that_steps_back_changes_nothing)
{
	for (size_t i = 0; i < PERIODS; i++) {
		cr_expect_eq(period_start_at(periods[i].period, 5 * DAY, 5 * DAY - 1), 5 * DAY);
		cr_expect_eq(period_start_at(periods[i].period, 5 * DAY, 0), 5 * DAY);
		cr_expect_eq(period_start_at(periods[i].period, INT64_MAX, INT64_MIN), INT64_MAX);
	}
}

Test(periods, the_ends_of_time_do_not_overflow)
{
	cr_expect_eq(period_end(BE_PERIOD_HOURLY, INT64_MAX - HOUR), INT64_MAX);
	cr_expect_eq(period_end(BE_PERIOD_HOURLY, INT64_MAX - HOUR - 1), INT64_MAX - 1);
	cr_expect_eq(period_end(BE_PERIOD_MONTHLY, INT64_MAX), INT64_MAX);
	cr_expect_eq(period_end(BE_PERIOD_MONTHLY, INT64_MIN), INT64_MIN + MONTH);
	cr_expect_eq(period_start_at(BE_PERIOD_DAILY, INT64_MAX, INT64_MAX), INT64_MAX);
	cr_expect_eq(period_start_at(BE_PERIOD_DAILY, INT64_MAX - DAY, INT64_MAX), INT64_MAX);
	cr_expect_eq(period_start_at(BE_PERIOD_DAILY, INT64_MIN, INT64_MIN), INT64_MIN);

	/* 2^64 - 1 nanoseconds are 213503 days and 23 h 34 min 33.709551615 s. */
	cr_expect_eq(period_start_at(BE_PERIOD_DAILY, INT64_MIN, INT64_MAX),
		     INT64_MAX - (23 * HOUR + (34 * 60 + 33) * SECOND + 709551615));
}

/* However time is cut up, the windows are the same: the start holds the time, lies whole periods
 * after the first one, and is found from any window between. */
Test(periods, windows_never_drift)
{
	uint64_t state = test_seed();

	fflush(stdout);
	for (int i = 0; i < 100000; i++) {
		size_t which = 1 + test_random(&state) % (PERIODS - 1);
		enum be_period period = periods[which].period;
		uint64_t length = (uint64_t)(periods[which].seconds * SECOND);
		int64_t first = (int64_t)test_random(&state), now = (int64_t)test_random(&state),
			start;
		int64_t between;

		if (now < first)
			continue;
		start = period_start_at(period, first, now);
		cr_assert(first <= start && start <= now);
		cr_assert_eq(((uint64_t)start - (uint64_t)first) % length, 0);
		cr_assert_lt((uint64_t)now - (uint64_t)start, length);

		/* A moment somewhere between the two leads to the same window. */
		between = (int64_t)((uint64_t)first +
				    test_random(&state) % ((uint64_t)now - (uint64_t)first + 1));
		cr_assert_eq(period_start_at(period, period_start_at(period, first, between), now),
			     start, "period %s, first %" PRId64 ", now %" PRId64,
			     periods[which].name, first, now);
	}
}
