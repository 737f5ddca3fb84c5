/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What containers live through: they run as different users of one group; new ones take the places
 * of old ones while both work; they are frozen at any moment and thawed; the volume is mounted
 * read-only; a runtime shows them another boot id; and the first program of the README runs in a
 * container's own root, an overlay, as well as on the volume.
 *
 * usage: containers-live FIRST-PROGRAM LIBRARY
 */
#include "containers.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CONTAINERS = 4,
	GROUP = 20000,
	USER = 10001,
	FREEZES = 20
};

struct live {
	char path[PATH_MAX];
	_Atomic int settled[2 * CONTAINERS];
	_Atomic int stop[2 * CONTAINERS];
	struct gate works;
};

static struct be_enforcer *open_as_group(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.mode = 0660;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

/* As a user of its own, until it is told to stop. */
static int work(int index, void *context)
{
	static const gid_t group = GROUP;
	struct live *live = context;
	struct be_enforcer *handle;
	uint64_t id;

	EXPECT(setgroups(1, &group) == 0 && setgid(GROUP) == 0);
	EXPECT(setuid((uid_t)(USER + index)) == 0);
	/* It was forgotten with the user. */
	EXPECT(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	umask(0077);
	handle = open_as_group(CONTAINER_BUDGET);
	EXPECT_OK(be_envelope_ensure(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	while (!atomic_load(&live->stop[index])) {
		EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
		EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
		if (atomic_fetch_add(&live->settled[index], 1) == 0)
			gate_open(&live->works);
	}
	be_close(handle);
	return 0;
}

static struct container *start(struct live *live, int index)
{
	struct container *container = container_start(live->path, false, work, index, live);

	gate_wait(&live->works);
	return container;
}

static void freeze_and_thaw(struct container *const *containers, uint64_t *random)
{
	for (int i = 0; i < FREEZES; i++) {
		pid_t first = container_pid(containers[test_random(random) % CONTAINERS]);

		EXPECT(kill(first, SIGSTOP) == 0);
		usleep((useconds_t)(test_random(random) % 20000));
		EXPECT(kill(first, SIGCONT) == 0);
		usleep((useconds_t)(test_random(random) % 5000));
	}
}

static int refused_to_look(int index, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	(void)index;
	(void)context;
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_STATUS(be_open(CONTAINER_BUDGET, &options, &handle), BE_PERMISSION);
	/* An overlay is refused for itself: no reading there without write permission. */
	EXPECT(strstr(be_last_error(), "without read-only") != NULL ||
	       strstr(be_last_error(), "is on an overlay file system") != NULL);
	return 0;
}

static void test_users_rolling_and_frozen(struct live *live, uint64_t *random)
{
	struct container *containers[2 * CONTAINERS];
	struct be_enforcer *handle;
	int64_t settled = 0;

	test_path(live->path, "environment");
	EXPECT(mkdir(live->path, 0770) == 0 && chown(live->path, 0, GROUP) == 0 &&
	       chmod(live->path, 02770) == 0);
	for (int i = 0; i < CONTAINERS; i++)
		containers[i] = start(live, i);
	freeze_and_thaw(containers, random);
	EXPECT_EQUAL(container_wait(container_start(live->path, true, refused_to_look, 0, NULL)),
		     0);
	for (int i = 0; i < CONTAINERS; i++) {
		containers[CONTAINERS + i] = start(live, CONTAINERS + i);
		atomic_store(&live->stop[i], 1);
		EXPECT_EQUAL(container_wait(containers[i]), 0);
	}
	for (int i = CONTAINERS; i < 2 * CONTAINERS; i++) {
		atomic_store(&live->stop[i], 1);
		EXPECT_EQUAL(container_wait(containers[i]), 0);
	}
	for (int i = 0; i < 2 * CONTAINERS; i++)
		settled += atomic_load(&live->settled[i]);
	handle = open_as_group(live->path);
	EXPECT_BALANCE(handle, "llm", settled, 0);
	EXPECT_EQUAL(count_transactions(handle), settled);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("%d containers of as many users took turns and settled %d commits\n", 2 * CONTAINERS,
	       (int)settled);
}

/* Where the runtime shows another boot id than the host's. */
static int open_with_another_boot_id(int index, void *context)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status expected = index == 0 ? BE_OK : BE_OTHER_BOOT;
	FILE *file = fopen("/tmp/id", "w");

	(void)context;
	EXPECT(file != NULL && fputs("00000000-0000-0000-0000-000000000000\n", file) > 0);
	fclose(file);
	EXPECT(mount("/tmp/id", "/proc/sys/kernel/random/boot_id", NULL, MS_BIND, NULL) == 0);
	options.durability = BE_DURABILITY_PROCESS;
	for (int look = 1; look >= 0; look--) {
		options.flags = look ? BE_OPEN_READ_ONLY : 0;
		EXPECT_STATUS(be_open(CONTAINER_BUDGET, &options, &handle), expected);
		if (expected == BE_OK) {
			EXPECT_OK(be_stats(handle, &stats));
			EXPECT_EQUAL(stats.durability, BE_DURABILITY_PROCESS);
		}
		be_close(handle);
	}
	return 0;
}

static void test_boot_id(void)
{
	struct be_enforcer *handle;
	char path[PATH_MAX];

	test_path(path, "boot");
	EXPECT(mkdir(path, 0755) == 0);
	handle = test_open(path, BE_DURABILITY_PROCESS);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQUAL(container_wait(container_start(path, false, open_with_another_boot_id,
							    i, NULL)),
			     0);
		be_close(handle);
		handle = NULL;
	}
	printf("another boot id is believed when nobody has it open, and only then\n");
}

static void copy_file(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ssize_t got;

	EXPECT(in >= 0 && out >= 0);
	while ((got = read(in, buffer, sizeof buffer)) > 0)
		EXPECT(write(out, buffer, (size_t)got) == got);
	EXPECT(got == 0);
	close(in);
	close(out);
}

static int run_first_program(int index, void *context)
{
	const char *environment = index == 0 ? "/of-its-own" : CONTAINER_BUDGET "/shared";

	(void)context;
	EXPECT(setenv("LD_LIBRARY_PATH", CONTAINER_BUDGET, 1) == 0);
	execl(CONTAINER_BUDGET "/first-program", "first-program", environment, (char *)NULL);
	return 126;
}

static void test_first_program(char **argv)
{
	char directory[PATH_MAX], path[PATH_MAX];
	struct be_enforcer *handle;

	test_path(directory, "first");
	EXPECT(mkdir(directory, 0755) == 0);
	test_path(path, "first/first-program");
	copy_file(argv[1], path);
	test_path(path, "first/libbudget-enforcer.so.0");
	copy_file(argv[2], path);
	for (int i = 0; i < 2; i++)
		EXPECT_EQUAL(container_wait(
				     container_start(directory, false, run_first_program, i, NULL)),
			     0);
	test_path(path, "first/shared");
	handle = test_open(path, BE_DURABILITY_FULL);
	EXPECT_BALANCE(handle, "llm", 310000000, 0);
	be_close(handle);
}

int main(int argc, char **argv)
{
	struct live *live = shared_make(sizeof *live);
	uint64_t random;

	EXPECT(argc == 3);
	test_begin(60);
	containers_must_be_possible();
	random = test_seed();
	live->works = gate_make();
	EXPECT(chmod(test_directory(), 0755) == 0);
	test_users_rolling_and_frozen(live, &random);
	test_boot_id();
	test_first_program(argv);
	return 0;
}
