/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals for lack of budget: what they say, what is done before one is answered, and that a fault
 * met on the way is answered in its place. That they are true whatever dies is shown by
 * refusals-are-true.
 */
#include "fixture.h"

static uint64_t commit_for(struct be_enforcer *handle, const char *category, int64_t amount,
			   uint64_t ttl_ms)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id = 0;

	options.ttl_ms = ttl_ms;
	assert_ok(be_commit_with(handle, category, amount, NULL, &options, &id, NULL));
	return id;
}

/* ---- what they say */

/* Windows begin at BEGINNING_NS. */
#define HOUR_ENDS "2023-11-14T23:13:20Z"

struct said {
	enum be_period period;
	int64_t spent, committed, asked; /* of a limit of 10 */
	const char *text;
};

static const struct said table[] = {
	/* More than the limit: nothing but that helps. */
	{BE_PERIOD_TOTAL, 0, 0, 11,
	 "llm: 11 asked for, but 10 available (limit 10, spent 0, committed 0); that is more than "
	 "its limit, which be-ctl set-limit raises"},
	{BE_PERIOD_HOURLY, 4, 3, 11,
	 "llm: 11 asked for, but 3 available (limit 10, spent 4, committed 3); that is more than "
	 "its limit, which be-ctl set-limit raises"},
	/* Nothing to wait for. */
	{BE_PERIOD_TOTAL, 8, 0, 3,
	 "llm: 3 asked for, but 2 available (limit 10, spent 8, committed 0); raise the limit with "
	 "be-ctl set-limit"},
	/* The commits that there are would not do. */
	{BE_PERIOD_TOTAL, 8, 1, 3,
	 "llm: 3 asked for, but 1 available (limit 10, spent 8, committed 1); raise the limit with "
	 "be-ctl set-limit"},
	{BE_PERIOD_TOTAL, 12, 0, 1,
	 "llm: 1 asked for, but 0 available (limit 10, spent 12, committed 0); raise the limit "
	 "with be-ctl set-limit"},
	{BE_PERIOD_TOTAL, 2, 7, 3,
	 "llm: 3 asked for, but 1 available (limit 10, spent 2, committed 7); wait until commits "
	 "end, or raise the limit with be-ctl set-limit"},
	{BE_PERIOD_HOURLY, 8, 0, 3,
	 "llm: 3 asked for, but 2 available (limit 10, spent 8, committed 0); wait until its "
	 "window ends at " HOUR_ENDS ", or raise the limit with be-ctl set-limit"},
	{BE_PERIOD_HOURLY, 0, 8, 3,
	 "llm: 3 asked for, but 2 available (limit 10, spent 0, committed 8); wait until commits "
	 "end, or raise the limit with be-ctl set-limit"},
	{BE_PERIOD_HOURLY, 4, 4, 3,
	 "llm: 3 asked for, but 2 available (limit 10, spent 4, committed 4); wait until commits "
	 "end or, at " HOUR_ENDS ", its window does, or raise the limit with be-ctl set-limit"},
	{BE_PERIOD_HOURLY, 5, 5, 6,
	 "llm: 6 asked for, but 0 available (limit 10, spent 5, committed 5); wait until commits "
	 "end and, at " HOUR_ENDS ", its window does, or raise the limit with be-ctl set-limit"},
};

static void assert_said(struct be_enforcer *budget, const struct said *said)
{
	uint64_t id, held = 0;

	assert_ok(be_envelope_create(budget, "llm", 10 * BE_UNIT, said->period, NULL));
	assert_ok(be_record(budget, "llm", said->spent * BE_UNIT / 2, NULL, NULL));
	if (said->committed > 0)
		held = fixture_commit(budget, "llm", said->committed * BE_UNIT);
	assert_ok(be_record(budget, "llm", said->spent * BE_UNIT - said->spent * BE_UNIT / 2, NULL,
			    NULL));
	assert_status(be_check(budget, "llm", said->asked * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	assert_text(be_last_error(), said->text);
	assert_status(be_commit(budget, "llm", said->asked * BE_UNIT, NULL, &id),
		      BE_EXCEEDS_BUDGET);
	assert_text(be_last_error(), said->text);
	assert_text(be_last_error(), said->text); /* however often it is asked for */
	if (held != 0)
		assert_ok(be_release(budget, held));
	assert_text(be_last_error(), held != 0 ? "" : said->text);
	assert_ok(be_envelope_remove(budget, "llm"));
}

BEHAVIOUR_TEST(refusals, say_what_would_help)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		assert_said(budget, &table[i]);
}

BEHAVIOUR_TEST(refusals, name_the_envelope_that_refused)
{
	struct be_enforcer *task = fixture_open("task");
	uint64_t id;

	fixture_create(budget, "team", 4 * BE_UNIT);
	fixture_create_below(task, "llm", 10 * BE_UNIT, "", "team");
	assert_status(be_check(task, "llm", 5 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	assert_text(be_last_error(), "team: 5 asked for, but 4 available (limit 4, spent 0, "
				     "committed 0); that is more than its limit, which be-ctl "
				     "set-limit raises");
	id = fixture_commit(task, "llm", 4 * BE_UNIT);
	assert_status(be_extend(task, id, 5 * BE_UNIT, 0, NULL), BE_EXCEEDS_BUDGET);
	assert_text(be_last_error(), "team: 1 more asked for, but 0 available (limit 4, spent 0, "
				     "committed 4); wait until commits end, or raise the limit "
				     "with be-ctl set-limit");
	assert_ok(be_envelope_suspend(task, "llm"));
	assert_status(be_check(task, "llm", BE_UNIT, NULL), BE_SUSPENDED);
	assert_text(be_last_error(),
		    "task/llm: the envelope is suspended; be-ctl resume lets it grant again (1 "
		    "asked for, 6 available, limit 10, spent 0, committed 4)");
	assert_status(be_commit(task, "none", 1, NULL, &id), BE_NO_ENVELOPE);
	assert_text(be_last_error(), "task/none: there is no such envelope; be-ctl create or "
				     "be_envelope_ensure() makes it, be-inspect lists those there "
				     "are");
	assert_status(be_check(budget, "none", 1, NULL), BE_NO_ENVELOPE);
	assert_text(be_last_error(), "none: there is no such envelope; be-ctl create or "
				     "be_envelope_ensure() makes it, be-inspect lists those there "
				     "are");
}

/* ---- what is done before */

BEHAVIOUR_TEST(refusals, a_check_reaps_what_has_expired)
{
	struct be_decision decision = BE_DECISION_INIT;
	struct be_options options = fixture_options();
	struct be_enforcer *looks;

	fixture_create(budget, "llm", 10);
	(void)commit_for(budget, "llm", 8, 1000);
	options.flags = BE_OPEN_READ_ONLY;
	looks = fixture_open_with(&options);
	assert_status(be_check(budget, "llm", 3, NULL), BE_EXCEEDS_BUDGET);
	fixture_advance(SECOND_NS);
	assert_status(be_check(looks, "llm", 3, NULL), BE_EXCEEDS_BUDGET); /* changes nothing */
	assert_balance(budget, "llm", 0, 8);
	/* Not for one whom it would not help. */
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_balance(budget, "llm", 0, 8);
	assert_ok(be_check(budget, "llm", 3, &decision));
	assert_number(decision.available, 10);
	assert_balance(budget, "llm", 0, 0);
	assert_ok(be_check(looks, "llm", 3, NULL));
}

/* A clock that goes on while a call is under way: each reading is a second later. */
static int64_t next_second(void *context)
{
	return *(int64_t *)context += SECOND_NS;
}

/* The window was still open when the call began. */
BEHAVIOUR_TEST(refusals, a_window_that_ends_meanwhile_grants)
{
	struct be_options options = fixture_options();
	struct be_enforcer *handle;
	uint64_t id;
	int64_t now_ns = BEGINNING_NS;

	options.now = next_second;
	options.now_context = &now_ns;
	handle = fixture_open_with(&options);
	assert_ok(be_envelope_create(budget, "llm", 10, BE_PERIOD_HOURLY, NULL));
	assert_ok(be_record(budget, "llm", 10, NULL, NULL));
	now_ns = BEGINNING_NS + HOUR_NS - 3 * SECOND_NS;
	assert_status(be_check(handle, "llm", 1, NULL), BE_EXCEEDS_BUDGET);
	assert_ok(be_check(handle, "llm", 1, NULL));
	now_ns = BEGINNING_NS + HOUR_NS - 2 * SECOND_NS;
	assert_ok(be_commit(handle, "llm", 1, NULL, &id));
	assert_ok(be_release(handle, id));
}

/* ---- faults on the way */

struct failing {
	struct be_storage storage; /* over another one */
	const struct be_storage *whole;
	bool cannot_write;
	bool is_full; /* the txn that refuses writes nothing; the one that reaps fails */
};

static int begin(void *self, bool write, void **txn)
{
	struct failing *failing = self;

	if (write && failing->cannot_write)
		return BE_DISK_FULL;
	return failing->whole->ops->begin(failing->whole->self, write, txn);
}

static int commit(void *self, void *txn)
{
	struct failing *failing = self;

	return failing->whole->ops->commit(failing->whole->self, txn);
}

static void end(void *self, void *txn)
{
	struct failing *failing = self;

	failing->whole->ops->abort(failing->whole->self, txn);
}

static int get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	struct failing *failing = self;

	return failing->whole->ops->get(failing->whole->self, txn, key, value);
}

static int put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	struct failing *failing = self;

	if (failing->is_full)
		return BE_DISK_FULL;
	return failing->whole->ops->put(failing->whole->self, txn, key, value);
}

static int del(void *self, void *txn, struct be_bytes key)
{
	struct failing *failing = self;

	return failing->whole->ops->del(failing->whole->self, txn, key);
}

static int next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		struct be_bytes *value)
{
	struct failing *failing = self;

	return failing->whole->ops->next(failing->whole->self, txn, from, key, value);
}

Test(refusals, a_fault_of_reaping_is_answered)
{
	static int64_t now_ns = BEGINNING_NS;
	struct be_storage_ops ops = {.size = sizeof ops,
				     .begin = begin,
				     .commit = commit,
				     .abort = end,
				     .get = get,
				     .put = put,
				     .del = del,
				     .next = next};
	struct failing failing = {.storage = {&ops, &failing}};
	struct be_options options = BE_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	struct be_storage *memory;
	struct be_enforcer *handle;
	uint64_t id, other;

	assert_ok(be_storage_memory_create(&memory));
	failing.whole = memory;
	options.storage = &failing.storage;
	options.now = next_second;
	options.now_context = &now_ns;
	assert_ok(be_open(NULL, &options, &handle));
	fixture_create(handle, "llm", 10);
	id = commit_for(handle, "llm", 2, 3600000);
	(void)commit_for(handle, "llm", 8, 10000);
	now_ns += 10 * SECOND_NS;

	failing.is_full = true;
	assert_status(be_commit_with(handle, "llm", 3, NULL, NULL, &other, &decision),
		      BE_DISK_FULL);
	assert_text(be_last_error(), be_status_text(BE_DISK_FULL));
	cr_assert(fixture_is_zeroed(&decision, sizeof decision) && other == 0);
	assert_status(be_extend(handle, id, 5, 0, &decision), BE_DISK_FULL);
	assert_text(be_last_error(), be_status_text(BE_DISK_FULL));
	assert_status(be_check(handle, "llm", 3, &decision), BE_DISK_FULL);
	assert_text(be_last_error(), be_status_text(BE_DISK_FULL));
	cr_assert(fixture_is_zeroed(&decision, sizeof decision));
	failing.cannot_write = true;
	assert_status(be_check(handle, "llm", 3, NULL), BE_DISK_FULL);
	/* One whom reaping would not help is refused as ever. */
	assert_status(be_check(handle, "llm", 11, NULL), BE_EXCEEDS_BUDGET);

	failing.cannot_write = false;
	failing.is_full = false;
	assert_ok(be_check(handle, "llm", 3, NULL));
	assert_text(be_last_error(), "");
	assert_balance(handle, "llm", 0, 2);
	be_close(handle);
	be_storage_memory_destroy(memory);
}

/* One that can never be reaped stays, and its text is not that of the refusal it causes. */
BEHAVIOUR_TEST(refusals, what_cannot_be_reaped_leaves_no_text)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "top", INT64_MAX);
	fixture_create_below(budget, "llm", 10, NULL, "top");
	options.ttl_ms = 1000;
	options.reap_policy = BE_REAP_CHARGE;
	assert_ok(be_commit_with(budget, "llm", 8, NULL, &options, &id, NULL));
	assert_ok(be_record(budget, "top", INT64_MAX - 7, NULL, NULL));
	fixture_advance(SECOND_NS);
	assert_status(be_check(budget, "llm", 3, NULL), BE_EXCEEDS_BUDGET);
	cr_assert(strncmp(be_last_error(), "llm: ", 5) == 0, "%s", be_last_error());
	assert_status(be_commit(budget, "llm", 3, NULL, &id), BE_EXCEEDS_BUDGET);
	cr_assert(strncmp(be_last_error(), "llm: ", 5) == 0, "%s", be_last_error());
	assert_ok(be_envelope_reset(budget, "top"));
	assert_ok(be_check(budget, "llm", 1, NULL));
	assert_text(be_last_error(), "");
}
