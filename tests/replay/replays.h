/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running be-replay from a test. Each test is called with the path of be-replay and that of the
 * real trace; what a run prints goes to files in the test's directory, which is on a file system in
 * memory where there is one.
 */
#ifndef REPLAYS_H
#define REPLAYS_H

#include "support.h"

#include <jansson.h>

/* One run of be-replay. */
struct run {
	pid_t pid; /* also of its process group, in which its workers are too */
	int number;
};

/* test_begin(), and notes where be-replay is. */
void replays_begin(int argc, char **argv, unsigned deadline_seconds);

/* The path of the real trace, or ends the test as skipped. */
const char *replays_real_trace(void);

/* Starts be-replay with the arguments given, the last one NULL. Its standard error is `terminal`
 * unless that is -1. */
void run_start(struct run *run, int terminal, ...) __attribute__((sentinel));

/* Waits until it has ended, and returns its exit status (128 and the signal's number). */
int run_wait(const struct run *run);

/* What it has printed, to be given back with free(). */
char *run_output(const struct run *run);
char *run_errors(const struct run *run);

/* The JSON document that it has printed, to be given back with json_decref(). */
json_t *run_json(const struct run *run);

/* A number, or an amount in nanos, of that document. */
int64_t json_count(const json_t *document, const char *key);
int64_t json_amount(const json_t *document, const char *key);

/* The text names all that it must; prints it when it does not. */
#define EXPECT_CONTAINS(text, part) expect_contains(__FILE__, __LINE__, (text), (part))
void expect_contains(const char *file, int line, const char *text, const char *part);

/* Transactions in the ledger, counted by a verification that must find nothing wrong. */
uint64_t verified_transactions(struct be_enforcer *handle);

/* Writes a trace of so many requests, all of one size and a millisecond apart. */
void trace_write(const char *path, int requests, int input_tokens, int output_tokens);

/* Waits until something has been spent on `category`. */
void await_spending(struct be_enforcer *handle, const char *category);

/* One worker of a run in progress. */
pid_t run_worker(const struct run *run);

#endif
