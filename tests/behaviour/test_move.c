/* SPDX-License-Identifier: Apache-2.0 */
/* Another parent for an envelope: it is asked, and pays, from then on. */
#include "fixture.h"

static enum be_status move(struct be_enforcer *handle, const char *category,
			   const char *parent_namespace, const char *parent_category)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = BE_SET_PARENT;
	settings.parent_namespace = parent_namespace;
	settings.parent_category = parent_category;
	return be_envelope_set(handle, category, &settings, NULL);
}

static void assert_children(struct be_enforcer *handle, const char *category, uint64_t children)
{
	assert_number(fixture_envelope(handle, category).children, children);
}

BEHAVIOUR_TEST(move, changes_who_is_asked_from_then_on)
{
	struct be_decision decision = BE_DECISION_INIT;
	struct be_enforcer *team;
	uint64_t id;

	team = fixture_open("team");
	fixture_create(budget, "small", 10);
	fixture_create(team, "large", 1000);
	fixture_create_below(budget, "llm", 500, NULL, "small");
	fixture_create_below(budget, "task", 400, NULL, "llm");
	assert_ok(be_record(budget, "task", 8, NULL, NULL));
	assert_refused(be_check(budget, "task", 3, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "small");

	assert_ok(move(budget, "llm", "team", "large"));
	assert_text(fixture_envelope(budget, "llm").parent_namespace, "team");
	assert_text(fixture_envelope(budget, "llm").parent_category, "large");
	assert_children(budget, "small", 0);
	assert_children(team, "large", 1);
	assert_balance(budget, "small", 8, 0);
	assert_balance(team, "large", 0, 0);
	assert_ok(be_commit(budget, "task", 300, NULL, &id));
	assert_balance(budget, "small", 8, 0);
	assert_balance(team, "large", 0, 300);
	assert_ok(be_settle(budget, id, 200, NULL, NULL));
	assert_balance(team, "large", 200, 0);

	assert_ok(move(budget, "llm", NULL, NULL));
	assert_number(fixture_envelope(budget, "llm").has_parent, false);
	assert_children(team, "large", 0);
	assert_ok(be_record(budget, "task", 50, NULL, NULL));
	assert_balance(team, "large", 200, 0);
	assert_balance(budget, "llm", 258, 0);
	assert_ok(move(budget, "llm", NULL, NULL));
	assert_ok(be_envelope_remove(budget, "small"));
}

BEHAVIOUR_TEST(move, waits_until_nothing_is_held)
{
	uint64_t id, none;

	fixture_create(budget, "a", 100);
	fixture_create(budget, "b", 100);
	fixture_create_below(budget, "llm", 100, NULL, "a");
	fixture_create_below(budget, "task", 100, NULL, "llm");
	id = fixture_commit(budget, "task", 5);
	none = fixture_commit(budget, "llm", 0);
	assert_refused(move(budget, "llm", NULL, "b"), BE_HAS_COMMITS);
	assert_status(move(budget, "llm", NULL, "b"), BE_HAS_COMMITS);
	cr_assert(strstr(be_last_error(), "llm: 2 commits are pending there or below it"), "%s",
		  be_last_error());
	assert_refused(move(budget, "llm", NULL, NULL), BE_HAS_COMMITS);
	assert_ok(move(budget, "llm", NULL, "a")); /* no change */
	assert_ok(be_release(budget, none));
	assert_refused(move(budget, "task", NULL, "b"), BE_HAS_COMMITS);
	assert_ok(be_release(budget, id));
	assert_ok(move(budget, "llm", NULL, "b"));
}

BEHAVIOUR_TEST(move, makes_no_cycle_and_no_chain_too_long)
{
	static const char *const chain[] = {"1", "2", "3", "4", "5", "6", "7", "8"};

	fixture_create(budget, chain[0], 100);
	for (int i = 1; i < BE_DEPTH_MAX; i++)
		fixture_create_below(budget, chain[i], 100, NULL, chain[i - 1]);
	fixture_create(budget, "top", 100);
	fixture_create_below(budget, "below", 100, NULL, "top");
	fixture_create_below(budget, "other", 100, NULL, "5");
	assert_refused(move(budget, "1", NULL, "1"), BE_PARENT_CYCLE);
	assert_refused(move(budget, "1", NULL, "8"), BE_PARENT_CYCLE);
	assert_refused(move(budget, "3", NULL, "5"), BE_PARENT_CYCLE);
	assert_refused(move(budget, "3", NULL, "nobody"), BE_NO_PARENT);
	assert_refused(move(budget, "nobody", NULL, "1"), BE_NO_ENVELOPE);
	assert_refused(move(budget, "3", "team", NULL), BE_INVALID_ARGUMENT);
	assert_refused(move(budget, "3", NULL, ""), BE_INVALID_NAME);
	assert_refused(move(budget, "top", NULL, "8"), BE_TOO_DEEP);
	assert_refused(move(budget, "top", NULL, "7"), BE_TOO_DEEP);
	assert_refused(move(budget, "1", NULL, "top"), BE_TOO_DEEP);
	assert_refused(move(budget, "2", NULL, "below"), BE_TOO_DEEP);
	assert_ok(move(budget, "2", NULL, "top"));
	assert_ok(move(budget, "3", NULL, "below"));
	assert_refused(move(budget, "top", NULL, "1"), BE_TOO_DEEP);
	assert_ok(move(budget, "8", NULL, NULL));
	assert_ok(move(budget, "top", NULL, "1"));
	assert_ok(move(budget, "5", NULL, "1"));
	assert_refused(move(budget, "1", NULL, "other"), BE_PARENT_CYCLE);
}

/* What was charged stays with those that were above, and a correction takes it from them, however
 * often what is between them has moved, been renamed or removed since. */
BEHAVIOUR_TEST(move, corrections_find_those_that_were_charged)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	struct be_transaction line = BE_TRANSACTION_INIT;
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	uint64_t wrong, several;

	fixture_create(budget, "all", 1000);
	fixture_create_below(budget, "team", 1000, NULL, "all");
	fixture_create_below(budget, "llm", 1000, NULL, "team");
	fixture_create_below(budget, "task", 1000, NULL, "llm");
	fixture_create_below(budget, "other", 1000, NULL, "all");
	fixture_create(budget, "new", 1000);
	assert_ok(be_record(budget, "task", 10, NULL, &line));
	wrong = line.id;
	options.also = (const struct be_envelope_name[]){{NULL, "team"}, {NULL, "other"}};
	options.also_count = 2;
	assert_ok(be_record_with(budget, "task", 100, NULL, &options, &line));
	several = line.id;

	assert_ok(move(budget, "task", NULL, "new"));
	assert_ok(be_correct(budget, wrong, 1, NULL, NULL));
	assert_ok(be_correct(budget, several, 20, NULL, NULL));
	assert_ok(move(budget, "llm", NULL, "new"));
	assert_ok(move(budget, "team", NULL, "new"));
	settings.mask = BE_SET_NAME;
	settings.new_category = "everything";
	assert_ok(be_envelope_set(budget, "all", &settings, NULL));
	fixture_create(budget, "all", 1000);
	assert_ok(be_correct(budget, wrong, 2, NULL, NULL));
	assert_ok(be_correct(budget, several, 30, NULL, NULL));
	assert_balance(budget, "task", 57, 0);
	assert_balance(budget, "llm", 57, 0);
	assert_balance(budget, "team", 57, 0);
	assert_balance(budget, "other", 50, 0);
	assert_balance(budget, "everything", 57, 0);
	assert_balance(budget, "all", 0, 0);
	assert_balance(budget, "new", 0, 0);

	assert_ok(be_envelope_remove(budget, "llm"));
	assert_ok(be_correct(budget, wrong, 3, NULL, NULL));
	assert_ok(be_correct(budget, several, 40, NULL, NULL));
	assert_balance(budget, "team", 14, 0);
	assert_balance(budget, "everything", 14, 0);
	assert_ok(be_envelope_remove(budget, "team"));
	assert_refused(be_correct(budget, several, 1, NULL, NULL), BE_NO_ENVELOPE);
	assert_ok(be_correct(budget, wrong, 4, NULL, NULL));
	assert_balance(budget, "task", 10, 0);
	assert_balance(budget, "everything", 10, 0);
	fixture_check_balances();
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	assert_balance(budget, "everything", 10, 0);
	assert_balance(budget, "other", 10, 0);
}

/* What was reaped before is charged to those that are above by then. */
BEHAVIOUR_TEST(move, late_settles_are_charged_to_those_above_now)
{
	static const struct be_envelope_name also[] = {{NULL, "day"}, {NULL, "a"}};
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_transaction line = BE_TRANSACTION_INIT;
	uint64_t id;

	fixture_create(budget, "a", 100);
	fixture_create(budget, "b", 100);
	fixture_create(budget, "day", 100);
	fixture_create_below(budget, "llm", 100, NULL, "a");
	options.also = also;
	options.also_count = 2;
	options.ttl_ms = 1;
	assert_ok(be_commit_with(budget, "llm", 7, NULL, &options, &id, NULL));
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_ok(move(budget, "llm", NULL, "b"));
	assert_ok(move(budget, "day", NULL, "b"));
	assert_ok(be_settle(budget, id, 6, NULL, &line));
	assert_balance(budget, "llm", 6, 0);
	assert_balance(budget, "day", 6, 0);
	assert_balance(budget, "a", 6, 0); /* it is named */
	assert_balance(budget, "b", 6, 0); /* once */
	assert_ok(move(budget, "llm", NULL, "a"));
	assert_ok(be_correct(budget, line.id, 2, NULL, NULL));
	assert_balance(budget, "llm", 4, 0);
	assert_balance(budget, "day", 4, 0);
	assert_balance(budget, "a", 4, 0);
	assert_balance(budget, "b", 4, 0);
}

BEHAVIOUR_TEST(move, pruning_folds_into_those_that_were_charged)
{
	fixture_create(budget, "all", 1000);
	fixture_create_below(budget, "team", 1000, NULL, "all");
	fixture_create_below(budget, "llm", 1000, NULL, "team");
	fixture_create_below(budget, "task", 1000, NULL, "team");
	fixture_create(budget, "new", 1000);
	assert_ok(be_record(budget, "llm", 5, NULL, NULL));
	assert_ok(be_record(budget, "task", 3, NULL, NULL));
	assert_ok(move(budget, "llm", NULL, "new"));
	assert_ok(move(budget, "task", NULL, NULL));
	assert_ok(move(budget, "team", NULL, "new"));
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	fixture_check_balances();
	assert_balance(budget, "all", 8, 0);
	assert_balance(budget, "team", 8, 0);
	assert_balance(budget, "new", 1, 0);
	assert_balance(budget, "llm", 6, 0);
}

/* Together with another name, and as one of several changes, of which the last is refused. */
BEHAVIOUR_TEST(move, is_one_setting_among_others)
{
	struct be_settings settings = BE_SETTINGS_INIT, none = BE_SETTINGS_INIT;
	struct be_envelope_change changes[2] = {BE_ENVELOPE_CHANGE_INIT, BE_ENVELOPE_CHANGE_INIT};
	size_t failed;

	fixture_create(budget, "a", 100);
	fixture_create_below(budget, "llm", 100, NULL, "a");
	settings.mask = BE_SET_PARENT | BE_SET_NAME | BE_SET_LIMIT;
	settings.limit = 7;
	settings.new_category = "models";
	assert_ok(be_envelope_set(budget, "llm", &settings, NULL));
	assert_number(fixture_envelope(budget, "models").limit, 7);
	assert_number(fixture_envelope(budget, "models").has_parent, false);
	settings.new_category = "llm";
	settings.parent_category = "a";
	assert_ok(be_envelope_set(budget, "models", &settings, NULL));
	assert_text(fixture_envelope(budget, "llm").parent_category, "a");

	none.mask = BE_SET_PARENT;
	settings.mask = BE_SET_PARENT;
	settings.parent_category = "llm";
	for (int i = 0; i < 2; i++)
		changes[i].operation = BE_OPERATION_SET;
	changes[0].category = "llm";
	changes[0].settings = &none;
	changes[1].category = "a";
	changes[1].settings = &settings;
	assert_ok(be_envelopes_apply(budget, changes, 2, &failed));
	assert_text(fixture_envelope(budget, "a").parent_category, "llm");
	changes[0].category = "a";
	changes[1].category = "llm";
	assert_refused(be_envelopes_apply(budget, changes, 2, &failed), BE_PARENT_CYCLE);
	assert_number(failed, 1);
}

/* ---- what is below is looked for before the txn, and looked at again in it */

/* A storage in front of another one, in which something is changed just before the next write txn
 * begins, and which counts the walks in that. */
static struct {
	const struct be_storage *inner;
	struct be_enforcer *other; /* a handle on the inner one */
	void (*change)(void);      /* NULL: nothing is to be changed */
	bool writing;
	int walks;
} front;

static int begin_behind_a_change(void *self, bool write, void **txn)
{
	void (*change)(void) = write ? front.change : NULL;

	(void)self;
	if (change) {
		front.change = NULL;
		change();
	}
	front.writing = write;
	front.walks = 0;
	return front.inner->ops->begin(front.inner->self, write, txn);
}

static int count_walks(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		       struct be_bytes *value)
{
	(void)self;
	front.walks += front.writing;
	return front.inner->ops->next(front.inner->self, txn, from, key, value);
}

static void change_nothing(void)
{
}

static void make_one_too_deep(void)
{
	fixture_create_below(front.other, "below-e", 100, NULL, "e");
}

static void make_another(void)
{
	fixture_create_below(front.other, "another", 100, NULL, "top");
}

static void exchange_two(void)
{
	assert_ok(move(front.other, "d", NULL, "g"));
	assert_ok(move(front.other, "h", NULL, "c"));
}

static void make_one_anew(void)
{
	assert_ok(be_envelope_remove(front.other, "h"));
	fixture_create_below(front.other, "h", 100, NULL, "g");
}

static void rename_one(void)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = BE_SET_NAME;
	settings.new_category = "i";
	assert_ok(be_envelope_set(front.other, "h", &settings, NULL));
}

static void move_one_away(void)
{
	assert_ok(move(front.other, "h", NULL, NULL));
}

static void remove_the_deepest(void)
{
	assert_ok(be_envelope_remove(front.other, "e"));
}

/* Below "top" are c, d, e and f, g, h, each below the one before. */
static void make_two_chains(void)
{
	static const char *const chain[] = {"1", "2", "3", "4", "5"};

	fixture_create(front.other, chain[0], 100);
	for (int i = 1; i < 5; i++)
		fixture_create_below(front.other, chain[i], 100, NULL, chain[i - 1]);
	fixture_create(front.other, "top", 100);
	fixture_create_below(front.other, "c", 100, NULL, "top");
	fixture_create_below(front.other, "d", 100, NULL, "c");
	fixture_create_below(front.other, "e", 100, NULL, "d");
	fixture_create_below(front.other, "f", 100, NULL, "top");
	fixture_create_below(front.other, "g", 100, NULL, "f");
	fixture_create_below(front.other, "h", 100, NULL, "g");
}

static struct be_enforcer *open_over(struct be_storage *storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.storage = storage;
	assert_ok(be_open(NULL, &options, &handle));
	return handle;
}

static void move_after(void (*change)(void), const char *parent, enum be_status status, bool walks)
{
	struct be_storage *inner, outer;
	struct be_storage_ops ops;
	struct be_enforcer *handle;

	assert_ok(be_storage_memory_create(&inner));
	ops = *inner->ops;
	ops.size = sizeof ops;
	ops.reserved = 0;
	ops.begin = begin_behind_a_change;
	ops.next = count_walks;
	outer = (struct be_storage){&ops, inner->self};
	front.inner = inner;
	front.other = open_over(inner);
	make_two_chains();
	handle = open_over(&outer);
	front.change = change;
	assert_status(move(handle, "top", NULL, parent), status);
	cr_assert_null(front.change);
	cr_assert_eq(front.walks > 0, walks);
	assert_ok(be_verify(front.other, NULL, NULL, NULL));
	be_close(handle);
	be_close(front.other);
	be_storage_memory_destroy(inner);
}

Test(move, looks_again_at_what_is_below)
{
	move_after(change_nothing, "4", BE_OK, false);
	move_after(change_nothing, "5", BE_TOO_DEEP, false);
	move_after(make_one_too_deep, "4", BE_TOO_DEEP, true);
	move_after(make_another, "4", BE_OK, true);
	move_after(exchange_two, "4", BE_TOO_DEEP, true);
	move_after(make_one_anew, "4", BE_OK, true);
	move_after(rename_one, "4", BE_OK, true);
	move_after(move_one_away, "4", BE_OK, true);
	move_after(remove_the_deepest, "4", BE_OK, true);
	move_after(remove_the_deepest, "5", BE_TOO_DEEP, true);
}

/* ---- what becomes of the new ones above */

/* Nothing is carried over: a parent that has nothing left, or is suspended, is one all the same. */
BEHAVIOUR_TEST(move, takes_any_parent_which_then_decides)
{
	struct be_decision decision = BE_DECISION_INIT;
	struct be_enforcer *team = fixture_open("team");

	fixture_create(budget, "llm", 100);
	fixture_create_below(budget, "task", 100, NULL, "llm");
	assert_ok(be_record(budget, "task", 50, NULL, NULL));
	fixture_create(team, "small", 10);
	assert_ok(move(budget, "llm", "team", "small"));
	assert_balance(team, "small", 0, 0);
	assert_number(fixture_envelope(budget, "llm").available, 50);
	assert_refused(be_check(budget, "task", 11, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.namespace_name, "team");
	assert_text(decision.category, "small");
	assert_ok(be_check(budget, "task", 10, NULL));

	fixture_create(team, "used-up", 10);
	assert_ok(be_record(team, "used-up", 25, NULL, NULL));
	assert_ok(move(budget, "llm", "team", "used-up"));
	assert_balance(team, "used-up", 25, 0);
	assert_refused(be_check(budget, "task", 1, &decision), BE_EXCEEDS_BUDGET);
	assert_text(decision.category, "used-up");
	assert_ok(be_envelope_reset(team, "used-up"));
	assert_ok(be_check(budget, "task", 10, NULL));

	fixture_create(team, "paused", 1000);
	assert_ok(be_envelope_suspend(team, "paused"));
	assert_ok(move(budget, "llm", "team", "paused"));
	assert_number(fixture_envelope(budget, "llm").suspended, false);
	assert_refused(be_check(budget, "task", 1, &decision), BE_SUSPENDED);
	assert_text(decision.category, "paused");
	assert_ok(be_record(budget, "task", 1, NULL, NULL));
	assert_balance(team, "paused", 1, 0);
	assert_ok(be_envelope_resume(team, "paused"));
	assert_ok(be_check(budget, "task", 49, NULL));

	/* One that is suspended itself moves, and stays so. */
	assert_ok(be_envelope_suspend(budget, "llm"));
	assert_ok(move(budget, "llm", NULL, NULL));
	assert_refused(be_check(budget, "task", 1, &decision), BE_SUSPENDED);
	assert_text(decision.category, "llm");
	assert_balance(team, "small", 0, 0);
	assert_balance(team, "used-up", 0, 0);
}

/* Each keeps the window that it has, and what is spent then counts in both. */
BEHAVIOUR_TEST(move, leaves_windows_as_they_are)
{
	struct be_envelope day, llm;

	assert_ok(be_envelope_create(budget, "day", 100, BE_PERIOD_DAILY, NULL));
	fixture_advance(HOUR_NS);
	assert_ok(be_envelope_create(budget, "llm", 100, BE_PERIOD_HOURLY, NULL));
	assert_ok(be_record(budget, "llm", 30, NULL, NULL));
	day = fixture_envelope(budget, "day");
	llm = fixture_envelope(budget, "llm");
	fixture_advance(SECOND_NS);
	assert_ok(move(budget, "llm", NULL, "day"));
	assert_number(fixture_envelope(budget, "day").period_end_ns, day.period_end_ns);
	assert_number(fixture_envelope(budget, "llm").period_end_ns, llm.period_end_ns);
	assert_balance(budget, "llm", 30, 0);
	assert_ok(be_record(budget, "llm", 5, NULL, NULL));
	assert_balance(budget, "llm", 35, 0);
	assert_balance(budget, "day", 5, 0);
	fixture_advance(HOUR_NS);
	assert_balance(budget, "llm", 0, 0);
	assert_balance(budget, "day", 5, 0);

	/* One whose window has ended begins its next one with what it is charged then. */
	fixture_advance(DAY_NS);
	assert_ok(move(budget, "llm", NULL, NULL));
	assert_ok(move(budget, "llm", NULL, "day"));
	assert_ok(be_record(budget, "llm", 2, NULL, NULL));
	assert_balance(budget, "day", 2, 0);
	assert_balance(budget, "llm", 2, 0);
}
