/* SPDX-License-Identifier: Apache-2.0 */
/* What requests cost: exact, rounded up where a nano must be split, refused where too large. */
#include "cost.h"

#include <criterion/criterion.h>

#define UNIT INT64_C(1000000000)

Test(cost, is_exact_or_rounded_up)
{
	static const struct {
		struct prices prices;
		int64_t input, output, nanos;
		bool rounded;
	} cases[] = {
		{{.input = 3 * UNIT, .output = 15 * UNIT}, 4808, 10, 14574000, false},
		{{.input = 3 * UNIT, .output = 15 * UNIT},
		 18059974,
		 245896,
		 57868362000,
		 false}, /* all of the real trace */
		{{.input = 3 * UNIT, .output = 15 * UNIT}, 0, 0, 0, false},
		{{.input = 0, .output = 0}, TRACE_TOKENS_MAX, TRACE_TOKENS_MAX, 0, false},
		{{.input = 1, .output = 0}, 1, 0, 1, true},
		{{.input = 1, .output = 0}, 1000000, 7, 1, false},
		{{.input = 1, .output = 0}, 1000001, 0, 2, true},
		{{.input = 500000, .output = 500000},
		 1,
		 1,
		 1,
		 false}, /* two halves are one, and none is rounded */
		{{.input = 1500000, .output = 0}, 1, 0, 2, true},
		{{.input = INT64_MAX, .output = 0}, 1000000, 0, INT64_MAX, false},
		{{.input = 4294967296 * 1000000 - 1, .output = 0},
		 2147483647,
		 0,
		 INT64_C(9223372032559806365),
		 true},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t nanos;
		bool rounded;

		cr_assert(cost_of(&cases[i].prices, cases[i].input, cases[i].output, &nanos,
				  &rounded),
			  "case %zu", i);
		cr_expect_eq(nanos, cases[i].nanos, "case %zu: %lld", i, (long long)nanos);
		cr_expect_eq(rounded, cases[i].rounded, "case %zu", i);
	}
}

Test(cost, more_than_an_amount_holds_is_refused)
{
	int64_t nanos;
	bool rounded;

	cr_expect(!cost_of(&(struct prices){.input = INT64_MAX, .output = 0}, 1000001, 0, &nanos,
			   &rounded));
	cr_expect(!cost_of(&(struct prices){.input = INT64_MAX, .output = 1}, 1000000, 1, &nanos,
			   &rounded));
	cr_expect(!cost_of(&(struct prices){.input = INT64_MAX, .output = INT64_MAX},
			   TRACE_TOKENS_MAX, TRACE_TOKENS_MAX, &nanos, &rounded));
}

Test(cost, of_a_trace_adds_up)
{
	struct trace_request requests[] = {
		{.at_ns = 1, .input_tokens = 100, .output_tokens = 7, .line = 2},
		{.at_ns = 2, .input_tokens = 1, .output_tokens = 90, .line = 3},
	};
	struct trace trace = {.requests = requests, .count = 2};
	struct prices prices = {.input = 2 * UNIT, .output = UNIT / 2 + 1};
	struct costs costs;
	size_t line;

	cr_expect_eq(costs_largest_output(&trace), 90);
	cr_assert(costs_of_trace(&trace, &prices, NULL, 90, &costs, &line));
	cr_expect_eq(costs.of[0].actual, 200000 + 3501);
	cr_expect_eq(costs.of[0].estimate, 200000 + 45001);
	cr_expect_eq(costs.of[1].actual, 2000 + 45001);
	cr_expect_eq(costs.of[1].estimate, costs.of[1].actual);
	cr_expect_eq(costs.total, costs.of[0].actual + costs.of[1].actual);
	cr_expect_eq(costs.rounded, 2);
	cr_expect_eq(costs.above, 0,
		     "with the largest output reserved, no cost passes its estimate");
	costs_free(&costs);

	cr_assert(costs_of_trace(&trace, &prices, NULL, 89, &costs, &line));
	cr_expect_eq(costs.above, 1);
	costs_free(&costs);
}

Test(cost, the_line_that_is_too_much_is_named)
{
	struct trace_request requests[] = {
		{.at_ns = 1, .input_tokens = 500001, .line = 5},
		{.at_ns = 2, .input_tokens = 500000, .line = 6},
	};
	struct trace trace = {.requests = requests, .count = 2};
	struct prices prices = {.input = INT64_MAX, .output = INT64_MAX};
	struct costs costs;
	size_t line;

	cr_expect(!costs_of_trace(&trace, &prices, NULL, 0, &costs, &line));
	cr_expect_eq(line, 6, "the total passes the largest amount at line 6, not %zu", line);
	cr_expect(!costs_of_trace(&trace, &prices, NULL, 500000, &costs, &line));
	cr_expect_eq(line, 5, "the estimate passes it at line 5, not %zu", line);
	cr_expect(costs.of == NULL);
}
