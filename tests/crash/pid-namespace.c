/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB tells processes apart by their pids, so all that share an environment must see the same
 * ones. While it is in use, a process of another pid namespace is refused, whether it would write
 * or look; once nobody has it open any more, however the last one ended, the other namespace may
 * have it, and the first is then refused.
 */
#include "crash.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene {
	char path[PATH_MAX];
	enum be_status expected; /* of an opening in the new namespace */
	struct gate ready, go;
};

static bool can_make_a_namespace(void)
{
	pid_t child = fork();

	EXPECT(child >= 0);
	if (child == 0)
		_exit(unshare(CLONE_NEWPID) == 0 ? 0 : errno);
	errno = child_wait(child);
	return errno == 0;
}

static enum be_status open_with(const char *path, uint32_t flags, struct be_enforcer **handle)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.durability = BE_DURABILITY_PROCESS;
	options.flags = flags;
	return be_open(path, &options, handle);
}

/* In the new namespace: its first process. */
static int open_there(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle;
	uint64_t id;

	(void)index;
	EXPECT_EQUAL(getpid(), 1);
	EXPECT_STATUS(open_with(scene->path, BE_OPEN_READ_ONLY, &handle), scene->expected);
	be_close(handle);
	EXPECT_STATUS(open_with(scene->path, 0, &handle), scene->expected);
	if (scene->expected != BE_OK) {
		EXPECT(handle == NULL && strstr(be_last_error(), "pid namespace") != NULL);
		return 0;
	}
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	gate_open(&scene->ready);
	gate_wait(&scene->go);
	EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	be_close(handle);
	return 0;
}

/* unshare() puts the children made later into the new namespace. support.h's child_start() is of no
 * use there, for it compares pids. */
static int enter(int index, void *context)
{
	pid_t child;

	EXPECT(unshare(CLONE_NEWPID) == 0);
	child = fork();
	EXPECT(child >= 0);
	if (child == 0) {
		EXPECT(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		_exit(open_there(index, context));
	}
	return child_wait(child);
}

static int hold_until_killed(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	gate_open(&scene->ready);
	wait_for_death();
}

static void test_other_namespace_is_refused_while_in_use(struct scene *scene)
{
	struct be_enforcer *handle;
	uint64_t id;

	test_path(scene->path, "environment");
	handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	scene->expected = BE_OTHER_PID_NAMESPACE;
	EXPECT_EQUAL(child_wait(child_start(enter, 0, scene)), 0);
	EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	EXPECT_BALANCE(handle, "llm", 1, 0);
	be_close(handle);
	printf("in use: a process of another namespace is refused\n");
}

static void test_it_is_accepted_when_nobody_is_left(struct scene *scene)
{
	pid_t holder, other;
	struct be_enforcer *handle;

	/* Closed by one, left behind by another that was killed. */
	holder = child_start(hold_until_killed, 0, scene);
	gate_wait(&scene->ready);
	kill_child(holder);
	scene->expected = BE_OK;
	other = child_start(enter, 0, scene);
	gate_wait(&scene->ready);
	EXPECT_STATUS(open_with(scene->path, 0, &handle), BE_OTHER_PID_NAMESPACE);
	EXPECT_STATUS(open_with(scene->path, BE_OPEN_READ_ONLY, &handle), BE_OTHER_PID_NAMESPACE);
	gate_open(&scene->go);
	EXPECT_EQUAL(child_wait(other), 0);
	handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	EXPECT_BALANCE(handle, "llm", 2, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("left by all: the other namespace may have it, and then it is the first that is "
	       "refused\n");
}

int main(void)
{
	struct scene scene = {.ready = gate_make(), .go = gate_make()};

	test_begin(60);
	if (!can_make_a_namespace())
		test_skip("a pid namespace cannot be made here: %s", strerror(errno));
	test_other_namespace_is_refused_while_in_use(&scene);
	test_it_is_accepted_when_nobody_is_left(&scene);
	return 0;
}
