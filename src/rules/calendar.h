/* SPDX-License-Identifier: Apache-2.0 */
/* Windows that begin and end as the calendar of a time zone says. */
#ifndef CALENDAR_H
#define CALENDAR_H

#include "rules/zone.h"

#include <budget_enforcer.h>

/* May windows of this period begin on that day: of the week (1 to 7, from Monday) for weekly ones,
 * of the month (1 to 31, but never later than its last) for monthly ones; 0: the first. */
bool calendar_may_begin_on(enum be_period period, uint32_t day);

/* The window that `now_ns` lies in, of any period but total: *start_ns <= now_ns < *end_ns.
 * INT64_MAX where it ends after 2262. */
void calendar_window(enum be_period period, uint32_t begins_on, const struct zone *zone,
		     int64_t now_ns, int64_t *start_ns, int64_t *end_ns);

/* How many windows begin after `from_ns` and up to `to_ns`, both of which are beginnings. */
int64_t calendar_windows_between(enum be_period period, const struct zone *zone, int64_t from_ns,
				 int64_t to_ns);

#endif
