/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk fails once, at the last write of a txn, that of its meta page. The call says BE_IO_ERROR
 * and nothing of it took place. LMDB refuses all further work in that process, which is told
 * BE_MUST_REOPEN, and works again when it has opened the environment anew. For others all is sound,
 * and be_verify() says so.
 *
 * pwrite() is this program's own, which LMDB calls in place of the C library's.
 */
#include "support.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RECORDS 20
/* What LMDB writes of a meta page: all but magic, version and address. No other write is so
 * small. */
#define META_BYTES 120

static char environment[PATH_MAX];
static atomic_int failures; /* to come, in this process */

/* The compiler would call it pwrite64. */
__attribute__((visibility("default"))) ssize_t write_at(int fd, const void *bytes, size_t size,
							off_t offset) __asm__("pwrite");

ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset)
{
	if (size == META_BYTES && atomic_load(&failures) > 0) {
		atomic_fetch_sub(&failures, 1);
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

struct scene {
	enum be_durability durability;
	int spent; /* by all, so far */
	int has_failed[2], may_go_on[2];
};

/* In a process of its own, the one whose write fails. */
static int fail(int unused, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(environment, scene->durability);
	char go_on;

	(void)unused;
	EXPECT_VERIFIED(handle);
	atomic_store(&failures, 1);
	EXPECT_STATUS(be_record(handle, "llm", 1, "", NULL), BE_IO_ERROR);
	EXPECT_EQUAL(atomic_load(&failures), 0);
	EXPECT_STATUS(be_check(handle, "llm", 1, NULL), BE_MUST_REOPEN);
	EXPECT(strstr(be_last_error(), environment) != NULL);
	EXPECT_STATUS(be_record(handle, "llm", 1, "", NULL), BE_MUST_REOPEN);
	EXPECT(write(scene->has_failed[1], "f", 1) == 1);
	EXPECT(read(scene->may_go_on[0], &go_on, 1) == 1);
	EXPECT_STATUS(be_check(handle, "llm", 1, NULL), BE_MUST_REOPEN);
	be_close(handle);
	handle = test_open(environment, scene->durability);
	EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	EXPECT_BALANCE(handle, "llm", scene->spent + 2, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static int look(int unused, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(environment, scene->durability);

	(void)unused;
	EXPECT_BALANCE(handle, "llm", scene->spent, 0);
	EXPECT_VERIFIED(handle);
	EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	EXPECT_VERIFIED(handle);
	EXPECT_BALANCE(handle, "llm", scene->spent + 1, 0);
	be_close(handle);
	return 0;
}

static int make(int records, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(environment, scene->durability);

	if (scene->spent == 0)
		EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < records; i++)
		EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	be_close(handle);
	return 0;
}

static void run(enum be_durability durability)
{
	struct scene *scene = shared_make(sizeof *scene);
	char failed;

	scene->durability = durability;
	EXPECT(pipe(scene->may_go_on) == 0);
	/* Each of the two meta pages, early and late. */
	for (int round = 0; round < 6; round++) {
		pid_t failing;
		int records = 1 + round * RECORDS / 5;

		EXPECT_EQUAL(child_wait(child_start(make, records, scene)), 0);
		scene->spent += records;
		EXPECT(pipe(scene->has_failed) == 0);
		failing = child_start(fail, 0, scene);
		EXPECT(close(scene->has_failed[1]) == 0);
		EXPECT(read(scene->has_failed[0], &failed, 1) == 1);
		EXPECT_EQUAL(child_wait(child_start(look, 0, scene)), 0);
		EXPECT(write(scene->may_go_on[1], "g", 1) == 1);
		EXPECT_EQUAL(child_wait(failing), 0);
		EXPECT(close(scene->has_failed[0]) == 0);
		scene->spent += 2;
	}
	test_remove(environment);
}

int main(void)
{
	test_begin(60);
	test_path(environment, "environment");
	run(BE_DURABILITY_FULL);
	run(BE_DURABILITY_PROCESS);
	printf("12 writes of meta pages failed\n");
	return 0;
}
