/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows of time, under a clock that only the test moves: they end on the nanosecond, follow each
 * other without drift however long nobody looked, are seen rolled over before anybody writes, never
 * start again because a clock stepped back, and what is pending is carried from each into the next.
 */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const enum be_period rolling[] = {BE_PERIOD_HOURLY, BE_PERIOD_DAILY, BE_PERIOD_WEEKLY,
					 BE_PERIOD_MONTHLY};
#define ROLLING (sizeof rolling / sizeof rolling[0])

static int64_t length_ns(enum be_period period)
{
	return be_period_seconds(period) * SECOND_NS;
}

/* Stops the clock at `when` and makes one envelope of that period, named after it, limit 1. */
static const char *begin_period(struct be_enforcer *budget, enum be_period period, int64_t when)
{
	const char *category = be_period_name(period);

	fixture.now_ns = when;
	assert_ok(be_envelope_create(budget, category, BE_UNIT, period, NULL));
	return category;
}

#define assert_window(budget, category, start)                                                     \
	do {                                                                                       \
		struct be_envelope window_ = fixture_envelope(budget, category);                   \
		assert_number(window_.period_start_ns, start);                                     \
		assert_number(window_.period_end_ns, (start) + length_ns(window_.period));         \
	} while (0)

BEHAVIOUR_TEST(windows, end_on_the_nanosecond)
{
	for (size_t i = 0; i < ROLLING; i++) {
		const char *category = begin_period(budget, rolling[i], BEGINNING_NS);
		int64_t length = length_ns(rolling[i]);
		struct be_transaction transaction = BE_TRANSACTION_INIT;

		assert_ok(be_record(budget, category, 9 * TENTH, NULL, NULL));
		fixture.now_ns = BEGINNING_NS + length - 1;
		assert_balance(budget, category, 9 * TENTH, 0);
		assert_window(budget, category, BEGINNING_NS);
		assert_status(be_check(budget, category, 2 * TENTH, NULL), BE_EXCEEDS_BUDGET);

		fixture.now_ns = BEGINNING_NS + length;
		assert_balance(budget, category, 0, 0);
		assert_window(budget, category, BEGINNING_NS + length);
		assert_ok(be_check(budget, category, BE_UNIT, NULL));
		assert_ok(be_record(budget, category, TENTH, NULL, &transaction));
		assert_number(transaction.at_ns, BEGINNING_NS + length);
		assert_balance(budget, category, TENTH, 0);
	}
}

BEHAVIOUR_TEST(windows, follow_each_other_without_drift_however_long_nobody_looked)
{
	static const int idle[] = {1, 2, 5, 100};

	for (size_t i = 0; i < ROLLING; i++) {
		const char *category = begin_period(budget, rolling[i], BEGINNING_NS);
		int64_t length = length_ns(rolling[i]), start = BEGINNING_NS;

		for (size_t k = 0; k < sizeof idle / sizeof idle[0]; k++) {
			assert_ok(be_record(budget, category, 9 * TENTH, NULL, NULL));
			start += idle[k] * length;
			fixture.now_ns = start + length / 3; /* never at the boundary itself */
			assert_window(budget, category, start);
			assert_balance(budget, category, 0, 0);
			assert_ok(be_record(budget, category, TENTH, NULL, NULL));
			assert_window(budget, category, start);
			assert_balance(budget, category, TENTH, 0);
		}
	}
}

BEHAVIOUR_TEST(windows, carry_what_is_pending_into_the_next_one)
{
	for (size_t i = 0; i < ROLLING; i++) {
		const char *category = begin_period(budget, rolling[i], BEGINNING_NS);
		int64_t length = length_ns(rolling[i]);
		uint64_t settled, released, id;

		settled = fixture_commit(budget, category, 4 * TENTH);
		released = fixture_commit(budget, category, 2 * TENTH);
		assert_ok(be_record(budget, category, 4 * TENTH, NULL, NULL));

		fixture_advance(length);
		assert_balance(budget, category, 0, 6 * TENTH);
		assert_number(fixture_envelope(budget, category).available, 4 * TENTH);
		assert_status(be_commit(budget, category, 5 * TENTH, NULL, &id), BE_EXCEEDS_BUDGET);
		id = fixture_commit(budget, category, 4 * TENTH);

		fixture_advance(3 * length);
		assert_balance(budget, category, 0, BE_UNIT);
		/* Charged in the window in which it ends. */
		assert_ok(be_settle(budget, settled, 3 * TENTH, NULL, NULL));
		assert_balance(budget, category, 3 * TENTH, 6 * TENTH);
		assert_ok(be_release(budget, released));
		assert_ok(be_extend(budget, id, TENTH, 0, NULL));
		assert_balance(budget, category, 3 * TENTH, TENTH);

		fixture_advance(length);
		assert_ok(be_release(budget, id));
		assert_balance(budget, category, 0, 0);
	}
}

BEHAVIOUR_TEST(windows, no_ttl_ends_before_1970)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	fixture.now_ns = -SECOND_NS;
	for (options.ttl_ms = 999; options.ttl_ms <= 1000; options.ttl_ms++)
		assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL),
			       BE_INVALID_ARGUMENT);
	assert_ok(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL));
	assert_refused(be_extend(budget, id, 1, 1000, NULL), BE_INVALID_ARGUMENT);
	assert_ok(be_release(budget, id));
}

BEHAVIOUR_TEST(windows, never_start_again_because_the_clock_stepped_back)
{
	for (size_t i = 0; i < ROLLING; i++) {
		const char *category = begin_period(budget, rolling[i], BEGINNING_NS);
		int64_t length = length_ns(rolling[i]), start = BEGINNING_NS + 5 * length;

		fixture.now_ns = start + length / 2;
		assert_ok(be_record(budget, category, 3 * TENTH, NULL, NULL));

		/* Before this window, and before the envelope was made. */
		for (int back = 1; back <= 10; back += 3) {
			fixture.now_ns = start - back * length;
			assert_balance(budget, category, 3 * TENTH, 0);
			assert_window(budget, category, start);
		}
		assert_ok(be_record(budget, category, 2 * TENTH, "by a slow clock", NULL));
		assert_balance(budget, category, 5 * TENTH, 0);
		assert_status(be_check(budget, category, 6 * TENTH, NULL), BE_EXCEEDS_BUDGET);
		assert_ok(be_verify(budget, NULL, NULL, NULL));

		/* Forward again, to the end of that same window. */
		fixture.now_ns = start + length - 1;
		assert_balance(budget, category, 5 * TENTH, 0);
		fixture.now_ns = start + length;
		assert_balance(budget, category, 0, 0);
		assert_window(budget, category, start + length);
		assert_ok(be_record(budget, category, TENTH, NULL, NULL));
		assert_ok(be_verify(budget, NULL, NULL, NULL));
	}
}

/* The bytes of the data file, summed: equal sums are as good as "nobody wrote". */
static uint64_t data_file_sum(void)
{
	char path[128];
	unsigned char buffer[4096];
	uint64_t sum = UINT64_C(14695981039346656037);
	ssize_t got;
	int file;

	snprintf(path, sizeof path, "%s/data.mdb", fixture.path);
	file = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(file >= 0, "cannot open %s", path);
	while ((got = read(file, buffer, sizeof buffer)) > 0)
		for (ssize_t i = 0; i < got; i++)
			sum = (sum ^ buffer[i]) * UINT64_C(1099511628211);
	close(file);
	return sum;
}

static bool see_rolled_over(void *context, const struct be_envelope *envelope)
{
	assert_number(envelope->spent, 0);
	assert_number(envelope->period_start_ns, BEGINNING_NS + HOUR_NS);
	++*(int *)context;
	return true;
}

BEHAVIOUR_TEST(windows, are_seen_rolled_over_before_anybody_writes)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t before = 0, id;
	int seen = 0;

	begin_period(budget, BE_PERIOD_HOURLY, BEGINNING_NS);
	assert_ok(be_record(budget, "hourly", 9 * TENTH, NULL, NULL));
	if (fixture.lmdb)
		before = data_file_sum();
	fixture_advance(HOUR_NS + 5);
	assert_balance(budget, "hourly", 0, 0);
	assert_number(fixture_envelope(budget, "hourly").utilization_ppm, 0);
	assert_ok(be_check(budget, "hourly", BE_UNIT, &decision));
	assert_number(decision.spent, 0);
	assert_number(decision.available, BE_UNIT);
	assert_ok(be_envelopes_each(budget, NULL, see_rolled_over, &seen));
	assert_number(seen, 1);
	assert_ok(be_verify(budget, NULL, NULL, NULL));
	if (fixture.lmdb)
		cr_assert(data_file_sum() == before, "reading has written");

	/* And a clock that steps back sees the window that was never written over. */
	assert_refused(be_commit(budget, "hourly", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	fixture_advance(-HOUR_NS);
	assert_balance(budget, "hourly", 9 * TENTH, 0);
}

BEHAVIOUR_TEST(windows, can_be_aligned_to_a_moment_in_the_past)
{
	const int64_t midnight = BEGINNING_NS - BEGINNING_NS % DAY_NS;
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.period_start_ns = midnight;
	assert_ok(be_envelope_create(budget, "today", BE_UNIT, BE_PERIOD_DAILY, &options));
	assert_window(budget, "today", midnight);

	/* Long ago: the window now is whole periods later. */
	options.period_start_ns = midnight - 1000 * DAY_NS;
	assert_ok(be_envelope_create(budget, "long-ago", BE_UNIT, BE_PERIOD_DAILY, &options));
	assert_window(budget, "long-ago", midnight);

	/* A total has one window, which began then. */
	assert_ok(be_envelope_create(budget, "total", BE_UNIT, BE_PERIOD_TOTAL, &options));
	assert_number(fixture_envelope(budget, "total").period_start_ns, midnight - 1000 * DAY_NS);
	assert_number(fixture_envelope(budget, "total").period_end_ns, 0);

	/* A window that ends now is over; one that begins now has begun. */
	options.period_start_ns = BEGINNING_NS - DAY_NS;
	assert_ok(be_envelope_create(budget, "over", BE_UNIT, BE_PERIOD_DAILY, &options));
	assert_window(budget, "over", BEGINNING_NS);
	options.period_start_ns = BEGINNING_NS;
	assert_ok(be_envelope_create(budget, "now", BE_UNIT, BE_PERIOD_DAILY, &options));
	assert_window(budget, "now", BEGINNING_NS);
}

BEHAVIOUR_TEST(windows, do_not_begin_in_the_future)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.period_start_ns = BEGINNING_NS + 1;
	assert_refused(be_envelope_create(budget, "soon", BE_UNIT, BE_PERIOD_DAILY, &options),
		       BE_INVALID_PERIOD);
	assert_refused(be_envelope_ensure(budget, "soon", BE_UNIT, BE_PERIOD_DAILY, &options),
		       BE_INVALID_PERIOD);
	options.period_start_ns = INT64_MAX;
	assert_refused(be_envelope_create(budget, "soon", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_INVALID_PERIOD);
}

BEHAVIOUR_TEST(windows, of_a_total_never_end)
{
	begin_period(budget, BE_PERIOD_TOTAL, BEGINNING_NS);
	assert_ok(be_record(budget, "total", 9 * TENTH, NULL, NULL));
	fixture_advance(200 * 365 * DAY_NS);
	assert_balance(budget, "total", 9 * TENTH, 0);
	assert_number(fixture_envelope(budget, "total").period_start_ns, BEGINNING_NS);
	assert_number(fixture_envelope(budget, "total").period_end_ns, 0);
	assert_status(be_check(budget, "total", 2 * TENTH, NULL), BE_EXCEEDS_BUDGET);
}

BEHAVIOUR_TEST(windows, at_the_end_of_time_do_not_overflow)
{
	begin_period(budget, BE_PERIOD_MONTHLY, INT64_MAX - HOUR_NS);
	assert_number(fixture_envelope(budget, "monthly").period_end_ns, INT64_MAX);
	assert_ok(be_record(budget, "monthly", TENTH, NULL, NULL));
	fixture.now_ns = INT64_MAX;
	assert_balance(budget, "monthly", TENTH, 0);
}

BEHAVIOUR_TEST(windows, of_parent_and_child_end_each_in_its_own_time)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	uint64_t id;

	begin_period(budget, BE_PERIOD_DAILY, BEGINNING_NS);
	options.parent_category = "daily";
	assert_ok(be_envelope_create(budget, "chat", 4 * TENTH, BE_PERIOD_HOURLY, &options));

	/* Three hours at the child's limit fill the parent to 0.8 and then to its own. */
	assert_ok(be_record(budget, "chat", 4 * TENTH, NULL, NULL));
	fixture_advance(HOUR_NS);
	assert_balance(budget, "chat", 0, 0);
	assert_balance(budget, "daily", 4 * TENTH, 0);
	assert_ok(be_record(budget, "chat", 4 * TENTH, NULL, NULL));
	fixture_advance(HOUR_NS);
	assert_status(be_check(budget, "chat", 3 * TENTH, NULL), BE_EXCEEDS_BUDGET);
	id = fixture_commit(budget, "chat", 2 * TENTH);
	assert_balance(budget, "daily", 8 * TENTH, 2 * TENTH);

	/* The day ends, and what is pending goes with both. */
	fixture_advance(22 * HOUR_NS);
	assert_balance(budget, "daily", 0, 2 * TENTH);
	assert_balance(budget, "chat", 0, 2 * TENTH);
	assert_ok(be_settle(budget, id, TENTH, NULL, NULL));
	assert_balance(budget, "daily", TENTH, 0);
	assert_balance(budget, "chat", TENTH, 0);
}

BEHAVIOUR_TEST(windows, keep_a_limit_that_changes_and_a_reset_that_comes_in_between)
{
	begin_period(budget, BE_PERIOD_HOURLY, BEGINNING_NS);
	assert_ok(be_record(budget, "hourly", 9 * TENTH, NULL, NULL));
	fixture_advance(HOUR_NS + HOUR_NS / 2);
	/* The first write after the end is a change of limit, and brings nothing back. */
	assert_ok(be_envelope_set_limit(budget, "hourly", 2 * BE_UNIT));
	assert_balance(budget, "hourly", 0, 0);
	assert_window(budget, "hourly", BEGINNING_NS + HOUR_NS);
	assert_ok(be_record(budget, "hourly", TENTH, NULL, NULL));

	assert_ok(be_envelope_reset(budget, "hourly"));
	assert_window(budget, "hourly", BEGINNING_NS + HOUR_NS + HOUR_NS / 2);
	fixture_advance(HOUR_NS - 1);
	assert_ok(be_record(budget, "hourly", TENTH, NULL, NULL));
	assert_balance(budget, "hourly", TENTH, 0);
	fixture_advance(1);
	assert_balance(budget, "hourly", 0, 0);
	assert_window(budget, "hourly", BEGINNING_NS + 2 * HOUR_NS + HOUR_NS / 2);
}
