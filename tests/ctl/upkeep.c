/* SPDX-License-Identifier: Apache-2.0 */
/* prune and backup: progress on a terminal, and only there, on one line that is empty at the end;
 * and when they are interrupted in the middle nothing is half done. */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define TRANSACTIONS 4000
#define STOP_OUTPUT "\023"
#define INTERRUPT "\003"
#define CLEARED "\r\033[K"

static const char *program;
static char environment[PATH_MAX], backup[PATH_MAX], left_text[32];
static char drawn[1 << 16];

/* ---- running */

struct start {
	int terminal, inside; /* -1: standard error is a file */
	rlim_t longest_file;
	const char *arguments[8];
};

static int execute(int index, void *context)
{
	struct start *start = context;
	struct rlimit limit = {start->longest_file, start->longest_file};
	char path[PATH_MAX];

	(void)index;
	test_path(path, "output");
	EXPECT(freopen(path, "w", stdout));
	test_path(path, "errors");
	if (start->inside < 0)
		EXPECT(freopen(path, "w", stderr));
	else
		EXPECT(setsid() > 0 && ioctl(start->inside, TIOCSCTTY, 0) == 0 &&
		       dup2(start->inside, STDERR_FILENO) >= 0);
	signal(SIGINT, SIG_DFL);
	if (start->longest_file > 0)
		EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	execv(program, (char *const *)start->arguments);
	return 127;
}

static void open_terminal(struct start *start)
{
	EXPECT(openpty(&start->terminal, &start->inside, NULL, NULL, NULL) == 0);
	EXPECT(fcntl(start->terminal, F_SETFD, FD_CLOEXEC) == 0 &&
	       fcntl(start->inside, F_SETFD, FD_CLOEXEC) == 0);
}

/* To the end, with what it has drawn where there is a terminal. */
static int run(struct start *start)
{
	pid_t child = child_start(execute, 0, start);
	size_t size = 0;
	ssize_t got;

	if (start->terminal < 0)
		return child_wait(child);
	close(start->inside);
	while ((got = read(start->terminal, drawn + size, sizeof drawn - 1 - size)) > 0)
		size += (size_t)got;
	drawn[size] = '\0';
	close(start->terminal);
	return child_wait(child);
}

static void expect_file(const char *name, const char *expected)
{
	char path[PATH_MAX], text[256] = "";
	FILE *file;

	test_path(path, "%s", name);
	file = fopen(path, "r");
	EXPECT(file && (fread(text, 1, sizeof text - 1, file) > 0 || !ferror(file)) &&
	       fclose(file) == 0);
	EXPECT_TEXT(text, expected);
}

static void expect_drawn(const char *part)
{
	size_t size = strlen(drawn);

	if (!strstr(drawn, part) || strchr(drawn, '\n') || size < strlen(CLEARED) ||
	    strcmp(drawn + size - strlen(CLEARED), CLEARED) != 0)
		test_fail(__FILE__, __LINE__, "expected \"%s\", on a line that is cleared, in: %s",
			  part, drawn);
}

/* ---- the environment */

static void fill(void)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);

	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < TRANSACTIONS; i++)
		EXPECT_OK(be_record(handle, "llm", 1, "one of those that are in the way", NULL));
	be_close(handle);
}

static bool count(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	++*(int *)context;
	return true;
}

static int transactions(struct be_enforcer *handle)
{
	int found = 0;

	EXPECT_OK(be_transactions_each(handle, NULL, count, &found));
	return found;
}

static int files_beside(void)
{
	DIR *directory = opendir(test_directory());
	int found = 0;

	EXPECT(directory);
	while (readdir(directory))
		found++;
	closedir(directory);
	return found;
}

static void expect_whole_backup(void)
{
	char restored[PATH_MAX];
	struct be_enforcer *handle;

	test_path(restored, "restored");
	EXPECT_OK(be_restore(backup, restored));
	handle = test_open(restored, BE_DURABILITY_FULL);
	EXPECT_EQUAL(transactions(handle), TRANSACTIONS);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(restored);
	EXPECT(unlink(backup) == 0);
}

/* ---- tests */

static void check_backup(void)
{
	struct start start = {-1, -1, 0, {program, "backup", environment, backup, NULL}};
	int files;

	EXPECT_EQUAL(run(&start), 0);
	expect_file("errors", "");
	expect_file("output", "");
	expect_whole_backup();
	open_terminal(&start);
	EXPECT_EQUAL(run(&start), 0);
	expect_drawn("\rcopied: 0.0 of ");
	expect_file("output", "");
	expect_whole_backup();

	/* Killed while it writes. */
	files = files_beside();
	start = (struct start){-1, -1, 65536, {program, "backup", environment, backup, NULL}};
	EXPECT_EQUAL(run(&start), 128 + SIGXFSZ);
	EXPECT_EQUAL(files_beside(), files);
}

/* A terminal that is told to stop takes nothing more, and the program that draws waits: so Ctrl-C
 * comes after the first step. */
static void check_interrupted_prune(void)
{
	struct start start = {-1, -1, 0, {program, "prune", "--before", "0s", environment, NULL}};
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_FULL);
	int left;
	pid_t child;

	open_terminal(&start);
	EXPECT_EQUAL(write(start.terminal, STOP_OUTPUT, 1), 1);
	child = child_start(execute, 0, &start);
	do
		left = transactions(handle);
	while (left == TRANSACTIONS);
	EXPECT_EQUAL(write(start.terminal, INTERRUPT, 1), 1);
	EXPECT_EQUAL(child_wait(child), 128 + SIGINT);
	close(start.terminal);
	close(start.inside);
	left = transactions(handle);
	EXPECT(left > 0 && left < TRANSACTIONS);
	EXPECT_VERIFIED(handle);
	EXPECT_BALANCE(handle, "llm", TRANSACTIONS, 0);
	be_close(handle);
	snprintf(left_text, sizeof left_text, "%d\n", left);
	printf("prune: interrupted when %d of %d transactions were left\n", left, TRANSACTIONS);
}

static void check_prune(void)
{
	struct start start = {-1, -1, 0, {program, "prune", "--before", "0s", environment, NULL}};
	struct be_enforcer *handle;

	open_terminal(&start);
	EXPECT_EQUAL(run(&start), 0);
	expect_drawn("\rremoved: 64 transactions, 0 ended commits\033[K");
	expect_file("output", left_text);
	start.terminal = start.inside = -1;
	EXPECT_EQUAL(run(&start), 0);
	expect_file("errors", "");
	expect_file("output", "0\n");
	handle = test_open(environment, BE_DURABILITY_FULL);
	EXPECT_VERIFIED(handle);
	EXPECT_BALANCE(handle, "llm", TRANSACTIONS, 0);
	be_close(handle);
}

int main(int argc, char **argv)
{
	if (!getenv("TMPDIR"))
		test_in_memory();
	test_begin(60);
	EXPECT(argc == 2);
	program = argv[1];
	test_path(environment, "environment");
	test_path(backup, "backup");
	fill();
	check_backup();
	check_interrupted_prune();
	check_prune();
	return 0;
}
