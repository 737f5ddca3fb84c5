/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a careless or unlucky caller brings: directories that are missing, forbidden or not ours,
 * and arguments that make no sense. Each gets its own status and a text for people, zeroes its
 * outputs, and leaves every byte of the data file as it was.
 */
#include "support.h"

#include <budget_enforcer_storage.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	NOBODY = 65534,
	WATCHED_MAX = 1 << 20
};

static int refusals;

/* ----------------------------------------------- a data file that must not change */

static struct {
	char path[PATH_MAX];
	unsigned char before[WATCHED_MAX];
	size_t size; /* 0: nothing is watched */
} watched;

static size_t read_file(const char *path, unsigned char *bytes)
{
	FILE *file = fopen(path, "rb");
	size_t size;

	EXPECT(file != NULL);
	size = fread(bytes, 1, WATCHED_MAX, file);
	EXPECT(feof(file) || getc(file) == EOF);
	fclose(file);
	return size;
}

static void watch(const char *directory)
{
	EXPECT(snprintf(watched.path, sizeof watched.path, "%s/data.mdb", directory) <
	       (int)sizeof watched.path);
	watched.size = read_file(watched.path, watched.before);
	EXPECT(watched.size > 0);
}

static void expect_unchanged(const char *file, int line, const char *what)
{
	static unsigned char after[WATCHED_MAX];

	if (watched.size == 0)
		return;
	if (read_file(watched.path, after) != watched.size ||
	    memcmp(after, watched.before, watched.size) != 0)
		test_fail(file, line, "%s changed %s", what, watched.path);
}

#define EXPECT_REFUSED(call, status) expect_refused(__FILE__, __LINE__, #call, (call), (status))

static void expect_refused(const char *file, int line, const char *what, enum be_status actual,
			   enum be_status expected)
{
	expect_status(file, line, what, actual, expected);
	if (be_last_error()[0] == '\0')
		test_fail(file, line, "%s gives no text for people", what);
	expect_unchanged(file, line, what);
	refusals++;
}

/* ------------------------------------------------------------- opening */

#define EXPECT_OPEN_REFUSED(path, options, status)                                                 \
	expect_open_refused(__FILE__, __LINE__, (path), (options), (status))

/* The text names the path, so that an operator knows where to look. */
static void expect_open_refused(const char *file, int line, const char *path,
				const struct be_options *options, enum be_status status)
{
	struct be_enforcer *handle = (struct be_enforcer *)&refusals;

	expect_refused(file, line, path, be_open(path, options, &handle), status);
	if (handle != NULL)
		test_fail(file, line, "opening %s set the handle", path);
	if (strstr(be_last_error(), path) == NULL)
		test_fail(file, line, "\"%s\" does not name %s", be_last_error(), path);
	printf("%s: %s\n", be_status_name(status), be_last_error());
}

static void write_file(const char *directory, const char *name, const void *bytes, size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	EXPECT(snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path);
	EXPECT(mkdir(directory, 0700) == 0 || errno == EEXIST);
	file = fopen(path, "wb");
	EXPECT(file != NULL);
	EXPECT(fwrite(bytes, 1, size, file) == size);
	EXPECT(fclose(file) == 0);
}

static void test_missing(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	char path[PATH_MAX];

	test_path(path, "no/such");
	EXPECT_OPEN_REFUSED(path, NULL, BE_NOT_FOUND);
	test_path(path, "absent");
	options.flags = BE_OPEN_EXISTING;
	EXPECT_OPEN_REFUSED(path, &options, BE_NOT_FOUND);
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OPEN_REFUSED(path, &options, BE_NOT_FOUND);
	EXPECT(access(path, F_OK) != 0);
	EXPECT(mkdir(path, 0700) == 0);
	options.flags = BE_OPEN_EXISTING;
	EXPECT_OPEN_REFUSED(path, &options, BE_NOT_FOUND);
	EXPECT(rmdir(path) == 0); /* and so nothing was put into it */
}

static void test_not_an_environment(void)
{
	unsigned char noise[3 * 4096];
	uint64_t random = 1;
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof noise; i++)
		noise[i] = (unsigned char)test_random(&random);
	test_path(path, "noise");
	write_file(path, "data.mdb", noise, sizeof noise);
	watch(path);
	EXPECT_OPEN_REFUSED(path, NULL, BE_NOT_AN_ENVIRONMENT);

	test_path(path, "short");
	write_file(path, "data.mdb", "hello", 5);
	watch(path);
	EXPECT_OPEN_REFUSED(path, NULL, BE_NOT_AN_ENVIRONMENT);

	memset(noise, 0, sizeof noise);
	test_path(path, "zeroes");
	write_file(path, "data.mdb", noise, sizeof noise);
	watch(path);
	EXPECT_OPEN_REFUSED(path, NULL, BE_NOT_AN_ENVIRONMENT);

	watched.size = 0;
	test_path(path, "a-file");
	write_file(test_directory(), "a-file", "hello", 5);
	EXPECT_OPEN_REFUSED(path, NULL, BE_NOT_AN_ENVIRONMENT);
}

/* Somebody else's LMDB environment is sound, but it is not ours to write to. */
static void test_foreign_environment(void)
{
	char text[] = "theirs";
	MDB_val key = {6, text}, value = {6, text};
	char path[PATH_MAX];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	test_path(path, "foreign");
	EXPECT(mkdir(path, 0700) == 0);
	EXPECT(mdb_env_create(&env) == 0);
	EXPECT(mdb_env_open(env, path, 0, 0600) == 0);
	EXPECT(mdb_txn_begin(env, NULL, 0, &txn) == 0);
	EXPECT(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
	EXPECT(mdb_put(txn, dbi, &key, &value, 0) == 0);
	EXPECT(mdb_txn_commit(txn) == 0);
	mdb_env_close(env);
	watch(path);
	EXPECT_OPEN_REFUSED(path, NULL, BE_NOT_AN_ENVIRONMENT);
	watched.size = 0;
}

static void test_open_arguments(void)
{
	struct be_options options = BE_OPTIONS_INIT, zero = {0};
	struct be_storage *storage;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	test_path(path, "never-made");
	EXPECT_REFUSED(be_open(path, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_open(NULL, NULL, &handle), BE_INVALID_ARGUMENT);
	EXPECT(handle == NULL);
	EXPECT_REFUSED(be_open(NULL, &options, &handle), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_open(path, &zero, &handle), BE_INVALID_SIZE);
	options.size = 1 << 20;
	EXPECT_REFUSED(be_open(path, &options, &handle), BE_INVALID_SIZE);
	options.size = sizeof options;
	options.flags = 1u << 31;
	EXPECT_REFUSED(be_open(path, &options, &handle), BE_INVALID_ARGUMENT);
	options.flags = 0;
	options.durability = (enum be_durability)7;
	EXPECT_REFUSED(be_open(path, &options, &handle), BE_INVALID_ARGUMENT);
	options.durability = BE_DURABILITY_FULL;
	options.namespace_name = "two\nlines";
	EXPECT_REFUSED(be_open(path, &options, &handle), BE_INVALID_NAME);
	options.namespace_name = NULL;
	EXPECT_OK(be_storage_memory_create(&storage));
	options.storage = storage;
	EXPECT_REFUSED(be_open(path, &options, &handle), BE_INVALID_ARGUMENT);
	EXPECT(handle == NULL);
	be_storage_memory_destroy(storage);
	EXPECT_REFUSED(be_storage_memory_create(NULL), BE_INVALID_ARGUMENT);
	EXPECT(access(path, F_OK) != 0);
}

/* --------------------------------------------------------- permissions */

struct attempt {
	char path[PATH_MAX];
	char named[PATH_MAX]; /* the file that the text must name */
};

/* Root may do everything, so that a child that is nobody does the opening. */
static int expect_permission(int read_only, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	const struct attempt *attempt = context;

	if (geteuid() == 0)
		EXPECT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	watched.size = 0;
	options.flags = read_only ? BE_OPEN_READ_ONLY : 0;
	EXPECT_OPEN_REFUSED(attempt->path, &options, BE_PERMISSION);
	EXPECT(strstr(be_last_error(), attempt->named) != NULL);
	return 0;
}

struct modes {
	mode_t directory, data, lock, owners;
};

static void set_mode(const char *directory, const char *name, mode_t mode)
{
	char path[PATH_MAX];

	EXPECT(snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path);
	EXPECT(chmod(path, mode) == 0);
}

static void set_modes(const char *directory, const struct modes *modes)
{
	set_mode(directory, ".", 0700);
	set_mode(directory, "data.mdb", modes->data);
	set_mode(directory, "lock.mdb", modes->lock);
	set_mode(directory, "be-owners", modes->owners);
	set_mode(directory, "be-group", modes->owners);
	set_mode(directory, ".", modes->directory);
}

/* The counts of refusals hinder no process that may not write them. */
static int spend_without_counts(int index, void *context)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	struct be_enforcer *handle;
	uint64_t id;

	(void)index;
	if (geteuid() == 0)
		EXPECT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	EXPECT_OK(be_open(context, NULL, &handle));
	EXPECT_OK(be_envelope_ensure(handle, "nobody's", 10, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "nobody's", 1, NULL, &id));
	EXPECT_STATUS(be_commit(handle, "nobody's", 10, NULL, &id), BE_EXCEEDS_BUDGET);
	EXPECT_OK(be_utilization(handle, "nobody's", &envelope));
	EXPECT_EQUAL(envelope.refused_exceeds_budget, 0);
	be_close(handle);
	return 0;
}

static int look_as_nobody(int index, void *context)
{
	(void)index;
	(void)context;
	if (geteuid() == 0)
		EXPECT(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	return access(test_directory(), X_OK) == 0 ? 0 : 1;
}

static bool is_on_overlay(const char *path)
{
	struct statfs about;

	EXPECT(statfs(path, &about) == 0);
	return about.f_type == OVERLAYFS_SUPER_MAGIC;
}

static void test_permissions(void)
{
	static const struct {
		struct modes modes;
		int read_only;
		const char *named;
	} cases[] = {
		{{0000, 0666, 0666, 0666}, false, ""}, /* may not look into the directory */
		{{0555, 0000, 0666, 0666}, false, "/data.mdb"},
		{{0555, 0444, 0666, 0666}, false, "/data.mdb"},
		{{0555, 0666, 0444, 0666}, false, "/lock.mdb"},
		{{0555, 0666, 0666, 0444}, false, "/be-owners"},
		{{0555, 0000, 0666, 0666}, true, "/data.mdb"},
		{{0555, 0444, 0444, 0444}, true, "/lock.mdb"}, /* readers write to it, too */
	};
	static const struct modes usual = {0700, 0600, 0600, 0600};
	static const struct modes without_counts = {0777, 0666, 0666, 0666};
	struct attempt attempt;
	char path[PATH_MAX];
	size_t i;

	EXPECT(chmod(test_directory(), 0755) == 0);
	if (child_wait(child_start(look_as_nobody, 0, NULL)) != 0)
		test_skip("permissions: an ordinary user may not enter %s; all else was tested",
			  test_directory());
	test_path(path, "forbidden");
	be_close(test_open(path, BE_DURABILITY_FULL));
	watch(path);
	memcpy(attempt.path, path, sizeof path);
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		set_modes(path, &cases[i].modes);
		/* On an overlay any file that may not be written is named: looking needs that
		 * there. */
		EXPECT(snprintf(attempt.named, PATH_MAX, "%s%s", path,
				cases[i].read_only && is_on_overlay(path) ? "" : cases[i].named) <
		       PATH_MAX);
		EXPECT_EQUAL(
			child_wait(child_start(expect_permission, cases[i].read_only, &attempt)),
			0);
		refusals++;
	}
	set_mode(path, ".", 0555);
	test_path(attempt.path, "forbidden/below");
	memcpy(attempt.named, attempt.path, sizeof attempt.path);
	EXPECT_EQUAL(child_wait(child_start(expect_permission, false, &attempt)), 0);
	set_modes(path, &usual);
	expect_unchanged(__FILE__, __LINE__, "a forbidden opening");
	set_modes(path, &without_counts);
	set_mode(path, "be-counts", 0444);
	EXPECT_EQUAL(child_wait(child_start(spend_without_counts, 0, path)), 0);
	set_mode(path, "be-counts", 0600);
	set_modes(path, &usual);
	be_close(test_open(path, BE_DURABILITY_FULL));
	watched.size = 0;
}

/* ------------------------------------------------------ calls on a handle */

static bool ignore_envelope(void *context, const struct be_envelope *envelope)
{
	(void)context;
	(void)envelope;
	return true;
}

static void test_nulls(struct be_enforcer *handle, uint64_t commit)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_period period;
	int64_t amount;
	uint64_t id = 99;

	EXPECT_REFUSED(be_check(NULL, "llm", 1, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_check(handle, NULL, 1, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_commit(NULL, "llm", 1, NULL, &id), BE_INVALID_ARGUMENT);
	EXPECT_EQUAL(id, 0);
	EXPECT_REFUSED(be_commit(handle, NULL, 1, NULL, &id), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_commit(handle, "llm", 1, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_commit_with(handle, "llm", 1, NULL, NULL, NULL, NULL),
		       BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_release(NULL, commit), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_settle(NULL, commit, 1, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_extend(NULL, commit, 1, 0, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_record(NULL, "llm", 1, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_record(handle, NULL, 1, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_reap(NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_create(NULL, "x", 1, BE_PERIOD_TOTAL, NULL),
		       BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_create(handle, NULL, 1, BE_PERIOD_TOTAL, NULL),
		       BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_ensure(NULL, "x", 1, BE_PERIOD_TOTAL, NULL),
		       BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_ensure(handle, NULL, 1, BE_PERIOD_TOTAL, NULL),
		       BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_set_limit(NULL, "llm", 1), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_set_limit(handle, NULL, 1), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_suspend(NULL, "llm"), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_suspend(handle, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_resume(NULL, "llm"), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_resume(handle, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_reset(NULL, "llm"), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_reset(handle, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_remove(NULL, "llm"), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelope_remove(handle, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_utilization(NULL, "llm", &envelope), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_utilization(handle, NULL, &envelope), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_utilization(handle, "llm", NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelopes_each(NULL, NULL, ignore_envelope, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_envelopes_each(handle, NULL, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_commits_each(handle, NULL, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_transactions_each(handle, NULL, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_verify(NULL, NULL, NULL, NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_amount_parse(NULL, &amount), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_amount_parse("1", NULL), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_amount_format(1, NULL, 24), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_period_parse(NULL, &period), BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_period_parse("daily", NULL), BE_INVALID_ARGUMENT);
}

static void test_sizes_and_options(struct be_enforcer *handle, uint64_t commit)
{
	struct be_commit_options commit_options = BE_COMMIT_OPTIONS_INIT, no_commit_options = {0};
	struct be_envelope_options no_envelope_options = {0};
	struct be_decision decision = {0};
	struct be_envelope envelope = {0};
	struct be_transaction transaction = {0};
	struct be_verification verification = {0};
	struct be_filter filter = {0};
	uint64_t id = 99;

	EXPECT_REFUSED(be_check(handle, "llm", 1, &decision), BE_INVALID_SIZE);
	EXPECT_REFUSED(be_commit_with(handle, "llm", 1, NULL, NULL, &id, &decision),
		       BE_INVALID_SIZE);
	EXPECT_EQUAL(id, 0);
	EXPECT_REFUSED(be_commit_with(handle, "llm", 1, NULL, &no_commit_options, &id, NULL),
		       BE_INVALID_SIZE);
	commit_options.reap_policy = (enum be_reap_policy)9;
	EXPECT_REFUSED(be_commit_with(handle, "llm", 1, NULL, &commit_options, &id, NULL),
		       BE_INVALID_ARGUMENT);
	EXPECT_REFUSED(be_record(handle, "llm", 1, NULL, &transaction), BE_INVALID_SIZE);
	EXPECT_REFUSED(be_settle(handle, commit, 1, NULL, &transaction), BE_INVALID_SIZE);
	EXPECT_REFUSED(be_extend(handle, commit, 1, 0, &decision), BE_INVALID_SIZE);
	EXPECT_REFUSED(be_utilization(handle, "llm", &envelope), BE_INVALID_SIZE);
	EXPECT_REFUSED(be_envelope_create(handle, "x", 1, BE_PERIOD_TOTAL, &no_envelope_options),
		       BE_INVALID_SIZE);
	EXPECT_REFUSED(be_envelopes_each(handle, &filter, ignore_envelope, NULL), BE_INVALID_SIZE);
	EXPECT_REFUSED(be_verify(handle, NULL, NULL, &verification), BE_INVALID_SIZE);
}

static void test_names(struct be_enforcer *handle, uint64_t commit)
{
	static const char *const bad[] = {"",         "a\tb",         "\xff",
					  "\xc0\xaf", "\xed\xa0\x80", "\xc2\x85"};
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	char long_name[BE_NAME_SIZE + 1], long_text[BE_DESCRIPTION_SIZE + 1];
	uint64_t id;
	size_t i;

	memset(long_name, 'n', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	memset(long_text, 'd', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		EXPECT_REFUSED(be_check(handle, bad[i], 1, NULL), BE_INVALID_NAME);
		EXPECT_REFUSED(be_commit(handle, bad[i], 1, NULL, &id), BE_INVALID_NAME);
		EXPECT_REFUSED(be_envelope_create(handle, bad[i], 1, BE_PERIOD_TOTAL, NULL),
			       BE_INVALID_NAME);
	}
	EXPECT_REFUSED(be_envelope_create(handle, long_name, 1, BE_PERIOD_TOTAL, NULL),
		       BE_INVALID_NAME);
	options.parent_category = long_name;
	EXPECT_REFUSED(be_envelope_create(handle, "x", 1, BE_PERIOD_TOTAL, &options),
		       BE_INVALID_NAME);
	options.parent_category = "x";
	options.parent_namespace = "a\nb";
	EXPECT_REFUSED(be_envelope_create(handle, "x", 1, BE_PERIOD_TOTAL, &options),
		       BE_INVALID_NAME);
	EXPECT_REFUSED(be_commit(handle, "llm", 1, long_text, &id), BE_INVALID_DESCRIPTION);
	EXPECT_REFUSED(be_commit(handle, "llm", 1, "\x1b[2J", &id), BE_INVALID_DESCRIPTION);
	EXPECT_REFUSED(be_record(handle, "llm", 1, long_text, NULL), BE_INVALID_DESCRIPTION);
	EXPECT_REFUSED(be_settle(handle, commit, 1, "a\nb", NULL), BE_INVALID_DESCRIPTION);
}

static void test_numbers(struct be_enforcer *handle, uint64_t commit)
{
	static const int64_t limits[] = {0, -1, INT64_MIN};
	static const int periods[] = {-1, 7, 1000};
	struct be_envelope_options future = BE_ENVELOPE_OPTIONS_INIT;
	uint64_t id;
	size_t i;

	for (i = 0; i < 3; i++) {
		EXPECT_REFUSED(be_envelope_create(handle, "x", limits[i], BE_PERIOD_TOTAL, NULL),
			       BE_INVALID_LIMIT);
		EXPECT_REFUSED(be_envelope_ensure(handle, "x", limits[i], BE_PERIOD_TOTAL, NULL),
			       BE_INVALID_LIMIT);
		EXPECT_REFUSED(be_envelope_set_limit(handle, "llm", limits[i]), BE_INVALID_LIMIT);
		EXPECT_REFUSED(be_envelope_create(handle, "x", 1, (enum be_period)periods[i], NULL),
			       BE_INVALID_PERIOD);
		EXPECT_REFUSED(be_envelope_ensure(handle, "x", 1, (enum be_period)periods[i], NULL),
			       BE_INVALID_PERIOD);
	}
	future.period_start_ns = INT64_MAX;
	EXPECT_REFUSED(be_envelope_create(handle, "x", 1, BE_PERIOD_DAILY, &future),
		       BE_INVALID_PERIOD);
	EXPECT_REFUSED(be_check(handle, "llm", -1, NULL), BE_AMOUNT_NEGATIVE);
	EXPECT_REFUSED(be_commit(handle, "llm", -1, NULL, &id), BE_AMOUNT_NEGATIVE);
	EXPECT_REFUSED(be_commit(handle, "llm", INT64_MIN, NULL, &id), BE_AMOUNT_NEGATIVE);
	EXPECT_REFUSED(be_record(handle, "llm", -1, NULL, NULL), BE_AMOUNT_NEGATIVE);
	EXPECT_REFUSED(be_settle(handle, commit, -1, NULL, NULL), BE_AMOUNT_NEGATIVE);
	EXPECT_REFUSED(be_extend(handle, commit, -1, 0, NULL), BE_AMOUNT_NEGATIVE);
	EXPECT_REFUSED(be_commit(handle, "llm", INT64_MAX, NULL, &id), BE_EXCEEDS_BUDGET);
	EXPECT_REFUSED(be_record(handle, "llm", INT64_MAX, NULL, NULL), BE_OVERFLOW);
	EXPECT_REFUSED(be_settle(handle, commit, INT64_MAX, NULL, NULL), BE_OVERFLOW);
}

static void test_things_that_are_not_there(struct be_enforcer *handle)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	uint64_t id;

	EXPECT_REFUSED(be_check(handle, "none", 1, NULL), BE_NO_ENVELOPE);
	EXPECT_REFUSED(be_commit(handle, "none", 1, NULL, &id), BE_NO_ENVELOPE);
	EXPECT_REFUSED(be_record(handle, "none", 1, NULL, NULL), BE_NO_ENVELOPE);
	EXPECT_REFUSED(be_release(handle, 0), BE_NO_COMMIT);
	EXPECT_REFUSED(be_release(handle, UINT64_MAX), BE_NO_COMMIT);
	EXPECT_REFUSED(be_settle(handle, 4711, 1, NULL, NULL), BE_NO_COMMIT);
	EXPECT_REFUSED(be_extend(handle, 4711, 1, 0, NULL), BE_NO_COMMIT);
	EXPECT_REFUSED(be_envelope_create(handle, "llm", 1, BE_PERIOD_TOTAL, NULL),
		       BE_ENVELOPE_EXISTS);
	EXPECT_REFUSED(be_envelope_remove(handle, "llm"), BE_HAS_COMMITS);
	options.parent_category = "none";
	EXPECT_REFUSED(be_envelope_create(handle, "x", 1, BE_PERIOD_TOTAL, &options), BE_NO_PARENT);
	options.parent_category = "x";
	EXPECT_REFUSED(be_envelope_create(handle, "x", 1, BE_PERIOD_TOTAL, &options),
		       BE_PARENT_CYCLE);
}

static void test_read_only_and_durability(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *reader, *other;
	uint64_t id;

	options.durability = BE_DURABILITY_PROCESS;
	EXPECT_REFUSED(be_open(path, &options, &other), BE_OTHER_DURABILITY);
	options.durability = BE_DURABILITY_FULL;
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(path, &options, &reader));
	EXPECT_REFUSED(be_commit(reader, "llm", 1, NULL, &id), BE_READ_ONLY);
	EXPECT_REFUSED(be_record(reader, "llm", 1, NULL, NULL), BE_READ_ONLY);
	EXPECT_REFUSED(be_envelope_create(reader, "x", 1, BE_PERIOD_TOTAL, NULL), BE_READ_ONLY);
	EXPECT_OK(be_check(reader, "llm", 1, NULL));
	be_close(reader);
}

static void test_calls(void)
{
	struct be_enforcer *handle;
	char path[PATH_MAX];
	uint64_t commit;

	test_path(path, "calls");
	handle = test_open(path, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(handle, "llm", 10 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(handle, "llm", 2 * BE_UNIT, "before", NULL));
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &commit));
	watch(path);
	be_close(NULL);
	test_nulls(handle, commit);
	test_sizes_and_options(handle, commit);
	test_names(handle, commit);
	test_numbers(handle, commit);
	test_things_that_are_not_there(handle);
	test_read_only_and_durability(path);
	EXPECT_BALANCE(handle, "llm", 2 * BE_UNIT, BE_UNIT);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	watched.size = 0;
}

int main(void)
{
	test_begin(60);
	test_missing();
	test_not_an_environment();
	test_foreign_environment();
	test_open_arguments();
	test_calls();
	test_permissions();
	printf("%d calls refused, each with its status and text, and nothing changed\n", refusals);
	return 0;
}
