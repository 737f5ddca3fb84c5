/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Periods: their names and lengths, and the windows of time they divide into. Pure arithmetic: any
 * two int64_t are legal times here, whatever a clock or a record says.
 */
#include "rules/period.h"
#include "base/error.h"

#include <string.h>

static const struct {
	const char *name;
	int64_t seconds;
} periods[] = {
	[BE_PERIOD_TOTAL] = {"total", 0},           [BE_PERIOD_HOURLY] = {"hourly", 3600},
	[BE_PERIOD_DAILY] = {"daily", 86400},       [BE_PERIOD_WEEKLY] = {"weekly", 604800},
	[BE_PERIOD_MONTHLY] = {"monthly", 2592000}, [BE_PERIOD_QUARTERLY] = {"quarterly", 0},
	[BE_PERIOD_YEARLY] = {"yearly", 0},
};

#define PERIODS (sizeof periods / sizeof periods[0])

static int64_t length_ns(enum be_period period)
{
	return be_period_seconds(period) * INT64_C(1000000000);
}

bool period_is_known(enum be_period period)
{
	return (unsigned)period < PERIODS;
}

const char *be_period_name(enum be_period period)
{
	return period_is_known(period) ? periods[period].name : "unknown";
}

enum be_status be_period_parse(const char *name, enum be_period *period)
{
	error_clear();
	if (period)
		*period = BE_PERIOD_TOTAL;
	if (!name || !period)
		return error_set(BE_INVALID_ARGUMENT,
				 "be_period_parse: name and period must not be NULL");
	for (size_t i = 0; i < PERIODS; i++) {
		if (strcmp(name, periods[i].name) == 0) {
			*period = (enum be_period)i;
			return BE_OK;
		}
	}
	return error_default(BE_INVALID_PERIOD);
}

int64_t be_period_seconds(enum be_period period)
{
	return period_is_known(period) ? periods[period].seconds : 0;
}

int64_t period_start_at(enum be_period period, int64_t start_ns, int64_t now_ns)
{
	int64_t length = length_ns(period);

	if (length == 0 || now_ns <= start_ns)
		return start_ns;
	/* The distance of two int64_t always fits in uint64_t, and what is taken off now_ns is at
	 * most that distance, so the result is not before start_ns. */
	return now_ns - (int64_t)(((uint64_t)now_ns - (uint64_t)start_ns) % (uint64_t)length);
}

int64_t period_end(enum be_period period, int64_t start_ns)
{
	int64_t length = length_ns(period), end;

	if (length == 0)
		return 0;
	return __builtin_add_overflow(start_ns, length, &end) ? INT64_MAX : end;
}

int64_t period_windows_between(enum be_period period, int64_t from_ns, int64_t to_ns)
{
	int64_t length = length_ns(period);

	/* The distance of two int64_t always fits in uint64_t. */
	return length == 0 ? 0
			   : (int64_t)(((uint64_t)to_ns - (uint64_t)from_ns) / (uint64_t)length);
}
