/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A check costs no system call: this program runs itself under strace, makes a million checks and
 * looks at utilization between two calls that serve as marks, and reads in the trace that nothing
 * lies between the marks. Before them it reads the clock between two other marks, because on some
 * machines every reading of the clock is a system call and nobody can help it.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	CHECKS = 1000000
};

/* A write to no descriptor fails, and shows its text in the trace. */
static void mark(const char *text)
{
	EXPECT(write(-1, text, strlen(text)) < 0);
}

static void check_once(struct be_enforcer *handle, int i)
{
	struct be_decision decision = BE_DECISION_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	switch (i % 4) {
	case 0:
		EXPECT_OK(be_check(handle, "llm", BE_UNIT, NULL));
		break;
	case 1:
		EXPECT_STATUS(be_check(handle, "llm", 11 * BE_UNIT, &decision), BE_EXCEEDS_BUDGET);
		break;
	case 2:
		EXPECT_STATUS(be_check(handle, "search", 0, &decision), BE_NO_ENVELOPE);
		break;
	default:
		EXPECT_OK(be_utilization(handle, "llm", &envelope));
	}
}

static int run_traced(const char *path)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_FULL);
	struct timespec now;
	int64_t start, end;
	int i;

	EXPECT_OK(be_envelope_ensure(handle, "llm", 10 * BE_UNIT, BE_PERIOD_HOURLY, NULL));
	for (i = 0; i < 4; i++)
		check_once(handle, i);
	mark("clock-begins");
	for (i = 0; i < 10; i++)
		clock_gettime(CLOCK_REALTIME, &now);
	mark("clock-ended");
	start = test_monotonic_ns();
	mark("checks-begin");
	for (i = 0; i < CHECKS; i++)
		check_once(handle, i);
	mark("checks-ended");
	end = test_monotonic_ns();
	be_close(handle);
	printf("%d checks, %.0f ns each\n", CHECKS, (double)(end - start) / CHECKS);
	return 0;
}

static int run_strace(int index, void *context)
{
	char *self = realpath("/proc/self/exe", NULL);
	const char *trace = context;
	char path[PATH_MAX];

	(void)index;
	EXPECT(self != NULL);
	test_path(path, "environment");
	execlp("strace", "strace", "-f", "-o", trace, self, path, (char *)NULL);
	return errno == ENOENT ? 77 : 1;
}

/* Can anything be traced here? Containers often forbid it. */
static int try_strace(int index, void *context)
{
	int null = open("/dev/null", O_WRONLY);

	(void)index;
	(void)context;
	EXPECT(null >= 0);
	dup2(null, STDERR_FILENO);
	execlp("strace", "strace", "-o", "/dev/null", "true", (char *)NULL);
	return errno == ENOENT ? 77 : 1;
}

/* Counts the lines between two marks and prints the first of them; -1 when a mark is missing. */
static int calls_between(const char *trace, const char *begin, const char *end)
{
	FILE *file = fopen(trace, "r");
	char line[1024];
	int calls = -1;
	bool ended = false;

	EXPECT(file != NULL);
	while (!ended && fgets(line, sizeof line, file) != NULL) {
		if (strstr(line, end) != NULL)
			ended = true;
		else if (calls >= 0 && calls++ == 0)
			printf("after \"%s\": %s", begin, line);
		else if (strstr(line, begin) != NULL)
			calls = 0;
	}
	fclose(file);
	return ended ? calls : -1;
}

int main(int argc, char **argv)
{
	char trace[PATH_MAX];
	int status, calls;

	test_begin(120);
	if (argc == 2)
		return run_traced(argv[1]);
	if (TEST_SANITIZED)
		test_skip("sanitizers make system calls of their own and do not bear tracing");
	status = child_wait(child_start(try_strace, 0, NULL));
	if (status != 0)
		test_skip(status == 77 ? "strace is not installed" : "strace may not trace here");

	test_path(trace, "trace");
	EXPECT_EQUAL(child_wait(child_start(run_strace, 0, trace)), 0);
	calls = calls_between(trace, "clock-begins", "clock-ended");
	EXPECT(calls >= 0);
	if (calls > 0)
		test_skip("reading the clock is a system call on this machine (no vDSO for its "
			  "clock source)");
	calls = calls_between(trace, "checks-begin", "checks-ended");
	printf("system calls in %d checks: %d\n", CHECKS, calls);
	EXPECT_EQUAL(calls, 0);
	return 0;
}
