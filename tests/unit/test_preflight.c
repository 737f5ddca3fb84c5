/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a file system and a data file before LMDB touches it. The files here are real
 * ones, made by the storage and then spoiled; a file that is let through must be readable to its
 * last record by LMDB, which a child process tries, for it would die by SIGBUS.
 */
#include "storage/lmdb/lmdb.h"
#include "storage/lmdb/preflight.h"
#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define CHILD_SKIPPED 77

static char directory[256];
static char data[272];

static void make_directory(void)
{
	test_make_directory(directory, sizeof directory, "preflight");
	snprintf(data, sizeof data, "%s/data.mdb", directory);
}

static void remove_directory(void)
{
	test_remove(directory);
}

TestSuite(preflight, .init = make_directory, .fini = remove_directory);

static void expect_status_is(enum be_status actual, enum be_status expected, const char *what)
{
	cr_expect_eq(actual, expected, "%s: %s (%s), expected %s", what, be_status_name(actual),
		     be_last_error(), be_status_name(expected));
	cr_expect((actual == BE_OK) || strlen(be_last_error()) > 0, "%s: no text", what);
}

static enum be_status examine(bool may_be_missing)
{
	struct shared_directory *opened;
	enum be_status status = shared_directory_open(directory, &opened);

	if (status == BE_OK)
		status = lmdb_storage_examine(opened, may_be_missing);
	shared_directory_close(opened);
	return status;
}

/* ------------------------------------------------------------- file systems */

Test(preflight, network_file_systems_are_refused_with_advice)
{
	static const struct {
		unsigned long type;
		enum be_status status;
		const char *advice;
	} types[] = {
		{0xef53, BE_OK, ""},                            /* ext4 */
		{0x58465342, BE_OK, ""},                        /* xfs */
		{0x9123683e, BE_OK, ""},                        /* btrfs */
		{0x01021994, BE_OK, ""},                        /* tmpfs */
		{0x2fc12fc1, BE_OK, ""},                        /* zfs */
		{0xf2f52010, BE_OK, ""},                        /* f2fs */
		{0x6969, BE_BAD_FILE_SYSTEM, "local disk"},     /* NFS */
		{0xff534d42, BE_BAD_FILE_SYSTEM, "local disk"}, /* CIFS */
		{0xfe534d42, BE_BAD_FILE_SYSTEM, "local disk"}, /* SMB2 */
		{0x01021997, BE_BAD_FILE_SYSTEM, "local disk"}, /* 9p */
		{0x00c36400, BE_BAD_FILE_SYSTEM, "local disk"}, /* Ceph */
		{0x65735546, BE_BAD_FILE_SYSTEM, "local disk"}, /* FUSE */
		{0x61756673, BE_BAD_FILE_SYSTEM, "volume"},     /* aufs */
		{0x794c7630, BE_OK, NULL},                      /* overlay */
	};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		char what[32];

		snprintf(what, sizeof what, "type %#lx", types[i].type);
		expect_status_is(preflight_file_system_type("/some/where", types[i].type),
				 types[i].status, what);
		if (types[i].status != BE_OK)
			cr_expect(strstr(be_last_error(), types[i].advice) &&
					  strstr(be_last_error(), "/some/where"),
				  "%s: %s", what, be_last_error());
	}
}

Test(preflight, a_missing_directory_is_not_found)
{
	expect_status_is(preflight_file_system("/nonexistent/directory"), BE_NOT_FOUND, "missing");
	expect_status_is(preflight_file_system(directory), BE_OK, "there");
}

/* --------------------------------------------------------------- real files */

/* Stores `count` records in txns of `batch`; of each txn's, all but the first few are removed in it
 * again, if `waste`: LMDB then leaves pages at the end of the file unwritten. */
static void make_environment(int count, int batch, bool waste)
{
	struct lmdb_settings settings = {
		.path = directory, .create = true, .mode = 0600, .map_size = 1 << 30};
	struct lmdb_storage *lmdb;
	struct be_storage *storage;
	char value[400];
	char key[32];
	void *txn;

	cr_assert_eq(lmdb_storage_open(&settings, &lmdb), BE_OK, "%s", be_last_error());
	storage = lmdb_storage_interface(lmdb);
	memset(value, 'v', sizeof value);
	for (int first = 0; first < count; first += batch) {
		cr_assert_eq(storage->ops->begin(storage->self, true, &txn), 0);
		for (int i = first; i < first + batch; i++) {
			snprintf(key, sizeof key, "%08d", i);
			cr_assert_eq(
				storage->ops->put(storage->self, txn, (struct be_bytes){key, 8},
						  (struct be_bytes){value, 100 + (size_t)i % 300}),
				0);
		}
		for (int i = first + batch - 1; waste && i > first + 3; i--) {
			snprintf(key, sizeof key, "%08d", i);
			cr_assert_eq(
				storage->ops->del(storage->self, txn, (struct be_bytes){key, 8}),
				0);
		}
		cr_assert_eq(storage->ops->commit(storage->self, txn), 0);
	}
	lmdb_storage_close(lmdb);
}

static unsigned char *read_file(size_t *size)
{
	unsigned char *bytes;
	struct stat state;
	int fd = open(data, O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &state), 0);
	*size = (size_t)state.st_size;
	bytes = malloc(*size);
	cr_assert_eq(read(fd, bytes, *size), (ssize_t)*size);
	close(fd);
	return bytes;
}

static void write_file(const void *bytes, size_t size)
{
	int fd = open(data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
	close(fd);
}

/* The number of the last page, as the newer meta page says. */
static uint64_t last_page(const unsigned char *bytes)
{
	uint64_t last[2];
	uint64_t txn[2];

	for (size_t i = 0; i < 2; i++) {
		memcpy(&last[i], bytes + i * PAGE + 136, 8);
		memcpy(&txn[i], bytes + i * PAGE + 144, 8);
	}
	return last[txn[0] < txn[1]];
}

static enum be_status try_to_open(void)
{
	struct lmdb_settings settings = {.path = directory, .mode = 0600, .map_size = 1 << 30};
	struct lmdb_storage *storage;
	enum be_status status = lmdb_storage_open(&settings, &storage);

	if (status == BE_OK)
		lmdb_storage_close(storage);
	return status;
}

/* Reads every record and every list of free pages by bare LMDB, as a later process would. */
static int read_all(int index, void *context)
{
	MDB_cursor *cursor;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val key;
	MDB_val value;
	unsigned sum = 0;
	int rc;

	(void)index;
	signal(SIGBUS, SIG_DFL); /* no report of a sanitizer's for what is expected */
	prctl(PR_SET_DUMPABLE, 0);
	if (mdb_env_create(&env) || mdb_env_open(env, directory, MDB_RDONLY, 0600) ||
	    mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_dbi_open(txn, NULL, 0, &dbi))
		return 1;
	for (MDB_dbi tree = 0; tree <= dbi; tree++) {
		if (mdb_cursor_open(txn, tree, &cursor))
			return 2;
		while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
			for (size_t i = 0; i < value.mv_size; i++)
				sum += ((const unsigned char *)value.mv_data)[i];
		if (rc != MDB_NOTFOUND)
			return 3;
		mdb_cursor_close(cursor);
	}
	mdb_txn_abort(txn);
	mdb_env_close(env);
	*(volatile unsigned *)context = sum; /* so that the bytes are really read */
	return 0;
}

static bool is_readable(void)
{
	unsigned sum;

	return child_wait(child_start(read_all, 0, &sum)) == 0;
}

Test(preflight, nothing_and_an_empty_file_count_as_absent)
{
	struct lmdb_settings settings = {
		.path = directory, .create = true, .mode = 0600, .map_size = 1 << 30};
	struct lmdb_storage *storage;

	expect_status_is(try_to_open(), BE_NOT_FOUND, "nothing");
	expect_status_is(examine(true), BE_OK, "nothing");
	expect_status_is(examine(false), BE_NOT_FOUND, "nothing");
	write_file("", 0);
	expect_status_is(try_to_open(), BE_NOT_FOUND, "an empty file");
	expect_status_is(examine(true), BE_OK, "an empty file");
	expect_status_is(examine(false), BE_NOT_FOUND, "an empty file");
	expect_status_is(lmdb_storage_open(&settings, &storage), BE_OK, "an empty file, create");
	lmdb_storage_close(storage);
	expect_status_is(examine(false), BE_OK, "a new environment");
}

Test(preflight, what_is_no_regular_file_is_no_environment)
{
	cr_assert_eq(mkdir(data, 0700), 0);
	expect_status_is(try_to_open(), BE_NOT_AN_ENVIRONMENT, "a directory");
	expect_status_is(examine(true), BE_NOT_AN_ENVIRONMENT, "a directory");
	cr_assert_eq(rmdir(data), 0);
	cr_assert_eq(mkfifo(data, 0600), 0);
	expect_status_is(try_to_open(), BE_NOT_AN_ENVIRONMENT, "a FIFO");
	expect_status_is(examine(true), BE_NOT_AN_ENVIRONMENT, "a FIFO");
}

Test(preflight, a_file_of_something_else_is_left_as_it_is)
{
	char lock[272];
	char *bytes = calloc(3, PAGE);
	size_t size;
	unsigned char *after;

	snprintf(lock, sizeof lock, "%s/lock.mdb", directory);
	for (size_t length = 1; length <= 3 * PAGE; length = length * 5 + 1) {
		write_file(bytes, length);
		expect_status_is(try_to_open(), BE_NOT_AN_ENVIRONMENT, "zeros");
	}
	write_file("name,amount\n", 12);
	expect_status_is(try_to_open(), BE_NOT_AN_ENVIRONMENT, "a text");
	after = read_file(&size);
	cr_assert(size == 12 && memcmp(after, "name,amount\n", 12) == 0);
	cr_assert_neq(access(lock, F_OK), 0, "lock.mdb was made beside it");
	free(after);
	free(bytes);
}

Test(preflight, every_field_of_the_meta_pages_is_checked)
{
	static const struct {
		const char *what;
		size_t offset; /* in the file */
		size_t width;
		uint64_t value;
		enum be_status status;
	} changes[] = {
		{"the magic number", 16, 4, 0xbeefc0df, BE_NOT_AN_ENVIRONMENT},
		{"the other byte order", 16, 4, 0xdec0efbe, BE_NOT_AN_ENVIRONMENT},
		{"the magic number of page 1", PAGE + 16, 4, 0, BE_DAMAGED},
		{"a later version", 20, 4, 2, BE_NEWER_FORMAT},
		{"the development version", 20, 4, 999, BE_NEWER_FORMAT},
		{"the version of page 1", PAGE + 20, 4, 2, BE_DAMAGED},
		{"the flags of page 0", 10, 2, 2, BE_DAMAGED},
		{"the flags of page 1", PAGE + 10, 2, 2, BE_DAMAGED},
		{"the number of page 0", 0, 8, 1, BE_DAMAGED},
		{"the number of page 1", PAGE, 8, 0, BE_DAMAGED},
		{"no page size", 40, 4, 0, BE_DAMAGED},
		{"a tiny page size", 40, 4, 64, BE_DAMAGED},
		{"a page size that is no power of two", 40, 4, 4097, BE_DAMAGED},
		{"a huge page size", 40, 4, 0x80000000, BE_DAMAGED},
		{"another page size", 40, 4, 8192, BE_DAMAGED},
		{"the page size of page 1", PAGE + 40, 4, 8192, BE_DAMAGED},
		{"a depth without a root", PAGE + 88 + 40, 8, UINT64_MAX, BE_DAMAGED},
		{"a root without a depth", PAGE + 88 + 6, 2, 0, BE_DAMAGED},
		{"a tree too deep", PAGE + 88 + 6, 2, 33, BE_DAMAGED},
		{"a meta page as the root", PAGE + 88 + 40, 8, 1, BE_DAMAGED},
		{"a root after the end", PAGE + 88 + 40, 8, 1000000, BE_DAMAGED},
		{"a root of the free list after the end", PAGE + 40 + 40, 8, 1000000, BE_DAMAGED},
		{"a last page before the root", PAGE + 136, 8, 1, BE_DAMAGED},
		{"a txn in the wrong page", PAGE + 144, 8, 1000, BE_DAMAGED},
	};
	unsigned char *bytes;
	unsigned char *spoilt;
	size_t size;

	make_environment(51, 1, false); /* an odd number of txns: the newest stands in page 1 */
	bytes = read_file(&size);
	spoilt = malloc(size);
	expect_status_is(preflight_meta_pages("file", bytes, size, size), BE_OK,
			 "the file as it was");
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		memcpy(spoilt, bytes, size);
		memcpy(spoilt + changes[i].offset, &changes[i].value, changes[i].width);
		expect_status_is(preflight_meta_pages("file", spoilt, size, size),
				 changes[i].status, changes[i].what);
		write_file(spoilt, size);
		expect_status_is(try_to_open(), changes[i].status, changes[i].what);
	}
	free(spoilt);
	free(bytes);
}

/* --------------------------------------------------------------- truncation */

Test(preflight, a_file_cut_within_its_first_pages_is_damaged)
{
	static const size_t lengths[] = {1, 19, 20, 151, 152, 4095, 4096, 4097, 4096 + 151, 8191};
	unsigned char *bytes;
	size_t size;

	make_environment(10, 1, false);
	bytes = read_file(&size);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		/* without the magic number, nobody can say that it was one of LMDB's */
		enum be_status expected = lengths[i] < 20 ? BE_NOT_AN_ENVIRONMENT : BE_DAMAGED;
		char what[32];

		snprintf(what, sizeof what, "%zu bytes", lengths[i]);
		expect_status_is(preflight_meta_pages("file", bytes, lengths[i], lengths[i]),
				 expected, what);
		write_file(bytes, lengths[i]);
		expect_status_is(try_to_open(), expected, what);
	}
	free(bytes);
}

/* What is left when the process that makes the file is killed after the first page. */
Test(preflight, a_file_whose_maker_died_counts_as_absent)
{
	struct lmdb_settings settings = {
		.path = directory, .create = true, .mode = 0600, .map_size = 1 << 30};
	struct lmdb_storage *storage;
	unsigned char *bytes;
	size_t size;

	expect_status_is(lmdb_storage_open(&settings, &storage), BE_OK, "create");
	lmdb_storage_close(storage);
	bytes = read_file(&size);
	write_file(bytes, PAGE);
	expect_status_is(try_to_open(), BE_NOT_FOUND, "half made");
	expect_status_is(examine(true), BE_OK, "half made");
	expect_status_is(lmdb_storage_open(&settings, &storage), BE_OK, "half made, create");
	lmdb_storage_close(storage);
	expect_status_is(try_to_open(), BE_OK, "made anew");
	free(bytes);
}

/* Cuts off up to so many pages, one more each time, and by turns a little more than that. */
static void cut_pages(size_t most, int *sound, int *damaged)
{
	unsigned char *bytes;
	size_t size;

	bytes = read_file(&size);
	for (size_t pages = size / PAGE; pages > 2 && pages + most >= size / PAGE; pages--) {
		size_t cut = pages * PAGE - ((*sound + *damaged) % 2 ? 100 : 0);
		enum be_status status;

		write_file(bytes, cut);
		status = try_to_open();
		if (status == BE_OK) {
			(*sound)++;
			cr_assert(is_readable(),
				  "let through at %zu of %zu bytes, and LMDB cannot read it", cut,
				  size);
		} else {
			(*damaged)++;
			cr_assert_eq(status, BE_DAMAGED, "%zu of %zu bytes: %s (%s)", cut, size,
				     be_status_name(status), be_last_error());
			/* what is missing of a page reads as zeros, so only whole pages tell */
			cr_assert(cut % PAGE != 0 || !is_readable(),
				  "refused at %zu of %zu bytes, and LMDB can read it", cut, size);
		}
	}
	free(bytes);
}

Test(preflight, a_file_is_refused_exactly_when_a_page_in_use_is_cut_off)
{
	int sound = 0;
	int damaged = 0;

	make_environment(600, 1, false);
	cut_pages(1000, &sound, &damaged);
	cr_assert_geq(sound, 1);
	cr_assert_gt(damaged, 10);
	printf("let through %d of the cut files, refused %d\n", sound, damaged);
}

Test(preflight, a_file_that_lmdb_left_short_is_sound)
{
	unsigned char *bytes;
	int left_short = 0;
	int sound = 0;
	int damaged = 0;
	size_t size;

	for (int i = 0; i < 20; i++) {
		make_environment(600, 600 - i, true);
		bytes = read_file(&size);
		left_short += last_page(bytes) >= size / PAGE;
		free(bytes);
		expect_status_is(try_to_open(), BE_OK, "a sound file");
		cr_assert(is_readable());
	}
	printf("LMDB left %d of 20 files shorter than their last page says\n", left_short);
	cr_assert_gt(left_short, 0, "the case did not occur");
	cut_pages(1000, &sound, &damaged);
	printf("let through %d of the cut files, refused %d\n", sound, damaged);
}

/* A list of more free pages than one page holds is in pages of its own. */
Test(preflight, a_long_list_of_free_pages_cut_off_is_damage)
{
	int sound = 0;
	int damaged = 0;

	make_environment(30000, 30000, true); /* the list then stands at the end of the file */
	cut_pages(40, &sound, &damaged);
	printf("let through %d of the cut files, refused %d\n", sound, damaged);
	cr_assert_gt(sound, 0);
	cr_assert_gt(damaged, 0);
}

Test(preflight, a_short_file_is_judged_by_the_txn_that_is_read)
{
	uint64_t far = 1000000;
	int fd;

	make_environment(20, 1, false);
	fd = open(data, O_RDWR | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	expect_status_is(preflight_pages(data, fd, 7), BE_OK, "a file long enough");
	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(pwrite(fd, &far, 8, (off_t)(i * PAGE + 136)), 8);
	expect_status_is(preflight_pages(data, fd, 20), BE_OK, "the newest txn");
	expect_status_is(preflight_pages(data, fd, 19), BE_OK, "the one before");
	expect_status_is(preflight_pages(data, fd, 18), BE_DAMAGED,
			 "one whose pages may have changed");
	close(fd);
}

/* ------------------------------------------------------------- hostile bytes */

Test(preflight, random_bytes_are_never_let_through)
{
	uint64_t random = test_seed();
	size_t size = 3 * PAGE;
	unsigned char *bytes = malloc(size);
	uint32_t magic = 0xbeefc0de;

	for (int round = 0; round < 3000; round++) {
		size_t length = test_random(&random) % (size + 1);
		unsigned char *exact =
			malloc(length ? length : 1); /* so that AddressSanitizer sees its end */

		for (size_t i = 0; i + 8 <= size; i += 8) {
			uint64_t word = test_random(&random);

			memcpy(bytes + i, &word, 8);
		}
		if (round % 2)
			memcpy(bytes + 16, &magic, 4);
		memcpy(exact, bytes, length);
		cr_assert_neq(preflight_meta_pages("file", exact, length,
						   length + test_random(&random) % 2),
			      BE_OK);
		free(exact);
	}
	free(bytes);
}

/* A file with random changes in all its pages, and cut, so that its trees are walked: any verdict,
 * in time.
 * */
Test(preflight, spoilt_trees_are_walked_within_their_bounds)
{
	uint64_t random = test_seed();
	int verdicts[2] = {0, 0};
	unsigned char *spoilt;
	unsigned char *bytes;
	uint64_t txn;
	size_t size;
	int fd;

	make_environment(600, 600, false);
	make_environment(600, 1, true);
	bytes = read_file(&size);
	spoilt = malloc(size);
	for (int round = 0; round < 3000; round++) {
		uint64_t changes = 1 + test_random(&random) % 30;
		enum be_status status;

		memcpy(spoilt, bytes, size);
		for (uint64_t i = 0; i < changes; i++) {
			/* mostly in headers and offsets of pages */
			size_t page = 2 + test_random(&random) % (size / PAGE - 2);
			size_t at = test_random(&random) % (test_random(&random) % 4 ? 64 : PAGE);

			spoilt[page * PAGE + at] = (unsigned char)test_random(&random);
		}
		fd = memfd_create("spoilt", MFD_CLOEXEC);
		cr_assert_geq(fd, 0);
		cr_assert_eq(write(fd, spoilt, size), (ssize_t)size);
		/* as if much more were used than there is */
		for (size_t i = 0; i < 2; i++) {
			uint64_t far = 1000000;

			cr_assert_eq(pwrite(fd, &far, 8, (off_t)(i * PAGE + 136)), 8);
		}
		cr_assert_eq(pread(fd, &txn, 8, (off_t)(round % 2 * PAGE + 144)), 8);
		status = preflight_pages("file", fd, txn);
		cr_assert(status == BE_OK || status == BE_DAMAGED, "%s", be_status_name(status));
		verdicts[status == BE_OK]++;
		close(fd);
	}
	printf("%d refused, %d let through\n", verdicts[0], verdicts[1]);
	cr_assert_gt(verdicts[0], 0);
	cr_assert_gt(verdicts[1], 0);
	free(spoilt);
	free(bytes);
}

/* A root that is its own child, many times over, through all levels. */
Test(preflight, a_tree_that_is_a_loop_is_damaged)
{
	uint16_t depth = 32;
	uint64_t far = 1000000;
	unsigned char *bytes;
	unsigned char *page;
	uint16_t lower;
	uint16_t start;
	uint64_t root;
	size_t size;
	int fd;

	make_environment(600, 1, false);
	bytes = read_file(&size);
	memcpy(&root, bytes + 88 + 40, 8); /* after an even number of txns, page 0 has the newest */
	memcpy(bytes + 88 + 6, &depth, 2);
	memcpy(bytes + 136, &far, 8);
	page = bytes + root * PAGE;
	memcpy(&lower, page + 12, 2);
	cr_assert_gt(lower, 20, "the root is no branch page");
	for (size_t i = 16; i < lower; i += 2) {
		memcpy(&start, page + i, 2);
		memcpy(page + start, &root, 6);
	}
	write_file(bytes, size);
	fd = open(data, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	expect_status_is(preflight_pages(data, fd, 600), BE_DAMAGED, "a loop");
	close(fd);
	free(bytes);
}

/* ------------------------------------------------------------ other programs */

Test(preflight, another_programs_database_of_another_kind_is_no_environment)
{
	char key[] = "k";
	char value[] = "v";
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	cr_assert_eq(mdb_env_create(&env), 0);
	cr_assert_eq(mdb_env_open(env, directory, 0, 0600), 0);
	cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
	cr_assert_eq(mdb_dbi_open(txn, NULL, MDB_DUPSORT, &dbi), 0);
	cr_assert_eq(mdb_put(txn, dbi, &(MDB_val){1, key}, &(MDB_val){1, value}, 0), 0);
	cr_assert_eq(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	expect_status_is(try_to_open(), BE_NOT_AN_ENVIRONMENT, "several values per key");
}
