/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces of LLM requests: when each one came, and how many tokens went in and came out. Text is
 * validated strictly, because a trace that is half understood gives a wrong answer that looks
 * right. Nothing here knows of budgets or prices.
 */
#ifndef TRACE_H
#define TRACE_H

#include "file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most tokens that one request may name in either column. */
#define TRACE_TOKENS_MAX INT64_C(2147483648)

struct trace_request {
	int64_t at_ns; /* since 1970-01-01 UTC, always above zero */
	int64_t input_tokens;
	int64_t output_tokens;
	int64_t cached_tokens;  /* read from a cache, and not among those that went in; 0: none */
	int64_t written_tokens; /* written to one; likewise */
	int64_t cost;           /* nanos, where the log has it */
	bool has_cost;
	uint32_t model;    /* its number among those of the trace */
	uint32_t envelope; /* which is charged: its number among those that are; see budgets.h */
	size_t line;       /* in the file, from 1; in the built-in trace the request's number */
};

/* Requests in the order of the file, until trace_sort() puts them in that of time. */
struct trace {
	struct trace_request *requests;
	size_t count;
	char **models; /* named in it; those of a trace without names are all number 0 */
	size_t model_count;
};

/* Parses lines of TIMESTAMP,ContextTokens,GeneratedTokens. A timestamp is YYYY-MM-DD HH:MM:SS with
 * at most nine decimals, in UTC, from 1971 to 2200. Lines end in LF or CRLF, the last one in either
 * or in nothing; the header line may be missing; empty lines are allowed at the very end only.
 * `text` needs no NUL. True on success, and *trace is the caller's (trace_free()); otherwise
 * *problem says why, and *trace is empty. */
bool trace_parse(const char *text, size_t size, struct trace *trace, struct file_problem *problem);

/* Reads and parses the file `path`; "-" is standard input. */
bool trace_read(const char *path, struct trace *trace, struct file_problem *problem);

/* Makes the built-in trace: 2 000 requests over an hour, the same ones each time. False when there
 * is no memory. */
bool trace_builtin(struct trace *trace);

/* Puts requests in the order of time, those of one moment in that of the file: the clock of a
 * replay goes forward only. Each keeps its line. */
void trace_sort(struct trace *trace);

/* Frees what a trace holds and empties it. */
void trace_free(struct trace *trace);

#endif
