/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that follows the trace. */
#include "clock.h"

#include <criterion/criterion.h>

#define SECOND INT64_C(1000000000)

Test(clock, at_speed_0_it_is_the_latest_request_and_never_steps_back)
{
	struct clock *clock = clock_create(100 * SECOND, 0);

	cr_assert(clock);
	cr_expect_eq(clock_now(clock), 100 * SECOND);
	cr_expect_eq(clock_wait_ns(clock, 5000 * SECOND), 0);
	cr_expect_eq(clock_now(clock), 5000 * SECOND);
	cr_expect_eq(clock_wait_ns(clock, 4000 * SECOND), 0);
	cr_expect_eq(clock_now(clock), 5000 * SECOND);
}

Test(clock, at_other_speeds_it_runs_that_much_faster)
{
	struct clock *clock = clock_create(100 * SECOND, 60);
	int64_t now, wait;

	cr_assert(clock);
	/* As if the replay had begun ten seconds ago: now it is 600 seconds later. */
	clock->began_ns -= 10 * SECOND;
	now = clock_now(clock);
	cr_expect(now >= 700 * SECOND && now < 1300 * SECOND, "%lld", (long long)now);
	cr_expect_eq(clock_wait_ns(clock, 700 * SECOND), 0);
	wait = clock_wait_ns(clock, now + 60 * 60 * SECOND);
	cr_expect(wait > 50 * SECOND && wait <= 60 * SECOND + 1, "%lld", (long long)wait);
}

Test(clock, slow_and_fast_extremes_stay_in_range)
{
	struct clock *slow = clock_create(SECOND, 1e-9),
		     *fast = clock_create(INT64_MAX - SECOND, 1e6);

	cr_assert(slow && fast);
	cr_expect_eq(clock_wait_ns(slow, INT64_MAX), INT64_C(1000000000000000000));
	fast->began_ns -= 1000 * SECOND;
	cr_expect_eq(clock_now(fast), INT64_MAX);
}
