/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bit of the data file flips, 4000 times in turn (40 000 in the long mode), anywhere in the
 * file. be_verify() in a child process reports every one in a record and every one in LMDB's own
 * structure, and none in bytes that nobody reads; a flip that goes unreported leaves every record
 * as it was. Of the children none crashes and none hangs; nor does be-inspect, which is given as
 * the argument, on a sample of the flips.
 */
#include "page-map.h"
#include "support.h"
#include "tmpfs.h"

#include "api/enforcer.h"
#include "records/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define FLIPS (TEST_SANITIZED ? 1000 : 4000)
#define INSPECTED (TEST_SANITIZED ? 25 : 100)
#define HANG_SECONDS 10
#define START_NS (INT64_C(1700000000) * BE_UNIT)

enum outcome {
	OUTCOME_UNNOTICED = 0, /* verify finds nothing, and all records are as they were */
	OUTCOME_REPORTED = 10,
	OUTCOME_CHANGED = 20, /* verify finds nothing, and what is read has changed */
			      /* From 128 on: ended by a signal. */
};

static char environment[PATH_MAX], data[PATH_MAX];
static uint8_t *file, *uses;
static size_t file_size;
static uint64_t contents;

static int64_t fixed_clock(void *context)
{
	(void)context;
	return START_NS;
}

static struct be_enforcer *open_environment(uint32_t flags)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = flags;
	options.now = fixed_clock;
	return be_open(environment, &options, &handle) == BE_OK ? handle : NULL;
}

/* ---- an environment with records of every kind, branch pages and free pages */

static void end_some(struct be_enforcer *handle, uint64_t id, unsigned choice)
{
	if (choice == 0)
		EXPECT_OK(be_release(handle, id));
	else if (choice < 3)
		EXPECT_OK(be_settle(handle, id, (int64_t)choice * 17, "settled", NULL));
}

static void fill(struct be_enforcer *handle, uint64_t *random)
{
	struct be_envelope_options child = BE_ENVELOPE_OPTIONS_INIT;
	static const struct be_label labels[] = {{"customer", "Ann"}, {"model", "small"}};
	struct be_commit_options commit = BE_COMMIT_OPTIONS_INIT;
	char category[32];
	uint64_t id;

	commit.labels = labels;
	EXPECT_OK(be_envelope_create(handle, "all", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	child.parent_category = "all";
	for (int i = 0; i < 100; i++) {
		snprintf(category, sizeof category, "category-%d", i);
		EXPECT_OK(be_envelope_create(handle, category, 1000 * BE_UNIT,
					     (enum be_period)(i % 5), i % 3 ? &child : NULL));
	}
	commit.detached = true;
	for (int i = 0; i < 1200; i++) {
		snprintf(category, sizeof category, "category-%d",
			 (int)(test_random(random) % 100));
		commit.ttl_ms = i % 3 ? 0 : 1000000;
		commit.label_count = i % 4 ? 0 : 2;
		EXPECT_OK(be_commit_with(handle, category, i % 40, "a commit that is described",
					 &commit, &id, NULL));
		end_some(handle, id, (unsigned)(test_random(random) % 4));
		if (i % 2)
			EXPECT_OK(be_record(handle, category, i % 7, "", NULL));
	}
}

static void make_environment(uint64_t *random)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	struct stat about;
	int fd;

	test_path(environment, "memory");
	tmpfs_mount(environment,
		    64 << 20); /* if it can be: the test is slower on a disk, and the same */
	test_path(environment, "memory/environment");
	test_path(data, "memory/environment/data.mdb");
	options.durability = BE_DURABILITY_PROCESS; /* to be quick */
	options.now = fixed_clock;
	EXPECT_OK(be_open(environment, &options, &handle));
	fill(handle, random);
	be_close(handle);
	fd = open(data, O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0 && fstat(fd, &about) == 0);
	file_size = (size_t)about.st_size;
	file = malloc(file_size);
	uses = malloc(file_size);
	EXPECT(file && uses && pread(fd, file, file_size, 0) == (ssize_t)file_size);
	close(fd);
	page_map(file, file_size, uses);
}

/* ---- one flip */

/* All records as they lie there, as one number. */
static uint64_t read_everything(struct be_enforcer *handle)
{
	struct record_key from = {.size = 1, .bytes = {0}};
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	struct environment *opened;
	struct be_bytes key, value;
	struct ledger ledger;
	int found;

	EXPECT_OK(enforcer_environment(handle, &opened));
	EXPECT_OK(ledger_begin(&ledger, opened->executor.storage, false));
	while ((found = ledger_next(&ledger, record_key_bytes(&from), &key, &value)) == 0) {
		for (size_t i = 0; i < key.size; i++)
			sum = (sum ^ ((const uint8_t *)key.data)[i]) * UINT64_C(0x100000001b3);
		for (size_t i = 0; i < value.size; i++)
			sum = (sum ^ ((const uint8_t *)value.data)[i]) * UINT64_C(0x100000001b3);
		memcpy(from.bytes, key.data, key.size);
		from.bytes[key.size] = 0;
		from.size = (uint16_t)(key.size + 1);
	}
	ledger_abort(&ledger);
	return found == LEDGER_NONE ? sum : 0;
}

static int look(int index, void *context)
{
	struct be_enforcer *handle;
	enum be_status status;

	(void)index;
	(void)context;
	test_end_if_it_hangs(HANG_SECONDS);
	handle = open_environment(BE_OPEN_READ_ONLY);
	if (!handle)
		return OUTCOME_REPORTED;
	status = be_verify(handle, NULL, NULL, NULL);
	if (status != BE_OK)
		return OUTCOME_REPORTED;
	return read_everything(handle) == contents ? OUTCOME_UNNOTICED : OUTCOME_CHANGED;
}

static void flip(int fd, size_t offset, unsigned bit)
{
	uint8_t byte = (uint8_t)(file[offset] ^ 1U << bit);

	EXPECT(pwrite(fd, &byte, 1, (off_t)offset) == 1);
}

static void restore(int fd, size_t offset)
{
	EXPECT(pwrite(fd, file + offset, 1, (off_t)offset) == 1);
}

/* ---- be-inspect */

static const char *const views[] = {"verify", "envelopes", "commits", "transactions"};

struct inspection {
	char *program;
	const char *view;
};

static int run_inspect(int index, void *context)
{
	const struct inspection *inspection = context;
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	(void)index;
	test_end_if_it_hangs(HANG_SECONDS);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	execl(inspection->program, inspection->program, environment, inspection->view,
	      (char *)NULL);
	return 126;
}

/* Verify answers with failure exactly when the library reported something; no view ends by a
 * signal. */
static void inspect(char *program, size_t offset, unsigned bit, bool reported)
{
	for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
		struct inspection inspection = {program, views[i]};
		int status = child_wait(child_start(run_inspect, 0, &inspection));

		if (status >= 126 || (i == 0 && (status != 0) != reported))
			test_fail(__FILE__, __LINE__,
				  "be-inspect %s ended with %d for bit %u of byte %zu", views[i],
				  status, bit, offset);
	}
}

/* ---- all of them */

static void expect_outcome(int outcome, size_t offset, unsigned bit)
{
	static const char *const names[BYTE_USES] = {"unused", "structure", "a record"};
	enum byte_use use = (enum byte_use)uses[offset];

	if (outcome == (use == BYTE_UNUSED ? OUTCOME_UNNOTICED : OUTCOME_REPORTED))
		return;
	if (outcome == OUTCOME_UNNOTICED && use == BYTE_STRUCTURE)
		return; /* counted */
	test_fail(__FILE__, __LINE__, "bit %u of byte %zu of page %zu (%s): outcome %d", bit,
		  offset % PAGE, offset / PAGE, names[use], outcome);
}

struct tally {
	uint64_t flips[BYTE_USES];
	uint64_t without_effect; /* in the structure */
};

static void try_flip(int fd, size_t offset, unsigned bit, char *inspect_with, struct tally *tally)
{
	int outcome;

	flip(fd, offset, bit);
	outcome = child_wait(child_start(look, 0, NULL));
	expect_outcome(outcome, offset, bit);
	if (inspect_with)
		inspect(inspect_with, offset, bit, outcome == OUTCOME_REPORTED);
	restore(fd, offset);
	tally->flips[uses[offset]]++;
	tally->without_effect += uses[offset] == BYTE_STRUCTURE && outcome == OUTCOME_UNNOTICED;
}

static void print_tally(const char *what, const struct tally *tally, int64_t start_ns)
{
	printf("%s, %.1f s: %" PRIu64 " in records and %" PRIu64
	       " in structure, all reported but %" PRIu64 " without effect; %" PRIu64
	       " in unused bytes\n",
	       what, test_seconds_since(start_ns), tally->flips[BYTE_RECORD],
	       tally->flips[BYTE_STRUCTURE], tally->without_effect, tally->flips[BYTE_UNUSED]);
}

int main(int argc, char **argv)
{
	struct tally anywhere = {.without_effect = 0}, metas = {.without_effect = 0};
	int64_t start = test_monotonic_ns();
	struct be_enforcer *handle;
	uint64_t random;
	int fd;

	test_begin(240);
	random = test_seed();
	make_environment(&random);
	handle = open_environment(BE_OPEN_READ_ONLY);
	EXPECT(handle != NULL);
	EXPECT_VERIFIED(handle);
	contents = read_everything(handle);
	be_close(handle);
	fd = open(data, O_RDWR | O_CLOEXEC);
	EXPECT(fd >= 0 && contents != 0);
	printf("%zu pages\n", file_size / PAGE);
	/* Chance would hardly hit what everything hangs from. */
	for (size_t offset = 0; offset < 2 * PAGE; offset++)
		for (unsigned bit = 0; uses[offset] == BYTE_STRUCTURE && bit < 8;
		     bit += TEST_SANITIZED ? 3 : 1)
			try_flip(fd, offset, bit, NULL, &metas);
	print_tally("every bit of the meta pages that is used", &metas, start);
	start = test_monotonic_ns();
	for (int i = 0; i < FLIPS * (test_is_long() ? 10 : 1); i++) {
		size_t offset = test_random(&random) % file_size;
		unsigned bit = (unsigned)(test_random(&random) % 8);

		try_flip(fd, offset, bit, argc > 1 && i < INSPECTED ? argv[1] : NULL, &anywhere);
	}
	print_tally("bits anywhere", &anywhere, start);
	close(fd);
	return 0;
}
