/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an envelope is set to: calendars, a raise for a time, roll-over, observing only, and changes
 * in place, which keep what is spent and committed.
 */
#include "fixture.h"

#include <unistd.h>

/* 2024-01-01 00:00:00 UTC. */
#define NEW_YEAR_NS (INT64_C(1704067200) * SECOND_NS)

static void create_by_calendar(struct be_enforcer *budget, const char *category,
			       enum be_period period, const char *zone)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.zone = zone;
	assert_ok(be_envelope_create(budget, category, 100 * BE_UNIT, period, &options));
}

#define assert_window(budget, category, start, end)                                                \
	do {                                                                                       \
		struct be_envelope window_ = fixture_envelope(budget, category);                   \
		assert_number(window_.period_start_ns, start);                                     \
		assert_number(window_.period_end_ns, end);                                         \
	} while (0)

BEHAVIOUR_TEST(settings, a_month_of_the_calendar_is_never_paid_twice)
{
	fixture.now_ns = NEW_YEAR_NS + 14 * DAY_NS;
	create_by_calendar(budget, "llm", BE_PERIOD_MONTHLY, "UTC");
	assert_window(budget, "llm", NEW_YEAR_NS, NEW_YEAR_NS + 31 * DAY_NS);
	assert_ok(be_record(budget, "llm", 100 * BE_UNIT, NULL, NULL));
	fixture.now_ns = NEW_YEAR_NS + 31 * DAY_NS - 1;
	assert_status(be_check(budget, "llm", 1, NULL), BE_EXCEEDS_BUDGET);
	fixture.now_ns = NEW_YEAR_NS + 31 * DAY_NS;
	assert_ok(be_check(budget, "llm", 100 * BE_UNIT, NULL));
	/* February of a leap year. */
	assert_window(budget, "llm", NEW_YEAR_NS + 31 * DAY_NS, NEW_YEAR_NS + 60 * DAY_NS);
}

BEHAVIOUR_TEST(settings, weeks_and_months_begin_on_the_day_asked_for)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	fixture.now_ns = NEW_YEAR_NS + 10 * DAY_NS; /* Thursday, the 11th */
	options.zone = "UTC";
	options.begins_on = 7;
	assert_ok(be_envelope_create(budget, "week", 1, BE_PERIOD_WEEKLY, &options));
	assert_window(budget, "week", NEW_YEAR_NS + 6 * DAY_NS, NEW_YEAR_NS + 13 * DAY_NS);
	options.begins_on = 31;
	assert_ok(be_envelope_create(budget, "month", 1, BE_PERIOD_MONTHLY, &options));
	assert_window(budget, "month", NEW_YEAR_NS - DAY_NS, NEW_YEAR_NS + 30 * DAY_NS);
	fixture.now_ns = NEW_YEAR_NS + 40 * DAY_NS;
	assert_window(budget, "month", NEW_YEAR_NS + 30 * DAY_NS, NEW_YEAR_NS + 59 * DAY_NS);
	create_by_calendar(budget, "quarter", BE_PERIOD_QUARTERLY, NULL);
	assert_window(budget, "quarter", NEW_YEAR_NS, NEW_YEAR_NS + 91 * DAY_NS);
	create_by_calendar(budget, "year", BE_PERIOD_YEARLY, NULL);
	assert_window(budget, "year", NEW_YEAR_NS, NEW_YEAR_NS + 366 * DAY_NS);
	assert_text(fixture_envelope(budget, "year").zone, "UTC");
}

BEHAVIOUR_TEST(settings, the_environment_keeps_the_zone_that_it_was_given)
{
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
		cr_skip_test("there is no tzdata");
	fixture.now_ns = NEW_YEAR_NS + 90 * DAY_NS; /* 31 March: summer time begins */
	create_by_calendar(budget, "llm", BE_PERIOD_DAILY, "Europe/Berlin");
	assert_window(budget, "llm", NEW_YEAR_NS + 90 * DAY_NS - HOUR_NS,
		      NEW_YEAR_NS + 91 * DAY_NS - 2 * HOUR_NS);
	/* Another process, on which the zone is not installed. */
	cr_assert_eq(setenv("TZDIR", fixture.directory, 1), 0);
	assert_refused(be_envelope_create(budget, "other", 1, BE_PERIOD_DAILY,
					  &(struct be_envelope_options){
						  .size = sizeof(struct be_envelope_options),
						  .zone = "Europe/Berlin"}),
		       BE_INVALID_ZONE);
	fixture_advance(100 * DAY_NS);
	assert_window(budget, "llm", NEW_YEAR_NS + 190 * DAY_NS - 2 * HOUR_NS,
		      NEW_YEAR_NS + 191 * DAY_NS - 2 * HOUR_NS);
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	fixture_advance(200 * DAY_NS);
	assert_window(budget, "llm", NEW_YEAR_NS + 390 * DAY_NS - HOUR_NS,
		      NEW_YEAR_NS + 391 * DAY_NS - HOUR_NS);
	unsetenv("TZDIR");
}

BEHAVIOUR_TEST(settings, what_the_calendar_does_not_have_is_refused)
{
	static const struct {
		enum be_period period;
		const char *zone;
		uint32_t begins_on;
		int64_t start_ns;
		enum be_status status;
	} cases[] = {
		{BE_PERIOD_TOTAL, "UTC", 0, 0, BE_INVALID_PERIOD},
		{BE_PERIOD_DAILY, "UTC", 1, 0, BE_INVALID_PERIOD},
		{BE_PERIOD_WEEKLY, "UTC", 8, 0, BE_INVALID_PERIOD},
		{BE_PERIOD_MONTHLY, "UTC", 32, 0, BE_INVALID_PERIOD},
		{BE_PERIOD_MONTHLY, NULL, 1, 0, BE_INVALID_PERIOD},
		{BE_PERIOD_YEARLY, NULL, 2, 0, BE_INVALID_PERIOD},
		{BE_PERIOD_DAILY, "UTC", 0, BEGINNING_NS, BE_INVALID_PERIOD},
		{BE_PERIOD_DAILY, "", 0, 0, BE_INVALID_ZONE},
		{BE_PERIOD_DAILY, "/etc/passwd", 0, 0, BE_INVALID_ZONE},
		{BE_PERIOD_DAILY, "../zoneinfo/UTC", 0, 0, BE_INVALID_ZONE},
		{BE_PERIOD_DAILY, "Europe//Berlin", 0, 0, BE_INVALID_ZONE},
		{BE_PERIOD_DAILY, "Europe", 0, 0, BE_INVALID_ZONE},
		{BE_PERIOD_DAILY, "Europe/", 0, 0, BE_INVALID_ZONE},
		{BE_PERIOD_DAILY, "tzdata.zi", 0, 0, BE_INVALID_ZONE},
		{BE_PERIOD_DAILY, "Nowhere", 0, 0, BE_INVALID_ZONE},
	};

	fixture_create(budget, "there", BE_UNIT);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
		struct be_settings settings = BE_SETTINGS_INIT;

		options.zone = settings.zone = cases[i].zone;
		options.begins_on = settings.begins_on = cases[i].begins_on;
		options.period_start_ns = cases[i].start_ns;
		assert_refused(be_envelope_create(budget, "a", 1, cases[i].period, &options),
			       cases[i].status);
		settings.mask = BE_SET_PERIOD;
		settings.period = cases[i].period;
		if (cases[i].start_ns == 0)
			assert_refused(be_envelope_set(budget, "there", &settings, NULL),
				       cases[i].status);
	}
}

BEHAVIOUR_TEST(settings, change_in_place_and_keep_what_is_spent_and_committed)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	uint64_t id;

	fixture.now_ns = NEW_YEAR_NS + 10 * DAY_NS;
	assert_ok(be_envelope_create(budget, "llm", 10 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	assert_ok(be_record(budget, "llm", 3 * BE_UNIT, NULL, NULL));
	id = fixture_commit(budget, "llm", 2 * BE_UNIT);
	fixture_advance(HOUR_NS);
	settings.mask = BE_SET_PERIOD | BE_SET_LIMIT;
	settings.period = BE_PERIOD_MONTHLY;
	settings.zone = "UTC";
	settings.limit = 20 * BE_UNIT;
	assert_ok(be_envelope_set(budget, "llm", &settings, &envelope));
	assert_number(envelope.limit, 20 * BE_UNIT);
	assert_number(envelope.period_start_ns, NEW_YEAR_NS);
	assert_number(envelope.period_end_ns, NEW_YEAR_NS + 31 * DAY_NS);
	assert_balance(budget, "llm", 3 * BE_UNIT, 2 * BE_UNIT);
	/* Back: the window began when it began, and lasts as long as the period says. */
	settings = (struct be_settings)BE_SETTINGS_INIT;
	settings.mask = BE_SET_PERIOD;
	settings.period = BE_PERIOD_MONTHLY;
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	assert_window(budget, "llm", NEW_YEAR_NS, NEW_YEAR_NS + 30 * DAY_NS);
	settings.period = BE_PERIOD_HOURLY;
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	assert_window(budget, "llm", fixture.now_ns, fixture.now_ns + HOUR_NS);
	assert_balance(budget, "llm", 3 * BE_UNIT, 2 * BE_UNIT);
	/* Nothing spent, in the same window. */
	fixture_advance(HOUR_NS / 2);
	settings.mask = BE_SET_SPENT;
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	assert_balance(budget, "llm", 0, 2 * BE_UNIT);
	assert_window(budget, "llm", fixture.now_ns - HOUR_NS / 2, fixture.now_ns + HOUR_NS / 2);
	assert_number(fixture_envelope(budget, "llm").charged, 3 * BE_UNIT);
	assert_ok(be_release(budget, id));
}

BEHAVIOUR_TEST(settings, that_are_wrong_are_refused)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	fixture_create(budget, "llm", BE_UNIT);
	assert_refused(be_envelope_set(budget, "llm", NULL, NULL), BE_INVALID_ARGUMENT);
	assert_refused(be_envelope_set(budget, "llm", &settings, NULL), BE_INVALID_ARGUMENT);
	settings.mask = 2 * BE_SET_THRESHOLDS;
	assert_refused(be_envelope_set(budget, "llm", &settings, NULL), BE_INVALID_ARGUMENT);
	settings.mask = BE_SET_LIMIT;
	assert_refused(be_envelope_set(budget, "llm", &settings, NULL), BE_INVALID_LIMIT);
	settings.mask = BE_SET_ROLL_OVER;
	settings.roll_over = -1;
	assert_refused(be_envelope_set(budget, "llm", &settings, NULL), BE_AMOUNT_NEGATIVE);
	settings.mask = BE_SET_RAISE;
	settings.raise = -1;
	assert_refused(be_envelope_set(budget, "llm", &settings, NULL), BE_AMOUNT_NEGATIVE);
	settings.raise = 1;
	settings.raise_until_ns = BEGINNING_NS;
	assert_refused(be_envelope_set(budget, "llm", &settings, NULL), BE_INVALID_ARGUMENT);
	settings.raise_until_ns++;
	assert_refused(be_envelope_set(budget, "nobody", &settings, NULL), BE_NO_ENVELOPE);
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	settings.reserved[0] = 1;
	assert_refused(be_envelope_set(budget, "llm", &settings, NULL), BE_INVALID_SIZE);
}

BEHAVIOUR_TEST(settings, a_raise_ends_on_the_nanosecond)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	settings.mask = BE_SET_RAISE;
	settings.raise = BE_UNIT / 2;
	settings.raise_until_ns = BEGINNING_NS + HOUR_NS;
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	fixture_advance(HOUR_NS - 1);
	assert_status(be_check(budget, "llm", 15 * TENTH + 1, NULL), BE_EXCEEDS_BUDGET);
	id = fixture_commit(budget, "llm", 12 * TENTH);
	fixture_advance(1);
	/* What was granted stays granted. */
	assert_number(fixture_envelope(budget, "llm").available, 0);
	assert_number(fixture_envelope(budget, "llm").limit_now, BE_UNIT);
	assert_status(be_check(budget, "llm", 1, NULL), BE_EXCEEDS_BUDGET);
	assert_ok(be_settle(budget, id, 12 * TENTH, NULL, NULL));
}

BEHAVIOUR_TEST(settings, what_is_left_over_rolls_over_up_to_a_cap)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.roll_over = 15 * TENTH;
	assert_ok(be_envelope_create(budget, "llm", BE_UNIT, BE_PERIOD_DAILY, &options));
	assert_ok(be_record(budget, "llm", 7 * TENTH, NULL, NULL));
	fixture_advance(DAY_NS);
	assert_number(fixture_envelope(budget, "llm").carried, 3 * TENTH);
	assert_number(fixture_envelope(budget, "llm").available, 13 * TENTH);
	/* Overspent: nothing is carried, and nothing is owed. */
	assert_ok(be_record(budget, "llm", 20 * TENTH, NULL, NULL));
	fixture_advance(DAY_NS);
	assert_number(fixture_envelope(budget, "llm").carried, 0);
	/* Windows in which nobody came leave all of theirs. */
	assert_ok(be_record(budget, "llm", 8 * TENTH, NULL, NULL));
	fixture_advance(2 * DAY_NS);
	assert_number(fixture_envelope(budget, "llm").carried, 12 * TENTH);
	fixture_advance(2 * DAY_NS);
	assert_number(fixture_envelope(budget, "llm").carried, 15 * TENTH);
	assert_number(fixture_envelope(budget, "llm").limit_now, 25 * TENTH);
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_number(fixture_envelope(budget, "llm").carried, 0);
}

BEHAVIOUR_TEST(settings, an_observer_refuses_nothing_and_counts_what_it_would_have)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_settings settings = BE_SETTINGS_INIT;
	uint64_t id, other;

	options.observe_only = true;
	assert_ok(be_envelope_create(budget, "all", BE_UNIT, BE_PERIOD_TOTAL, &options));
	fixture_create_below(budget, "llm", 100 * BE_UNIT, "", "all");
	id = fixture_commit(budget, "llm", BE_UNIT);
	assert_number(fixture_envelope(budget, "all").excused, 0);
	other = fixture_commit(budget, "llm", 1);
	assert_ok(be_extend(budget, id, 2 * BE_UNIT, 0, NULL));
	assert_ok(be_check(budget, "llm", BE_UNIT, NULL));
	assert_number(fixture_envelope(budget, "all").excused, 2);
	assert_number(fixture_envelope(budget, "llm").excused, 0);
	assert_number(fixture_envelope(budget, "all").available, 0);
	/* The child is none, and a suspended one refuses. */
	assert_status(be_check(budget, "llm", 100 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	assert_ok(be_envelope_suspend(budget, "all"));
	assert_status(be_check(budget, "llm", 1, NULL), BE_SUSPENDED);
	assert_ok(be_envelope_resume(budget, "all"));
	settings.mask = BE_SET_OBSERVE_ONLY;
	assert_ok(be_envelope_set(budget, "all", &settings, NULL));
	assert_status(be_check(budget, "llm", 1, NULL), BE_EXCEEDS_BUDGET);
	assert_ok(be_release(budget, id));
	assert_ok(be_release(budget, other));
}

BEHAVIOUR_TEST(settings, what_is_charged_in_all_is_never_reset)
{
	assert_ok(be_envelope_create(budget, "all", BE_UNIT, BE_PERIOD_HOURLY, NULL));
	fixture_create_below(budget, "llm", BE_UNIT, "", "all");
	for (int i = 0; i < 3; i++) {
		assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
		fixture_advance(HOUR_NS);
	}
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_ok(be_settle(budget, fixture_commit(budget, "llm", 5 * TENTH), TENTH, NULL, NULL));
	assert_number(fixture_envelope(budget, "llm").charged, 4 * TENTH);
	assert_number(fixture_envelope(budget, "all").charged, 4 * TENTH);
	assert_balance(budget, "all", TENTH, 0);
	assert_ok(be_record(budget, "llm", INT64_MAX - TENTH, NULL, NULL));
	assert_number(fixture_envelope(budget, "llm").charged, INT64_MAX);
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_ok(be_envelope_reset(budget, "all"));
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_number(fixture_envelope(budget, "llm").charged, INT64_MAX);
}

BEHAVIOUR_TEST(settings, are_changed_together_with_others_or_not_at_all)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	struct be_envelope_change changes[2] = {BE_ENVELOPE_CHANGE_INIT, BE_ENVELOPE_CHANGE_INIT};
	size_t failed;

	fixture_create(budget, "llm", BE_UNIT);
	settings.mask = BE_SET_PERIOD | BE_SET_LIMIT;
	settings.period = BE_PERIOD_YEARLY;
	settings.limit = 7;
	changes[0].operation = changes[1].operation = BE_OPERATION_SET;
	changes[0].category = "llm";
	changes[1].category = "nobody";
	changes[0].settings = changes[1].settings = &settings;
	assert_refused(be_envelopes_apply(budget, changes, 2, &failed), BE_NO_ENVELOPE);
	assert_number(failed, 1);
	assert_ok(be_envelopes_apply(budget, changes, 1, &failed));
	assert_number(fixture_envelope(budget, "llm").limit, 7);
	assert_number(fixture_envelope(budget, "llm").period, BE_PERIOD_YEARLY);
}

/* ---- commits */

BEHAVIOUR_TEST(settings, a_commit_takes_what_is_left_between_a_least_and_a_most)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id;

	fixture_create(budget, "all", 6 * TENTH);
	fixture_create_below(budget, "llm", BE_UNIT, "", "all");
	options.least = 3 * TENTH;
	assert_ok(be_commit_with(budget, "llm", 9 * TENTH, NULL, &options, &id, &decision));
	assert_number(decision.requested, 9 * TENTH);
	assert_number(decision.granted, 6 * TENTH);
	assert_balance(budget, "all", 0, 6 * TENTH);
	assert_ok(be_release(budget, id));
	assert_ok(be_commit_with(budget, "llm", 5 * TENTH, NULL, &options, &id, &decision));
	assert_number(decision.granted, 5 * TENTH);
	assert_refused(be_commit_with(budget, "llm", 5 * TENTH, NULL, &options, &id, &decision),
		       BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "all");
	assert_number(decision.requested, 3 * TENTH);
	options.least = 6 * TENTH;
	assert_refused(be_commit_with(budget, "llm", 5 * TENTH, NULL, &options, &id, NULL),
		       BE_INVALID_ARGUMENT);
	options.least = -1;
	assert_refused(be_commit_with(budget, "llm", 5 * TENTH, NULL, &options, &id, NULL),
		       BE_AMOUNT_NEGATIVE);
}

BEHAVIOUR_TEST(settings, a_commit_is_charged_part_by_part_and_holds_the_rest)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	id = fixture_commit(budget, "llm", 8 * TENTH);
	assert_ok(be_charge(budget, id, 3 * TENTH, "first", &transaction));
	assert_number(transaction.kind, BE_TRANSACTION_CHARGE);
	assert_number(transaction.commit_id, id);
	assert_number(transaction.held, 8 * TENTH);
	assert_text(transaction.description, "first");
	assert_balance(budget, "llm", 3 * TENTH, 5 * TENTH);
	/* Nobody takes what is still held. */
	assert_status(be_check(budget, "llm", 3 * TENTH, NULL), BE_EXCEEDS_BUDGET);
	assert_ok(be_charge(budget, id, 7 * TENTH, NULL, NULL));
	assert_balance(budget, "llm", BE_UNIT, 0);
	assert_ok(be_charge(budget, id, 0, NULL, NULL));
	assert_refused(be_charge(budget, id, -1, NULL, NULL), BE_AMOUNT_NEGATIVE);
	assert_ok(be_settle(budget, id, TENTH, NULL, NULL));
	assert_balance(budget, "llm", 11 * TENTH, 0);
	assert_refused(be_charge(budget, id, 1, NULL, NULL), BE_ALREADY_SETTLED);
	assert_refused(be_charge(budget, 99, 1, NULL, NULL), BE_NO_COMMIT);
}

BEHAVIOUR_TEST(settings, a_decision_says_why_not_and_names_are_not_confused)
{
	struct be_enforcer *other = fixture_open("a/b");
	struct be_decision decision = BE_DECISION_INIT;
	char text[BE_DECISION_TEXT_SIZE], small[10];

	assert_ok(be_envelope_create(budget, "b/c", BE_UNIT, BE_PERIOD_HOURLY, NULL));
	assert_status(be_check(budget, "b/c", 2 * BE_UNIT, &decision), BE_EXCEEDS_BUDGET);
	assert_number(decision.window_end_ns, BEGINNING_NS + HOUR_NS);
	assert_ok(be_decision_text(&decision, text, sizeof text));
	assert_text(text,
		    "\"b/c\": 2 asked for, but 1 available (limit 1, spent 0, committed 0); that "
		    "is more than its limit, which be-ctl set-limit raises");
	assert_ok(be_record(budget, "b/c", BE_UNIT, NULL, NULL));
	assert_status(be_check(budget, "b/c", BE_UNIT, &decision), BE_EXCEEDS_BUDGET);
	assert_text(
		be_last_error(),
		"\"b/c\": 1 asked for, but 0 available (limit 1, spent 1, committed 0); wait until "
		"its window ends at 2023-11-14T23:13:20Z, or raise the limit with be-ctl "
		"set-limit");
	assert_ok(be_decision_text(&decision, text, sizeof text));
	assert_status(be_check(budget, "b/c", BE_UNIT, &decision), BE_EXCEEDS_BUDGET);
	assert_text(text, be_last_error());
	assert_status(be_check(other, "\"c\\", 1, &decision), BE_NO_ENVELOPE);
	assert_ok(be_decision_text(&decision, text, sizeof text));
	cr_assert(strncmp(text, "\"a/b\"/\"\\\"c\\\\\": there is no such envelope", 36) == 0, "%s",
		  text);
	assert_status(be_decision_text(&decision, small, sizeof small), BE_INVALID_ARGUMENT);
	assert_status(be_decision_text(NULL, text, sizeof text), BE_INVALID_ARGUMENT);
	assert_ok(be_check(budget, "b/c", 0, &decision));
	assert_ok(be_decision_text(&decision, text, sizeof text));
	assert_text(text,
		    "\"b/c\": permitted (0 asked for, 0 available, limit 1, spent 1, committed 0)");
}
