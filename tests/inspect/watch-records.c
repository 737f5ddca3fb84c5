/* SPDX-License-Identifier: Apache-2.0 */
/* --watch of commits, transactions, alerts and owners: what stands on the screen, orders, searches,
 * changes made by the pool, and no digit lost at any width. */
#include "screens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char environment[PATH_MAX];

static void fill(struct be_enforcer *handle, struct be_enforcer *task)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	char description[32];
	uint64_t id;

	EXPECT_OK(be_envelope_create(handle, "llm", INT64_MAX, BE_PERIOD_TOTAL, NULL));
	below.parent_namespace = "";
	below.parent_category = "llm";
	EXPECT_OK(be_envelope_create(task, "\u65e5\u672c\u8a9e", 50 * BE_UNIT, BE_PERIOD_TOTAL,
				     &below));
	settings.mask = BE_SET_THRESHOLDS;
	settings.thresholds[0] = 50;
	EXPECT_OK(be_envelope_set(task, "\u65e5\u672c\u8a9e", &settings, NULL));
	EXPECT_OK(be_commit(handle, "llm", 5 * BE_UNIT, "a \u201ebook\u201c", &id));
	EXPECT_OK(be_commit(task, "\u65e5\u672c\u8a9e", BE_UNIT / 2, "half", &id));
	EXPECT_OK(be_commit(handle, "llm", 7 * BE_UNIT + 1, NULL, &id));
	for (int i = 1; i <= 30; i++) {
		snprintf(description, sizeof description, "number %d", i);
		EXPECT_OK(
			be_record(task, "\u65e5\u672c\u8a9e", i * BE_UNIT / 10, description, NULL));
	}
}

static void check_commits(struct be_enforcer *handle)
{
	char expected[256];

	screens_watch_view(environment, "commits", "--interval 0.2");
	AWAIT("3 commits by time  ");
	AWAIT("\nID      AMOUNT CATEGORY NAMESPACE ");
	AWAIT("\n 1           5 llm      -         ");
	AWAIT("\n 2         0.5 \u65e5\u672c\u8a9e   task      ");
	AWAIT("\n 3 7.000000001 llm      -         ");
	/* The selected one is told in full. */
	AWAIT("\nid 1  category llm  amount 5  created 2023-11-16T18:15:46.680Z  age ");
	snprintf(expected, sizeof expected, "owner %d  alive yes  state pending", (int)getpid());
	AWAIT(expected);
	AWAIT("description a \u201ebook\u201c\n");
	keys("Down");
	AWAIT("\nid 2  namespace task  category \u65e5\u672c\u8a9e  amount 0.5\n");
	/* In another order it begins at the top. */
	keys("s s");
	AWAIT("by AMOUNT");
	AWAIT("\n 3 7.000000001 llm ");
	AWAIT(" DESCRIPTION\n 3 ");
	AWAIT("\nid 3  category llm ");
	keys("r");
	AWAIT(" DESCRIPTION\n 2 ");
	keys("/ b o o k Enter");
	AWAIT("1 commit by AMOUNT  with book  ");
	AWAIT_GONE("7.000000001");
	keys("Escape");
	AWAIT("3 commits");
	keys("Space");
	AWAIT("PAUSED");
	EXPECT_OK(be_release(handle, 1));
	for (int i = 0; i < 4; i++) {
		keys("h");
		AWAIT("a line, of which all is told below");
		keys("h");
		AWAIT("3 commits");
	}
	keys("Space");
	AWAIT("2 commits");
	AWAIT_GONE("\u201ebook\u201c");
	keys("Enter");
	keys("q");
	screens_end("status 0");
}

static void check_transactions(struct be_enforcer *handle)
{
	screens_watch_view(environment, "transactions", "--interval 0.2");
	AWAIT("30 transactions by time  ");
	AWAIT("\nID AMOUNT CATEGORY NAMESPACE AT                       KIND   HELD DESCRIPTION\n"
	      "30      3 \u65e5\u672c\u8a9e   task      2023-11-16T18:15:46.680Z record    0 "
	      "number 30\n"
	      "29    2.9 ");
	EXPECT_OK(be_record(handle, "llm", BE_UNIT, "comes", NULL));
	AWAIT(" DESCRIPTION\n31      1 llm      -         2023-11-16T18:15:46.680Z record    0 "
	      "comes\n");
	keys("End");
	AWAIT("\n 1    0.1 ");
	AWAIT("\nid 1  at 2023-11-16T18:15:46.680Z  kind record  namespace task ");
	keys("r");
	AWAIT(" DESCRIPTION\n 1    0.1 ");
	keys("/ n u m b e r Space 3 Enter");
	AWAIT("2 transactions by time  with number 3  ");
	keys("q");
	screens_end("status 0");
	screens_watch_view(environment, "transactions", "--sort -amount --namespace task");
	AWAIT("30 transactions by AMOUNT  ");
	AWAIT(" DESCRIPTION\n30      3 ");
	keys("C-c");
	screens_end("status 130");
}

static void check_alerts(void)
{
	screens_watch_view(environment, "alerts", "--interval 0.2");
	AWAIT("1 alert by time  ");
	AWAIT("\nID SPENT LIMIT PERCENT CATEGORY NAMESPACE AT                       DONE BY\n"
	      " 1  25.3    50      50 \u65e5\u672c\u8a9e   task      2023-11-16T18:15:46.680Z -    "
	      "\u65e5\u672c\u8a9e\n");
	keys("q");
	screens_end("status 0");
}

static int die_holding(int index, void *context)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle = inspected_open(NULL, &now_ns, NULL);
	uint64_t id;

	(void)index;
	(void)context;
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT / 4, "dies", &id));
	raise(SIGKILL);
	return 0;
}

static void check_owners(struct be_enforcer *handle)
{
	char expected[128];
	pid_t dead;
	uint64_t reaped;

	screens_watch_view(environment, "owners", "--interval 0.2 --sort -held");
	AWAIT("1 owner by HELD  ");
	snprintf(expected, sizeof expected, "%d 7.500000001       2 ", (int)getpid());
	AWAIT("        HELD COMMITS ");
	AWAIT(expected);
	dead = child_start(die_holding, 0, NULL);
	EXPECT_EQUAL(child_wait(dead), 128 + SIGKILL);
	AWAIT("2 owners by HELD  ");
	snprintf(expected, sizeof expected, "%d        0.25       1 ", (int)dead);
	AWAIT(expected);
	AWAIT(" no ");
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 1);
	AWAIT("1 owner by HELD  ");
	keys("q");
	screens_end("status 0");
}

/* No digit is lost at any width that has room for the figure, and where there is none a mark says
 * so. */
static void check_large(struct be_enforcer *handle)
{
	static const int widths[] = {40, 80, 200};
	char longest[BE_NAME_SIZE];
	uint64_t id;

	memset(longest, 'n', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	EXPECT_OK(be_envelope_create(handle, longest, INT64_MAX, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, longest, INT64_MAX, "all", &id));
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		screens_watch_view(environment, "commits", "--interval 0.2 --sort -amount");
		screens_resize(widths[i], 24);
		AWAIT(" 9223372036.854775807 ");
		AWAIT("amount 9223372036.854775807");
		screens_resize(16, 24);
		AWAIT(" 9223372036.8+\n");
		keys("q");
		screens_end("status 0");
		screens_watch_view(environment, "owners", "--interval 0.2");
		screens_resize(widths[i], 24);
		AWAIT(" 9223372036.854775807 ");
		keys("q");
		screens_end("status 0");
	}
	EXPECT_OK(be_settle(handle, id, INT64_MAX, NULL, NULL));
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		screens_watch_view(environment, "transactions", "--interval 0.2");
		screens_resize(widths[i], 24);
		AWAIT(" 9223372036.854775807 ");
		AWAIT("amount 9223372036.854775807");
		AWAIT("held 9223372036.854775807");
		keys("q");
		screens_end("status 0");
	}
	EXPECT_OK(be_release(handle, 2));
	EXPECT_OK(be_release(handle, 3));
}

/* The title says so where it is of a part. */
static void check_many(struct be_enforcer *handle)
{
	uint64_t id;

	for (int i = 0; i < 10000; i++)
		EXPECT_OK(be_commit(handle, "llm", 1, i == 7 ? "seventh" : NULL, &id));
	screens_watch_view(environment, "commits", "--interval 0.2");
	AWAIT("10000 commits by time  ");
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	AWAIT("10000+ commits by time  ");
	keys("/ s e v e n t h Enter");
	AWAIT("1+ commits by time  with seventh  ");
	keys("q");
	screens_end("status 0");
	for (int i = 0; i < 65536; i++)
		EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
	screens_watch_view(environment, "transactions", "--interval 0.2");
	AWAIT("10000+ transactions of the last 65536 by time  ");
	EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
	AWAIT("10000+ transactions of the last 65537 by time  ");
	keys("q");
	screens_end("status 0");
}

static void check_without_terminal(void)
{
	static const char *const views[] = {"transactions", "alerts", "owners"};

	for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
		char *table = inspect_text(environment, views[i], NULL),
		     *watched = inspect_text("--watch", environment, views[i], NULL);

		EXPECT_TEXT(watched, table);
		free(table);
		free(watched);
	}
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle, *task;

	inspects_begin(argc, argv, 120);
	handle = inspected_open(NULL, &now_ns, environment);
	task = inspected_open("task", &now_ns, NULL);
	fill(handle, task);
	check_without_terminal();
	screens_begin(argv[1]);
	check_commits(handle);
	check_transactions(handle);
	check_alerts();
	check_owners(handle);
	check_large(handle);
	screens_watch_view(environment, "commits", "--interval 0.2");
	AWAIT("no commits");
	keys("q");
	screens_end("status 0");
	check_many(handle);
	tmux("kill-server");
	be_close(task);
	be_close(handle);
	return 0;
}
