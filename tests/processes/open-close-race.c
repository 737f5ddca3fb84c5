/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes open and close one environment as fast as they can, so that again and again the last
 * one closes it just when another opens it; few of them, since in a crowd nobody is the last one.
 * liblmdb 0.9.26 to 0.9.31 destroys the mutexes in lock.mdb in that case, and who opens is told
 * EINVAL; the library's lock on data.mdb lets no one open at that moment. Some of the processes
 * only read, some cannot map the files at all: their openings fail after LMDB has begun them, which
 * destroys the same mutexes in all versions.
 */
#include "support.h"

#include <lmdb.h>
#include <stdio.h>
#include <string.h>

enum {
	CHILDREN = 3,
	ROUNDS = TEST_SANITIZED ? 60 : 200
};

typedef void once_function(const char *path);

struct scene {
	char path[PATH_MAX];
	int rounds;
	once_function *once[CHILDREN];
};

static void write_once(const char *path)
{
	struct be_enforcer *handle;

	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
	be_close(handle);
}

static void read_once(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(path, &options, &handle));
	EXPECT_OK(be_utilization(handle, "llm", &envelope));
	be_close(handle);
}

/* Asks for more address space than there is. */
static void fail_once(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.map_size = UINT64_C(1) << 50;
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_STATUS(be_open(path, &options, &handle), BE_NO_MEMORY);
}

static int open_and_close(int index, void *context)
{
	const struct scene *scene = context;

	for (int i = 0; i < scene->rounds; i++)
		scene->once[index](scene->path);
	return 0;
}

int main(void)
{
	static once_function *const scenes[][CHILDREN] = {
		{read_once, read_once, read_once},
		{write_once, write_once, write_once},
		{write_once, read_once, fail_once},
		{fail_once, fail_once, read_once},
	};
	struct scene scene = {.rounds = test_is_long() ? 50 * ROUNDS : ROUNDS};
	struct be_enforcer *handle;
	pid_t children[CHILDREN];
	int64_t records = 0;

	test_begin(60);
	test_path(scene.path, "environment");
	handle = test_open(scene.path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		memcpy(scene.once, scenes[i], sizeof scene.once);
		for (int child = 0; child < CHILDREN; child++)
			records += scene.once[child] == write_once ? scene.rounds : 0;
		children_start(children, CHILDREN, open_and_close, &scene);
		children_expect_success(children, CHILDREN);
	}
	handle = test_open(scene.path, BE_DURABILITY_PROCESS);
	EXPECT_BALANCE(handle, "llm", records, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("%s: %d openings and closings, and none met another's\n",
	       mdb_version(NULL, NULL, NULL), 4 * CHILDREN * scene.rounds);
	return 0;
}
