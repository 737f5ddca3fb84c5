/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes above envelopes: a change moves the whole chain in one step, what is granted fits every
 * one of it, and a refusal names the one that refused.
 */
#include "fixture.h"

/* Makes "1" on top, "2" below it and so on. */
static void make_chain(struct be_enforcer *budget, int depth, int64_t limit)
{
	char category[12], parent[12];

	fixture_create(budget, "1", limit);
	for (int i = 2; i <= depth; i++) {
		snprintf(category, sizeof category, "%d", i);
		snprintf(parent, sizeof parent, "%d", i - 1);
		fixture_create_below(budget, category, limit, NULL, parent);
	}
}

static void check_chain(struct be_enforcer *budget, int depth, int64_t spent, int64_t committed,
			uint64_t pending)
{
	char category[12];

	for (int i = 1; i <= depth; i++) {
		snprintf(category, sizeof category, "%d", i);
		assert_balance(budget, category, spent, committed);
		assert_number(fixture_envelope(budget, category).pending_commits, pending);
	}
}

BEHAVIOUR_TEST(parents, every_change_moves_the_whole_chain)
{
	uint64_t id, other;

	make_chain(budget, BE_DEPTH_MAX, 10 * BE_UNIT);
	id = fixture_commit(budget, "8", 4 * BE_UNIT);
	other = fixture_commit(budget, "8", 2 * BE_UNIT);
	check_chain(budget, BE_DEPTH_MAX, 0, 6 * BE_UNIT, 2);
	assert_ok(be_extend(budget, other, BE_UNIT, 0, NULL));
	check_chain(budget, BE_DEPTH_MAX, 0, 5 * BE_UNIT, 2);
	assert_ok(be_extend(budget, other, 6 * BE_UNIT, 0, NULL));
	check_chain(budget, BE_DEPTH_MAX, 0, 10 * BE_UNIT, 2);
	assert_ok(be_settle(budget, id, 3 * BE_UNIT, NULL, NULL));
	check_chain(budget, BE_DEPTH_MAX, 3 * BE_UNIT, 6 * BE_UNIT, 1);
	assert_ok(be_release(budget, other));
	check_chain(budget, BE_DEPTH_MAX, 3 * BE_UNIT, 0, 0);
	assert_ok(be_record(budget, "8", 9 * BE_UNIT, NULL, NULL));
	check_chain(budget, BE_DEPTH_MAX, 12 * BE_UNIT, 0, 0);
}

BEHAVIOUR_TEST(parents, a_change_in_the_middle_leaves_what_is_below_alone)
{
	make_chain(budget, 4, BE_UNIT);
	assert_ok(be_record(budget, "2", TENTH, NULL, NULL));
	assert_balance(budget, "1", TENTH, 0);
	assert_balance(budget, "2", TENTH, 0);
	assert_balance(budget, "3", 0, 0);
	assert_balance(budget, "4", 0, 0);
}

BEHAVIOUR_TEST(parents, a_chain_is_eight_deep_and_no_deeper)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	make_chain(budget, BE_DEPTH_MAX, BE_UNIT);
	options.parent_category = "8";
	assert_refused(be_envelope_create(budget, "9", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_TOO_DEEP);
	assert_refused(be_envelope_ensure(budget, "9", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_TOO_DEEP);
	assert_number(fixture_envelope(budget, "8").children, 0);
}

BEHAVIOUR_TEST(parents, an_envelope_cannot_be_its_own_parent)
{
	struct be_enforcer *task = fixture_open("task");
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_category = "llm";
	assert_refused(be_envelope_create(budget, "llm", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_PARENT_CYCLE);
	assert_refused(be_envelope_ensure(task, "llm", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_PARENT_CYCLE);
	options.parent_namespace = "task";
	assert_refused(be_envelope_create(task, "llm", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_PARENT_CYCLE);

	/* The same category in another namespace is another envelope. */
	fixture_create(budget, "llm", BE_UNIT);
	fixture_create_below(task, "llm", BE_UNIT, "", "llm");
	assert_text(fixture_envelope(task, "llm").parent_namespace, "");
}

BEHAVIOUR_TEST(parents, the_parent_must_exist)
{
	struct be_enforcer *task = fixture_open("task");
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	fixture_create(budget, "day", BE_UNIT);
	options.parent_category = "day"; /* of the handle's namespace, where none is named */
	assert_refused(be_envelope_create(task, "llm", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_NO_PARENT);
	assert_refused(be_envelope_ensure(task, "llm", BE_UNIT, BE_PERIOD_TOTAL, &options),
		       BE_NO_PARENT);
	options.parent_namespace = "";
	assert_ok(be_envelope_ensure(task, "llm", BE_UNIT, BE_PERIOD_TOTAL, &options));
}

BEHAVIOUR_TEST(parents, a_parent_may_lie_in_another_namespace)
{
	struct be_enforcer *task = fixture_open("task-42");
	struct be_envelope envelope;

	fixture_create(budget, "day", 2 * BE_UNIT);
	fixture_create_below(task, "llm", BE_UNIT, "", "day");
	envelope = fixture_envelope(task, "llm");
	cr_assert(envelope.has_parent);
	assert_text(envelope.namespace_name, "task-42");
	assert_text(envelope.parent_namespace, "");
	assert_text(envelope.parent_category, "day");
	assert_number(fixture_envelope(budget, "day").children, 1);
	fixture_commit(task, "llm", BE_UNIT);
	assert_balance(budget, "day", 0, BE_UNIT);
}

BEHAVIOUR_TEST(parents, a_refusal_names_the_envelope_that_refused)
{
	struct be_decision decision = BE_DECISION_INIT;
	struct be_enforcer *task = fixture_open("task");
	uint64_t id;

	fixture_create(budget, "year", 2 * BE_UNIT);
	fixture_create_below(budget, "day", 5 * BE_UNIT, NULL, "year");
	fixture_create_below(task, "llm", 3 * BE_UNIT, "", "day");

	/* Permitted: the one asked for. */
	assert_ok(be_check(task, "llm", 2 * BE_UNIT, &decision));
	assert_text(decision.namespace_name, "task");
	assert_text(decision.category, "llm");
	assert_number(decision.limit, 3 * BE_UNIT);

	/* Too much for all three: the first one on the way up. */
	assert_refused(be_commit_with(task, "llm", 6 * BE_UNIT, NULL, NULL, &id, &decision),
		       BE_EXCEEDS_BUDGET);
	assert_text(decision.namespace_name, "task");
	assert_text(decision.category, "llm");
	assert_number(decision.available, 3 * BE_UNIT);

	/* Too much for the topmost alone, with its figures. */
	assert_refused(be_check(task, "llm", 2 * BE_UNIT + 1, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.namespace_name, "");
	assert_text(decision.category, "year");
	assert_number(decision.requested, 2 * BE_UNIT + 1);
	assert_number(decision.available, 2 * BE_UNIT);
	assert_number(decision.limit, 2 * BE_UNIT);
	id = fixture_commit(task, "llm", BE_UNIT);
	assert_refused(be_extend(task, id, 2 * BE_UNIT + 1, 0, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "year");
	assert_number(decision.available, BE_UNIT);
	assert_number(decision.committed, BE_UNIT);
}

BEHAVIOUR_TEST(parents, a_suspended_ancestor_suspends_all_below_it)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id, pending;

	make_chain(budget, 3, BE_UNIT);
	pending = fixture_commit(budget, "3", TENTH);
	assert_ok(be_envelope_suspend(budget, "2"));
	assert_refused(be_check(budget, "3", TENTH, &decision), BE_SUSPENDED);
	assert_text(decision.category, "2");
	assert_refused(be_commit_with(budget, "3", TENTH, NULL, NULL, &id, &decision),
		       BE_SUSPENDED);
	assert_text(decision.category, "2");
	assert_ok(be_check(budget, "1", TENTH, NULL));
	cr_assert(!fixture_envelope(budget, "3").suspended);

	/* From the envelope up: what the leaf has not got is told before what its parent
	 * forbids. */
	assert_refused(be_check(budget, "3", 2 * BE_UNIT, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "3");

	assert_ok(be_settle(budget, pending, TENTH, NULL, NULL));
	assert_ok(be_record(budget, "3", TENTH, NULL, NULL));
	check_chain(budget, 3, 2 * TENTH, 0, 0);
	assert_ok(be_envelope_resume(budget, "2"));
	fixture_commit(budget, "3", TENTH);
}

BEHAVIOUR_TEST(parents, a_parent_with_children_stays_and_what_they_spent_stays_with_it)
{
	uint64_t id;

	fixture_create(budget, "day", BE_UNIT);
	fixture_create_below(budget, "one", BE_UNIT, NULL, "day");
	fixture_create_below(budget, "two", BE_UNIT, NULL, "day");
	assert_number(fixture_envelope(budget, "day").children, 2);
	assert_ok(be_record(budget, "one", 3 * TENTH, NULL, NULL));
	id = fixture_commit(budget, "two", TENTH);
	assert_refused(be_envelope_remove(budget, "day"), BE_HAS_CHILDREN);
	assert_ok(be_envelope_remove(budget, "one"));
	assert_number(fixture_envelope(budget, "day").children, 1);
	assert_balance(budget, "day", 3 * TENTH, TENTH);
	assert_refused(be_envelope_remove(budget, "day"), BE_HAS_CHILDREN);
	assert_ok(be_settle(budget, id, TENTH, NULL, NULL));
	assert_ok(be_envelope_remove(budget, "two"));
	assert_number(fixture_envelope(budget, "day").children, 0);
	assert_balance(budget, "day", 4 * TENTH, 0);
	assert_ok(be_envelope_remove(budget, "day"));
}

BEHAVIOUR_TEST(parents, an_envelope_made_again_below_another_parent_charges_that_one)
{
	fixture_create(budget, "monday", BE_UNIT);
	fixture_create(budget, "tuesday", BE_UNIT);
	fixture_create_below(budget, "llm", BE_UNIT, NULL, "monday");
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_ok(be_envelope_remove(budget, "llm"));
	fixture_create_below(budget, "llm", BE_UNIT, NULL, "tuesday");
	assert_ok(be_record(budget, "llm", 2 * TENTH, NULL, NULL));
	assert_balance(budget, "monday", TENTH, 0);
	assert_balance(budget, "tuesday", 2 * TENTH, 0);
	assert_balance(budget, "llm", 2 * TENTH, 0);
}

BEHAVIOUR_TEST(parents, resetting_a_child_leaves_its_parent_alone_and_the_other_way_round)
{
	fixture_create(budget, "day", BE_UNIT);
	fixture_create_below(budget, "llm", BE_UNIT, NULL, "day");
	assert_ok(be_record(budget, "llm", 4 * TENTH, NULL, NULL));
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_balance(budget, "llm", 0, 0);
	assert_balance(budget, "day", 4 * TENTH, 0);
	assert_ok(be_record(budget, "llm", TENTH, NULL, NULL));
	assert_ok(be_envelope_reset(budget, "day"));
	assert_balance(budget, "llm", TENTH, 0);
	assert_balance(budget, "day", 0, 0);
}

BEHAVIOUR_TEST(parents, what_overflows_above_is_refused_as_a_whole)
{
	fixture_create(budget, "day", INT64_MAX);
	fixture_create_below(budget, "one", INT64_MAX, NULL, "day");
	fixture_create_below(budget, "two", INT64_MAX, NULL, "day");
	assert_ok(be_record(budget, "one", INT64_MAX, NULL, NULL));
	assert_refused(be_record(budget, "two", 1, NULL, NULL), BE_OVERFLOW);
	assert_balance(budget, "two", 0, 0);
}

static bool extends_or_is_refused(struct be_enforcer *budget, uint64_t id, int64_t amount)
{
	enum be_status status = be_extend(budget, id, amount, 0, NULL);

	return status == BE_OK || status == BE_EXCEEDS_BUDGET;
}

BEHAVIOUR_TEST(parents, the_sums_of_the_children_are_the_parents_whatever_happens)
{
	static const char *const children[] = {"one", "two", "three"};
	uint64_t ids[64], random = 20231114;
	size_t pending = 0;

	fixture_create(budget, "day", 40 * BE_UNIT);
	for (size_t i = 0; i < 3; i++)
		fixture_create_below(budget, children[i], 20 * BE_UNIT, NULL, "day");
	for (int step = 0; step < 300; step++) {
		int64_t spent = 0, committed = 0, amount;
		const char *child;

		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		child = children[(random >> 33) % 3];
		amount = (int64_t)((random >> 40) % 50) * TENTH;
		if (pending > 0 && (random >> 60) < 9) {
			uint64_t id = ids[--pending];
			if ((random >> 60) < 4)
				assert_ok(be_release(budget, id));
			else if ((random >> 60) < 7)
				assert_ok(be_settle(budget, id, amount / 10, NULL, NULL));
			else
				cr_assert(extends_or_is_refused(budget, ids[pending++], amount));
		} else if (pending < sizeof ids / sizeof ids[0] &&
			   be_commit(budget, child, amount, NULL, &ids[pending]) == BE_OK) {
			pending++;
		}
		for (size_t i = 0; i < 3; i++) {
			struct be_envelope envelope = fixture_envelope(budget, children[i]);
			spent += envelope.spent;
			committed += envelope.committed;
		}
		assert_balance(budget, "day", spent, committed);
	}
	assert_number(fixture_envelope(budget, "day").pending_commits, pending);
}
