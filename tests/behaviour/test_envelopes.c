/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes in themselves: made, ensured, given another limit, suspended and resumed, reset,
 * removed, and every reason for which one of these is refused.
 */
#include "fixture.h"

/* -------------------------------------------------------- create and ensure */

BEHAVIOUR_TEST(envelopes, create_makes_what_was_asked_for)
{
	struct be_enforcer *task = fixture_open("task");
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	fixture_fill(&envelope, sizeof envelope);
	assert_ok(be_envelope_create(task, "llm", 5 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	assert_ok(be_utilization(task, "llm", &envelope));
	assert_number(envelope.size, sizeof envelope);
	assert_number(envelope.period, BE_PERIOD_DAILY);
	cr_assert(envelope.id != 0);
	assert_number(envelope.limit, 5 * BE_UNIT);
	assert_number(envelope.spent, 0);
	assert_number(envelope.committed, 0);
	assert_number(envelope.available, 5 * BE_UNIT);
	assert_number(envelope.utilization_ppm, 0);
	assert_number(envelope.period_start_ns, BEGINNING_NS);
	assert_number(envelope.period_end_ns, BEGINNING_NS + DAY_NS);
	assert_number(envelope.created_ns, BEGINNING_NS);
	assert_number(envelope.pending_commits, 0);
	assert_number(envelope.children, 0);
	cr_assert(!envelope.suspended);
	cr_assert(!envelope.has_parent);
	assert_text(envelope.namespace_name, "task");
	assert_text(envelope.category, "llm");
	assert_text(envelope.parent_namespace, "");
	assert_text(envelope.parent_category, "");
}

BEHAVIOUR_TEST(envelopes, create_refuses_one_that_is_there_and_changes_nothing)
{
	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_refused(be_envelope_create(budget, "llm", 2 * BE_UNIT, BE_PERIOD_DAILY, NULL),
		       BE_ENVELOPE_EXISTS);
}

BEHAVIOUR_TEST(envelopes, may_begin_suspended)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.suspended = true;
	assert_ok(be_envelope_create(budget, "llm", BE_UNIT, BE_PERIOD_TOTAL, &options));
	cr_assert(fixture_envelope(budget, "llm").suspended);
	assert_refused(be_check(budget, "llm", 1, NULL), BE_SUSPENDED);
}

BEHAVIOUR_TEST(envelopes, ensure_creates_what_is_missing)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_envelope envelope;

	fixture_create(budget, "day", 10 * BE_UNIT);
	options.parent_category = "day";
	options.suspended = true;
	assert_ok(be_envelope_ensure(budget, "llm", BE_UNIT, BE_PERIOD_HOURLY, &options));
	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.limit, BE_UNIT);
	assert_number(envelope.period, BE_PERIOD_HOURLY);
	cr_assert(envelope.suspended);
	cr_assert(envelope.has_parent);
	assert_text(envelope.parent_category, "day");
}

BEHAVIOUR_TEST(envelopes, ensure_tells_what_is_there_and_whether_it_was_made)
{
	struct be_envelope first = BE_ENVELOPE_INIT, second = BE_ENVELOPE_INIT;
	bool made = false;

	assert_ok(be_envelope_ensure_with(budget, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL, &first,
					  &made));
	cr_assert(made);
	assert_number(first.limit, BE_UNIT);
	assert_number(first.available, BE_UNIT);
	assert_text(first.category, "llm");
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_refused(be_check(budget, "llm", BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	fixture_fill(&second, sizeof second);
	assert_ok(be_envelope_ensure_with(budget, "llm", 2 * BE_UNIT, BE_PERIOD_TOTAL, NULL,
					  &second, &made));
	cr_assert(!made);
	assert_number(second.id, first.id);
	assert_number(second.limit, BE_UNIT);
	assert_number(second.period, BE_PERIOD_DAILY);
	assert_number(second.spent, TENTH);
	assert_number(second.refused_exceeds_budget,
		      fixture_envelope(budget, "llm").refused_exceeds_budget);
	assert_ok(be_envelope_ensure_with(budget, "web", 1, BE_PERIOD_TOTAL, NULL, NULL, NULL));
	made = true;
	fixture_fill(&second, sizeof second);
	assert_refused(
		be_envelope_ensure_with(budget, "", 1, BE_PERIOD_TOTAL, NULL, &second, &made),
		BE_INVALID_NAME);
	cr_assert(!made);
	cr_assert(fixture_is_zeroed(&second, sizeof second));
	second.size = 3;
	assert_refused(
		be_envelope_ensure_with(budget, "tool", 1, BE_PERIOD_TOTAL, NULL, &second, &made),
		BE_INVALID_SIZE);
}

BEHAVIOUR_TEST(envelopes, ensure_leaves_one_that_is_there_wholly_as_it_is)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	fixture_commit(budget, "llm", TENTH);
	fixture_advance(SECOND_NS);
	options.suspended = true;
	options.parent_category = "absent";
	options.period_start_ns = BEGINNING_NS - HOUR_NS;
	assert_refused(be_envelope_ensure(budget, "llm", 9 * BE_UNIT, BE_PERIOD_MONTHLY, &options),
		       BE_OK);
	assert_refused(be_envelope_ensure(budget, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL), BE_OK);
}

static enum be_status (*const makers[])(struct be_enforcer *, const char *, int64_t, enum be_period,
					const struct be_envelope_options *) = {
	be_envelope_create,
	be_envelope_ensure,
};

BEHAVIOUR_TEST(envelopes, what_is_wrong_is_refused_whether_the_envelope_exists_or_not)
{
	static const int64_t limits[] = {0, -1, INT64_MIN};
	static const int periods[] = {7, -1, 1000};

	fixture_create(budget, "there", BE_UNIT);
	for (size_t i = 0; i < 4; i++) {
		const char *category = i < 2 ? "new" : "there";
		__typeof__(makers[0]) make = makers[i % 2];
		struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

		for (size_t k = 0; k < 3; k++)
			assert_refused(make(budget, category, limits[k], BE_PERIOD_TOTAL, NULL),
				       BE_INVALID_LIMIT);
		for (size_t k = 0; k < 3; k++)
			assert_refused(make(budget, category, 1, (enum be_period)periods[k], NULL),
				       BE_INVALID_PERIOD);
		options.period_start_ns = BEGINNING_NS + 1;
		assert_refused(make(budget, category, 1, BE_PERIOD_DAILY, &options),
			       BE_INVALID_PERIOD);
		options.period_start_ns = 0;
		options.parent_category = "\n";
		assert_refused(make(budget, category, 1, BE_PERIOD_DAILY, &options),
			       BE_INVALID_NAME);
		options.parent_category = "there";
		options.parent_namespace = "\n";
		assert_refused(make(budget, category, 1, BE_PERIOD_DAILY, &options),
			       BE_INVALID_NAME);
		options.size = 2;
		assert_refused(make(budget, category, 1, BE_PERIOD_DAILY, &options),
			       BE_INVALID_SIZE);
		assert_refused(make(budget, NULL, 1, BE_PERIOD_DAILY, NULL), BE_INVALID_ARGUMENT);
		assert_status(make(NULL, category, 1, BE_PERIOD_DAILY, NULL), BE_INVALID_ARGUMENT);
	}
}

BEHAVIOUR_TEST(envelopes, create_answers_in_the_documented_order)
{
	static const enum be_status order[] = {BE_INVALID_ARGUMENT, BE_INVALID_SIZE,
					       BE_INVALID_NAME,     BE_INVALID_LIMIT,
					       BE_INVALID_PERIOD,   BE_ENVELOPE_EXISTS};

	fixture_create(budget, "llm", BE_UNIT);
	for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
		struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

		options.size = k <= 1 ? 2 : sizeof options;
		options.parent_category = "absent";
		assert_refused(be_envelope_create(k == 0 ? NULL : budget, k <= 2 ? "\n" : "llm",
						  k <= 3 ? 0 : 1, (enum be_period)(k <= 4 ? 9 : 0),
						  &options),
			       order[k]);
	}
}

BEHAVIOUR_TEST(envelopes, the_smallest_and_the_largest_limit)
{
	fixture_create(budget, "smallest", 1);
	fixture_create(budget, "largest", INT64_MAX);
	fixture_commit(budget, "smallest", 1);
	fixture_commit(budget, "largest", INT64_MAX);
	assert_number(fixture_envelope(budget, "smallest").utilization_ppm, 1000000);
	assert_number(fixture_envelope(budget, "largest").utilization_ppm, 1000000);
}

/* ---------------------------------------------------------------- set limit */

BEHAVIOUR_TEST(envelopes, set_limit_keeps_what_is_spent_and_committed)
{
	struct be_envelope envelope;
	uint64_t id;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	assert_ok(be_record(budget, "llm", 4 * BE_UNIT, NULL, NULL));
	id = fixture_commit(budget, "llm", 3 * BE_UNIT);

	assert_ok(be_envelope_set_limit(budget, "llm", 5 * BE_UNIT));
	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.limit, 5 * BE_UNIT);
	assert_number(envelope.spent, 4 * BE_UNIT);
	assert_number(envelope.committed, 3 * BE_UNIT);
	assert_number(envelope.available, 0);
	assert_number(envelope.utilization_ppm, 1400000);
	assert_refused(be_check(budget, "llm", 1, NULL), BE_EXCEEDS_BUDGET);

	assert_ok(be_release(budget, id));
	assert_number(fixture_envelope(budget, "llm").available, BE_UNIT);
	assert_ok(be_envelope_set_limit(budget, "llm", 20 * BE_UNIT));
	assert_number(fixture_envelope(budget, "llm").available, 16 * BE_UNIT);
}

BEHAVIOUR_TEST(envelopes, set_limit_refuses_what_is_no_limit)
{
	fixture_create(budget, "llm", BE_UNIT);
	assert_refused(be_envelope_set_limit(budget, "llm", 0), BE_INVALID_LIMIT);
	assert_refused(be_envelope_set_limit(budget, "llm", -5), BE_INVALID_LIMIT);
	assert_refused(be_envelope_set_limit(budget, "absent", 1), BE_NO_ENVELOPE);
	assert_refused(be_envelope_set_limit(budget, NULL, 1), BE_INVALID_ARGUMENT);
	assert_refused(be_envelope_set_limit(NULL, "llm", 1), BE_INVALID_ARGUMENT);
}

/* --------------------------------------------------- suspend, resume, reset */

BEHAVIOUR_TEST(envelopes, suspending_and_resuming_twice_is_ok)
{
	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_envelope_resume(budget, "llm"));
	assert_ok(be_envelope_suspend(budget, "llm"));
	assert_ok(be_envelope_suspend(budget, "llm"));
	cr_assert(fixture_envelope(budget, "llm").suspended);
	assert_ok(be_envelope_resume(budget, "llm"));
	assert_ok(be_envelope_resume(budget, "llm"));
	cr_assert(!fixture_envelope(budget, "llm").suspended);
	assert_ok(be_check(budget, "llm", BE_UNIT, NULL));
}

BEHAVIOUR_TEST(envelopes, reset_begins_a_window_now_and_keeps_what_is_pending)
{
	struct be_envelope envelope;
	uint64_t id;

	assert_ok(be_envelope_create(budget, "llm", 10 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	assert_ok(be_record(budget, "llm", 9 * BE_UNIT, NULL, NULL));
	id = fixture_commit(budget, "llm", BE_UNIT);
	fixture_advance(HOUR_NS);
	assert_ok(be_envelope_reset(budget, "llm"));
	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.spent, 0);
	assert_number(envelope.committed, BE_UNIT);
	assert_number(envelope.available, 9 * BE_UNIT);
	assert_number(envelope.period_start_ns, BEGINNING_NS + HOUR_NS);
	assert_number(envelope.period_end_ns, BEGINNING_NS + HOUR_NS + DAY_NS);
	assert_ok(be_settle(budget, id, BE_UNIT, NULL, NULL));
	assert_balance(budget, "llm", BE_UNIT, 0);
}

BEHAVIOUR_TEST(envelopes, reset_begins_a_total_again_too)
{
	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_balance(budget, "llm", 0, 0);
	assert_number(fixture_envelope(budget, "llm").period_end_ns, 0);
}

static enum be_status (*const on_one[])(struct be_enforcer *, const char *) = {
	be_envelope_suspend,
	be_envelope_resume,
	be_envelope_reset,
	be_envelope_remove,
};

BEHAVIOUR_TEST(envelopes, what_is_not_there_cannot_be_changed)
{
	struct be_enforcer *task = fixture_open("task");

	fixture_create(budget, "llm", BE_UNIT);
	for (size_t i = 0; i < sizeof on_one / sizeof on_one[0]; i++) {
		assert_refused(on_one[i](budget, "absent"), BE_NO_ENVELOPE);
		assert_refused(on_one[i](task, "llm"), BE_NO_ENVELOPE);
		assert_refused(on_one[i](budget, ""), BE_INVALID_NAME);
		assert_refused(on_one[i](budget, NULL), BE_INVALID_ARGUMENT);
		assert_refused(on_one[i](NULL, "llm"), BE_INVALID_ARGUMENT);
	}
}

/* ------------------------------------------------------------------ remove */

static bool count_one(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	++*(int *)context;
	return true;
}

BEHAVIOUR_TEST(envelopes, remove_keeps_the_ledger_and_ids_are_not_used_again)
{
	uint64_t old;
	int transactions = 0;

	fixture_create(budget, "llm", BE_UNIT);
	old = fixture_envelope(budget, "llm").id;
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_ok(be_envelope_remove(budget, "llm"));
	assert_refused(be_check(budget, "llm", 1, NULL), BE_NO_ENVELOPE);
	assert_refused(be_envelope_remove(budget, "llm"), BE_NO_ENVELOPE);
	assert_ok(be_transactions_each(budget, NULL, count_one, &transactions));
	assert_number(transactions, 1);

	fixture_create(budget, "llm", BE_UNIT);
	cr_assert(fixture_envelope(budget, "llm").id > old);
	assert_balance(budget, "llm", 0, 0);
}

BEHAVIOUR_TEST(envelopes, remove_refuses_while_commits_are_pending_or_children_are_there)
{
	uint64_t id;

	fixture_create(budget, "day", BE_UNIT);
	fixture_create_below(budget, "llm", BE_UNIT, NULL, "day");
	id = fixture_commit(budget, "llm", TENTH);
	assert_refused(be_envelope_remove(budget, "llm"), BE_HAS_COMMITS);
	assert_refused(be_envelope_remove(budget, "day"),
		       BE_HAS_CHILDREN); /* and commits: the first is told */
	assert_ok(be_release(budget, id));
	assert_refused(be_envelope_remove(budget, "day"), BE_HAS_CHILDREN);
	assert_ok(be_envelope_remove(budget, "llm"));
	assert_ok(be_envelope_remove(budget, "day"));
}
