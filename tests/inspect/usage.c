/* SPDX-License-Identifier: Apache-2.0 */
/* A command line that is not understood is named and ends with status 2, before anything is
 * opened. */
#include "inspects.h"

#include <stdlib.h>

static void check_values(void)
{
	EXPECT_REFUSED(2, "--min: '1e3': ", "--min", "1e3", "/nowhere");
	EXPECT_REFUSED(2, "--max: '-1': ", "--max=-1", "/nowhere");
	EXPECT_REFUSED(2, "--max: '0.0000000001': ", "--max", "0.0000000001", "/nowhere");
	EXPECT_REFUSED(2, "--limit: '0': a whole number from 1 to 18446744073709551615 is needed",
		       "--limit", "0", "/nowhere");
	EXPECT_REFUSED(2, "--limit: '-1': ", "--limit", "-1", "/nowhere");
	EXPECT_REFUSED(2, "--limit: '18446744073709551616': ", "--limit", "18446744073709551616",
		       "/nowhere");
	EXPECT_REFUSED(2, "--limit: '10x': ", "--limit", "10x", "/nowhere");
	EXPECT_REFUSED(2, "--limit: '': ", "--limit", "", "/nowhere");
	EXPECT_REFUSED(2, "--since: 'someday': a time is needed", "--since", "someday", "/nowhere");
	EXPECT_REFUSED(2, "--until: '2023-02-29': a time is needed", "--until", "2023-02-29",
		       "/nowhere");
	EXPECT_REFUSED(2, "--since: '\\x1b[2J': a time", "--since", "\033[2J", "/nowhere");
	EXPECT_REFUSED(2, "unrecognized option '--colour'", "--colour", "/nowhere");
}

static void check_combinations(void)
{
	EXPECT_REFUSED(2, "ENVIRONMENT is missing", "--json");
	EXPECT_REFUSED(2, "'balances' is no view; the views are envelopes, commits,", "/nowhere",
		       "balances");
	EXPECT_REFUSED(2, "one VIEW at a time", "/nowhere", "commits", "verify");
	EXPECT_REFUSED(2, "one of --json, --csv, --raw, --prometheus, --svg and --html at a time",
		       "--json", "--raw", "/nowhere");
	EXPECT_REFUSED(2, "--json has no --noheadings", "-jH", "/nowhere");
	EXPECT_REFUSED(2, "verify has no --category", "/nowhere", "verify", "--category", "llm");
	EXPECT_REFUSED(2, "verify has no --limit", "/nowhere", "verify", "--limit", "1");
	EXPECT_REFUSED(2, "verify has no --output", "/nowhere", "verify", "--output", "id");
	EXPECT_REFUSED(2, "verify has no --sort", "/nowhere", "verify", "--sort", "id");
	EXPECT_REFUSED(2, "verify has no --csv", "/nowhere", "verify", "--csv");
	EXPECT_REFUSED(2, "stats has no --raw", "/nowhere", "stats", "--raw");
	EXPECT_REFUSED(2, "owners has no --category", "/nowhere", "owners", "--category", "llm");
	EXPECT_REFUSED(2, "commits has no --follow", "/nowhere", "commits", "--follow");
	EXPECT_REFUSED(2, "--prometheus has only --namespace, --category, --below and --top",
		       "/nowhere", "--prometheus", "--limit", "5");
	EXPECT_REFUSED(2, "of envelopes only --prometheus has --below and --top", "/nowhere",
		       "--top", "5");
	EXPECT_REFUSED(2, "--prometheus=: a file must be named", "/nowhere", "--prometheus=");
	EXPECT_REFUSED(2, "commits has no --prometheus", "/nowhere", "commits", "--prometheus");
	EXPECT_REFUSED(2, "--watch has only filters, --sort and --interval", "/nowhere", "--watch",
		       "--json");
	EXPECT_REFUSED(2, "--watch has only filters, --sort and --interval", "/nowhere", "-w", "-o",
		       "id");
	EXPECT_REFUSED(2, "report has no --watch", "/nowhere", "report", "--watch");
	EXPECT_REFUSED(2, "stats has no --watch", "/nowhere", "stats", "--watch");
	EXPECT_REFUSED(2, "one of --follow and --watch at a time", "/nowhere", "transactions",
		       "-fw");
	EXPECT_REFUSED(2, "--watch does not sort by labels", "/nowhere", "commits", "-w", "--sort",
		       "labels");
	EXPECT_REFUSED(2, "--interval: '0.01': 0.1 to 3600 seconds", "/nowhere", "-w", "--interval",
		       "0.01");
	EXPECT_REFUSED(2, "--interval goes with --watch", "/nowhere", "--interval", "1");
	EXPECT_REFUSED(2, "--follow has neither --sort nor --until", "/nowhere", "transactions",
		       "--follow", "--sort", "id");
	EXPECT_REFUSED(2, "--sort: commits has no column 'limit'; it has ", "/nowhere", "commits",
		       "--sort", "-limit");
	EXPECT_REFUSED(2, "--sort: envelopes has no column ''; it has ", "/nowhere", "--sort", "");
	EXPECT_REFUSED(2, "--output: envelopes has no column 'held'; it has ", "--output",
		       "limit,held,id", "/nowhere");
	EXPECT_REFUSED(2, "--output: commits has no column ''", "--output", "id,", "/nowhere",
		       "commits");
	EXPECT_REFUSED(2, "--output: commits has no column ''", "--output", "", "/nowhere",
		       "commits");
	EXPECT_REFUSED(2, "--output: commits has no column 'a\\x1bb'", "--output", "a\033b",
		       "/nowhere", "commits");
}

static void check_help(void)
{
	char *text = inspect_text("--help", NULL);

	EXPECT_CONTAINS(text, "ENVIRONMENT [VIEW]");
	EXPECT_CONTAINS(text,
			"Exit status: 0 all went well, 1 verify found a difference or damage, 2 ");
	EXPECT_CONTAINS(text, "the latest transactions");
	EXPECT_CONTAINS(text, "\nenvelopes\n");
	EXPECT_CONTAINS(text, " * USED%        utilization_percent ");
	EXPECT_CONTAINS(text, "\ncommits\n");
	EXPECT_CONTAINS(text, "   POLICY       reap_policy ");
	EXPECT_CONTAINS(text, "\ntransactions\n");
	EXPECT_LACKS(text, "\nverify\n");
	free(text);
	text = inspect_text("--usage", NULL);
	EXPECT_CONTAINS(text, "[--since=TIME]");
	free(text);
	text = inspect_text("--version", NULL);
	EXPECT_CONTAINS(text, "be-inspect ");
	free(text);
}

int main(int argc, char **argv)
{
	inspects_begin(argc, argv, 60);
	check_values();
	check_combinations();
	check_help();
	return 0;
}
