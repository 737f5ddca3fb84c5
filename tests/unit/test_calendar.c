/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows by the calendar, compared with a table that Python's zoneinfo makes while the test runs
 * (windows.py): around the changes of zones and at random moments of 2020 to 2037. TEST_LONG=1 goes
 * through all zones that the system has. And zone files: any bytes are read, or refused.
 */
#include "rules/calendar.h"
#include "rules/tzif.h"
#include "support.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONES "/usr/share/zoneinfo"
#define FROM_S (INT64_C(1577836800) - 400 * 86400) /* before 2020 */

static size_t read_file(const char *name, uint8_t *bytes, size_t room)
{
	char path[300];
	size_t size;
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", ZONES, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	size = fread(bytes, 1, room, file);
	fclose(file);
	return size;
}

static bool load(const char *name, struct zone *zone)
{
	static uint8_t bytes[65536];
	uint8_t packed[ZONE_PACKED_MAX];
	size_t size = read_file(name, bytes, sizeof bytes);
	const char *why = "it cannot be read";

	size = size > 0 ? tzif_pack(bytes, size, FROM_S, packed, &why) : 0;
	if (size == 0)
		fprintf(stderr, "%s: %s\n", name, why);
	return size > 0 && zone_unpack(packed, size, zone);
}

static bool is_long(void)
{
	const char *wanted = getenv("TEST_LONG");

	return wanted && strcmp(wanted, "1") == 0;
}

Test(calendar, windows_are_those_of_an_independent_table)
{
	char command[300], name[100], last[100] = "";
	int64_t now_s, start_s, end_s, start_ns, end_ns;
	unsigned rows = 0, period, begins_on;
	struct zone zone;
	FILE *table;

	if (system("python3 -c 'import zoneinfo; zoneinfo.ZoneInfo(\"Europe/Berlin\")' "
		   "2>/dev/null") != 0 ||
	    !load("Europe/Berlin", &zone)) {
		fprintf(stderr,
			"SKIPPED, nothing is compared: there is no python3 with zoneinfo, or "
			"no " ZONES "\n");
		cr_skip_test("there is no python3 with zoneinfo, or no tzdata");
	}
	snprintf(command, sizeof command, "python3 '%s' " ZONES " %llu %s", WINDOWS_TABLE,
		 (unsigned long long)test_seed(), is_long() ? "0 6" : "6 4");
	fprintf(stderr, "%s\n", command);
	table = popen(command, "r");
	cr_assert(table);
	while (fscanf(table, "%99s %u %u %" SCNd64 " %" SCNd64 " %" SCNd64, name, &period,
		      &begins_on, &now_s, &start_s, &end_s) == 6) {
		if (strcmp(name, last) != 0)
			cr_assert(load(name, &zone));
		strcpy(last, name);
		calendar_window((enum be_period)period, begins_on, &zone, now_s * BE_UNIT,
				&start_ns, &end_ns);
		cr_assert(start_ns == start_s * BE_UNIT && end_ns == end_s * BE_UNIT,
			  "%s %s %u at %" PRId64 ": %" PRId64 " to %" PRId64 ", not %" PRId64
			  " to %" PRId64,
			  name, be_period_name((enum be_period)period), begins_on, now_s,
			  start_ns / BE_UNIT, end_ns / BE_UNIT, start_s, end_s);
		rows++;
	}
	cr_assert_eq(pclose(table), 0);
	cr_assert_gt(rows, 300);
	fprintf(stderr, "%u windows are as they should be\n", rows);
}

Test(calendar, days_have_23_to_25_hours_and_months_28_to_31_days)
{
	int64_t now_ns = INT64_C(1577836800) * BE_UNIT, start_ns, end_ns;
	int64_t least = INT64_MAX, most = 0;
	struct zone zone;

	if (!load("Europe/Berlin", &zone))
		cr_skip_test("there is no tzdata");
	for (int i = 0; i < 3000; i++, now_ns = end_ns) {
		calendar_window(BE_PERIOD_DAILY, 0, &zone, now_ns, &start_ns, &end_ns);
		cr_assert(i == 0 || start_ns == now_ns);
		least = end_ns - start_ns < least ? end_ns - start_ns : least;
		most = end_ns - start_ns > most ? end_ns - start_ns : most;
	}
	cr_expect_eq(least, 23 * 3600 * BE_UNIT);
	cr_expect_eq(most, 25 * 3600 * BE_UNIT);
	zone_make_utc(&zone);
	for (int i = 0; i < 100; i++, now_ns = end_ns) {
		int64_t days;

		calendar_window(BE_PERIOD_MONTHLY, 31, &zone, now_ns, &start_ns, &end_ns);
		days = (end_ns - start_ns) / (86400 * BE_UNIT);
		cr_assert(days >= 28 && days <= 31, "%" PRId64, days);
	}
}

/* A zone file with bytes changed, or cut: it is refused, or windows are where they should be. */
static void use(const uint8_t *bytes, size_t size)
{
	static const int64_t moments[] = {INT64_MIN, -1, 0, INT64_C(1700000000) * BE_UNIT,
					  INT64_MAX};
	uint8_t packed[ZONE_PACKED_MAX];
	int64_t start_ns, end_ns;
	const char *why;
	size_t packed_size = tzif_pack(bytes, size, FROM_S, packed, &why);
	struct zone zone;

	if (packed_size == 0)
		return;
	cr_assert(zone_unpack(packed, packed_size, &zone));
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
		for (int period = BE_PERIOD_HOURLY; period <= BE_PERIOD_YEARLY; period++) {
			calendar_window((enum be_period)period, 0, &zone, moments[i], &start_ns,
					&end_ns);
			cr_assert(start_ns <= moments[i]);
			cr_assert(moments[i] < end_ns || end_ns == INT64_MAX);
		}
}

Test(calendar, hostile_zone_files_are_refused_or_harmless)
{
	static const char *const names[] = {"Europe/Berlin", "Africa/Casablanca", "UTC",
					    "Asia/Kathmandu"};
	uint64_t random = test_seed();
	static uint8_t bytes[65536];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t size = read_file(names[i], bytes, sizeof bytes);

		for (int trial = 0; size > 0 && trial < 3000; trial++) {
			size_t cut = trial % 3 == 0 ? test_random(&random) % size : size;
			uint8_t *exact = malloc(cut + 1);

			cr_assert(exact);
			memcpy(exact, bytes, cut);
			for (int change = 0; cut > 0 && change < 1 + trial % 4; change++)
				exact[test_random(&random) % cut] = (uint8_t)test_random(&random);
			use(exact, cut);
			free(exact);
		}
	}
}

Test(calendar, rules_are_read_as_they_are_written_or_not_at_all)
{
	static const struct {
		const char *rule;
		bool is_one;
	} cases[] = {
		{"", true},
		{"UTC0", true},
		{"CET-1CEST,M3.5.0,M10.5.0/3", true},
		{"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", true},
		{"XXX3EDT4,0/0,J365/23", true},
		{"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true},
		{"CET-1CEST", false},
		{"CE-1", false},
		{"CET", false},
		{"CET-1CEST,M3.6.0,M10.5.0", false},
		{"CET-1CEST,M13.5.0,M10.5.0", false},
		{"CET-1CEST,M3.5.7,M10.5.0", false},
		{"CET-1CEST,J0,J366", false},
		{"CET-25", false},
		{"CET-1CEST,M3.5.0/168,M10.5.0", false},
		{"CET-1CEST,M3.5.0,M10.5.0 ", false},
		{"<CET-1", false},
	};
	uint8_t packed[ZONE_PACKED_MAX];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(zone_pack(packed, 0, NULL, 0, cases[i].rule, strlen(cases[i].rule)) >
				     0,
			     cases[i].is_one, "\"%s\"", cases[i].rule);
}
