/* SPDX-License-Identifier: Apache-2.0 */
/* The order of records: most constrained first, or by any column; trees, which keep together; and
 * colour, which only a terminal gets. */
#include "inspects.h"

#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void make(struct be_enforcer *handle, const char *category, int64_t limit,
		 const char *parent, int64_t spent)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_category = parent;
	EXPECT_OK(be_envelope_create(handle, category, limit * BE_UNIT, BE_PERIOD_TOTAL, &options));
	EXPECT_OK(be_record(handle, category, spent * BE_UNIT / 100, NULL, NULL));
}

/* A tree with 30 % used at its top, whose most constrained member is at 60 %; and three others. */
static void fill(struct be_enforcer *handle)
{
	make(handle, "free", 10, NULL, 0);
	make(handle, "half", 1, NULL, 50);
	make(handle, "over", 1, NULL, 250);
	make(handle, "pool", 4, NULL, 0);
	make(handle, "a-task", 1, "pool", 20);
	make(handle, "b-task", 2, "pool", 20);
	make(handle, "b-step", 1, "b-task", 60);
	make(handle, "c-task", 1, "pool", 20);
}

#define EXPECT_PRINTED(expected, ...)                                                              \
	do {                                                                                       \
		char *printed_text = inspect_text("--noheadings", __VA_ARGS__, NULL);              \
		EXPECT_TEXT(printed_text, (expected));                                             \
		free(printed_text);                                                                \
	} while (0)

static void check_trees(const char *path)
{
	EXPECT_PRINTED("over       250.00\n"
		       "pool        30.00\n"
		       "\u251c\u2500b-task    40.00\n"
		       "\u2502 \u2514\u2500b-step  60.00\n"
		       "\u251c\u2500a-task    20.00\n"
		       "\u2514\u2500c-task    20.00\n"
		       "half        50.00\n"
		       "free         0.00\n",
		       "-o", "category,used%", path);
	/* What is left out is seen to go on. */
	EXPECT_PRINTED("over\npool\n\u251c\u2500b-task\n", "-o", "category", "--limit", "3", path);
	/* With a column given, a tree stands where its top does. */
	EXPECT_PRINTED("free           0\n"
		       "half         0.5\n"
		       "pool         1.2\n"
		       "\u251c\u2500a-task     0.2\n"
		       "\u251c\u2500c-task     0.2\n"
		       "\u2514\u2500b-task     0.8\n"
		       "  \u2514\u2500b-step   0.6\n"
		       "over         2.5\n",
		       "-o", "category,spent", "--sort", "spent", path);
	/* A parent that is not shown: what is below it moves up. */
	EXPECT_PRINTED("over\nb-task\n\u2514\u2500b-step\nhalf\na-task\nc-task\n", "-o", "category",
		       "--max", "2", path);
}

static void check_lists(const char *path)
{
	json_t *document = inspect_json("--json", "-o", "category", path, NULL);

	EXPECT_PRINTED("over\nb-step\nhalf\nb-task\npool\na-task\nc-task\nfree\n", "--raw", "-o",
		       "category", path);
	EXPECT_JSON(
		document, "envelopes",
		"[{\"category\":\"a-task\"},{\"category\":\"b-step\"},{\"category\":\"b-task\"},"
		"{\"category\":\"c-task\"},{\"category\":\"free\"},{\"category\":\"half\"},"
		"{\"category\":\"over\"},{\"category\":\"pool\"}]");
	json_decref(document);
	document = inspect_json("--json", "-o", "id", "--sort=-LIMIT", "--limit", "3", path, NULL);
	EXPECT_JSON(document, "envelopes", "[{\"id\":1},{\"id\":4},{\"id\":6}]");
	json_decref(document);
	EXPECT_PRINTED(" 3\n 7\n 2\n", "-o", "id", "--sort", "-amount", "--limit", "3", path,
		       "transactions");
	EXPECT_PRINTED("3 over\n2 half\n", "--raw", "-o", "id,category", "--sort", "-category",
		       "--min", "0.5", "--limit", "2", path, "transactions");
}

/* What it prints on a terminal of its own. */
static void show_on_terminal(const char *path, char *text, size_t size)
{
	int controller, terminal;
	struct ending ending;
	ssize_t count, used = 0;

	EXPECT(openpty(&controller, &terminal, NULL, NULL, NULL) == 0);
	inspect_into(terminal, &ending, "-H", "-o", "category", path, NULL);
	EXPECT_EQUAL(ending.status, 0);
	ending_free(&ending);
	close(terminal);
	while ((count = read(controller, text + used, size - 1 - (size_t)used)) > 0)
		used += count;
	text[used] = '\0';
	close(controller);
}

static void check_colour(const char *path)
{
	char text[4096], *plain = inspect_text("-H", "-o", "category", path, NULL);

	EXPECT_LACKS(plain, "\033");
	free(plain);
	setenv("TERM", "xterm", 1);
	setenv("NO_COLOR", "", 1);
	show_on_terminal(path, text, sizeof text);
	EXPECT_CONTAINS(text, "\033[31mover");
	EXPECT_CONTAINS(text, "\033[1;33mnearly");
	EXPECT_LACKS(strstr(text, "pool"), "\033[");
	setenv("NO_COLOR", "1", 1);
	show_on_terminal(path, text, sizeof text);
	EXPECT_CONTAINS(text, "over");
	EXPECT_LACKS(text, "\033");
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	show_on_terminal(path, text, sizeof text);
	EXPECT_LACKS(text, "\033");
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	inspects_begin(argc, argv, 60);
	handle = inspected_open(NULL, &now_ns, path);
	fill(handle);
	check_trees(path);
	check_lists(path);
	make(handle, "nearly", 1, NULL, 80);
	check_colour(path);
	be_close(handle);
	return 0;
}
