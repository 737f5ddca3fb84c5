/* SPDX-License-Identifier: Apache-2.0 */
/* A trace that is not understood, or costs more than can be counted, changes nothing: the
 * environment is not even created. The message names file and line. */
#include "replays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void expect_refused(const char *text, const char *price, const char *message)
{
	char directory[PATH_MAX], path[PATH_MAX];
	struct run run;
	FILE *file;
	char *errors;

	test_path(directory, "environment");
	test_path(path, "trace.csv");
	file = fopen(path, "w");
	EXPECT(file && fputs(text, file) >= 0 && fclose(file) == 0);
	run_start(&run, -1, "--trace", path, "--price-in", price, directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 3);
	errors = run_errors(&run);
	EXPECT_CONTAINS(errors, "trace.csv");
	EXPECT_CONTAINS(errors, message);
	free(errors);
	EXPECT(access(directory, F_OK) != 0);
}

int main(int argc, char **argv)
{
	char directory[PATH_MAX];
	struct run run;
	char *errors;

	replays_begin(argc, argv, 60);
	expect_refused("", "3", ": no requests in it");
	expect_refused("TIMESTAMP,ContextTokens,GeneratedTokens\r\n", "3", ": no requests in it");
	expect_refused("2023-11-16 18:17:03,1,1\n2023-11-16,1,1\n", "3",
		       ":2: bad timestamp; expected TIMESTAMP");
	expect_refused("2023-11-16 18:17:03,1,1\n\n2023-11-16 18:17:03,1,1\n", "3",
		       ":2: empty line");
	expect_refused("2023-11-16 18:17:03,-1,1\n", "3", ":1: bad ContextTokens");
	expect_refused("2023-11-16 18:17:03,1000000,0\n2023-11-16 18:17:03,1000000,0\n",
		       "9223372036", ":2: at these prices");

	test_path(directory, "environment");
	run_start(&run, -1, "--trace", "/nowhere/trace.csv", directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 3);
	errors = run_errors(&run);
	EXPECT_TEXT(errors, "be-replay: /nowhere/trace.csv: No such file or directory\n");
	free(errors);
	EXPECT(access(directory, F_OK) != 0);
	return 0;
}
