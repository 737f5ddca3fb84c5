/* SPDX-License-Identifier: Apache-2.0 */
/* See inspects.h. */
#include "inspects.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 24

static char *program;

void inspects_begin(int argc, char **argv, unsigned deadline_seconds)
{
	if (!getenv("TMPDIR"))
		test_in_memory();
	test_begin(deadline_seconds);
	EXPECT(argc >= 2);
	program = argv[1];
}

/* ---- running */

struct start {
	char *arguments[ARGUMENTS_MAX];
	int output;
	int errors;
};

static int execute(int index, void *context)
{
	struct start *start = context;

	(void)index;
	if (dup2(start->output, STDOUT_FILENO) < 0 || dup2(start->errors, STDERR_FILENO) < 0)
		return 126;
	execv(program, start->arguments);
	return 127;
}

static char *read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	EXPECT(size >= 0 && text);
	EXPECT_EQUAL(pread(fd, text, (size_t)size, 0), size);
	return text;
}

static int unnamed_file(void)
{
	int fd = open(test_directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	EXPECT(fd >= 0);
	return fd;
}

static void take_arguments(struct start *start, const char *first, va_list list)
{
	int count = 0;

	start->arguments[count++] = program;
	for (const char *argument = first; argument; argument = va_arg(list, const char *)) {
		start->arguments[count++] = (char *)argument;
		EXPECT(count < ARGUMENTS_MAX);
	}
	start->arguments[count] = NULL;
}

/* `output` is a file to read back, unless it is somebody else's. */
static void run(struct start *start, int output, struct ending *ending)
{
	start->output = output < 0 ? unnamed_file() : output;
	start->errors = unnamed_file();
	ending->status = child_wait(child_start(execute, 0, start));
	ending->output = output < 0 ? read_all(start->output) : NULL;
	ending->errors = read_all(start->errors);
	if (output < 0)
		close(start->output);
	close(start->errors);
}

void inspect(struct ending *ending, ...)
{
	struct start start;
	va_list list;

	va_start(list, ending);
	take_arguments(&start, va_arg(list, const char *), list);
	va_end(list);
	run(&start, -1, ending);
}

void inspect_into(int output, struct ending *ending, ...)
{
	struct start start;
	va_list list;

	va_start(list, ending);
	take_arguments(&start, va_arg(list, const char *), list);
	va_end(list);
	run(&start, output, ending);
}

pid_t inspect_start(int output, ...)
{
	struct start start = {.output = output, .errors = STDERR_FILENO};
	va_list list;

	va_start(list, output);
	take_arguments(&start, va_arg(list, const char *), list);
	va_end(list);
	return child_start(execute, 0, &start);
}

void ending_free(struct ending *ending)
{
	free(ending->output);
	free(ending->errors);
}

/* ---- expectations */

static char *run_well(const char *first, va_list list)
{
	struct ending ending;
	struct start start;

	take_arguments(&start, first, list);
	run(&start, -1, &ending);
	EXPECT_TEXT(ending.errors, "");
	EXPECT_EQUAL(ending.status, 0);
	free(ending.errors);
	return ending.output;
}

char *inspect_text(const char *first, ...)
{
	va_list list;
	char *text;

	va_start(list, first);
	text = run_well(first, list);
	va_end(list);
	return text;
}

json_t *inspect_json(const char *first, ...)
{
	json_error_t error;
	json_t *document;
	va_list list;
	char *text;

	va_start(list, first);
	text = run_well(first, list);
	va_end(list);
	document = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!document)
		test_fail(__FILE__, __LINE__, "no JSON: %s (line %d): %s", error.text, error.line,
			  text);
	free(text);
	return document;
}

void expect_refused(const char *file, int line, int status, const char *part, ...)
{
	struct ending ending;
	struct start start;
	va_list list;

	va_start(list, part);
	take_arguments(&start, va_arg(list, const char *), list);
	va_end(list);
	run(&start, -1, &ending);
	expect_contains(file, line, ending.errors, part, true);
	expect_text(file, line, "standard output", ending.output, "");
	expect_equal(file, line, "exit status", ending.status, status);
	ending_free(&ending);
}

void expect_contains(const char *file, int line, const char *text, const char *part, bool wanted)
{
	if ((strstr(text, part) != NULL) != wanted)
		test_fail(file, line, "expected %s\"%s\" in: %s", wanted ? "" : "no ", part, text);
}

void expect_json(const char *file, int line, const json_t *object, const char *key,
		 const char *expected)
{
	json_t *value = json_object_get(object, key);
	char *text;

	if (!value)
		test_fail(file, line, "no member %s", key);
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	expect_text(file, line, key, text, expected);
	free(text);
}

/* ---- environments */

static int64_t told_time(void *context)
{
	return *(const int64_t *)context;
}

struct be_enforcer *inspected_open(const char *namespace_name, int64_t *now_ns, char path[PATH_MAX])
{
	struct be_options options = BE_OPTIONS_INIT;
	char directory[PATH_MAX];
	struct be_enforcer *handle;

	test_path(directory, "environment");
	options.namespace_name = namespace_name;
	options.now = told_time;
	options.now_context = now_ns;
	EXPECT_OK(be_open(directory, &options, &handle));
	if (path)
		memcpy(path, directory, sizeof directory);
	return handle;
}
