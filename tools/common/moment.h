/* SPDX-License-Identifier: Apache-2.0 */
/* Moments and durations as people write them. A moment is an int64_t of nanoseconds since
 * 1970-01-01 UTC, as everywhere in the library. */
#ifndef MOMENT_H
#define MOMENT_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that hold any moment as text, with its NUL: "2262-04-11T23:47:16.854775807Z". */
#define MOMENT_TEXT_SIZE 40
/* The same of a duration: "106751d23h". */
#define DURATION_TEXT_SIZE 24

/* The system's clock. */
int64_t moment_now_ns(void);

/* Understands "2023-11-16", "2023-11-16 18:15[:46[.68]]" (with T or a space, in UTC unless Z or an
 * offset such as +01:00 follows), "@SECONDS" since 1970, "now", "today" and "yesterday" (when these
 * days began in UTC), "22:30[:15[.5]]" (when it was that time last, in UTC), and "90s", "30m",
 * "1.5h", "7d" or "2w", which mean so long before `now_ns`. False for anything else, and for what
 * lies before 1970 or after 2262. */
bool moment_parse(const char *text, int64_t now_ns, int64_t *moment_ns);

/* From now on what has no offset, and the days of "today" and "yesterday", are by the clock of this
 * process's time zone, TZ, in place of UTC. */
void moment_use_local(void);

/* As RFC 3339 has it, in UTC, with `decimals` (0 to 9) digits of the second; more are cut. */
void moment_format(int64_t moment_ns, int decimals, char text[MOMENT_TEXT_SIZE]);

/* Understands "90s", "30m", "1.5h", "7d" and "2w", with up to nine decimals. False for anything
 * else, and for more than 292 years. */
bool duration_parse(const char *text, int64_t *duration_ns);

/* The two largest units: "45s", "12m5s", "2h13m", "6d4h". A negative duration counts as none:
 * "0s". */
void duration_format(int64_t duration_ns, char text[DURATION_TEXT_SIZE]);

#endif
