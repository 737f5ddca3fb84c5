/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces: any bytes are either refused, with a reason and nothing left behind, or give requests
 * that are within bounds and in the order of the lines, and that written out again give the same
 * requests.
 */
#include "fuzz.h"

#include "../../tools/be-replay/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static size_t count_lines(const char *text, size_t size)
{
	size_t lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	return lines;
}

static void expect_written_alike(const struct trace_request *request)
{
	time_t seconds = (time_t)(request->at_ns / 1000000000);
	struct trace again;
	struct file_problem problem;
	struct tm tm;
	char date[32], line[96];
	int length;

	assert(gmtime_r(&seconds, &tm));
	assert(strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &tm) == 19);
	length = snprintf(line, sizeof line, "%s.%09" PRId64 ",%" PRId64 ",%" PRId64, date,
			  request->at_ns % 1000000000, request->input_tokens,
			  request->output_tokens);
	assert(trace_parse(line, (size_t)length, &again, &problem));
	assert(again.count == 1);
	assert(again.requests[0].at_ns == request->at_ns);
	assert(again.requests[0].input_tokens == request->input_tokens);
	assert(again.requests[0].output_tokens == request->output_tokens);
	trace_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	size_t lines = count_lines(text, size), line = 0;
	struct trace trace;
	struct file_problem problem = {0};

	if (!trace_parse(text, size, &trace, &problem)) {
		assert(problem.text[0] != '\0' && problem.line <= lines);
		assert(!trace.requests && trace.count == 0);
		return 0;
	}
	assert(trace.count > 0);
	for (size_t i = 0; i < trace.count; i++) {
		const struct trace_request *request = &trace.requests[i];

		assert(request->at_ns > 0);
		assert(request->input_tokens >= 0 && request->input_tokens <= TRACE_TOKENS_MAX);
		assert(request->output_tokens >= 0 && request->output_tokens <= TRACE_TOKENS_MAX);
		assert(request->line > line && request->line <= lines);
		line = request->line;
		expect_written_alike(request);
	}
	trace_free(&trace);
	return 0;
}
