/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of branch pages that are larger than those after them, each in turn: LMDB's search for what
 * lies behind such a key ends before it, so that a walk which goes on from what was found comes
 * there again, for ever. Every listing ends, shows no record twice, and be_verify() reports each.
 */
#include "page-map.h"
#include "support.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define PAGE_HEADER 16
#define NODE_HEADER 8
#define BRANCH 1
#define RECORDS (TEST_SANITIZED ? 500 : 3000) /* of each kind */
#define HANG_SECONDS 10

static char environment[PATH_MAX];
static uint8_t *file, *uses;
static size_t file_size;

static int64_t fixed_clock(void *context)
{
	(void)context;
	return INT64_C(1700000000) * BE_UNIT;
}

static struct be_enforcer *open_environment(uint32_t flags)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = flags;
	options.durability = BE_DURABILITY_PROCESS; /* to be quick */
	options.now = fixed_clock;
	EXPECT_OK(be_open(environment, &options, &handle));
	return handle;
}

static void fill(void)
{
	struct be_commit_options detached = BE_COMMIT_OPTIONS_INIT;
	struct be_enforcer *handle = open_environment(0);
	uint64_t id;
	int i;

	detached.detached = true;
	EXPECT_OK(be_envelope_create(handle, "llm", 1000000, BE_PERIOD_TOTAL, NULL));
	for (i = 0; i < RECORDS; i++) {
		EXPECT_OK(be_commit_with(handle, "llm", 1, "a commit", &detached, &id, NULL));
		EXPECT_OK(be_record(handle, "llm", 1, "a transaction", NULL));
	}
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

static int read_environment(void)
{
	char path[PATH_MAX];
	struct stat about;
	int fd;

	test_path(path, "environment/data.mdb");
	fd = open(path, O_RDWR | O_CLOEXEC);
	EXPECT(fd >= 0 && fstat(fd, &about) == 0);
	file_size = (size_t)about.st_size;
	file = malloc(file_size);
	uses = malloc(file_size);
	EXPECT(file && uses && pread(fd, file, file_size, 0) == (ssize_t)file_size);
	page_map(file, file_size, uses);
	return fd;
}

static bool count_commit(void *context, const struct be_commit_info *commit)
{
	(void)commit;
	return ++*(int *)context <= RECORDS;
}

static bool count_transaction(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	return ++*(int *)context <= RECORDS;
}

/* One that the callback ended had shown more than there is. Fewer are not always noticed but by
 * be_verify(). */
static void expect_end(enum be_status status)
{
	if (status != BE_OK)
		EXPECT_STATUS(status, BE_DAMAGED);
}

static int look(int index, void *unused)
{
	struct be_enforcer *handle = open_environment(BE_OPEN_READ_ONLY);
	int commits = 0, transactions = 0;

	(void)index;
	(void)unused;
	test_end_if_it_hangs(HANG_SECONDS);
	expect_end(be_commits_each(handle, NULL, count_commit, &commits));
	expect_end(be_transactions_each(handle, NULL, count_transaction, &transactions));
	EXPECT_STATUS(be_verify(handle, NULL, NULL, NULL), BE_DAMAGED);
	return 0;
}

static uint16_t get16(size_t offset)
{
	uint16_t number;

	memcpy(&number, file + offset, sizeof number);
	return number;
}

/* Makes all of the key but its first byte, which is the kind of record, as large as can be. */
static void misplace(int fd, size_t node)
{
	uint8_t largest[64];
	size_t size = get16(node + 6) - 1U;
	off_t at = (off_t)(node + NODE_HEADER + 1);
	int status;

	EXPECT(size <= sizeof largest);
	memset(largest, 0xff, size);
	EXPECT(pwrite(fd, largest, size, at) == (ssize_t)size);
	status = child_wait(child_start(look, 0, NULL));
	if (status != 0)
		test_fail(__FILE__, __LINE__,
			  "the child ended with %d (%s) for the key at byte %zu", status,
			  status == 128 + SIGALRM ? "it went on for ever" : "see above", node);
	EXPECT(pwrite(fd, file + at, size, at) == (ssize_t)size);
}

int main(void)
{
	unsigned pages = 0, keys = 0;
	int fd;

	test_begin(120);
	test_path(environment, "environment");
	fill();
	fd = read_environment();
	for (size_t page = 2 * PAGE; page < file_size; page += PAGE) {
		size_t count = (get16(page + 12) - (size_t)PAGE_HEADER) / 2;

		if (uses[page] != BYTE_STRUCTURE || get16(page + 10) != BRANCH)
			continue;
		pages++;
		/* The first key is never looked at, and the last one has none after it. */
		for (size_t i = 1; i + 1 < count; i++) {
			size_t node = page + get16(page + PAGE_HEADER + 2 * i);

			if (get16(node + 6) == 1)
				continue; /* the header's */
			misplace(fd, node);
			keys++;
		}
	}
	close(fd);
	printf("%u keys out of order, one after the other, in %u branch pages: each reported, no "
	       "listing "
	       "went on\n",
	       keys, pages);
	EXPECT(keys > 10);
	return 0;
}
