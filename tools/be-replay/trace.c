/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading traces. The whole text is in memory before parsing begins, so that one function, which
 * does no input or output, can be given any bytes by a test. The rest never passes `end`; each
 * reader of a field either consumes exactly what it understood or says false.
 */
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char header[] = "TIMESTAMP,ContextTokens,GeneratedTokens";
static const char expected[] = "expected TIMESTAMP,ContextTokens,GeneratedTokens "
			       "as in \"2023-11-16 18:17:03.9799600,4808,10\"";

/* What is left of one line. */
struct rest {
	const char *at;
	const char *end;
};

static bool take_char(struct rest *rest, char wanted)
{
	if (rest->at == rest->end || *rest->at != wanted)
		return false;
	rest->at++;
	return true;
}

/* Takes as many digits as there are, at least one and at most `most` of them (18 at the
 * outside). */
static size_t take_digits(struct rest *rest, size_t most, int64_t *value)
{
	size_t digits = 0;

	*value = 0;
	while (digits < most && rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9') {
		*value = *value * 10 + (*rest->at++ - '0');
		digits++;
	}
	return digits;
}

/* Takes exactly `digits` digits, which must be a number from `least` to `most`. */
static bool take_number(struct rest *rest, size_t digits, int least, int most, int *number)
{
	int64_t value;

	if (take_digits(rest, digits, &value) != digits || value < least || value > most)
		return false;
	*number = (int)value;
	return true;
}

static bool take_fraction(struct rest *rest, int64_t *nanoseconds)
{
	size_t digits;

	*nanoseconds = 0;
	if (!take_char(rest, '.'))
		return true;
	digits = take_digits(rest, 9, nanoseconds);
	if (digits == 0)
		return false;
	for (; digits < 9; digits++)
		*nanoseconds *= 10;
	return true;
}

static bool take_timestamp(struct rest *rest, int64_t *at_ns)
{
	struct tm tm = {0};
	int day;
	int64_t seconds, fraction;

	if (!take_number(rest, 4, 1971, 2200, &tm.tm_year) || !take_char(rest, '-') ||
	    !take_number(rest, 2, 1, 12, &tm.tm_mon) || !take_char(rest, '-') ||
	    !take_number(rest, 2, 1, 31, &day) || !take_char(rest, ' ') ||
	    !take_number(rest, 2, 0, 23, &tm.tm_hour) || !take_char(rest, ':') ||
	    !take_number(rest, 2, 0, 59, &tm.tm_min) || !take_char(rest, ':') ||
	    !take_number(rest, 2, 0, 59, &tm.tm_sec) || !take_fraction(rest, &fraction))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	tm.tm_mday = day;
	seconds = timegm(&tm);
	/* A day that the month does not have has become one of the next month. */
	if (tm.tm_mday != day)
		return false;
	*at_ns = seconds * 1000000000 + fraction;
	return true;
}

static bool take_tokens(struct rest *rest, int64_t *tokens)
{
	return take_digits(rest, 10, tokens) > 0 && *tokens <= TRACE_TOKENS_MAX;
}

/* Says what of a line is wrong, or NULL when it is a request. */
static const char *parse_line(struct rest line, struct trace_request *request)
{
	if (line.at == line.end)
		return "empty line";
	if (!take_timestamp(&line, &request->at_ns))
		return "bad timestamp";
	if (!take_char(&line, ','))
		return "no comma after the timestamp";
	if (!take_tokens(&line, &request->input_tokens))
		return "bad ContextTokens (0 to 2147483648)";
	if (!take_char(&line, ','))
		return "no comma after ContextTokens";
	if (!take_tokens(&line, &request->output_tokens))
		return "bad GeneratedTokens (0 to 2147483648)";
	if (line.at != line.end)
		return "more after GeneratedTokens";
	return NULL;
}

/* Takes the next line, without its end, out of what is left. */
static struct rest next_line(struct rest *text)
{
	const char *feed = memchr(text->at, '\n', (size_t)(text->end - text->at));
	struct rest line = {.at = text->at, .end = feed ? feed : text->end};

	text->at = feed ? feed + 1 : text->end;
	if (line.end > line.at && line.end[-1] == '\r')
		line.end--;
	return line;
}

/* The end of the text without the line ends that close it: the last line needs none, and may be
 * followed by empty ones. */
static const char *trimmed_end(const char *text, size_t size)
{
	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	return text + size;
}

static bool fail(struct trace *trace, struct file_problem *problem, size_t line, const char *what,
		 const char *more)
{
	trace_free(trace);
	problem->line = line;
	snprintf(problem->text, sizeof problem->text, "%s%s%s", what, *more ? "; " : "", more);
	return false;
}

bool trace_parse(const char *text, size_t size, struct trace *trace, struct file_problem *problem)
{
	struct rest left = {.at = text, .end = size ? trimmed_end(text, size) : text};
	size_t line_number = 0, capacity = 0;

	*trace = (struct trace){0};
	while (left.at < left.end) {
		struct rest line = next_line(&left);
		struct trace_request *request;
		const char *wrong;

		line_number++;
		if (line_number == 1 && (size_t)(line.end - line.at) == sizeof header - 1 &&
		    memcmp(line.at, header, sizeof header - 1) == 0)
			continue;
		if (trace->count == capacity) {
			size_t larger = capacity ? capacity * 2 : 1024;
			void *requests = reallocarray(trace->requests, larger, sizeof *request);

			if (!requests)
				return fail(trace, problem, 0, "out of memory", "");
			trace->requests = requests;
			capacity = larger;
		}
		request = &trace->requests[trace->count];
		*request = (struct trace_request){.line = line_number};
		wrong = parse_line(line, request);
		if (wrong)
			return fail(trace, problem, line_number, wrong, expected);
		trace->count++;
	}
	if (trace->count == 0)
		return fail(trace, problem, 0, "no requests in it", expected);
	return true;
}

bool trace_read(const char *path, struct trace *trace, struct file_problem *problem)
{
	size_t size;
	char *text = file_load(path, &size, problem);
	bool parsed;

	*trace = (struct trace){0};
	if (!text)
		return false;
	parsed = trace_parse(text, size, trace, problem);
	free(text);
	return parsed;
}

/* The next number of a fixed sequence (a 64-bit linear congruential generator, of which only the
 * upper bits are used), from 0 to below - 1. */
static int64_t draw(uint64_t *state, int64_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (int64_t)((*state >> 33) % (uint64_t)below);
}

bool trace_builtin(struct trace *trace)
{
	const int64_t start_ns = INT64_C(1704099600) * 1000000000; /* 2024-01-01 09:00:00 */
	const int64_t gap_ns = INT64_C(1800000000);
	uint64_t state = 1;

	*trace = (struct trace){.requests = calloc(2000, sizeof *trace->requests)};
	if (!trace->requests)
		return false;
	for (; trace->count < 2000; trace->count++) {
		struct trace_request *request = &trace->requests[trace->count];
		int64_t long_input = draw(&state, 8000), short_input = draw(&state, 8000);

		/* The smaller of two draws: short prompts are the common ones. Each request comes
		   somewhere in its own slot of 1.8 seconds, and so the trace is in order. */
		request->at_ns = start_ns + (int64_t)trace->count * gap_ns + draw(&state, gap_ns);
		request->input_tokens = 20 + (long_input < short_input ? long_input : short_input);
		request->output_tokens = 1 + draw(&state, 800);
		request->line = trace->count + 1;
	}
	return true;
}

static int compare_requests(const void *a, const void *b)
{
	const struct trace_request *first = a, *second = b;

	if (first->at_ns != second->at_ns)
		return first->at_ns < second->at_ns ? -1 : 1;
	return first->line < second->line ? -1 : first->line > second->line;
}

void trace_sort(struct trace *trace)
{
	qsort(trace->requests, trace->count, sizeof *trace->requests, compare_requests);
}

void trace_free(struct trace *trace)
{
	for (size_t i = 0; i < trace->model_count; i++)
		free(trace->models[i]);
	free(trace->models);
	free(trace->requests);
	*trace = (struct trace){0};
}
