/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file be-owners where the machine does not tell all: the boot's id cannot be read for a while,
 * the clock stands still, steps back, or says that it is before 1970. No process is locked out for
 * it, and no commit is taken for that of a process that did not make it.
 *
 * This program has its own clock_gettime() and open(), which are found first.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool clock_is_set, boot_is_hidden;
static struct timespec set_to;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock_is_set && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		*now = set_to;
		return 0;
	}
	return (int)syscall(SYS_clock_gettime, clock, now);
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list rest;

	if (boot_is_hidden && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) {
		errno = EACCES;
		return -1;
	}
	va_start(rest, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(rest, mode_t);
	va_end(rest);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void set_clock(int64_t seconds)
{
	set_to = (struct timespec){.tv_sec = seconds, .tv_nsec = 5};
	clock_is_set = true;
}

struct child {
	const char *path;
	bool boot_is_hidden, dies;
	int ready[2], end[2];
};

/* Commits 1, says so, and is killed or ends when told to. */
static int commit_and_stay(int index, void *context)
{
	struct child *child = context;
	struct be_enforcer *handle;
	uint64_t id;
	char byte;

	(void)index;
	boot_is_hidden = child->boot_is_hidden;
	handle = test_open(child->path, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	if (child->dies)
		raise(SIGKILL);
	EXPECT(write(child->ready[1], "", 1) == 1);
	EXPECT(read(child->end[0], &byte, 1) == 1);
	EXPECT_OK(be_settle(handle, id, 0, NULL, NULL));
	be_close(handle);
	return 0;
}

static pid_t start(struct child *child)
{
	char byte;
	pid_t pid;

	EXPECT(pipe(child->ready) == 0 && pipe(child->end) == 0);
	pid = child_start(commit_and_stay, 0, child);
	EXPECT(read(child->ready[0], &byte, 1) == 1);
	return pid;
}

static void end(struct child *child, pid_t pid)
{
	EXPECT(write(child->end[1], "", 1) == 1);
	EXPECT_EQUAL(child_wait(pid), 0);
}

/* Whichever of the two that are open at once, or follow each other, cannot read it. */
static void hide_boot(void)
{
	char path[PATH_MAX];
	struct child one = {.path = path}, two = {.path = path};

	for (int hidden = 0; hidden < 4; hidden++) {
		pid_t first, second;

		test_path(path, "boot-%d", hidden);
		one.boot_is_hidden = hidden & 1;
		two.boot_is_hidden = hidden & 2;
		first = start(&one);
		second = start(&two);
		end(&one, first);
		end(&two, second);
		second = start(&two);
		first = start(&one);
		end(&two, second);
		end(&one, first);
	}
}

/* A file made anew gives out no number that a commit carries: the commit of one who died is never
 * that of the next. */
static void make_anew(const char *name, const int64_t *seconds, int count)
{
	char path[PATH_MAX], owners[PATH_MAX + 16];
	struct child child = {.path = path, .dies = true};
	struct be_enforcer *handle;

	test_path(path, "%s", name);
	snprintf(owners, sizeof owners, "%s/be-owners", path);
	for (int i = 0; i < count; i++) {
		set_clock(seconds[i]);
		EXPECT_EQUAL(child_wait(child_start(commit_and_stay, 0, &child)), 128 + SIGKILL);
		EXPECT(unlink(owners) == 0);
		handle = test_open(path, BE_DURABILITY_FULL);
		EXPECT_BALANCE(handle, "llm", 0, 0);
		be_close(handle);
		EXPECT(unlink(owners) == 0);
	}
	clock_is_set = false;
}

static int use_before_1970(int index, void *context)
{
	struct be_enforcer *handle;
	uint64_t id;

	(void)index;
	set_clock(-86400);
	EXPECT_OK(be_open(context, NULL, &handle));
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
	EXPECT_OK(be_commit(handle, "llm", 2, NULL, &id));
	EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	EXPECT_BALANCE(handle, "llm", 1, 0);
	set_clock(86400);
	EXPECT_BALANCE(handle, "llm", 0, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

int main(void)
{
	char path[PATH_MAX];

	test_begin(60);
	hide_boot();
	make_anew("stands-still", (const int64_t[]){1700000000, 1700000000, 1700000000}, 3);
	make_anew("steps-back", (const int64_t[]){1700000000, 1600000000, 0}, 3);
	test_path(path, "before-1970");
	EXPECT_EQUAL(child_wait(child_start(use_before_1970, 0, path)), 0);
	make_anew("before", (const int64_t[]){-1700000000, -1, -1700000000}, 3);
	printf("without the boot's id, and whatever the clock says\n");
	return 0;
}
