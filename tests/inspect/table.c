/* SPDX-License-Identifier: Apache-2.0 */
/* The tables for people: what stands in them, aligned, amounts to the right and to the last
 * digit. */
#include "inspects.h"

#include <stdlib.h>
#include <unistd.h>

static void fill(struct be_enforcer *handle, struct be_enforcer *task)
{
	struct be_envelope_options child = BE_ENVELOPE_OPTIONS_INIT;
	struct be_commit_options detached = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	child.parent_namespace = "";
	child.parent_category = "day";
	child.suspended = true;
	detached.detached = true;
	detached.reap_policy = BE_REAP_CHARGE;
	EXPECT_OK(be_envelope_create(handle, "day", 10 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(task, "tools", 3 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(task, "llm-inference", INT64_MAX, BE_PERIOD_TOTAL, &child));
	EXPECT_OK(be_commit(task, "tools", BE_UNIT, "first", &id));
	EXPECT_OK(be_settle(task, id, BE_UNIT / 3, NULL, NULL));
	EXPECT_OK(be_record(handle, "day", 1, "one nano", NULL));
	EXPECT_OK(be_commit(task, "tools", BE_UNIT / 2, "a tool, called", &id));
	EXPECT_OK(be_commit_with(task, "tools", 1, NULL, &detached, &id, NULL));
	for (int i = 0; i < 12; i++)
		EXPECT_STATUS(be_check(handle, "day", 10 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	EXPECT_STATUS(be_check(task, "llm-inference", 1, NULL), BE_SUSPENDED);
}

static void check_envelopes(const char *path)
{
	char *text = inspect_text(path, NULL);

	EXPECT_TEXT(
		text,
		"NAMESPACE CATEGORY                       LIMIT       SPENT   COMMITTED            "
		"AVAILABLE USED% "
		"REFUSED PERIOD ENDS STATE     PARENT\n"
		"task 7    tools                              3 0.333333333 0.500000001          "
		"2.166666666 27.77 "
		"      0 total     - active    -\n"
		"-         day                               10 0.000000001           0          "
		"9.999999999  0.00 "
		"     12 total     - active    -\n"
		"task 7    \u2514\u2500llm-inference 9223372036.854775807           0           0 "
		"9223372036.854775807  0.00 "
		"      1 total     - suspended day\n");
	free(text);
}

static void check_commits(const char *path)
{
	char *text, expected[1024], pid[16];
	int width = snprintf(pid, sizeof pid, "%d", (int)getpid());

	if (width < 5)
		width = 5;
	/* Without the age, which counts from the test's clock to the real one. */
	text = inspect_text(
		"--output",
		"id,namespace,category,amount,expires,owner,state,alive,detached,policy,"
		"created,description",
		path, "commits", NULL);
	snprintf(expected, sizeof expected,
		 "ID NAMESPACE CATEGORY      AMOUNT EXPIRES %*s STATE   ALIVE DETACHED POLICY  "
		 "CREATED       "
		 "   "
		 "        DESCRIPTION\n"
		 " 2 task 7    tools            0.5       - %*s pending yes   no       release "
		 "2023-11-16T18:15:46.680Z a tool, called\n"
		 " 3 task 7    tools    0.000000001       - %*s pending yes   yes      charge  "
		 "2023-11-16T18:15:46.680Z -\n",
		 width, "OWNER", width, pid, width, pid);
	EXPECT_TEXT(text, expected);
	free(text);
}

static void check_transactions(const char *path)
{
	char *text = inspect_text(path, "transactions", NULL);

	EXPECT_TEXT(text, "ID AT                       KIND   NAMESPACE CATEGORY      AMOUNT HELD "
			  "COMMIT DESCRIPTION\n"
			  " 1 2023-11-16T18:15:46.680Z settle task 7    tools    0.333333333    1  "
			  "    1 first\n"
			  " 2 2023-11-16T18:15:46.680Z record -         day      0.000000001    0  "
			  "    - one nano\n");
	free(text);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle, *task;
	char path[PATH_MAX];

	inspects_begin(argc, argv, 60);
	handle = inspected_open(NULL, &now_ns, path);
	task = inspected_open("task 7", &now_ns, NULL);
	fill(handle, task);
	check_envelopes(path);
	check_commits(path);
	check_transactions(path);
	be_close(task);
	be_close(handle);
	return 0;
}
