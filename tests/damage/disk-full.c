/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk of a few MiB that fills up. The call that meets it says BE_DISK_FULL and changes nothing,
 * reading goes on, and once there is space the same call works, in this process and in others, with
 * exact balances. An environment that cannot be made for lack of space says so too, wherever the
 * space ends, and is made later. So does one whose files have holes, as some programs copy them: a
 * mapped hole that finds no space would kill the process.
 */
#include "support.h"
#include "tmpfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DISK_BYTES (10 << 20) /* be-group takes 5 MB of it */
#define ROUNDS 40
/* A file system gives space by pages: each place where it may end is tried. */
#define STEP (TEST_SANITIZED ? 65536 : 4096)

static char disk[PATH_MAX], environment[PATH_MAX], ballast[PATH_MAX];

static size_t free_bytes(void)
{
	struct statvfs space;

	EXPECT(statvfs(disk, &space) == 0);
	return space.f_bavail * space.f_frsize;
}

/* Takes all space but so many bytes. */
static void leave_free(size_t bytes)
{
	int fd = open(ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat about;

	EXPECT(fd >= 0 && fstat(fd, &about) == 0);
	if (free_bytes() > bytes)
		EXPECT(posix_fallocate(fd, 0, about.st_size + (off_t)(free_bytes() - bytes)) == 0);
	close(fd);
}

static void free_all(void)
{
	EXPECT(unlink(ballast) == 0);
}

static int64_t *recorded; /* by all processes */

/* As large as one can be. */
static enum be_status record_much(struct be_enforcer *handle, struct be_transaction *transaction)
{
	char description[BE_DESCRIPTION_SIZE];

	memset(description, 'd', sizeof description - 1);
	description[sizeof description - 1] = '\0';
	return be_record(handle, "llm", 1, description, transaction);
}

/* Records until the disk is full. */
static unsigned fill(struct be_enforcer *handle)
{
	enum be_status status;
	unsigned count = 0;

	while ((status = record_much(handle, NULL)) == BE_OK) {
		++*recorded;
		EXPECT(count++ < 100000);
	}
	EXPECT_STATUS(status, BE_DISK_FULL);
	EXPECT(strstr(be_last_error(), environment) != NULL &&
	       strstr(be_last_error(), "space") != NULL);
	return count;
}

/* What met the full disk meets it again. Smaller changes may find room in free pages. */
static void expect_full(struct be_enforcer *handle)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	enum be_status status;
	uint64_t id = 99;

	EXPECT_STATUS(record_much(handle, &transaction), BE_DISK_FULL);
	EXPECT_EQUAL(transaction.id, 0);
	status = be_commit(handle, "llm", 1, "", &id);
	if (status == BE_OK)
		status = be_release(handle, id);
	else
		EXPECT_EQUAL(id, 0);
	EXPECT(status == BE_OK || status == BE_DISK_FULL);
	EXPECT_OK(be_check(handle, "llm", 1, NULL));
	EXPECT_BALANCE(handle, "llm", *recorded, 0);
	EXPECT_VERIFIED(handle);
}

static int work_elsewhere(int is_full, void *context)
{
	struct be_enforcer *handle = context;

	if (is_full) {
		fill(handle);
		expect_full(handle);
	} else {
		EXPECT_OK(be_record(handle, "llm", 1, "elsewhere", NULL));
		++*recorded;
		EXPECT_VERIFIED(handle);
	}
	be_close(handle);
	return 0;
}

static void test_filling(enum be_durability durability)
{
	struct be_enforcer *handle = test_open(environment, durability);
	unsigned count = 0;
	uint64_t id;

	*recorded = 0;
	EXPECT_OK(be_envelope_create(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	leave_free(256 << 10);
	for (int round = 0; round < ROUNDS; round++) {
		count += fill(handle);
		leave_free(0);
		expect_full(handle);
		EXPECT_EQUAL(child_wait(child_start(work_elsewhere, true, handle)), 0);
		free_all();
		EXPECT_EQUAL(child_wait(child_start(work_elsewhere, false, handle)), 0);
		EXPECT_OK(be_commit(handle, "llm", 5, "", &id));
		EXPECT_BALANCE(handle, "llm", *recorded, 5);
		EXPECT_OK(be_release(handle, id));
		EXPECT_VERIFIED(handle);
		leave_free((size_t)round *
			   4096); /* so that some writes are cut short, and others refused */
	}
	be_close(handle);
	free_all();
	handle = test_open(environment, durability);
	EXPECT_BALANCE(handle, "llm", *recorded, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(environment);
	printf("%s: the disk was full %d times, after %u records\n",
	       durability == BE_DURABILITY_FULL ? "full durability" : "process durability", ROUNDS,
	       count);
}

/* Uses up what is free in the file, too: smaller and smaller changes, until none fits. */
static unsigned fill_wholly(struct be_enforcer *handle)
{
	enum be_status status = BE_OK;
	unsigned count = fill(handle);
	uint64_t id;

	leave_free(0);
	count += fill(handle);
	while ((status = be_record(handle, "llm", 1, "", NULL)) == BE_OK) {
		++*recorded;
		EXPECT(count++ < 100000);
	}
	EXPECT_STATUS(status, BE_DISK_FULL);
	while ((status = be_commit(handle, "llm", 1, "", &id)) == BE_OK &&
	       (status = be_settle(handle, id, 1, NULL, NULL)) == BE_OK) {
		++*recorded;
		EXPECT(count++ < 100000);
	}
	EXPECT_STATUS(status, BE_DISK_FULL);
	return count;
}

/* Removing needs pages, too, and there is no room for more. */
static void test_pruning(enum be_durability durability)
{
	struct be_pruning pruning = BE_PRUNING_INIT;
	struct be_enforcer *handle = test_open(environment, durability);
	unsigned count;

	*recorded = 0;
	EXPECT_OK(be_envelope_create(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	leave_free(2 << 20);
	count = fill_wholly(handle);
	EXPECT_OK(be_prune(handle, INT64_MAX, NULL, NULL, &pruning));
	EXPECT_EQUAL(pruning.transactions, count);
	EXPECT_VERIFIED(handle);
	for (unsigned i = 0; i < count / 2; i++) {
		EXPECT_OK(record_much(handle, NULL));
		++*recorded;
	}
	EXPECT_VERIFIED(handle);
	be_close(handle);
	free_all();
	test_remove(environment);
	printf("%u records were pruned on a full disk, and there was room again\n", count);
}

/* In a process of its own: where space is missing under a mapped file, using it is SIGBUS. */
static int open_and_work(int unused, void *context)
{
	struct be_enforcer *handle;
	enum be_status status = be_open(environment, NULL, &handle);

	(void)unused;
	(void)context;
	if (status == BE_OK) {
		status = be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL);
		if (status == BE_OK)
			EXPECT_VERIFIED(handle);
		be_close(handle);
	}
	if (status != BE_OK)
		EXPECT_STATUS(status, BE_DISK_FULL);
	return status == BE_OK ? 0 : 10;
}

static void test_making(void)
{
	unsigned refused = 0, made = 0;

	for (size_t bytes = 0; made < 3; bytes += STEP) {
		int status;

		leave_free(bytes);
		status = child_wait(child_start(open_and_work, 0, NULL));
		EXPECT(status == 0 || status == 10);
		refused += status == 10;
		made += status == 0;
		free_all();
		EXPECT_EQUAL(child_wait(child_start(open_and_work, 0, NULL)), 0);
		test_remove(environment);
	}
	EXPECT(refused > 10);
	printf("an environment could not be made with %u amounts of space, and was made once there "
	       "was "
	       "more\n",
	       refused);
}

/* Gives back what lies under a file's blocks of zeros. Returns how many blocks those were. */
static unsigned punch_file(int directory, const char *name)
{
	static const char zeros[4096];
	int fd = openat(directory, name, O_RDWR | O_CLOEXEC);
	char block[sizeof zeros];
	unsigned count = 0;

	EXPECT(fd >= 0);
	for (off_t at = 0; pread(fd, block, sizeof block, at) == (ssize_t)sizeof block;
	     at += (off_t)sizeof block) {
		if (memcmp(block, zeros, sizeof block) != 0)
			continue;
		EXPECT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
				 (off_t)sizeof block) == 0);
		count++;
	}
	close(fd);
	return count;
}

/* As a copy is that leaves holes where there are zeros. */
static unsigned punch_environment(void)
{
	DIR *directory = opendir(environment);
	struct dirent *entry;
	unsigned count = 0;

	EXPECT(directory);
	while ((entry = readdir(directory)))
		if (*entry->d_name != '.')
			count += punch_file(dirfd(directory), entry->d_name);
	closedir(directory);
	return count;
}

static int make(int unused, void *context)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);

	(void)unused;
	(void)context;
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(handle, "llm", 5, "before", NULL));
	be_close(handle);
	return 0;
}

static int find_as_it_was(int unused, void *context)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);

	(void)unused;
	(void)context;
	EXPECT_BALANCE(handle, "llm", 5, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

/* Whatever space is left for the holes, none to enough. */
static void test_holes(void)
{
	unsigned refused = 0, opened = 0, holes = 0;

	for (size_t bytes = 0; opened < 3; bytes += (size_t)4 * STEP) {
		int status;

		EXPECT_EQUAL(child_wait(child_start(make, 0, NULL)), 0);
		holes = punch_environment();
		EXPECT(holes > 0);
		leave_free(bytes);
		status = child_wait(child_start(open_and_work, 0, NULL));
		if (status != 0)
			EXPECT_EQUAL(status, 10);
		refused += status == 10;
		opened += status == 0;
		free_all();
		EXPECT_EQUAL(child_wait(child_start(find_as_it_was, 0, NULL)), 0);
		test_remove(environment);
	}
	EXPECT(refused > 0);
	printf("%u holes were refused with %u amounts of space, and filled once there was more\n",
	       holes, refused);
}

int main(void)
{
	test_begin(60);
	recorded = shared_make(sizeof *recorded);
	test_path(disk, "disk");
	test_path(environment, "disk/environment");
	test_path(ballast, "disk/ballast");
	if (!tmpfs_mount(disk, DISK_BYTES))
		test_skip("a tmpfs needs root or user namespaces: %s", strerror(errno));
	test_filling(BE_DURABILITY_FULL);
	test_filling(BE_DURABILITY_PROCESS);
	test_pruning(BE_DURABILITY_FULL);
	test_pruning(BE_DURABILITY_PROCESS);
	test_making();
	test_holes();
	return 0;
}
