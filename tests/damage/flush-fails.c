/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flush that makes a txn durable fails, or its process is killed before it.
 *
 *   once    the pages are written again, as the system may have forgotten that they are not on the
 *           disk, and the second flush counts: the call says BE_OK;
 *   always  the call says BE_UNKNOWN_OUTCOME and the next ones a fault, and another process, for
 *           which the disk works, first brings the txn to the disk, which then stands;
 *   killed  another process does the same, and the dead one's operation is there once.
 *
 * fdatasync() and pwrite64() are this program's own, which the library calls in place of the C
 * library's.
 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALWAYS 1000000

static char environment[PATH_MAX];
static atomic_int failures; /* to come, in this process */
static atomic_int writes;   /* by the library itself, so far */
static atomic_bool is_to_die;

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	if (atomic_load(&is_to_die))
		raise(SIGKILL);
	if (atomic_load(&failures) > 0) {
		atomic_fetch_sub(&failures, 1);
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

/* What the library calls. LMDB calls pwrite(). */
__attribute__((visibility("default"))) ssize_t write_at(int fd, const void *bytes, size_t size,
							off_t offset) __asm__("pwrite64");

ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset)
{
	atomic_fetch_add(&writes, 1);
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

static int count_writes(struct be_enforcer *handle)
{
	int before = atomic_load(&writes);

	EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	return atomic_load(&writes) - before;
}

static void fail_once(struct be_enforcer *handle)
{
	EXPECT_EQUAL(count_writes(handle), 0);
	atomic_store(&failures, 1);
	/* A page and the meta page at least. */
	EXPECT(count_writes(handle) >= 2);
	EXPECT_EQUAL(atomic_load(&failures), 0);
	EXPECT_EQUAL(count_writes(handle), 0);
	EXPECT_BALANCE(handle, "llm", 3, 0);
}

/* In another process, for which the disk works: with its first change at the latest it writes what
 * was not flushed. */
static int go_on(int spent, void *unused)
{
	struct be_enforcer *handle;

	(void)unused;
	atomic_store(&failures, 0);
	atomic_store(&writes, 0);
	handle = test_open(environment, BE_DURABILITY_FULL);
	EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	EXPECT(atomic_load(&writes) >= 2);
	EXPECT_EQUAL(count_writes(handle), 0);
	EXPECT_BALANCE(handle, "llm", spent + 2, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static void fail_always(struct be_enforcer *handle)
{
	atomic_store(&failures, ALWAYS);
	EXPECT_STATUS(be_record(handle, "llm", 1, "", NULL), BE_UNKNOWN_OUTCOME);
	EXPECT_STATUS(be_record(handle, "llm", 1, "", NULL), BE_IO_ERROR);
	/* What changes nothing is computed on what is not on the disk. */
	EXPECT_STATUS(be_release(handle, 999), BE_IO_ERROR);
	EXPECT_EQUAL(child_wait(child_start(go_on, 4, NULL)), 0);
	atomic_store(&failures, 0);
	EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	EXPECT_BALANCE(handle, "llm", 7, 0);
}

static int die(int unused, void *context)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);

	(void)unused;
	(void)context;
	atomic_store(&is_to_die, true);
	(void)!be_record(handle, "llm", 1, "", NULL);
	return 1;
}

int main(void)
{
	struct be_enforcer *handle;

	test_begin(60);
	test_path(environment, "environment");
	handle = test_open(environment, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	fail_once(handle);
	fail_always(handle);
	EXPECT_EQUAL(child_wait(child_start(die, 0, NULL)), 128 + SIGKILL);
	EXPECT_EQUAL(child_wait(child_start(go_on, 8, NULL)), 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(environment);
	printf("flushes failed once and always, and a process was killed before one\n");
	return 0;
}
