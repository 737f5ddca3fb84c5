/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thresholds: each that is crossed gives one alert in a window, in the txn that crosses it; alerts
 * are listed, told to observers, marked as done once, and pruned.
 */
#include "fixture.h"

static struct be_alert alerts[32];
static size_t alert_count;

static bool take(void *context, const struct be_alert *alert)
{
	(void)context;
	cr_assert(alert_count < sizeof alerts / sizeof *alerts);
	alerts[alert_count++] = *alert;
	return true;
}

static size_t list(struct be_enforcer *budget, const struct be_filter *filter)
{
	alert_count = 0;
	assert_ok(be_alerts_each(budget, filter, take, NULL));
	return alert_count;
}

#define assert_alerts(budget, count) assert_number(list(budget, NULL), count)

static struct be_settings at(uint16_t first, uint16_t second, uint16_t third)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = BE_SET_THRESHOLDS;
	settings.thresholds[0] = first;
	settings.thresholds[1] = second;
	settings.thresholds[2] = third;
	return settings;
}

static void set_thresholds(struct be_enforcer *budget, const char *category, uint16_t first,
			   uint16_t second, uint16_t third)
{
	struct be_settings settings = at(first, second, third);

	assert_ok(be_envelope_set(budget, category, &settings, NULL));
}

BEHAVIOUR_TEST(alerts, are_given_once_when_spending_comes_to_a_threshold)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	set_thresholds(budget, "llm", 50, 80, 100);
	assert_ok(be_record(budget, "llm", 5 * BE_UNIT - 1, NULL, NULL));
	id = fixture_commit(budget, "llm", 4 * BE_UNIT);
	assert_alerts(budget, 0); /* what is committed is not spent yet */
	fixture_advance(SECOND_NS);
	assert_ok(be_settle(budget, id, 3 * BE_UNIT + 1, NULL, &transaction));
	assert_alerts(budget, 2);
	assert_number(alerts[0].percent, 50);
	assert_number(alerts[1].percent, 80);
	for (size_t i = 0; i < 2; i++) {
		assert_number(alerts[i].id, i + 1);
		assert_number(alerts[i].transaction_id, transaction.id);
		assert_number(alerts[i].envelope_id, fixture_envelope(budget, "llm").id);
		assert_number(alerts[i].limit, 10 * BE_UNIT);
		assert_number(alerts[i].spent, 8 * BE_UNIT);
		assert_number(alerts[i].at_ns, fixture.now_ns);
		assert_number(alerts[i].done_ns, 0);
		assert_text(alerts[i].category, "llm");
		assert_text(alerts[i].spender_category, "llm");
	}
	assert_number(fixture_envelope(budget, "llm").passed, 80);
	assert_number(fixture_envelope(budget, "llm").thresholds[2], 100);
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	assert_alerts(budget, 2);
	assert_ok(be_record(budget, "llm", 5 * BE_UNIT, NULL, NULL));
	assert_alerts(budget, 3);
	assert_number(alerts[2].percent, 100);
}

BEHAVIOUR_TEST(alerts, begin_anew_with_a_window_a_reset_and_when_spent_is_cleared)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	assert_ok(be_envelope_create(budget, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
	set_thresholds(budget, "llm", 90, 0, 0);
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	fixture_advance(DAY_NS);
	assert_number(fixture_envelope(budget, "llm").passed, 0);
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	assert_alerts(budget, 2);
	assert_number(alerts[1].period_start_ns, BEGINNING_NS + DAY_NS);
	assert_number(alerts[1].period_end_ns, BEGINNING_NS + 2 * DAY_NS);
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	assert_alerts(budget, 3);
	settings.mask = BE_SET_SPENT;
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	assert_alerts(budget, 4);
}

BEHAVIOUR_TEST(alerts, are_given_by_ancestors_and_by_reaping)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_enforcer *task = fixture_open("task");
	uint64_t id;

	fixture_create(budget, "day", 10 * BE_UNIT);
	fixture_create_below(task, "llm", 5 * BE_UNIT, "", "day");
	set_thresholds(budget, "day", 20, 0, 0);
	options.ttl_ms = 1000;
	options.reap_policy = BE_REAP_CHARGE;
	assert_ok(be_commit_with(task, "llm", 2 * BE_UNIT, NULL, &options, &id, NULL));
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_alerts(budget, 1);
	assert_text(alerts[0].namespace_name, "");
	assert_text(alerts[0].category, "day");
	assert_text(alerts[0].spender_namespace, "task");
	assert_text(alerts[0].spender_category, "llm");
}

BEHAVIOUR_TEST(alerts, are_given_when_the_limit_comes_down_or_thresholds_do)
{
	struct be_settings settings;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	assert_ok(be_record(budget, "llm", 5 * BE_UNIT, NULL, NULL));
	set_thresholds(budget, "llm", 50, 60, 0);
	assert_alerts(budget, 1);
	assert_text(alerts[0].spender_category, "");
	assert_number(alerts[0].transaction_id, 0);
	assert_ok(be_envelope_set_limit(budget, "llm", 8 * BE_UNIT));
	assert_alerts(budget, 2);
	assert_number(alerts[1].limit, 8 * BE_UNIT);
	/* Lower ones are old news, and raising the limit takes nothing back. */
	set_thresholds(budget, "llm", 10, 20, 60);
	assert_ok(be_envelope_set_limit(budget, "llm", 80 * BE_UNIT));
	assert_ok(be_envelope_set_limit(budget, "llm", 8 * BE_UNIT));
	assert_alerts(budget, 2);
	/* None: nothing more comes. */
	settings = at(0, 0, 0);
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	assert_ok(be_record(budget, "llm", 50 * BE_UNIT, NULL, NULL));
	assert_alerts(budget, 2);
}

BEHAVIOUR_TEST(alerts, are_rounded_so_that_none_comes_early)
{
	fixture_create(budget, "odd", 7);
	set_thresholds(budget, "odd", 50, 1000, 0);
	assert_ok(be_record(budget, "odd", 3, NULL, NULL));
	assert_alerts(budget, 0);
	assert_ok(be_record(budget, "odd", 1, NULL, NULL));
	assert_alerts(budget, 1);
	assert_ok(be_record(budget, "odd", 65, NULL, NULL));
	assert_alerts(budget, 1);
	assert_ok(be_record(budget, "odd", 1, NULL, NULL));
	assert_alerts(budget, 2);
	/* What cannot be counted is never reached. */
	fixture_create(budget, "vast", INT64_MAX);
	set_thresholds(budget, "vast", 100, 101, 1000);
	assert_ok(be_record(budget, "vast", INT64_MAX - 1, NULL, NULL));
	assert_alerts(budget, 2);
	assert_ok(be_record(budget, "vast", 1, NULL, NULL));
	assert_alerts(budget, 3);
}

BEHAVIOUR_TEST(alerts, thresholds_that_do_not_ascend_are_refused)
{
	static const uint16_t wrong[][3] = {
		{50, 50, 0}, {80, 50, 0}, {1001, 0, 0}, {50, 0, 80}, {0, 1, 0}};

	fixture_create(budget, "llm", BE_UNIT);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct be_settings settings = at(wrong[i][0], wrong[i][1], wrong[i][2]);

		assert_refused(be_envelope_set(budget, "llm", &settings, NULL),
			       BE_INVALID_ARGUMENT);
	}
}

BEHAVIOUR_TEST(alerts, are_done_once)
{
	fixture_create(budget, "llm", BE_UNIT);
	set_thresholds(budget, "llm", 50, 0, 0);
	assert_refused(be_alert_done(budget, 1), BE_NO_ALERT);
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	assert_refused(be_alert_done(budget, 0), BE_NO_ALERT);
	assert_refused(be_alert_done(budget, 2), BE_NO_ALERT);
	fixture_advance(SECOND_NS);
	assert_ok(be_alert_done(budget, 1));
	assert_refused(be_alert_done(budget, 1), BE_ALREADY_DONE);
	assert_alerts(budget, 1);
	assert_number(alerts[0].done_ns, fixture.now_ns);
	assert_status(be_alert_done(NULL, 1), BE_INVALID_ARGUMENT);
}

BEHAVIOUR_TEST(alerts, are_filtered_and_pruned)
{
	struct be_pruning pruning = BE_PRUNING_INIT;
	struct be_filter filter = BE_FILTER_INIT;

	for (int i = 0; i < 3; i++) {
		const char *name = i == 1 ? "search" : "llm";

		assert_ok(be_envelope_ensure(budget, name, BE_UNIT, BE_PERIOD_DAILY, NULL));
		set_thresholds(budget, name, 50, 0, 0);
		assert_ok(be_record(budget, name, BE_UNIT + i, NULL, NULL));
		fixture_advance(DAY_NS);
	}
	filter.category = "llm";
	assert_number(list(budget, &filter), 2);
	filter.after_id = 1;
	assert_number(list(budget, &filter), 1);
	assert_number(alerts[0].id, 3);
	filter = (struct be_filter)BE_FILTER_INIT;
	filter.since_ns = BEGINNING_NS + DAY_NS;
	filter.until_ns = BEGINNING_NS + 2 * DAY_NS;
	assert_number(list(budget, &filter), 1);
	assert_text(alerts[0].category, "search");
	filter = (struct be_filter)BE_FILTER_INIT;
	filter.min_amount = BE_UNIT + 1;
	filter.max_count = 1;
	assert_number(list(budget, &filter), 1);
	assert_number(alerts[0].id, 2);
	assert_ok(be_prune(budget, BEGINNING_NS + DAY_NS + 1, NULL, NULL, &pruning));
	assert_number(pruning.alerts, 2);
	assert_alerts(budget, 1);
	assert_status(be_alert_done(budget, 1), BE_NO_ALERT);
}

/* ---- observers */

struct told {
	size_t count;
	struct be_alert last;
};

static void observe(void *context, const struct be_event *event)
{
	struct told *told = context;

	cr_assert((event->alert != NULL) == (event->operation == BE_OPERATION_ALERT));
	if (!event->alert)
		return;
	told->count++;
	told->last = *event->alert;
	assert_number(event->status, BE_OK);
	assert_number(event->amount, event->alert->spent);
	assert_number(event->transaction_id, event->alert->transaction_id);
	assert_text(event->namespace_name, event->alert->namespace_name);
	assert_text(event->category, event->alert->category);
}

static struct be_enforcer *open_observed(const char *namespace_name, struct told *told)
{
	struct be_options options = fixture_options();

	options.namespace_name = namespace_name;
	options.observe = observe;
	options.observe_context = told;
	return fixture_open_with(&options);
}

BEHAVIOUR_TEST(alerts, are_told_to_observers_of_the_envelope_and_of_its_spenders)
{
	struct told day = {0}, first = {0}, second = {0}, late = {0};
	struct be_enforcer *top, *one, *two;

	fixture_create(budget, "day", 10 * BE_UNIT);
	top = open_observed("", &day);
	one = open_observed("one", &first);
	two = open_observed("two", &second);
	fixture_create_below(one, "llm", 9 * BE_UNIT, "", "day");
	fixture_create_below(two, "llm", 9 * BE_UNIT, "", "day");
	set_thresholds(budget, "day", 50, 80, 0);
	assert_ok(be_record(one, "llm", 5 * BE_UNIT, NULL, NULL));
	assert_number(first.count, 1);
	assert_number(first.last.percent, 50);
	assert_text(first.last.category, "day");
	/* With its next change, whatever that is. */
	assert_number(day.count, 0);
	assert_ok(be_reap(top, NULL));
	assert_ok(be_record(top, "day", 0, NULL, NULL));
	assert_number(day.count, 1);
	assert_text(day.last.spender_namespace, "one");
	/* It is nobody else's business, and nobody hears it twice, nor what was before. */
	assert_ok(be_record(two, "llm", 0, NULL, NULL));
	assert_number(second.count, 0);
	(void)open_observed("one", &late);
	assert_ok(be_record(one, "llm", 0, NULL, NULL));
	assert_number(first.count, 1);
	assert_ok(be_record(two, "llm", 3 * BE_UNIT, NULL, NULL));
	assert_number(second.count, 1);
	assert_number(second.last.percent, 80);
	assert_ok(be_record(top, "day", 0, NULL, NULL));
	assert_number(day.count, 2);
	assert_number(late.count, 0);
}
