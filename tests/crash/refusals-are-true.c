/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A refusal is true: nobody is told exceeds_budget because of what a dead process holds or what is
 * past its deadline, whichever process ends that, and whenever.
 *
 * A race, in rounds. All of an envelope is held by processes that are then killed, in the middle of
 * what they do or after it, or by commits whose deadline then passes. At once committers, one who
 * extends and checkers ask, together for less than what is free as soon as that has ended; in some
 * rounds somebody reaps at the same time. So any refusal is false.
 *
 * Before that, two cases that such a race would meet too seldom: a worker that checks before it
 * records, beside a killed holder; and a look at the owners while others look at them all the time.
 */
#include "crash.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum role {
	COMMITTER_1,
	COMMITTER_2,
	COMMITTER_3,
	EXTENDER,
	CHECKER_1,
	CHECKER_2,
	REAPER,
	WORKERS,
};

enum {
	LIMIT = 6, /* what all ask for: 3 + 1 + 1, beside the 1 that the extender holds */
	HOLDERS = 2,
	PROBERS = 3,
	PROBED_ROUNDS = 100,
};

/* How the holders of a round end. */
enum ending {
	KILLED_HOLDING, /* when they hold all there is */
	KILLED_AT_WORK, /* somewhere in the middle of getting it */
	EXPIRED,
	ENDINGS,
};

static const char *const role_names[] = {"commit", "commit", "commit", "extend",
					 "check",  "check",  "reap"};

struct race {
	char path[PATH_MAX];
	enum be_durability durability;
	pthread_barrier_t *begins, *ends;
	struct gate ready;
	_Atomic bool *over;
	_Atomic bool *reaps;       /* in this round, the reaper does */
	_Atomic uint64_t *calls;   /* shared, for each worker, as the next one */
	_Atomic uint64_t *refused; /* falsely */
};

/* ---- the workers */

static void expect_granted(struct race *race, enum role role, enum be_status status)
{
	race->calls[role]++;
	if (status == BE_EXCEEDS_BUDGET)
		race->refused[role]++;
	else
		EXPECT_OK(status);
}

/* False: the race is over. */
static bool work_a_round(struct race *race, struct be_enforcer *handle, enum role role,
			 uint64_t extended)
{
	enum be_status status;
	uint64_t id = 0, reaped;

	pthread_barrier_wait(race->begins);
	if (*race->over)
		return false;
	switch (role) {
	case EXTENDER:
		expect_granted(race, role, be_extend(handle, extended, 2, 0, NULL));
		break;
	case CHECKER_1:
	case CHECKER_2:
		expect_granted(race, role, be_check(handle, "llm", 1, NULL));
		break;
	case REAPER:
		if (*race->reaps)
			expect_granted(race, role, be_reap(handle, &reaped));
		break;
	default:
		status = be_commit(handle, "llm", 1, NULL, &id);
		expect_granted(race, role, status);
	}
	pthread_barrier_wait(race->ends);
	if (id != 0)
		EXPECT_OK(be_release(handle, id));
	if (role == EXTENDER)
		EXPECT_OK(be_extend(handle, extended, 1, 0, NULL));
	pthread_barrier_wait(race->ends);
	return true;
}

static int work(int index, void *context)
{
	struct race *race = context;
	enum role role = (enum role)index;
	struct be_enforcer *handle = test_open(race->path, race->durability);
	uint64_t extended = 0;

	if (role == EXTENDER)
		EXPECT_OK(be_commit(handle, "llm", 1, NULL, &extended));
	pthread_barrier_wait(race->ends);
	while (work_a_round(race, handle, role, extended))
		;
	be_close(handle);
	return 0;
}

/* ---- the holders */

/* Takes one after the other until all is held. */
static int hold(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, race->durability);
	enum be_status status;
	uint64_t id;

	(void)index;
	gate_open(&race->ready);
	do
		status = be_commit(handle, "llm", 1, NULL, &id);
	while (status == BE_OK);
	EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	gate_open(&race->ready);
	wait_for_death();
}

static void spin(uint64_t nanoseconds)
{
	int64_t until = test_monotonic_ns() + (int64_t)nanoseconds;

	while (test_monotonic_ns() < until)
		sched_yield();
}

static void hold_and_be_killed(struct race *race, bool at_work, uint64_t *random)
{
	pid_t holders[HOLDERS];

	race->ready = gate_make();
	for (int i = 0; i < HOLDERS; i++)
		holders[i] = child_start(hold, i, race);
	for (int i = 0; i < HOLDERS * (at_work ? 1 : 2); i++)
		gate_wait(&race->ready);
	if (at_work)
		spin(test_random(random) % 300000);
	for (int i = 0; i < HOLDERS; i++)
		EXPECT(kill(holders[i], SIGKILL) == 0);
	for (int i = 0; i < HOLDERS; i++)
		EXPECT_EQUAL(child_wait(holders[i]), 128 + SIGKILL);
	close(race->ready.ends[0]);
	close(race->ready.ends[1]);
}

/* Takes all, and returns when the last deadline has passed. */
static void hold_and_expire(struct be_enforcer *handle, uint64_t *random)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct timespec now;
	int64_t until_ns;
	uint64_t id;

	options.ttl_ms = 1;
	options.detached = test_random(random) % 2;
	for (int i = 1; i < LIMIT; i++)
		if (be_commit_with(handle, "llm", 1, NULL, &options, &id, NULL) != BE_OK)
			break; /* it took so long that the first have expired, and were reaped */
	clock_gettime(CLOCK_REALTIME, &now);
	until_ns = now.tv_sec * BE_UNIT + now.tv_nsec + 1000000;
	do
		clock_gettime(CLOCK_REALTIME, &now);
	while (now.tv_sec * BE_UNIT + now.tv_nsec <= until_ns);
}

/* ---- the race */

static void play_round(struct race *race, struct be_enforcer *handle, uint64_t *random)
{
	enum ending ending = (enum ending)(test_random(random) % ENDINGS);

	if (ending == EXPIRED)
		hold_and_expire(handle, random);
	else
		hold_and_be_killed(race, ending == KILLED_AT_WORK, random);
	*race->reaps = test_random(random) % 2;
	pthread_barrier_wait(race->begins);
	pthread_barrier_wait(race->ends);
	pthread_barrier_wait(race->ends);
}

static void test_race(enum be_durability durability, int rounds, uint64_t *random)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	struct race race = {.durability = durability};
	struct be_enforcer *handle;
	pid_t workers[WORKERS];
	uint64_t calls = 0, refused = 0, reaped;
	int64_t start = test_monotonic_ns();

	test_path(race.path, "race");
	race.begins = barrier_make(WORKERS + 1);
	race.ends = barrier_make(WORKERS + 1);
	race.over = shared_make(sizeof *race.over);
	race.reaps = shared_make(sizeof *race.reaps);
	race.calls = shared_make(WORKERS * sizeof *race.calls);
	race.refused = shared_make(WORKERS * sizeof *race.refused);
	handle = test_open(race.path, durability);
	EXPECT_OK(be_envelope_create(handle, "team", LIMIT, BE_PERIOD_DAILY, NULL));
	below.parent_category = "team";
	EXPECT_OK(be_envelope_create(handle, "llm", LIMIT, BE_PERIOD_TOTAL, &below));
	children_start(workers, WORKERS, work, &race);
	pthread_barrier_wait(race.ends);
	for (int i = 0; i < rounds; i++)
		play_round(&race, handle, random);
	*race.over = true;
	pthread_barrier_wait(race.begins);
	children_expect_success(workers, WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		calls += race.calls[i];
		refused += race.refused[i];
		if (race.refused[i] > 0)
			printf("%s: %llu of %llu refused\n", role_names[i],
			       (unsigned long long)race.refused[i],
			       (unsigned long long)race.calls[i]);
	}
	printf("%d rounds, %llu calls in %.1f s: %llu false refusals\n", rounds,
	       (unsigned long long)calls, test_seconds_since(start), (unsigned long long)refused);
	EXPECT_EQUAL(refused, 0);
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_BALANCE(handle, "llm", 0, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

/* ---- a worker that checks, then records */

static int hold_most(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, race->durability);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", 49 * BE_UNIT / 10, NULL, &id));
	gate_open(&race->ready);
	wait_for_death();
}

static void test_check_beside_a_killed_holder(enum be_durability durability)
{
	struct race race = {.durability = durability, .ready = gate_make()};
	struct be_decision decision = BE_DECISION_INIT;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle, *looks;
	pid_t holder;

	test_path(race.path, "checks");
	handle = test_open(race.path, durability);
	EXPECT_OK(be_envelope_create(handle, "llm", 5 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(race.path, &options, &looks));
	holder = child_start(hold_most, 0, &race);
	gate_wait(&race.ready);
	EXPECT_STATUS(be_check(handle, "llm", BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	kill_child(holder);
	/* One who may change nothing cannot end it, and says what stands there. */
	EXPECT_STATUS(be_check(looks, "llm", BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	EXPECT_BALANCE(handle, "llm", 0, 49 * BE_UNIT / 10);
	EXPECT_OK(be_check(handle, "llm", BE_UNIT, &decision));
	EXPECT_EQUAL(decision.available, 5 * BE_UNIT);
	EXPECT_EQUAL(decision.committed, 0);
	EXPECT_OK(be_record(handle, "llm", BE_UNIT, NULL, NULL));
	EXPECT_OK(be_check(looks, "llm", BE_UNIT, NULL));
	EXPECT_BALANCE(handle, "llm", BE_UNIT, 0);
	EXPECT_VERIFIED(handle);
	be_close(looks);
	be_close(handle);
	printf("a check beside a killed holder is permitted\n");
}

/* ---- looking while others look */

/* Is refused again and again, truly, so that it looks at all owners each time. */
static int probe(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, race->durability);
	uint64_t id;

	(void)index;
	while (!*race->over)
		EXPECT_STATUS(be_commit(handle, "full", 1, NULL, &id), BE_EXCEEDS_BUDGET);
	be_close(handle);
	return 0;
}

static int hold_all(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(race->path, race->durability);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", LIMIT, NULL, &id));
	gate_open(&race->ready);
	wait_for_death();
}

static void test_look_while_others_look(enum be_durability durability)
{
	struct race race = {.durability = durability, .ready = gate_make()};
	int rounds = PROBED_ROUNDS * (test_is_long() ? 20 : 1), refused = 0;
	struct be_enforcer *handle;
	pid_t probers[PROBERS];
	uint64_t id;

	test_path(race.path, "looks");
	race.over = shared_make(sizeof *race.over);
	handle = test_open(race.path, durability);
	EXPECT_OK(be_envelope_create(handle, "llm", LIMIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "full", 1, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "full", 1, NULL, &id));
	for (int i = 0; i < PROBERS; i++)
		probers[i] = child_start(probe, i, &race);
	for (int i = 0; i < rounds; i++) {
		pid_t holder = child_start(hold_all, i, &race);
		enum be_status status;

		gate_wait(&race.ready);
		kill_child(holder);
		status = be_commit(handle, "llm", 1, NULL, &id);
		if (status == BE_EXCEEDS_BUDGET) {
			refused++;
			EXPECT_OK(be_reap(handle, NULL));
			continue;
		}
		EXPECT_OK(status);
		EXPECT_OK(be_release(handle, id));
	}
	*race.over = true;
	for (int i = 0; i < PROBERS; i++)
		EXPECT_EQUAL(child_wait(probers[i]), 0);
	printf("%d looks while %d others looked: %d false refusals\n", rounds, PROBERS, refused);
	EXPECT_EQUAL(refused, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

int main(int argc, char **argv)
{
	enum be_durability durability;
	uint64_t random;

	test_begin(100);
	durability = crash_durability(argc, argv);
	random = test_seed();
	test_check_beside_a_killed_holder(durability);
	test_look_while_others_look(durability);
	test_race(durability, test_is_long() ? 10000 : 200, &random);
	return 0;
}
