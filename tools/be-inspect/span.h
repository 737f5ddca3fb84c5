/* SPDX-License-Identifier: Apache-2.0 */
/* Hours, days, weeks and months by the calendar of a time zone, for reports. */
#ifndef SPAN_H
#define SPAN_H

#include <stdbool.h>
#include <stdint.h>

enum span {
	SPAN_NONE,
	SPAN_HOUR,
	SPAN_DAY,
	SPAN_WEEK, /* from Monday */
	SPAN_MONTH,
};

/* Bytes that hold any span as text, with its NUL: "2023-10-29T02:00+02:00". */
#define SPAN_TEXT_SIZE 32

/* From now on this process goes by the zone "UTC" or one of the system's, such as "Europe/Berlin":
 * NULL, or what is wrong with it (static storage). */
const char *span_use_zone(const char *zone);

/* The span that a moment lies in, as a number that ascends with time and has text. An hour is the
 * second at which it begins; all others the number of their first day, counted from 1970-01-01. */
int64_t span_of(enum span span, int64_t at_ns);

/* The larger span that a smaller one lies in. */
int64_t span_within(enum span span, enum span smaller, int64_t number);

/* The number of the next span. */
int64_t span_next(enum span span, int64_t number);

/* "2023-10-29T02:00Z" of an hour, with the offset that its clock had where that is not UTC;
 * "2023-10-29" of a day, and of a week that begins on it; "2023-10" of a month. */
void span_format(enum span span, int64_t number, char text[SPAN_TEXT_SIZE]);

#endif
