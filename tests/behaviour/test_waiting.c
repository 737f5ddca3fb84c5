/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that wait for money: in order, at once, and until they have waited long enough. */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* A thread that waits, and what it was told. */
struct waiter {
	pthread_t thread;
	struct be_enforcer *handle;
	const char *category;
	int64_t amount;
	struct be_commit_options options;
	enum be_status status;
	uint64_t id;
	struct be_decision decision;
};

static void *stand_in_line(void *context)
{
	struct waiter *waiter = context;

	waiter->decision = (struct be_decision)BE_DECISION_INIT;
	waiter->status = be_commit_with(waiter->handle, waiter->category, waiter->amount, NULL,
					&waiter->options, &waiter->id, &waiter->decision);
	return NULL;
}

static void until_waiting(struct be_enforcer *handle, uint32_t count)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	do {
		usleep(1000);
		assert_ok(be_stats(handle, &stats));
	} while (stats.waiting != count);
}

/* Begins to wait, as the `place`th in the line, for as long as it takes unless wait_ms was set. */
static void begin(struct waiter *waiter, struct be_enforcer *handle, int64_t amount, uint32_t place)
{
	waiter->handle = handle;
	if (!waiter->category)
		waiter->category = "llm";
	waiter->amount = amount;
	waiter->options.size = sizeof waiter->options;
	if (waiter->options.wait_ms == 0)
		waiter->options.wait_ms = BE_WAIT_FOREVER;
	cr_assert(pthread_create(&waiter->thread, NULL, stand_in_line, waiter) == 0);
	if (place > 0)
		until_waiting(handle, place);
}

static enum be_status ended(struct waiter *waiter)
{
	cr_assert(pthread_join(waiter->thread, NULL) == 0);
	return waiter->status;
}

BEHAVIOUR_TEST(waiting, a_commit_waits_until_what_it_needs_is_released)
{
	struct waiter waiter = {0};
	uint64_t id;

	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 4, 1);
	assert_balance(budget, "llm", 0, 10);
	assert_ok(be_settle(budget, id, 5, NULL, NULL));
	assert_status(ended(&waiter), BE_OK);
	assert_number(waiter.decision.granted, 4);
	assert_balance(budget, "llm", 5, 4);
	until_waiting(budget, 0);
	assert_number(fixture_envelope(budget, "llm").refused_exceeds_budget, 0);
}

BEHAVIOUR_TEST(waiting, the_first_that_fits_is_served_first)
{
	struct waiter large = {0}, small = {0}, last = {0};
	uint64_t six, four;

	fixture_create(budget, "llm", 10);
	six = fixture_commit(budget, "llm", 6);
	four = fixture_commit(budget, "llm", 4);
	begin(&large, budget, 8, 1);
	begin(&small, budget, 3, 2);
	begin(&last, budget, 3, 3);
	assert_ok(be_release(budget, four)); /* 4 are free, and 3 of them go to the second */
	assert_status(ended(&small), BE_OK);
	until_waiting(budget, 2);
	assert_balance(budget, "llm", 0, 9);
	assert_ok(be_release(budget, small.id)); /* 4 again: the third has them */
	assert_status(ended(&last), BE_OK);
	until_waiting(budget, 1);
	assert_ok(be_release(budget, six));
	assert_ok(be_release(budget, last.id));
	assert_status(ended(&large), BE_OK);
	assert_balance(budget, "llm", 0, 8);
}

BEHAVIOUR_TEST(waiting, nobody_who_comes_later_is_served_before)
{
	struct waiter waiter = {0};
	uint64_t id, other;

	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 10, 1);
	assert_ok(be_release(budget, id));
	/* The thread may sleep still: its commit is there. */
	assert_refused(be_commit(budget, "llm", 1, NULL, &other), BE_EXCEEDS_BUDGET);
	assert_status(ended(&waiter), BE_OK);
}

BEHAVIOUR_TEST(waiting, what_frees_money_without_ending_a_commit_serves_too)
{
	struct waiter waiter = {0}, second = {0}, third = {0};
	uint64_t id;

	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 5, 1);
	assert_ok(be_envelope_set_limit(budget, "llm", 15));
	assert_status(ended(&waiter), BE_OK);

	begin(&second, budget, 2, 1);
	assert_ok(be_extend(budget, id, 8, 0, NULL));
	assert_status(ended(&second), BE_OK);

	assert_ok(be_settle(budget, id, 15, NULL, NULL));
	begin(&third, budget, 1, 1);
	assert_ok(be_envelope_reset(budget, "llm"));
	assert_status(ended(&third), BE_OK);
}

BEHAVIOUR_TEST(waiting, waiting_ends_in_time_with_the_figures_of_then)
{
	struct waiter waiter = {.options.wait_ms = 1};

	fixture_create(budget, "llm", 10);
	fixture_commit(budget, "llm", 7);
	begin(&waiter, budget, 4, 0);
	assert_status(ended(&waiter), BE_EXCEEDS_BUDGET);
	assert_number(waiter.id, 0);
	assert_number(waiter.decision.available, 3);
	assert_number(fixture_envelope(budget, "llm").refused_exceeds_budget, fixture.lmdb);
	until_waiting(budget, 0);
}

BEHAVIOUR_TEST(waiting, what_can_never_fit_is_refused_at_once)
{
	struct waiter waiter = {0}, window = {.options.wait_ms = BE_WAIT_WINDOW};

	fixture_create(budget, "llm", 10);
	begin(&waiter, budget, 11, 0);
	assert_status(ended(&waiter), BE_EXCEEDS_BUDGET);
	fixture_commit(budget, "llm", 10);
	begin(&window, budget, 1, 0); /* its window has no end */
	assert_status(ended(&window), BE_EXCEEDS_BUDGET);
}

BEHAVIOUR_TEST(waiting, the_windows_end_serves_in_order_and_ends_the_waiting)
{
	struct waiter first = {.options.wait_ms = BE_WAIT_WINDOW},
		      second = {.options.wait_ms = BE_WAIT_WINDOW};

	assert_ok(be_envelope_create(budget, "llm", 10, BE_PERIOD_HOURLY, NULL));
	assert_ok(be_record(budget, "llm", 10, NULL, NULL));
	begin(&first, budget, 7, 1);
	begin(&second, budget, 7, 2);
	fixture_advance(HOUR_NS);
	assert_status(ended(&first), BE_OK);
	assert_status(ended(&second), BE_EXCEEDS_BUDGET);
	assert_balance(budget, "llm", 0, 7);
}

BEHAVIOUR_TEST(waiting, a_newcomer_after_the_windows_end_comes_behind)
{
	struct waiter waiter = {0};
	uint64_t id;

	assert_ok(be_envelope_create(budget, "llm", 10, BE_PERIOD_HOURLY, NULL));
	assert_ok(be_record(budget, "llm", 10, NULL, NULL));
	begin(&waiter, budget, 7, 1);
	fixture_advance(HOUR_NS);
	assert_status(be_commit(budget, "llm", 7, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_status(ended(&waiter), BE_OK);
}

BEHAVIOUR_TEST(waiting, other_answers_end_it)
{
	struct waiter waiter = {0};
	uint64_t id;

	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 4, 1);
	assert_ok(be_envelope_suspend(budget, "llm"));
	assert_status(ended(&waiter), BE_SUSPENDED);
	assert_ok(be_envelope_resume(budget, "llm"));
	begin(&waiter, budget, 4, 1);
	assert_ok(be_envelope_set_limit(budget, "llm", 3));
	assert_status(ended(&waiter), BE_EXCEEDS_BUDGET); /* it can never fit any more */
	assert_ok(be_release(budget, id));
}

BEHAVIOUR_TEST(waiting, a_deadline_begins_when_the_commit_is_granted)
{
	struct waiter waiter = {.options.ttl_ms = 1000};
	uint64_t id, reaped;

	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 4, 1);
	fixture_advance(HOUR_NS);
	assert_ok(be_release(budget, id));
	assert_status(ended(&waiter), BE_OK);
	fixture_advance(SECOND_NS - 1);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 0);
	fixture_advance(1);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 1);
}

BEHAVIOUR_TEST(waiting, a_deadline_begins_then_also_when_many_changes_free_it)
{
	struct be_envelope_change change = BE_ENVELOPE_CHANGE_INIT;
	struct waiter waiter = {.options.ttl_ms = 1000};
	uint64_t reaped;

	fixture_create(budget, "llm", 10);
	fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 4, 1);
	fixture_advance(HOUR_NS);
	change.operation = BE_OPERATION_SET_LIMIT;
	change.category = "llm";
	change.limit = 20;
	assert_ok(be_envelopes_apply(budget, &change, 1, NULL));
	assert_status(ended(&waiter), BE_OK);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 0);
}

/* Those who give up let their slots go while others are served. */
BEHAVIOUR_TEST(waiting, many_who_wait_briefly_are_answered_truly)
{
	enum {
		WAITERS = 24
	};
	struct waiter waiters[WAITERS] = {{0}};

	fixture_create(budget, "llm", 10);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < WAITERS; i++) {
			waiters[i].options.wait_ms = 1 + i % 3;
			begin(&waiters[i], budget, 4 + i % 3, 0);
		}
		for (int i = 0; i < WAITERS; i++) {
			enum be_status status = ended(&waiters[i]);

			cr_assert(status == BE_OK || status == BE_EXCEEDS_BUDGET, "%s (%s)",
				  be_status_name(status), be_last_error());
			if (status == BE_OK)
				assert_ok(be_release(budget, waiters[i].id));
		}
	}
	until_waiting(budget, 0);
	assert_balance(budget, "llm", 0, 0);
}

BEHAVIOUR_TEST(waiting, what_expires_meanwhile_is_found)
{
	struct be_commit_options brief = BE_COMMIT_OPTIONS_INIT;
	struct waiter waiter = {0};
	uint64_t id;

	brief.ttl_ms = 1000;
	fixture_create(budget, "llm", 10);
	assert_ok(be_commit_with(budget, "llm", 10, NULL, &brief, &id, NULL));
	begin(&waiter, budget, 4, 1);
	fixture_advance(SECOND_NS);
	assert_status(ended(&waiter), BE_OK);
	assert_balance(budget, "llm", 0, 4);
}

/* A fork child has other threads than its parent, none of which waits. */
BEHAVIOUR_TEST(waiting, a_fork_child_serves_none_of_its_parents)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct waiter waiter = {0};
	uint64_t id, other;
	pid_t child;
	int how;

	if (fixture.lmdb)
		cr_skip_test("there the parent's line is the child's");
	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 4, 1);
	child = fork();
	if (child == 0) {
		if (be_stats(budget, &stats) != BE_OK || stats.waiting != 0)
			_exit(1);
		if (be_release(budget, id) != BE_OK ||
		    be_commit(budget, "llm", 10, NULL, &other) != BE_OK)
			_exit(2);
		_exit(0);
	}
	cr_assert(waitpid(child, &how, 0) == child);
	cr_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0, "it ended with %x", how);
	until_waiting(budget, 1);
	assert_ok(be_release(budget, id));
	assert_status(ended(&waiter), BE_OK);
}

static bool never(void *context)
{
	++*(atomic_int *)context;
	return false;
}

BEHAVIOUR_TEST(waiting, the_caller_may_end_it)
{
	atomic_int asked = 0;
	struct waiter waiter = {.options.keep_waiting = never, .options.wait_context = &asked};

	fixture_create(budget, "llm", 10);
	fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 4, 0);
	assert_status(ended(&waiter), BE_EXCEEDS_BUDGET);
	assert_number(asked, 1);
}

BEHAVIOUR_TEST(waiting, a_cancelled_thread_leaves_the_line)
{
	struct waiter waiter = {0}, behind = {0};
	uint64_t id;
	void *how;

#if defined __SANITIZE_ADDRESS__ && !defined __clang__
	cr_skip_test(
		"gcc's AddressSanitizer takes the frames that a cancellation leaves for an error");
#endif
	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 10);
	begin(&waiter, budget, 4, 1);
	begin(&behind, budget, 4, 2);
	cr_assert(pthread_cancel(waiter.thread) == 0);
	cr_assert(pthread_join(waiter.thread, &how) == 0);
	cr_assert(how == PTHREAD_CANCELED);
	until_waiting(budget, 1);
	assert_ok(be_release(budget, id));
	assert_status(ended(&behind), BE_OK);
	assert_balance(budget, "llm", 0, 4);
}

BEHAVIOUR_TEST(waiting, options_are_checked)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 10);
	options.wait_ms = -2;
	assert_refused(be_commit_with(budget, "llm", 1, NULL, &options, &id, NULL),
		       BE_INVALID_ARGUMENT);
}
