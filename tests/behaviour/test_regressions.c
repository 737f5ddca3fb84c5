/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mistakes of the seed, one test each, named after them. Each made money out of nothing or let
 * it vanish; none may come back.
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seed: the release took 8 off a balance in which these 8 no longer were, and so off somebody
 * else's. */
BEHAVIOUR_TEST(regressions, a_hold_of_8_on_a_limit_of_10_carried_over_a_reset_and_then_released)
{
	uint64_t old, other, id;

	assert_ok(be_envelope_create(budget, "llm", 10 * BE_UNIT, BE_PERIOD_HOURLY, NULL));
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		old = fixture_commit(budget, "llm", 8 * BE_UNIT);
		if (by_hand)
			assert_ok(be_envelope_reset(budget, "llm"));
		else
			fixture_advance(HOUR_NS);
		assert_balance(budget, "llm", 0, 8 * BE_UNIT); /* still held, in the new window */
		assert_refused(be_commit(budget, "llm", 8 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
		other = fixture_commit(budget, "llm", 2 * BE_UNIT);
		assert_ok(be_release(budget, old));
		assert_balance(budget, "llm", 0, 2 * BE_UNIT); /* the other's hold is whole */
		assert_refused(be_commit(budget, "llm", 8 * BE_UNIT + 1, NULL, &id),
			       BE_EXCEEDS_BUDGET);
		assert_ok(be_release(budget, other));
		assert_balance(budget, "llm", 0, 0);
	}
}

/* Seed: committing -5 made 5 more available. */
BEHAVIOUR_TEST(regressions, a_negative_commit_raises_the_balance)
{
	uint64_t id = 77;

	fixture_create(budget, "llm", 10 * BE_UNIT);
	assert_refused(be_commit(budget, "llm", -5 * BE_UNIT, NULL, &id), BE_AMOUNT_NEGATIVE);
	assert_number(id, 0);
	assert_refused(be_record(budget, "llm", -5 * BE_UNIT, NULL, NULL), BE_AMOUNT_NEGATIVE);
	assert_refused(be_check(budget, "llm", 10 * BE_UNIT + 1, NULL), BE_EXCEEDS_BUDGET);
}

/* Seed: a hold made in the envelope before, released, was taken off the one that replaced it. */
BEHAVIOUR_TEST(regressions, replacing_an_envelope_lets_old_holds_free_new_money)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t old, reaped;

	/* It cannot be replaced while something is pending ... */
	fixture_create(budget, "llm", 10 * BE_UNIT);
	options.ttl_ms = 1000;
	assert_ok(be_commit_with(budget, "llm", 8 * BE_UNIT, NULL, &options, &old, NULL));
	assert_refused(be_envelope_create(budget, "llm", 10 * BE_UNIT, BE_PERIOD_TOTAL, NULL),
		       BE_ENVELOPE_EXISTS);
	assert_refused(be_envelope_remove(budget, "llm"), BE_HAS_COMMITS);

	/* ... and what was pending once does not touch the new one. */
	fixture_advance(2 * SECOND_NS);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 1);
	assert_ok(be_envelope_remove(budget, "llm"));
	fixture_create(budget, "llm", 10 * BE_UNIT);
	fixture_commit(budget, "llm", 9 * BE_UNIT);
	assert_refused(be_release(budget, old), BE_ALREADY_REAPED);
	assert_refused(be_settle(budget, old, 8 * BE_UNIT, NULL, NULL), BE_NO_ENVELOPE);
	assert_balance(budget, "llm", 0, 9 * BE_UNIT);
}

/* Seed: in floating point they are 0.9999999999999999, and an eleventh is nearly granted. */
BEHAVIOUR_TEST(regressions, ten_records_of_a_tenth_are_one)
{
	char text[BE_AMOUNT_TEXT_SIZE];
	int64_t tenth;

	assert_ok(be_amount_parse("0.1", &tenth));
	fixture_create(budget, "llm", BE_UNIT);
	for (int i = 0; i < 10; i++) {
		assert_ok(be_check(budget, "llm", tenth, NULL));
		assert_ok(be_record(budget, "llm", tenth, NULL, NULL));
	}
	assert_balance(budget, "llm", BE_UNIT, 0);
	assert_ok(be_amount_format(fixture_envelope(budget, "llm").spent, text, sizeof text));
	assert_text(text, "1");
	assert_refused(be_check(budget, "llm", 1, NULL), BE_EXCEEDS_BUDGET);
}

/* Seed: a worker that started anew "created" its envelope, and what the pool had spent was gone. */
BEHAVIOUR_TEST(regressions, a_worker_that_restarts_and_creates_its_envelope)
{
	for (int start = 0; start < 3; start++) {
		struct be_enforcer *worker = fixture_open("task");

		assert_ok(be_envelope_ensure(worker, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
		assert_balance(worker, "llm", 2 * start * TENTH, start * TENTH);
		assert_refused(be_envelope_create(worker, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL),
			       BE_ENVELOPE_EXISTS);
		assert_ok(be_record(worker, "llm", 2 * TENTH, NULL, NULL));
		fixture_commit(worker, "llm", TENTH);
		fixture_close(worker);
	}
}

/* The same of real processes, each of which ends before the next begins. */
LMDB_TEST(regressions, a_worker_process_that_restarts_and_creates_its_envelope)
{
	for (int start = 0; start < 3; start++) {
		pid_t child = fork();
		int ended;

		cr_assert(child >= 0);
		if (child == 0) {
			struct be_options options = fixture_options();
			struct be_enforcer *worker;

			_exit(be_open(fixture.path, &options, &worker) != BE_OK ||
			      be_envelope_ensure(worker, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL) !=
				      BE_OK ||
			      be_record(worker, "llm", 2 * TENTH, NULL, NULL) != BE_OK);
		}
		cr_assert(waitpid(child, &ended, 0) == child);
		cr_assert(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
	}
	assert_balance(budget, "llm", 6 * TENTH, 0);
}

/* ------------------------------------------- the gap of release-then-record */

#define HELD 200

struct racer {
	struct be_enforcer *handle;
	atomic_bool done;
	atomic_int tries, granted, faults;
};

static void *race(void *context)
{
	struct racer *racer = context;
	uint64_t id;

	while (!racer->done) {
		enum be_status status = be_commit(racer->handle, "llm", 1, NULL, &id);

		racer->tries++;
		racer->granted += status == BE_OK;
		racer->faults += status != BE_OK && status != BE_EXCEEDS_BUDGET;
	}
	return NULL;
}

/* Seed: between the release and the record of what a call had cost, another worker took the
 * headroom. Here everything is held, and one hold after the other is settled at its full amount: at
 * no moment may there be anything for the racer, who asks for the smallest amount there is. */
BEHAVIOUR_TEST(regressions,
	       release_then_record_leaves_a_gap_in_which_another_worker_takes_the_headroom)
{
	struct racer racer = {.handle = fixture_open(NULL)};
	uint64_t ids[HELD];
	pthread_t thread;

	fixture_create(budget, "llm", HELD * BE_UNIT);
	for (int i = 0; i < HELD; i++)
		ids[i] = fixture_commit(budget, "llm", BE_UNIT);
	cr_assert(pthread_create(&thread, NULL, race, &racer) == 0);
	for (int i = 0; i < HELD; i++) {
		int before = racer.tries;

		assert_ok(be_settle(budget, ids[i], BE_UNIT, NULL, NULL));
		while (i % 20 == 0 && racer.tries == before)
			sched_yield(); /* so that the race is one whatever the scheduler does */
	}
	racer.done = true;
	pthread_join(thread, NULL);
	printf("%d attempts of the racer during %d settlements\n", racer.tries, HELD);
	assert_number(racer.granted, 0);
	assert_number(racer.faults, 0);
	assert_balance(budget, "llm", HELD * BE_UNIT, 0);
}
