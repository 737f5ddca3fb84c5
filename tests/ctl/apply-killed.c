/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be-ctl apply is killed before and after every system call it makes, one after the other: the
 * environment is what the one file declares or what the other does, and never something in between.
 *
 * The two files differ in the limits of 20 envelopes and in 20 more below them, which --prune
 * removes again, so that each run has something to change whatever the one before has left. The
 * library calls the system nowhere between the first change and the last one, so what is tried here
 * are all the points at which a crash leaves something different on disk.
 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	ENVELOPES = 20,
	KILLS_SANITIZED = 60, /* a sanitizer makes thousands of calls, which are not ours */
};

static char *program;
static char environment[PATH_MAX], files[2][PATH_MAX];

static void write_file(int which)
{
	FILE *file = fopen(files[which], "w");

	EXPECT(file);
	fputs("envelopes:\n", file);
	for (int i = 0; i < ENVELOPES; i++) {
		fprintf(file, "  - {category: x%02d, limit: %d}\n", i, 1 + which);
		if (which == 1)
			fprintf(file, "  - {category: y%02d, limit: 3, parent: x%02d}\n", i, i);
	}
	EXPECT_EQUAL(fclose(file), 0);
}

/* ---- what is there */

struct found {
	int limits[2]; /* how many x have the limit of which file */
	int others;    /* how many y there are */
};

static bool count_envelope(void *context, const struct be_envelope *envelope)
{
	struct found *found = context;

	if (envelope->category[0] == 'y')
		found->others++;
	else
		found->limits[envelope->limit == 2 * BE_UNIT]++;
	return true;
}

/* Which file the environment is like. Fails when it is like neither. */
static int look(void)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);
	struct found found = {.others = 0};
	int which;

	EXPECT_OK(be_envelopes_each(handle, NULL, count_envelope, &found));
	EXPECT_VERIFIED(handle);
	be_close(handle);
	which = found.limits[1] > 0;
	if (found.limits[which] != ENVELOPES || found.limits[!which] != 0 ||
	    found.others != which * ENVELOPES)
		test_fail(__FILE__, __LINE__, "half applied: %d and %d limits, %d others",
			  found.limits[0], found.limits[1], found.others);
	return which;
}

/* ---- one run */

static int run_traced(int which, void *context)
{
	(void)context;
	if (!freopen("/dev/null", "w", stdout) || ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
		return 126;
	/* Leaks cannot be looked for in a process that is traced. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execl(program, program, "apply", "--prune", environment, files[which], NULL);
	return 127;
}

/* Applies a file, and kills at the `kill_at`th stop at a system call. Returns how many stops there
 * were. */
static int apply(int which, int kill_at)
{
	pid_t child = child_start(run_traced, which, NULL);
	int how, stops = 0;

	/* The first stop is that of exec. */
	EXPECT_EQUAL(waitpid(child, &how, 0), child);
	EXPECT(WIFSTOPPED(how) && WSTOPSIG(how) == SIGTRAP);
	EXPECT_EQUAL(ptrace(PTRACE_SETOPTIONS, child, NULL,
			    (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
		     0);
	for (;;) {
		EXPECT_EQUAL(ptrace(PTRACE_SYSCALL, child, NULL, NULL), 0);
		EXPECT_EQUAL(waitpid(child, &how, 0), child);
		if (!WIFSTOPPED(how))
			break;
		if (WSTOPSIG(how) == (SIGTRAP | 0x80) && ++stops == kill_at) {
			EXPECT_EQUAL(kill(child, SIGKILL), 0);
			EXPECT_EQUAL(waitpid(child, &how, 0), child);
			EXPECT(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
			return stops;
		}
	}
	EXPECT(WIFEXITED(how));
	EXPECT_EQUAL(WEXITSTATUS(how), 0);
	return stops;
}

int main(int argc, char **argv)
{
	int state = 0, all, step, kills = 0, applied = 0;

	test_begin(200);
	EXPECT_EQUAL(argc, 2);
	program = argv[1];
	test_path(environment, "environment");
	for (int which = 0; which < 2; which++) {
		test_path(files[which], "%d.yaml", which);
		write_file(which);
	}
	apply(0, 0);
	EXPECT_EQUAL(look(), 0);
	all = apply(1, 0);
	EXPECT_EQUAL(look(), 1);
	state = 1;
	step = TEST_SANITIZED && !test_is_long() ? all / KILLS_SANITIZED + 1 : 1;
	for (int kill_at = 1; kill_at < all; kill_at += step) {
		int now;

		apply(!state, kill_at);
		now = look();
		applied += now != state;
		state = now;
		kills++;
	}
	printf("killed at %d of %d stops: %d times nothing had been applied, %d times all\n", kills,
	       all, kills - applied, applied);
	EXPECT(applied > 0 && applied < kills);
	return 0;
}
