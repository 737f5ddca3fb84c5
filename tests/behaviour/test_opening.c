/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing: options and what is wrong with them, handles that share an environment,
 * read-only handles, and what opening leaves in the file system.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Opens a path of the test's own directory, or the fixture's storage, and must fail. */
static enum be_status opens(const char *path, const struct be_options *options)
{
	struct be_enforcer *handle = (struct be_enforcer *)&fixture;
	enum be_status status = be_open(path, options, &handle);

	cr_assert((handle != NULL) == (status == BE_OK), "a failed be_open() left a handle");
	be_close(handle);
	return status;
}

static const char *in_directory(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", fixture.directory, name);
	return path;
}

/* ---------------------------------------------------------------- options */

BEHAVIOUR_TEST(opening, wrong_arguments_are_refused)
{
	struct be_options options = fixture_options();
	struct be_storage no_functions = {NULL, NULL};
	char path[128];

	assert_status(be_open(fixture_path(), &options, NULL), BE_INVALID_ARGUMENT);
	options.storage = NULL;
	assert_status(opens(NULL, NULL), BE_INVALID_ARGUMENT);
	assert_status(opens(NULL, &options), BE_INVALID_ARGUMENT);
	options.storage = &no_functions;
	assert_status(opens(NULL, &options), BE_INVALID_ARGUMENT);
	assert_status(opens(in_directory(path, "both"), &options), BE_INVALID_ARGUMENT);

	options = fixture_options();
	options.flags = 0x80000000;
	assert_status(opens(fixture_path(), &options), BE_INVALID_ARGUMENT);
	options = fixture_options();
	options.durability = (enum be_durability)2;
	assert_status(opens(fixture_path(), &options), BE_INVALID_ARGUMENT);
	options = fixture_options();
	for (uint32_t mode = 1; mode <= 01777; mode++) {
		options.mode = mode;
		if (mode != 0600 && mode != 0660 && mode != 0606 && mode != 0666)
			assert_status(opens(fixture_path(), &options), BE_INVALID_ARGUMENT);
	}
	options = fixture_options();
	options.namespace_name = "new\nline";
	assert_status(opens(fixture_path(), &options), BE_INVALID_NAME);
	options.size = 0;
	assert_status(opens(fixture_path(), &options), BE_INVALID_SIZE);
	cr_assert(access(path, F_OK) != 0, "a refused be_open() made a directory");
	be_close(NULL);
}

BEHAVIOUR_TEST(opening, the_namespace_is_copied)
{
	char name[] = "task-1";
	struct be_enforcer *task = fixture_open(name);

	memcpy(name, "xxxxxx", 6);
	fixture_create(task, "llm", BE_UNIT);
	assert_text(fixture_envelope(task, "llm").namespace_name, "task-1");
}

/* -------------------------------------------------------- several handles */

BEHAVIOUR_TEST(opening, handles_on_one_environment_see_each_others_changes)
{
	struct be_enforcer *same = fixture_open(NULL), *task = fixture_open("task");
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	fixture_create_below(task, "llm", BE_UNIT, "", "llm");
	id = fixture_commit(task, "llm", TENTH);
	assert_balance(budget, "llm", 0, TENTH);
	assert_balance(same, "llm", 0, TENTH);

	/* What one handle reserved stays when that handle is closed. */
	fixture_close(task);
	assert_balance(same, "llm", 0, TENTH);
	fixture_close(same);
	assert_ok(be_settle(budget, id, TENTH, NULL, NULL));
	assert_balance(budget, "llm", TENTH, 0);
}

BEHAVIOUR_TEST(opening, again_finds_all_that_was_there)
{
	struct be_options options = fixture_options();
	char *before, *after;
	uint64_t id;

	fixture_create(budget, "day", 5 * BE_UNIT);
	fixture_create_below(budget, "llm", BE_UNIT, NULL, "day");
	assert_ok(be_record(budget, "llm", 2 * TENTH, "first", NULL));
	id = fixture_commit(budget, "llm", 3 * TENTH);
	assert_ok(be_envelope_suspend(budget, "day"));
	before = fixture_state();

	fixture_close(budget);
	assert_ok(be_open(fixture_path(), &options, &fixture.handle));
	after = fixture_state();
	assert_text(after, before);
	free(before);
	free(after);
	assert_ok(be_envelope_resume(fixture.handle, "day"));
	assert_ok(be_settle(fixture.handle, id, TENTH, NULL, NULL));
	cr_assert(fixture_commit(fixture.handle, "llm", TENTH) > id);
}

/* -------------------------------------------------- existing and read-only */

BEHAVIOUR_TEST(opening, read_only_reads_everything_and_changes_nothing)
{
	struct be_options options = fixture_options();
	struct be_envelope_options envelope_options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_commit_options commit_options = BE_COMMIT_OPTIONS_INIT;
	struct be_enforcer *reader;
	uint64_t pending, expiring, id = 77, reaped = 77;

	fixture_create(budget, "llm", BE_UNIT);
	pending = fixture_commit(budget, "llm", TENTH);
	commit_options.ttl_ms = 1;
	assert_ok(be_commit_with(budget, "llm", TENTH, NULL, &commit_options, &expiring, NULL));
	fixture_advance(SECOND_NS);
	options.flags = BE_OPEN_READ_ONLY;
	for (int alone = 0; alone < 2; alone++) {
		/* First beside a handle that may write, then as the only one. */
		char *before, *after;

		if (alone) {
			fixture_close(fixture.handle);
			fixture_close(reader);
		} else {
			before = fixture_state();
		}
		reader = fixture_open_with(&options);
		if (alone)
			fixture.handle = reader;
		assert_ok(be_check(reader, "llm", TENTH, NULL));
		assert_balance(reader, "llm", 0, 2 * TENTH);
		assert_ok(be_verify(reader, NULL, NULL, NULL));
		assert_refused(be_commit(reader, "llm", TENTH, NULL, &id), BE_READ_ONLY);
		assert_number(id, 0);
		assert_refused(be_commit(reader, "llm", BE_UNIT, NULL, &id), BE_READ_ONLY);
		assert_refused(be_release(reader, pending), BE_READ_ONLY);
		assert_refused(be_record(reader, "llm", TENTH, NULL, NULL), BE_READ_ONLY);
		assert_refused(be_settle(reader, pending, TENTH, NULL, NULL), BE_READ_ONLY);
		assert_refused(be_extend(reader, pending, TENTH, 0, NULL), BE_READ_ONLY);
		assert_refused(be_reap(reader, &reaped), BE_READ_ONLY);
		assert_number(reaped, 0);
		assert_refused(be_envelope_create(reader, "new", 1, BE_PERIOD_TOTAL, NULL),
			       BE_READ_ONLY);
		assert_refused(
			be_envelope_ensure(reader, "llm", 1, BE_PERIOD_TOTAL, &envelope_options),
			BE_READ_ONLY);
		assert_refused(be_envelope_set_limit(reader, "llm", 1), BE_READ_ONLY);
		assert_refused(be_envelope_suspend(reader, "llm"), BE_READ_ONLY);
		assert_refused(be_envelope_resume(reader, "llm"), BE_READ_ONLY);
		assert_refused(be_envelope_reset(reader, "llm"), BE_READ_ONLY);
		assert_refused(be_envelope_remove(reader, "llm"), BE_READ_ONLY);
		if (!alone) {
			after = fixture_state();
			assert_text(after, before);
			free(before);
			free(after);
		}
	}
	fixture.handle = NULL; /* the reader is closed with the others */
}

LMDB_TEST(opening, existing_and_read_only_create_nothing)
{
	static const uint32_t flags[] = {BE_OPEN_EXISTING, BE_OPEN_READ_ONLY,
					 BE_OPEN_EXISTING | BE_OPEN_READ_ONLY};
	char missing[128], empty[128], file[160];

	in_directory(missing, "missing");
	cr_assert(mkdir(in_directory(empty, "empty"), 0700) == 0);
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		struct be_options options = fixture_options();

		options.flags = flags[i];
		assert_status(opens(missing, &options), BE_NOT_FOUND);
		cr_assert(access(missing, F_OK) != 0);
		cr_assert(strstr(be_last_error(), missing) != NULL || be_last_error()[0] == '\0');
		assert_status(opens(empty, &options), BE_NOT_FOUND);
		snprintf(file, sizeof file, "%s/data.mdb", empty);
		cr_assert(access(file, F_OK) != 0);
		assert_ok(opens(fixture.path, &options));
	}
	/* And without these flags an empty directory will do, but its parents must be there. */
	assert_ok(opens(empty, NULL));
	snprintf(file, sizeof file, "%s/deeper", missing);
	assert_status(opens(file, NULL), BE_NOT_FOUND);
	cr_assert(access(missing, F_OK) != 0);
}

/* ------------------------------------------------------ in the file system */

static mode_t mode_of(const char *directory, const char *name)
{
	char path[256];
	struct stat status;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	cr_assert(stat(path, &status) == 0, "%s: %s", path, strerror(errno));
	return status.st_mode & 07777;
}

LMDB_TEST(opening, files_have_the_mode_asked_for_whatever_the_umask)
{
	static const struct {
		mode_t umask;
		uint32_t asked;
		mode_t files, directory;
	} rows[] = {
		{0, 0, 0600, 0700},      {077, 0, 0600, 0700},     {0, 0660, 0660, 0770},
		{077, 0660, 0660, 0770}, {0777, 0600, 0600, 0700}, {022, 0666, 0666, 0777},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct be_options options = fixture_options();
		char name[16], path[128];
		mode_t old;

		snprintf(name, sizeof name, "mode-%zu", i);
		in_directory(path, name);
		options.mode = rows[i].asked;
		old = umask(rows[i].umask);
		assert_ok(opens(path, &options));
		umask(old);
		assert_number(mode_of(fixture.directory, name), rows[i].directory);
		assert_number(mode_of(path, "data.mdb"), rows[i].files);
		assert_number(mode_of(path, "lock.mdb"), rows[i].files);
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	for (int i = 0; i < 10000; i++)
		fputs(text, file);
	fclose(file);
}

LMDB_TEST(opening, what_is_no_environment_is_told_and_left_alone)
{
	char path[128], file[160], *text = NULL;
	size_t size = 0;
	FILE *stream;

	write_file(in_directory(path, "a-file"), "some text\n");
	assert_status(opens(path, NULL), BE_NOT_AN_ENVIRONMENT);
	cr_assert(mkdir(in_directory(path, "other"), 0700) == 0);
	snprintf(file, sizeof file, "%s/data.mdb", path);
	write_file(file, "not a page of LMDB's\n");
	assert_status(opens(path, NULL), BE_NOT_AN_ENVIRONMENT);
	stream = fopen(file, "r");
	cr_assert_not_null(stream);
	cr_assert(getline(&text, &size, stream) > 0);
	assert_text(text, "not a page of LMDB's\n");
	free(text);
	fclose(stream);
}

LMDB_TEST(opening, durability_is_the_same_for_all_who_have_it_open)
{
	struct be_options options = fixture_options();
	char path[128];
	struct be_enforcer *process, *reader;

	options.durability = BE_DURABILITY_PROCESS;
	assert_status(opens(fixture.path, &options), BE_OTHER_DURABILITY);

	in_directory(path, "process");
	assert_ok(be_open(path, &options, &process));
	options.durability = BE_DURABILITY_FULL;
	assert_status(opens(path, &options), BE_OTHER_DURABILITY);
	fixture_create(process, "llm", BE_UNIT);
	options.flags = BE_OPEN_READ_ONLY; /* who changes nothing has no durability */
	assert_ok(be_open(path, &options, &reader));
	assert_balance(reader, "llm", 0, 0);
	be_close(reader);
	be_close(process);

	/* Once nobody has it open, it may be opened with the other. */
	options.flags = 0;
	assert_ok(be_open(path, &options, &process));
	assert_balance(process, "llm", 0, 0);
	be_close(process);
}

/* A child without privileges opens the environment of this process, and reports by its exit
 * status. */
static enum be_status opened_by_nobody(const char *path, uint32_t flags)
{
	pid_t child = fork();
	int ended;

	cr_assert(child >= 0);
	if (child == 0) {
		struct be_options options = BE_OPTIONS_INIT;
		struct be_enforcer *handle;
		enum be_status status;

		if (geteuid() == 0 &&
		    (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
			_exit(255);
		options.flags = flags;
		status = be_open(path, &options, &handle);
		_exit(-status > 254 || (status != BE_OK && be_last_error()[0] == '\0') ? 255
										       : -status);
	}
	cr_assert(waitpid(child, &ended, 0) == child);
	cr_assert(WIFEXITED(ended) && WEXITSTATUS(ended) != 255);
	return (enum be_status) - WEXITSTATUS(ended);
}

LMDB_TEST(opening, a_missing_permission_is_told)
{
	char path[128];

	assert_ok(opens(in_directory(path, "mine"), NULL));
	cr_assert(chmod(fixture.directory, 0755) == 0);
	cr_assert(chmod(path, 0000) == 0);
	assert_status(opened_by_nobody(path, 0), BE_PERMISSION);
	assert_status(opened_by_nobody(path, BE_OPEN_READ_ONLY), BE_PERMISSION);
	if (geteuid() == 0) { /* else the files are the child's own */
		cr_assert(chmod(path, 0755) == 0);
		assert_status(opened_by_nobody(path, 0), BE_PERMISSION);
		assert_status(opened_by_nobody(path, BE_OPEN_READ_ONLY), BE_PERMISSION);
	}
	cr_assert(chmod(path, 0700) == 0);
	assert_ok(opens(path, NULL));
}

LMDB_TEST(opening, a_full_map_is_told_changes_nothing_and_can_be_enlarged)
{
	struct be_options options = fixture_options();
	char path[128], description[BE_DESCRIPTION_SIZE];
	enum be_status status = BE_OK;
	struct be_enforcer *small;
	struct be_envelope full = BE_ENVELOPE_INIT;
	int64_t recorded = 0;

	fixture_close(fixture.handle);
	memset(description, 'x', sizeof description - 1);
	description[sizeof description - 1] = '\0';
	in_directory(path, "small");
	options.map_size = 300001; /* not a multiple of anything */
	assert_ok(be_open(path, &options, &small));
	fixture_create(small, "llm", BE_UNIT);
	while (recorded < 10000 &&
	       (status = be_record(small, "llm", 1, description, NULL)) == BE_OK)
		recorded++;
	assert_status(status, BE_MAP_FULL);
	cr_assert(recorded > 50, "only %" PRId64 " records fit", recorded);
	assert_ok(be_utilization(small, "llm", &full));
	assert_number(full.spent, recorded);
	assert_ok(be_verify(small, NULL, NULL, NULL));
	be_close(small);

	options.map_size = 0;
	assert_ok(be_open(path, &options, &small));
	assert_ok(be_record(small, "llm", 1, description, NULL));
	assert_balance(small, "llm", recorded + 1, 0);
	be_close(small);
	assert_ok(opens(fixture.path, NULL));
}

/* The clock that nobody injected. */
LMDB_TEST(opening, without_a_clock_the_systems_is_used)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct be_enforcer *handle;
	struct timespec before, after;
	char path[128];

	clock_gettime(CLOCK_REALTIME, &before);
	assert_ok(be_open(in_directory(path, "real-time"), NULL, &handle));
	fixture_create(handle, "llm", BE_UNIT);
	assert_ok(be_record(handle, "llm", TENTH, NULL, &transaction));
	clock_gettime(CLOCK_REALTIME, &after);
	cr_assert(transaction.at_ns >= before.tv_sec * SECOND_NS + before.tv_nsec);
	cr_assert(transaction.at_ns <= after.tv_sec * SECOND_NS + after.tv_nsec);
	assert_balance(handle, "llm", TENTH, 0);
	be_close(handle);
}

LMDB_TEST(opening, the_library_says_its_version)
{
	assert_text(be_version(), PROJECT_VERSION);
}
