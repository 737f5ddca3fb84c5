/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of a replay. Floating point is good enough for it: it decides when things happen, never
 * what they cost. A high speed could carry the time past what int64_t holds; it stops there.
 */
#include "clock.h"

#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

int64_t clock_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct clock *clock_create(int64_t start_ns, double speed)
{
	struct clock *clock = mmap(NULL, sizeof *clock, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (clock == MAP_FAILED)
		return NULL;
	clock->speed = speed;
	clock->start_ns = start_ns;
	clock->began_ns = clock_monotonic_ns();
	clock->latest_ns = start_ns;
	return clock;
}

int64_t clock_now(void *context)
{
	struct clock *clock = context;
	double passed_ns;

	if (clock->speed == 0)
		return clock->latest_ns;
	passed_ns = (double)(clock_monotonic_ns() - clock->began_ns) * clock->speed;
	if (passed_ns >= (double)(INT64_MAX - clock->start_ns))
		return INT64_MAX;
	return clock->start_ns + (int64_t)passed_ns;
}

int64_t clock_wait_ns(struct clock *clock, int64_t at_ns)
{
	int64_t now_ns;
	double wait_ns;

	if (clock->speed == 0) {
		int64_t latest_ns = clock->latest_ns;

		while (latest_ns < at_ns &&
		       !atomic_compare_exchange_weak(&clock->latest_ns, &latest_ns, at_ns))
			;
		return 0;
	}
	now_ns = clock_now(clock);
	if (now_ns >= at_ns)
		return 0;
	/* At least 1, or a wait that rounds to nothing would be taken for none. */
	wait_ns = (double)(at_ns - now_ns) / clock->speed + 1;
	return wait_ns < 1e18 ? (int64_t)wait_ns : INT64_C(1000000000000000000);
}
