/* SPDX-License-Identifier: Apache-2.0 */
/* What a replay found, for people and for machines. */
#ifndef REPORT_H
#define REPORT_H

#include "pool.h"

struct report {
	const struct pool_result *result;
	uint64_t requests;    /* in the trace */
	uint64_t rounded;     /* costs rounded up to a nano */
	uint64_t above;       /* costs above their estimate */
	int64_t spent_before; /* in the envelope, before this replay */
	int64_t limit;
	enum be_period period;
};

/* Prints it to stdout, as aligned text or as one JSON document; both end in the answer to the
 * question whether the budget would have held. */
void report_print(const struct report *report, bool json);

#endif
