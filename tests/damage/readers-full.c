/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All slots of LMDB's reader table are taken. While their owner lives, a process that needs one
 * more is told BE_TOO_MANY_PROCESSES; once it is dead, its slots are freed by the first that finds
 * none.
 *
 * 4096 processes would be needed; the table is filled by hand with the number of one that lives
 * (storage/lmdb/reader_number.h). Where a liblmdb is not given numbers, that is its pid.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT 64
/* Where the number of slots in use stands: behind magic, format, a mutex and the last txn's
 * number. */
#define IN_USE (8 + sizeof(pthread_mutex_t) + 8)

static char environment[PATH_MAX];

/* LMDB's reader: a txn, a pid, a thread, in a cache line of its own. */
struct slot {
	uint64_t txn;
	int32_t pid;
	int32_t padding;
	uint64_t thread;
	uint8_t rest[SLOT - 24];
};

static int hold_open(int end, void *context)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);
	int *ends = context;

	EXPECT_OK(be_check(handle, "llm", 1, NULL));
	EXPECT(write(ends[end], "o", 1) == 1);
	for (;;)
		pause();
}

#define PIDS (1 << 22) /* the kernel's are below */

/* Gives every free slot of the table to the one process that has one, and raises the number of
 * slots in use to all of them. Done by a process that has not opened the environment, whose locks
 * would go with the descriptor. */
static int fill_table(int holder, void *unused)
{
	char path[PATH_MAX];
	struct stat about;
	uint8_t *file;
	size_t slots = 0, first = 0, filled = 0;
	uint32_t all;
	int number = 0, fd;

	(void)unused;
	test_path(path, "environment/lock.mdb");
	fd = open(path, O_RDWR | O_CLOEXEC);
	EXPECT(fd >= 0 && fstat(fd, &about) == 0);
	file = mmap(NULL, (size_t)about.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(file != MAP_FAILED);
	/* The first slot is the one that the holder has already. */
	for (size_t at = SLOT; first == 0 && at < (size_t)about.st_size; at += SLOT) {
		number = ((struct slot *)(file + at))->pid;
		if (number == holder || number > PIDS)
			first = at;
	}
	EXPECT(first > 0);
	slots = ((size_t)about.st_size - first) / SLOT;
	for (size_t i = 0; i < slots; i++) {
		struct slot *slot = (struct slot *)(file + first + i * SLOT);

		if (slot->pid != 0)
			continue;
		slot->txn = UINT64_MAX; /* no txn at the moment */
		slot->thread = 1;
		slot->pid = number;
		filled++;
	}
	all = (uint32_t)slots;
	memcpy(file + IN_USE, &all, sizeof all);
	printf("%zu slots filled\n", filled);
	return filled > 4000 ? 0 : 1;
}

static int expect_open(int status, void *context)
{
	struct be_enforcer *handle;

	(void)context;
	EXPECT_STATUS(be_open(environment, NULL, &handle), (enum be_status) - status);
	if (status == 0) {
		EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
		EXPECT_VERIFIED(handle);
		be_close(handle);
	} else {
		EXPECT(strstr(be_last_error(), environment) != NULL);
	}
	return 0;
}

int main(void)
{
	struct be_enforcer *handle;
	pid_t holder;
	int ends[2];
	char ready;

	test_begin(60);
	test_path(environment, "environment");
	handle = test_open(environment, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	EXPECT(pipe(ends) == 0);
	holder = child_start(hold_open, 1, ends);
	EXPECT(read(ends[0], &ready, 1) == 1);
	EXPECT_EQUAL(child_wait(child_start(fill_table, (int)holder, NULL)), 0);
	EXPECT_EQUAL(child_wait(child_start(expect_open, -BE_TOO_MANY_PROCESSES, NULL)), 0);
	EXPECT(kill(holder, SIGKILL) == 0);
	EXPECT_EQUAL(child_wait(holder), 128 + SIGKILL);
	EXPECT_EQUAL(child_wait(child_start(expect_open, 0, NULL)), 0);
	return 0;
}
