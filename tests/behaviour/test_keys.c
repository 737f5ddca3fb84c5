/* SPDX-License-Identifier: Apache-2.0 */
/* Requests with keys: carried out once, answered alike afterwards, and forgotten in time. */
#include "fixture.h"

#define KEY_64 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

static struct be_commit_options commit_key(const char *key)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;

	options.key = key;
	return options;
}

static struct be_charge_options charge_key(const char *key)
{
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;

	options.key = key;
	return options;
}

static bool is_same(const void *a, const void *b, size_t size)
{
	return memcmp(a, b, size) == 0;
}

BEHAVIOUR_TEST(keys, a_charge_that_is_sent_again_is_answered_alike_and_charged_once)
{
	struct be_charge_options record = charge_key("step 1"), part = charge_key("step 2"),
				 rest = charge_key(KEY_64);
	struct be_transaction first = BE_TRANSACTION_INIT, again = BE_TRANSACTION_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	assert_ok(be_record_with(budget, "llm", 3, "a", &record, &first));
	fixture_advance(HOUR_NS);
	assert_refused(be_record_with(budget, "llm", 3, "a", &record, &again), BE_OK);
	cr_assert(is_same(&first, &again, sizeof first));

	id = fixture_commit(budget, "llm", 10);
	assert_ok(be_charge_with(budget, id, 4, "b", &part, &first));
	assert_refused(be_charge_with(budget, id, 4, "b", &part, &again), BE_OK);
	cr_assert(is_same(&first, &again, sizeof first));
	assert_number(again.held, 10);

	assert_ok(be_settle_with(budget, id, 5, NULL, &rest, &first));
	assert_refused(be_settle_with(budget, id, 5, NULL, &rest, &again), BE_OK);
	cr_assert(is_same(&first, &again, sizeof first));
	/* The part that was charged stands, although the commit has ended. */
	assert_refused(be_charge_with(budget, id, 4, "b", &part, &again), BE_OK);
	assert_refused(be_settle(budget, id, 5, NULL, NULL), BE_ALREADY_SETTLED);
	assert_balance(budget, "llm", 12, 0);
}

BEHAVIOUR_TEST(keys, an_answer_outlives_the_ledger_line_that_it_is_about)
{
	struct be_charge_options options = charge_key("k");
	struct be_transaction first = BE_TRANSACTION_INIT, again = BE_TRANSACTION_INIT;

	fixture_create(budget, "llm", 10);
	assert_ok(be_record_with(budget, "llm", 3, "a note", &options, &first));
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	assert_ok(be_record_with(budget, "llm", 3, "a note", &options, &again));
	cr_assert(is_same(&first, &again, sizeof first));
	assert_balance(budget, "llm", 3, 0);
}

BEHAVIOUR_TEST(keys, a_commit_is_given_again_for_as_long_as_it_is_pending)
{
	struct be_commit_options options = commit_key("k");
	struct be_decision first = BE_DECISION_INIT, again = BE_DECISION_INIT;
	uint64_t id, same;

	fixture_create(budget, "llm", 10);
	options.least = 2;
	options.ttl_ms = 1000;
	options.detached = true;
	assert_ok(be_commit_with(budget, "llm", 15, "a", &options, &id, &first));
	assert_number(first.granted, 10);
	fixture_advance(SECOND_NS / 2);
	assert_refused(be_commit_with(budget, "llm", 15, "a", &options, &same, &again), BE_OK);
	assert_number(same, id);
	cr_assert(is_same(&first, &again, sizeof first));

	assert_ok(be_settle(budget, id, 1, NULL, NULL));
	assert_refused(be_commit_with(budget, "llm", 15, "a", &options, &same, &again),
		       BE_ALREADY_SETTLED);
	assert_number(same, 0);
	options.key = "other";
	assert_ok(be_commit_with(budget, "llm", 5, "a", &options, &id, NULL));
	assert_ok(be_release(budget, id));
	assert_refused(be_commit_with(budget, "llm", 5, "a", &options, &same, NULL),
		       BE_ALREADY_RELEASED);
	options.key = "late";
	assert_ok(be_commit_with(budget, "llm", 5, "a", &options, &id, NULL));
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_refused(be_commit_with(budget, "llm", 5, "a", &options, &same, NULL),
		       BE_ALREADY_REAPED);
}

/* Each member differs in turn. */
BEHAVIOUR_TEST(keys, another_request_under_a_key_is_refused)
{
	struct be_commit_options same = commit_key("k"), other = same;
	struct be_charge_options charge = charge_key("k");
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id, none;

	fixture_create(budget, "llm", 100);
	fixture_create(budget, "images", 100);
	assert_ok(be_commit_with(budget, "llm", 5, "a", &same, &id, NULL));
	assert_refused(be_commit_with(budget, "llm", 6, "a", &same, &none, &decision),
		       BE_KEY_REUSED);
	assert_number(none, 0);
	assert_number(decision.status, BE_KEY_REUSED);
	assert_status(be_commit_with(budget, "llm", 6, "a", &same, &none, NULL), BE_KEY_REUSED);
	cr_assert(strstr(be_last_error(), "\"k\""), "%s", be_last_error());
	assert_refused(be_commit_with(budget, "llm", 5, "b", &same, &none, NULL), BE_KEY_REUSED);
	assert_refused(be_commit_with(budget, "images", 5, "a", &same, &none, NULL), BE_KEY_REUSED);
	assert_refused(be_commit_with(budget, "nobody", 5, "a", &same, &none, NULL), BE_KEY_REUSED);
	other.least = 1;
	assert_refused(be_commit_with(budget, "llm", 5, "a", &other, &none, NULL), BE_KEY_REUSED);
	other = same;
	other.ttl_ms = 1;
	assert_refused(be_commit_with(budget, "llm", 5, "a", &other, &none, NULL), BE_KEY_REUSED);
	other = same;
	other.detached = true;
	assert_refused(be_commit_with(budget, "llm", 5, "a", &other, &none, NULL), BE_KEY_REUSED);
	other = same;
	other.reap_policy = BE_REAP_CHARGE;
	assert_refused(be_commit_with(budget, "llm", 5, "a", &other, &none, NULL), BE_KEY_REUSED);
	assert_refused(be_record_with(budget, "llm", 5, "a", &charge, NULL), BE_KEY_REUSED);
	assert_refused(be_settle_with(budget, id, 5, "a", &charge, NULL), BE_KEY_REUSED);
	assert_refused(be_charge_with(budget, id, 5, "a", &charge, NULL), BE_KEY_REUSED);
	/* How long it is kept is no part of what is asked for. */
	other = same;
	other.key_ms = 1;
	assert_refused(be_commit_with(budget, "llm", 5, "a", &other, &none, NULL), BE_OK);
	assert_number(none, id);
}

BEHAVIOUR_TEST(keys, namespaces_have_keys_of_their_own)
{
	struct be_enforcer *task = fixture_open("task");
	struct be_charge_options options = charge_key("k");
	struct be_transaction one = BE_TRANSACTION_INIT, two = BE_TRANSACTION_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 100);
	fixture_create(task, "llm", 100);
	assert_ok(be_record_with(budget, "llm", 5, NULL, &options, &one));
	assert_ok(be_record_with(task, "llm", 6, NULL, &options, &two));
	cr_assert_neq(one.id, two.id);
	/* Of a settlement it is the handle's namespace that counts. */
	id = fixture_commit(budget, "llm", 5);
	assert_refused(be_settle_with(task, id, 5, NULL, &options, NULL), BE_KEY_REUSED);
	options.key = "other";
	assert_ok(be_settle_with(task, id, 5, NULL, &options, NULL));
	assert_ok(be_record_with(budget, "llm", 5, NULL, &options, NULL));
	assert_balance(budget, "llm", 15, 0);
}

BEHAVIOUR_TEST(keys, what_is_refused_leaves_nothing_under_its_key)
{
	struct be_commit_options options = commit_key("k");
	struct be_charge_options charge = charge_key("c");
	uint64_t id;

	assert_refused(be_commit_with(budget, "llm", 5, NULL, &options, &id, NULL), BE_NO_ENVELOPE);
	fixture_create(budget, "llm", 4);
	assert_refused(be_commit_with(budget, "llm", 5, NULL, &options, &id, NULL),
		       BE_EXCEEDS_BUDGET);
	assert_ok(be_commit_with(budget, "llm", 4, NULL, &options, &id, NULL));
	assert_refused(be_record_with(budget, "nobody", 5, NULL, &charge, NULL), BE_NO_ENVELOPE);
	assert_refused(be_settle_with(budget, id + 1, 5, NULL, &charge, NULL), BE_NO_COMMIT);
	assert_ok(be_settle_with(budget, id, 5, NULL, &charge, NULL));
}

BEHAVIOUR_TEST(keys, a_key_is_kept_for_a_day_or_as_long_as_was_said)
{
	struct be_charge_options day = charge_key("day"), brief = charge_key("brief");

	fixture_create(budget, "llm", 100);
	brief.key_ms = 2;
	assert_ok(be_record_with(budget, "llm", 1, NULL, &day, NULL));
	assert_ok(be_record_with(budget, "llm", 10, NULL, &brief, NULL));
	fixture_advance(2000000 - 1);
	assert_ok(be_record_with(budget, "llm", 10, NULL, &brief, NULL));
	assert_balance(budget, "llm", 11, 0);
	fixture_advance(1);
	assert_ok(be_record_with(budget, "llm", 11, NULL, &brief, NULL));
	assert_balance(budget, "llm", 22, 0);
	fixture_advance(DAY_NS - 2000000 - 1);
	assert_ok(be_record_with(budget, "llm", 1, NULL, &day, NULL));
	assert_balance(budget, "llm", 22, 0);
	fixture_advance(1);
	assert_ok(be_record_with(budget, "llm", 1, NULL, &day, NULL));
	assert_balance(budget, "llm", 23, 0);
}

static uint64_t records(struct be_enforcer *budget)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	assert_ok(be_stats(budget, &stats));
	return stats.records;
}

static void record_many(struct be_enforcer *budget, const char *prefix, int count)
{
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	char key[BE_KEY_SIZE];

	options.key = key;
	options.key_ms = 1;
	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof key, "%s %d", prefix, i);
		assert_ok(be_record_with(budget, "llm", 1, NULL, &options, NULL));
	}
}

LMDB_TEST(keys, those_whose_time_is_over_are_forgotten_by_the_next_ones_and_by_pruning)
{
	uint64_t before;

	budget = fixture_reopen_unflushed();
	fixture_create(budget, "llm", 1000);
	before = records(budget);
	record_many(budget, "a", 100);
	assert_number(records(budget), before + 3 * 100);
	fixture_advance(SECOND_NS);
	record_many(budget, "b", 40);
	/* 80 of the first are gone. Each is a record and its end. */
	assert_number(records(budget), before + 140 + 2 * (20 + 40));
	assert_ok(be_prune(budget, 1, NULL, NULL, NULL));
	assert_number(records(budget), before + 140 + 2 * 40);
	fixture_advance(SECOND_NS);
	assert_ok(be_prune(budget, 1, NULL, NULL, NULL));
	assert_number(records(budget), before + 140);
	record_many(budget, "c", 200);
	fixture_advance(SECOND_NS);
	assert_ok(be_prune(budget, 1, NULL, NULL, NULL));
	assert_number(records(budget), before + 140 + 200);
}

BEHAVIOUR_TEST(keys, what_is_no_key_is_refused_after_all_else_that_is_given)
{
	static const char *const wrong[] = {"", KEY_64 "k", "a\nb", "\xff", "a\x7f"};
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_charge_options charge = BE_CHARGE_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 10);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		options.key = charge.key = wrong[i];
		assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL),
			       BE_INVALID_KEY);
		assert_refused(be_record_with(budget, "llm", 1, NULL, &charge, NULL),
			       BE_INVALID_KEY);
		assert_refused(be_settle_with(budget, 1, 1, NULL, &charge, NULL), BE_INVALID_KEY);
		assert_refused(be_charge_with(budget, 1, 1, NULL, &charge, NULL), BE_INVALID_KEY);
		assert_refused(be_settle_with(budget, 1, 1, "\n", &charge, NULL),
			       BE_INVALID_DESCRIPTION);
	}
	charge.key = NULL;
	charge.reserved = 1;
	assert_refused(be_record_with(budget, "llm", 1, NULL, &charge, NULL), BE_INVALID_SIZE);
	charge.reserved = 0;
	charge.size = 8;
	assert_refused(be_settle_with(budget, 1, 1, NULL, &charge, NULL), BE_INVALID_SIZE);
}

/* ---- observers */

struct seen {
	unsigned repeated, charged;
	int64_t sum;
};

static void see(void *context, const struct be_event *event)
{
	struct seen *seen = context;

	seen->repeated += event->repeated;
	seen->charged += event->transaction_id != 0;
	if (event->transaction_id != 0)
		seen->sum += event->amount;
}

BEHAVIOUR_TEST(keys, an_observer_counts_a_repeated_charge_once)
{
	struct be_options options = fixture_options();
	struct be_charge_options charge = charge_key("k");
	struct seen seen = {0};
	struct be_enforcer *handle;

	options.observe = see;
	options.observe_context = &seen;
	handle = fixture_open_with(&options);
	fixture_create(budget, "llm", 10);
	for (int i = 0; i < 5; i++)
		assert_ok(be_record_with(handle, "llm", 3, NULL, &charge, NULL));
	assert_number(seen.repeated, 4);
	assert_number(seen.charged, 1);
	assert_number(seen.sum, 3);
}

/* A handle that owns what it commits does not own what another has made. */
LMDB_TEST(keys, a_commit_stays_with_the_handle_that_made_it)
{
	struct be_options options = fixture_options();
	struct be_commit_options commit = commit_key("k");
	struct be_enforcer *maker, *asker;
	uint64_t id, same;

	options.flags |= BE_OPEN_OWNING;
	fixture_create(budget, "llm", 10);
	maker = fixture_open_with(&options);
	asker = fixture_open_with(&options);
	assert_ok(be_commit_with(maker, "llm", 3, NULL, &commit, &id, NULL));
	assert_ok(be_commit_with(asker, "llm", 3, NULL, &commit, &same, NULL));
	assert_number(same, id);
	fixture_close(asker);
	assert_balance(budget, "llm", 0, 3);
	assert_ok(be_commit_with(maker, "llm", 3, NULL, &commit, &same, NULL));
	fixture_close(maker);
	assert_balance(budget, "llm", 0, 0);
}
