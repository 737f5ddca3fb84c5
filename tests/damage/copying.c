/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen to be_backup() and be_restore() on their way: calls of the system that are
 * interrupted by signals or fail, one after the other, and cancellation of the thread. Each is as
 * if it had not been, or nothing is left of the copy: no file, no directory, no descriptor, no
 * thread that reads.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls of the kinds below are counted while this is set; number `fails_at` fails with `code`. */
static bool armed;
static unsigned calls, fails_at;
static int code;

static bool fails(void)
{
	if (!__atomic_load_n(&armed, __ATOMIC_ACQUIRE) ||
	    __atomic_add_fetch(&calls, 1, __ATOMIC_ACQ_REL) != fails_at)
		return false;
	errno = code;
	return true;
}

/* The dynamic linker looks into the program first, also for LMDB and the library. */
ssize_t write(int fd, const void *bytes, size_t size)
{
	return fails() ? -1 : syscall(SYS_write, fd, bytes, size);
}

/* By another name in the source, since the C library's header may define one of its own inline. */
__attribute__((visibility("default"))) ssize_t read_here(int fd, void *bytes,
							 size_t size) __asm__("read");

ssize_t read_here(int fd, void *bytes, size_t size)
{
	return fails() ? -1 : syscall(SYS_read, fd, bytes, size);
}

int fsync(int fd)
{
	return fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	/* No signal interrupts it. */
	return code != EINTR && fails() ? -1 : (int)syscall(SYS_rename, from, to);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
	return code != EINTR && fails()
		       ? -1
		       : (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
}

/* It is closed all the same. */
int close(int fd)
{
	int rc = (int)syscall(SYS_close, fd);

	return fails() ? -1 : rc;
}

static int count_entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	EXPECT(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static char work[PATH_MAX], copy[PATH_MAX], good[PATH_MAX], restored[PATH_MAX];
static struct be_enforcer *budget;

static bool exists(const char *path)
{
	struct stat about;

	return lstat(path, &about) == 0;
}

static void expect_restored(void)
{
	struct be_enforcer *handle = test_open(restored, BE_DURABILITY_FULL);

	EXPECT_BALANCE(handle, "llm", 5, 0);
	be_close(handle);
}

static enum be_status back_up(void)
{
	return be_backup(budget, copy);
}

static enum be_status restore(void)
{
	return be_restore(good, restored);
}

/* One call, whose step `at` fails. False: it has no such step. */
static bool run(enum be_status (*function)(void), const char *result, unsigned at, int failure)
{
	int entries = count_entries(work), descriptors = count_entries("/proc/self/fd");
	enum be_status status;
	unsigned reached;

	calls = 0;
	fails_at = at;
	code = failure;
	__atomic_store_n(&armed, true, __ATOMIC_RELEASE);
	status = function();
	__atomic_store_n(&armed, false, __ATOMIC_RELEASE);
	reached = calls;
	EXPECT_EQUAL(count_entries("/proc/self/fd"), descriptors);
	if (failure == EINTR)
		EXPECT_STATUS(status, BE_OK);
	/* What has its name is a success, and what is none has none. */
	EXPECT_EQUAL(exists(result), status == BE_OK);
	EXPECT_EQUAL(count_entries(work), entries + (status == BE_OK));
	if (status == BE_OK && result == copy) {
		EXPECT_OK(be_restore(copy, restored));
		expect_restored();
		test_remove(restored);
	} else if (status == BE_OK) {
		expect_restored();
	}
	if (status == BE_OK)
		test_remove(result);
	return reached >= at;
}

static void run_all(enum be_status (*function)(void), const char *result, int failure)
{
	unsigned at = 1;

	while (run(function, result, at, failure))
		EXPECT(++at < 1000);
	printf("%s of %u steps: each met %s\n", result == copy ? "a backup" : "a restoring", at - 1,
	       strerrorname_np(failure));
	EXPECT(at > 5);
}

/* ---- cancellation */

struct cancelled {
	enum be_status (*function)(void);
	enum be_status status;
	bool has_returned;
};

static void *run_cancelled(void *context)
{
	struct cancelled *cancelled = context;

	/* It is acted upon at the next cancellation point, of which both calls are full. */
	pthread_cancel(pthread_self());
	cancelled->status = cancelled->function();
	cancelled->has_returned = true;
	pthread_testcancel();
	return NULL;
}

static void cancel(enum be_status (*function)(void), const char *result)
{
	struct cancelled cancelled = {.function = function};
	struct be_statistics before = BE_STATISTICS_INIT, after = BE_STATISTICS_INIT;
	int entries = count_entries(work), descriptors = count_entries("/proc/self/fd");
	pthread_t thread;
	void *returned;

	EXPECT_OK(be_stats(budget, &before));
	EXPECT(pthread_create(&thread, NULL, run_cancelled, &cancelled) == 0);
	EXPECT(pthread_join(thread, &returned) == 0);
	EXPECT(returned == PTHREAD_CANCELED);
	EXPECT(cancelled.has_returned);
	EXPECT_OK(cancelled.status);
	EXPECT_EQUAL(count_entries("/proc/self/fd"), descriptors);
	EXPECT_EQUAL(count_entries(work), entries + 1);
	EXPECT_OK(be_stats(budget, &after));
	EXPECT_EQUAL(after.readers, before.readers);
	test_remove(result);
}

int main(void)
{
	char environment[PATH_MAX];
	const int failures[] = {EINTR, EIO, ENOSPC};

	test_begin(120);
	if (TEST_SANITIZED)
		test_skip("sanitizers do not bear replaced calls and cancelled threads");
	test_path(work, "work");
	test_path(environment, "environment");
	test_path(copy, "work/copy");
	test_path(restored, "work/restored");
	test_path(good, "good");
	EXPECT(mkdir(work, 0700) == 0);
	budget = test_open(environment, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(budget, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(budget, "llm", 5, "", NULL));
	EXPECT_OK(be_backup(budget, good));
	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
		run_all(back_up, copy, failures[i]);
		run_all(restore, restored, failures[i]);
	}
	cancel(back_up, copy);
	cancel(restore, restored);
	EXPECT_VERIFIED(budget);
	be_close(budget);
	return 0;
}
