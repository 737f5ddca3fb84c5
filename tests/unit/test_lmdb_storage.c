/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only the storage over LMDB has to do: files and their modes, permissions, full disks and
 * maps, readers that died, many threads, fork. Children report by exit status, and by a pipe when
 * they are ready.
 */
#include "storage/backend.h"
#include "storage/lmdb/lmdb.h"
#include "storage/lmdb/reader_number.h"
#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SKIPPED 77
/* For the reader table; above all pids. */
#define ANY_NUMBER ((1 << 30) | 4711)

static char directory[256];
static char data[272];
static char lock[272];

static void make_directory(void)
{
	test_make_directory(directory, sizeof directory, "lmdb");
	snprintf(data, sizeof data, "%s/data.mdb", directory);
	snprintf(lock, sizeof lock, "%s/lock.mdb", directory);
}

static void remove_directory(void)
{
	test_remove(directory);
}

TestSuite(lmdb, .init = make_directory, .fini = remove_directory);

static struct lmdb_settings usual = {
	.path = directory,
	.create = true,
	.mode = 0600,
	.map_size = 1 << 30,
};

/* ------------------------------------------------------------- short forms */

static struct lmdb_storage *open_storage(void)
{
	struct lmdb_storage *storage;

	cr_assert_eq(lmdb_storage_open(&usual, &storage), BE_OK, "%s", be_last_error());
	return storage;
}

static const struct backend *backend(struct lmdb_storage *storage)
{
	return backend_of(lmdb_storage_interface(storage));
}

static struct be_bytes text(const char *string)
{
	return (struct be_bytes){.data = string, .size = strlen(string)};
}

static int begin(struct lmdb_storage *storage, bool write, void **txn)
{
	return lmdb_storage_interface(storage)->ops->begin(storage, write, txn);
}

static void end(struct lmdb_storage *storage, void *txn)
{
	lmdb_storage_interface(storage)->ops->abort(storage, txn);
}

/* One txn that stores one value; may be called in children. */
static int store(struct lmdb_storage *storage, const char *key, const char *value)
{
	const struct be_storage_ops *ops = lmdb_storage_interface(storage)->ops;
	void *txn;
	int rc = ops->begin(storage, true, &txn);

	if (rc)
		return rc;
	rc = ops->put(storage, txn, text(key), text(value));
	if (rc) {
		ops->abort(storage, txn);
		return rc;
	}
	return ops->commit(storage, txn);
}

/* Is that the value? */
static bool holds(struct lmdb_storage *storage, const char *key, const char *expected)
{
	const struct be_storage_ops *ops = lmdb_storage_interface(storage)->ops;
	struct be_bytes value;
	bool same;
	void *txn;

	if (ops->begin(storage, false, &txn) != 0)
		return false;
	same = ops->get(storage, txn, text(key), &value) == 0 && value.size == strlen(expected) &&
	       memcmp(value.data, expected, value.size) == 0;
	ops->abort(storage, txn);
	return same;
}

static int entries(const char *path)
{
	DIR *stream = opendir(path);
	int count = 0;

	cr_assert_not_null(stream);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count - 2;
}

static off_t size_of(const char *path)
{
	struct stat state;

	return stat(path, &state) == 0 ? state.st_size : -1;
}

/* --------------------------------------------------------- opening and files */

Test(lmdb, what_was_stored_is_there_after_opening_again)
{
	struct lmdb_storage *storage = open_storage();

	cr_assert_eq(store(storage, "key", "value"), 0);
	lmdb_storage_close(storage);
	storage = open_storage();
	cr_assert(holds(storage, "key", "value"));
	lmdb_storage_close(storage);
}

Test(lmdb, nothing_is_made_without_create_or_for_a_reader)
{
	struct lmdb_settings settings = usual;
	struct lmdb_storage *storage;

	settings.create = false;
	cr_assert_eq(lmdb_storage_open(&settings, &storage), BE_NOT_FOUND);
	cr_assert_null(storage);
	settings.read_only = true;
	cr_assert_eq(lmdb_storage_open(&settings, &storage), BE_NOT_FOUND);
	settings.create = true;
	cr_assert_eq(lmdb_storage_open(&settings, &storage), BE_NOT_FOUND);
	cr_assert_eq(entries(directory), 0);
}

Test(lmdb, a_reader_reads_and_is_refused_to_write)
{
	struct lmdb_settings settings = usual;
	struct lmdb_storage *storage = open_storage();
	void *txn;

	cr_assert_eq(store(storage, "key", "value"), 0);
	lmdb_storage_close(storage);
	settings.read_only = true;
	cr_assert_eq(lmdb_storage_open(&settings, &storage), BE_OK, "%s", be_last_error());
	cr_assert(holds(storage, "key", "value"));
	cr_assert_eq(begin(storage, true, &txn), BE_READ_ONLY);
	cr_assert(holds(storage, "key", "value"));
	lmdb_storage_close(storage);
}

Test(lmdb, files_have_the_mode_asked_for_whatever_the_umask)
{
	static const struct {
		mode_t umask;
		mode_t mode;
	} cases[] = {{0077, 0660}, {0, 0600}, {0777, 0640}, {022, 0666}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct lmdb_settings settings = usual;
		struct lmdb_storage *storage;
		struct stat state;

		settings.mode = cases[i].mode;
		umask(cases[i].umask);
		cr_assert_eq(lmdb_storage_open(&settings, &storage), BE_OK, "%s", be_last_error());
		umask(077);
		cr_assert_eq(stat(data, &state), 0);
		cr_expect_eq(state.st_mode & 0777, cases[i].mode, "data.mdb: %o",
			     state.st_mode & 0777);
		cr_assert_eq(stat(lock, &state), 0);
		cr_expect_eq(state.st_mode & 0777, cases[i].mode, "lock.mdb: %o",
			     state.st_mode & 0777);
		lmdb_storage_close(storage);
		/* a lock file that is missing, as after restoring a backup */
		cr_assert_eq(unlink(lock), 0);
		settings.read_only = true;
		cr_assert_eq(lmdb_storage_open(&settings, &storage), BE_OK, "%s", be_last_error());
		lmdb_storage_close(storage);
		cr_assert_eq(stat(lock, &state), 0);
		cr_expect_eq(state.st_mode & 0777, cases[i].mode, "lock.mdb: %o",
			     state.st_mode & 0777);
		cr_assert_eq(unlink(lock), 0);
		cr_assert_eq(unlink(data), 0);
	}
}

Test(lmdb, the_mode_of_files_that_were_there_is_left_alone)
{
	struct lmdb_storage *storage = open_storage();
	struct stat state;

	lmdb_storage_close(storage);
	cr_assert_eq(chmod(data, 0640), 0);
	storage = open_storage();
	lmdb_storage_close(storage);
	cr_assert_eq(stat(data, &state), 0);
	cr_assert_eq(state.st_mode & 0777, 0640);
}

Test(lmdb, no_descriptor_survives_exec)
{
	struct lmdb_storage *storage = open_storage();
	DIR *stream = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[256];
	int found = 0;

	cr_assert_not_null(stream);
	while ((entry = readdir(stream))) {
		ssize_t length =
			readlinkat(dirfd(stream), entry->d_name, target, sizeof target - 1);

		if (length < 0)
			continue;
		target[length] = '\0';
		if (strncmp(target, directory, strlen(directory)) != 0)
			continue;
		found++;
		cr_expect(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC, "%s", target);
	}
	closedir(stream);
	cr_assert_geq(found, 3, "data.mdb twice, and lock.mdb");
	lmdb_storage_close(storage);
	stream = opendir("/proc/self/fd");
	while ((entry = readdir(stream))) {
		ssize_t length =
			readlinkat(dirfd(stream), entry->d_name, target, sizeof target - 1);

		cr_expect(length < 0 || strncmp(target, directory, strlen(directory)) != 0,
			  "left open");
	}
	closedir(stream);
}

static int look(int index, void *context)
{
	struct shared_directory *opened;
	enum be_status status;

	(void)index;
	(void)context;
	status = shared_directory_open(directory, &opened);
	if (status == BE_OK)
		status = lmdb_storage_examine(opened, false);
	shared_directory_close(opened);
	return status == BE_OK ? 0 : 1;
}

static int open_and_close(int index, void *context)
{
	struct lmdb_storage *storage;

	(void)index;
	(void)context;
	if (lmdb_storage_open(&usual, &storage) != BE_OK)
		return 1;
	lmdb_storage_close(storage);
	return 0;
}

/* Waits until the child waits for a lock. When it has ended instead, that is for child_wait() to
 * tell. */
static void await_waiting(pid_t child)
{
	siginfo_t information = {0};
	bool waiting = false;
	char line[256];
	int waiter;

	while (!waiting) {
		FILE *locks = fopen("/proc/locks", "re");

		cr_assert_not_null(locks);
		while (fgets(line, sizeof line, locks))
			waiting |= sscanf(line, "%*d: -> FLOCK ADVISORY %*s %d", &waiter) == 1 &&
				   waiter == child;
		fclose(locks);
		cr_assert_eq(waitid(P_PID, (id_t)child, &information, WEXITED | WNOHANG | WNOWAIT),
			     0);
		if (information.si_pid == child)
			return;
		sched_yield();
	}
}

/* The first process has written half of the meta pages when another comes, which waits for the
 * rest. */
Test(lmdb, an_environment_that_is_being_made_is_not_taken_for_a_damaged_one)
{
	static child_function *const visitors[] = {look, open_and_close};
	char bytes[2 * 4096];
	int fd;

	lmdb_storage_close(open_storage());
	fd = open(data, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(read(fd, bytes, sizeof bytes), (ssize_t)sizeof bytes);
	for (size_t i = 0; i < sizeof visitors / sizeof *visitors; i++) {
		pid_t child;

		cr_assert_eq(ftruncate(fd, 4096), 0);
		cr_assert_eq(flock(fd, LOCK_EX), 0);
		child = child_start(visitors[i], 0, NULL);
		await_waiting(child);
		cr_assert_eq(pwrite(fd, bytes, sizeof bytes, 0), (ssize_t)sizeof bytes);
		cr_assert_eq(flock(fd, LOCK_UN), 0);
		cr_assert_eq(child_wait(child), 0, "visitor %zu", i);
	}
	close(fd);
}

/* LMDB writes to it through a map, and a page that the disk has no room for would be SIGBUS. */
Test(lmdb, lock_file_has_all_its_blocks)
{
	struct stat about;

	lmdb_storage_close(open_storage());
	cr_assert_eq(stat(lock, &about), 0);
	cr_assert_geq(about.st_blocks * 512, about.st_size, "%lld of %lld bytes",
		      (long long)about.st_blocks * 512, (long long)about.st_size);
}

/* --------------------------------------------------------------- permissions */

/* As somebody who is not root, and not the owner: what is missing must be named. */
static int expect_permission_text(int index, void *context)
{
	struct lmdb_settings settings = usual;
	struct lmdb_storage *storage;

	(void)index;
	settings.read_only = *(const char *)context == 'r';
	if (setgid(65534) != 0 || setuid(65534) != 0)
		return CHILD_SKIPPED;
	if (lmdb_storage_open(&settings, &storage) != BE_PERMISSION)
		return 1;
	if (!strstr(be_last_error(), (const char *)context + 1)) {
		fprintf(stderr, "%s\n", be_last_error());
		return 2;
	}
	return 0;
}

Test(lmdb, a_missing_permission_is_named_with_its_file)
{
	static const struct {
		mode_t directory;
		mode_t data;
		mode_t lock;       /* 0: the file is missing */
		char expected[64]; /* begins with r for a reader, w for a writer */
	} cases[] = {
		{0700, 0666, 0666, "wsearch (x) permission on the directory"},
		{0777, 0600, 0666, "wdata.mdb: read permission"},
		{0777, 0600, 0666, "rdata.mdb: read permission"},
		{0777, 0644, 0666, "wdata.mdb: write permission"},
		{0777, 0666, 0644, "wlock.mdb: read and write permission"},
		{0777, 0644, 0644, "rlock.mdb: read and write permission"},
		{0755, 0666, 0, "wwrite permission on the directory is missing, and lock.mdb"},
		{0755, 0644, 0, "rwrite permission on the directory is missing, and lock.mdb"},
		{0755, 0, 0, "wwrite permission on the directory is missing, and data.mdb"},
	};

	if (geteuid() != 0)
		cr_skip_test("only root can become somebody else");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int status;

		lmdb_storage_close(open_storage());
		cr_assert_eq(cases[i].data ? chmod(data, cases[i].data) : unlink(data), 0);
		cr_assert_eq(cases[i].lock ? chmod(lock, cases[i].lock) : unlink(lock), 0);
		cr_assert_eq(chmod(directory, cases[i].directory), 0);
		status = child_wait(
			child_start(expect_permission_text, 0, (void *)cases[i].expected));
		if (status == CHILD_SKIPPED)
			cr_skip_test("setuid() is not permitted");
		cr_expect_eq(status, 0, "case %zu ended with %d", i, status);
	}
}

/* ---------------------------------------------------------- full disk and map */

Test(lmdb, a_full_map_is_told_and_bears_going_on)
{
	struct lmdb_settings settings = usual;
	struct lmdb_storage *storage;
	char value[1400];
	char key[16];
	int rc = 0;
	int stored;

	settings.map_size = 1 << 20;
	cr_assert_eq(lmdb_storage_open(&settings, &storage), BE_OK);
	memset(value, 'v', sizeof value);
	value[sizeof value - 1] = '\0';
	for (stored = 0; stored < 2000; stored++) {
		snprintf(key, sizeof key, "%d", stored);
		rc = store(storage, key, value);
		if (rc)
			break;
	}
	cr_assert_eq(rc, BE_MAP_FULL);
	cr_assert(strstr(be_last_error(), "map_size") && strstr(be_last_error(), directory));
	cr_assert_gt(stored, 100);
	cr_assert(holds(storage, "0", value));
	lmdb_storage_close(storage);
	storage = open_storage(); /* with a larger map */
	cr_assert_eq(store(storage, key, value), 0, "%s", be_last_error());
	lmdb_storage_close(storage);
}

/* Leaves so many bytes free in the file system of `directory`, in the file `filler`. */
static bool fill_disk(const char *filler, unsigned long long leave)
{
	static const char bytes[4096];
	struct statvfs space;
	int fd = open(filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	bool filled = false;

	if (fd < 0)
		return false;
	while (!filled && statvfs(directory, &space) == 0)
		filled = (unsigned long long)space.f_bavail * space.f_frsize <= leave ||
			 write(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes;
	close(fd);
	return filled;
}

static bool mount_small_disk(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", directory, "tmpfs", 0, "size=4m") == 0;
}

/* Many records in one txn: their pages are written by few calls, and a full disk cuts one short. */
static int store_many(struct lmdb_storage *storage, const char *value)
{
	const struct be_storage_ops *ops = lmdb_storage_interface(storage)->ops;
	char key[32];
	void *txn;
	int rc = ops->begin(storage, true, &txn);

	for (int i = 0; rc == 0 && i < 300; i++) {
		snprintf(key, sizeof key, "many %d", i);
		rc = ops->put(storage, txn, text(key), text(value));
	}
	return rc ? rc : ops->commit(storage, txn);
}

static int meet_full_disk(int index, void *context)
{
	struct lmdb_storage *storage;
	char value[1400];
	char filler[272];
	char key[16];
	int rc = 0;

	(void)index;
	(void)context;
	snprintf(filler, sizeof filler, "%s/filler", directory);
	if (!mount_small_disk())
		return CHILD_SKIPPED;
	if (lmdb_storage_open(&usual, &storage) != BE_OK || store(storage, "first", "1") != 0)
		return 1;
	memset(value, 'v', sizeof value);
	value[sizeof value - 1] = '\0';
	if (!fill_disk(filler, 100000))
		return 2;
	for (int i = 0; i < 1000 && rc == 0; i++) {
		snprintf(key, sizeof key, "%d", i);
		rc = store(storage, key, value);
	}
	if (rc != BE_DISK_FULL || !strstr(be_last_error(), directory)) {
		fprintf(stderr, "%s: %s\n", be_status_name(rc), be_last_error());
		return 3;
	}
	if (!holds(storage, "first", "1") || holds(storage, key, value))
		return 4;
	if (unlink(filler) != 0 || !fill_disk(filler, 200000) ||
	    store_many(storage, value) != BE_DISK_FULL || holds(storage, "many 0", value))
		return 6;
	if (unlink(filler) != 0 || store_many(storage, value) != 0 ||
	    store(storage, key, value) != 0 || !holds(storage, key, value))
		return 5;
	lmdb_storage_close(storage);
	return 0;
}

Test(lmdb, a_full_disk_is_told_and_the_same_call_works_once_there_is_space)
{
	int status = child_wait(child_start(meet_full_disk, 0, NULL));

	if (status == CHILD_SKIPPED)
		cr_skip_test("a small file system cannot be mounted here");
	cr_assert_eq(status, 0, "child ended with %d", status);
}

/* At every fill level the environment is made or the lack of space is told: never SIGBUS, never
 * half a file.
 * */
static int make_on_full_disk(int index, void *context)
{
	struct lmdb_storage *storage;
	char filler[272];
	int full = 0;

	(void)index;
	(void)context;
	snprintf(filler, sizeof filler, "%s/filler", directory);
	if (!mount_small_disk())
		return CHILD_SKIPPED;
	for (unsigned long long leave = 0; leave <= 400000; leave += 4096) {
		enum be_status status;

		if (!fill_disk(filler, leave))
			return 1;
		status = lmdb_storage_open(&usual, &storage);
		if (status == BE_OK) {
			lmdb_storage_close(storage);
		} else if (status == BE_DISK_FULL) {
			full++;
			if (lmdb_storage_open(&usual, &storage) != BE_DISK_FULL)
				return 7;
		} else {
			fprintf(stderr, "%llu bytes free: %s, %s\n", leave, be_status_name(status),
				be_last_error());
			return 2;
		}
		if (unlink(filler) != 0)
			return 3;
		status = lmdb_storage_open(&usual, &storage);
		if (status != BE_OK || store(storage, "key", "value") != 0) {
			fprintf(stderr, "after %llu bytes free: %s\n", leave, be_last_error());
			return 4;
		}
		lmdb_storage_close(storage);
		if (unlink(data) != 0 || unlink(lock) != 0)
			return 5;
	}
	printf("too little space %d times\n", full);
	return full > 10 ? 0 : 6;
}

Test(lmdb, an_environment_is_made_whole_or_not_at_all_on_a_full_disk)
{
	int status = child_wait(child_start(make_on_full_disk, 0, NULL));

	if (status == CHILD_SKIPPED)
		cr_skip_test("a small file system cannot be mounted here");
	cr_assert_eq(status, 0, "child ended with %d", status);
}

/* -------------------------------------------------------------- dead readers */

/* Begins a read txn, says so on the pipe, and waits to be killed. */
static int read_and_wait(int index, void *context)
{
	struct lmdb_storage *storage;
	void *txn;
	int fd = *(const int *)context;

	(void)index;
	if (lmdb_storage_open(&usual, &storage) != BE_OK || begin(storage, false, &txn) != 0)
		return 1;
	if (write(fd, "r", 1) != 1)
		return 2;
	for (;;)
		pause();
}

/* Leaves a reader slot behind in the table, with a txn in it, as a killed process does. */
static pid_t leave_dead_reader(void)
{
	int ends[2];
	char ready;
	pid_t child;

	cr_assert_eq(pipe(ends), 0);
	child = child_start(read_and_wait, 0, &ends[1]);
	cr_assert_eq(read(ends[0], &ready, 1), 1);
	close(ends[0]);
	close(ends[1]);
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(child_wait(child), 128 + SIGKILL);
	return child;
}

Test(lmdb, slots_of_dead_readers_are_freed_on_request)
{
	struct lmdb_storage *storage = open_storage();
	int freed = -1;

	cr_assert_eq(backend(storage)->clear_readers(storage, &freed), BE_OK);
	cr_assert_eq(freed, 0);
	leave_dead_reader();
	cr_assert_eq(backend(storage)->clear_readers(storage, &freed), BE_OK);
	cr_assert_geq(freed, 1);
	cr_assert_eq(backend(storage)->clear_readers(storage, NULL), BE_OK);
	cr_assert_eq(backend(storage)->clear_readers(storage, &freed), BE_OK);
	cr_assert_eq(freed, 0);
	lmdb_storage_close(storage);
}

/* How much does the file grow by so many small txns? A reader that lives on in the table pins every
 * page. */
static off_t growth(struct lmdb_storage *storage, int txns)
{
	off_t before = size_of(data);
	char value[16];

	for (int i = 0; i < txns; i++) {
		snprintf(value, sizeof value, "%d", i);
		cr_assert_eq(store(storage, "key", value), 0, "%s", be_last_error());
	}
	return size_of(data) - before;
}

Test(lmdb, a_dead_reader_pins_pages_only_until_a_writer_looks)
{
	struct lmdb_storage *storage = open_storage();
	off_t pinned;
	off_t after;

	growth(storage, 100);
	leave_dead_reader();
	pinned = growth(storage, 2000);
	after = growth(storage, 2000);
	printf("grew by %ld bytes in 2000 txns, and by %ld in 2000 more\n", (long)pinned,
	       (long)after);
	cr_assert_gt(pinned, 0,
		     "the dead reader did not pin anything, so that the test shows nothing");
	cr_assert_eq(after, 0);
	lmdb_storage_close(storage);
}

/* Keeps the environment in use, without which LMDB would empty the reader table on opening. */
static int hold_open(int index, void *context)
{
	struct lmdb_storage *storage;
	int fd = *(const int *)context;

	(void)index;
	if (lmdb_storage_open(&usual, &storage) != BE_OK || write(fd, "o", 1) != 1)
		return 1;
	for (;;)
		pause();
}

/* Leaves a dead reader in the table, which had the number that we shall open with if asked to,
 * opens, and looks whether it is gone. */
static void expect_cleared_by_opening(bool own_number)
{
	struct lmdb_settings numbered = usual;
	struct lmdb_storage *storage = open_storage();
	off_t grown;
	int ends[2];
	char ready;
	pid_t holder;

	growth(storage, 100);
	lmdb_storage_close(storage);
	cr_assert_eq(pipe(ends), 0);
	holder = child_start(hold_open, 0, &ends[1]);
	cr_assert_eq(read(ends[0], &ready, 1), 1);
	if (own_number)
		usual.number = numbered.number = ANY_NUMBER;
	leave_dead_reader();
	usual.number = 0;
	cr_assert_eq(lmdb_storage_open(&numbered, &storage), BE_OK, "%s", be_last_error());
	grown = growth(storage, 500);
	printf("grew by %ld bytes in 500 txns\n", (long)grown);
	cr_assert_leq(grown, 10 * 4096);
	lmdb_storage_close(storage);
	kill(holder, SIGKILL);
	child_wait(holder);
}

Test(lmdb, a_dead_reader_is_cleared_by_opening)
{
	expect_cleared_by_opening(false);
}

Test(lmdb, a_dead_readers_slot_with_our_own_number_is_cleared_by_opening)
{
	expect_cleared_by_opening(true);
}

/* Ends without closing, as many programs do. */
static int open_and_end(int index, void *context)
{
	struct lmdb_storage *storage;

	(void)index;
	(void)context;
	return lmdb_storage_open(&usual, &storage) == BE_OK ? 0 : 1;
}

Test(lmdb, slots_of_those_who_ended_outside_a_txn_stay_few)
{
	struct lmdb_storage *storage = open_storage();
	struct backend_figures figures;

	for (int i = 0; i < 200; i++)
		cr_assert_eq(child_wait(child_start(open_and_end, 0, NULL)), 0);
	cr_assert_eq(backend(storage)->measure(storage, &figures), BE_OK);
	printf("%d slots of 200 were left\n", (int)figures.stale_readers);
	cr_assert_lt(figures.stale_readers, 64);
	lmdb_storage_close(storage);
}

static pid_t pid_seen(struct lmdb_storage *storage, int32_t number)
{
	return (pid_t)backend(storage)->pid_seen(storage, number);
}

/* Opens with a number, tells that it has, and waits. */
static int hold_number(int index, void *context)
{
	struct lmdb_settings numbered = usual;

	(void)index;
	numbered.number = ANY_NUMBER;
	usual = numbered;
	return hold_open(0, context);
}

Test(lmdb, a_number_that_a_live_process_has_is_drawn_again)
{
	struct lmdb_settings numbered = usual;
	struct lmdb_storage *storage = open_storage();
	int ends[2];
	char ready;
	pid_t holder;
	void *txn;

	lmdb_storage_close(storage);
	cr_assert_eq(pipe(ends), 0);
	holder = child_start(hold_number, 0, &ends[1]);
	cr_assert_eq(read(ends[0], &ready, 1), 1);
	numbered.number = ANY_NUMBER;
	cr_assert_eq(lmdb_storage_open(&numbered, &storage), BE_OK, "%s", be_last_error());
	cr_assert_eq(pid_seen(storage, ANY_NUMBER), holder);
	cr_assert_eq(begin(storage, false, &txn), 0, "%s", be_last_error());
	end(storage, txn);
	cr_assert_eq(store(storage, "key", "value"), 0, "%s", be_last_error());
	kill(holder, SIGKILL);
	child_wait(holder);
	cr_assert_eq(pid_seen(storage, ANY_NUMBER), 0);
	lmdb_storage_close(storage);
}

Test(lmdb, a_number_of_our_own_stands_in_the_reader_table)
{
	struct lmdb_settings numbered = usual;
	struct lmdb_storage *storage;
	static int32_t words[1 << 16];
	int own = 0, pids = 0, fd;
	ssize_t size;

	numbered.number = ANY_NUMBER;
	cr_assert_eq(lmdb_storage_open(&numbered, &storage), BE_OK, "%s", be_last_error());
	cr_assert_eq(pid_seen(storage, ANY_NUMBER), getpid());
	fd = open(lock, O_RDONLY | O_CLOEXEC); /* and not closed before the storage */
	size = read(fd, words, sizeof words);
	for (size_t i = 0; i < (size_t)size / 4; i++) {
		own += words[i] == ANY_NUMBER;
		pids += words[i] == getpid();
	}
	printf("LMDB has the number in %d slots, and the pid in %d\n", own, pids);
	cr_assert_eq(own, 1);
	cr_assert_eq(pids, 0);
	lmdb_storage_close(storage);
	close(fd);
}

/* How struct MDB_env begins after mdb_env_create() and mdb_env_set_maxreaders(env, 4096). */
static const int32_t created_env[] = {-1, -1, -1, 0, 0, 4096, 4096, 0, 2, 2, 0, 0, 0, 0};
#define PID_AT 10

Test(lmdb, a_number_is_put_into_no_struct_but_the_known_one)
{
	int32_t env[sizeof created_env / sizeof *created_env], before[sizeof env / sizeof *env];
	size_t size = sizeof env / sizeof *env;

	for (size_t wrong = 0; wrong <= size; wrong++) {
		memcpy(env, created_env, sizeof env);
		env[5] = (int32_t)sysconf(_SC_PAGESIZE);
		env[PID_AT] = getpid();
		if (wrong < size && wrong != 11) /* which is padding */
			env[wrong]++;
		memcpy(before, env, sizeof env);
		if (wrong == 11 || wrong == size)
			continue;
		cr_expect_not(reader_number_put((struct MDB_env *)env, 0, 9, 4096, ANY_NUMBER),
			      "word %d", (int)wrong);
		cr_expect_eq(memcmp(env, before, sizeof env), 0, "word %d", (int)wrong);
	}
	cr_expect_not(reader_number_put((struct MDB_env *)env, 1, 0, 4096, ANY_NUMBER));
	cr_expect_not(reader_number_put((struct MDB_env *)env, 0, 10, 4096, ANY_NUMBER));
	cr_expect_eq(memcmp(env, before, sizeof env), 0);
	cr_expect(reader_number_put((struct MDB_env *)env, 0, 9, 4096, ANY_NUMBER));
	cr_expect_eq(env[PID_AT], ANY_NUMBER);
}

/* ------------------------------------------------------------------- threads */

#define CROWD 150 /* more than the pool of read txns has */

struct crowd {
	struct lmdb_storage *storage;
	pthread_barrier_t barrier;
	atomic_int wrong;
};

/* All hold a read txn at once, and then read in turns with the others' slots. */
static void *read_in_crowd(void *context)
{
	struct crowd *crowd = context;
	void *txn;

	if (begin(crowd->storage, false, &txn) != 0) {
		atomic_fetch_add(&crowd->wrong, 1);
		pthread_barrier_wait(&crowd->barrier);
		return NULL;
	}
	pthread_barrier_wait(&crowd->barrier);
	end(crowd->storage, txn);
	for (int i = 0; i < 300; i++)
		if (!holds(crowd->storage, "key", "value"))
			atomic_fetch_add(&crowd->wrong, 1);
	return NULL;
}

Test(lmdb, more_threads_than_the_pool_has_slots_read_at_once)
{
	struct crowd crowd = {.storage = open_storage()};
	pthread_t threads[CROWD];

	cr_assert_eq(store(crowd.storage, "key", "value"), 0);
	cr_assert_eq(pthread_barrier_init(&crowd.barrier, NULL, CROWD), 0);
	for (int i = 0; i < CROWD; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, read_in_crowd, &crowd), 0);
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(atomic_load(&crowd.wrong), 0);
	pthread_barrier_destroy(&crowd.barrier);
	lmdb_storage_close(crowd.storage);
}

Test(lmdb, one_thread_may_hold_many_read_txns_of_different_states)
{
	struct lmdb_storage *storage = open_storage();
	const struct be_storage_ops *ops = lmdb_storage_interface(storage)->ops;
	struct be_bytes value;
	void *txns[CROWD];
	char expected[16];

	for (int i = 0; i < CROWD; i++) {
		snprintf(expected, sizeof expected, "%d", i);
		cr_assert_eq(store(storage, "key", expected), 0);
		cr_assert_eq(begin(storage, false, &txns[i]), 0);
	}
	for (int i = 0; i < CROWD; i++) {
		snprintf(expected, sizeof expected, "%d", i);
		cr_assert_eq(ops->get(storage, txns[i], text("key"), &value), 0);
		cr_assert(value.size == strlen(expected) &&
			  memcmp(value.data, expected, value.size) == 0);
		end(storage, txns[i]);
	}
	lmdb_storage_close(storage);
}

/* ---------------------------------------------------------------------- fork */

static int use_in_child(int index, void *context)
{
	struct lmdb_storage *own;
	char value[16];

	backend(context)->abandon(context);
	if (lmdb_storage_open(&usual, &own) != BE_OK)
		return 1;
	for (int i = 0; i < 100; i++) {
		snprintf(value, sizeof value, "%d", i);
		if (store(own, "child", value) != 0 || !holds(own, "parent", "value"))
			return 2;
	}
	lmdb_storage_close(own);
	return index < 0;
}

Test(lmdb, a_child_abandons_what_the_parent_opened_and_opens_its_own)
{
	struct lmdb_storage *storage = open_storage();
	pid_t child;
	void *txn;

	cr_assert_eq(store(storage, "parent", "value"), 0);
	cr_assert_eq(begin(storage, false, &txn), 0);
	child = child_start(use_in_child, 0, storage);
	cr_assert_eq(child_wait(child), 0);
	cr_assert_not(holds(storage, "child", "none"));
	end(storage, txn);
	cr_assert(holds(storage, "child", "99"));
	cr_assert_eq(store(storage, "parent", "again"), 0, "%s", be_last_error());
	cr_assert(holds(storage, "parent", "again"));
	lmdb_storage_close(storage);
}

struct abandoning {
	struct lmdb_storage *inherited;
	int ends[4]; /* of two pipes */
};

/* Abandons after it has opened its own, which LMDB's locks must survive. */
static int read_after_abandoning(int index, void *context)
{
	struct lmdb_storage *own;
	struct abandoning *both = context;
	char done;
	void *txn;

	(void)index;
	if (lmdb_storage_open(&usual, &own) != BE_OK || begin(own, false, &txn) != 0)
		return 1;
	backend(both->inherited)->abandon(both->inherited);
	if (write(both->ends[1], "r", 1) != 1 || read(both->ends[2], &done, 1) != 1)
		return 2;
	end(own, txn);
	if (!holds(own, "parent", "value"))
		return 3;
	lmdb_storage_close(own);
	return 0;
}

Test(lmdb, a_childs_own_locks_survive_abandoning)
{
	struct abandoning both = {.inherited = open_storage()};
	int freed = -1;
	pid_t child;
	char ready;

	cr_assert_eq(store(both.inherited, "parent", "value"), 0);
	cr_assert_eq(pipe(both.ends), 0);
	cr_assert_eq(pipe(both.ends + 2), 0);
	child = child_start(read_after_abandoning, 0, &both);
	cr_assert_eq(read(both.ends[0], &ready, 1), 1);
	cr_assert_eq(backend(both.inherited)->clear_readers(both.inherited, &freed), BE_OK);
	cr_assert_eq(freed, 0, "the child counts as dead");
	cr_assert_eq(write(both.ends[3], "d", 1), 1);
	cr_assert_eq(child_wait(child), 0);
	lmdb_storage_close(both.inherited);
}

/* ------------------------------------------------------------------ flushing */

static int write_unflushed_and_die(int index, void *context)
{
	struct lmdb_storage *storage;

	(void)index;
	(void)context;
	if (lmdb_storage_open(&usual, &storage) != BE_OK)
		return 1;
	lmdb_storage_stop_flushing(storage);
	if (store(storage, "key", "value") != 0)
		return 1;
	raise(SIGKILL);
	return 2;
}

Test(lmdb, what_was_not_flushed_survives_its_process)
{
	struct lmdb_storage *storage;

	cr_assert_eq(child_wait(child_start(write_unflushed_and_die, 0, NULL)), 128 + SIGKILL);
	storage = open_storage();
	cr_assert(holds(storage, "key", "value"));
	lmdb_storage_close(storage);
}
