/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that were cut or are garbage. data.mdb cut at each 4 KiB boundary: be_open() answers with a
 * status, and where it opens, everything is there. be-inspect, whose path is the argument, answers
 * too. The files beside it only coordinate processes: whatever they hold when nobody uses them, the
 * environment opens and adds up, or a status says which file to remove.
 */
#include "support.h"
#include "tmpfs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define HANG_SECONDS 10
#define RECORDS 400
#define OTHERS 400

enum outcome {
	OUTCOME_SERVES = 0,
	OUTCOME_REFUSED = 10,
};

static char sound[PATH_MAX], spoilt[PATH_MAX];
static char *be_inspect;

/* ---- files */

static size_t read_file(const char *directory, const char *name, uint8_t **bytes)
{
	char path[PATH_MAX + 32];
	struct stat about;
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0 && fstat(fd, &about) == 0);
	*bytes = malloc((size_t)about.st_size + 1);
	EXPECT(*bytes && read(fd, *bytes, (size_t)about.st_size) == about.st_size);
	close(fd);
	return (size_t)about.st_size;
}

static void write_file(const char *directory, const char *name, const uint8_t *bytes, size_t size)
{
	char path[PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	EXPECT(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

/* Envelopes that are made first and removed last leave free pages at the beginning, into which the
 * roots then move, so that most cuts spare them. */
static void make_sound(void)
{
	struct be_enforcer *handle;
	char category[32];

	test_path(sound, "memory");
	tmpfs_mount(sound, 64 << 20); /* if it can be: the test is slower on a disk, and the same */
	test_path(sound, "memory/sound");
	test_path(spoilt, "memory/spoilt");
	handle = test_open(sound, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < OTHERS; i++) {
		snprintf(category, sizeof category, "other-%d", i);
		EXPECT_OK(be_envelope_create(handle, category, 1, BE_PERIOD_TOTAL, NULL));
	}
	for (int i = 0; i < RECORDS; i++)
		EXPECT_OK(be_record(handle, "llm", 1,
				    "a description that takes some space in the file", NULL));
	for (int i = 0; i < OTHERS; i++) {
		snprintf(category, sizeof category, "other-%d", i);
		EXPECT_OK(be_envelope_remove(handle, category));
	}
	for (int i = 0; i < 10; i++)
		EXPECT_OK(be_envelope_set_limit(handle, "llm", (1000 + i) * BE_UNIT));
	be_close(handle);
}

/* ---- what is to be seen, in a process of its own */

static int look(int flags, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;

	(void)context;
	test_end_if_it_hangs(HANG_SECONDS);
	options.flags = (uint32_t)flags;
	status = be_open(spoilt, &options, &handle);
	if (status != BE_OK) {
		if (strstr(be_last_error(), spoilt) == NULL)
			test_fail(__FILE__, __LINE__, "%s: \"%s\" does not name the directory",
				  be_status_name(status), be_last_error());
		return OUTCOME_REFUSED;
	}
	EXPECT_VERIFIED(handle);
	EXPECT_BALANCE(handle, "llm", RECORDS, 0);
	EXPECT_STATUS(be_check(handle, "llm", 2000 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	if (!(flags & BE_OPEN_READ_ONLY)) {
		EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
		EXPECT_VERIFIED(handle);
	}
	be_close(handle);
	return OUTCOME_SERVES;
}

static int run_inspect(int index, void *view)
{
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)index;
	test_end_if_it_hangs(HANG_SECONDS);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	execl(be_inspect, be_inspect, spoilt, view, (char *)NULL);
	return 126;
}

static bool serves(int flags, const char *what, size_t number)
{
	int status = child_wait(child_start(look, flags, NULL));

	if (status != OUTCOME_SERVES && status != OUTCOME_REFUSED)
		test_fail(__FILE__, __LINE__, "%s %zu, flags %d: %d", what, number, flags, status);
	return status == OUTCOME_SERVES;
}

/* Refused by the library, refused by the tool. */
static void inspect(bool expected, const char *what, size_t number)
{
	static char views[][16] = {"envelopes", "commits", "transactions", "verify"};

	for (size_t i = 0; be_inspect && i < sizeof views / sizeof *views; i++) {
		int status = child_wait(child_start(run_inspect, 0, views[i]));

		if (status >= 126 || (status == 0) != expected)
			test_fail(__FILE__, __LINE__, "%s %zu: be-inspect %s ended with %d", what,
				  number, views[i], status);
	}
}

/* ---- data.mdb */

static void cut_data(void)
{
	size_t size, refused = 0, cuts = 0;
	uint8_t *bytes;

	size = read_file(sound, "data.mdb", &bytes);
	EXPECT(mkdir(spoilt, 0700) == 0);
	for (size_t cut = PAGE; cut < size; cut += PAGE) {
		bool reads;

		write_file(spoilt, "data.mdb", bytes, cut);
		reads = serves(BE_OPEN_READ_ONLY, "cut at", cut);
		inspect(reads, "cut at", cut);
		EXPECT(serves(0, "cut at", cut) == reads);
		refused += !reads;
		cuts++;
	}
	printf("data.mdb cut at %zu boundaries: refused %zu times, served wholly %zu times\n", cuts,
	       refused, cuts - refused);
	EXPECT(refused > cuts / 2);
	/* An empty file is where none was yet. */
	free(bytes);
	test_remove(spoilt);
}

/* ---- the files beside it */

static void spoil(uint8_t *bytes, size_t size, unsigned how, uint64_t *random)
{
	if (how == 0)
		memset(bytes, 0, size);
	else if (how == 1)
		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)test_random(random);
	else if (how == 2)
		for (int i = 0; i < 1000; i++)
			bytes[test_random(random) % size] = (uint8_t)test_random(random);
	else
		for (size_t page = 0; page + PAGE <= size; page += PAGE)
			if (test_random(random) % 2)
				memset(bytes + page, 0, PAGE);
}

static void spoil_beside(const char *name, int rounds, uint64_t *random)
{
	size_t size, data_size, served = 0, served_readers = 0;
	uint8_t *bytes, *data;

	data_size = read_file(sound, "data.mdb", &data);
	for (int i = 0; i < rounds; i++) {
		unsigned how = (unsigned)i % 5;

		size = read_file(sound, name, &bytes);
		if (how < 4)
			spoil(bytes, size, how, random);
		else
			size = test_random(random) % size;
		EXPECT(mkdir(spoilt, 0700) == 0);
		write_file(spoilt, "data.mdb", data, data_size);
		write_file(spoilt, name, bytes, size);
		free(bytes);
		served_readers += serves(BE_OPEN_READ_ONLY, name, (size_t)i);
		served += serves(0, name, (size_t)i);
		test_remove(spoilt);
	}
	free(data);
	printf("%s spoilt %d times: %zu times served to readers, %zu times to all\n", name, rounds,
	       served_readers, served);
	EXPECT_EQUAL(served, rounds);
	EXPECT_EQUAL(served_readers, rounds);
}

int main(int argc, char **argv)
{
	uint64_t random;

	test_begin(60);
	random = test_seed();
	be_inspect = argc > 1 ? argv[1] : NULL;
	make_sound();
	cut_data();
	spoil_beside("lock.mdb", 50, &random);
	spoil_beside("be-owners", 50, &random);
	spoil_beside("be-group", 50, &random);
	spoil_beside("be-counts", 50, &random);
	return 0;
}
