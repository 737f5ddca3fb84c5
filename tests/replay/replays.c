/* SPDX-License-Identifier: Apache-2.0 */
/* See replays.h. */
#include "replays.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 40

static const char *program;
static const char *real_trace;
static int runs;

void replays_begin(int argc, char **argv, unsigned deadline_seconds)
{
	if (!getenv("TMPDIR"))
		test_in_memory();
	test_begin(deadline_seconds);
	EXPECT(argc == 3);
	program = argv[1];
	real_trace = argv[2];
}

const char *replays_real_trace(void)
{
	const char *elsewhere = getenv("BE_REAL_TRACE");

	if (elsewhere)
		real_trace = elsewhere;
	if (access(real_trace, R_OK) != 0)
		test_skip("NO REAL TRACE at %s (BE_REAL_TRACE names another place)", real_trace);
	return real_trace;
}

static void output_path(char path[PATH_MAX], const struct run *run, const char *kind)
{
	test_path(path, "run-%d.%s", run->number, kind);
}

static void redirect(const char *path, int target)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || dup2(fd, target) < 0)
		_exit(126);
	close(fd);
}

struct start {
	struct run *run;
	int terminal;
	char **arguments;
};

static int execute(int index, void *context)
{
	const struct start *start = context;
	char path[PATH_MAX];
	sigset_t none;

	(void)index;
	/* The test may have been started with signals ignored or blocked; be-replay is to see
	 * none. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	setpgid(0, 0);
	output_path(path, start->run, "out");
	redirect(path, STDOUT_FILENO);
	output_path(path, start->run, "err");
	if (start->terminal < 0)
		redirect(path, STDERR_FILENO);
	else
		dup2(start->terminal, STDERR_FILENO);
	execv(program, start->arguments);
	return 127;
}

void run_start(struct run *run, int terminal, ...)
{
	char *arguments[ARGUMENTS_MAX] = {(char *)program};
	struct start start = {.run = run, .terminal = terminal, .arguments = arguments};
	va_list list;
	int count = 1;

	va_start(list, terminal);
	while ((arguments[count] = va_arg(list, char *)) != NULL)
		EXPECT(++count < ARGUMENTS_MAX);
	va_end(list);
	run->number = runs++;
	run->pid = child_start(execute, run->number, &start);
	/* On both sides, so that neither has to wait for the other. After the child's exec this one
	 * may fail, and then the child has done it. */
	setpgid(run->pid, run->pid);
}

int run_wait(const struct run *run)
{
	return child_wait(run->pid);
}

static char *read_file(const char *path)
{
	const size_t most = 1 << 20;
	char *text = calloc(1, most);
	FILE *file = fopen(path, "r");

	EXPECT(text && file);
	EXPECT(fread(text, 1, most - 1, file) < most - 1);
	fclose(file);
	return text;
}

char *run_output(const struct run *run)
{
	char path[PATH_MAX];

	output_path(path, run, "out");
	return read_file(path);
}

char *run_errors(const struct run *run)
{
	char path[PATH_MAX];

	output_path(path, run, "err");
	return read_file(path);
}

json_t *run_json(const struct run *run)
{
	char path[PATH_MAX];
	json_error_t error;
	json_t *document;

	output_path(path, run, "out");
	document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!document) {
		char *errors = run_errors(run);

		test_fail(__FILE__, __LINE__, "no JSON: %s (line %d); standard error: %s",
			  error.text, error.line, errors);
	}
	return document;
}

int64_t json_count(const json_t *document, const char *key)
{
	const json_t *value = json_object_get(document, key);

	if (!json_is_integer(value))
		test_fail(__FILE__, __LINE__, "no integer named %s", key);
	return json_integer_value(value);
}

int64_t json_amount(const json_t *document, const char *key)
{
	const char *text = json_string_value(json_object_get(document, key));
	int64_t amount;

	if (!text)
		test_fail(__FILE__, __LINE__, "no string named %s", key);
	EXPECT_OK(be_amount_parse(text, &amount));
	return amount;
}

void expect_contains(const char *file, int line, const char *text, const char *part)
{
	if (!strstr(text, part))
		test_fail(file, line, "expected \"%s\" in: %s", part, text);
}

uint64_t verified_transactions(struct be_enforcer *handle)
{
	struct be_verification verification = BE_VERIFICATION_INIT;

	EXPECT_VERIFIED(handle);
	EXPECT_OK(be_verify(handle, NULL, NULL, &verification));
	EXPECT_EQUAL(verification.differences, 0);
	return verification.transactions;
}

void trace_write(const char *path, int requests, int input_tokens, int output_tokens)
{
	FILE *file = fopen(path, "w");

	EXPECT(file);
	for (int i = 0; i < requests; i++)
		fprintf(file, "2024-02-29 %02d:%02d:%02d.%03d,%d,%d\n", i / 3600000, i / 60000 % 60,
			i / 1000 % 60, i % 1000, input_tokens, output_tokens);
	EXPECT(fclose(file) == 0);
}

void await_spending(struct be_enforcer *handle, const char *category)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status;

	do {
		status = be_utilization(handle, category, &envelope);
		EXPECT(status == BE_OK || status == BE_NO_ENVELOPE);
		sched_yield();
	} while (status != BE_OK || envelope.spent == 0);
}

pid_t run_worker(const struct run *run)
{
	char path[64];
	int worker = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)run->pid, (int)run->pid);
	file = fopen(path, "r");
	if (!file)
		test_skip("this kernel does not list children (%s)", path);
	EXPECT(fscanf(file, "%d", &worker) == 1);
	fclose(file);
	return worker;
}
