/* SPDX-License-Identifier: Apache-2.0 */
/* The habits of lsblk: --output, --noheadings, --raw; and what is shown where there is nothing. */
#include "inspects.h"

#include <stdlib.h>

#define EXPECT_PRINTED(expected, ...)                                                              \
	do {                                                                                       \
		char *printed_text = inspect_text(__VA_ARGS__, NULL);                              \
		EXPECT_TEXT(printed_text, (expected));                                             \
		free(printed_text);                                                                \
	} while (0)

static void check_empty(const char *path)
{
	struct ending ending;

	inspect(&ending, path, NULL);
	EXPECT_EQUAL(ending.status, 0);
	EXPECT_TEXT(ending.output,
		    "NAMESPACE CATEGORY LIMIT SPENT COMMITTED AVAILABLE USED% REFUSED PERIOD "
		    "ENDS STATE PARENT\n");
	EXPECT_CONTAINS(ending.errors, "be-inspect: ");
	EXPECT_CONTAINS(ending.errors, ": no envelopes\n");
	ending_free(&ending);
	/* A filter may well match nothing, and a script that reads JSON sees that for itself. */
	EXPECT_PRINTED("ID LIMIT\n", path, "--category", "llm", "-o", "id,limit");
	EXPECT_PRINTED("", path, "--category", "llm", "--noheadings");
	EXPECT_PRINTED("ID AT KIND NAMESPACE CATEGORY AMOUNT HELD COMMIT DESCRIPTION\n", path,
		       "transactions");
	EXPECT_PRINTED("ID NAMESPACE CATEGORY AMOUNT AGE EXPIRES OWNER STATE DESCRIPTION\n", path,
		       "commits", "--raw");
	json_decref(inspect_json("--json", path, NULL));
}

static void check_columns(const char *path)
{
	EXPECT_PRINTED("CATEGORY LIMIT SPENT\n"
		       "llm        2.5     0\n",
		       path, "--output", "CATEGORY,LIMIT,SPENT");
	EXPECT_PRINTED("SPENT CATEGORY\n"
		       "    0 llm\n",
		       "-o", "spent,category", path);
	EXPECT_PRINTED(
		"USED% STARTED                  PENDING CHILDREN CREATED                  ID\n"
		" 0.00 2023-11-16T18:15:46.680Z       0        0 2023-11-16T18:15:46.680Z  1\n",
		"--output=utilization_percent,period_start,pending_commits,children,Created,iD",
		path);
	EXPECT_PRINTED("llm        2.5\n", "-H", "-o", "category,limit", path);
	EXPECT_PRINTED("NAMESPACE CATEGORY LIMIT SPENT COMMITTED AVAILABLE USED% REFUSED PERIOD "
		       "ENDS STATE  "
		       "PARENT ID\n"
		       "-         llm        2.5     0         0       2.5  0.00       0 total     "
		       "- active "
		       "-       1\n",
		       "-o", "+id", path);
}

static void check_raw(const char *path)
{
	EXPECT_PRINTED("NAMESPACE CATEGORY COMMIT AMOUNT DESCRIPTION\n"
		       "- llm - 0.25 two\\x20words\\x20\\x5c\n"
		       "- llm - 0.1 -\n",
		       "--raw", "-o", "namespace,category,commit,amount,description", path,
		       "transactions");
	EXPECT_PRINTED("llm 0.25\nllm 0.1\n", "-rH", "-o", "category,amount", path, "transactions");
}

static void check_refusals(struct be_enforcer *handle, const char *path)
{
	EXPECT_STATUS(be_check(handle, "llm", 3 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	EXPECT_OK(be_envelope_suspend(handle, "llm"));
	for (int i = 0; i < 9; i++)
		EXPECT_STATUS(be_check(handle, "llm", 3 * BE_UNIT, NULL), BE_SUSPENDED);
	EXPECT_OK(be_envelope_create(handle, "a", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_STATUS(be_check(handle, "a", 3 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	EXPECT_PRINTED("CATEGORY REFUSED REFUSED-BUDGET REFUSED-SUSPENDED\n"
		       "llm           10              1                 9\n"
		       "a              1              1                 0\n",
		       "--sort=-refused", "-o", "category,refused,refused-budget,refused_suspended",
		       path);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	inspects_begin(argc, argv, 60);
	handle = inspected_open(NULL, &now_ns, path);
	check_empty(path);
	EXPECT_OK(be_envelope_create(handle, "llm", 5 * BE_UNIT / 2, BE_PERIOD_TOTAL, NULL));
	check_columns(path);
	EXPECT_OK(be_record(handle, "llm", BE_UNIT / 4, "two words \\", NULL));
	EXPECT_OK(be_record(handle, "llm", BE_UNIT / 10, NULL, NULL));
	check_raw(path);
	check_refusals(handle, path);
	be_close(handle);
	return 0;
}
