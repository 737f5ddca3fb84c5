/* SPDX-License-Identifier: Apache-2.0 */
/* Windows end by the trace's time, not by the machine's. */
#include "replays.h"

#include <stdio.h>

/* Three requests in the first hour, three in the second, which begins 3 600 seconds after the first
 * request, and three after some idle hours. */
static const char trace[] = "2023-11-16 18:17:03.5,1000000,0\n"
			    "2023-11-16 18:17:04,1000000,0\n"
			    "2023-11-16 19:17:03.499999999,1000000,0\n"
			    "2023-11-16 19:17:03.500000000,1000000,0\n"
			    "2023-11-16 19:30:00,1000000,0\n"
			    "2023-11-16 20:17:03,1000000,0\n"
			    "2023-11-17 02:30:00,1000000,0\n"
			    "2023-11-17 02:31:00,1000000,0\n"
			    "2023-11-17 03:17:03,1000000,0\n";

/* Each request costs 4, and so two of them fit into a limit of 10. */
static void replay(const char *path, const char *period, const char *speed, int permitted,
		   const char *sentence)
{
	char directory[PATH_MAX];
	struct run run;
	json_t *summary;

	test_path(directory, "%s-%s", period, speed);
	run_start(&run, -1, "--json", "--workers", "1", "--trace", path, "--price-in", "4",
		  "--limit", "10", "--period", period, "--speed", speed, directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 0);
	summary = run_json(&run);
	EXPECT_EQUAL(json_count(summary, "permitted"), permitted);
	EXPECT_EQUAL(json_count(summary, "refused"), 9 - permitted);
	EXPECT_EQUAL(json_amount(summary, "spent"), permitted * 4 * BE_UNIT);
	EXPECT_TEXT(json_string_value(json_object_get(summary, "period")), period);
	EXPECT_TEXT(json_string_value(json_object_get(summary, "answer")), sentence);
	json_decref(summary);
	printf("%s at speed %s: %d permitted\n", period, speed, permitted);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	FILE *file;

	replays_begin(argc, argv, 120);
	test_path(path, "trace.csv");
	file = fopen(path, "w");
	EXPECT(file && fputs(trace, file) >= 0 && fclose(file) == 0);
	replay(path, "hourly", "0", 6,
	       "The budget of 10 an hour would have refused 3 of 9 requests, costing 12.");
	replay(path, "daily", "0", 2,
	       "The budget of 10 a day would have refused 7 of 9 requests, costing 28.");
	replay(path, "total", "0", 2,
	       "The budget of 10 would have refused 7 of 9 requests, costing 28.");
	/* At this speed the nine hours take a third of a second. */
	replay(path, "weekly", "100000", 2,
	       "The budget of 10 a week would have refused 7 of 9 requests, costing 28.");
	return 0;
}
