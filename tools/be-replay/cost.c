/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of costs. Tokens are below 2^32 and prices below 2^63, so that the sum of two
 * products is below 2^96 and fits the 128-bit type used; only the result has to be checked.
 */
#include "cost.h"

#include <stdlib.h>

__extension__ typedef unsigned __int128 wide;

bool cost_of(const struct prices *prices, int64_t input_tokens, int64_t output_tokens,
	     int64_t *nanos, bool *rounded)
{
	const wide million = 1000000;
	wide product = (wide)input_tokens * (wide)prices->input +
		       (wide)output_tokens * (wide)prices->output;
	wide quotient = (product + million - 1) / million;

	if (quotient > INT64_MAX)
		return false;
	*nanos = (int64_t)quotient;
	*rounded = product % million != 0;
	return true;
}

int64_t costs_largest_output(const struct trace *trace)
{
	int64_t largest = 0;

	for (size_t i = 0; i < trace->count; i++) {
		if (trace->requests[i].output_tokens > largest)
			largest = trace->requests[i].output_tokens;
	}
	return largest;
}

bool costs_of_trace(const struct trace *trace, const struct prices *prices, int64_t max_output,
		    struct costs *costs, size_t *line)
{
	*costs = (struct costs){.of = calloc(trace->count, sizeof *costs->of)};
	*line = 0;
	if (!costs->of)
		return false;
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_request *request = &trace->requests[i];
		struct cost *cost = &costs->of[i];
		bool actual_rounded, estimate_rounded;

		if (!cost_of(prices, request->input_tokens, request->output_tokens, &cost->actual,
			     &actual_rounded) ||
		    !cost_of(prices, request->input_tokens, max_output, &cost->estimate,
			     &estimate_rounded) ||
		    __builtin_add_overflow(costs->total, cost->actual, &costs->total)) {
			*line = request->line;
			costs_free(costs);
			return false;
		}
		costs->rounded += actual_rounded;
		costs->above += cost->actual > cost->estimate;
	}
	return true;
}

void costs_free(struct costs *costs)
{
	free(costs->of);
	*costs = (struct costs){0};
}
