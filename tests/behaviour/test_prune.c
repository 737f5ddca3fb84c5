/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pruning: what is old goes, what is spent stays as it is, and verify adds up all the same,
 * whatever the envelopes charged have become since.
 */
#include "fixture.h"

static uint64_t count_transactions(struct be_enforcer *budget)
{
	struct be_verification found = BE_VERIFICATION_INIT;

	assert_ok(be_verify(budget, NULL, NULL, &found));
	return found.transactions;
}

static struct be_pruning prune(struct be_enforcer *budget)
{
	struct be_pruning pruning = BE_PRUNING_INIT;

	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, &pruning));
	return pruning;
}

BEHAVIOUR_TEST(prune, what_is_spent_stays)
{
	fixture_create(budget, "llm", 1000);
	for (int i = 0; i < 200; i++)
		assert_ok(be_record(budget, "llm", 2, NULL, NULL));
	fixture_advance(1);
	assert_ok(be_record(budget, "llm", 5, "young", NULL));
	assert_number(prune(budget).transactions, 200);
	assert_number(count_transactions(budget), 1);
	assert_balance(budget, "llm", 405, 0);
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	assert_balance(budget, "llm", 406, 0);
	assert_number(prune(budget).transactions, 0);
}

static uint64_t pages_of_a_ledger(struct be_enforcer *budget, uint64_t transactions)
{
	struct be_statistics before = BE_STATISTICS_INIT, after = BE_STATISTICS_INIT;

	assert_ok(be_stats(budget, &before));
	for (uint64_t i = 0; i < transactions; i++)
		assert_ok(be_record(budget, "llm", 1, "a call", NULL));
	assert_ok(be_stats(budget, &after));
	return after.pages - after.free_pages - before.pages + before.free_pages;
}

/* What is kept of the pruned must not lie behind the ledger: its pages were left half empty. */
BEHAVIOUR_TEST(prune, the_ledger_fills_its_pages_afterwards_too)
{
	uint64_t before;

	fixture_create(budget, "llm", 100000);
	before = pages_of_a_ledger(budget, 4000);
	fixture_advance(1);
	assert_number(prune(budget).transactions, 4000);
	cr_assert_leq(pages_of_a_ledger(budget, 4000), before + before / 4);
}

BEHAVIOUR_TEST(prune, windows_that_have_ended_keep_nothing)
{
	assert_ok(be_envelope_create(budget, "llm", 100, BE_PERIOD_HOURLY, NULL));
	assert_ok(be_record(budget, "llm", 60, NULL, NULL));
	fixture_advance(HOUR_NS);
	assert_ok(be_record(budget, "llm", 7, NULL, NULL));
	fixture_advance(1);
	assert_number(prune(budget).transactions, 2);
	assert_balance(budget, "llm", 7, 0);
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_balance(budget, "llm", 0, 0);
}

BEHAVIOUR_TEST(prune, ancestors_keep_what_a_removed_child_spent)
{
	struct be_enforcer *task = fixture_open("task");

	fixture_create(budget, "all", 1000);
	fixture_create_below(budget, "day", 500, "", "all");
	fixture_create_below(task, "llm", 100, "", "day");
	assert_ok(be_record(task, "llm", 30, NULL, NULL));
	assert_ok(be_record(budget, "day", 4, NULL, NULL));
	assert_ok(be_envelope_remove(task, "llm"));
	/* Another of the same name is not the one that was charged. */
	fixture_create_below(task, "llm", 100, "", "all");
	assert_ok(be_record(task, "llm", 2, NULL, NULL));
	fixture_advance(1);
	assert_number(prune(budget).transactions, 3);
	assert_number(count_transactions(budget), 0);
	assert_balance(budget, "all", 36, 0);
	assert_balance(budget, "day", 34, 0);
	assert_balance(task, "llm", 2, 0);
}

BEHAVIOUR_TEST(prune, a_whole_chain_may_be_gone)
{
	fixture_create(budget, "day", 500);
	fixture_create_below(budget, "llm", 100, "", "day");
	assert_ok(be_record(budget, "llm", 30, NULL, NULL));
	assert_ok(be_envelope_remove(budget, "llm"));
	assert_ok(be_envelope_remove(budget, "day"));
	fixture_advance(1);
	assert_number(prune(budget).transactions, 1);
}

BEHAVIOUR_TEST(prune, ended_commits_are_forgotten_and_pending_ones_are_not)
{
	uint64_t released, settled, pending, young;

	fixture_create(budget, "llm", 100);
	released = fixture_commit(budget, "llm", 1);
	settled = fixture_commit(budget, "llm", 2);
	pending = fixture_commit(budget, "llm", 3);
	young = fixture_commit(budget, "llm", 4);
	assert_ok(be_release(budget, released));
	assert_ok(be_settle(budget, settled, 2, NULL, NULL));
	fixture_advance(1);
	assert_ok(be_release(budget, young));
	assert_number(prune(budget).commits, 2);
	assert_status(be_release(budget, released), BE_NO_COMMIT);
	assert_status(be_settle(budget, settled, 1, NULL, NULL), BE_NO_COMMIT);
	assert_status(be_release(budget, young), BE_ALREADY_RELEASED);
	assert_balance(budget, "llm", 2, 3);
	assert_ok(be_settle(budget, pending, 3, NULL, NULL));
	assert_balance(budget, "llm", 5, 0);
}

static bool stop_at_once(void *context, const struct be_pruning *done)
{
	assert_number(done->size, sizeof *done);
	++*(int *)context;
	return false;
}

BEHAVIOUR_TEST(prune, it_stops_when_told_and_goes_on_later)
{
	struct be_pruning pruning = BE_PRUNING_INIT;
	uint64_t left;
	int calls = 0;

	fixture_create(budget, "llm", 1000);
	for (int i = 0; i < 300; i++)
		assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	fixture_advance(1);
	assert_status(be_prune(budget, fixture.now_ns, stop_at_once, &calls, &pruning), BE_STOPPED);
	assert_number(calls, 1);
	left = count_transactions(budget);
	cr_assert(pruning.transactions > 0 && left > 0 && left + pruning.transactions == 300);
	assert_number(prune(budget).transactions, left);
	assert_balance(budget, "llm", 300, 0);
}

BEHAVIOUR_TEST(prune, wrong_arguments_are_refused)
{
	struct be_pruning pruning = BE_PRUNING_INIT;
	struct be_options options = fixture_options();
	struct be_enforcer *reader;

	fixture_create(budget, "llm", 1000);
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	fixture_advance(1);
	assert_status(be_prune(NULL, 1, NULL, NULL, &pruning), BE_INVALID_ARGUMENT);
	options.flags |= BE_OPEN_READ_ONLY;
	reader = fixture_open_with(&options);
	assert_refused(be_prune(reader, fixture.now_ns, NULL, NULL, &pruning), BE_READ_ONLY);
	pruning.size = 0;
	assert_refused(be_prune(budget, fixture.now_ns, NULL, NULL, &pruning), BE_INVALID_SIZE);
}
