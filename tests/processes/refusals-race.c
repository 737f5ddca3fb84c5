/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16 processes are refused as fast as they can, by one envelope, by an ancestor, by a suspended
 * envelope and for want of one, each in its own order; some are killed with SIGKILL when they have
 * done their part, some fork in the middle of it. The counts are exact to the last one. The file of
 * the counts is missing when they begin, so that they race for its making, and one envelope's
 * counts lie in a part of the file that nobody has used.
 *
 * A process that only reads sees counts that never go back, and no more than there were calls.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	WORKERS = 16,
	ROUNDS = 3000,
	ENVELOPES = 2100, /* more than the first chunk of the file has tallies for */
};

struct race {
	char path[PATH_MAX];
	pthread_barrier_t *barrier;
	_Atomic int *done; /* workers that have ended */
};

static void make(const char *path)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	static struct be_envelope_change changes[ENVELOPES];
	static char names[ENVELOPES][16];

	EXPECT_OK(be_envelope_create(handle, "top", 10, BE_PERIOD_TOTAL, NULL));
	below.parent_category = "top";
	EXPECT_OK(be_envelope_create(handle, "below", 100, BE_PERIOD_TOTAL, &below));
	for (int i = 0; i < ENVELOPES; i++) {
		snprintf(names[i], sizeof names[i], "e%d", i);
		changes[i] = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
		changes[i].operation = BE_OPERATION_CREATE;
		changes[i].category = names[i];
		changes[i].limit = 10;
	}
	EXPECT_OK(be_envelopes_apply(handle, changes, ENVELOPES, NULL));
	EXPECT_OK(be_envelope_create(handle, "suspended", 10, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_suspend(handle, "suspended"));
	be_close(handle);
}

static void be_refused(struct be_enforcer *handle, int kind)
{
	uint64_t id;

	switch (kind) {
	case 0:
		EXPECT_STATUS(be_check(handle, "top", 11, NULL), BE_EXCEEDS_BUDGET);
		break;
	case 1:
		EXPECT_STATUS(be_check(handle, "below", 11, NULL), BE_EXCEEDS_BUDGET);
		break;
	case 2:
		EXPECT_STATUS(be_commit(handle, "below", 101, NULL, &id), BE_EXCEEDS_BUDGET);
		break;
	case 3:
		EXPECT_STATUS(be_check(handle, "suspended", 1, NULL), BE_SUSPENDED);
		break;
	default:
		EXPECT_STATUS(be_check(handle, "none", 1, NULL), BE_NO_ENVELOPE);
	}
}

static int worker(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle;

	pthread_barrier_wait(race->barrier);
	handle = test_open(race->path, BE_DURABILITY_PROCESS);
	for (int i = 0; i < 5 * ROUNDS; i++) {
		/* What is left is the child's, which goes on with the handle. */
		if (i == 2 * ROUNDS && index % 4 == 1) {
			pid_t child = fork();

			EXPECT(child >= 0);
			if (child > 0)
				_exit(child_wait(child));
		}
		be_refused(handle, (i + index) % 5);
	}
	++*race->done;
	if (index % 4 == 2)
		kill(getpid(), SIGKILL);
	be_close(handle);
	return 0;
}

static uint64_t no_envelope(struct be_enforcer *handle)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	EXPECT_OK(be_stats(handle, &stats));
	return stats.refused_no_envelope;
}

static struct be_envelope look(struct be_enforcer *handle, const char *category)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	EXPECT_OK(be_utilization(handle, category, &envelope));
	return envelope;
}

/* Looks until all have ended; returns how often. */
static uint64_t watch(const struct race *race)
{
	struct be_options options = BE_OPTIONS_INIT;
	uint64_t last = 0, last_suspended = 0, looks = 0;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(race->path, &options, &handle));
	while (*race->done < WORKERS) {
		uint64_t now = look(handle, "top").refused_exceeds_budget;
		uint64_t now_suspended = look(handle, "suspended").refused_suspended;

		EXPECT(now >= last && now <= (uint64_t)2 * WORKERS * ROUNDS);
		EXPECT(now_suspended >= last_suspended &&
		       now_suspended <= (uint64_t)WORKERS * ROUNDS);
		last = now;
		last_suspended = now_suspended;
		looks++;
	}
	be_close(handle);
	return looks;
}

int main(void)
{
	struct race race;
	struct be_enforcer *handle;
	pid_t workers[WORKERS];
	char counts[PATH_MAX + 16];
	uint64_t looks;
	int64_t start;

	test_begin(120);
	test_path(race.path, "race");
	race.barrier = barrier_make(WORKERS);
	race.done = shared_make(sizeof *race.done);
	make(race.path);
	snprintf(counts, sizeof counts, "%s/be-counts", race.path);
	EXPECT_EQUAL(unlink(counts), 0);
	start = test_monotonic_ns();
	children_start(workers, WORKERS, worker, &race);
	looks = watch(&race);
	for (int i = 0; i < WORKERS; i++)
		EXPECT_EQUAL(child_wait(workers[i]), i % 4 == 2 ? 128 + SIGKILL : 0);
	printf("%d refusals by %d processes in %.3f s, looked at %llu times\n",
	       5 * ROUNDS * WORKERS, WORKERS, test_seconds_since(start), (unsigned long long)looks);

	handle = test_open(race.path, BE_DURABILITY_PROCESS);
	EXPECT_EQUAL(look(handle, "top").refused_exceeds_budget, 2 * WORKERS * ROUNDS);
	EXPECT_EQUAL(look(handle, "below").refused_exceeds_budget, WORKERS * ROUNDS);
	EXPECT_EQUAL(look(handle, "suspended").refused_suspended, WORKERS * ROUNDS);
	EXPECT_EQUAL(look(handle, "suspended").refused_exceeds_budget, 0);
	EXPECT_EQUAL(no_envelope(handle), WORKERS * ROUNDS);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
