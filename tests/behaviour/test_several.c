/* SPDX-License-Identifier: Apache-2.0 */
/* Commits and costs over several envelopes: in all of them and their ancestors, or in none. */
#include "fixture.h"

/* A customer and a model, each below the company, and a day of its own. */
static const struct be_envelope_name model_and_day[] = {{NULL, "model"}, {NULL, "day"}};

static void create_three(struct be_enforcer *budget)
{
	fixture_create(budget, "company", 100);
	fixture_create_below(budget, "customer", 40, "", "company");
	fixture_create_below(budget, "model", 60, "", "company");
	fixture_create(budget, "day", 50);
}

static struct be_commit_options over(const struct be_envelope_name *also, uint32_t count)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;

	options.also = also;
	options.also_count = count;
	return options;
}

static uint64_t commit_three(struct be_enforcer *budget, int64_t amount, uint64_t ttl_ms,
			     enum be_reap_policy policy)
{
	struct be_commit_options options = over(model_and_day, 2);
	uint64_t id;

	options.ttl_ms = ttl_ms;
	options.reap_policy = policy;
	assert_ok(be_commit_with(budget, "customer", amount, "a task", &options, &id, NULL));
	return id;
}

#define assert_all(spent, committed)                                                               \
	do {                                                                                       \
		assert_balance(budget, "customer", spent, committed);                              \
		assert_balance(budget, "model", spent, committed);                                 \
		assert_balance(budget, "day", spent, committed);                                   \
		assert_balance(budget, "company", spent, committed);                               \
	} while (0)

BEHAVIOUR_TEST(several, each_envelope_and_each_ancestor_holds_the_amount_once)
{
	uint64_t id;

	create_three(budget);
	id = commit_three(budget, 10, 0, BE_REAP_RELEASE);
	assert_all(0, 10);
	assert_number(fixture_envelope(budget, "company").pending_commits, 1);
	assert_number(fixture_envelope(budget, "company").commits_granted, 1);
	assert_ok(be_extend(budget, id, 30, 0, NULL));
	assert_all(0, 30);
	assert_ok(be_charge(budget, id, 4, NULL, NULL));
	assert_all(4, 26);
	assert_ok(be_settle(budget, id, 7, NULL, NULL));
	assert_all(11, 0);
	assert_status(be_settle(budget, id, 7, NULL, NULL), BE_ALREADY_SETTLED);
	assert_ok(be_release(budget, commit_three(budget, 10, 0, BE_REAP_RELEASE)));
	assert_all(11, 0);
	assert_number(fixture_envelope(budget, "day").pending_commits, 0);
}

BEHAVIOUR_TEST(several, the_first_that_refuses_is_named_and_nothing_is_held)
{
	struct be_commit_options options = over(model_and_day, 2);
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id;

	create_three(budget);
	assert_ok(be_record(budget, "day", 45, NULL, NULL));
	assert_refused(be_commit_with(budget, "customer", 6, NULL, &options, &id, &decision),
		       BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "day");
	assert_number(decision.available, 5);
	assert_ok(be_record(budget, "company", 90, NULL, NULL));
	assert_refused(be_commit_with(budget, "customer", 11, NULL, &options, &id, &decision),
		       BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "company");
	assert_ok(be_envelope_suspend(budget, "model"));
	assert_refused(be_commit_with(budget, "customer", 1, NULL, &options, &id, &decision),
		       BE_SUSPENDED);
	assert_text(decision.category, "model");
	assert_number(id, 0);
	/* To extend is asked of all of them, too. */
	assert_ok(be_envelope_resume(budget, "model"));
	assert_ok(be_commit_with(budget, "customer", 5, NULL, &options, &id, &decision));
	assert_text(decision.category, "customer");
	assert_number(decision.available, 35);
	assert_refused(be_extend(budget, id, 6, 0, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "day");
}

BEHAVIOUR_TEST(several, the_one_that_is_missing_is_named)
{
	static const struct be_envelope_name also[] = {{NULL, "model"}, {"task", "lost"}};
	struct be_commit_options options = over(also, 2);
	struct be_charge_options charge = BE_CHARGE_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id;

	create_three(budget);
	assert_refused(be_commit_with(budget, "customer", 1, NULL, &options, &id, &decision),
		       BE_NO_ENVELOPE);
	assert_text(decision.namespace_name, "task");
	assert_text(decision.category, "lost");
	charge.also = also;
	charge.also_count = 2;
	assert_status(be_record_with(budget, "customer", 1, NULL, &charge, NULL), BE_NO_ENVELOPE);
	cr_assert(strstr(be_last_error(), "task/lost"), "%s", be_last_error());
}

BEHAVIOUR_TEST(several, as_much_is_granted_as_the_scarcest_has)
{
	struct be_commit_options options = over(model_and_day, 2);
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id;

	create_three(budget);
	assert_ok(be_record(budget, "day", 43, NULL, NULL));
	options.least = 2;
	assert_ok(be_commit_with(budget, "customer", 30, NULL, &options, &id, &decision));
	assert_number(decision.granted, 7);
	assert_balance(budget, "company", 0, 7);
	assert_refused(be_commit_with(budget, "customer", 30, NULL, &options, &id, &decision),
		       BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "day");
	assert_number(decision.requested, 2);
}

BEHAVIOUR_TEST(several, one_that_is_named_twice_or_is_an_ancestor_counts_once)
{
	static const struct be_envelope_name also[] = {
		{NULL, "company"}, {NULL, "model"}, {NULL, "customer"}, {"", "model"}};
	struct be_commit_options options = over(also, 4);
	uint64_t id;

	create_three(budget);
	assert_ok(be_commit_with(budget, "customer", 10, NULL, &options, &id, NULL));
	assert_balance(budget, "company", 0, 10);
	assert_balance(budget, "model", 0, 10);
	assert_ok(be_settle(budget, id, 3, NULL, NULL));
	assert_balance(budget, "company", 3, 0);
	assert_balance(budget, "customer", 3, 0);
	/* The ancestor first. */
	assert_ok(be_commit_with(budget, "company", 10, NULL, &options, &id, NULL));
	assert_balance(budget, "company", 3, 10);
	assert_balance(budget, "customer", 3, 10);
	assert_ok(be_release(budget, id));
	assert_balance(budget, "customer", 3, 0);
}

BEHAVIOUR_TEST(several, what_is_reaped_is_reaped_in_all_of_them)
{
	uint64_t id;

	create_three(budget);
	(void)commit_three(budget, 10, 1000, BE_REAP_CHARGE);
	id = commit_three(budget, 20, 1000, BE_REAP_RELEASE);
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_all(10, 0);
	assert_number(fixture_envelope(budget, "day").expired_charged, 1);
	assert_number(fixture_envelope(budget, "company").expired_released, 1);
	/* Late, and charged all the same. */
	assert_ok(be_settle(budget, id, 15, NULL, NULL));
	assert_all(25, 0);
	assert_number(fixture_envelope(budget, "model").settled_late, 1);
}

BEHAVIOUR_TEST(several, a_late_settle_is_refused_when_one_of_them_was_removed)
{
	uint64_t id;

	create_three(budget);
	id = commit_three(budget, 20, 1000, BE_REAP_RELEASE);
	assert_status(be_envelope_remove(budget, "day"), BE_HAS_COMMITS);
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_ok(be_envelope_remove(budget, "day"));
	assert_refused(be_settle(budget, id, 15, NULL, NULL), BE_NO_ENVELOPE);
	fixture_create(budget, "day", 100);
	assert_refused(be_settle(budget, id, 15, NULL, NULL), BE_NO_ENVELOPE);
	assert_all(0, 0);
}

BEHAVIOUR_TEST(several, a_refusal_reaps_what_holds_the_money_of_any_of_them)
{
	struct be_commit_options options = over(model_and_day, 2), dead = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	create_three(budget);
	dead.ttl_ms = 1000;
	assert_ok(be_commit_with(budget, "day", 50, NULL, &dead, &id, NULL));
	assert_status(be_commit_with(budget, "customer", 5, NULL, &options, &id, NULL),
		      BE_EXCEEDS_BUDGET);
	fixture_advance(SECOND_NS);
	assert_ok(be_commit_with(budget, "customer", 5, NULL, &options, &id, NULL));
	assert_balance(budget, "day", 0, 5);
}

BEHAVIOUR_TEST(several, a_cost_is_recorded_in_all_of_them)
{
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	struct be_transaction first = BE_TRANSACTION_INIT, again = BE_TRANSACTION_INIT;
	uint64_t id;

	create_three(budget);
	options.also = model_and_day;
	options.also_count = 2;
	options.key = "k";
	assert_ok(be_record_with(budget, "customer", 70, "a call", &options, &first));
	assert_all(70, 0);
	assert_number(first.also_count, 2);
	cr_assert_null(first.also);
	assert_refused(be_record_with(budget, "customer", 70, "a call", &options, &again), BE_OK);
	cr_assert(memcmp(&first, &again, sizeof first) == 0);
	/* Over others it is another request. */
	options.also_count = 1;
	assert_refused(be_record_with(budget, "customer", 70, "a call", &options, NULL),
		       BE_KEY_REUSED);
	/* A commit has its own. */
	id = fixture_commit(budget, "day", 0);
	options.key = NULL;
	assert_refused(be_settle_with(budget, id, 1, NULL, &options, NULL), BE_INVALID_ARGUMENT);
	assert_refused(be_charge_with(budget, id, 1, NULL, &options, NULL), BE_INVALID_ARGUMENT);
}

/* ---- listings */

struct shown {
	unsigned count;
	char names[4][256];
};

static void note(struct shown *shown, const struct be_envelope_name *also, uint32_t count)
{
	char *at = shown->names[shown->count++];

	cr_assert_eq(also == NULL, count == 0);
	*at = '\0';
	for (uint32_t i = 0; i < count; i++)
		at += sprintf(at, "%s/%s ", also[i].namespace_name, also[i].category);
}

static bool see_commit(void *context, const struct be_commit_info *info)
{
	note(context, info->also, info->also_count);
	return true;
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	note(context, transaction->also, transaction->also_count);
	return true;
}

BEHAVIOUR_TEST(several, listings_show_them_and_find_by_any_of_them)
{
	struct be_enforcer *task = fixture_open("task");
	const struct be_envelope_name also[] = {{"task", "own"}, {NULL, "day"}};
	struct be_commit_options options = over(also, 2);
	struct be_filter filter = BE_FILTER_INIT;
	struct shown shown = {0};
	uint64_t id;

	create_three(budget);
	fixture_create(task, "own", 100);
	assert_ok(be_commit_with(budget, "customer", 5, NULL, &options, &id, NULL));
	fixture_commit(budget, "day", 1);
	assert_ok(be_charge(budget, id, 1, NULL, NULL));
	assert_ok(be_record(budget, "model", 1, NULL, NULL));
	assert_ok(be_commits_each(budget, NULL, see_commit, &shown));
	assert_number(shown.count, 2);
	assert_text(shown.names[0], "task/own /day ");
	assert_text(shown.names[1], "");
	shown.count = 0;
	assert_ok(be_transactions_each(budget, NULL, see_transaction, &shown));
	assert_number(shown.count, 2);
	assert_text(shown.names[0], "task/own /day ");
	assert_text(shown.names[1], "");

	filter.category = "day";
	shown.count = 0;
	assert_ok(be_commits_each(budget, &filter, see_commit, &shown));
	assert_number(shown.count, 2);
	filter.namespace_name = "task";
	filter.category = NULL;
	shown.count = 0;
	assert_ok(be_transactions_each(budget, &filter, see_transaction, &shown));
	assert_number(shown.count, 1);
	filter.category = "day"; /* not one of both, but one that is both */
	shown.count = 0;
	assert_ok(be_commits_each(budget, &filter, see_commit, &shown));
	assert_number(shown.count, 0);
}

/* ---- the most there may be */

static void long_name(char name[BE_NAME_SIZE], int chain, int depth)
{
	memset(name, 'n', BE_NAME_SIZE - 1);
	name[0] = (char)('a' + chain);
	name[1] = (char)('0' + depth);
	name[BE_NAME_SIZE - 1] = '\0';
}

/* Sixteen chains of eight envelopes, the names of which are as long as names may be. */
static void create_most(struct be_enforcer *budget, char names[BE_ENVELOPES_MAX][BE_NAME_SIZE])
{
	char parent[BE_NAME_SIZE];

	for (int chain = 0; chain < BE_ENVELOPES_MAX; chain++) {
		long_name(names[chain], chain, 0);
		fixture_create(budget, names[chain], 100);
		for (int depth = 1; depth < BE_DEPTH_MAX; depth++) {
			memcpy(parent, names[chain], sizeof parent);
			long_name(names[chain], chain, depth);
			fixture_create_below(budget, names[chain], 100, NULL, parent);
		}
	}
}

BEHAVIOUR_TEST(several, sixteen_chains_of_eight_are_the_most)
{
	static char names[BE_ENVELOPES_MAX][BE_NAME_SIZE];
	struct be_envelope_name also[BE_ENVELOPES_MAX];
	struct be_commit_options options = over(also, BE_ENVELOPES_MAX - 1);
	char description[BE_DESCRIPTION_SIZE], root[BE_NAME_SIZE];
	uint64_t id;

	create_most(budget, names);
	memset(description, 'd', sizeof description - 1);
	description[sizeof description - 1] = '\0';
	for (int i = 0; i < BE_ENVELOPES_MAX; i++)
		also[i] = (struct be_envelope_name){NULL, names[(i + 1) % BE_ENVELOPES_MAX]};
	assert_ok(be_commit_with(budget, names[0], 60, description, &options, &id, NULL));
	assert_balance(budget, names[15], 0, 60);
	assert_ok(be_settle(budget, id, 50, NULL, NULL));
	long_name(root, 15, 0);
	assert_balance(budget, root, 50, 0);
	assert_balance(budget, names[15], 50, 0);
	fixture_check_balances();
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	assert_balance(budget, names[7], 50, 0);
	options.also_count = BE_ENVELOPES_MAX;
	assert_refused(be_commit_with(budget, names[0], 1, NULL, &options, &id, NULL),
		       BE_INVALID_ARGUMENT);
}

BEHAVIOUR_TEST(several, what_is_no_list_is_refused)
{
	struct be_envelope_name also[] = {{NULL, "model"}, {NULL, NULL}};
	struct be_commit_options options = over(NULL, 1);
	uint64_t id;

	create_three(budget);
	assert_refused(be_commit_with(budget, "day", 1, NULL, &options, &id, NULL),
		       BE_INVALID_ARGUMENT);
	options = over(also, 2);
	assert_refused(be_commit_with(budget, "day", 1, NULL, &options, &id, NULL),
		       BE_INVALID_ARGUMENT);
	also[1].category = "";
	assert_refused(be_commit_with(budget, "day", 1, NULL, &options, &id, NULL),
		       BE_INVALID_NAME);
	also[1] = (struct be_envelope_name){"\xff", "day"};
	assert_refused(be_commit_with(budget, "day", 1, NULL, &options, &id, NULL),
		       BE_INVALID_NAME);
	options = over(also, 1);
	options.reserved_too = 1;
	assert_refused(be_commit_with(budget, "day", 1, NULL, &options, &id, NULL),
		       BE_INVALID_SIZE);
}

/* ---- pruning */

static uint64_t records(struct be_enforcer *budget)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	assert_ok(be_stats(budget, &stats));
	return stats.records;
}

LMDB_TEST(several, pruning_keeps_what_is_spent_and_leaves_no_record_behind)
{
	struct be_prune_options all = BE_PRUNE_OPTIONS_INIT;
	uint64_t before, id;

	create_three(budget);
	fixture_create(budget, "gone", 100);
	before = records(budget);
	for (int i = 0; i < 3; i++)
		assert_ok(be_settle(budget, commit_three(budget, 5, 0, BE_REAP_RELEASE), 3, NULL,
				    NULL));
	id = commit_three(budget, 5, 1000, BE_REAP_RELEASE);
	(void)commit_three(budget, 5, 1000, BE_REAP_CHARGE);
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	fixture_advance(1);
	all.before_ns = fixture.now_ns;
	all.sums_before_ns = fixture.now_ns + DAY_NS;
	assert_ok(be_prune_with(budget, &all, NULL));
	assert_number(records(budget), before);
	assert_all(14, 0);
	assert_status(be_settle(budget, id, 1, NULL, NULL), BE_NO_COMMIT);
}

/* The ancestors of one that was removed are found by their ids. */
BEHAVIOUR_TEST(several, pruning_folds_into_what_is_left_of_a_chain)
{
	static const struct be_envelope_name also[] = {{NULL, "leaf"}, {NULL, "day"}};
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;

	create_three(budget);
	fixture_create(budget, "top", 100);
	fixture_create_below(budget, "leaf", 100, NULL, "top");
	options.also = also;
	options.also_count = 2;
	assert_ok(be_record_with(budget, "customer", 7, NULL, &options, NULL));
	assert_ok(be_record_with(budget, "customer", 1, NULL, NULL, NULL));
	assert_ok(be_envelope_remove(budget, "leaf"));
	assert_ok(be_envelope_remove(budget, "customer"));
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	assert_balance(budget, "top", 7, 0);
	assert_balance(budget, "company", 8, 0);
	assert_balance(budget, "day", 7, 0);
}
