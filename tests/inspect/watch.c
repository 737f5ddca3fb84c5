/* SPDX-License-Identifier: Apache-2.0 */
/* --watch, on a terminal of tmux's: what stands on the screen, keys, changes made by the pool,
 * other sizes, and how it ends. */
#include "screens.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char environment[PATH_MAX];

/* ---- the pool */

static void make(struct be_enforcer *handle, const char *category, int64_t limit,
		 const char *parent)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_namespace = parent ? "" : NULL;
	options.parent_category = parent;
	EXPECT_OK(be_envelope_create(handle, category, limit, BE_PERIOD_TOTAL, &options));
}

static void fill(struct be_enforcer *handle, struct be_enforcer *task)
{
	char category[16];
	uint64_t id;

	make(handle, "llm", 10 * BE_UNIT, NULL);
	make(task, "\u65e5\u672c\u8a9e", 4 * BE_UNIT, "llm");
	make(handle, "over", BE_UNIT, NULL);
	EXPECT_OK(be_record(task, "\u65e5\u672c\u8a9e", 5 * BE_UNIT / 2, "a page", NULL));
	EXPECT_OK(be_commit(handle, "llm", 5 * BE_UNIT, "a \u201ebook\u201c", &id));
	EXPECT_OK(be_record(handle, "over", 2 * BE_UNIT, NULL, NULL));
	EXPECT_OK(be_envelope_suspend(handle, "over"));
	for (int i = 0; i < 30; i++) {
		snprintf(category, sizeof category, "e-%02d", i);
		make(handle, category, BE_UNIT, NULL);
	}
}

/* ---- tests */

static void check_list(void)
{
	char expected[4096], pid[32];

	snprintf(pid, sizeof pid, "%d:1", (int)getpid());
	AWAIT("33 envelopes by need");
	AWAIT_SCREEN(
		"ENVELOPE               USED% AVAILABLE     /MIN REF/S   ENDS PEND SPENT# HELD=\n"
		"over (suspended)      200.00         0        0     0      -    0 [############]\n"
		"llm                    75.00       2.5        0     0      -    1 [###======...]\n"
		"  task/\u65e5\u672c\u8a9e          62.50       1.5        0     0  "
		"    -    0 [#######.....]\n"
		"e-00                    0.00         1        0     0      -    0 [............]\n"
		"e-01                    0.00         1        0     0      -    0 [............]\n"
		"e-02                    0.00         1        0     0      -    0 [............]\n"
		"e-03                    0.00         1        0     0      -    0 [............]\n"
		"e-04                    0.00         1        0     0      -    0 [............]\n"
		"e-05                    0.00         1        0     0      -    0 [............]\n"
		"e-06                    0.00         1        0     0      -    0 [............]\n"
		"e-07                    0.00         1        0     0      -    0 [............]\n"
		"e-08                    0.00         1        0     0      -    0 [............]\n"
		"e-09                    0.00         1        0     0      -    0 [............]\n"
		"e-10                    0.00         1        0     0      -    0 [............]\n"
		"e-11                    0.00         1        0     0      -    0 [............]\n"
		"e-12                    0.00         1        0     0      -    0 [............]\n"
		"e-13                    0.00         1        0     0      -    0 [............]\n"
		"e-14                    0.00         1        0     0      -    0 [............]\n"
		"e-15                    0.00         1        0     0      -    0 [............]\n"
		"limit 1  spent 2  committed 0  available 0  total\n"
		"0/min  0 commits/min  0 refusals/s  0 pending\n"
		"Enter open  s sort  r reverse  / search  Space pause  h help  q quit\n");
	keys("Down");
	snprintf(expected, sizeof expected,
		 "limit 10  spent 2.5  committed 5  available 2.5  total\n0/min  0 commits/min  0 "
		 "refusals/s "
		 " 1 pending of "
		 "%s\n",
		 pid);
	AWAIT(expected);
}

static void check_moving(void)
{
	keys("End");
	AWAIT("\ne-29 ");
	AWAIT_GONE("llm");
	keys("Home");
	AWAIT("\nover ");
	AWAIT_GONE("e-29");
	keys("NPage");
	AWAIT("\ne-16 ");
	keys("k k j k PPage");
	AWAIT("\nover ");
	keys("h");
	AWAIT("any key goes back");
	keys("x");
	AWAIT("q quit");
	keys("s");
	AWAIT("by name");
	AWAIT("HELD=\ne-00 ");
	keys("r");
	AWAIT("HELD=\nover (suspended) ");
	/* A tree stands where its top does, whatever is below it. */
	AWAIT("\nllm ");
	keys("s s");
	AWAIT("by spent");
	AWAIT("HELD=\nllm ");
	keys("/ e - 1 Enter");
	AWAIT("10 envelopes by spent  with e-1  ");
	AWAIT("HELD=\ne-10 ");
	keys("/ BSpace BSpace BSpace \u672c");
	AWAIT("/\u672c_");
	AWAIT("HELD=\ntask/\u65e5\u672c\u8a9e ");
	keys("Escape");
	AWAIT("33 envelopes");
}

/* Refusals are seen as a rate, and sorted by it; they end when nobody is refused any more. */
static void check_refusals(struct be_enforcer *handle)
{
	keys("s s s");
	AWAIT("by window");
	keys("s");
	AWAIT("by refusals");
	AWAIT("HELD=\ne-00 ");
	AWAIT(" 0 refusals/s");
	/* A refusal is seen for some seconds only, which a busy machine may let pass. */
	AWAIT_REFUSING(handle, "HELD=\ne-07                    0.00         1        0 ", true);
	/* Who refuses has too little left, however much that is: it is red. No other line is. */
	screens_in_colour = true;
	AWAIT_REFUSING(handle, "\033[31m", true);
	screens_in_colour = false;
	AWAIT_REFUSING(handle, " 0 refusals/s", false);
	AWAIT("HELD=\ne-00 ");
	AWAIT(" 0 refusals/s");
	keys("s");
	AWAIT("by need");
	keys("s s s");
	AWAIT("by spent");
}

/* What the pool does is seen without a key, unless it was paused. */
static void check_changes(struct be_enforcer *handle)
{
	uint64_t id;

	keys("Home");
	EXPECT_OK(be_record(handle, "llm", BE_UNIT / 2, "seen", NULL));
	AWAIT("limit 10  spent 3  committed 5  available 2  total");
	AWAIT_GONE("\n0/min ");
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	AWAIT(" 2 pending");
	keys("Space");
	AWAIT("PAUSED");
	EXPECT_OK(be_settle(handle, id, BE_UNIT, NULL, NULL));
	for (int i = 0; i < 4; i++) {
		keys("h");
		AWAIT("any key goes back");
		keys("h");
		AWAIT("limit 10  spent 3  committed 6  available 1  total");
	}
	keys("Space");
	AWAIT("limit 10  spent 4  committed 5  available 1  total");
	AWAIT_GONE("PAUSED");
}

static void check_opened(struct be_enforcer *handle)
{
	char expected[256];

	keys("Enter");
	/* Those of the envelope below it are there, too. */
	AWAIT("Pending commits, here and below, the oldest first\n"
	      "ID AMOUNT CATEGORY NAMESPACE ");
	snprintf(expected, sizeof expected, " %d pending a \u201ebook\u201c\n", (int)getpid());
	AWAIT(expected);
	AWAIT("\nTransactions, here and below, the latest first\n"
	      "ID AMOUNT CATEGORY NAMESPACE AT                       KIND   HELD DESCRIPTION\n"
	      " 4      1 llm      -         2023-11-16T18:15:46.680Z settle    1 -\n"
	      " 3    0.5 llm      -         2023-11-16T18:15:46.680Z record    0 seen\n"
	      " 1    2.5 \u65e5\u672c\u8a9e   task      2023-11-16T18:15:46.680Z record    0 a "
	      "page\n");
	EXPECT_OK(be_record(handle, "llm", 1, "while it is open", NULL));
	AWAIT("\n 5 0.000000001 llm      -         2023-11-16T18:15:46.680Z record while it is "
	      "o+\n");
	keys("Escape");
	AWAIT("q quit\n");
	AWAIT("ENVELOPE ");
	make(handle, "removed", BE_UNIT, NULL);
	keys("/ r e m o v Enter");
	AWAIT("HELD=\nremoved ");
	keys("Enter");
	AWAIT("Pending commits");
	EXPECT_OK(be_envelope_remove(handle, "removed"));
	AWAIT("no envelopes");
	keys("Escape");
	AWAIT("33 envelopes");
}

static void check_sizes(void)
{
	char expected[64];

	EXPECT_EQUAL(tmux("resize-window -x 140 -y 30"), 0);
	AWAIT(" OWNERS               SPENT# HELD=\n");
	snprintf(expected, sizeof expected, "    1 %d:1 ", (int)getpid());
	AWAIT(expected);
	AWAIT("\ne-21 ");
	/* Figures stay, and the bar goes. */
	EXPECT_EQUAL(tmux("resize-window -x 40 -y 8"), 0);
	AWAIT_GONE("SPENT#");
	AWAIT("ENVELOPE      USED%   AVAILABLE     /MIN\n");
	EXPECT_EQUAL(tmux("resize-window -x 12 -y 3"), 0);
	AWAIT_GONE("SPENT");
	keys("Enter");
	keys("Escape");
	EXPECT_EQUAL(tmux("resize-window -x 80 -y 24"), 0);
	AWAIT("   /MIN REF/S   ENDS PEND SPENT# HELD=\n");
	AWAIT("q quit\n");
}

/* No digit is lost at any width, nor in what is pending. */
static void check_large(struct be_enforcer *handle)
{
	static const char *const widths[] = {"40", "80", "200"};
	uint64_t id;

	make(handle, "large", INT64_MAX, NULL);
	make(handle, "small", 271 * BE_UNIT, NULL);
	EXPECT_OK(be_record(handle, "small", BE_UNIT - 579, NULL, NULL));
	EXPECT_OK(be_commit(handle, "large", 8 * BE_UNIT + 1, NULL, &id));
	EXPECT_OK(be_record(handle, "large", INT64_MAX - 9 * BE_UNIT, NULL, NULL));
	EXPECT_OK(be_record(handle, "large", 1, NULL, NULL));
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		EXPECT_EQUAL(tmux("resize-window -x %s -y 24", widths[i]), 0);
		keys("/ s m a l l Enter");
		AWAIT(" 270.000000579 ");
		AWAIT("available 270.000000579");
		keys("/ BSpace BSpace BSpace BSpace BSpace l a r g e Enter");
		AWAIT("\nlarge ");
		AWAIT(" 0.999999998 ");
		AWAIT("limit 9223372036.854775807");
		AWAIT("spent 9223372027.854775808");
		AWAIT("committed 8.000000001");
		AWAIT("available 0.999999998");
		keys("Enter");
		AWAIT("9223372027.854775807 ");
		AWAIT(" 8.000000001 ");
		keys("Escape");
		AWAIT("ENVELOPE");
		keys("Escape");
	}
	AWAIT("  LIMIT");
	AWAIT(" 9223372036.854775807 9223372027.854775808 8.000000001 ");
	EXPECT_OK(be_release(handle, id));
	EXPECT_OK(be_envelope_reset(handle, "large"));
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		EXPECT_EQUAL(tmux("resize-window -x %s -y 24", widths[i]), 0);
		keys("/ l a r g e Enter");
		AWAIT(" 9223372036.854775807");
		AWAIT("available 9223372036.854775807");
		keys("Escape");
	}
	/* Where it fits nowhere, a mark says so. */
	EXPECT_EQUAL(tmux("resize-window -x 24 -y 24"), 0);
	keys("/ l a r g e Enter");
	AWAIT(" 9223372036.85477+\n");
	keys("Escape");
	EXPECT_OK(be_envelope_remove(handle, "large"));
	EXPECT_OK(be_envelope_remove(handle, "small"));
	EXPECT_EQUAL(tmux("resize-window -x 80 -y 24"), 0);
	AWAIT("33 envelopes");
}

/* What is below a suspended envelope is refused, too, and shows it. */
static void check_suspended_above(struct be_enforcer *handle)
{
	EXPECT_EQUAL(tmux("resize-window -x 130 -y 24"), 0);
	AWAIT_GONE(" (suspended above) ");
	EXPECT_OK(be_envelope_suspend(handle, "llm"));
	AWAIT("\u8a9e (suspended above) ");
	EXPECT_OK(be_envelope_resume(handle, "llm"));
	AWAIT_GONE(" (suspended above) ");
	EXPECT_EQUAL(tmux("resize-window -x 80 -y 24"), 0);
}

/* Is killed while it holds half of a unit below llm. */
static int die_holding(int index, void *context)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *task = inspected_open("task", &now_ns, NULL);
	uint64_t id;

	(void)index;
	(void)context;
	EXPECT_OK(be_commit(task, "\u65e5\u672c\u8a9e", BE_UNIT / 2, "dies", &id));
	raise(SIGKILL);
	return 0;
}

/* What waits to be reaped is told apart from what is in use, below an envelope, too, until it is
 * reaped. */
static void check_held(struct be_enforcer *handle, int64_t *now_ns)
{
	struct be_commit_options brief = BE_COMMIT_OPTIONS_INIT;
	uint64_t id, reaped;

	keys("Home");
	AWAIT("  committed 5  available ");
	EXPECT_EQUAL(child_wait(child_start(die_holding, 0, NULL)), 128 + SIGKILL);
	AWAIT("  committed 5.5 (0.5 orphaned)  available ");
	/* By the test's clock; by the program's it ended long ago. */
	brief.ttl_ms = 1000;
	EXPECT_OK(be_commit_with(handle, "llm", BE_UNIT / 4, "expires", &brief, &id, NULL));
	AWAIT("  committed 5.75 (0.25 expired, 0.5 orphaned)\n");
	*now_ns += 2 * SECOND_NS;
	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 2);
	AWAIT("  committed 5  available ");
}

static void check_without_terminal(void)
{
	char *table = inspect_text(environment, NULL),
	     *watched = inspect_text("--watch", environment, NULL);

	EXPECT_TEXT(watched, table);
	free(table);
	free(watched);
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

	screens_watch(environment, "--interval 0.2");
	check_list();
	check_moving();
	check_refusals(handle);
	check_changes(handle);
	check_opened(handle);
	check_sizes();
	check_large(handle);
	check_suspended_above(handle);
	check_held(handle, &now_ns);
	keys("q");
	screens_end("status 0");
	screens_watch(environment, "--namespace task --sort -limit");
	AWAIT("1 envelope by LIMIT");
	keys("C-c");
	screens_end("status 130");
	/* What ncurses leaks when it gives up is not ours. */
	EXPECT_EQUAL(
		tmux("new-session -d -x 80 -y 24 \"ASAN_OPTIONS=detect_leaks=0 TERM=nonsense '%s' "
		     "--watch '%s'; echo status \\$?; "
		     "exec sleep 1000\"",
		     screens_program, environment),
		0);
	AWAIT("status 3");
	AWAIT("this terminal (TERM=nonsense) is not known");
	tmux("kill-server");
	be_close(task);
	be_close(handle);
	return 0;
}
