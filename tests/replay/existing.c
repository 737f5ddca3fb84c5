/* SPDX-License-Identifier: Apache-2.0 */
/* An envelope that exists is used with its limit and with what it has spent; it is never changed,
 * and a limit or period that differs from it is an error. */
#include "replays.h"

#include <stdlib.h>

#define TOTAL INT64_C(27892476000)

static void expect_differs(const char *directory, const char *option, const char *value)
{
	struct run run;
	char *errors;

	run_start(&run, -1, option, value, directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 3);
	errors = run_errors(&run);
	EXPECT_CONTAINS(errors, "the envelope 'llm' exists with limit 40 and period total");
	free(errors);
}

int main(int argc, char **argv)
{
	char directory[PATH_MAX];
	struct be_enforcer *handle;
	struct run run;
	json_t *summary;
	int64_t spent;

	replays_begin(argc, argv, 60);
	test_path(directory, "environment");
	run_start(&run, -1, "--limit", "40", directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 0);
	handle = test_open(directory, BE_DURABILITY_FULL);
	EXPECT_BALANCE(handle, "llm", TOTAL, 0);

	expect_differs(directory, "--limit", "100");
	expect_differs(directory, "--period", "hourly");
	EXPECT_BALANCE(handle, "llm", TOTAL, 0);

	run_start(&run, -1, "--json", directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 0);
	summary = run_json(&run);
	spent = json_amount(summary, "spent");
	EXPECT_EQUAL(json_amount(summary, "limit"), 40 * BE_UNIT);
	EXPECT_EQUAL(json_amount(summary, "spent_before"), TOTAL);
	EXPECT_EQUAL(spent + json_amount(summary, "refused_cost"), TOTAL);
	EXPECT(json_count(summary, "refused") > 0);
	EXPECT_CONTAINS(json_string_value(json_object_get(summary, "answer")),
			"The budget of 40, with 27.892476 spent before, would have refused ");
	json_decref(summary);
	EXPECT_BALANCE(handle, "llm", TOTAL + spent, 0);

	/* Suspended is neither permitted nor refused for lack of budget: there is no answer. */
	EXPECT_OK(be_envelope_suspend(handle, "llm"));
	run_start(&run, -1, directory, NULL);
	EXPECT_EQUAL(run_wait(&run), 3);
	EXPECT_BALANCE(handle, "llm", TOTAL + spent, 0);
	be_close(handle);
	return 0;
}
