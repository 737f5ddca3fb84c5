/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows by the calendar. A window begins at the first moment at which the clock on the wall shows
 * midnight of its first day, or jumps over it; it ends where the next one begins. So a day has 23
 * to 25 hours.
 *
 * Hours go by the clock, too: where it is changed by whole hours, hours stay whole, and each of two
 * that it shows alike is a window of its own. Where it is changed otherwise, one window ends then.
 */
#include "rules/calendar.h"

#define NS_PER_S INT64_C(1000000000)
#define DAY_S INT64_C(86400)
#define HOUR_S INT64_C(3600)

bool calendar_may_begin_on(enum be_period period, uint32_t day)
{
	return day == 0 || (period == BE_PERIOD_WEEKLY && day <= 7) ||
	       (period == BE_PERIOD_MONTHLY && day <= 31);
}

/* The first day of a month's window: its last day when it has no such one. */
static int64_t month_to_day(int64_t month, int begins_on)
{
	int64_t year = floor_div(month, 12);
	int of_year = (int)(month - year * 12) + 1, days = date_days_of_month(year, of_year);

	return date_to_day(year, of_year, begins_on < days ? begins_on : days);
}

/* The first day of the window that the day lies in, or of the `after`th one behind that. */
static int64_t first_day(enum be_period period, int begins_on, int64_t day, int after)
{
	struct date date = date_of_day(day);
	int64_t month = date.year * 12 + date.month - 1;
	int months = period == BE_PERIOD_YEARLY ? 12 : period == BE_PERIOD_QUARTERLY ? 3 : 1;

	if (period == BE_PERIOD_DAILY)
		return day + after;
	if (period == BE_PERIOD_WEEKLY)
		return day - (date_weekday(day) - begins_on + 7) % 7 + INT64_C(7) * after;
	if (month_to_day(month, begins_on) > day)
		month--; /* only where windows begin within months */
	return month_to_day(floor_div(month, months) * months + (int64_t)months * after, begins_on);
}

static void hour_window(const struct zone *zone, int64_t now_s, int64_t *start_s, int64_t *end_s)
{
	int32_t offset_s = zone_offset(zone, now_s);
	int64_t local_s = now_s + offset_s;

	*start_s = floor_div(local_s, HOUR_S) * HOUR_S - offset_s;
	*end_s = *start_s + HOUR_S;
	while (zone_offset(zone, *start_s) != offset_s)
		*start_s = zone_next_change(zone, *start_s, now_s);
	if (zone_offset(zone, *end_s - 1) != offset_s)
		*end_s = zone_next_change(zone, now_s, *end_s - 1);
}

static void day_window(enum be_period period, int begins_on, const struct zone *zone, int64_t now_s,
		       int64_t *start_s, int64_t *end_s)
{
	int64_t day = floor_div(now_s + zone_offset(zone, now_s), DAY_S);
	int after = 1;

	*start_s = zone_moment_of(zone, first_day(period, begins_on, day, 0) * DAY_S);
	/* Where a clock is set back over midnight it shows the day before once more. */
	do
		*end_s = zone_moment_of(zone, first_day(period, begins_on, day, after) * DAY_S);
	while (*end_s <= now_s && after++ < 3);
	if (after > 1)
		*start_s =
			zone_moment_of(zone, first_day(period, begins_on, day, after - 1) * DAY_S);
}

/* Zones that come from a broken record may jump to and fro as they like; windows do not. */
void calendar_window(enum be_period period, uint32_t begins_on, const struct zone *zone,
		     int64_t now_ns, int64_t *start_ns, int64_t *end_ns)
{
	int64_t now_s = floor_div(now_ns, NS_PER_S), start_s, end_s;

	if (period == BE_PERIOD_HOURLY)
		hour_window(zone, now_s, &start_s, &end_s);
	else
		day_window(period, begins_on == 0 ? 1 : (int)begins_on, zone, now_s, &start_s,
			   &end_s);
	if (start_s > now_s)
		start_s = now_s;
	if (end_s <= now_s)
		end_s = now_s + 1;
	if (__builtin_mul_overflow(start_s, NS_PER_S, start_ns))
		*start_ns = INT64_MIN;
	if (__builtin_mul_overflow(end_s, NS_PER_S, end_ns))
		*end_ns = INT64_MAX;
}

int64_t calendar_windows_between(enum be_period period, const struct zone *zone, int64_t from_ns,
				 int64_t to_ns)
{
	int64_t from_s = floor_div(from_ns, NS_PER_S), to_s = floor_div(to_ns, NS_PER_S);
	int64_t from_day = floor_div(from_s + zone_offset(zone, from_s), DAY_S);
	int64_t to_day = floor_div(to_s + zone_offset(zone, to_s), DAY_S);
	struct date from = date_of_day(from_day), to = date_of_day(to_day);
	int64_t months = (to.year - from.year) * 12 + to.month - from.month;

	switch (period) {
	case BE_PERIOD_HOURLY:
		return (to_s - from_s + HOUR_S / 2) / HOUR_S;
	case BE_PERIOD_DAILY:
		return to_day - from_day;
	case BE_PERIOD_WEEKLY:
		return (to_day - from_day) / 7;
	case BE_PERIOD_MONTHLY:
		return months;
	case BE_PERIOD_QUARTERLY:
		return months / 3;
	default:
		return months / 12;
	}
}
