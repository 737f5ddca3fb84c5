/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of LLM requests as other programs write them: CSV whose first line names its columns, and
 * JSON, one object in each line, with the usage that OpenAI's and Anthropic's answers have, or as
 * LiteLLM logs what was spent. What is not understood is refused, with its line.
 */
#ifndef LOG_H
#define LOG_H

#include "trace.h"

/* Bytes that hold what a log_options.choose has to say. */
#define LOG_WHY_SIZE 256

struct log_options {
	/* Which column is what where names are not the usual ones, as in
	 * "time=when,input=tokens_in"; NULL: they are. */
	const char *columns;
	/* Which envelope a request is to be charged to, by the columns `namespace` and `category`;
	 * NULL where the log has no such column. False: none, and why. NULL: all go to the first
	 * one. */
	bool (*choose)(void *context, const char *namespace_name, const char *category,
		       uint32_t *envelope, char why[LOG_WHY_SIZE]);
	void *context;
};

/* Is there something in `columns` that names no part of a request? Where it begins; NULL: no. */
const char *log_columns_fault(const char *columns);

/* Chooses the envelope of all requests of a trace that has no columns for that. */
bool log_choose_for_all(const struct log_options *options, struct trace *trace,
			struct file_problem *problem);

/* Parses a log of any kind, also one that trace_parse() takes; which it is, its first line says. As
 * trace_parse() otherwise. */
bool log_parse(const char *text, size_t size, const struct log_options *options,
	       struct trace *trace, struct file_problem *problem);

/* Reads and parses the file `path`; "-" is standard input. */
bool log_read(const char *path, const struct log_options *options, struct trace *trace,
	      struct file_problem *problem);

#endif
