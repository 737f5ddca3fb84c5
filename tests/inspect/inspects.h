/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running be-inspect from a test, and environments to run it on. Each test is called with the path
 * of be-inspect.
 *
 * Environments are on a file system in memory where there is one. Their clock stands at
 * INSPECTED_NS unless a test says otherwise, so that times can be compared.
 */
#ifndef INSPECTS_H
#define INSPECTS_H

#include "support.h"

#include <jansson.h>

/* 2023-11-16 18:15:46.68 UTC. */
#define INSPECTED_NS INT64_C(1700158546680000000)
#define INSPECTED "2023-11-16T18:15:46.680000000Z"
#define SECOND_NS INT64_C(1000000000)

/* How a run has ended. */
struct ending {
	int status;   /* exit status, or 128 and the signal's number */
	char *output; /* standard output, */
	char *errors; /* and standard error; both are freed with ending_free() */
};

/* test_begin(), and notes where be-inspect is. */
void inspects_begin(int argc, char **argv, unsigned deadline_seconds);

/* Runs be-inspect with the arguments given, the last one NULL, to its end. */
void inspect(struct ending *ending, ...) __attribute__((sentinel));

/* The same, with its standard output going to `output`. */
void inspect_into(int output, struct ending *ending, ...) __attribute__((sentinel));

/* Starts it with its standard output going to `output`; child_wait() waits for its end. */
pid_t inspect_start(int output, ...) __attribute__((sentinel));

void ending_free(struct ending *ending);

/* Runs it, expects that it ends well and without a word on standard error, and returns what it has
 * printed: to be given back with free(), or json_decref(). */
char *inspect_text(const char *first, ...) __attribute__((sentinel));
json_t *inspect_json(const char *first, ...) __attribute__((sentinel));

/* It ends with `status`, prints nothing, and what it says on standard error has `part` in it. */
#define EXPECT_REFUSED(status, part, ...)                                                          \
	expect_refused(__FILE__, __LINE__, (status), (part), __VA_ARGS__, NULL)
void expect_refused(const char *file, int line, int status, const char *part, ...)
	__attribute__((sentinel));

/* The text names all that it must, or must not; prints it when it does not. */
#define EXPECT_CONTAINS(text, part) expect_contains(__FILE__, __LINE__, (text), (part), true)
#define EXPECT_LACKS(text, part) expect_contains(__FILE__, __LINE__, (text), (part), false)
void expect_contains(const char *file, int line, const char *text, const char *part, bool wanted);

/* What stands under a key, printed by jansson in its compact form: EXPECT_JSON(object, "limit",
 * "\"10\""). */
#define EXPECT_JSON(object, key, expected)                                                         \
	expect_json(__FILE__, __LINE__, (object), (key), (expected))
void expect_json(const char *file, int line, const json_t *object, const char *key,
		 const char *expected);

/* Opens the test's environment, creating it where missing, and writes its path where `path` is not
 * NULL. Its clock says *now_ns, which may be changed meanwhile. */
struct be_enforcer *inspected_open(const char *namespace_name, int64_t *now_ns,
				   char path[PATH_MAX]);

#endif
