/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16 processes wait on a budget that frees one at a time: they are served in the order in which
 * they came, while others who do not wait ask all the time and get nothing before them; and no
 * processor is used while they wait. Then with kills: of those who wait, and of those who were
 * served and hold the money.
 */
#include "support.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	WAITERS = 16,
	NEWCOMERS = 2,
	ROUNDS = 4,
};

struct line {
	char path[PATH_MAX];
	enum be_durability durability;
	_Atomic uint32_t served;
	_Atomic uint32_t place[WAITERS]; /* in which each was served, from 1 on */
	bool dies[WAITERS];              /* when it has the money */
};

static enum be_status wait_for_all(struct be_enforcer *handle, uint64_t *id)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;

	options.wait_ms = BE_WAIT_FOREVER;
	return be_commit_with(handle, "llm", BE_UNIT, "waits", &options, id, NULL);
}

static int waiter(int index, void *context)
{
	struct line *line = context;
	struct be_enforcer *handle = test_open(line->path, line->durability);
	uint64_t id;

	EXPECT_OK(wait_for_all(handle, &id));
	line->place[index] = atomic_fetch_add(&line->served, 1) + 1;
	if (line->dies[index])
		raise(SIGKILL);
	EXPECT_OK(be_settle(handle, id, 0, NULL, NULL));
	be_close(handle);
	return 0;
}

/* Whoever gets the money without waiting gets it when nobody waits for it. */
static int newcomer(int index, void *context)
{
	struct line *line = context;
	struct be_enforcer *handle = test_open(line->path, line->durability);
	enum be_status status;
	uint64_t id;

	(void)index;
	while ((status = be_commit(handle, "llm", BE_UNIT, NULL, &id)) == BE_EXCEEDS_BUDGET)
		;
	EXPECT_OK(status);
	EXPECT_EQUAL(line->served, WAITERS);
	EXPECT_OK(be_release(handle, id));
	be_close(handle);
	return 0;
}

static void until_waiting(struct be_enforcer *handle, uint32_t count)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	int64_t start = test_monotonic_ns();

	do {
		EXPECT(test_wait_on(start, 60));
		EXPECT_OK(be_stats(handle, &stats));
	} while (stats.waiting != count);
}

/* How often a process has gone to sleep so far. */
static uint64_t sleeps_of(pid_t pid)
{
	char path[64], line[256];
	unsigned long long sleeps = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	EXPECT(file != NULL);
	while (fgets(line, sizeof line, file))
		(void)sscanf(line, "voluntary_ctxt_switches: %llu", &sleeps);
	fclose(file);
	return sleeps;
}

static uint64_t sleeps_of_all(const pid_t *pids)
{
	uint64_t sleeps = 0;

	for (int i = 0; i < WAITERS; i++)
		sleeps += sleeps_of(pids[i]);
	return sleeps;
}

/* One of them looks four times a second for all. If each looked even 10 times a second, they would
 * sleep 160 times in each. */
static void expect_rest(const pid_t *pids)
{
	int64_t start = test_monotonic_ns();
	uint64_t before = sleeps_of_all(pids), after;
	double seconds;

	sleep(1);
	after = sleeps_of_all(pids);
	seconds = test_seconds_since(start);
	printf("16 who wait slept %llu times in %.1f s\n", (unsigned long long)(after - before),
	       seconds);
	EXPECT((double)(after - before) < 40 * seconds);
}

static void begin(struct line *line, struct be_enforcer *handle, pid_t *waiters)
{
	memset(line->place, 0, sizeof line->place);
	memset(line->dies, 0, sizeof line->dies);
	line->served = 0;
	for (int i = 0; i < WAITERS; i++) {
		waiters[i] = child_start(waiter, i, line);
		until_waiting(handle, (uint32_t)i + 1);
	}
}

static void in_order(struct line *line, struct be_enforcer *handle)
{
	pid_t waiters[WAITERS], newcomers[NEWCOMERS];
	uint64_t id;

	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	begin(line, handle, waiters);
	expect_rest(waiters);
	for (int i = 0; i < NEWCOMERS; i++)
		newcomers[i] = child_start(newcomer, i, line);
	EXPECT_OK(be_release(handle, id));
	for (int i = 0; i < WAITERS; i++) {
		EXPECT_EQUAL(child_wait(waiters[i]), 0);
		EXPECT_EQUAL(line->place[i], i + 1);
	}
	for (int i = 0; i < NEWCOMERS; i++)
		EXPECT_EQUAL(child_wait(newcomers[i]), 0);
}

static void with_kills(struct line *line, struct be_enforcer *handle, uint64_t *random)
{
	pid_t waiters[WAITERS];
	bool killed[WAITERS] = {false};
	uint32_t last = 0;
	uint64_t id;

	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	begin(line, handle, waiters);
	for (int i = 0; i < 4; i++) {
		int victim = (int)(test_random(random) % WAITERS);

		killed[victim] = true;
		EXPECT(kill(waiters[victim], SIGKILL) == 0);
	}
	line->dies[test_random(random) % WAITERS] = true;
	line->dies[test_random(random) % WAITERS] = true;
	EXPECT_OK(be_release(handle, id));
	for (int i = 0; i < WAITERS; i++) {
		int end = child_wait(waiters[i]);

		EXPECT_EQUAL(end, killed[i] || line->dies[i] ? 128 + SIGKILL : 0);
		if (killed[i])
			continue;
		EXPECT(line->place[i] > last);
		last = line->place[i];
	}
	EXPECT_OK(be_reap(handle, NULL));
	EXPECT_BALANCE(handle, "llm", 0, 0);
	until_waiting(handle, 0);
}

int main(int argc, char **argv)
{
	struct line *line = shared_make(sizeof *line);
	uint64_t random;
	struct be_enforcer *handle;

	test_begin(60);
	random = test_seed();
	line->durability = argc > 1 && strcmp(argv[1], "full") == 0 ? BE_DURABILITY_FULL
								    : BE_DURABILITY_PROCESS;
	test_path(line->path, "environment");
	handle = test_open(line->path, line->durability);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	in_order(line, handle);
	for (int i = 0; i < (test_is_long() ? 200 : ROUNDS); i++)
		with_kills(line, handle, &random);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
