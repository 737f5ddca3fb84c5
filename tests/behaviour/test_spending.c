/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check, commit, release, record, settle, extend and reap: who is granted what, what the figures
 * are afterwards, and which answer a call gives that deserves several.
 */
#include "fixture.h"

/* -------------------------------------------------------- check and commit */

BEHAVIOUR_TEST(spending, check_answers_and_changes_nothing)
{
	struct be_decision decision = BE_DECISION_INIT;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	assert_ok(be_record(budget, "llm", 3 * BE_UNIT, NULL, NULL));
	fixture_commit(budget, "llm", 2 * BE_UNIT);

	assert_refused(be_check(budget, "llm", 5 * BE_UNIT, &decision), BE_OK);
	assert_number(decision.size, sizeof decision);
	assert_number(decision.status, BE_OK);
	assert_number(decision.requested, 5 * BE_UNIT);
	assert_number(decision.available, 5 * BE_UNIT);
	assert_number(decision.limit, 10 * BE_UNIT);
	assert_number(decision.spent, 3 * BE_UNIT);
	assert_number(decision.committed, 2 * BE_UNIT);
	assert_text(decision.namespace_name, "");
	assert_text(decision.category, "llm");

	assert_refused(be_check(budget, "llm", 5 * BE_UNIT + 1, &decision), BE_EXCEEDS_BUDGET);
	assert_number(decision.status, BE_EXCEEDS_BUDGET);
	assert_number(decision.requested, 5 * BE_UNIT + 1);
	assert_number(decision.available, 5 * BE_UNIT);
	assert_refused(be_check(budget, "llm", 5 * BE_UNIT + 1, NULL), BE_EXCEEDS_BUDGET);
}

BEHAVIOUR_TEST(spending, commit_holds_what_it_asks_for)
{
	struct be_envelope envelope;
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id = 0;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	assert_ok(be_commit_with(budget, "llm", 8 * BE_UNIT, "big", NULL, &id, &decision));
	cr_assert(id != 0);
	assert_number(decision.status, BE_OK);
	assert_number(decision.requested, 8 * BE_UNIT);
	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.committed, 8 * BE_UNIT);
	assert_number(envelope.spent, 0);
	assert_number(envelope.available, 2 * BE_UNIT);
	assert_number(envelope.utilization_ppm, 800000);
	assert_number(envelope.pending_commits, 1);

	fixture_commit(budget, "llm", 2 * BE_UNIT);
	assert_number(fixture_envelope(budget, "llm").available, 0);
	assert_number(fixture_envelope(budget, "llm").pending_commits, 2);
}

BEHAVIOUR_TEST(spending, commit_beyond_what_is_available_is_refused_and_changes_nothing)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id = 77;

	fixture_create(budget, "llm", BE_UNIT);
	fixture_commit(budget, "llm", 9 * TENTH);
	assert_refused(be_commit(budget, "llm", TENTH + 1, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_number(id, 0);
	id = 77;
	assert_refused(be_commit_with(budget, "llm", TENTH + 1, NULL, NULL, &id, &decision),
		       BE_EXCEEDS_BUDGET);
	assert_number(id, 0);
	assert_number(decision.status, BE_EXCEEDS_BUDGET);
	assert_number(decision.requested, TENTH + 1);
	assert_number(decision.available, TENTH);
	assert_number(decision.limit, BE_UNIT);
	assert_number(decision.spent, 0);
	assert_number(decision.committed, 9 * TENTH);
	assert_text(decision.category, "llm");
	fixture_commit(budget, "llm", TENTH);
}

BEHAVIOUR_TEST(spending, no_envelope_is_a_refusal_that_names_what_was_asked_for)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id = 77;

	fixture_fill(&decision, sizeof decision);
	assert_refused(be_check(budget, "images", BE_UNIT, &decision), BE_NO_ENVELOPE);
	assert_number(decision.size, sizeof decision);
	assert_number(decision.status, BE_NO_ENVELOPE);
	assert_number(decision.requested, BE_UNIT);
	assert_number(decision.available, 0);
	assert_number(decision.limit, 0);
	assert_number(decision.spent, 0);
	assert_number(decision.committed, 0);
	assert_text(decision.namespace_name, "");
	assert_text(decision.category, "images");
	assert_refused(be_commit(budget, "images", BE_UNIT, NULL, &id), BE_NO_ENVELOPE);
	assert_number(id, 0);
	assert_refused(be_record(budget, "images", BE_UNIT, NULL, NULL), BE_NO_ENVELOPE);
}

BEHAVIOUR_TEST(spending, commit_ids_and_transaction_ids_ascend_from_one_each_in_its_own_sequence)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t last;

	fixture_create(budget, "llm", 100 * BE_UNIT);
	assert_number(fixture_commit(budget, "llm", BE_UNIT), 1);
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, &transaction));
	assert_number(transaction.id, 1);
	assert_number(fixture_commit(budget, "llm", BE_UNIT), 2);
	last = fixture_commit(budget, "llm", BE_UNIT);
	assert_number(last, 3);
	assert_ok(be_settle(budget, 2, BE_UNIT, NULL, &transaction));
	assert_number(transaction.id, 2);
	assert_ok(be_release(budget, last));
	cr_assert(fixture_commit(budget, "llm", BE_UNIT) > last);
}

/* --------------------------------------------------------- release, record */

BEHAVIOUR_TEST(spending, release_gives_back_what_was_held)
{
	uint64_t first, second;

	fixture_create(budget, "llm", BE_UNIT);
	first = fixture_commit(budget, "llm", 6 * TENTH);
	second = fixture_commit(budget, "llm", 4 * TENTH);
	assert_ok(be_release(budget, first));
	assert_balance(budget, "llm", 0, 4 * TENTH);
	assert_number(fixture_envelope(budget, "llm").pending_commits, 1);
	assert_ok(be_release(budget, second));
	assert_balance(budget, "llm", 0, 0);
	assert_number(fixture_envelope(budget, "llm").pending_commits, 0);
}

BEHAVIOUR_TEST(spending, record_charges_whatever_the_limit_says)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct be_envelope envelope;

	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_record(budget, "llm", 25 * TENTH, "a large page", &transaction));
	assert_number(transaction.size, sizeof transaction);
	assert_number(transaction.kind, BE_TRANSACTION_RECORD);
	assert_number(transaction.commit_id, 0);
	assert_number(transaction.amount, 25 * TENTH);
	assert_number(transaction.held, 0);
	assert_number(transaction.at_ns, BEGINNING_NS);
	cr_assert(!transaction.late);
	assert_text(transaction.namespace_name, "");
	assert_text(transaction.category, "llm");
	assert_text(transaction.description, "a large page");

	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.spent, 25 * TENTH);
	assert_number(envelope.available, 0);
	assert_number(envelope.utilization_ppm, 2500000);
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_balance(budget, "llm", 26 * TENTH, 0);
}

/* ------------------------------------------------------------------ settle */

BEHAVIOUR_TEST(spending, settle_charges_the_real_cost_and_frees_the_rest)
{
	/* Limit 10, held 4. */
	static const struct {
		int64_t cost, available;
	} rows[] = {{0, 10}, {3, 7}, {4, 6}, {9, 1}, {10, 0}, {25, 0}};
	struct be_transaction transaction = BE_TRANSACTION_INIT;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct be_envelope envelope;
		uint64_t id;
		char category[8];

		snprintf(category, sizeof category, "llm-%zu", i);
		fixture_create(budget, category, 10 * BE_UNIT);
		id = fixture_commit(budget, category, 4 * BE_UNIT);
		fixture_advance(SECOND_NS);
		assert_ok(be_settle(budget, id, rows[i].cost * BE_UNIT, NULL, &transaction));
		assert_number(transaction.kind, BE_TRANSACTION_SETTLE);
		assert_number(transaction.commit_id, id);
		assert_number(transaction.amount, rows[i].cost * BE_UNIT);
		assert_number(transaction.held, 4 * BE_UNIT);
		assert_number(transaction.at_ns, fixture.now_ns);
		cr_assert(!transaction.late);
		assert_text(transaction.category, category);
		envelope = fixture_envelope(budget, category);
		assert_number(envelope.spent, rows[i].cost * BE_UNIT);
		assert_number(envelope.committed, 0);
		assert_number(envelope.available, rows[i].available * BE_UNIT);
		assert_number(envelope.utilization_ppm, rows[i].cost * 100000);
		assert_number(envelope.pending_commits, 0);
	}
}

BEHAVIOUR_TEST(spending, settle_without_a_description_keeps_the_commits)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t first, second, third;

	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_commit(budget, "llm", TENTH, "estimate", &first));
	assert_ok(be_commit(budget, "llm", TENTH, "estimate", &second));
	assert_ok(be_commit(budget, "llm", TENTH, "estimate", &third));
	assert_ok(be_settle(budget, first, TENTH, NULL, &transaction));
	assert_text(transaction.description, "estimate");
	assert_ok(be_settle(budget, second, TENTH, "as billed", &transaction));
	assert_text(transaction.description, "as billed");
	assert_ok(be_settle(budget, third, TENTH, "", &transaction));
	assert_text(transaction.description, "");
}

BEHAVIOUR_TEST(spending, any_handle_ends_any_commit_whatever_its_namespace)
{
	struct be_enforcer *task = fixture_open("task"), *other = fixture_open("other");
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t first, second, third;

	fixture_create(task, "llm", BE_UNIT);
	first = fixture_commit(task, "llm", TENTH);
	second = fixture_commit(task, "llm", TENTH);
	third = fixture_commit(task, "llm", TENTH);
	assert_ok(be_release(other, first));
	assert_ok(be_extend(budget, third, 2 * TENTH, 0, NULL));
	assert_ok(be_settle(budget, second, TENTH, NULL, &transaction));
	assert_text(transaction.namespace_name, "task");
	assert_balance(task, "llm", TENTH, 2 * TENTH);
}

/* ---------------------------------------------------------- ending it twice */

enum ending {
	RELEASE,
	SETTLE,
	EXPIRE,
	EXPIRE_CHARGED
};

static uint64_t ended(struct be_enforcer *budget, enum ending how)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id, reaped;

	options.ttl_ms = how >= EXPIRE ? 1000 : 0;
	options.reap_policy = how == EXPIRE_CHARGED ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	assert_ok(be_commit_with(budget, "llm", TENTH, NULL, &options, &id, NULL));
	if (how == RELEASE) {
		assert_ok(be_release(budget, id));
	} else if (how == SETTLE) {
		assert_ok(be_settle(budget, id, TENTH, NULL, NULL));
	} else {
		fixture_advance(2 * SECOND_NS);
		assert_ok(be_reap(budget, &reaped));
		assert_number(reaped, 1);
	}
	return id;
}

BEHAVIOUR_TEST(spending, a_commit_ends_once_and_says_how_it_ended)
{
	static const struct {
		enum ending first;
		enum be_status again, settle;
	} rows[] = {
		{RELEASE, BE_ALREADY_RELEASED, BE_ALREADY_RELEASED},
		{SETTLE, BE_ALREADY_SETTLED, BE_ALREADY_SETTLED},
		{EXPIRE, BE_ALREADY_REAPED, BE_OK},
		{EXPIRE_CHARGED, BE_ALREADY_CHARGED, BE_ALREADY_CHARGED},
	};
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct be_decision decision = BE_DECISION_INIT;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t id = ended(budget, rows[i].first);

		assert_refused(be_release(budget, id), rows[i].again);
		assert_refused(be_extend(budget, id, TENTH, 0, &decision), rows[i].again);
		if (rows[i].settle == BE_OK)
			continue;
		fixture_fill(&transaction, sizeof transaction);
		assert_refused(be_settle(budget, id, TENTH, NULL, &transaction), rows[i].settle);
		cr_assert(fixture_is_zeroed(&transaction, sizeof transaction));
	}
	assert_balance(budget, "llm", 2 * TENTH, 0);
}

BEHAVIOUR_TEST(spending, an_id_that_was_never_given_is_no_commit)
{
	static const uint64_t ids[] = {0, 2, 1000000, UINT64_MAX};

	fixture_create(budget, "llm", BE_UNIT);
	assert_number(fixture_commit(budget, "llm", TENTH), 1);
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		assert_refused(be_release(budget, ids[i]), BE_NO_COMMIT);
		assert_refused(be_settle(budget, ids[i], TENTH, NULL, NULL), BE_NO_COMMIT);
		assert_refused(be_extend(budget, ids[i], TENTH, 0, NULL), BE_NO_COMMIT);
	}
}

/* ---------------------------------------------------------- extend and reap */

struct commit_list {
	size_t count;
	struct be_commit_info commits[8];
};

static bool collect_commit(void *context, const struct be_commit_info *commit)
{
	struct commit_list *list = context;

	cr_assert(list->count < sizeof list->commits / sizeof list->commits[0]);
	list->commits[list->count++] = *commit;
	return true;
}

static struct be_commit_info only_commit(struct be_enforcer *budget)
{
	struct commit_list list = {0};

	assert_ok(be_commits_each(budget, NULL, collect_commit, &list));
	assert_number(list.count, 1);
	return list.commits[0];
}

BEHAVIOUR_TEST(spending, extend_may_keep_what_is_held_then)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id, reaped;

	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	assert_ok(be_charge(budget, id, 4, NULL, NULL));
	assert_ok(be_envelope_set_limit(budget, "llm", 5));
	assert_ok(be_extend(budget, id, BE_HELD_AMOUNT, 1000, &decision));
	assert_number(decision.granted, 6);
	assert_balance(budget, "llm", 4, 6);
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 1);
	assert_status(be_extend(budget, id, BE_HELD_AMOUNT, 0, &decision), BE_ALREADY_REAPED);
	assert_status(be_commit(budget, "llm", BE_HELD_AMOUNT, NULL, &id), BE_AMOUNT_NEGATIVE);
}

BEHAVIOUR_TEST(spending, extend_changes_what_is_held_and_until_when)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	fixture_commit(budget, "llm", 2 * TENTH);
	assert_ok(be_release(budget, 1));
	id = fixture_commit(budget, "llm", 4 * TENTH);

	fixture_advance(SECOND_NS);
	assert_ok(be_extend(budget, id, 7 * TENTH, 1500, &decision));
	assert_number(decision.status, BE_OK);
	assert_balance(budget, "llm", 0, 7 * TENTH);
	assert_number(only_commit(budget).amount, 7 * TENTH);
	assert_number(only_commit(budget).deadline_ns, fixture.now_ns + 1500 * SECOND_NS / 1000);

	assert_ok(be_extend(budget, id, TENTH, 0, NULL));
	assert_balance(budget, "llm", 0, TENTH);
	assert_number(only_commit(budget).deadline_ns, 0);

	assert_ok(be_extend(budget, id, BE_UNIT, 0, NULL)); /* all there is: the difference fits */
	assert_refused(be_extend(budget, id, BE_UNIT + 1, 9, &decision), BE_EXCEEDS_BUDGET);
	assert_number(decision.status, BE_EXCEEDS_BUDGET);
	assert_number(decision.available, 0);
	assert_number(decision.committed, BE_UNIT);

	assert_ok(be_extend(budget, id, 0, 0, NULL));
	assert_balance(budget, "llm", 0, 0);
	assert_number(fixture_envelope(budget, "llm").pending_commits, 1);
	assert_ok(be_settle(budget, id, TENTH, NULL, NULL));
	assert_balance(budget, "llm", TENTH, 0);
}

BEHAVIOUR_TEST(spending, an_expired_commit_is_freed_and_still_charged_when_it_settles_late)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t id, reaped;

	fixture_create(budget, "llm", BE_UNIT);
	options.ttl_ms = 500;
	assert_ok(be_commit_with(budget, "llm", 9 * TENTH, "slow", &options, &id, NULL));
	assert_number(only_commit(budget).deadline_ns, BEGINNING_NS + SECOND_NS / 2);
	fixture_advance(SECOND_NS / 2 - 1);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 0);
	assert_balance(budget, "llm", 0, 9 * TENTH);

	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 1);
	assert_balance(budget, "llm", 0, 0);

	assert_ok(be_settle(budget, id, 8 * TENTH, NULL, &transaction));
	cr_assert(transaction.late);
	assert_number(transaction.kind, BE_TRANSACTION_SETTLE);
	assert_number(transaction.held, 9 * TENTH);
	assert_balance(budget, "llm", 8 * TENTH, 0);
	assert_refused(be_settle(budget, id, 8 * TENTH, NULL, NULL), BE_ALREADY_SETTLED);
	assert_refused(be_release(budget, id), BE_ALREADY_SETTLED);
}

BEHAVIOUR_TEST(spending, an_expired_commit_is_charged_where_its_policy_says_so)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t id;
	char *state;

	fixture_create(budget, "llm", BE_UNIT);
	options.ttl_ms = 1;
	options.reap_policy = BE_REAP_CHARGE;
	assert_ok(be_commit_with(budget, "llm", 9 * TENTH, "slow", &options, &id, NULL));
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_balance(budget, "llm", 9 * TENTH, 0);
	state = fixture_state();
	cr_assert_not_null(strstr(state, " expired 900000000 of 900000000 "), "%s", state);
	free(state);
	assert_refused(be_settle(budget, id, 8 * TENTH, NULL, &transaction), BE_ALREADY_CHARGED);
}

BEHAVIOUR_TEST(spending, a_commit_that_would_be_refused_reaps_what_has_expired_first)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	options.ttl_ms = 1000;
	assert_ok(be_commit_with(budget, "llm", 9 * TENTH, NULL, &options, &id, NULL));
	assert_refused(be_commit(budget, "llm", 2 * TENTH, NULL, &id), BE_EXCEEDS_BUDGET);
	fixture_advance(2 * SECOND_NS);
	fixture_commit(budget, "llm", 2 * TENTH);
	assert_balance(budget, "llm", 0, 2 * TENTH);
}

BEHAVIOUR_TEST(spending, opening_reaps_what_has_expired)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	options.ttl_ms = 1000;
	assert_ok(be_commit_with(budget, "llm", 9 * TENTH, NULL, &options, &id, NULL));
	fixture_advance(2 * SECOND_NS);
	fixture_open(NULL);
	assert_balance(budget, "llm", 0, 0);
	assert_refused(be_release(budget, id), BE_ALREADY_REAPED);
}

BEHAVIOUR_TEST(spending, a_late_settle_whose_envelope_was_removed_is_no_envelope)
{
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	id = ended(budget, EXPIRE);
	assert_ok(be_envelope_remove(budget, "llm"));
	assert_refused(be_settle(budget, id, TENTH, NULL, NULL), BE_NO_ENVELOPE);
	/* An envelope of the same name is another one: it is not charged for what it never
	 * granted. */
	fixture_create(budget, "llm", BE_UNIT);
	assert_refused(be_settle(budget, id, TENTH, NULL, NULL), BE_NO_ENVELOPE);
}

/* ---------------------------------------------------------------- amounts */

BEHAVIOUR_TEST(spending, a_cost_of_zero_is_legal_and_is_a_transaction)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL)); /* nothing is left */
	assert_ok(be_check(budget, "llm", 0, NULL));
	id = fixture_commit(budget, "llm", 0);
	assert_number(fixture_envelope(budget, "llm").pending_commits, 1);
	assert_ok(be_settle(budget, id, 0, "cached", &transaction));
	assert_number(transaction.id, 2);
	assert_number(transaction.amount, 0);
	assert_ok(be_record(budget, "llm", 0, "cached", &transaction));
	assert_number(transaction.id, 3);
	assert_balance(budget, "llm", BE_UNIT, 0);

	/* What is overspent has nothing available, and nothing is what is asked for. */
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	assert_ok(be_check(budget, "llm", 0, NULL));
}

BEHAVIOUR_TEST(spending, amounts_below_zero_are_refused_everywhere)
{
	static const int64_t amounts[] = {-1, -BE_UNIT, INT64_MIN};
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t pending, id;

	fixture_create(budget, "llm", BE_UNIT);
	pending = fixture_commit(budget, "llm", TENTH);
	for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
		int64_t amount = amounts[i];

		assert_refused(be_check(budget, "llm", amount, NULL), BE_AMOUNT_NEGATIVE);
		assert_refused(be_commit(budget, "llm", amount, NULL, &id), BE_AMOUNT_NEGATIVE);
		assert_refused(be_record(budget, "llm", amount, NULL, &transaction),
			       BE_AMOUNT_NEGATIVE);
		assert_refused(be_settle(budget, pending, amount, NULL, &transaction),
			       BE_AMOUNT_NEGATIVE);
		if (amount != BE_HELD_AMOUNT)
			assert_refused(be_extend(budget, pending, amount, 0, NULL),
				       BE_AMOUNT_NEGATIVE);
	}
	cr_assert(!be_status_is_refusal(BE_AMOUNT_NEGATIVE));
}

BEHAVIOUR_TEST(spending, a_balance_never_leaves_its_range)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct be_envelope envelope;
	uint64_t id;

	fixture_create(budget, "llm", INT64_MAX);
	id = fixture_commit(budget, "llm", INT64_MAX);
	assert_ok(be_record(budget, "llm", INT64_MAX, NULL, NULL));
	envelope = fixture_envelope(budget, "llm");
	assert_number(envelope.available, 0);
	assert_number(envelope.spent, INT64_MAX);
	assert_number(envelope.committed, INT64_MAX);
	assert_number(envelope.utilization_ppm, 2000000);

	fixture_fill(&transaction, sizeof transaction);
	assert_refused(be_record(budget, "llm", 1, NULL, &transaction), BE_OVERFLOW);
	cr_assert(fixture_is_zeroed(&transaction, sizeof transaction));
	assert_refused(be_settle(budget, id, 1, NULL, NULL), BE_OVERFLOW);
	assert_ok(be_settle(budget, id, 0, NULL, NULL));

	fixture_create(budget, "tiny", 1);
	assert_ok(be_record(budget, "tiny", INT64_MAX, NULL, NULL));
	assert_number(fixture_envelope(budget, "tiny").utilization_ppm, INT64_MAX);
	assert_refused(be_check(budget, "tiny", INT64_MAX, NULL), BE_EXCEEDS_BUDGET);
}

/* -------------------------------------------------------------- precedence */

/* What a call deserves, in the order in which the answers are given. Index k: all of it from k
 * on. */
static const enum be_status deserved[] = {
	BE_INVALID_ARGUMENT,    BE_INVALID_SIZE, BE_INVALID_NAME, BE_AMOUNT_NEGATIVE,
	BE_INVALID_DESCRIPTION, BE_NO_ENVELOPE,  BE_SUSPENDED,    BE_EXCEEDS_BUDGET,
};
#define DESERVED (sizeof deserved / sizeof deserved[0])

BEHAVIOUR_TEST(spending, of_several_answers_the_documented_first_one_is_given)
{
	struct be_decision decision = BE_DECISION_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;

	fixture_create(budget, "suspended", BE_UNIT);
	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_envelope_suspend(budget, "suspended"));
	for (size_t k = 0; k < DESERVED; k++) {
		struct be_enforcer *handle = k <= 0 ? NULL : budget;
		const char *category = k <= 2   ? "\n"
				       : k <= 5 ? "absent"
				       : k <= 6 ? "suspended"
						: "llm";
		int64_t amount = k <= 3 ? -1 : 2 * BE_UNIT;
		const char *description = k <= 4 ? "\n" : "fine";
		uint64_t id = 77;

		decision.size = k <= 1 ? 3 : sizeof decision;
		transaction.size = k <= 1 ? 3 : sizeof transaction;
		if (deserved[k] != BE_INVALID_DESCRIPTION)
			assert_status(be_check(handle, category, amount, &decision), deserved[k]);
		assert_status(
			be_commit_with(handle, category, amount, description, NULL, &id, &decision),
			deserved[k]);
		assert_number(id, 0);
		if (k < 6)
			assert_status(
				be_record(handle, category, amount, description, &transaction),
				deserved[k]);
		/* Never written to beyond what the caller says is there. */
		assert_number(decision.size, k <= 1 ? 3 : sizeof decision);
		assert_number(transaction.size, k <= 1 ? 3 : sizeof transaction);
	}
	assert_refused(be_check(budget, "llm", 2 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
}

BEHAVIOUR_TEST(spending, ending_a_commit_answers_in_the_documented_order)
{
	uint64_t overflowing, released;

	fixture_create(budget, "llm", BE_UNIT);
	overflowing = fixture_commit(budget, "llm", TENTH);
	released = fixture_commit(budget, "llm", TENTH);
	assert_ok(be_release(budget, released));
	assert_ok(be_record(budget, "llm", INT64_MAX, NULL, NULL));

	assert_refused(be_settle(NULL, 0, -1, "\n", NULL), BE_INVALID_ARGUMENT);
	assert_refused(be_settle(budget, 0, -1, NULL, NULL), BE_AMOUNT_NEGATIVE);
	assert_refused(be_settle(budget, 0, 1, "\n", NULL), BE_INVALID_DESCRIPTION);
	assert_refused(be_settle(budget, 0, 1, NULL, NULL), BE_NO_COMMIT);
	assert_refused(be_settle(budget, released, 1, NULL, NULL), BE_ALREADY_RELEASED);
	assert_refused(be_settle(budget, overflowing, 1, NULL, NULL), BE_OVERFLOW);
	assert_refused(be_extend(budget, released, 2 * BE_UNIT, 0, NULL), BE_ALREADY_RELEASED);
	assert_refused(be_extend(budget, overflowing, 2 * BE_UNIT, 0, NULL), BE_EXCEEDS_BUDGET);
}

/* ----------------------------------------------------- arguments and outputs */

BEHAVIOUR_TEST(spending, null_is_refused_where_it_is_not_allowed)
{
	uint64_t id = 77;

	fixture_create(budget, "llm", BE_UNIT);
	fixture_commit(budget, "llm", TENTH);
	assert_status(be_check(NULL, "llm", 1, NULL), BE_INVALID_ARGUMENT);
	assert_refused(be_check(budget, NULL, 1, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_commit(NULL, "llm", 1, NULL, &id), BE_INVALID_ARGUMENT);
	assert_number(id, 0);
	id = 77;
	assert_refused(be_commit(budget, NULL, 1, NULL, &id), BE_INVALID_ARGUMENT);
	assert_number(id, 0);
	assert_refused(be_commit(budget, "llm", 1, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_refused(be_commit_with(budget, "llm", 1, NULL, NULL, NULL, NULL),
		       BE_INVALID_ARGUMENT);
	assert_status(be_release(NULL, 1), BE_INVALID_ARGUMENT);
	assert_status(be_record(NULL, "llm", 1, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_refused(be_record(budget, NULL, 1, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_settle(NULL, 1, 1, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_extend(NULL, 1, 1, 0, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_reap(NULL, &id), BE_INVALID_ARGUMENT);
	assert_ok(be_reap(budget, NULL));
	assert_balance(budget, "llm", 0, TENTH);
}

BEHAVIOUR_TEST(spending, unknown_options_of_a_commit_are_refused)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id = 77, pending;

	fixture_create(budget, "llm", BE_UNIT);
	pending = fixture_commit(budget, "llm", 1);
	options.reap_policy = (enum be_reap_policy)2;
	assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL),
		       BE_INVALID_ARGUMENT);
	assert_number(id, 0);
	options.reap_policy = BE_REAP_RELEASE;
	options.ttl_ms = UINT64_MAX; /* ends after the clock does */
	assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL),
		       BE_INVALID_ARGUMENT);
	assert_refused(be_extend(budget, pending, 1, UINT64_MAX, NULL), BE_INVALID_ARGUMENT);
	options.ttl_ms = 0;
	options.size = 0;
	assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL),
		       BE_INVALID_SIZE);
}

BEHAVIOUR_TEST(spending, outputs_are_zeroed_on_a_fault_and_keep_their_size)
{
	struct be_decision decision = BE_DECISION_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	uint64_t id = 77, reaped = 77;

	fixture_fill(&decision, sizeof decision);
	fixture_fill(&transaction, sizeof transaction);
	fixture_fill(&envelope, sizeof envelope);
	assert_status(be_check(budget, "\n", 1, &decision), BE_INVALID_NAME);
	decision.status = BE_OK; /* whether a fault is told there as well is left open */
	cr_assert(fixture_is_zeroed(&decision, sizeof decision));
	fixture_fill(&decision, sizeof decision);
	assert_status(be_commit_with(budget, "\n", 1, NULL, NULL, &id, &decision), BE_INVALID_NAME);
	decision.status = BE_OK;
	cr_assert(fixture_is_zeroed(&decision, sizeof decision));
	assert_number(id, 0);
	assert_status(be_record(budget, "\n", 1, NULL, &transaction), BE_INVALID_NAME);
	cr_assert(fixture_is_zeroed(&transaction, sizeof transaction));
	assert_status(be_utilization(budget, "absent", &envelope), BE_NO_ENVELOPE);
	cr_assert(fixture_is_zeroed(&envelope, sizeof envelope));
	assert_status(be_reap(NULL, &reaped), BE_INVALID_ARGUMENT);
	assert_number(reaped, 0);
}

BEHAVIOUR_TEST(spending, the_last_error_is_text_until_the_next_call)
{
	assert_status(be_check(budget, "absent", 1, NULL), BE_NO_ENVELOPE);
	cr_assert(strlen(be_last_error()) > 0);
	fixture_create(budget, "llm", 1);
	assert_text(be_last_error(), "");
}

BEHAVIOUR_TEST(spending, a_suspended_envelope_grants_nothing_and_lets_everything_end)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t released, settled, extended, id;

	fixture_create(budget, "llm", BE_UNIT);
	released = fixture_commit(budget, "llm", TENTH);
	settled = fixture_commit(budget, "llm", TENTH);
	extended = fixture_commit(budget, "llm", 2 * TENTH);
	assert_ok(be_envelope_suspend(budget, "llm"));
	assert_refused(be_check(budget, "llm", TENTH, &decision), BE_SUSPENDED);
	assert_number(decision.status, BE_SUSPENDED);
	assert_number(decision.available, 6 * TENTH);
	assert_text(decision.category, "llm");
	assert_refused(be_check(budget, "llm", 0, NULL), BE_SUSPENDED);
	assert_refused(be_commit(budget, "llm", TENTH, NULL, &id), BE_SUSPENDED);
	assert_refused(be_extend(budget, extended, 3 * TENTH, 0, NULL), BE_SUSPENDED);
	assert_ok(be_extend(budget, extended, TENTH, 0, NULL));
	assert_ok(be_release(budget, released));
	assert_ok(be_settle(budget, settled, TENTH, NULL, NULL));
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_balance(budget, "llm", 2 * TENTH, TENTH);
	assert_ok(be_envelope_resume(budget, "llm"));
	fixture_commit(budget, "llm", TENTH);
}
