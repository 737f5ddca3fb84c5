/* SPDX-License-Identifier: Apache-2.0 */
/* A replay that is interrupted leaves nothing half done: every request begun is settled, nothing
 * stays committed, and a summary of what was done is printed. */
#include "replays.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void interrupt(const char *what, const char *trace, const char *speed, int signal_number,
		      bool group)
{
	char directory[PATH_MAX];
	struct be_enforcer *handle;
	struct run run;
	json_t *summary;
	int64_t permitted, requests;

	test_path(directory, "%s", what);
	handle = test_open(directory, BE_DURABILITY_FULL);
	run_start(&run, -1, "--json", "--workers", "4", "--limit", "1000000", "--speed", speed,
		  trace ? "--trace" : "--json", trace ? trace : directory, trace ? directory : NULL,
		  NULL);
	await_spending(handle, "llm");
	EXPECT(kill(group ? -run.pid : run.pid, signal_number) == 0);
	EXPECT_EQUAL(run_wait(&run), 130);

	summary = run_json(&run);
	permitted = json_count(summary, "permitted");
	requests = json_count(summary, "requests");
	EXPECT(json_is_true(json_object_get(summary, "interrupted")));
	EXPECT(permitted > 0 && permitted < requests);
	EXPECT_EQUAL(json_count(summary, "refused"), 0);
	EXPECT_EQUAL(json_count(summary, "unfinished"), 0);
	EXPECT_CONTAINS(json_string_value(json_object_get(summary, "answer")), "No answer: only ");
	EXPECT_BALANCE(handle, "llm", json_amount(summary, "spent"), 0);
	EXPECT_EQUAL(verified_transactions(handle), permitted);
	printf("%s: ended after %lld of %lld requests\n", what, (long long)permitted,
	       (long long)requests);
	json_decref(summary);
	be_close(handle);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];

	replays_begin(argc, argv, 120);
	/* Six minutes of waiting between requests, and a million of them without any waiting: both
	 * are sure to be in the middle when the first spending is seen. */
	interrupt("ctrl-c-while-waiting", NULL, "10", SIGINT, true);
	interrupt("terminated-while-waiting", NULL, "10", SIGTERM, false);
	test_path(path, "trace.csv");
	trace_write(path, 1000000, 1000, 10);
	interrupt("ctrl-c-while-working", path, "0", SIGINT, true);
	interrupt("terminated-while-working", path, "0", SIGTERM, false);
	interrupt("hung-up-while-working", path, "0", SIGHUP, true);
	return 0;
}
