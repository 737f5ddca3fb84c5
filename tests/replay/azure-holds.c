/* SPDX-License-Identifier: Apache-2.0 */
/* The real trace under a limit that it does not reach: all of it is permitted, and it costs to the
 * nano what its tokens cost. */
#include "replays.h"

#include <stdio.h>

#define TOTAL INT64_C(57868362000)

int main(int argc, char **argv)
{
	char directory[PATH_MAX];
	struct be_enforcer *handle;
	struct run run;
	json_t *summary;

	replays_begin(argc, argv, 240);
	test_path(directory, "environment");
	run_start(&run, -1, "--json", "--workers", "4", "--trace", replays_real_trace(),
		  "--price-in", "3", "--price-out", "15", "--limit", "100", "--period", "total",
		  "--speed", "0", directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 0);
	summary = run_json(&run);
	EXPECT_EQUAL(json_count(summary, "requests"), 8819);
	EXPECT_EQUAL(json_count(summary, "permitted"), 8819);
	EXPECT_EQUAL(json_count(summary, "refused"), 0);
	EXPECT_EQUAL(json_count(summary, "costs_rounded_up"), 0);
	EXPECT_EQUAL(json_count(summary, "costs_above_estimate"), 0);
	EXPECT_EQUAL(json_amount(summary, "spent"), TOTAL);
	EXPECT_EQUAL(json_amount(summary, "refused_cost"), 0);

	handle = test_open(directory, BE_DURABILITY_FULL);
	EXPECT_BALANCE(handle, "llm", TOTAL, 0);
	EXPECT_EQUAL(verified_transactions(handle), 8819);
	be_close(handle);
	printf("%lld operations per second, p50 %lld ns, p99 %lld ns, max %lld ns\n",
	       (long long)json_count(summary, "operations_per_second"),
	       (long long)json_count(summary, "latency_p50_ns"),
	       (long long)json_count(summary, "latency_p99_ns"),
	       (long long)json_count(summary, "latency_max_ns"));
	json_decref(summary);
	return 0;
}
