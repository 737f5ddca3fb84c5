/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing tells processes apart by their pids: the first processes of two containers, both pid 1,
 * have one environment open at once, read, write and settle, and one of them finds what the other
 * held free once that has been killed. Those who only look are let in, too, many of one pid; and so
 * is the host, which also makes a backup. With "unknown" the program is linked with
 * unknown-liblmdb.c: then all is the same, and be_stats() tells.
 */
#include "containers.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scene {
	char path[PATH_MAX];
	struct gate holds, go, looks;
};

static struct be_enforcer *look(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

static int hold_all(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(CONTAINER_BUDGET, BE_DURABILITY_PROCESS);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	EXPECT_STATUS(be_check(handle, "llm", 1, NULL), BE_EXCEEDS_BUDGET);
	gate_open(&scene->holds);
	wait_for_death();
}

static int want_all(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(CONTAINER_BUDGET, BE_DURABILITY_PROCESS);
	uint64_t id;

	(void)index;
	EXPECT_STATUS(be_commit(handle, "llm", 1, NULL, &id), BE_EXCEEDS_BUDGET);
	EXPECT_BALANCE(handle, "llm", 0, BE_UNIT);
	gate_open(&scene->holds);
	gate_wait(&scene->go); /* the other has been killed */
	EXPECT_OK(be_check(handle, "llm", BE_UNIT, NULL));
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static int look_on(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = look(CONTAINER_BUDGET);

	(void)index;
	EXPECT_BALANCE(handle, "llm", 0, BE_UNIT);
	gate_open(&scene->looks);
	wait_for_death();
}

static int namesakes(int index, void *context)
{
	EXPECT_EQUAL(getpid(), 1);
	return index == 0   ? hold_all(index, context)
	       : index == 1 ? want_all(index, context)
			    : look_on(index, context);
}

/* Of a handle that only looks. */
static void expect_reads(struct be_enforcer *handle, bool alone)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	char copy[PATH_MAX];

	EXPECT_OK(be_stats(handle, &stats));
	EXPECT_EQUAL(stats.reads_exclude_writes, alone);
	EXPECT((stats.readers == 0) == alone);
	test_path(copy, "copy");
	EXPECT_OK(be_backup(handle, copy));
}

int main(int argc, char **argv)
{
	bool alone = argc > 1 && strcmp(argv[1], "unknown") == 0;
	struct scene scene = {.holds = gate_make(), .go = gate_make(), .looks = gate_make()};
	struct container *containers[4];
	struct be_enforcer *handle, *looking;

	test_begin(60);
	containers_must_be_possible();
	test_path(scene.path, "environment");
	EXPECT(mkdir(scene.path, 0755) == 0);
	handle = test_open(scene.path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < 2; i++) {
		containers[i] = container_start(scene.path, false, namesakes, i, &scene);
		gate_wait(&scene.holds);
	}
	for (int i = 2; i < 4; i++)
		containers[i] = container_start(scene.path, false, namesakes, i, &scene);
	for (int i = 2; i < 4; i++)
		gate_wait(&scene.looks);
	EXPECT_BALANCE(handle, "llm", 0, BE_UNIT);
	be_close(handle);
	looking = look(scene.path);
	EXPECT_BALANCE(looking, "llm", 0, BE_UNIT);
	container_kill(containers[0]);
	gate_open(&scene.go);
	EXPECT_EQUAL(container_wait(containers[1]), 0);
	EXPECT_BALANCE(looking, "llm", 1, 0);
	EXPECT_VERIFIED(looking);
	expect_reads(looking, alone);
	be_close(looking);
	for (int i = 2; i < 4; i++)
		container_kill(containers[i]);
	printf("two writers and two readers of pid 1, and one outside, had it open at once\n");
	return 0;
}
