/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that is killed takes at most the request in its hands with it, and the others do the
 * rest; a parent that is killed leaves no workers behind. */
#include "replays.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void kill_worker(const char *trace, int round)
{
	char directory[PATH_MAX];
	struct be_enforcer *handle;
	struct run run;
	json_t *summary;
	int64_t permitted, unfinished;
	uint64_t transactions;
	char *errors;

	test_path(directory, "worker-%d", round);
	handle = test_open(directory, BE_DURABILITY_FULL);
	run_start(&run, -1, "--json", "--workers", "4", "--limit", "1000000", "--trace", trace,
		  directory, NULL);
	await_spending(handle, "llm");
	EXPECT(kill(run_worker(&run), SIGKILL) == 0);
	EXPECT_EQUAL(run_wait(&run), 3);

	errors = run_errors(&run);
	EXPECT_CONTAINS(errors, "was killed by signal 9");
	free(errors);
	summary = run_json(&run);
	permitted = json_count(summary, "permitted");
	unfinished = json_count(summary, "unfinished");
	EXPECT(unfinished == 0 || unfinished == 1);
	EXPECT_EQUAL(json_count(summary, "refused"), 0);
	EXPECT_EQUAL(permitted + unfinished, json_count(summary, "requests"));
	/* The unfinished request may have been settled before anybody could count it. */
	transactions = verified_transactions(handle);
	EXPECT(transactions >= (uint64_t)permitted &&
	       transactions <= (uint64_t)(permitted + unfinished));
	EXPECT_BALANCE(handle, "llm",
		       json_amount(summary, "spent") / permitted * (int64_t)transactions, 0);
	printf("worker killed: %lld permitted, %lld unfinished\n", (long long)permitted,
	       (long long)unfinished);
	json_decref(summary);
	be_close(handle);
}

static void kill_parent(void)
{
	char directory[PATH_MAX];
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	struct be_enforcer *handle;
	struct run run;
	uint64_t requests;
	int held[2];
	char nothing;

	test_path(directory, "parent");
	handle = test_open(directory, BE_DURABILITY_FULL);
	/* The other end of this pipe closes when parent and workers are all gone. */
	EXPECT(pipe(held) == 0);
	run_start(&run, -1, "--workers", "4", "--limit", "1000000", "--speed", "10", directory,
		  NULL);
	close(held[1]);
	await_spending(handle, "llm");
	EXPECT(kill(run.pid, SIGKILL) == 0);
	EXPECT_EQUAL(run_wait(&run), 128 + SIGKILL);
	EXPECT_EQUAL(read(held[0], &nothing, 1), 0);
	close(held[0]);

	EXPECT_OK(be_utilization(handle, "llm", &envelope));
	EXPECT_EQUAL(envelope.committed, 0);
	requests = verified_transactions(handle);
	EXPECT(requests < 2000);
	printf("parent killed: workers gone after %llu requests\n", (unsigned long long)requests);
	be_close(handle);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];

	replays_begin(argc, argv, 120);
	test_path(path, "trace.csv");
	trace_write(path, 1500, 1000, 10);
	/* Where the worker is when it is killed is left to chance; many chances find the rare
	 * places. */
	for (int round = 0; round < 6; round++)
		kill_worker(path, round);
	kill_parent();
	return 0;
}
