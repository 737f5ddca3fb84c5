/* SPDX-License-Identifier: Apache-2.0 */
/* The filters: which rows each lets through, in every view; and which of many --limit shows. */
#include "inspects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_NS (3600 * SECOND_NS)

static void fill(struct be_enforcer *handle, struct be_enforcer *task, int64_t *now_ns)
{
	uint64_t id;

	/* Envelopes 1 to 4, commits 1 to 4 and transactions 1 to 4, an hour apart, of amounts 0 to
	 * 3. */
	for (int i = 0; i < 4; i++) {
		struct be_enforcer *here = i % 2 ? task : handle;
		const char *category = i < 2 ? "llm" : "tools";

		*now_ns = INSPECTED_NS + i * HOUR_NS;
		EXPECT_OK(be_envelope_create(here, category, (i + 1) * BE_UNIT, BE_PERIOD_TOTAL,
					     NULL));
		EXPECT_OK(be_commit(here, category, i * BE_UNIT / 10, NULL, &id));
		EXPECT_OK(be_record(here, category, i * BE_UNIT, NULL, NULL));
	}
}

/* The ids shown, in order and separated by blanks, are these. */
/* The ids shown, in order, are these, each with a blank behind it. */
#define EXPECT_IDS(expected, ...)                                                                  \
	expect_ids(__LINE__, (expected), inspect_text("-H", "--raw", "-o", "id", __VA_ARGS__, NULL))
static void expect_ids(int line, const char *expected, char *text)
{
	for (char *end = text; (end = strchr(end, '\n')); end++)
		*end = ' ';
	expect_text(__FILE__, line, "ids", text, expected);
	free(text);
}

/* Envelopes come most constrained first, which here are the latest. */
static void check_names(const char *path)
{
	EXPECT_IDS("4 3 2 1 ", path, "envelopes", "--limit", "9");
	EXPECT_IDS("3 1 ", path, "envelopes", "--namespace", "");
	EXPECT_IDS("4 2 ", path, "envelopes", "--namespace", "task");
	EXPECT_IDS("2 1 ", path, "envelopes", "--category", "llm");
	EXPECT_IDS("4 ", path, "envelopes", "--category", "tools", "--namespace", "task");
	EXPECT_IDS("", path, "envelopes", "--category", "tool");
	EXPECT_IDS("1 2 ", path, "commits", "--category", "llm");
	EXPECT_IDS("1 3 ", path, "transactions", "--namespace", "");
}

static void check_times(const char *path)
{
	static const char *const views[] = {"commits", "transactions"};

	for (int i = 0; i < 2; i++) {
		EXPECT_IDS("2 3 4 ", path, views[i], "--since", "2023-11-16T19:15:46.68Z");
		EXPECT_IDS("3 4 ", path, views[i], "--since", "2023-11-16T19:15:46.680000001Z");
		EXPECT_IDS("1 ", path, views[i], "--until", "2023-11-16T19:15:46.680Z");
		EXPECT_IDS("1 2 3 ", path, views[i], "--until",
			   "2023-11-16T20:15:46.680000001+00:00");
		EXPECT_IDS("2 3 ", path, views[i], "--since", "2023-11-16 19:00", "--until",
			   "@1700166000");
		EXPECT_IDS("3 4 ", path, views[i], "--since", "2023-11-17T01:00:00+05:00");
		EXPECT_IDS("", path, views[i], "--since", "1h");
		EXPECT_IDS("1 2 3 4 ", path, views[i], "--until", "1h");
		EXPECT_IDS("1 2 3 4 ", path, views[i], "--since", "@0");
		EXPECT_IDS("", path, views[i], "--until", "@0");
	}
	EXPECT_IDS("4 3 ", path, "envelopes", "--since", "2023-11-16 20:00:00");
	EXPECT_IDS("1 2 3 4 ", path, "transactions", "--since", "2023-11-16", "--until",
		   "2023-11-17");
}

static void check_amounts(const char *path)
{
	EXPECT_IDS("4 3 ", path, "envelopes", "--min", "2.000000001");
	EXPECT_IDS("2 1 ", path, "envelopes", "--max", "2.0");
	EXPECT_IDS("2 3 ", path, "commits", "--min", "0.1", "--max", "0.2");
	EXPECT_IDS("2 3 ", path, "transactions", "--min", "1", "--max", "2");
	/* Nothing but what was free; to the library a bound of 0 is none. */
	EXPECT_IDS("1 ", path, "transactions", "--max", "0");
	EXPECT_IDS("1 ", path, "commits", "--max", "0");
	EXPECT_IDS("", path, "envelopes", "--max", "0");
	EXPECT_IDS("1 ", path, "transactions", "--max", "0", "--limit", "1");
}

static void check_limits(const char *path)
{
	/* Nothing is between a moment and itself; that is a slip, not a question. */
	EXPECT_REFUSED(2, "--until is not after --since", path, "transactions", "--since",
		       "2023-11-16", "--until", "2023-11-16");
	EXPECT_IDS("4 3 ", path, "envelopes", "--limit", "2");
	EXPECT_IDS("1 2 3 ", path, "commits", "--limit", "3");
	/* The latest ones of the ledger. */
	EXPECT_IDS("4 ", path, "transactions", "--limit", "1");
	EXPECT_IDS("2 3 4 ", path, "transactions", "--limit", "3");
	EXPECT_IDS("1 2 3 4 ", path, "transactions", "--limit", "4");
	EXPECT_IDS("1 2 3 4 ", path, "transactions", "--limit", "18446744073709551615");
	EXPECT_IDS("2 3 ", path, "transactions", "--limit", "2", "--max", "2");
	EXPECT_IDS("3 ", path, "transactions", "--limit", "1", "--namespace", "");
	EXPECT_IDS("", path, "transactions", "--limit", "1", "--category", "none");
}

/* More than the ring holds at first, and a window of it that is not at its beginning. */
static void check_long_ledger(struct be_enforcer *handle, const char *path)
{
	char expected[1024] = "";
	size_t used = 0;

	for (int i = 5; i <= 300; i++)
		EXPECT_OK(be_record(handle, "llm", i % 2, NULL, NULL));
	for (int i = 201; i <= 300; i++)
		used += (size_t)snprintf(expected + used, sizeof expected - used, "%d ", i);
	EXPECT_IDS(expected, path, "transactions", "--limit", "100");
	EXPECT_IDS("296 298 300 ", path, "transactions", "--limit", "3", "--max", "0");
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle, *task;
	char path[PATH_MAX];

	inspects_begin(argc, argv, 120);
	handle = inspected_open(NULL, &now_ns, path);
	task = inspected_open("task", &now_ns, NULL);
	fill(handle, task, &now_ns);
	check_names(path);
	check_times(path);
	check_amounts(path);
	check_limits(path);
	check_long_ledger(handle, path);
	be_close(task);
	be_close(handle);
	return 0;
}
