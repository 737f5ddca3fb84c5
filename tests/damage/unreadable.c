/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that cannot read a page of data.mdb, each page in turn. Opening says BE_IO_ERROR for all
 * pages that it would touch through LMDB's map, where it would be SIGBUS; be_verify() says so for
 * any page in use, and that it is the device, not damage.
 *
 * pread() is this program's own, which the library calls in place of the C library's. A device that
 * fails by itself (dm-error) is not to be had in most places.
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define RECORDS 6000

static char environment[PATH_MAX];
static off_t unreadable; /* offset of a page; 0: none */

/* What the library calls. By another name in the source, since the C library's header may define
 * one of its own inline. */
__attribute__((visibility("default"))) ssize_t read_at(int fd, void *bytes, size_t size,
						       off_t offset) __asm__("pread64");

ssize_t read_at(int fd, void *bytes, size_t size, off_t offset)
{
	if (unreadable > 0 && offset < unreadable + PAGE && offset + (off_t)size > unreadable) {
		/* As a device does: what lies before it is read. */
		if (offset >= unreadable) {
			errno = EIO;
			return -1;
		}
		size = (size_t)(unreadable - offset);
	}
	return syscall(SYS_pread64, fd, bytes, size, offset);
}

static void expect_io_error(enum be_status status)
{
	EXPECT_STATUS(status, BE_IO_ERROR);
	EXPECT(strstr(be_last_error(), environment) != NULL);
}

static off_t make(void)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_PROCESS);
	char data[PATH_MAX];
	struct stat about;
	uint64_t id;

	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < RECORDS; i++) {
		EXPECT_OK(be_commit(handle, "llm", 1, "a description that takes some space", &id));
		if (i % 3 > 0)
			EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	}
	be_close(handle);
	test_path(data, "environment/data.mdb");
	EXPECT(stat(data, &about) == 0);
	return about.st_size;
}

int main(void)
{
	unsigned opening = 0, verifying = 0, unused = 0;
	off_t size;

	test_begin(60);
	test_path(environment, "environment");
	size = make();
	for (off_t page = 0; page < size; page += PAGE) {
		struct be_enforcer *handle;
		enum be_status status;

		unreadable = page + (page == 0);
		status = be_open(environment, NULL, &handle);
		if (status != BE_OK) {
			expect_io_error(status);
			opening++;
			continue;
		}
		status = be_verify(handle, NULL, NULL, NULL);
		if (status == BE_OK) {
			unused++;
		} else {
			expect_io_error(status);
			verifying++;
		}
		unreadable = 0;
		EXPECT_VERIFIED(handle);
		be_close(handle);
	}
	unreadable = 0;
	printf("%u pages met at opening, %u by verify, %u not in use\n", opening, verifying,
	       unused);
	EXPECT(opening > 200 && verifying > 0 && unused > 0);
	return 0;
}
