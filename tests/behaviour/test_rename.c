/* SPDX-License-Identifier: Apache-2.0 */
/* Another name for an envelope: all that it has and holds stays, and so do those below it. */
#include "fixture.h"

static enum be_status rename_to(struct be_enforcer *handle, const char *category,
				const char *new_namespace, const char *new_category,
				struct be_envelope *envelope)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = BE_SET_NAME;
	settings.new_namespace = new_namespace;
	settings.new_category = new_category;
	return be_envelope_set(handle, category, &settings, envelope);
}

static bool take_name(void *context, const struct be_commit_info *commit)
{
	strcpy(context, commit->category);
	return true;
}

BEHAVIOUR_TEST(rename, keeps_what_is_spent_committed_and_below)
{
	struct be_envelope before, after = BE_ENVELOPE_INIT;
	char name[BE_NAME_SIZE] = "";
	uint64_t own, below;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	fixture_create_below(budget, "task", 5 * BE_UNIT, "", "llm");
	assert_ok(be_record(budget, "llm", BE_UNIT, NULL, NULL));
	own = fixture_commit(budget, "llm", BE_UNIT);
	below = fixture_commit(budget, "task", 2 * BE_UNIT);
	before = fixture_envelope(budget, "llm");
	assert_ok(rename_to(budget, "llm", "team", "models", &after));
	assert_text(after.namespace_name, "team");
	assert_text(after.category, "models");
	assert_number(after.id, before.id);
	assert_number(after.spent, BE_UNIT);
	assert_number(after.committed, 3 * BE_UNIT);
	assert_number(after.children, 1);
	assert_number(after.pending_commits, 2);
	assert_text(fixture_envelope(budget, "task").parent_category, "models");
	assert_text(fixture_envelope(budget, "task").parent_namespace, "team");
	assert_refused(be_record(budget, "llm", 1, NULL, NULL), BE_NO_ENVELOPE);
	assert_ok(be_commits_each(
		budget, &(struct be_filter){.size = sizeof(struct be_filter), .max_count = 1},
		take_name, name));
	assert_text(name, "models");
	assert_ok(be_settle(budget, own, BE_UNIT, NULL, NULL));
	assert_ok(be_release(budget, below));
	fixture_check_balances();
	assert_balance(fixture_open("team"), "models", 2 * BE_UNIT, 0);
}

BEHAVIOUR_TEST(rename, is_refused_where_another_has_the_name)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	fixture_create(budget, "a", BE_UNIT);
	fixture_create(budget, "b", BE_UNIT);
	assert_refused(rename_to(budget, "a", NULL, "b", NULL), BE_ENVELOPE_EXISTS);
	assert_refused(rename_to(budget, "c", NULL, "d", NULL), BE_NO_ENVELOPE);
	assert_refused(rename_to(budget, "a", NULL, "", NULL), BE_INVALID_NAME);
	assert_refused(rename_to(budget, "a", "\n", "d", NULL), BE_INVALID_NAME);
	assert_refused(rename_to(budget, "a", "", NULL, NULL), BE_INVALID_ARGUMENT);
	assert_ok(rename_to(budget, "a", NULL, "a", NULL));
	settings.mask = BE_SET_NAME | BE_SET_LIMIT;
	settings.new_category = "c";
	settings.limit = 3 * BE_UNIT;
	assert_ok(be_envelope_set(budget, "a", &settings, NULL));
	assert_number(fixture_envelope(budget, "c").limit, 3 * BE_UNIT);
	assert_ok(rename_to(budget, "b", NULL, "a", NULL));
}

/* Those who know it by the name of then are told apart from those who mean the next of that
 * name. */
BEHAVIOUR_TEST(rename, reaches_what_was_reaped_or_charged_before)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t id, wrong, llm;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	llm = fixture_envelope(budget, "llm").id;
	assert_ok(be_record(budget, "llm", 3 * BE_UNIT, NULL, &transaction));
	wrong = transaction.id;
	assert_number(transaction.envelope_id, llm);
	options.ttl_ms = 1;
	assert_ok(be_commit_with(budget, "llm", BE_UNIT, NULL, &options, &id, NULL));
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_ok(rename_to(budget, "llm", NULL, "models", NULL));
	assert_ok(rename_to(budget, "models", NULL, "all-models", NULL));
	fixture_create(budget, "llm", 10 * BE_UNIT);
	fixture_create(budget, "models", 10 * BE_UNIT);
	assert_ok(be_settle(budget, id, BE_UNIT, NULL, &transaction));
	assert_text(transaction.category, "all-models");
	assert_number(transaction.envelope_id, llm);
	assert_ok(be_correct(budget, wrong, BE_UNIT, NULL, &transaction));
	assert_text(transaction.category, "all-models");
	assert_balance(budget, "all-models", 3 * BE_UNIT, 0);
	assert_balance(budget, "llm", 0, 0);
	assert_ok(be_envelope_remove(budget, "all-models"));
	assert_refused(be_correct(budget, wrong, BE_UNIT, NULL, NULL), BE_NO_ENVELOPE);
}

/* A commit over several of them, of which one is the other's parent; each gets another name, and
 * each old name is somebody else's by then. */
BEHAVIOUR_TEST(rename, commits_over_several_go_on)
{
	static const struct be_envelope_name also[] = {{NULL, "day"}, {NULL, "team"}};
	static const char *const names[] = {"llm", "day", "team"};
	static const char *const now[] = {"models", "today", "people"};
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t settled, released, reaped;

	fixture_create(budget, "team", 100);
	fixture_create_below(budget, "llm", 90, "", "team");
	fixture_create(budget, "day", 80);
	options.also = also;
	options.also_count = 2;
	assert_ok(be_commit_with(budget, "llm", 10, NULL, &options, &settled, NULL));
	assert_ok(be_commit_with(budget, "llm", 5, NULL, &options, &released, NULL));
	options.ttl_ms = 1000;
	assert_ok(be_commit_with(budget, "llm", 3, NULL, &options, &reaped, NULL));
	for (int i = 0; i < 3; i++)
		assert_ok(rename_to(budget, names[i], NULL, now[i], NULL));
	for (int i = 0; i < 3; i++)
		fixture_create(budget, names[i], 100);
	for (int i = 0; i < 3; i++)
		assert_balance(budget, now[i], 0, 18);
	assert_ok(be_extend(budget, settled, 12, 0, NULL));
	assert_ok(be_charge(budget, settled, 1, NULL, NULL));
	assert_ok(be_settle(budget, settled, 6, NULL, &transaction));
	assert_text(transaction.category, "models");
	assert_ok(be_release(budget, released));
	fixture_advance(2 * SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	for (int i = 0; i < 3; i++)
		assert_balance(budget, now[i], 7, 0);
	assert_ok(rename_to(budget, "today", "other", "day", NULL));
	assert_ok(be_settle(budget, reaped, 3, NULL, &transaction));
	assert_ok(be_correct(budget, transaction.id, 2, NULL, NULL));
	assert_ok(be_correct(budget, transaction.id - 1, 6, NULL, NULL));
	assert_balance(budget, "models", 2, 0);
	assert_balance(budget, "people", 2, 0);
	assert_balance(fixture_open("other"), "day", 2, 0);
	for (int i = 0; i < 3; i++)
		assert_balance(budget, names[i], 0, 0);
}

#define NAMES_SIZE (4 * BE_NAME_SIZE + 4)

static bool take_names(void *context, const struct be_commit_info *commit)
{
	snprintf(context, NAMES_SIZE, "%s:%s,%s:%s", commit->namespace_name, commit->category,
		 commit->also[0].namespace_name, commit->also[0].category);
	return true;
}

static bool take_names_of_then(void *context, const struct be_transaction *transaction)
{
	snprintf(context, NAMES_SIZE, "%s:%s,%s:%s", transaction->namespace_name,
		 transaction->category, transaction->also[0].namespace_name,
		 transaction->also[0].category);
	return true;
}

BEHAVIOUR_TEST(rename, commits_show_the_name_of_now_and_the_ledger_that_of_then)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_filter filter = BE_FILTER_INIT;
	char text[NAMES_SIZE] = "";
	uint64_t id;

	fixture_create(budget, "llm", 100);
	fixture_create(budget, "day", 100);
	options.also = &(struct be_envelope_name){NULL, "day"};
	options.also_count = 1;
	assert_ok(
		be_record_with(budget, "llm", 1, NULL,
			       &(struct be_charge_options){.size = sizeof(struct be_charge_options),
							   .also = options.also,
							   .also_count = 1},
			       NULL));
	assert_ok(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL));
	assert_ok(rename_to(budget, "llm", NULL, "models", NULL));
	assert_ok(rename_to(budget, "day", "other", "today", NULL));
	filter.category = "models";
	assert_ok(be_commits_each(budget, &filter, take_names, text));
	assert_text(text, ":models,other:today");
	filter.category = "today";
	strcpy(text, "");
	assert_ok(be_commits_each(budget, &filter, take_names, text));
	assert_text(text, ":models,other:today");
	filter.category = "day";
	strcpy(text, "none");
	assert_ok(be_commits_each(budget, &filter, take_names, text));
	assert_text(text, "none");
	assert_ok(be_transactions_each(budget, &filter, take_names_of_then, text));
	assert_text(text, ":llm,:day");
	assert_ok(be_release(budget, id));
}

/* Its children are many and none is written; each finds it, and shows its name. */
BEHAVIOUR_TEST(rename, children_find_their_parent)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	bool made = true;

	fixture_create(budget, "all", 100);
	fixture_create_below(budget, "team", 50, "", "all");
	fixture_create_below(budget, "llm", 40, "", "team");
	fixture_create_below(budget, "task", 30, "", "llm");
	assert_ok(rename_to(budget, "team", NULL, "people", NULL));
	assert_ok(rename_to(budget, "all", "top", "all", NULL));
	fixture_create(budget, "team", 1);
	fixture_create(budget, "all", 1);
	assert_ok(be_check(budget, "task", 30, NULL));
	assert_text(fixture_envelope(budget, "llm").parent_category, "people");
	assert_text(fixture_envelope(budget, "people").parent_namespace, "top");
	options.parent_category = "people";
	assert_ok(be_envelope_ensure_with(budget, "llm", 40, BE_PERIOD_TOTAL, &options, &envelope,
					  &made));
	assert_text(envelope.parent_category, "people");
	assert_ok(be_envelope_set_limit(budget, "llm", 45));
	assert_ok(be_record(budget, "people", 30, NULL, NULL));
	assert_refused(be_check(budget, "task", 21, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "people");
	assert_ok(be_record(fixture_open("top"), "all", 60, NULL, NULL));
	assert_refused(be_check(budget, "task", 11, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.namespace_name, "top");
	assert_refused(be_envelope_remove(budget, "people"), BE_HAS_CHILDREN);
	assert_ok(be_record(budget, "task", 5, NULL, NULL));
	assert_balance(budget, "people", 35, 0);
	assert_ok(be_envelope_remove(budget, "task"));
	assert_ok(be_envelope_remove(budget, "llm"));
	assert_ok(be_envelope_remove(budget, "people"));
	assert_balance(budget, "team", 0, 0);
}

/* What is pruned stays in the sums of those who paid for it, whatever they are called. */
BEHAVIOUR_TEST(rename, pruning_folds_into_those_that_were_charged)
{
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;

	fixture_create(budget, "all", 1000);
	fixture_create_below(budget, "llm", 1000, "", "all");
	fixture_create(budget, "day", 1000);
	options.also = &(struct be_envelope_name){NULL, "day"};
	options.also_count = 1;
	for (int i = 0; i < 5; i++)
		assert_ok(be_record_with(budget, "llm", 2, NULL, &options, NULL));
	assert_ok(rename_to(budget, "all", NULL, "everything", NULL));
	assert_ok(rename_to(budget, "llm", NULL, "models", NULL));
	assert_ok(rename_to(budget, "day", NULL, "today", NULL));
	fixture_create(budget, "llm", 1000);
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	fixture_check_balances();
	assert_balance(budget, "models", 10, 0);
	assert_balance(budget, "everything", 10, 0);
	assert_balance(budget, "today", 10, 0);
}

/* A request that is sent again is given its first answer, with the name of then. */
BEHAVIOUR_TEST(rename, keys_are_remembered)
{
	struct be_charge_options charge = BE_CHARGE_OPTIONS_INIT;
	struct be_transaction first = BE_TRANSACTION_INIT, again = BE_TRANSACTION_INIT;

	fixture_create(budget, "llm", 100);
	charge.key = "k";
	assert_ok(be_record_with(budget, "llm", 7, NULL, &charge, &first));
	assert_ok(rename_to(budget, "llm", NULL, "models", NULL));
	assert_ok(be_record_with(budget, "llm", 7, NULL, &charge, &again));
	assert_number(again.id, first.id);
	assert_text(again.category, "llm");
	assert_balance(budget, "models", 7, 0);
}

static void note_parent(void *context, const struct be_event *event)
{
	if (event->operation == BE_OPERATION_CORRECT && event->envelope)
		strcpy(context, event->envelope->parent_category);
}

BEHAVIOUR_TEST(rename, who_observes_a_correction_sees_the_parents_name_of_now)
{
	struct be_options options = fixture_options();
	struct be_transaction charged = BE_TRANSACTION_INIT;
	char parent[BE_NAME_SIZE] = "";
	struct be_enforcer *observed;

	options.observe = note_parent;
	options.observe_context = parent;
	observed = fixture_open_with(&options);
	fixture_create(budget, "llm", 10 * BE_UNIT);
	fixture_create_below(budget, "task", 5 * BE_UNIT, "", "llm");
	assert_ok(be_record(budget, "task", BE_UNIT, NULL, &charged));
	assert_ok(rename_to(budget, "llm", NULL, "models", NULL));
	assert_ok(be_correct(observed, charged.id, 1, NULL, NULL));
	assert_text(parent, "models");
}
