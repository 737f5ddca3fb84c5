/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in trace: every request is either permitted or refused, and envelope, ledger and
 * summary say the same, whatever the number of workers and whether the budget holds or not. */
#include "replays.h"

#include <stdio.h>
#include <stdlib.h>

#define TOTAL INT64_C(27892476000)

static void replay(const char *workers, const char *limit_text)
{
	char directory[PATH_MAX];
	struct be_enforcer *handle;
	struct run run;
	json_t *summary;
	int64_t limit, spent, refused_cost, permitted, refused;
	char *errors;

	EXPECT_OK(be_amount_parse(limit_text, &limit));
	test_path(directory, "workers-%s-limit-%s", workers, limit_text);
	run_start(&run, -1, "--json", "--workers", workers, "--limit", limit_text, directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 0);
	errors = run_errors(&run);
	EXPECT_TEXT(errors, "");
	free(errors);

	summary = run_json(&run);
	permitted = json_count(summary, "permitted");
	refused = json_count(summary, "refused");
	spent = json_amount(summary, "spent");
	refused_cost = json_amount(summary, "refused_cost");
	EXPECT_EQUAL(json_count(summary, "version"), 1);
	EXPECT_EQUAL(json_count(summary, "requests"), 2000);
	EXPECT_EQUAL(permitted + refused, 2000);
	EXPECT_EQUAL(json_count(summary, "operations"), 2 * permitted + refused);
	EXPECT_EQUAL(spent + refused_cost, TOTAL);
	EXPECT_EQUAL(json_amount(summary, "limit"), limit);
	EXPECT(spent <= limit);
	EXPECT((refused == 0) == (limit >= TOTAL));
	EXPECT(json_count(summary, "latency_p50_ns") > 0);
	EXPECT(json_count(summary, "latency_p50_ns") <= json_count(summary, "latency_p99_ns"));
	EXPECT(json_count(summary, "latency_p99_ns") <= json_count(summary, "latency_max_ns"));
	EXPECT(json_is_false(json_object_get(summary, "interrupted")));

	handle = test_open(directory, BE_DURABILITY_FULL);
	EXPECT_BALANCE(handle, "llm", spent, 0);
	EXPECT_EQUAL(verified_transactions(handle), permitted);
	be_close(handle);
	printf("%s workers, limit %s: %lld permitted, %lld refused, %lld operations per second\n",
	       workers, limit_text, (long long)permitted, (long long)refused,
	       (long long)json_count(summary, "operations_per_second"));
	json_decref(summary);
}

static void expect_sentence(const char *limit, const char *sentence)
{
	char directory[PATH_MAX];
	struct run run;
	char *text;

	test_path(directory, "sentence-%s", limit);
	run_start(&run, -1, "--workers", "1", "--limit", limit, "--category", "calls",
		  "--namespace", "day", "--durability", "process", directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 0);
	text = run_output(&run);
	EXPECT_CONTAINS(text, sentence);
	free(text);
}

int main(int argc, char **argv)
{
	replays_begin(argc, argv, 120);
	replay("4", "100");
	replay("4", "10");
	replay("1", "10");
	replay("100", "27.892475999");
	expect_sentence(
		"100",
		"\nThe budget of 100 would have held: all 2 000 requests permitted, at a cost of "
		"27.892476.\n");
	expect_sentence("0.000000001",
			"\nThe budget of 0.000000001 would have refused 2 000 of 2 000 requests, "
			"costing 27.892476.\n");
	return 0;
}
