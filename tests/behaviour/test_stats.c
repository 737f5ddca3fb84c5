/* SPDX-License-Identifier: Apache-2.0 */
/* An environment from outside: the figures of be_stats(), and who has it open. */
#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

BEHAVIOUR_TEST(stats, ids_and_changes_are_counted)
{
	struct be_statistics before = BE_STATISTICS_INIT, after = BE_STATISTICS_INIT;
	uint64_t id;

	assert_ok(be_stats(budget, &before));
	assert_number(before.format_version, 10);
	assert_number(before.durability, BE_DURABILITY_FULL);
	assert_number(before.created_ns, BEGINNING_NS);
	assert_number(before.next_envelope_id, 1);
	assert_number(before.next_commit_id, 1);
	assert_number(before.next_transaction_id, 1);
	fixture_create(budget, "llm", 10);
	id = fixture_commit(budget, "llm", 5);
	assert_ok(be_settle(budget, id, 5, NULL, NULL));
	assert_status(be_commit(budget, "llm", 6, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_ok(be_stats(budget, &after));
	assert_number(after.next_envelope_id, 2);
	assert_number(after.next_commit_id, 2);
	assert_number(after.next_transaction_id, 2);
	assert_number(after.changes - before.changes, 3);
	assert_number(after.owners, fixture.lmdb);
}

static void assert_lapses(struct be_enforcer *budget, const char *category, const uint64_t want[5])
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_envelope envelope = fixture_envelope(budget, category);

	assert_number(envelope.expired_released, want[0]);
	assert_number(envelope.expired_charged, want[1]);
	assert_number(envelope.orphaned_released, want[2]);
	assert_number(envelope.orphaned_charged, want[3]);
	assert_number(envelope.settled_late, want[4]);
	assert_ok(be_stats(budget, &stats));
	assert_number(stats.expired_released, want[0]);
	assert_number(stats.expired_charged, want[1]);
	assert_number(stats.orphaned_released, want[2]);
	assert_number(stats.orphaned_charged, want[3]);
	assert_number(stats.settled_late, want[4]);
}

static uint64_t commit_for_a_second(struct be_enforcer *budget, const char *category,
				    enum be_reap_policy policy)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	options.ttl_ms = 1000;
	options.reap_policy = policy;
	assert_ok(be_commit_with(budget, category, 1, NULL, &options, &id, NULL));
	return id;
}

/* In the envelope, in those above it, and for the environment; what ended in time is not. */
BEHAVIOUR_TEST(stats, what_was_reaped_and_came_late_is_counted)
{
	uint64_t late, charged, reaped;

	fixture_create(budget, "team", 10);
	fixture_create_below(budget, "llm", 10, NULL, "team");
	assert_ok(be_release(budget, commit_for_a_second(budget, "llm", BE_REAP_CHARGE)));
	assert_ok(be_settle(budget, commit_for_a_second(budget, "llm", BE_REAP_CHARGE), 1, NULL,
			    NULL));
	late = commit_for_a_second(budget, "llm", BE_REAP_RELEASE);
	(void)commit_for_a_second(budget, "llm", BE_REAP_RELEASE);
	charged = commit_for_a_second(budget, "llm", BE_REAP_CHARGE);
	assert_lapses(budget, "llm", (uint64_t[]){0, 0, 0, 0, 0});
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 3);
	assert_lapses(budget, "llm", (uint64_t[]){2, 1, 0, 0, 0});
	assert_ok(be_settle(budget, late, 1, NULL, NULL));
	assert_status(be_settle(budget, late, 1, NULL, NULL), BE_ALREADY_SETTLED);
	assert_status(be_settle(budget, charged, 1, NULL, NULL), BE_ALREADY_CHARGED);
	assert_lapses(budget, "llm", (uint64_t[]){2, 1, 0, 0, 1});
	assert_lapses(budget, "team", (uint64_t[]){2, 1, 0, 0, 1});
	/* An envelope takes its own counts along; those above it and the environment keep
	 * theirs. */
	assert_ok(be_envelope_remove(budget, "llm"));
	assert_lapses(budget, "team", (uint64_t[]){2, 1, 0, 0, 1});
}

static void commit_and_die(void)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_enforcer *handle = fixture_open("");
	uint64_t id;

	options.reap_policy = BE_REAP_CHARGE;
	if (be_commit(handle, "llm", 1, NULL, &id) != BE_OK ||
	    be_commit_with(handle, "llm", 1, NULL, &options, &id, NULL) != BE_OK)
		_exit(1);
	raise(SIGKILL);
}

LMDB_TEST(stats, orphans_are_counted)
{
	pid_t child;
	int status;
	uint64_t reaped;

	fixture_create(budget, "llm", 10);
	child = fork();
	if (child == 0)
		commit_and_die();
	cr_assert(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 2);
	assert_lapses(budget, "llm", (uint64_t[]){0, 0, 1, 1, 0});
}

LMDB_TEST(stats, files_pages_and_readers_are_measured)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	fixture_create(budget, "llm", BE_UNIT);
	for (int i = 0; i < 200; i++)
		assert_ok(be_record(budget, "llm", 1, "a transaction", NULL));
	assert_ok(be_stats(budget, &stats));
	assert_number(stats.page_size, sysconf(_SC_PAGESIZE));
	assert_number(stats.records, 202); /* and the header, and the envelope */
	cr_assert(stats.pages * stats.page_size <= stats.file_size);
	cr_assert(stats.file_size < stats.map_size);
	/* Each of 200 txns freed the pages that it replaced, and took those freed before. */
	cr_assert(stats.free_pages > 0 && stats.free_pages < stats.pages);
	cr_assert(stats.readers >= 1 && stats.readers < stats.readers_max);
	assert_number(stats.stale_readers, 0);
	assert_number(stats.reader_lag, 0);
	assert_number(stats.lagging_pid, 0);
}

struct seen {
	uint32_t pids[4];
	bool alive[4];
	size_t count;
};

static bool see_owner(void *context, const struct be_owner_info *owner)
{
	struct seen *seen = context;

	assert_number(owner->size, sizeof *owner);
	cr_assert(seen->count < 4, "more owners than processes");
	seen->pids[seen->count] = owner->pid;
	seen->alive[seen->count++] = owner->alive;
	return true;
}

static bool see_no_more(void *context, const struct be_owner_info *owner)
{
	return see_owner(context, owner) && false;
}

static bool is_seen(const struct seen *seen, pid_t pid, bool alive)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->pids[i] == (uint32_t)pid && seen->alive[i] == alive)
			return true;
	return false;
}

/* A child that holds a commit, and tells by a pipe that it does. */
static pid_t start_owner(struct be_enforcer *budget)
{
	int ends[2];
	uint64_t id;
	pid_t child;
	char byte;

	cr_assert(pipe(ends) == 0);
	child = fork();
	cr_assert(child >= 0);
	if (child == 0) {
		if (be_commit(budget, "llm", 3, NULL, &id) != BE_OK || write(ends[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ends[1]);
	cr_assert(read(ends[0], &byte, 1) == 1, "the child could not commit");
	close(ends[0]);
	return child;
}

LMDB_TEST(stats, the_dead_are_told_from_the_living)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct seen seen = {.count = 0};
	pid_t child;
	uint64_t reaped;

	fixture_create(budget, "llm", 10);
	child = start_owner(budget);
	assert_ok(be_owners_each(budget, see_owner, &seen));
	assert_number(seen.count, 2);
	cr_assert(is_seen(&seen, getpid(), true));
	cr_assert(is_seen(&seen, child, true));
	assert_ok(be_stats(budget, &stats));
	assert_number(stats.owners, 2);

	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	seen.count = 0;
	assert_ok(be_owners_each(budget, see_owner, &seen));
	assert_number(seen.count, 2);
	cr_assert(is_seen(&seen, child, false));
	assert_ok(be_stats(budget, &stats));
	assert_number(stats.owners, 1);
	assert_number(stats.stale_readers, 1);

	assert_ok(be_reap(budget, &reaped));
	assert_number(reaped, 1);
	seen.count = 0;
	assert_ok(be_owners_each(budget, see_owner, &seen));
	assert_number(seen.count, 1);
	assert_status(be_owners_each(budget, see_no_more, &seen), BE_STOPPED);
}

BEHAVIOUR_TEST(stats, wrong_arguments_are_refused)
{
	struct be_statistics stats = BE_STATISTICS_INIT;

	assert_status(be_stats(budget, NULL), BE_INVALID_ARGUMENT);
	fixture_fill(&stats, sizeof stats);
	assert_status(be_stats(NULL, &stats), BE_INVALID_ARGUMENT);
	cr_assert(fixture_is_zeroed(&stats, sizeof stats));
	stats.size = 0;
	assert_status(be_stats(budget, &stats), BE_INVALID_SIZE);
	assert_status(be_owners_each(NULL, see_owner, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_owners_each(budget, NULL, NULL), BE_INVALID_ARGUMENT);
}
