/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests cost: tokens times a price per million tokens, in nanos. No floating point. A cost
 * that is no whole number of nanos is rounded up, never down, and is counted.
 */
#ifndef COST_H
#define COST_H

#include "price.h"
#include "trace.h"

/* What one request is known to have cost, and what a worker reserves before it knows: the tokens
 * that go in, and as many coming out as the worker allows. */
struct cost {
	int64_t actual;
	int64_t estimate;
};

struct costs {
	struct cost *of; /* one per request of the trace */
	int64_t total;   /* of all actual costs */
	size_t rounded;  /* how many actual costs were rounded up */
	size_t above;    /* how many actual costs are above their estimate */
};

/* The cost of one request, rounded up to a nano; *rounded says whether it was. Tokens and prices
 * are 0 or more. False when it is more than an amount can hold. */
bool cost_of(const struct prices *prices, int64_t input_tokens, int64_t output_tokens,
	     int64_t *nanos, bool *rounded);

/* The largest output of any request: with it as `max_output`, no estimate is below its actual
 * cost. */
int64_t costs_largest_output(const struct trace *trace);

/* Works out every cost before anything is spent. Where the log has a cost, that is it, and what is
 * reserved, too; with prices `of_model` (an array by their numbers; NULL: all have `prices`) tokens
 * cost what these say, if there are any. False when a cost, an estimate or the total is
 * more than an amount can hold (*line is the request's) or there is no memory (*line is 0). *costs
 * is the caller's, to be given back with costs_free(). */
bool costs_of_trace(const struct trace *trace, const struct prices *prices,
		    const struct prices *const *of_model, int64_t max_output, struct costs *costs,
		    size_t *line);

void costs_free(struct costs *costs);

#endif
