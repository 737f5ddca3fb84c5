/* SPDX-License-Identifier: Apache-2.0 */
/* A command line that is not understood is named, ends with status 2, and changes nothing. */
#include "replays.h"

#include <stdlib.h>
#include <unistd.h>

static void expect_usage(const char *option, const char *value, const char *message)
{
	char directory[PATH_MAX];
	struct run run;
	char *errors;

	test_path(directory, "environment");
	run_start(&run, -1, option, value, directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 2);
	errors = run_errors(&run);
	EXPECT_CONTAINS(errors, message);
	free(errors);
	EXPECT(access(directory, F_OK) != 0);
}

int main(int argc, char **argv)
{
	struct run run;
	char *text;

	replays_begin(argc, argv, 60);
	expect_usage("--workers", "0", "--workers: '0': a whole number from 1 to 1000 is needed");
	expect_usage("--workers", "1001", "a whole number from 1 to 1000");
	expect_usage("--workers", "99999999999999999999", "a whole number from 1 to 1000");
	expect_usage("--workers", "4x", "a whole number from 1 to 1000");
	expect_usage("--workers", "", "a whole number from 1 to 1000");
	expect_usage("--max-output", "-1", "a whole number from 0 to 2147483648");
	expect_usage("--max-output", "2147483649", "a whole number from 0 to 2147483648");
	expect_usage("--price-in", "1e3", "--price-in: '1e3': ");
	expect_usage("--price-out", "-1", "--price-out: '-1': ");
	expect_usage("--limit", "", "--limit: '': ");
	expect_usage("--limit", "0", "--limit: it must be more than 0");
	expect_usage("--limit", "0.0000000001", "--limit: '0.0000000001': ");
	expect_usage("--period", "fortnightly", "--period: 'fortnightly': the periods are ");
	expect_usage("--speed", "-1", "--speed: '-1': a number from 0 to 1000000 is needed");
	expect_usage("--speed", "inf", "--speed: 'inf': a number");
	expect_usage("--speed", "1.2.3", "--speed: '1.2.3': a number");
	expect_usage("--speed", ".", "--speed: '.': a number");
	expect_usage("--speed", "1000001", "a number from 0 to 1000000");
	expect_usage("--durability", "some", "--durability: 'some': it is full or process");
	expect_usage("--colour", "red", "unrecognized option");
	expect_usage("one", "t\033wo", "DIR: 't\\x1bwo': there is one already");

	run_start(&run, -1, "--json", NULL);
	EXPECT_EQUAL(run_wait(&run), 2);
	run_start(&run, -1, "--help", NULL);
	EXPECT_EQUAL(run_wait(&run), 0);
	text = run_output(&run);
	EXPECT_CONTAINS(text, "--price-out=AMOUNT");
	free(text);
	run_start(&run, -1, "/nowhere/at/all", NULL);
	EXPECT_EQUAL(run_wait(&run), 3);
	text = run_errors(&run);
	EXPECT_CONTAINS(text, "be-replay: /nowhere/at/all: ");
	free(text);
	return 0;
}
