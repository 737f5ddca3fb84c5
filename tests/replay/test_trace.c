/* SPDX-License-Identifier: Apache-2.0 */
/* Reading traces: what is accepted, what is refused and at which line, and the built-in trace. */
#include "trace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER "TIMESTAMP,ContextTokens,GeneratedTokens"
#define GOOD "2023-11-16 18:17:03.9799600,4808,10"

static void parse(const char *text, struct trace *trace)
{
	struct file_problem problem;

	cr_assert(trace_parse(text, strlen(text), trace, &problem), "refused: line %zu: %s",
		  problem.line, problem.text);
}

static void expect_refused(const char *text, size_t size, size_t line, const char *reason)
{
	struct trace trace = {.count = 1};
	struct file_problem problem = {0};

	cr_assert(!trace_parse(text, size, &trace, &problem), "accepted: %s", text);
	cr_expect(problem.line == line, "%s: line %zu, expected %zu", text, problem.line, line);
	cr_expect(strstr(problem.text, reason), "%s: \"%s\" has no \"%s\"", text, problem.text,
		  reason);
	cr_expect(trace.requests == NULL && trace.count == 0, "%s: something is left", text);
}

Test(trace, line_ends_and_header_are_optional)
{
	static const char *const texts[] = {
		GOOD,
		GOOD "\n",
		GOOD "\r\n",
		HEADER "\n" GOOD,
		HEADER "\r\n" GOOD "\r\n",
		HEADER "\r\n" GOOD "\r\n\r\n",
		GOOD "\n\n\n",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct trace trace;

		parse(texts[i], &trace);
		cr_assert_eq(trace.count, 1, "%s", texts[i]);
		cr_expect_eq(trace.requests[0].at_ns, INT64_C(1700158623979960000));
		cr_expect_eq(trace.requests[0].input_tokens, 4808);
		cr_expect_eq(trace.requests[0].output_tokens, 10);
		cr_expect_eq(trace.requests[0].line, texts[i][0] == 'T' ? 2 : 1);
		trace_free(&trace);
	}
}

Test(trace, timestamps_are_exact)
{
	static const struct {
		const char *text;
		int64_t at_ns;
	} cases[] = {
		{"1971-01-01 00:00:00", INT64_C(31536000000000000)},
		{"2024-02-29 00:00:00", INT64_C(1709164800000000000)},
		{"2000-02-29 23:59:59.000000001", INT64_C(951868799000000001)},
		{"2023-12-31 23:59:59.9", INT64_C(1704067199900000000)},
		{"2200-12-31 23:59:59.999999999", INT64_C(7289654399999999999)},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct trace trace;
		char line[64];

		snprintf(line, sizeof line, "%s,0,2147483648", cases[i].text);
		parse(line, &trace);
		cr_expect_eq(trace.requests[0].at_ns, cases[i].at_ns, "%s", cases[i].text);
		cr_expect_eq(trace.requests[0].input_tokens, 0);
		cr_expect_eq(trace.requests[0].output_tokens, TRACE_TOKENS_MAX);
		trace_free(&trace);
	}
}

Test(trace, order_of_the_file_is_kept)
{
	struct trace trace;

	parse("2023-11-16 18:17:05,3,0\n2023-11-16 18:17:03,1,0\n2023-11-16 18:17:04,2,0", &trace);
	cr_assert_eq(trace.count, 3);
	cr_expect_eq(trace.requests[0].input_tokens, 3);
	cr_expect_eq(trace.requests[1].input_tokens, 1);
	cr_expect_eq(trace.requests[2].input_tokens, 2);
	trace_free(&trace);
}

Test(trace, malformed_lines_are_named)
{
	static const struct {
		const char *text;
		size_t line;
		const char *reason;
	} cases[] = {
		{"", 0, "no requests"},
		{"\n\r\n", 0, "no requests"},
		{HEADER "\r\n", 0, "no requests"},
		{GOOD "\n\n" GOOD, 2, "empty line"},
		{"\n" GOOD, 1, "empty line"},
		{GOOD "\n" HEADER "\n", 2, "bad timestamp"},
		{"timestamp,ContextTokens,GeneratedTokens\n" GOOD, 1, "bad timestamp"},
		{HEADER ",Model\n" GOOD, 1, "bad timestamp"},
		{"\xef\xbb\xbf" GOOD, 1, "bad timestamp"},
		{" " GOOD, 1, "bad timestamp"},
		{"2023-11-16T18:17:03,1,1", 1, "bad timestamp"},
		{"2023-11-16 18:17,1,1", 1, "bad timestamp"},
		{"2023-11-16 8:17:03,1,1", 1, "bad timestamp"},
		{"2023-11-16 24:00:00,1,1", 1, "bad timestamp"},
		{"2023-11-16 18:60:00,1,1", 1, "bad timestamp"},
		{"2023-11-16 18:17:60,1,1", 1, "bad timestamp"},
		{"2023-13-16 18:17:03,1,1", 1, "bad timestamp"},
		{"2023-00-16 18:17:03,1,1", 1, "bad timestamp"},
		{"2023-02-29 18:17:03,1,1", 1, "bad timestamp"},
		{"2100-02-29 18:17:03,1,1", 1, "bad timestamp"},
		{"2023-04-31 18:17:03,1,1", 1, "bad timestamp"},
		{"2023-04-00 18:17:03,1,1", 1, "bad timestamp"},
		{"1970-01-01 00:00:00,1,1", 1, "bad timestamp"},
		{"2201-01-01 00:00:00,1,1", 1, "bad timestamp"},
		{"2023-11-16 18:17:03.,1,1", 1, "bad timestamp"},
		{"2023-11-16 18:17:03.1234567891,1,1", 1, "no comma after the timestamp"},
		{"2023-11-16 18:17:03Z,1,1", 1, "no comma after the timestamp"},
		{"2023-11-16 18:17:03", 1, "no comma after the timestamp"},
		{"2023-11-16 18:17:03,", 1, "bad ContextTokens"},
		{"2023-11-16 18:17:03,,1", 1, "bad ContextTokens"},
		{"2023-11-16 18:17:03,-1,1", 1, "bad ContextTokens"},
		{"2023-11-16 18:17:03, 1,1", 1, "bad ContextTokens"},
		{"2023-11-16 18:17:03,2147483649,1", 1, "bad ContextTokens"},
		{"2023-11-16 18:17:03,99999999999999999999,1", 1, "bad ContextTokens"},
		{"2023-11-16 18:17:03,1.5,1", 1, "no comma after ContextTokens"},
		{"2023-11-16 18:17:03,1", 1, "no comma after ContextTokens"},
		{"2023-11-16 18:17:03,1;1", 1, "no comma after ContextTokens"},
		{"2023-11-16 18:17:03,1,", 1, "bad GeneratedTokens"},
		{"2023-11-16 18:17:03,1,x", 1, "bad GeneratedTokens"},
		{"2023-11-16 18:17:03,1,2147483649", 1, "bad GeneratedTokens"},
		{"2023-11-16 18:17:03,1,1,1", 1, "more after GeneratedTokens"},
		{"2023-11-16 18:17:03,1,1 ", 1, "more after GeneratedTokens"},
		{"2023-11-16 18:17:03,1,1\r\r\n" GOOD, 1, "more after GeneratedTokens"},
		{HEADER "\n" GOOD "\n" GOOD "\n2023-11-16 18:17:03,1\n" GOOD, 4, "ContextTokens"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_refused(cases[i].text, strlen(cases[i].text), cases[i].line,
			       cases[i].reason);
}

Test(trace, nul_bytes_are_refused)
{
	static const char text[] = GOOD "\n2023-11-16 18:17:03,1,1\0\n";

	expect_refused(text, sizeof text - 1, 2, "more after GeneratedTokens");
}

/* Every beginning of a good trace is either good or refused, and never read past: with an exactly
 * sized buffer, a sanitizer sees that. */
Test(trace, any_beginning_of_a_trace_can_be_parsed)
{
	static const char whole[] = HEADER "\r\n" GOOD "\r\n" GOOD;

	for (size_t size = 0; size < sizeof whole; size++) {
		char *text = malloc(size ? size : 1);
		struct trace trace;
		struct file_problem problem;

		cr_assert(text);
		memcpy(text, whole, size);
		if (trace_parse(text, size, &trace, &problem))
			trace_free(&trace);
		free(text);
	}
}

Test(trace, many_requests_are_kept)
{
	const size_t count = 5000;
	size_t length = strlen(GOOD "\n");
	char *text = malloc(count * length + 1);
	struct trace trace;

	cr_assert(text);
	for (size_t i = 0; i < count; i++)
		memcpy(text + i * length, GOOD "\n", length + 1);
	parse(text, &trace);
	cr_expect_eq(trace.count, count);
	cr_expect_eq(trace.requests[count - 1].line, count);
	trace_free(&trace);
	free(text);
}

Test(trace, a_file_is_read_whole)
{
	char path[] = "/tmp/be-replay-trace-XXXXXX";
	int fd = mkstemp(path);
	struct trace trace;
	struct file_problem problem;

	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, HEADER "\n" GOOD, strlen(HEADER "\n" GOOD)),
		     (ssize_t)strlen(HEADER "\n" GOOD));
	close(fd);
	cr_expect(trace_read(path, &trace, &problem), "%s", problem.text);
	cr_expect_eq(trace.count, 1);
	trace_free(&trace);
	unlink(path);
	cr_expect(!trace_read(path, &trace, &problem));
	cr_expect_str_eq(problem.text, "No such file or directory");
	cr_expect_eq(problem.line, 0);
	cr_expect(!trace_read("/tmp", &trace, &problem));
	cr_expect_str_eq(problem.text, "Is a directory");
}

Test(trace, the_built_in_one_is_always_the_same)
{
	struct trace trace, again;
	int64_t input = 0, output = 0;

	cr_assert(trace_builtin(&trace));
	cr_assert(trace_builtin(&again));
	cr_assert_eq(trace.count, 2000);
	cr_expect_arr_eq(trace.requests, again.requests, trace.count * sizeof *trace.requests);
	for (size_t i = 0; i < trace.count; i++) {
		input += trace.requests[i].input_tokens;
		output += trace.requests[i].output_tokens;
		cr_expect(i == 0 || trace.requests[i].at_ns >= trace.requests[i - 1].at_ns);
	}
	cr_expect_eq(input, 5267487, "input tokens %lld", (long long)input);
	cr_expect_eq(output, 806001, "output tokens %lld", (long long)output);
	cr_expect(trace.requests[trace.count - 1].at_ns - trace.requests[0].at_ns <=
		  INT64_C(3600) * 1000000000);
	trace_free(&trace);
	trace_free(&again);
}
