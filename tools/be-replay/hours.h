/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the requests of a trace: in each hour, and of each envelope. */
#ifndef HOURS_H
#define HOURS_H

#include "budgets.h"
#include "cost.h"

/* What became of a request, as its worker notes it. */
enum outcome {
	OUTCOME_NONE, /* it was not replayed */
	OUTCOME_PERMITTED,
	OUTCOME_REFUSED,
};

struct verdict {
	uint32_t envelope;     /* that refused it, where it is declared */
	unsigned char outcome; /* enum outcome */
};

struct hour {
	int64_t at_ns; /* when it begins, in UTC */
	uint64_t permitted;
	uint64_t refused;
	int64_t spent;
	int64_t refused_cost;
};

/* The hours in which there were requests, in their order, *count of them: to be given back with
 * free(). NULL, and *count is 0, when there is no memory. */
struct hour *hours_of(const struct trace *trace, const struct costs *costs,
		      const struct verdict *verdicts, size_t *count);

/* What an envelope had to do with. */
struct share {
	uint64_t requests; /* that were replayed, of it and of those below it */
	uint64_t refused;  /* by it */
	int64_t spent;     /* of it and of those below it */
	int64_t refused_cost;
};

/* One for each envelope: to be given back with free(). NULL: there is no memory. */
struct share *shares_of(const struct trace *trace, const struct costs *costs,
			const struct verdict *verdicts, const struct budgets *budgets);

/* What an envelope has refused in an hour. */
struct hour_refusal {
	int64_t at_ns; /* as in struct hour */
	uint32_t envelope;
	uint64_t refused;
	int64_t refused_cost;
};

/* All that there are, by hours and then in the order of the envelopes; otherwise as hours_of(). */
struct hour_refusal *refusals_of(const struct trace *trace, const struct costs *costs,
				 const struct verdict *verdicts, size_t *count);

#endif
