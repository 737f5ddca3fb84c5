/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones: what a clock on the wall shows at a moment, and when it shows something. A zone is a
 * list of moments from which on another offset from UTC holds, and a rule for all time after the
 * last of them. It is packed into few bytes, which an environment keeps, so that all processes go
 * by the same zone, whatever zone files they have.
 *
 * The packed bytes may come from a file or a record that others write: any bytes may be unpacked.
 * No offset is as much as 27 hours. Times are seconds since 1970-01-01 UTC.
 */
#ifndef ZONE_H
#define ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Packed. */
#define ZONE_PACKED_MAX 512
/* Changes that are kept of a zone. */
#define ZONE_CHANGES_MAX 52

struct zone_change {
	int64_t at_s; /* from then on */
	int32_t offset_s;
};

/* When a year's summer time begins or ends: "M3.5.0/2", "J60" or "59". */
struct zone_day {
	enum {
		ZONE_DAY_OF_YEAR,
		ZONE_DAY_WITHOUT_LEAP_DAYS,
		ZONE_DAY_OF_WEEK
	} form;
	int month, week, day;
	int32_t time_s; /* after midnight, by the clock that is on the wall until then */
};

struct zone {
	uint32_t count;  /* of changes */
	int32_t first_s; /* the offset before the first change */
	bool has_rule;   /* else the last offset holds for ever */
	bool has_summer;
	int32_t standard_s, summer_s; /* offsets of the rule */
	struct zone_day begins, ends; /* summer time does, in each year */
	struct zone_change changes[ZONE_CHANGES_MAX];
};

/* UTC itself: no changes, no rule. */
void zone_make_utc(struct zone *zone);

/* Fills a zone from packed bytes; false when they are none. */
bool zone_unpack(const void *bytes, size_t size, struct zone *zone);

/* Packs changes, ascending, and the rule, as a TZ string has it (size 0: none), into
 * ZONE_PACKED_MAX bytes. Returns their number; 0 when that is no zone. */
size_t zone_pack(uint8_t *bytes, int32_t first_s, const struct zone_change *changes, uint32_t count,
		 const char *rule, size_t rule_size);

/* What the clock is ahead of UTC. */
int32_t zone_offset(const struct zone *zone, int64_t at_s);

/* The first moment in (from_s, to_s] with another offset than the one that `from_s` has; to_s when
 * it has none, or when the moments are more than some days apart. */
int64_t zone_next_change(const struct zone *zone, int64_t from_s, int64_t to_s);

/* The first moment at which the clock shows `local_s` (seconds since 1970-01-01 by the clock), or
 * at which it jumps over that. */
int64_t zone_moment_of(const struct zone *zone, int64_t local_s);

/* ---- days: the proleptic Gregorian calendar. Day 0 is 1970-01-01. */

struct date {
	int64_t year;
	int month; /* 1 to 12 */
	int day;   /* 1 to 31 */
};

int64_t date_to_day(int64_t year, int month, int day);
struct date date_of_day(int64_t day);
int date_days_of_month(int64_t year, int month);

/* 1 is Monday, 7 Sunday. */
int date_weekday(int64_t day);

/* a / b, rounded down; b > 0. */
int64_t floor_div(int64_t a, int64_t b);

#endif
