/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moments and durations as people write them.
 *
 * Every field has a fixed number of digits and must be in its range, because the C library would
 * take the 31st of February for a day in March.
 */
#include "moment.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)

/* See moment_use_local(). */
static bool is_local;

void moment_use_local(void)
{
	is_local = true;
}

int64_t moment_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Reads exactly `count` digits and moves *text behind them. */
static bool take_digits(const char **text, int count, int *number)
{
	*number = 0;
	for (; count > 0; count--, ++*text) {
		if (**text < '0' || **text > '9')
			return false;
		*number = *number * 10 + (**text - '0');
	}
	return true;
}

static bool take(const char **text, char character)
{
	if (**text != character)
		return false;
	++*text;
	return true;
}

/* "@SECONDS" holds one number of any length; false when it is missing or too large. */
static bool take_number(const char **text, int64_t *number)
{
	const char *first = *text;

	for (*number = 0; **text >= '0' && **text <= '9'; ++*text)
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, **text - '0', number))
			return false;
	return *text > first;
}

/* One to nine digits behind the point of the seconds, as nanoseconds. */
static bool take_decimals(const char **text, int64_t *nanoseconds)
{
	int64_t unit = SECOND_NS / 10;

	if (**text < '0' || **text > '9')
		return false;
	for (*nanoseconds = 0; **text >= '0' && **text <= '9'; ++*text, unit /= 10) {
		if (unit == 0)
			return false;
		*nanoseconds += (**text - '0') * unit;
	}
	return true;
}

/* Nothing: by the clock that goes without saying. */
#define NO_OFFSET INT_MAX

/* "Z", "+01:00" or nothing, as the seconds that the clock there is ahead of UTC. */
static bool take_offset(const char **text, int *offset)
{
	int hours, minutes;
	bool ahead;

	if (**text == '\0')
		return true;
	*offset = 0;
	if (take(text, 'Z') || take(text, 'z'))
		return true;
	ahead = take(text, '+');
	if (!ahead && !take(text, '-'))
		return false;
	if (!take_digits(text, 2, &hours) || !take(text, ':') || !take_digits(text, 2, &minutes) ||
	    hours > 23 || minutes > 59)
		return false;
	*offset = (hours * 60 + minutes) * (ahead ? 60 : -60);
	return true;
}

/* What follows a date: the time of day, and the offset. */
static bool take_time(const char **text, struct tm *fields, int64_t *nanoseconds, int *offset)
{
	if (!take(text, 'T') && !take(text, 't') && !take(text, ' '))
		return false;
	if (!take_digits(text, 2, &fields->tm_hour) || !take(text, ':') ||
	    !take_digits(text, 2, &fields->tm_min))
		return false;
	if (take(text, ':')) {
		if (!take_digits(text, 2, &fields->tm_sec))
			return false;
		if (take(text, '.') && !take_decimals(text, nanoseconds))
			return false;
	}
	if (fields->tm_hour > 23 || fields->tm_min > 59 || fields->tm_sec > 59)
		return false;
	return take_offset(text, offset);
}

static bool parse_date(const char *text, int64_t *moment_ns)
{
	struct tm fields = {0}, real;
	int64_t seconds, nanoseconds = 0;
	int year, month, offset = NO_OFFSET;
	time_t midnight;

	if (!take_digits(&text, 4, &year) || !take(&text, '-') || !take_digits(&text, 2, &month) ||
	    !take(&text, '-') || !take_digits(&text, 2, &fields.tm_mday))
		return false;
	if (*text != '\0' && !take_time(&text, &fields, &nanoseconds, &offset))
		return false;
	if (*text != '\0')
		return false;
	fields.tm_year = year - 1900;
	fields.tm_mon = month - 1;
	real = fields;
	midnight = timegm(&real);
	if (real.tm_mday != fields.tm_mday || real.tm_mon != fields.tm_mon)
		return false;
	real.tm_isdst = -1;
	if (offset != NO_OFFSET)
		seconds = (int64_t)midnight - offset;
	else
		seconds = is_local ? mktime(&real) : midnight;
	return seconds >= 0 && !__builtin_mul_overflow(seconds, SECOND_NS, moment_ns) &&
	       !__builtin_add_overflow(*moment_ns, nanoseconds, moment_ns);
}

bool duration_parse(const char *text, int64_t *duration_ns)
{
	static const char units[] = "smhdw";
	static const int64_t seconds[] = {1, 60, 3600, 86400, 604800};
	int64_t billionths = 0, part_ns;
	const char *unit;

	if (!take_number(&text, duration_ns) ||
	    (take(&text, '.') && !take_decimals(&text, &billionths)) || *text == '\0' ||
	    text[1] != '\0')
		return false;
	unit = strchr(units, *text);
	if (!unit)
		return false;
	/* A billionth of a second is a nanosecond, and that of a week fewer than a million. */
	part_ns = billionths * seconds[unit - units];
	return !__builtin_mul_overflow(*duration_ns, seconds[unit - units], duration_ns) &&
	       !__builtin_mul_overflow(*duration_ns, SECOND_NS, duration_ns) &&
	       !__builtin_add_overflow(*duration_ns, part_ns, duration_ns);
}

/* A moment of the day that `now_ns` lies in, or so many days later, by the clock in use. */
static int64_t of_today(int64_t now_ns, int days, int hours, int minutes, int seconds)
{
	time_t now = now_ns / SECOND_NS;
	struct tm fields;

	if (is_local)
		localtime_r(&now, &fields);
	else
		gmtime_r(&now, &fields);
	fields.tm_mday += days;
	fields.tm_hour = hours;
	fields.tm_min = minutes;
	fields.tm_sec = seconds;
	fields.tm_isdst = -1;
	return (is_local ? mktime(&fields) : timegm(&fields)) * SECOND_NS;
}

/* Words for moments, and a time of day, which is the last one that has been. */
static bool parse_recent(const char *text, int64_t now_ns, int64_t *moment_ns)
{
	int64_t nanoseconds = 0;
	int hours, minutes, seconds = 0;

	if (strcmp(text, "now") == 0)
		*moment_ns = now_ns;
	else if (strcmp(text, "today") == 0)
		*moment_ns = of_today(now_ns, 0, 0, 0, 0);
	else if (strcmp(text, "yesterday") == 0)
		*moment_ns = of_today(now_ns, -1, 0, 0, 0);
	else if (take_digits(&text, 2, &hours) && take(&text, ':') &&
		 take_digits(&text, 2, &minutes) &&
		 (!take(&text, ':') || take_digits(&text, 2, &seconds)) &&
		 (!take(&text, '.') || take_decimals(&text, &nanoseconds)) && *text == '\0' &&
		 hours <= 23 && minutes <= 59 && seconds <= 59) {
		*moment_ns = of_today(now_ns, 0, hours, minutes, seconds) + nanoseconds;
		if (*moment_ns > now_ns)
			*moment_ns = of_today(now_ns, -1, hours, minutes, seconds) + nanoseconds;
	} else {
		return false;
	}
	return *moment_ns >= 0;
}

static bool parse_ago(const char *text, int64_t now_ns, int64_t *moment_ns)
{
	int64_t ago;

	if (!duration_parse(text, &ago))
		return false;
	*moment_ns = now_ns - ago;
	return *moment_ns >= 0;
}

bool moment_parse(const char *text, int64_t now_ns, int64_t *moment_ns)
{
	if (take(&text, '@'))
		return take_number(&text, moment_ns) && *text == '\0' &&
		       !__builtin_mul_overflow(*moment_ns, SECOND_NS, moment_ns);
	return parse_date(text, moment_ns) || parse_recent(text, now_ns, moment_ns) ||
	       parse_ago(text, now_ns, moment_ns);
}

/* Writes `count` digits, and returns where they end. */
static char *put_digits(char *text, int64_t number, int count)
{
	for (int i = count - 1; i >= 0; i--, number /= 10)
		text[i] = (char)('0' + number % 10);
	return text + count;
}

/* A view of a million records is made of this, and strftime() is slow. */
void moment_format(int64_t moment_ns, int decimals, char text[MOMENT_TEXT_SIZE])
{
	int64_t nanoseconds = moment_ns % SECOND_NS;
	time_t seconds = moment_ns / SECOND_NS;
	struct tm fields;

	/* Division rounds towards zero; a moment before 1970 belongs to the second before. */
	if (nanoseconds < 0) {
		nanoseconds += SECOND_NS;
		seconds--;
	}
	gmtime_r(&seconds, &fields);
	text = put_digits(text, fields.tm_year + 1900, 4);
	*text++ = '-';
	text = put_digits(text, fields.tm_mon + 1, 2);
	*text++ = '-';
	text = put_digits(text, fields.tm_mday, 2);
	*text++ = 'T';
	text = put_digits(text, fields.tm_hour, 2);
	*text++ = ':';
	text = put_digits(text, fields.tm_min, 2);
	*text++ = ':';
	text = put_digits(text, fields.tm_sec, 2);
	if (decimals > 0) {
		*text++ = '.';
		put_digits(text, nanoseconds, 9);
		text += decimals;
	}
	strcpy(text, "Z");
}

void duration_format(int64_t duration_ns, char text[DURATION_TEXT_SIZE])
{
	int64_t seconds = duration_ns > 0 ? duration_ns / SECOND_NS : 0;
	int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (days > 0)
		snprintf(text, DURATION_TEXT_SIZE, "%" PRId64 "d%" PRId64 "h", days, hours % 24);
	else if (hours > 0)
		snprintf(text, DURATION_TEXT_SIZE, "%" PRId64 "h%" PRId64 "m", hours, minutes % 60);
	else if (minutes > 0)
		snprintf(text, DURATION_TEXT_SIZE, "%" PRId64 "m%" PRId64 "s", minutes,
			 seconds % 60);
	else
		snprintf(text, DURATION_TEXT_SIZE, "%" PRId64 "s", seconds);
}
