/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hours, days, weeks and months by the calendar of a time zone.
 *
 * What the clock of a zone shows is asked of the C library, which takes long for each line of a
 * ledger, so the answer is kept for a quarter of an hour: offsets change at the beginning of one,
 * and have done so for as long as there are ledgers.
 */
#include "span.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)
#define QUARTER_S 900
#define HOUR_S 3600
#define DAY_S 86400
#define DAYS_OF_WEEK 7
/* 1970-01-01 was a Thursday. */
#define MONDAY_SHIFT 3

static struct {
	bool has_zone; /* else UTC */
	bool is_known; /* of the quarter that begins at `quarter_s` */
	int64_t quarter_s;
	int64_t offset_s;
} clock_of;

static int64_t divide(int64_t number, int64_t by)
{
	return number / by - (number % by < 0);
}

const char *span_use_zone(const char *zone)
{
	const char *directory = getenv("TZDIR");
	char path[4096], value[4096];
	struct stat file;

	clock_of.is_known = false;
	clock_of.has_zone = strcmp(zone, "UTC") != 0;
	if (!clock_of.has_zone)
		return NULL;
	if (!*zone || *zone == '/' || *zone == '.' || strstr(zone, "/."))
		return "no time zone; one is named as in Europe/Berlin";
	snprintf(path, sizeof path, "%s/%s", directory ? directory : "/usr/share/zoneinfo", zone);
	if (stat(path, &file) != 0 || !S_ISREG(file.st_mode))
		return "no such time zone in /usr/share/zoneinfo, which the package tzdata fills";
	if ((size_t)snprintf(value, sizeof value, ":%s", path) >= sizeof value)
		return "too long a name";
	if (setenv("TZ", value, 1) != 0)
		return "out of memory";
	tzset();
	return NULL;
}

static int64_t offset_at(int64_t at_s)
{
	int64_t quarter_s = divide(at_s, QUARTER_S) * QUARTER_S;
	time_t time = quarter_s;
	struct tm fields;

	if (!clock_of.has_zone)
		return 0;
	if (clock_of.is_known && clock_of.quarter_s == quarter_s)
		return clock_of.offset_s;
	localtime_r(&time, &fields);
	clock_of.is_known = true;
	clock_of.quarter_s = quarter_s;
	clock_of.offset_s = fields.tm_gmtoff;
	return clock_of.offset_s;
}

static struct tm date_of(int64_t day)
{
	time_t midnight = day * DAY_S;
	struct tm fields;

	gmtime_r(&midnight, &fields);
	return fields;
}

static int64_t of_day(enum span span, int64_t day)
{
	switch (span) {
	case SPAN_WEEK:
		return divide(day + MONDAY_SHIFT, DAYS_OF_WEEK) * DAYS_OF_WEEK - MONDAY_SHIFT;
	case SPAN_MONTH:
		return day - date_of(day).tm_mday + 1;
	default:
		return day;
	}
}

static int64_t of_second(enum span span, int64_t at_s)
{
	int64_t offset_s = offset_at(at_s), shown_s = at_s + offset_s;

	if (span == SPAN_HOUR)
		return divide(shown_s, HOUR_S) * HOUR_S - offset_s;
	return of_day(span, divide(shown_s, DAY_S));
}

int64_t span_of(enum span span, int64_t at_ns)
{
	return span == SPAN_NONE ? 0 : of_second(span, divide(at_ns, SECOND_NS));
}

int64_t span_within(enum span span, enum span smaller, int64_t number)
{
	return smaller == SPAN_HOUR ? of_second(span, number) : of_day(span, number);
}

int64_t span_next(enum span span, int64_t number)
{
	switch (span) {
	case SPAN_HOUR:
		return number + HOUR_S;
	case SPAN_WEEK:
		return number + DAYS_OF_WEEK;
	case SPAN_MONTH:
		return of_day(span, number + 31);
	default:
		return number + 1;
	}
}

void span_format(enum span span, int64_t number, char text[SPAN_TEXT_SIZE])
{
	int64_t offset_s = span == SPAN_HOUR ? offset_at(number) : 0;
	int64_t minutes = offset_s < 0 ? -offset_s / 60 : offset_s / 60;
	time_t shown_s = span == SPAN_HOUR ? number + offset_s : number * DAY_S;
	struct tm fields;

	gmtime_r(&shown_s, &fields);
	if (span == SPAN_HOUR) {
		size_t used = strftime(text, SPAN_TEXT_SIZE, "%Y-%m-%dT%H:%M", &fields);

		if (clock_of.has_zone)
			snprintf(text + used, SPAN_TEXT_SIZE - used, "%c%02d:%02d",
				 offset_s < 0 ? '-' : '+', (int)(minutes / 60) % 100,
				 (int)(minutes % 60));
		else
			strcpy(text + used, "Z");
	} else {
		strftime(text, SPAN_TEXT_SIZE, span == SPAN_MONTH ? "%Y-%m" : "%Y-%m-%d", &fields);
	}
}
