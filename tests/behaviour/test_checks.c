/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks over a storage for which each trip counts, with be_options.check_age_ms. The storage here
 * stands before the one in memory, and counts the txns that are begun.
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000
#define THREADS 4
#define ROUNDS 200

static const struct be_storage *inner;
static _Atomic int64_t trips;

static int counted_begin(void *self, bool write, void **txn)
{
	(void)self;
	atomic_fetch_add(&trips, 1);
	return inner->ops->begin(inner->self, write, txn);
}

static int counted_prefetch(void *self, void *txn, const struct be_bytes *keys, size_t count)
{
	(void)self;
	(void)txn;
	(void)keys;
	(void)count;
	return 0;
}

static struct be_storage_ops counting;
static struct be_storage counted;

static void begin(void)
{
	fixture_begin_memory();
	inner = fixture.storage;
	counting = *inner->ops;
	counting.begin = counted_begin;
	counting.prefetch = counted_prefetch;
	counted = (struct be_storage){&counting, inner->self};
}

static struct be_enforcer *open_counted(int64_t age_ms)
{
	struct be_options options = fixture_options();

	options.storage = &counted;
	options.check_age_ms = age_ms;
	return fixture_open_with(&options);
}

/* How many trips a check makes that gives `wanted`. */
#define assert_check(trips_, handle, category, amount, wanted)                                     \
	do {                                                                                       \
		int64_t before_ = atomic_load(&trips);                                             \
		assert_status(be_check(handle, category, amount, NULL), wanted);                   \
		assert_number(atomic_load(&trips) - before_, trips_);                              \
	} while (0)

/* For longer than the shortest age there is. */
static void grow_old(void)
{
	usleep(2000);
}

Test(checks, without_an_age_each_makes_its_trip, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(0);

	fixture_create(handle, "llm", 10);
	for (int i = 0; i < 3; i++)
		assert_check(1, handle, "llm", 10, BE_OK);
}

Test(checks, within_the_age_one_trip_permits_all, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(LONG_MS);
	struct be_decision decision = BE_DECISION_INIT;

	fixture_create(handle, "all", 20);
	fixture_create_below(handle, "llm", 10, "", "all");
	assert_ok(be_record(handle, "llm", 3, NULL, NULL));
	assert_check(1, handle, "llm", 1, BE_OK);
	for (int64_t amount = 0; amount <= 7; amount++)
		assert_check(0, handle, "llm", amount, BE_OK);
	/* Its ancestor is another question. */
	assert_check(1, handle, "all", 1, BE_OK);
	/* A refusal is made sure of, and what is less asked for anew. */
	for (int i = 0; i < 2; i++)
		assert_check(1, handle, "llm", 8, BE_EXCEEDS_BUDGET);
	assert_check(1, handle, "llm", 7, BE_OK);
	assert_check(0, handle, "llm", 7, BE_OK);
	/* The decision is that of this question. */
	assert_ok(be_check(handle, "llm", 2, &decision));
	assert_number(decision.requested, 2);
	assert_number(decision.available, 7);
	assert_number(decision.spent, 3);
	assert_text(decision.category, "llm");
}

Test(checks, past_the_age_it_makes_a_trip, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(1);

	fixture_create(handle, "llm", 10);
	for (int i = 0; i < 3; i++) {
		assert_check(1, handle, "llm", 10, BE_OK);
		grow_old();
	}
}

Test(checks, what_others_change_is_seen_past_the_age, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *old = open_counted(LONG_MS), *young = open_counted(1);

	fixture_create(fixture.handle, "llm", 10);
	assert_ok(be_check(old, "llm", 10, NULL));
	assert_ok(be_check(young, "llm", 10, NULL));
	assert_ok(be_record(fixture.handle, "llm", 4, NULL, NULL));
	grow_old();
	assert_check(0, old, "llm", 10, BE_OK);
	assert_check(1, young, "llm", 10, BE_EXCEEDS_BUDGET);
	/* Reserving looks. */
	assert_status(be_commit(old, "llm", 10, NULL, &(uint64_t){0}), BE_EXCEEDS_BUDGET);
	assert_check(1, old, "llm", 10, BE_EXCEEDS_BUDGET);
}

Test(checks, own_changes_are_seen_at_once, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(LONG_MS);
	struct be_envelope_change change = BE_ENVELOPE_CHANGE_INIT;
	struct be_settings settings = BE_SETTINGS_INIT;
	uint64_t id;

	fixture_create(handle, "all", 20);
	fixture_create_below(handle, "llm", 10, "", "all");
	assert_check(1, handle, "llm", 10, BE_OK);
	assert_ok(be_commit(handle, "llm", 4, NULL, &id));
	assert_status(be_check(handle, "llm", 10, NULL), BE_EXCEEDS_BUDGET);
	assert_check(1, handle, "llm", 6, BE_OK);
	assert_check(0, handle, "llm", 6, BE_OK);
	assert_ok(be_settle(handle, id, 1, NULL, NULL));
	assert_check(1, handle, "llm", 9, BE_OK);
	/* In its ancestor. */
	assert_ok(be_record(handle, "all", 15, NULL, NULL));
	assert_check(1, handle, "llm", 5, BE_EXCEEDS_BUDGET);
	assert_check(1, handle, "llm", 4, BE_OK);
	assert_ok(be_envelope_suspend(handle, "all"));
	assert_check(1, handle, "llm", 1, BE_SUSPENDED);
	assert_check(1, handle, "llm", 1, BE_SUSPENDED);
	assert_ok(be_envelope_resume(handle, "all"));
	assert_check(1, handle, "llm", 4, BE_OK);
	change.operation = BE_OPERATION_SET_LIMIT;
	change.category = "llm";
	change.limit = 3;
	assert_ok(be_envelopes_apply(handle, &change, 1, NULL));
	assert_status(be_check(handle, "llm", 3, NULL), BE_EXCEEDS_BUDGET);
	settings.mask = BE_SET_LIMIT;
	settings.limit = 9;
	assert_ok(be_envelope_set(handle, "llm", &settings, NULL));
	assert_status(be_check(handle, "llm", 4, NULL), BE_OK);
	assert_ok(be_envelope_remove(handle, "llm"));
	assert_check(1, handle, "llm", 1, BE_NO_ENVELOPE);
}

Test(checks, windows_and_raises_end_within_the_age, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(LONG_MS);
	struct be_settings raise = BE_SETTINGS_INIT;
	struct be_envelope_options calendar = BE_ENVELOPE_OPTIONS_INIT;

	assert_ok(be_envelope_create(handle, "llm", 10, BE_PERIOD_DAILY, NULL));
	assert_ok(be_record(handle, "llm", 9, NULL, NULL));
	assert_check(1, handle, "llm", 1, BE_OK);
	fixture_advance(DAY_NS);
	assert_check(0, handle, "llm", 10, BE_OK);

	raise.mask = BE_SET_RAISE;
	raise.raise = 5;
	raise.raise_until_ns = fixture.now_ns + HOUR_NS;
	assert_ok(be_envelope_set(handle, "llm", &raise, NULL));
	assert_check(1, handle, "llm", 15, BE_OK);
	assert_check(0, handle, "llm", 15, BE_OK);
	fixture_advance(HOUR_NS);
	assert_check(1, handle, "llm", 15, BE_EXCEEDS_BUDGET);
	assert_check(1, handle, "llm", 10, BE_OK);

	/* The calendar is asked for when it is needed. */
	calendar.zone = "Europe/Berlin";
	assert_ok(be_envelope_create(handle, "day", 10, BE_PERIOD_DAILY, &calendar));
	assert_ok(be_record(handle, "day", 9, NULL, NULL));
	assert_check(1, handle, "day", 1, BE_OK);
	fixture_advance(DAY_NS);
	assert_check(1, handle, "day", 10, BE_OK);
	assert_check(0, handle, "day", 10, BE_OK);
}

/* What was committed is freed by a deadline only when it is reaped, which a refusal does. */
Test(checks, a_refusal_is_true, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(LONG_MS);
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(handle, "llm", 10);
	options.ttl_ms = 1000;
	assert_ok(be_commit_with(handle, "llm", 8, NULL, &options, &id, NULL));
	assert_check(1, handle, "llm", 2, BE_OK);
	fixture_advance(2 * SECOND_NS);
	assert_ok(be_check(handle, "llm", 10, NULL));
	assert_balance(handle, "llm", 0, 0);
	/* Freed by another, which only a trip shows. */
	assert_ok(be_commit(fixture.handle, "llm", 8, NULL, &id));
	assert_status(be_commit(handle, "llm", 9, NULL, &(uint64_t){0}), BE_EXCEEDS_BUDGET);
	assert_check(1, handle, "llm", 2, BE_OK);
	assert_ok(be_release(fixture.handle, id));
	assert_ok(be_check(handle, "llm", 10, NULL));
}

static void count_event(void *context, const struct be_event *event)
{
	cr_assert_eq(event->operation, BE_OPERATION_CHECK);
	cr_assert_not_null(event->envelope);
	assert_text(event->envelope->parent_category, "all");
	++*(int *)context;
}

Test(checks, observers_are_told_of_each, .init = begin, .fini = fixture_end)
{
	struct be_options options = fixture_options();
	struct be_enforcer *handle;
	int events = 0;

	fixture_create(fixture.handle, "all", 20);
	fixture_create_below(fixture.handle, "llm", 10, "", "all");
	options.storage = &counted;
	options.check_age_ms = LONG_MS;
	options.observe = count_event;
	options.observe_context = &events;
	handle = fixture_open_with(&options);
	assert_check(1, handle, "llm", 1, BE_OK);
	assert_check(0, handle, "llm", 2, BE_OK);
	assert_check(0, handle, "llm", 2, BE_OK);
	assert_number(events, 3);
}

Test(checks, many_envelopes_take_each_others_places, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(LONG_MS);
	char category[16];

	for (int i = 0; i < 600; i++) {
		snprintf(category, sizeof category, "at-%d", i);
		fixture_create(handle, category, i + 1);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 600; i++) {
			snprintf(category, sizeof category, "at-%d", i);
			assert_ok(be_check(handle, category, i + 1, NULL));
			assert_status(be_check(handle, category, i + 2, NULL), BE_EXCEEDS_BUDGET);
		}
	}
}

Test(checks, an_age_out_of_range_is_refused, .init = begin, .fini = fixture_end)
{
	static const int64_t wrong[] = {-1, LONG_MS + 1, INT64_MIN, INT64_MAX};
	struct be_options options = fixture_options();
	struct be_enforcer *handle;

	options.storage = &counted;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		options.check_age_ms = wrong[i];
		assert_status(be_open(NULL, &options, &handle), BE_INVALID_ARGUMENT);
		cr_assert_null(handle);
	}
}

/* In memory and in a directory all of it is as without. */
BEHAVIOUR_TEST(checks, an_age_has_no_effect_here)
{
	struct be_options options = fixture_options();
	struct be_enforcer *handle;

	options.check_age_ms = LONG_MS;
	handle = fixture_open_with(&options);
	fixture_create(budget, "llm", 10);
	assert_ok(be_check(handle, "llm", 10, NULL));
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	if (!getenv("BE_TEST_SERVER"))
		assert_status(be_check(handle, "llm", 10, NULL), BE_EXCEEDS_BUDGET);
}

/* ---- threads, fork */

static struct be_enforcer *shared;

/* Nobody is told of less than what was charged before it asked: by itself, or by another thread
 * that had its answer. */
static void *ask_and_charge(void *context)
{
	static _Atomic int64_t charged;
	struct be_decision decision = BE_DECISION_INIT;

	(void)context;
	for (int i = 0; i < ROUNDS; i++) {
		int64_t least;

		if (i % 4 == 0) {
			assert_ok(be_record(shared, "llm", 1, NULL, NULL));
			atomic_fetch_add(&charged, 1);
		}
		least = atomic_load(&charged);
		assert_ok(be_check(shared, "llm", 1, &decision));
		cr_assert(decision.spent >= least);
	}
	return NULL;
}

Test(checks, threads_see_what_each_has_changed, .init = begin, .fini = fixture_end)
{
	pthread_t threads[THREADS];

	shared = open_counted(LONG_MS);
	fixture_create(shared, "llm", BE_UNIT);
	for (int i = 0; i < THREADS; i++)
		assert_number(pthread_create(&threads[i], NULL, ask_and_charge, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_number(pthread_join(threads[i], NULL), 0);
	assert_balance(shared, "llm", THREADS * ROUNDS / 4, 0);
}

Test(checks, a_fork_child_reads_for_itself, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_counted(LONG_MS);
	int status;
	pid_t child;

	fixture_create(handle, "llm", 10);
	assert_check(1, handle, "llm", 10, BE_OK);
	child = fork();
	if (child == 0) {
		int64_t before = atomic_load(&trips);
		bool right = be_check(handle, "llm", 10, NULL) == BE_OK &&
			     atomic_load(&trips) == before + 1 &&
			     be_check(handle, "llm", 10, NULL) == BE_OK &&
			     atomic_load(&trips) == before + 1 &&
			     be_record(handle, "llm", 4, NULL, NULL) == BE_OK &&
			     be_check(handle, "llm", 7, NULL) == BE_EXCEEDS_BUDGET;

		_exit(right ? 0 : 1);
	}
	assert_number(waitpid(child, &status, 0), child);
	assert_number(status, 0);
	assert_check(0, handle, "llm", 10, BE_OK);
}
