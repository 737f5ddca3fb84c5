/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process forks while it opens an environment, just after it has taken a lock: each lock in turn.
 * The child lives on and does nothing, and then its parent is killed. Nothing that the child has
 * copies of may hold up or deceive anybody: others open and close the environment, and find its
 * parent dead.
 *
 * This program has its own flock() and fcntl(), which are found first, and fork.
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static int locks = -1;      /* that are still to be taken before the fork; -1: no fork */
static int ready[2], go[2]; /* a child has begun; ends it */
static int *forked;         /* shared: their number */

static void fork_in_turn(void)
{
	char byte;

	if (locks < 0 || locks-- > 0)
		return;
	if (fork() == 0) {
		EXPECT(write(ready[1], "", 1) == 1);
		EXPECT(read(go[0], &byte, 1) == 1);
		_exit(0);
	}
	/* What it has copies of is closed when its fork() returns, which may be later than here. */
	EXPECT(read(ready[0], &byte, 1) == 1);
	++*forked;
}

int flock(int fd, int operation)
{
	int rc = (int)syscall(SYS_flock, fd, operation);

	fork_in_turn();
	return rc;
}

int fcntl(int fd, int command, ...)
{
	va_list rest;
	void *argument;
	int rc;

	va_start(rest, command);
	argument = va_arg(rest, void *);
	va_end(rest);
	rc = (int)syscall(SYS_fcntl, fd, command, argument);
	if (command == F_OFD_SETLK || command == F_OFD_SETLKW)
		fork_in_turn();
	return rc;
}

static int open_and_die(int index, void *context)
{
	struct be_enforcer *handle;
	uint64_t id;

	locks = index;
	handle = test_open(context, BE_DURABILITY_PROCESS);
	locks = -1;
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	raise(SIGKILL);
	return 1;
}

enum scene {
	NEW,    /* a directory that is still to be made */
	COPY,   /* one without be-owners, as a backup that was restored */
	IN_USE, /* one that another process has open */
	SCENES,
};

/* False: no lock was left to fork after. */
static bool fork_after(int lock, enum scene scene)
{
	struct be_enforcer *handle, *beside = NULL;
	char path[PATH_MAX], owners[PATH_MAX + 16];

	test_path(path, "%d-%d", scene, lock);
	if (scene != NEW) {
		beside = test_open(path, BE_DURABILITY_PROCESS);
		EXPECT_OK(be_envelope_ensure(beside, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	}
	if (scene == COPY) {
		be_close(beside);
		beside = NULL;
		snprintf(owners, sizeof owners, "%s/be-owners", path);
		EXPECT(unlink(owners) == 0);
	}
	*forked = 0;
	EXPECT_EQUAL(child_wait(child_start(open_and_die, lock, path)), 128 + SIGKILL);
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_BALANCE(handle, "llm", 0, 0);
	be_close(handle);
	be_close(beside);
	handle = test_open(path, BE_DURABILITY_FULL);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	if (*forked > 0)
		EXPECT(write(go[1], "", 1) == 1);
	return *forked > 0;
}

int main(void)
{
	int taken[SCENES] = {0};

	test_begin(60);
	EXPECT(pipe(ready) == 0 && pipe(go) == 0);
	forked = shared_make(sizeof *forked);
	for (int scene = 0; scene < SCENES; scene++) {
		while (fork_after(taken[scene], scene))
			taken[scene]++;
		EXPECT(taken[scene] > 3);
	}
	printf("forked after each of %d locks in a new directory, %d in a copy, %d in one in use\n",
	       taken[NEW], taken[COPY], taken[IN_USE]);
	return 0;
}
