/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The observer of a handle: one event for each operation, whatever its outcome, with what was
 * asked, what came of it and the envelope as it is afterwards.
 */
#include "fixture.h"

struct seen {
	enum be_operation operation;
	enum be_status status;
	uint64_t commit_id, transaction_id;
	int64_t amount, at_ns;
	bool has_envelope;
	int64_t limit, spent, committed;
	char namespace_name[BE_NAME_SIZE], category[BE_NAME_SIZE];
};

static struct seen events[64];
static size_t event_count;

static void observe(void *context, const struct be_event *event)
{
	struct seen *seen = &events[event_count];

	cr_assert(context == &event_count);
	cr_assert(event_count < sizeof events / sizeof events[0]);
	assert_number(event->size, sizeof *event);
	seen->operation = event->operation;
	seen->status = event->status;
	seen->commit_id = event->commit_id;
	seen->transaction_id = event->transaction_id;
	seen->amount = event->amount;
	seen->at_ns = event->at_ns;
	seen->has_envelope = event->envelope != NULL;
	if (event->envelope != NULL) {
		assert_number(event->envelope->size, sizeof *event->envelope);
		assert_text(event->envelope->category, event->category);
		seen->limit = event->envelope->limit;
		seen->spent = event->envelope->spent;
		seen->committed = event->envelope->committed;
	}
	snprintf(seen->namespace_name, sizeof seen->namespace_name, "%s", event->namespace_name);
	snprintf(seen->category, sizeof seen->category, "%s", event->category);
	event_count++;
}

static struct be_enforcer *open_observed(const char *namespace_name)
{
	struct be_options options = fixture_options();

	options.namespace_name = namespace_name;
	options.observe = observe;
	options.observe_context = &event_count;
	event_count = 0;
	return fixture_open_with(&options);
}

/* The one event since the last look. The time is always the call's. */
static struct seen only_event(enum be_operation operation, enum be_status status)
{
	cr_assert(event_count == 1, "%zu events, not 1, for %s", event_count,
		  be_operation_name(operation));
	event_count = 0;
	cr_assert(events[0].operation == operation, "%s, not %s",
		  be_operation_name(events[0].operation), be_operation_name(operation));
	cr_assert(events[0].status == status, "%s of %s, not %s", be_status_name(events[0].status),
		  be_operation_name(operation), be_status_name(status));
	assert_number(events[0].at_ns, fixture.now_ns);
	return events[0];
}

#define assert_envelope_in(event, limit_, spent_, committed_)                                      \
	do {                                                                                       \
		cr_assert((event).has_envelope);                                                   \
		assert_number((event).limit, limit_);                                              \
		assert_number((event).spent, spent_);                                              \
		assert_number((event).committed, committed_);                                      \
	} while (0)

BEHAVIOUR_TEST(observers, receive_spending_with_the_figures_afterwards)
{
	struct be_enforcer *task = open_observed("task");
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct seen event;
	uint64_t id, released;

	fixture_create(task, "llm", BE_UNIT);
	only_event(BE_OPERATION_CREATE, BE_OK);
	fixture_advance(SECOND_NS);

	assert_ok(be_check(task, "llm", 3 * TENTH, NULL));
	event = only_event(BE_OPERATION_CHECK, BE_OK);
	assert_number(event.amount, 3 * TENTH);
	assert_number(event.commit_id, 0);
	assert_number(event.transaction_id, 0);
	assert_text(event.namespace_name, "task");
	assert_text(event.category, "llm");
	assert_envelope_in(event, BE_UNIT, 0, 0);

	id = fixture_commit(task, "llm", 3 * TENTH);
	event = only_event(BE_OPERATION_COMMIT, BE_OK);
	assert_number(event.amount, 3 * TENTH);
	assert_number(event.commit_id, id);
	assert_envelope_in(event, BE_UNIT, 0, 3 * TENTH);

	assert_ok(be_extend(task, id, 4 * TENTH, 0, NULL));
	event = only_event(BE_OPERATION_EXTEND, BE_OK);
	assert_number(event.amount, 4 * TENTH);
	assert_number(event.commit_id, id);
	assert_text(event.namespace_name, "task");
	assert_text(event.category, "llm");
	assert_envelope_in(event, BE_UNIT, 0, 4 * TENTH);

	assert_ok(be_settle(task, id, 2 * TENTH, NULL, &transaction));
	event = only_event(BE_OPERATION_SETTLE, BE_OK);
	assert_number(event.amount, 2 * TENTH);
	assert_number(event.commit_id, id);
	assert_number(event.transaction_id, transaction.id);
	assert_text(event.category, "llm");
	assert_envelope_in(event, BE_UNIT, 2 * TENTH, 0);

	assert_ok(be_record(task, "llm", TENTH, NULL, &transaction));
	event = only_event(BE_OPERATION_RECORD, BE_OK);
	assert_number(event.amount, TENTH);
	assert_number(event.commit_id, 0);
	assert_number(event.transaction_id, transaction.id);
	assert_envelope_in(event, BE_UNIT, 3 * TENTH, 0);

	released = fixture_commit(task, "llm", TENTH);
	only_event(BE_OPERATION_COMMIT, BE_OK);
	assert_ok(be_release(task, released));
	event = only_event(BE_OPERATION_RELEASE, BE_OK);
	assert_number(event.commit_id, released);
	assert_number(event.amount, TENTH);
	assert_text(event.namespace_name, "task");
	assert_envelope_in(event, BE_UNIT, 3 * TENTH, 0);
}

BEHAVIOUR_TEST(observers, receive_refusals)
{
	struct be_enforcer *observed = open_observed(NULL);
	struct seen event;
	uint64_t id;

	assert_status(be_check(observed, "llm", TENTH, NULL), BE_NO_ENVELOPE);
	event = only_event(BE_OPERATION_CHECK, BE_NO_ENVELOPE);
	assert_text(event.category, "llm");
	cr_assert(!event.has_envelope);
	assert_status(be_record(observed, "llm", TENTH, NULL, NULL), BE_NO_ENVELOPE);
	event = only_event(BE_OPERATION_RECORD, BE_NO_ENVELOPE);
	assert_number(event.amount, TENTH);
	assert_number(event.transaction_id, 0);

	fixture_create(budget, "llm", BE_UNIT); /* by the other handle: no event */
	assert_status(be_commit(observed, "llm", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	event = only_event(BE_OPERATION_COMMIT, BE_EXCEEDS_BUDGET);
	assert_number(event.amount, 2 * BE_UNIT);
	assert_number(event.commit_id, 0);
	assert_envelope_in(event, BE_UNIT, 0, 0);
	assert_ok(be_envelope_suspend(budget, "llm"));
	assert_status(be_commit(observed, "llm", TENTH, NULL, &id), BE_SUSPENDED);
	only_event(BE_OPERATION_COMMIT, BE_SUSPENDED);

	assert_status(be_release(observed, 99), BE_NO_COMMIT);
	event = only_event(BE_OPERATION_RELEASE, BE_NO_COMMIT);
	assert_number(event.commit_id, 99);
	assert_text(event.namespace_name, "");
	assert_text(event.category, "");
	cr_assert(!event.has_envelope);
	assert_status(be_settle(observed, 99, TENTH, NULL, NULL), BE_NO_COMMIT);
	only_event(BE_OPERATION_SETTLE, BE_NO_COMMIT);
	assert_status(be_extend(observed, 99, TENTH, 0, NULL), BE_NO_COMMIT);
	only_event(BE_OPERATION_EXTEND, BE_NO_COMMIT);

	assert_ok(be_envelope_resume(budget, "llm"));
	id = fixture_commit(budget, "llm", TENTH);
	assert_ok(be_release(budget, id));
	cr_assert(event_count == 0);
	assert_status(be_release(observed, id), BE_ALREADY_RELEASED);
	event = only_event(BE_OPERATION_RELEASE, BE_ALREADY_RELEASED);
	assert_number(event.commit_id, id);
}

BEHAVIOUR_TEST(observers, receive_what_is_done_to_envelopes)
{
	struct be_enforcer *observed = open_observed(NULL);
	struct seen event;

	assert_ok(be_envelope_create(observed, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
	event = only_event(BE_OPERATION_CREATE, BE_OK);
	assert_number(event.amount, BE_UNIT);
	assert_text(event.category, "llm");
	assert_envelope_in(event, BE_UNIT, 0, 0);
	assert_status(be_envelope_create(observed, "llm", 2 * BE_UNIT, BE_PERIOD_DAILY, NULL),
		      BE_ENVELOPE_EXISTS);
	event = only_event(BE_OPERATION_CREATE, BE_ENVELOPE_EXISTS);
	assert_number(event.amount, 2 * BE_UNIT);
	assert_ok(be_envelope_ensure(observed, "llm", 2 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	event = only_event(BE_OPERATION_ENSURE, BE_OK);
	assert_number(event.amount, 2 * BE_UNIT);
	assert_envelope_in(event, BE_UNIT, 0, 0);
	assert_ok(be_envelope_set_limit(observed, "llm", 3 * BE_UNIT));
	event = only_event(BE_OPERATION_SET_LIMIT, BE_OK);
	assert_number(event.amount, 3 * BE_UNIT);
	assert_envelope_in(event, 3 * BE_UNIT, 0, 0);
	assert_ok(be_envelope_suspend(observed, "llm"));
	only_event(BE_OPERATION_SUSPEND, BE_OK);
	assert_ok(be_envelope_resume(observed, "llm"));
	only_event(BE_OPERATION_RESUME, BE_OK);
	assert_ok(be_record(observed, "llm", TENTH, NULL, NULL));
	only_event(BE_OPERATION_RECORD, BE_OK);
	assert_ok(be_envelope_reset(observed, "llm"));
	event = only_event(BE_OPERATION_RESET, BE_OK);
	assert_envelope_in(event, 3 * BE_UNIT, 0, 0);
	assert_ok(be_envelope_remove(observed, "llm"));
	event = only_event(BE_OPERATION_REMOVE, BE_OK);
	assert_text(event.category, "llm");
	cr_assert(!event.has_envelope); /* there is none afterwards */
	assert_status(be_envelope_remove(observed, "llm"), BE_NO_ENVELOPE);
	only_event(BE_OPERATION_REMOVE, BE_NO_ENVELOPE);
	assert_status(be_envelope_suspend(observed, "llm"), BE_NO_ENVELOPE);
	only_event(BE_OPERATION_SUSPEND, BE_NO_ENVELOPE);
}

BEHAVIOUR_TEST(observers, receive_what_reaping_ended)
{
	struct be_enforcer *observed = open_observed("task");
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct seen event;
	uint64_t id;

	fixture_create(observed, "llm", BE_UNIT);
	options.ttl_ms = 1;
	options.reap_policy = BE_REAP_CHARGE;
	assert_ok(be_commit_with(observed, "llm", 3 * TENTH, NULL, &options, &id, NULL));
	fixture_advance(SECOND_NS);
	event_count = 0;
	assert_ok(be_reap(observed, NULL));
	event = only_event(BE_OPERATION_REAP, BE_OK);
	assert_number(event.commit_id, id);
	assert_number(event.amount, 3 * TENTH);
	assert_number(event.transaction_id, 1);
	assert_text(event.namespace_name, "task");
	assert_text(event.category, "llm");
	assert_envelope_in(event, BE_UNIT, 3 * TENTH, 0);
}

BEHAVIOUR_TEST(observers, do_not_receive_what_only_reads)
{
	struct be_enforcer *observed = open_observed(NULL);

	fixture_create(observed, "llm", BE_UNIT);
	event_count = 0;
	assert_balance(observed, "llm", 0, 0);
	assert_ok(be_verify(observed, NULL, NULL, NULL));
	cr_assert(event_count == 0);
}

/* --------------------------------------------- an observer that calls back */

struct busy {
	struct be_enforcer *observed; /* set once it is open */
	int calls;
};

static void record_each_refusal(void *context, const struct be_event *event)
{
	struct busy *busy = context;

	busy->calls++;
	if (event->operation == BE_OPERATION_COMMIT && event->status == BE_EXCEEDS_BUDGET) {
		struct be_envelope before = fixture_envelope(busy->observed, "refusals");

		/* On the observed handle itself: this comes back here as an event of its own. */
		assert_ok(be_record(busy->observed, "refusals", event->amount, event->category,
				    NULL));
		assert_balance(busy->observed, "refusals", before.spent + event->amount, 0);
		assert_text(event->category, "llm"); /* still what it was */
		assert_number(event->envelope->limit, BE_UNIT);
	}
}

BEHAVIOUR_TEST(observers, may_call_the_library)
{
	struct busy busy = {0};
	struct be_options options = fixture_options();
	uint64_t id = 77;

	fixture_create(budget, "llm", BE_UNIT);
	fixture_create(budget, "refusals", BE_UNIT);
	options.observe = record_each_refusal;
	options.observe_context = &busy;
	busy.observed = fixture_open_with(&options);
	assert_status(be_commit(busy.observed, "llm", 3 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_number(id, 0);
	assert_number(busy.calls, 2);
	assert_balance(budget, "refusals", 3 * BE_UNIT, 0);
}

static void fail_inside(void *context, const struct be_event *event)
{
	(void)event;
	assert_status(be_check(context, "absent", 1, NULL), BE_NO_ENVELOPE);
}

BEHAVIOUR_TEST(observers, leave_the_last_error_to_the_call_they_observe)
{
	struct be_options options = fixture_options();
	struct be_enforcer *observed;
	char text[640];
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	assert_status(be_commit(budget, "llm", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	snprintf(text, sizeof text, "%s", be_last_error());
	options.observe = fail_inside;
	options.observe_context = budget;
	observed = fixture_open_with(&options);
	assert_status(be_commit(observed, "llm", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_text(be_last_error(), text);
	assert_ok(be_commit(observed, "llm", TENTH, NULL, &id));
	assert_text(be_last_error(), "");
	assert_status(be_check(observed, "llm", 2 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	cr_assert(strstr(be_last_error(), "llm: 2 asked for, but 0.9 available") != NULL);
}
