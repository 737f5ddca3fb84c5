/* SPDX-License-Identifier: Apache-2.0 */
/* What a replay found, for people and for machines. */
#ifndef REPORT_H
#define REPORT_H

#include "hours.h"
#include "pool.h"

struct report {
	const struct pool_result *result;
	uint64_t requests; /* in the trace */
	uint64_t rounded;  /* costs rounded up to a nano */
	uint64_t above;    /* costs above their estimate */
	const struct budgets *budgets;
	struct hour *hours; /* of the trace */
	size_t hour_count;
	struct share *shares; /* one for each of the budgets */
	struct hour_refusal *refusals;
	size_t refusal_count;
};

/* Prints it to stdout, as aligned text or as one JSON document; both end in the answer to the
 * question whether the budget, or the budgets of a file, would have held. */
void report_print(const struct report *report, bool json);

#endif
