/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of time: when the current one began and ends. Names and lengths are public. */
#ifndef PERIOD_H
#define PERIOD_H

#include <budget_enforcer.h>

bool period_is_known(enum be_period period);

/* The start of the window that `now_ns` lies in, given the start of an earlier one: start plus
 * whole periods, so windows never drift. `start_ns` itself for total, and when the clock stands
 * before it. */
int64_t period_start_at(enum be_period period, int64_t start_ns, int64_t now_ns);

/* How many whole windows fit between two beginnings; 0 for total. */
int64_t period_windows_between(enum be_period period, int64_t from_ns, int64_t to_ns);

/* Where the window that begins at start_ns ends; 0 for total. INT64_MAX when it would overflow. */
int64_t period_end(enum be_period period, int64_t start_ns);

#endif
