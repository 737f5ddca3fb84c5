/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process whose map_size is small, beside one with a large one that fills the environment far
 * beyond it. The small one takes over the larger size while its threads check, record, list, verify
 * and make backups, and none of their calls fails. Its map is left out of core dumps, before and
 * after. Another small one takes it over while it opens: the file outgrows its map when LMDB has
 * opened it, and before it has read.
 */
#include "support.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL (1 << 20)
#define LARGE (256 << 20)
#define RECORDS (test_is_long() ? 100000 : 4000)
#define THREADS 6

static char environment[PATH_MAX];
static struct scene {
	atomic_int is_open;  /* the small one, */
	atomic_int is_known; /* and the large one has written */
	atomic_int over;
	atomic_int recorded;
	atomic_int opens;        /* another small one has opened the file by way of LMDB, */
	atomic_int has_outgrown; /* and it has outgrown that one's map */
} * scene;
static bool waits_while_it_opens;

/* Stands before LMDB's. */
int mdb_env_open(void *env, const char *path, unsigned flags, mode_t mode);
__attribute__((visibility("default"))) int mdb_env_open(void *env, const char *path, unsigned flags,
							mode_t mode)
{
	int (*next)(void *, const char *, unsigned, mode_t) = NULL;
	void *found = dlsym(RTLD_NEXT, "mdb_env_open");
	int rc;

	EXPECT(found);
	memcpy(&next, &found, sizeof next);
	rc = next(env, path, flags, mode);
	if (waits_while_it_opens) {
		atomic_store(&scene->opens, 1);
		while (!atomic_load(&scene->has_outgrown))
			usleep(1000);
	}
	return rc;
}

static struct be_enforcer *open_sized(uint64_t map_size)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.map_size = map_size;
	options.durability = BE_DURABILITY_PROCESS;
	EXPECT_OK(be_open(environment, &options, &handle));
	return handle;
}

static void record(struct be_enforcer *handle)
{
	char description[BE_DESCRIPTION_SIZE];

	memset(description, 'd', sizeof description - 1);
	description[sizeof description - 1] = '\0';
	EXPECT_OK(be_record(handle, "llm", 1, description, NULL));
	atomic_fetch_add(&scene->recorded, 1);
}

/* Is the map of data.mdb marked as one that core dumps leave out? */
static bool is_left_out(void)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	char line[PATH_MAX + 128];
	bool inside = false, found = false, left_out = false;

	EXPECT(file != NULL);
	while (fgets(line, sizeof line, file)) {
		unsigned long begin, end;
		char rights[8];

		if (sscanf(line, "%lx-%lx %7s", &begin, &end, rights) == 3)
			inside = strstr(line, "/data.mdb\n") != NULL;
		if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			found = true;
			left_out = strstr(line, " dd") != NULL;
		}
	}
	fclose(file);
	EXPECT(found);
	return left_out;
}

static bool see(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	++*(int *)context;
	return true;
}

static void *work(void *context)
{
	struct be_enforcer *handle = context;
	static atomic_int next;
	int index = atomic_fetch_add(&next, 1), seen = 0;
	char backup[PATH_MAX];

	test_path(backup, "backup-%d", index);
	do {
		if (index == 0) {
			EXPECT_VERIFIED(handle);
		} else if (index == 1) {
			EXPECT_OK(be_backup(handle, backup));
			EXPECT(unlink(backup) == 0);
		} else if (index == 2) {
			EXPECT_OK(be_transactions_each(handle, NULL, see, &seen));
		} else {
			EXPECT_OK(be_check(handle, "llm", 1, NULL));
			record(handle);
		}
	} while (!atomic_load(&scene->over));
	return NULL;
}

static int be_small(int unused, void *context)
{
	struct be_enforcer *handle = open_sized(SMALL);
	struct be_statistics figures = BE_STATISTICS_INIT;
	pthread_t threads[THREADS];

	(void)unused;
	(void)context;
	EXPECT_OK(be_stats(handle, &figures));
	EXPECT_EQUAL(figures.map_size, SMALL);
	EXPECT(is_left_out());
	atomic_store(&scene->is_open, 1);
	while (!atomic_load(&scene->is_known))
		usleep(1000);
	for (int i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&threads[i], NULL, work, handle) == 0);
	for (int i = 0; i < THREADS; i++)
		EXPECT(pthread_join(threads[i], NULL) == 0);
	EXPECT_OK(be_stats(handle, &figures));
	EXPECT_EQUAL(figures.map_size, LARGE);
	EXPECT(figures.file_size > 2 * SMALL);
	EXPECT(is_left_out());
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static int be_large(int unused, void *context)
{
	struct be_enforcer *handle = open_sized(LARGE);

	(void)unused;
	(void)context;
	for (int i = 0; i < RECORDS; i++) {
		record(handle);
		atomic_store(&scene->is_known, 1);
	}
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static int open_while_it_grows(int unused, void *context)
{
	struct be_enforcer *handle;

	(void)unused;
	(void)context;
	waits_while_it_opens = true;
	handle = open_sized(SMALL);
	record(handle);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static void outgrow_one_that_opens(void)
{
	struct be_enforcer *handle = open_sized(LARGE);
	struct be_statistics figures = BE_STATISTICS_INIT;
	pid_t small;

	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	small = child_start(open_while_it_grows, 0, NULL);
	while (!atomic_load(&scene->opens)) {
		if (waitpid(small, NULL, WNOHANG) != 0)
			test_fail(__FILE__, __LINE__, "the one that opens failed");
		usleep(1000);
	}
	while (figures.file_size <= 2 * SMALL) {
		record(handle);
		EXPECT_OK(be_stats(handle, &figures));
	}
	atomic_store(&scene->has_outgrown, 1);
	EXPECT_EQUAL(child_wait(small), 0);
	be_close(handle);
	test_remove(environment);
	atomic_store(&scene->recorded, 0);
}

static int make(int unused, void *context)
{
	struct be_enforcer *handle = open_sized(SMALL);

	(void)unused;
	(void)context;
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT(is_left_out());
	be_close(handle);
	return 0;
}

int main(void)
{
	struct be_enforcer *handle;
	pid_t small;

	test_begin(120);
	scene = shared_make(sizeof *scene);
	test_path(environment, "environment");
	outgrow_one_that_opens();
	EXPECT_EQUAL(child_wait(child_start(make, 0, NULL)), 0);
	small = child_start(be_small, 0, NULL);
	while (!atomic_load(&scene->is_open)) {
		if (waitpid(small, NULL, WNOHANG) != 0)
			test_fail(__FILE__, __LINE__, "the small one failed");
		usleep(1000);
	}
	EXPECT_EQUAL(child_wait(child_start(be_large, 0, NULL)), 0);
	atomic_store(&scene->over, 1);
	EXPECT_EQUAL(child_wait(small), 0);
	handle = open_sized(LARGE);
	EXPECT_BALANCE(handle, "llm", atomic_load(&scene->recorded), 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("%d records by both\n", atomic_load(&scene->recorded));
	return 0;
}
