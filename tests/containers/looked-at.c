/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers as they are seen: from the host every owner is shown by its own pid, by the number of
 * its pid namespace, and by the pid that it has on the host; from a container beside, which sees no
 * process of the others, by the first two. Commits name their owner, though all have one pid. And
 * both make a backup and verify while the pool works.
 */
#include "containers.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CONTAINERS = 3
};

struct scene {
	char path[PATH_MAX];
	struct gate holds;
	pid_t pids[CONTAINERS];
};

struct seen {
	struct be_owner_info owners[CONTAINERS + 1];
	int count;
	uint64_t owner_id; /* of the commit of `amount` */
	int64_t amount;
};

static int hold(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(CONTAINER_BUDGET, BE_DURABILITY_PROCESS);
	uint64_t id;

	EXPECT_OK(be_commit(handle, "llm", index + 1, NULL, &id));
	gate_open(&scene->holds);
	while (be_record(handle, "llm", 0, NULL, NULL) == BE_OK)
		usleep(1000);
	return 1;
}

static bool note_owner(void *context, const struct be_owner_info *owner)
{
	struct seen *seen = context;

	EXPECT(seen->count < CONTAINERS);
	seen->owners[seen->count++] = *owner;
	return true;
}

static bool note_commit(void *context, const struct be_commit_info *commit)
{
	struct seen *seen = context;

	EXPECT(commit->owner_alive && commit->owner_pid == 1);
	if (commit->amount == seen->amount)
		seen->owner_id = commit->owner_id;
	return true;
}

static const struct be_owner_info *find(const struct seen *seen, pid_t pid)
{
	for (int i = 0; i < seen->count; i++)
		if ((pid_t)seen->owners[i].pid_here == pid)
			return &seen->owners[i];
	return NULL;
}

static struct be_enforcer *look(const char *path, struct seen *seen)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(path, &options, &handle));
	seen->count = 0;
	EXPECT_OK(be_owners_each(handle, note_owner, seen));
	EXPECT_EQUAL(seen->count, CONTAINERS);
	for (int i = 0; i < seen->count; i++) {
		EXPECT_EQUAL(seen->owners[i].pid, 1);
		EXPECT(seen->owners[i].alive && seen->owners[i].pid_namespace != 0);
		for (int j = 0; j < i; j++)
			EXPECT(seen->owners[i].id != seen->owners[j].id &&
			       seen->owners[i].pid_namespace != seen->owners[j].pid_namespace);
	}
	return handle;
}

static int beside(int index, void *context)
{
	struct seen seen = {0};
	struct be_enforcer *handle = look(CONTAINER_BUDGET, &seen);

	(void)index;
	(void)context;
	for (int i = 0; i < seen.count; i++)
		EXPECT_EQUAL(seen.owners[i].pid_here, 0);
	EXPECT_VERIFIED(handle);
	EXPECT_OK(be_backup(handle, CONTAINER_BUDGET "/copy-beside"));
	be_close(handle);
	return 0;
}

static void look_from_outside(struct scene *scene)
{
	struct seen seen = {0};
	struct be_enforcer *handle = look(scene->path, &seen);
	char copy[PATH_MAX];

	for (int i = 0; i < CONTAINERS; i++) {
		const struct be_owner_info *owner = find(&seen, scene->pids[i]);

		EXPECT(owner != NULL);
		seen.amount = i + 1;
		EXPECT_OK(be_commits_each(handle, NULL, note_commit, &seen));
		EXPECT(owner->id == seen.owner_id);
	}
	EXPECT_VERIFIED(handle);
	test_path(copy, "copy");
	EXPECT_OK(be_backup(handle, copy));
	be_close(handle);
}

int main(void)
{
	struct scene *scene = shared_make(sizeof *scene);
	struct container *containers[CONTAINERS];
	struct be_enforcer *handle;

	test_begin(60);
	containers_must_be_possible();
	scene->holds = gate_make();
	test_path(scene->path, "environment");
	EXPECT(mkdir(scene->path, 0755) == 0);
	handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	for (int i = 0; i < CONTAINERS; i++) {
		containers[i] = container_start(scene->path, false, hold, i, scene);
		scene->pids[i] = container_pid(containers[i]);
		gate_wait(&scene->holds);
	}
	look_from_outside(scene);
	EXPECT_EQUAL(container_wait(container_start(scene->path, false, beside, 0, scene)), 0);
	for (int i = 0; i < CONTAINERS; i++)
		container_kill(containers[i]);
	printf("%d owners of pid 1 are told apart, from outside and from beside\n", CONTAINERS);
	return 0;
}
