/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a later version of the library wrote is answered with BE_NEWER_FORMAT by this one, what an
 * earlier one wrote with BE_OLDER_FORMAT, and both are left as they are to the last byte: a header
 * of another format, whatever its size; a single record; and files in use by another version of
 * LMDB.
 */
#include "support.h"

#include "records/record.h"
#include "storage/lmdb/lmdb.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_AT 5 /* of every value: behind what is reserved, and the type */
#define SIZE_AT 6

static char environment[PATH_MAX];

static void make_environment(void)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);

	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "tool", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
}

/* Gives a record the next format or the one before, and another size. */
static void change_format(const struct record_key *key, int by, size_t more)
{
	struct lmdb_settings settings = {
		.path = environment, .sync = true, .mode = 0600, .map_size = 64 << 20};
	struct lmdb_storage *opened;
	const struct be_storage *storage;
	uint8_t bytes[BE_STORAGE_VALUE_MAX] = {0};
	struct be_bytes value;
	uint16_t size;
	void *txn;

	EXPECT_OK(lmdb_storage_open(&settings, &opened));
	storage = lmdb_storage_interface(opened);
	EXPECT(storage->ops->begin(storage->self, true, &txn) == 0);
	EXPECT(storage->ops->get(storage->self, txn, record_key_bytes(key), &value) == 0);
	size = (uint16_t)(value.size + more);
	memcpy(bytes, value.data, value.size);
	EXPECT_EQUAL(bytes[FORMAT_AT], RECORD_FORMAT);
	bytes[FORMAT_AT] = (uint8_t)(RECORD_FORMAT + by);
	memcpy(bytes + SIZE_AT, &size, sizeof size);
	value = (struct be_bytes){bytes, size};
	EXPECT(storage->ops->put(storage->self, txn, record_key_bytes(key), value) == 0);
	EXPECT(storage->ops->commit(storage->self, txn) == 0);
	lmdb_storage_close(opened);
}

static size_t read_data(uint8_t **bytes)
{
	char path[PATH_MAX];
	struct stat about;
	int fd;

	test_path(path, "environment/data.mdb");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0 && fstat(fd, &about) == 0);
	*bytes = malloc((size_t)about.st_size);
	EXPECT(*bytes && read(fd, *bytes, (size_t)about.st_size) == about.st_size);
	close(fd);
	return (size_t)about.st_size;
}

static void expect_other(enum be_status status, int by)
{
	EXPECT_STATUS(status, by > 0 ? BE_NEWER_FORMAT : BE_OLDER_FORMAT);
	EXPECT(be_last_error()[0] != '\0');
	printf("%s\n", be_last_error());
}

static void expect_newer(enum be_status status)
{
	expect_other(status, +1);
}

static void test_header(int by, size_t more)
{
	static const uint32_t flags[] = {0, BE_OPEN_EXISTING, BE_OPEN_READ_ONLY};
	struct be_options options = BE_OPTIONS_INIT;
	uint8_t *before, *after;
	struct be_enforcer *handle;
	struct record_key key;
	size_t size;

	make_environment();
	record_key_header(&key);
	change_format(&key, by, more);
	size = read_data(&before);
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		options.flags = flags[i];
		for (int durability = 0; durability < 2; durability++) {
			options.durability = (enum be_durability)durability;
			expect_other(be_open(environment, &options, &handle), by);
		}
	}
	EXPECT(read_data(&after) == size && memcmp(before, after, size) == 0);
	free(before);
	free(after);
	test_remove(environment);
}

static void test_record(int by)
{
	struct be_verification verification = BE_VERIFICATION_INIT;
	struct name name = {.category = "llm", .category_size = 3};
	struct be_enforcer *handle;
	struct record_key key;
	uint64_t id;

	make_environment();
	record_key_envelope(&key, &name);
	change_format(&key, by, 0);
	handle = test_open(environment, BE_DURABILITY_FULL);
	expect_other(be_check(handle, "llm", 1, NULL), by);
	expect_other(be_commit(handle, "llm", 1, "", &id), by);
	expect_other(be_record(handle, "llm", 1, "", NULL), by);
	EXPECT_OK(be_record(handle, "tool", 1, "", NULL));
	EXPECT(be_verify(handle, NULL, NULL, &verification) != BE_OK);
	be_close(handle);
	test_remove(environment);
}

/* ---- another version of LMDB */

static int hold_open(int end, void *context)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);
	int *ends = context;

	EXPECT_OK(be_check(handle, "llm", 1, NULL));
	EXPECT(write(ends[end], "o", 1) == 1);
	for (;;)
		pause();
}

/* The format of the lock file stands behind its magic number. */
static int change_lock_format(int index, void *context)
{
	uint32_t format = 0x12345678;
	char path[PATH_MAX];
	int fd;

	(void)index;
	(void)context;
	test_path(path, "environment/lock.mdb");
	fd = open(path, O_RDWR | O_CLOEXEC);
	EXPECT(fd >= 0 && pwrite(fd, &format, sizeof format, 4) == sizeof format);
	return 0;
}

static int expect_other_lmdb(int index, void *context)
{
	struct be_enforcer *handle;

	(void)index;
	(void)context;
	expect_newer(be_open(environment, NULL, &handle));
	EXPECT(strstr(be_last_error(), "LMDB") != NULL);
	return 0;
}

static void test_other_lmdb(void)
{
	pid_t holder;
	int ends[2];
	char ready;

	make_environment();
	EXPECT(pipe(ends) == 0);
	holder = child_start(hold_open, 1, ends);
	EXPECT(read(ends[0], &ready, 1) == 1);
	EXPECT_EQUAL(child_wait(child_start(change_lock_format, 0, NULL)), 0);
	EXPECT_EQUAL(child_wait(child_start(expect_other_lmdb, 0, NULL)), 0);
	EXPECT(kill(holder, SIGKILL) == 0);
	child_wait(holder);
	/* With nobody there the lock file is made anew. */
	be_close(test_open(environment, BE_DURABILITY_FULL));
	test_remove(environment);
}

int main(void)
{
	test_begin(60);
	test_path(environment, "environment");
	for (int by = -1; by <= 1; by += 2) {
		test_header(by, 0);
		test_header(by, 8);
		test_record(by);
	}
	test_other_lmdb();
	return 0;
}
