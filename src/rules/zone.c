/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones, as zone.h has them.
 *
 * Packed, a zone is the number of changes (1 byte), the offset before them (3 bytes, little-endian,
 * as all numbers here), for each change its time (5 bytes) and offset (3 bytes), and then the rule
 * as text, which is what a zone file has as its footer (RFC 8536, 3.3): "CET-1CEST,M3.5.0,M10.5.0".
 */
#include "rules/zone.h"

#include <string.h>

#define DAY_S INT64_C(86400)
#define OFFSET_LIMIT (27 * 3600)
/* Five bytes hold it; the year is about 17 000 then. */
#define TIME_LIMIT (INT64_C(1) << 39)
#define CHANGE_SIZE 8
#define HEAD_SIZE 4

/* ---- days */

int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Years are counted from March, in eras of 400, so that leap days come last (after H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"). */
int64_t date_to_day(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = floor_div(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct date date_of_day(int64_t day)
{
	int64_t z = day + 719468, era = floor_div(z, 146097), d = z - era * 146097;
	int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	int64_t of_year = d - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
	int month = (int)(m < 10 ? m + 3 : m - 9);

	return (struct date){y + era * 400 + (month <= 2), month,
			     (int)(of_year - (153 * m + 2) / 5 + 1)};
}

static bool is_leap_year(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int date_days_of_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap_year(year));
}

int date_weekday(int64_t day)
{
	return (int)(day + 3 - 7 * floor_div(day + 3, 7)) + 1;
}

/* ---- rules, read from text that ends where it ends */

struct rule_text {
	const char *at, *end;
};

static bool take(struct rule_text *text, char c)
{
	if (text->at == text->end || *text->at != c)
		return false;
	text->at++;
	return true;
}

static bool take_number(struct rule_text *text, int least, int most, int *number)
{
	const char *begin = text->at;

	*number = 0;
	while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && text->at < begin + 3)
		*number = *number * 10 + (*text->at++ - '0');
	return text->at > begin && *number >= least && *number <= most;
}

/* "CET", or "<+0330>". */
static bool take_name(struct rule_text *text)
{
	const char *begin = text->at;
	bool quoted = take(text, '<');

	while (text->at < text->end &&
	       ((*text->at >= 'a' && *text->at <= 'z') || (*text->at >= 'A' && *text->at <= 'Z') ||
		(quoted &&
		 ((*text->at >= '0' && *text->at <= '9') || *text->at == '+' || *text->at == '-'))))
		text->at++;
	if (quoted)
		return take(text, '>');
	return text->at >= begin + 3;
}

/* "-3:30", in seconds. */
static bool take_time(struct rule_text *text, int hours_most, int32_t *seconds)
{
	bool negative = take(text, '-');
	int hours, minutes = 0, rest = 0;

	if (!negative)
		(void)take(text, '+');
	if (!take_number(text, 0, hours_most, &hours) ||
	    (take(text, ':') && (!take_number(text, 0, 59, &minutes) ||
				 (take(text, ':') && !take_number(text, 0, 59, &rest)))))
		return false;
	*seconds = (hours * 60 + minutes) * 60 + rest;
	if (negative)
		*seconds = -*seconds;
	return true;
}

/* Offsets in such text are west of Greenwich. */
static bool take_offset(struct rule_text *text, int32_t *offset_s)
{
	if (!take_time(text, 24, offset_s))
		return false;
	*offset_s = -*offset_s;
	return true;
}

static bool take_day(struct rule_text *text, struct zone_day *day)
{
	day->time_s = 2 * 3600;
	if (take(text, 'M')) {
		day->form = ZONE_DAY_OF_WEEK;
		if (!take_number(text, 1, 12, &day->month) || !take(text, '.') ||
		    !take_number(text, 1, 5, &day->week) || !take(text, '.') ||
		    !take_number(text, 0, 6, &day->day))
			return false;
	} else if (take(text, 'J')) {
		day->form = ZONE_DAY_WITHOUT_LEAP_DAYS;
		if (!take_number(text, 1, 365, &day->day))
			return false;
	} else {
		day->form = ZONE_DAY_OF_YEAR;
		if (!take_number(text, 0, 365, &day->day))
			return false;
	}
	return !take(text, '/') || take_time(text, 167, &day->time_s);
}

static bool take_rule(const char *rule, size_t size, struct zone *zone)
{
	struct rule_text text = {rule, rule + size};

	zone->has_rule = size > 0;
	zone->has_summer = false;
	if (size == 0)
		return true;
	if (!take_name(&text) || !take_offset(&text, &zone->standard_s))
		return false;
	if (text.at == text.end)
		return true;
	zone->has_summer = true;
	if (!take_name(&text))
		return false;
	zone->summer_s = zone->standard_s + 3600;
	if (text.at < text.end && *text.at != ',' && !take_offset(&text, &zone->summer_s))
		return false;
	return take(&text, ',') && take_day(&text, &zone->begins) && take(&text, ',') &&
	       take_day(&text, &zone->ends) && text.at == text.end;
}

/* ---- packed */

static int64_t get_number(const uint8_t *bytes, int size)
{
	uint64_t number = 0;

	for (int i = size - 1; i >= 0; i--)
		number = number << 8 | bytes[i];
	/* The highest bit is the sign's. */
	number ^= UINT64_C(1) << (8 * size - 1);
	return (int64_t)number - (INT64_C(1) << (8 * size - 1));
}

static void put_number(uint8_t *bytes, int size, int64_t number)
{
	for (int i = 0; i < size; i++)
		bytes[i] = (uint8_t)((uint64_t)number >> 8 * i);
}

static bool is_offset(int32_t offset_s)
{
	return offset_s > -OFFSET_LIMIT && offset_s < OFFSET_LIMIT;
}

void zone_make_utc(struct zone *zone)
{
	zone->count = 0;
	zone->first_s = 0;
	zone->has_rule = zone->has_summer = false;
}

bool zone_unpack(const void *bytes, size_t size, struct zone *zone)
{
	const uint8_t *at = bytes;
	int64_t before_s = -TIME_LIMIT;
	size_t changes_size;

	if (size < HEAD_SIZE || size > ZONE_PACKED_MAX)
		return false;
	zone->count = at[0];
	zone->first_s = (int32_t)get_number(at + 1, 3);
	changes_size = zone->count * (size_t)CHANGE_SIZE;
	if (zone->count > ZONE_CHANGES_MAX || size - HEAD_SIZE < changes_size ||
	    !is_offset(zone->first_s))
		return false;
	at += HEAD_SIZE;
	for (uint32_t i = 0; i < zone->count; i++, at += CHANGE_SIZE) {
		zone->changes[i].at_s = get_number(at, 5);
		zone->changes[i].offset_s = (int32_t)get_number(at + 5, 3);
		if (zone->changes[i].at_s <= before_s || !is_offset(zone->changes[i].offset_s))
			return false;
		before_s = zone->changes[i].at_s;
	}
	return take_rule((const char *)at, size - HEAD_SIZE - changes_size, zone);
}

size_t zone_pack(uint8_t *bytes, int32_t first_s, const struct zone_change *changes, uint32_t count,
		 const char *rule, size_t rule_size)
{
	uint8_t *at = bytes;
	struct zone zone;

	if (count > ZONE_CHANGES_MAX ||
	    rule_size > ZONE_PACKED_MAX - HEAD_SIZE - count * (size_t)CHANGE_SIZE)
		return 0;
	*at = (uint8_t)count;
	put_number(at + 1, 3, first_s);
	at += HEAD_SIZE;
	for (uint32_t i = 0; i < count; i++, at += CHANGE_SIZE) {
		if (changes[i].at_s >= TIME_LIMIT)
			return 0;
		put_number(at, 5, changes[i].at_s);
		put_number(at + 5, 3, changes[i].offset_s);
	}
	memcpy(at, rule, rule_size);
	at += rule_size;
	return zone_unpack(bytes, (size_t)(at - bytes), &zone) ? (size_t)(at - bytes) : 0;
}

/* ---- what the clock shows */

/* When a day of the rule comes in a year, in seconds by a clock that is `offset_s` ahead. */
static int64_t moment_of_day(const struct zone_day *rule, int64_t year, int32_t offset_s)
{
	int64_t day = date_to_day(year, 1, 1);

	switch (rule->form) {
	case ZONE_DAY_OF_YEAR:
		day += rule->day;
		break;
	case ZONE_DAY_WITHOUT_LEAP_DAYS:
		day += rule->day - 1 + (is_leap_year(year) && rule->day >= 60);
		break;
	case ZONE_DAY_OF_WEEK: {
		int64_t first = date_to_day(year, rule->month, 1);
		int64_t last = first + date_days_of_month(year, rule->month) - 1;

		/* A Sunday is 0 here. */
		day = first + (rule->day - date_weekday(first) % 7 + 7) % 7 +
		      INT64_C(7) * (rule->week - 1);
		while (day > last)
			day -= 7;
		break;
	}
	}
	return day * DAY_S + rule->time_s - offset_s;
}

/* The last of the changes that the rule makes in the years around. Where two fall on one moment,
 * the later year's counts: some zones have summer time all the year. */
static int32_t offset_by_rule(const struct zone *zone, int64_t at_s)
{
	int64_t year = date_of_day(floor_div(at_s + zone->standard_s, DAY_S)).year;
	int64_t last_s = INT64_MIN;
	int32_t offset_s = zone->standard_s;

	if (!zone->has_summer)
		return offset_s;
	for (int64_t y = year - 1; y <= year + 1; y++) {
		int64_t begins_s = moment_of_day(&zone->begins, y, zone->standard_s);
		int64_t ends_s = moment_of_day(&zone->ends, y, zone->summer_s);
		bool begins_first = begins_s < ends_s;

		for (int i = 0; i < 2; i++) {
			bool begins = (i == 0) == begins_first;
			int64_t change_s = begins ? begins_s : ends_s;

			if (change_s <= at_s && change_s >= last_s) {
				last_s = change_s;
				offset_s = begins ? zone->summer_s : zone->standard_s;
			}
		}
	}
	return offset_s;
}

int32_t zone_offset(const struct zone *zone, int64_t at_s)
{
	uint32_t low = 0, high = zone->count;

	/* How many changes are at or before at_s. */
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (zone->changes[middle].at_s <= at_s)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == zone->count && zone->has_rule)
		return offset_by_rule(zone, at_s);
	return low == 0 ? zone->first_s : zone->changes[low - 1].offset_s;
}

/* A change and the next are days apart in every zone there is; where they are not, some change
 * between them is found. */
int64_t zone_next_change(const struct zone *zone, int64_t from_s, int64_t to_s)
{
	int32_t offset_s = zone_offset(zone, from_s);

	if (zone_offset(zone, to_s) == offset_s)
		return to_s;
	while (to_s - from_s > 1) {
		int64_t middle = from_s + (to_s - from_s) / 2;

		if (zone_offset(zone, middle) == offset_s)
			from_s = middle;
		else
			to_s = middle;
	}
	return to_s;
}

int64_t zone_moment_of(const struct zone *zone, int64_t local_s)
{
	int32_t before_s = zone_offset(zone, local_s - DAY_S), after_s;
	int64_t early = local_s - before_s, late;

	if (zone_offset(zone, early) == before_s)
		return early;
	after_s = zone_offset(zone, early);
	late = local_s - after_s;
	if (late >= early || zone_offset(zone, late) == after_s)
		return late;
	/* The clock jumps over it, between the two. */
	return zone_next_change(zone, late, early);
}
