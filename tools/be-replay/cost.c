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

/* Of a request with so many tokens of each kind. */
static bool work_out(const struct prices *prices, const struct trace_request *request,
		     int64_t output_tokens, int64_t *nanos, bool *rounded)
{
	const struct {
		int64_t tokens, price;
	} kinds[] = {
		{request->input_tokens, prices->input},
		{request->cached_tokens, prices->cached},
		{request->written_tokens, prices->written},
		{output_tokens, prices->output},
	};
	struct be_cost cost = BE_COST_INIT;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (be_cost_add(&cost, (uint64_t)kinds[i].tokens, kinds[i].price) != BE_OK)
			return false;
	if (be_cost_total(&cost, nanos) != BE_OK)
		return false;
	*rounded = is_broken(&cost);
	return true;
}

bool cost_of(const struct prices *prices, int64_t input_tokens, int64_t output_tokens,
	     int64_t *nanos, bool *rounded)
{
	const struct trace_request request = {.input_tokens = input_tokens};

	return work_out(prices, &request, output_tokens, nanos, rounded);
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

/* Is what the log says that it cost all that is known of a request? */
static bool has_only_cost(const struct trace_request *request)
{
	return request->has_cost && request->input_tokens == 0 && request->output_tokens == 0 &&
	       request->cached_tokens == 0 && request->written_tokens == 0;
}

static bool cost_of_request(const struct trace_request *request, const struct prices *prices,
			    bool by_tokens, int64_t max_output, struct costs *costs,
			    struct cost *cost)
{
	bool actual_rounded = false, estimate_rounded;

	if (has_only_cost(request) || (request->has_cost && !by_tokens))
		cost->actual = cost->estimate = request->cost;
	else if (!work_out(prices, request, request->output_tokens, &cost->actual,
			   &actual_rounded) ||
		 !work_out(prices, request, max_output, &cost->estimate, &estimate_rounded))
		return false;
	costs->rounded += actual_rounded;
	costs->above += cost->actual > cost->estimate;
	return !__builtin_add_overflow(costs->total, cost->actual, &costs->total);
}

bool costs_of_trace(const struct trace *trace, const struct prices *prices,
		    const struct prices *const *of_model, int64_t max_output, struct costs *costs,
		    size_t *line)
{
	*costs = (struct costs){.of = calloc(trace->count, sizeof *costs->of)};
	*line = 0;
	if (!costs->of)
		return false;
	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_request *request = &trace->requests[i];

		if (!cost_of_request(request, of_model ? of_model[request->model] : prices,
				     of_model != NULL, max_output, costs, &costs->of[i])) {
			*line = request->line;
			costs_free(costs);
			return false;
		}
	}
	return true;
}

void costs_free(struct costs *costs)
{
	free(costs->of);
	*costs = (struct costs){0};
}
