/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose commits live. A process that opened the environment once more to look only, and closed it,
 * still owns what it committed before. In a copy that was restored nobody is the owner of anything,
 * however alive the processes of the original are; and one that looks at a copy from before anybody
 * used it sees those who come then.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	int alive, dead;
};

static bool see_commit(void *context, const struct be_commit_info *commit)
{
	struct seen *seen = context;

	*(commit->owner_alive ? &seen->alive : &seen->dead) += 1;
	return true;
}

static bool see_owner(void *context, const struct be_owner_info *owner)
{
	struct seen *seen = context;

	*(owner->alive ? &seen->alive : &seen->dead) += 1;
	return true;
}

static void expect_commits(struct be_enforcer *handle, int alive, int dead)
{
	struct seen seen = {0, 0};

	EXPECT_OK(be_commits_each(handle, NULL, see_commit, &seen));
	EXPECT_EQUAL(seen.alive, alive);
	EXPECT_EQUAL(seen.dead, dead);
}

static void expect_owners(struct be_enforcer *handle, int alive, int dead)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct seen seen = {0, 0};

	EXPECT_OK(be_owners_each(handle, see_owner, &seen));
	EXPECT_EQUAL(seen.alive, alive);
	EXPECT_EQUAL(seen.dead, dead);
	EXPECT_OK(be_stats(handle, &stats));
	EXPECT_EQUAL(stats.owners, alive);
}

static struct be_enforcer *look_at(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(path, &options, &handle));
	return handle;
}

static int open_and_count(int index, void *context)
{
	struct be_enforcer *handle = test_open(context, BE_DURABILITY_PROCESS);

	(void)index;
	EXPECT_BALANCE(handle, "llm", 0, 1);
	expect_commits(handle, 1, 0);
	be_close(handle);
	return 0;
}

/* Returns a handle that is still open, with 1 committed. */
static struct be_enforcer *keep_what_was_committed(const char *path)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);
	uint64_t id;

	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	be_close(handle);
	EXPECT_EQUAL(child_wait(child_start(open_and_count, 0, (void *)path)), 0);
	for (int i = 0; i < 3; i++) {
		handle = look_at(path);
		expect_commits(handle, 1, 0);
		be_close(handle);
		EXPECT_EQUAL(child_wait(child_start(open_and_count, 0, (void *)path)), 0);
	}
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_settle(handle, id, 0, NULL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	expect_owners(handle, 1, 0);
	return handle;
}

/* Opens it, says so, and stays until a byte comes back. */
struct talk {
	const char *path;
	int there[2], back[2];
};

static int open_and_stay(int index, void *context)
{
	struct talk *talk = context;
	struct be_enforcer *handle = test_open(talk->path, BE_DURABILITY_PROCESS);
	uint64_t id;
	char byte;

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	EXPECT(write(talk->there[1], "", 1) == 1);
	EXPECT(read(talk->back[0], &byte, 1) == 1);
	be_close(handle);
	return 0;
}

static void copy_and_look(const char *path)
{
	char backup[PATH_MAX], copy[PATH_MAX];
	struct be_enforcer *original, *looking;
	struct talk talk = {.path = copy};
	pid_t child;
	char byte;

	test_path(backup, "backup");
	test_path(copy, "copy");
	original = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_backup(original, backup));
	EXPECT_OK(be_restore(backup, copy));
	looking = look_at(copy);
	expect_commits(original, 1, 0);
	expect_commits(looking, 0, 1);
	expect_owners(looking, 0, 0);

	EXPECT(pipe(talk.there) == 0 && pipe(talk.back) == 0);
	child = child_start(open_and_stay, 0, &talk);
	EXPECT(read(talk.there[0], &byte, 1) == 1);
	expect_commits(looking, 1, 0);
	expect_owners(looking, 1, 0);
	EXPECT(kill(child, SIGKILL) == 0);
	EXPECT_EQUAL(child_wait(child), 128 + SIGKILL);
	expect_commits(looking, 0, 1);
	expect_owners(looking, 0, 1);
	be_close(looking);
	be_close(original);
}

int main(void)
{
	struct be_enforcer *handle;
	char path[PATH_MAX];

	test_begin(60);
	test_path(path, "environment");
	handle = keep_what_was_committed(path);
	copy_and_look(path);
	be_close(handle);
	printf("owners are those of be-owners, and of no other file\n");
	return 0;
}
