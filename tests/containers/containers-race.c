/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight containers of four workers each, all with the pids of all others, commit 0.1 against one
 * envelope of limit 10 until they are refused: exactly 100 commits are granted. Each container's
 * first process has the environment open, too, and forks the workers; they race for its making.
 */
#include "containers.h"

#include <stdio.h>
#include <sys/stat.h>

enum {
	CONTAINERS = 8,
	WORKERS = 4,
	ALL = CONTAINERS * WORKERS,
	GRANTS = 100
};

struct race {
	enum be_durability durability;
	pthread_barrier_t *barrier;
	int granted[ALL];
};

static int worker(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(CONTAINER_BUDGET, race->durability);
	enum be_status status;
	uint64_t id;

	EXPECT_OK(be_envelope_ensure(handle, "llm", 10 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	while ((status = be_commit(handle, "llm", BE_UNIT / 10, "race", &id)) == BE_OK)
		EXPECT(++race->granted[index] <= GRANTS);
	EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	/* The death of a worker frees what it holds, so all stay until all have looked. */
	pthread_barrier_wait(race->barrier);
	EXPECT_BALANCE(handle, "llm", 0, 10 * BE_UNIT);
	EXPECT_STATUS(be_check(handle, "llm", 1, NULL), BE_EXCEEDS_BUDGET);
	pthread_barrier_wait(race->barrier);
	be_close(handle);
	return 0;
}

static int container(int index, void *context)
{
	struct race *race = context;
	struct be_enforcer *handle = test_open(CONTAINER_BUDGET, race->durability);
	pid_t workers[WORKERS];
	int status;

	container_fork(workers, WORKERS, index * WORKERS, worker, context);
	status = container_join(workers, WORKERS);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return status;
}

static void run_once(enum be_durability durability)
{
	struct race *race = shared_make(sizeof *race);
	struct be_enforcer *handle;
	char path[PATH_MAX];
	int granted = 0;

	test_path(path, "environment");
	EXPECT(mkdir(path, 0755) == 0);
	race->durability = durability;
	race->barrier = barrier_make(ALL);
	containers_run(path, CONTAINERS, container, race);
	for (int i = 0; i < ALL; i++)
		granted += race->granted[i];
	EXPECT_EQUAL(granted, GRANTS);
	handle = test_open(path, durability);
	EXPECT_BALANCE(handle, "llm", 0, 0); /* all are dead */
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(path);
}

int main(int argc, char **argv)
{
	enum be_durability durability = crash_durability(argc, argv);
	int runs = test_is_long() ? 20 : 3;

	test_begin(120);
	containers_must_be_possible();
	for (int i = 0; i < runs; i++)
		run_once(durability);
	printf("%s: %d of %d runs granted exactly %d\n", crash_durability_name(durability), runs,
	       runs, GRANTS);
	return 0;
}
