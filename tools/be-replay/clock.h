/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of a replay: what the enforcer takes for the time follows the trace, so that windows
 * end when they would have ended. All workers share one, in shared memory.
 *
 * At speed 0 the time is that of the latest request which any worker has come to. At any other
 * speed it is the beginning of the trace plus what has passed since, times the speed.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct clock {
	double speed;
	int64_t start_ns;          /* when the trace begins, since 1970-01-01 UTC */
	int64_t began_ns;          /* when the replay began, on the monotonic clock */
	_Atomic int64_t latest_ns; /* at speed 0: how far the trace has come */
};

/* Nanoseconds of the monotonic clock: for durations. */
int64_t clock_monotonic_ns(void);

/* Makes a clock that starts now, in memory shared with children forked later. NULL when there is
 * none. */
struct clock *clock_create(int64_t start_ns, double speed);

/* The time of the trace. `context` is a struct clock: this is a be_options.now. */
int64_t clock_now(void *context);

/* How many real nanoseconds a worker has to wait until the trace comes to `at_ns`; 0 when it need
 * not. At speed 0 nobody waits, and asking is what moves the clock on. */
int64_t clock_wait_ns(struct clock *clock, int64_t at_ns);

#endif
