/* SPDX-License-Identifier: Apache-2.0 */
/* See crash.h. */
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum be_durability crash_durability(int argc, char **argv)
{
	EXPECT(argc > 1);
	if (strcmp(argv[1], "full") == 0)
		return BE_DURABILITY_FULL;
	EXPECT_TEXT(argv[1], "process");
	test_in_memory();
	return BE_DURABILITY_PROCESS;
}

const char *crash_durability_name(enum be_durability durability)
{
	return durability == BE_DURABILITY_FULL ? "full" : "process";
}

struct gate gate_make(void)
{
	struct gate gate;

	EXPECT(pipe2(gate.ends, O_CLOEXEC) == 0);
	return gate;
}

void gate_open(const struct gate *gate)
{
	EXPECT(write(gate->ends[1], "", 1) == 1);
}

void gate_wait(const struct gate *gate)
{
	char byte;
	ssize_t got;

	do
		got = read(gate->ends[0], &byte, 1);
	while (got < 0 && errno == EINTR);
	EXPECT(got == 1);
}

void wait_for_death(void)
{
	for (;;)
		pause();
}

void kill_child(pid_t child)
{
	EXPECT(kill(child, SIGKILL) == 0);
	EXPECT_EQUAL(child_wait(child), 128 + SIGKILL);
}

void stop_child(pid_t child)
{
	int status;

	EXPECT(kill(child, SIGSTOP) == 0);
	EXPECT(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
}

static int compare(const void *left, const void *right)
{
	int64_t difference = *(const int64_t *)left - *(const int64_t *)right;

	return (difference > 0) - (difference < 0);
}

int64_t median(int64_t *figures, int count)
{
	qsort(figures, (size_t)count, sizeof *figures, compare);
	return figures[count / 2];
}

void print_figures(const char *what, const int64_t *figures, int count)
{
	printf("%s: least %.1f, median %.1f, most %.1f us of %d\n", what, (double)figures[0] / 1e3,
	       (double)figures[count / 2] / 1e3, (double)figures[count - 1] / 1e3, count);
}

static bool count_commit(void *context, const struct be_commit_info *commit)
{
	(void)commit;
	++*(uint64_t *)context;
	return true;
}

uint64_t count_commits(struct be_enforcer *handle)
{
	uint64_t count = 0;

	EXPECT_OK(be_commits_each(handle, NULL, count_commit, &count));
	return count;
}

static bool count_transaction(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	++*(uint64_t *)context;
	return true;
}

uint64_t count_transactions(struct be_enforcer *handle)
{
	uint64_t count = 0;

	EXPECT_OK(be_transactions_each(handle, NULL, count_transaction, &count));
	return count;
}
