/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker's machine is in trouble: it may write no file beyond a size, it has a small map, it
 * has no memory. It works, and so leads, beside healthy ones: of their operations none may fail,
 * and each is in the ledger once. Its own get their own true answer: what it was told was done is
 * there, once, and what it was told failed is not. When the trouble is over it works as the others
 * do.
 *
 * A disk that is full is everybody's: each is told so for its own operations, nobody waits for
 * ever, and all go on once there is space.
 */
#include "crash.h"
#include "tmpfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HEALTHY = 4,
	WORKERS = HEALTHY + 1,
	SICK = HEALTHY,
	SMALL_MAP = 256 * 1024,
	DISK = 8 << 20,
};

static char path[PATH_MAX];
static enum be_durability durability;
static int operations; /* of each healthy one */
static struct shared {
	atomic_int workers_left;
	atomic_int is_over; /* the trouble */
	struct {
		atomic_long done, failed;
		long lines;
	} workers[WORKERS];
} * shared;

static char ballast[BE_DESCRIPTION_SIZE]; /* so that the file grows */

struct trouble {
	const char *name;
	uint64_t map_size;
	void (*begin)(void);
	void (*end)(void);
};

/* ---- what ails it */

static struct rlimit before;

static void limit(int resource, rlim_t most)
{
	struct rlimit now;

	EXPECT(getrlimit(resource, &before) == 0);
	now = before;
	now.rlim_cur = most;
	EXPECT(setrlimit(resource, &now) == 0);
}

static void write_no_larger(void)
{
	char data[PATH_MAX + 16];
	struct stat about;

	snprintf(data, sizeof data, "%s/data.mdb", path);
	EXPECT(stat(data, &about) == 0);
	EXPECT(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	limit(RLIMIT_FSIZE, (rlim_t)about.st_size);
}

static void write_again(void)
{
	EXPECT(setrlimit(RLIMIT_FSIZE, &before) == 0);
}

static void *hoard[4096];

/* Below the frame of its caller, for whatever that calls later. */
__attribute__((noinline)) static void grow_stack(void)
{
	volatile char stack[256 * 1024];

	for (size_t i = 0; i < sizeof stack; i += 1024)
		stack[i] = 0;
}

/* No more address space, for the stack neither, and nothing left in the heap. */
static void have_no_memory(void)
{
	size_t count = 0;

	grow_stack();
	limit(RLIMIT_AS, 1);
	for (size_t size = 65536; size >= 16; size /= 2)
		while (count < sizeof hoard / sizeof *hoard && (hoard[count] = malloc(size)))
			count++;
}

static void have_memory(void)
{
	for (size_t i = 0; i < sizeof hoard / sizeof *hoard; i++)
		free(hoard[i]);
	EXPECT(setrlimit(RLIMIT_AS, &before) == 0);
}

static const struct trouble troubles[] = {
	{"files of limited size", 0, write_no_larger, write_again},
	{"a small map", SMALL_MAP, NULL, NULL},
	{"no memory", 0, have_no_memory, have_memory},
};

/* ---- the workers */

static struct be_enforcer *open_worker(uint64_t map_size)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.durability = durability;
	options.map_size = map_size;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

static enum be_status record(struct be_enforcer *handle, int index)
{
	char description[sizeof ballast];

	memcpy(description, ballast, sizeof ballast);
	description[0] = (char)('0' + index);
	return be_record(handle, "llm", 1, description, NULL);
}

static void count(int index, enum be_status status)
{
	if (status == BE_OK)
		atomic_fetch_add(&shared->workers[index].done, 1);
	else
		atomic_fetch_add(&shared->workers[index].failed, 1);
}

static int work_healthy(int index, const struct trouble *trouble)
{
	struct be_enforcer *handle = open_worker(0);

	(void)trouble;
	for (int i = 0; i < operations; i++) {
		enum be_status status = record(handle, index);

		if (status != BE_OK && atomic_load(&shared->workers[index].failed) == 0)
			printf("a healthy one was told: %s\n", be_last_error());
		count(index, status);
	}
	atomic_fetch_sub(&shared->workers_left, 1);
	be_close(handle);
	return 0;
}

static int work_sick(const struct trouble *trouble)
{
	struct be_enforcer *handle = open_worker(trouble->map_size);

	if (trouble->begin)
		trouble->begin();
	while (atomic_load(&shared->workers_left) > 0)
		count(SICK, record(handle, SICK));
	if (trouble->end) {
		trouble->end();
		for (int i = 0; i < 100; i++)
			EXPECT_OK(record(handle, SICK));
		atomic_fetch_add(&shared->workers[SICK].done, 100);
	}
	be_close(handle);
	return 0;
}

static int work(int index, void *context)
{
	return index == SICK ? work_sick(context) : work_healthy(index, context);
}

/* ---- what is in the ledger */

static bool note(void *context, const struct be_transaction *transaction)
{
	int index = transaction->description[0] - '0';

	(void)context;
	EXPECT(index >= 0 && index < WORKERS);
	shared->workers[index].lines++;
	return true;
}

static void expect_true_answers(void)
{
	struct be_enforcer *handle = open_worker(0);

	EXPECT_OK(be_transactions_each(handle, NULL, note, NULL));
	for (int i = 0; i < WORKERS; i++)
		EXPECT_EQUAL(shared->workers[i].lines, atomic_load(&shared->workers[i].done));
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

static void make(int workers)
{
	struct be_enforcer *handle;

	memset(shared, 0, sizeof *shared);
	atomic_store(&shared->workers_left, workers);
	handle = open_worker(0);
	EXPECT_OK(be_envelope_ensure(handle, "llm", 1, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
}

static void one_is_sick(const struct trouble *trouble)
{
	pid_t children[WORKERS];
	long failed = 0;

	test_path(path, "environment");
	make(HEALTHY);
	children_start(children, WORKERS, work, (void *)trouble);
	children_expect_success(children, WORKERS);
	for (int i = 0; i < HEALTHY; i++)
		failed += atomic_load(&shared->workers[i].failed);
	printf("%s: %ld of %d operations of healthy ones failed; of its own %ld were done, %ld "
	       "failed\n",
	       trouble->name, failed, HEALTHY * operations,
	       atomic_load(&shared->workers[SICK].done),
	       atomic_load(&shared->workers[SICK].failed));
	EXPECT_EQUAL(failed, 0);
	expect_true_answers();
	test_remove(path);
}

/* ---- a disk that is full for all */

static int work_until_full(int index, void *context)
{
	struct be_enforcer *handle = open_worker(0);
	long refused = 0;

	(void)context;
	/* Each meets it often, so that each has led others that met it, too. */
	while (refused < 100) {
		enum be_status status = record(handle, index);

		EXPECT(status == BE_OK || status == BE_DISK_FULL);
		refused += status == BE_DISK_FULL;
		count(index, status);
	}
	atomic_fetch_sub(&shared->workers_left, 1);
	while (!atomic_load(&shared->is_over))
		count(index, record(handle, index));
	for (int i = 0; i < 100; i++)
		EXPECT_OK(record(handle, index));
	atomic_fetch_add(&shared->workers[index].done, 100);
	be_close(handle);
	return 0;
}

static void all_are_sick(void)
{
	char disk[PATH_MAX], filler[PATH_MAX + 16];
	pid_t children[WORKERS];
	int fd;

	test_path(disk, "disk");
	if (!tmpfs_mount(disk, DISK)) {
		printf("a full disk: not tried, no file system can be mounted: %s\n",
		       strerror(errno));
		return;
	}
	test_path(path, "disk/environment");
	make(WORKERS);
	snprintf(filler, sizeof filler, "%s/filler", disk);
	fd = open(filler, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(fd >= 0 && posix_fallocate(fd, 0, DISK / 4) == 0);
	close(fd);
	children_start(children, WORKERS, work_until_full, NULL);
	while (atomic_load(&shared->workers_left) > 0)
		usleep(1000);
	EXPECT(unlink(filler) == 0);
	atomic_store(&shared->is_over, 1);
	children_expect_success(children, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		printf("a full disk: worker %d was told so %ld times\n", i,
		       atomic_load(&shared->workers[i].failed));
	expect_true_answers();
}

int main(int argc, char **argv)
{
	durability = crash_durability(argc, argv);
	operations = durability == BE_DURABILITY_FULL ? 1000 : 4000;
	test_begin(120);
	shared = shared_make(sizeof *shared);
	memset(ballast, 'b', sizeof ballast - 1);
	for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
		if (troubles[i].begin != have_no_memory || !TEST_SANITIZED)
			one_is_sick(&troubles[i]);
	all_are_sick();
	return 0;
}
