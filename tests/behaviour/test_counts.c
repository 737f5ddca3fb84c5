/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counts of refusals: which call counts, at which envelope, and that a file be-counts that is
 * missing, damaged or somebody else's hinders nobody. A storage given as a value has no counts, and
 * all figures are 0.
 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t no_envelope(struct be_enforcer *handle)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	assert_ok(be_stats(handle, &stats));
	cr_assert(stats.refusals_known || stats.refused_no_envelope == 0);
	return stats.refused_no_envelope;
}

static bool find_by_id(void *context, const struct be_envelope *envelope)
{
	struct be_envelope *wanted = context;

	if (envelope->id == wanted->id)
		*wanted = *envelope;
	return true;
}

/* Both queries agree; a memory storage counts nothing. */
#define assert_counts(handle, category, exceeds_, suspended_)                                      \
	do {                                                                                       \
		struct be_envelope shown_ = fixture_envelope(handle, category),                    \
				   listed_ = {.id = shown_.id};                                    \
		assert_number(shown_.refused_exceeds_budget, fixture.lmdb ? (exceeds_) : 0);       \
		assert_number(shown_.refused_suspended, fixture.lmdb ? (suspended_) : 0);          \
		assert_ok(be_envelopes_each(handle, NULL, find_by_id, &listed_));                  \
		assert_number(listed_.refused_exceeds_budget, shown_.refused_exceeds_budget);      \
		assert_number(listed_.refused_suspended, shown_.refused_suspended);                \
	} while (0)

BEHAVIOUR_TEST(counts, each_refused_call_counts_once)
{
	uint64_t id;

	fixture_create(budget, "llm", 10);
	fixture_create(budget, "search", 10);
	assert_counts(budget, "llm", 0, 0);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "llm", 1, 0);
	assert_status(be_commit(budget, "llm", 11, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "llm", 2, 0);
	id = fixture_commit(budget, "llm", 10);
	assert_status(be_extend(budget, id, 11, 0, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "llm", 3, 0);

	assert_ok(be_envelope_suspend(budget, "llm"));
	assert_status(be_check(budget, "llm", 0, NULL), BE_SUSPENDED);
	assert_status(be_commit(budget, "llm", 0, NULL, &id), BE_SUSPENDED);
	assert_counts(budget, "llm", 3, 2);
	assert_counts(budget, "search", 0, 0);
	assert_number(no_envelope(budget), 0);
}

BEHAVIOUR_TEST(counts, what_is_granted_or_wrong_does_not_count)
{
	uint64_t id;

	fixture_create(budget, "llm", 10);
	assert_ok(be_check(budget, "llm", 10, NULL));
	id = fixture_commit(budget, "llm", 10);
	assert_ok(be_extend(budget, id, 9, 0, NULL));
	assert_status(be_check(budget, "llm", -1, NULL), BE_AMOUNT_NEGATIVE);
	assert_status(be_extend(budget, 77, 1, 0, NULL), BE_NO_COMMIT);
	assert_ok(be_release(budget, id));
	assert_status(be_release(budget, id), BE_ALREADY_RELEASED);
	assert_status(be_record(budget, "none", 1, NULL, NULL), BE_NO_ENVELOPE);
	assert_status(be_envelope_suspend(budget, "none"), BE_NO_ENVELOPE);
	assert_counts(budget, "llm", 0, 0);
	assert_number(no_envelope(budget), 0);
}

BEHAVIOUR_TEST(counts, the_envelope_that_refused_counts)
{
	struct be_enforcer *task = fixture_open("task");
	uint64_t id;

	fixture_create(budget, "day", 10);
	fixture_create_below(budget, "team", 100, "", "day");
	fixture_create_below(task, "llm", 20, "", "team");
	assert_status(be_check(task, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_status(be_commit(task, "llm", 11, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_status(be_commit(task, "llm", 21, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_ok(be_envelope_suspend(budget, "team"));
	assert_status(be_check(task, "llm", 1, NULL), BE_SUSPENDED);
	assert_counts(task, "llm", 1, 0);
	assert_counts(budget, "team", 0, 1);
	assert_counts(budget, "day", 2, 0);
}

BEHAVIOUR_TEST(counts, no_envelope_counts_for_the_environment)
{
	struct be_enforcer *task = fixture_open("task");
	uint64_t id;

	assert_status(be_check(budget, "none", 1, NULL), BE_NO_ENVELOPE);
	assert_status(be_commit(task, "none", 1, NULL, &id), BE_NO_ENVELOPE);
	assert_number(no_envelope(budget), fixture.lmdb ? 2 : 0);
	fixture_create(budget, "none", 1);
	assert_counts(budget, "none", 0, 0);
}

BEHAVIOUR_TEST(counts, granted_after_reaping_does_not_count)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 10);
	options.ttl_ms = 1;
	assert_ok(be_commit_with(budget, "llm", 10, NULL, &options, &id, NULL));
	fixture_advance(SECOND_NS);
	id = fixture_commit(budget, "llm", 10);
	assert_counts(budget, "llm", 0, 0);
	assert_status(be_commit(budget, "llm", 10, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "llm", 1, 0);
}

BEHAVIOUR_TEST(counts, one_of_the_same_name_begins_at_0)
{
	fixture_create(budget, "llm", 10);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "llm", 1, 0);
	assert_ok(be_envelope_remove(budget, "llm"));
	fixture_create(budget, "llm", 10);
	assert_counts(budget, "llm", 0, 0);
}

static uint64_t seen_by_observer;

static void observe(void *context, const struct be_event *event)
{
	struct be_enforcer *budget = *(struct be_enforcer **)context;

	if (event->status != BE_EXCEEDS_BUDGET)
		return;
	assert_number(event->envelope->refused_exceeds_budget, 0);
	seen_by_observer = fixture_envelope(budget, "llm").refused_exceeds_budget;
}

BEHAVIOUR_TEST(counts, an_observer_finds_its_refusal_counted)
{
	struct be_options options = fixture_options();
	struct be_enforcer *observed;
	uint64_t id;

	options.observe = observe;
	options.observe_context = &budget;
	observed = fixture_open_with(&options);
	fixture_create(budget, "llm", 10);
	assert_status(be_check(observed, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_number(seen_by_observer, fixture.lmdb ? 1 : 0);
	assert_status(be_commit(observed, "llm", 11, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_number(seen_by_observer, fixture.lmdb ? 2 : 0);
}

BEHAVIOUR_TEST(counts, who_only_reads_sees_and_changes_none)
{
	struct be_options options = fixture_options();
	struct be_enforcer *reader;

	fixture_create(budget, "llm", 10);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	/* Of the same process, which has the environment open to write. */
	options.flags |= BE_OPEN_READ_ONLY;
	reader = fixture_open_with(&options);
	assert_status(be_check(reader, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(reader, "llm", 1, 0);
	if (!fixture.lmdb)
		return;
	/* Where nobody has it open to write. */
	fixture_close(reader);
	fixture_close(budget);
	reader = fixture_open_with(&options);
	assert_status(be_check(reader, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_status(be_check(reader, "none", 11, NULL), BE_NO_ENVELOPE);
	assert_counts(reader, "llm", 1, 0);
	assert_number(no_envelope(reader), 0);
}

/* ---- processes */

/* How a child ends that does this; its handle is inherited. */
static int run_child(struct be_enforcer *budget, void (*run)(struct be_enforcer *))
{
	int how;
	pid_t child = fork();

	cr_assert(child >= 0);
	if (child == 0) {
		run(budget);
		_exit(1);
	}
	cr_assert(waitpid(child, &how, 0) == child);
	return how;
}

static void in_child(struct be_enforcer *budget, void (*run)(struct be_enforcer *), int wanted)
{
	int how = run_child(budget, run);

	cr_assert(how == wanted, "the child ended with %#x, not %#x", (unsigned)how,
		  (unsigned)wanted);
}

static void refuse_and_die(struct be_enforcer *budget)
{
	uint64_t id;

	if (be_check(budget, "llm", 11, NULL) == BE_EXCEEDS_BUDGET &&
	    be_commit(budget, "llm", 11, NULL, &id) == BE_EXCEEDS_BUDGET &&
	    be_check(budget, "none", 11, NULL) == BE_NO_ENVELOPE)
		kill(getpid(), SIGKILL);
}

LMDB_TEST(counts, they_outlive_their_process)
{
	fixture_create(budget, "llm", 10);
	in_child(budget, refuse_and_die, SIGKILL);
	assert_counts(budget, "llm", 2, 0);
	assert_number(no_envelope(budget), 1);
	fixture_close(budget);
	budget = fixture_open("");
	assert_counts(budget, "llm", 2, 0);
	assert_number(no_envelope(budget), 1);
}

LMDB_TEST(counts, both_sides_of_a_fork_count)
{
	fixture_create(budget, "llm", 10);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	in_child(budget, refuse_and_die, SIGKILL);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	in_child(budget, refuse_and_die, SIGKILL);
	assert_counts(budget, "llm", 6, 0);
}

/* Ids beyond the first chunk: another process has counted there, this one has not. */
static void refuse_the_last(struct be_enforcer *budget)
{
	if (be_check(budget, "last", 11, NULL) == BE_EXCEEDS_BUDGET)
		_exit(0);
}

/* The system gives this process no more room in files. */
static void refuse_the_last_without_room(struct be_enforcer *budget)
{
	struct rlimit limit = {65536, 65536};

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) == 0)
		refuse_the_last(budget);
}

LMDB_TEST(counts, chunks_are_added_as_ids_ascend)
{
	enum {
		ENVELOPES = 5000
	};
	struct be_envelope_change *changes = calloc(ENVELOPES, sizeof *changes);
	char names[ENVELOPES][16];

	cr_assert_not_null(changes);
	for (int i = 0; i < ENVELOPES; i++) {
		snprintf(names[i], sizeof names[i], "e%d", i);
		changes[i] = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
		changes[i].operation = BE_OPERATION_CREATE;
		changes[i].category = names[i];
		changes[i].limit = 10;
	}
	assert_ok(be_envelopes_apply(budget, changes, ENVELOPES, NULL));
	free(changes);
	fixture_create(budget, "last", 10);
	assert_status(be_check(budget, "e2046", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_status(be_check(budget, "e2047", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "e2046", 1, 0);
	assert_counts(budget, "e2047", 1, 0);
	assert_counts(budget, "last", 0, 0);
	in_child(budget, refuse_the_last_without_room, 0);
	assert_counts(budget, "last", 0, 0);
	in_child(budget, refuse_the_last, 0);
	assert_counts(budget, "last", 1, 0);
	assert_status(be_check(budget, "last", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "last", 2, 0);
	assert_counts(budget, "e4998", 0, 0);
}

/* A process that may not have address space for all envelopes counts for fewer. Sanitizers take so
 * much for themselves that they leave none. */
static bool have_little_space(void)
{
	struct rlimit limit = {1 << 30, 1 << 30};
	void *probe;

	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return false;
	probe = mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return probe != MAP_FAILED && munmap(probe, 64 << 20) == 0;
}

static void try_little_space(struct be_enforcer *budget)
{
	(void)budget;
	_exit(have_little_space() ? 0 : 77);
}

static void refuse_in_little_space(struct be_enforcer *budget)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.map_size = 16 << 20;
	if (have_little_space() && be_open(fixture.path, &options, &budget) == BE_OK)
		refuse_and_die(budget);
}

LMDB_TEST(counts, little_address_space_suffices)
{
	fixture_create(budget, "llm", 10);
	fixture_close(budget); /* its map is larger than the limit */
	if (run_child(NULL, try_little_space) != 0)
		cr_skip_test("a limit of 1 GiB leaves this program nothing");
	in_child(NULL, refuse_in_little_space, SIGKILL);
	budget = fixture_open("");
	assert_counts(budget, "llm", 2, 0);
}

/* ---- a file that is wrong */

static void counts_path(char path[128])
{
	snprintf(path, 128, "%s/be-counts", fixture.path);
}

/* Spends as if all were well, twice, the second time from another process; what is counted is
 * `wanted`. */
static void spend_with(int64_t wanted)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_enforcer *budget = fixture_open("");
	uint64_t id = fixture_commit(budget, "llm", 4);

	assert_status(be_commit(budget, "llm", 11, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_status(be_check(budget, "none", 11, NULL), BE_NO_ENVELOPE);
	in_child(budget, refuse_and_die, SIGKILL);
	assert_counts(budget, "llm", 3 * wanted, 0);
	assert_number(no_envelope(budget), 2 * wanted);
	assert_ok(be_stats(budget, &stats));
	assert_number(stats.refusals_known, wanted);
	assert_balance(budget, "llm", 0, 4);
	assert_ok(be_verify(budget, NULL, NULL, NULL));
	fixture_close(budget);
}

static void begin_again(struct be_enforcer *budget)
{
	char path[128];

	fixture_create(budget, "llm", 10);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	fixture_close(budget);
	counts_path(path);
	cr_assert(unlink(path) == 0);
}

static void write_counts(const void *bytes, size_t size)
{
	char path[128];
	int fd;

	counts_path(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

LMDB_TEST(counts, a_backup_has_none)
{
	char backup[128], restored[128];
	struct be_enforcer *other;

	fixture_create(budget, "llm", 10);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	snprintf(backup, sizeof backup, "%s/backup", fixture.directory);
	snprintf(restored, sizeof restored, "%s/restored", fixture.directory);
	assert_ok(be_backup(budget, backup));
	assert_ok(be_restore(backup, restored));
	assert_ok(be_open(restored, NULL, &other));
	assert_counts(other, "llm", 0, 0);
	assert_status(be_check(other, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(other, "llm", 1, 0);
	be_close(other);
	assert_counts(budget, "llm", 1, 0);
}

static mode_t mode_of_counts(void)
{
	struct stat about;
	char path[128];

	counts_path(path);
	cr_assert(stat(path, &about) == 0);
	return about.st_mode;
}

LMDB_TEST(counts, a_missing_file_is_made_anew)
{
	struct be_options options = fixture_options();
	struct be_enforcer *reader;

	begin_again(budget);
	options.flags |= BE_OPEN_READ_ONLY;
	reader = fixture_open_with(&options);
	assert_counts(reader, "llm", 0, 0);
	assert_number(no_envelope(reader), 0);
	fixture_close(reader);
	spend_with(1);
	assert_number(mode_of_counts(), S_IFREG | 0600);
}

/* Whatever the umask says. */
LMDB_TEST(counts, all_who_share_an_environment_may_count)
{
	struct be_options options = fixture_options();

	begin_again(budget);
	options.mode = 0660;
	umask(077);
	fixture_close(fixture_open_with(&options));
	assert_number(mode_of_counts(), S_IFREG | 0660);
}

/* Ids begin anew with the data, and so do the counts. */
LMDB_TEST(counts, what_an_earlier_environment_left_is_not_counted)
{
	static const char *const names[] = {"data.mdb", "lock.mdb"};
	char path[128];

	fixture_create(budget, "llm", 10);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_status(be_check(budget, "none", 11, NULL), BE_NO_ENVELOPE);
	fixture_close(budget);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", fixture.path, names[i]);
		cr_assert(unlink(path) == 0);
	}
	budget = fixture_open("");
	fixture_create(budget, "llm", 10);
	assert_counts(budget, "llm", 0, 0);
	assert_number(no_envelope(budget), 0);
	assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
	assert_counts(budget, "llm", 1, 0);
}

LMDB_TEST(counts, an_empty_file_begins_anew)
{
	begin_again(budget);
	write_counts("", 0);
	spend_with(1);
}

LMDB_TEST(counts, a_file_of_others_stays_as_it_is)
{
	static const char text[] =
		"Monday: bread, milk, eggs. Tuesday: nothing. Wednesday: two of everything.";
	char path[128], read_back[sizeof text];
	struct be_options options = fixture_options();
	struct be_enforcer *reader;
	int fd;

	begin_again(budget);
	write_counts(text, sizeof text);
	spend_with(0);
	options.flags |= BE_OPEN_READ_ONLY;
	reader = fixture_open_with(&options);
	assert_counts(reader, "llm", 0, 0);
	counts_path(path);
	fd = open(path, O_RDONLY);
	cr_assert(fd >= 0 && read(fd, read_back, sizeof read_back) == sizeof read_back);
	cr_assert(memcmp(text, read_back, sizeof text) == 0);
	close(fd);
}

LMDB_TEST(counts, a_cut_file_is_no_danger)
{
	char path[128];

	begin_again(budget);
	counts_path(path);
	for (off_t size = 0; size <= 65536; size = size < 160 ? size + 7 : size * 5) {
		budget = fixture_open("");
		assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
		assert_counts(budget, "llm", 1, 0);
		fixture_close(budget);
		cr_assert(truncate(path, size) == 0);
		/* Less than the magic is no file of ours; byte 40 is where the envelope's count
		 * is. */
		budget = fixture_open("");
		assert_counts(budget, "llm", size > 40, 0);
		assert_status(be_check(budget, "llm", 11, NULL), BE_EXCEEDS_BUDGET);
		in_child(budget, refuse_and_die, SIGKILL);
		assert_counts(budget, "llm", size == 0 ? 3 : size < 8 ? 0 : size <= 40 ? 3 : 4, 0);
		fixture_close(budget);
		cr_assert(unlink(path) == 0);
	}
}

LMDB_TEST(counts, what_is_no_file_is_left_alone)
{
	struct be_options options = fixture_options();
	char path[128], other[128];
	struct stat about;

	begin_again(budget);
	counts_path(path);
	cr_assert(mkdir(path, 0700) == 0);
	spend_with(0);
	cr_assert(rmdir(path) == 0);
	cr_assert(mkfifo(path, 0600) == 0);
	budget = fixture_open("");
	assert_ok(be_check(budget, "llm", 1, NULL));
	assert_counts(budget, "llm", 0, 0);
	fixture_close(budget);
	/* Nobody waits for somebody who writes to it. */
	options.flags |= BE_OPEN_READ_ONLY;
	budget = fixture_open_with(&options);
	assert_counts(budget, "llm", 0, 0);
	fixture_close(budget);
	cr_assert(unlink(path) == 0);
	snprintf(other, sizeof other, "%s/other", fixture.directory);
	cr_assert(symlink(other, path) == 0);
	budget = fixture_open("");
	assert_counts(budget, "llm", 0, 0);
	cr_assert(stat(other, &about) != 0, "a link was followed");
}
