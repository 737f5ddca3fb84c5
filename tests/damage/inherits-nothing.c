/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that a worker executes inherits none of the library's descriptors: it would keep locks
 * held for a worker that is long dead. Run with an argument, this program is the one executed.
 */
#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Prints and counts the open files in the directory. */
static int count_inherited(const char *environment)
{
	DIR *descriptors = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	EXPECT(descriptors != NULL);
	while ((entry = readdir(descriptors))) {
		char name[300], target[PATH_MAX];
		ssize_t size;

		snprintf(name, sizeof name, "/proc/self/fd/%s", entry->d_name);
		size = readlink(name, target, sizeof target - 1);
		target[size < 0 ? 0 : size] = '\0';
		if (strncmp(target, environment, strlen(environment)) == 0) {
			printf("inherited: %s\n", target);
			count++;
		}
	}
	closedir(descriptors);
	return count;
}

struct execution {
	char *program;
	char *environment;
};

static int execute(int index, void *context)
{
	struct execution *execution = context;

	(void)index;
	execl(execution->program, execution->program, execution->environment, (char *)NULL);
	return 126;
}

/* The way of programs that do not go through our fork handlers. */
static int spawn(const struct execution *execution)
{
	pid_t child = vfork();

	if (child == 0) {
		execl(execution->program, execution->program, execution->environment, (char *)NULL);
		_exit(126);
	}
	return child_wait(child);
}

int main(int argc, char **argv)
{
	static const enum be_durability durabilities[] = {BE_DURABILITY_FULL,
							  BE_DURABILITY_PROCESS};
	struct execution execution = {argv[0], NULL};
	char environment[PATH_MAX];
	struct be_enforcer *handle;
	uint64_t id;

	if (argc > 1)
		return count_inherited(argv[1]);
	test_begin(30);
	for (size_t i = 0; i < 2; i++) {
		test_path(environment, "environment-%zu", i);
		execution.environment = environment;
		handle = test_open(environment, durabilities[i]);
		EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
		EXPECT_OK(be_commit(handle, "llm", 1, "", &id));
		EXPECT(count_inherited(environment) > 0);
		EXPECT_EQUAL(child_wait(child_start(execute, 0, &execution)), 0);
		EXPECT_EQUAL(spawn(&execution), 0);
		be_close(handle);
	}
	return 0;
}
