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
	assert_number(before.format_version, 1);
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
