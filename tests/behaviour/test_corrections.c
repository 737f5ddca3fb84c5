/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Corrections: lines of the ledger that give back what another has charged too much. They are the
 * mirror of spending, and never a free hand.
 */
#include "fixture.h"

static uint64_t record(struct be_enforcer *budget, const char *category, int64_t amount)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;

	assert_ok(be_record(budget, category, amount, NULL, &transaction));
	return transaction.id;
}

BEHAVIOUR_TEST(corrections, give_back_in_the_whole_chain_and_name_the_wrong_line)
{
	struct be_enforcer *task = fixture_open("task");
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t wrong;

	fixture_create(budget, "day", 10 * BE_UNIT);
	fixture_create_below(task, "llm", 5 * BE_UNIT, "", "day");
	wrong = record(task, "llm", 3 * BE_UNIT);
	fixture_advance(SECOND_NS);
	assert_ok(be_correct(budget, wrong, 2 * BE_UNIT, "counted twice", &transaction));
	assert_number(transaction.kind, BE_TRANSACTION_CORRECTION);
	assert_text(be_transaction_kind_name(transaction.kind), "correction");
	assert_number(transaction.corrects, wrong);
	assert_number(transaction.commit_id, 0);
	assert_number(transaction.amount, -2 * BE_UNIT);
	assert_number(transaction.at_ns, fixture.now_ns);
	assert_text(transaction.namespace_name, "task");
	assert_text(transaction.category, "llm");
	assert_text(transaction.description, "counted twice");
	assert_balance(task, "llm", BE_UNIT, 0);
	assert_balance(budget, "day", BE_UNIT, 0);
	assert_number(fixture_envelope(budget, "day").charged, 3 * BE_UNIT);
	assert_number(fixture_envelope(budget, "day").given_back, 2 * BE_UNIT);
}

BEHAVIOUR_TEST(corrections, give_back_no_more_than_was_charged)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t wrong;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	wrong = record(budget, "llm", 3 * BE_UNIT);
	record(budget, "llm", 4 * BE_UNIT);
	assert_refused(be_correct(budget, wrong, 3 * BE_UNIT + 1, NULL, NULL), BE_EXCEEDS_CHARGE);
	assert_ok(be_correct(budget, wrong, 2 * BE_UNIT, NULL, &transaction));
	assert_refused(be_correct(budget, wrong, BE_UNIT + 1, NULL, NULL), BE_EXCEEDS_CHARGE);
	assert_ok(be_correct(budget, wrong, BE_UNIT, NULL, NULL));
	assert_refused(be_correct(budget, wrong, 1, NULL, NULL), BE_EXCEEDS_CHARGE);
	assert_refused(be_correct(budget, transaction.id, 0, NULL, NULL), BE_EXCEEDS_CHARGE);
	assert_refused(be_correct(budget, 99, 1, NULL, NULL), BE_NO_TRANSACTION);
	assert_refused(be_correct(budget, 0, 1, NULL, NULL), BE_NO_TRANSACTION);
	assert_refused((be_correct)(budget, wrong, -1, NULL, NULL), BE_AMOUNT_NEGATIVE);
	assert_refused(be_correct(budget, wrong, 0, "a\n", NULL), BE_INVALID_DESCRIPTION);
	assert_status(be_correct(NULL, wrong, 0, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_balance(budget, "llm", 4 * BE_UNIT, 0);
	assert_ok(be_envelope_remove(budget, "llm"));
	fixture_create(budget, "llm", BE_UNIT);
	assert_refused(be_correct(budget, wrong + 1, 1, NULL, NULL), BE_NO_ENVELOPE);
}

BEHAVIOUR_TEST(corrections, free_nothing_in_a_window_that_was_not_charged)
{
	uint64_t yesterday, today;

	fixture_create(budget, "total", 100 * BE_UNIT);
	{
		struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

		options.parent_category = "total";
		assert_ok(
			be_envelope_create(budget, "llm", 10 * BE_UNIT, BE_PERIOD_DAILY, &options));
	}
	yesterday = record(budget, "llm", 5 * BE_UNIT);
	fixture_advance(DAY_NS);
	today = record(budget, "llm", 4 * BE_UNIT);
	assert_ok(be_correct(budget, yesterday, 5 * BE_UNIT, NULL, NULL));
	assert_balance(budget, "llm", 4 * BE_UNIT, 0);
	assert_balance(budget, "total", 4 * BE_UNIT, 0);
	assert_ok(be_correct(budget, today, BE_UNIT, NULL, NULL));
	assert_balance(budget, "llm", 3 * BE_UNIT, 0);
	assert_number(fixture_envelope(budget, "llm").given_back, 6 * BE_UNIT);
	fixture_advance(DAY_NS);
	assert_balance(budget, "llm", 0, 0);
}

BEHAVIOUR_TEST(corrections, add_up_when_the_wrong_line_or_both_are_pruned)
{
	uint64_t first, second;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	first = record(budget, "llm", 5 * BE_UNIT);
	fixture_advance(SECOND_NS);
	second = record(budget, "llm", 3 * BE_UNIT);
	fixture_advance(SECOND_NS);
	assert_ok(be_correct(budget, first, 2 * BE_UNIT, NULL, NULL));
	fixture_advance(SECOND_NS);
	assert_ok(be_correct(budget, second, BE_UNIT, NULL, NULL));
	assert_ok(be_prune(budget, BEGINNING_NS + 1, NULL, NULL, NULL));
	assert_balance(budget, "llm", 5 * BE_UNIT, 0);
	assert_ok(be_verify(budget, NULL, NULL, NULL));
	assert_refused(be_correct(budget, first, 1, NULL, NULL), BE_NO_TRANSACTION);
	assert_ok(be_correct(budget, second, BE_UNIT, NULL, NULL));
	assert_ok(be_prune(budget, BEGINNING_NS + 2 * SECOND_NS + 1, NULL, NULL, NULL));
	assert_ok(be_verify(budget, NULL, NULL, NULL));
	assert_ok(be_prune(budget, INT64_MAX, NULL, NULL, NULL));
	assert_balance(budget, "llm", 4 * BE_UNIT, 0);
}

static bool count(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	++*(int *)context;
	return true;
}

BEHAVIOUR_TEST(corrections, are_listed_unless_a_least_amount_is_asked_for)
{
	struct be_filter filter = BE_FILTER_INIT;
	int all = 0, some = 0;
	uint64_t wrong;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	wrong = record(budget, "llm", 5 * BE_UNIT);
	assert_ok(be_correct(budget, wrong, BE_UNIT, NULL, NULL));
	assert_ok(be_transactions_each(budget, NULL, count, &all));
	assert_number(all, 2);
	filter.min_amount = 1;
	assert_ok(be_transactions_each(budget, &filter, count, &some));
	assert_number(some, 1);
}

/* As the other calls that charge, see RETRIES. */
BEHAVIOUR_TEST(corrections, are_made_once_under_a_key)
{
	struct be_transaction first = BE_TRANSACTION_INIT, again = BE_TRANSACTION_INIT;
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	uint64_t wrong;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	wrong = record(budget, "llm", 5 * BE_UNIT);
	options.key = "ticket-5";
	assert_ok(be_correct_with(budget, wrong, BE_UNIT, "twice", &options, &first));
	assert_ok(be_correct_with(budget, wrong, BE_UNIT, "twice", &options, &again));
	cr_assert(memcmp(&first, &again, sizeof first) == 0);
	assert_balance(budget, "llm", 4 * BE_UNIT, 0);
	assert_refused(be_correct_with(budget, wrong, 1, "twice", &options, NULL), BE_KEY_REUSED);
	assert_ok(be_verify(budget, NULL, NULL, NULL));
}
