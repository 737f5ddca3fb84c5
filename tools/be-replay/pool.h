/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: worker processes, forked from one that has the environment open, which replay a trace
 * through the library. Each takes the next request that no worker has taken, reserves its estimate,
 * "runs" it (which takes no time) and settles its actual cost.
 *
 * SHARED MEMORY. One counter deals the requests out, and each worker has a place of its own that
 * only it writes to; the parent reads all of them at any time. There is no lock, and so a worker
 * that is killed takes at most the one request in its hands with it.
 *
 * SIGNALS. There are no handlers: the signals that end a replay are blocked in all processes and
 * are asked for between two requests, so that none is ever left half done. They stay blocked in the
 * parent after the replay: what follows is short, and the summary must come out.
 */
#ifndef POOL_H
#define POOL_H

#include "budgets.h"
#include "clock.h"
#include "cost.h"
#include "histogram.h"
#include "hours.h"
#include "trace.h"

#include <budget_enforcer.h>

struct pool_plan {
	struct be_enforcer *handle;
	const struct budgets *budgets;
	const struct trace *trace;
	const struct costs *costs;
	struct clock *clock;
	unsigned int workers;
	struct verdict *verdicts; /* of each request, in memory that is shared */
	bool progress;            /* show it on stderr */
};

struct pool_result {
	uint64_t permitted;
	uint64_t refused;
	uint64_t
		/* requests that a worker had in its hands when it died or met a fault */
		unfinished;
	uint64_t calls; /* of be_commit() and be_settle() */
	int64_t spent;
	int64_t refused_cost;
	int64_t elapsed_ns;
	struct histogram latency; /* of each of those calls */
	bool interrupted;         /* by a signal, before the trace had ended */
	bool failed;              /* a worker died or met a fault, which has been printed */
};

/* Replays the whole trace, or what can be until a signal or a fault, and waits for all workers. On
 * return no commit of theirs is pending, unless a worker was killed: then be_reap() ends it. */
void pool_run(const struct pool_plan *plan, struct pool_result *result);

#endif
