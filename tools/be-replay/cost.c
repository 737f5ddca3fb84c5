/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of costs: the library's own, which is exact and rounds up once. */
#include "cost.h"

#include <budget_enforcer.h>
#include <stdlib.h>

/* Is the sum that `cost` stands for, in millionths of a nano, no whole number of nanos? */
static bool is_broken(const struct be_cost *cost)
{
	const uint64_t million = 1000000;
	/* 2^64 is 551616 modulo a million; the products fit. */
	uint64_t rest = cost->high % million * (UINT64_MAX % million + 1) + cost->low % million;

	return rest % million != 0;
}

bool cost_of(const struct prices *prices, int64_t input_tokens, int64_t output_tokens,
	     int64_t *nanos, bool *rounded)
{
	struct be_cost cost = BE_COST_INIT;

	if (be_cost_add(&cost, (uint64_t)input_tokens, prices->input) != BE_OK ||
	    be_cost_add(&cost, (uint64_t)output_tokens, prices->output) != BE_OK ||
	    be_cost_total(&cost, nanos) != BE_OK)
		return false;
	*rounded = is_broken(&cost);
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
