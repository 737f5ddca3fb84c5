/* SPDX-License-Identifier: Apache-2.0 */
/* A reader that goes away ends it without a word; output that cannot be written is a fault. And a
 * ledger of many chunks comes out whole, with its headings once. */
#include "inspects.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRANSACTIONS 10000

/* The first one is wider than any of the later chunks would need. */
static int64_t amount_of(int transaction)
{
	return transaction == 1 ? 1000000 * BE_UNIT + 1 : transaction;
}

static void fill(char path[PATH_MAX])
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	test_path(path, "environment");
	options.durability = BE_DURABILITY_PROCESS;
	EXPECT_OK(be_open(path, &options, &handle));
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 1; i <= TRANSACTIONS; i++)
		EXPECT_OK(be_record(handle, "llm", amount_of(i),
				    i == TRANSACTIONS ? "the last" : NULL, NULL));
	be_close(handle);
}

/* As in `be-inspect ... | head -1`, once head has ended. */
static void check_closed_pipe(const char *path, const char *format)
{
	struct ending ending;
	int ends[2];

	EXPECT(pipe2(ends, O_CLOEXEC) == 0);
	close(ends[0]);
	inspect_into(ends[1], &ending, path, "transactions", format, NULL);
	EXPECT_EQUAL(ending.status, 128 + SIGPIPE);
	EXPECT_TEXT(ending.errors, "");
	ending_free(&ending);
	close(ends[1]);
}

static void check_full_disk(const char *path, const char *view, const char *option)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct ending ending;

	EXPECT(full >= 0);
	inspect_into(full, &ending, path, view, option, NULL);
	EXPECT_EQUAL(ending.status, 3);
	EXPECT_TEXT(ending.errors, "be-inspect: cannot write: No space left on device\n");
	ending_free(&ending);
	close(full);
}

/* All rows are there, in order. */
static void check_rows(const char *path)
{
	char *text = inspect_text("-rH", "-o", "id,amount", path, "transactions", NULL),
	     *line = text;
	char amount[BE_AMOUNT_TEXT_SIZE], expected[64];

	for (int i = 1; i <= TRANSACTIONS; i++) {
		EXPECT_OK(be_amount_format(amount_of(i), amount, sizeof amount));
		snprintf(expected, sizeof expected, "%d %s\n", i, amount);
		if (strncmp(line, expected, strlen(expected)) != 0)
			test_fail(__FILE__, __LINE__, "row %d is %.40s", i, line);
		line += strlen(expected);
	}
	EXPECT_TEXT(line, "");
	free(text);
}

/* A table is printed in chunks: its headings come once, and its columns only get wider. */
static void check_alignment(const char *path)
{
	char *text = inspect_text("-o", "id,amount,category", path, "transactions", NULL);
	size_t lines = 0, width = 0, widths = 0, length;

	for (char *line = text; *line; line += length + 1, lines++) {
		length = strcspn(line, "\n");
		EXPECT(lines < 2 || length >= width);
		EXPECT_EQUAL(strncmp(line, "  ID ", 5) == 0, lines == 0);
		widths += lines == 1 || (lines > 1 && length != width);
		width = length;
	}
	EXPECT_EQUAL(lines, TRANSACTIONS + 1);
	/* The id of the last chunk has a digit more, and nothing else. */
	EXPECT_EQUAL(widths, 2);
	free(text);
}

int main(int argc, char **argv)
{
	static const char *const views[] = {"envelopes", "commits", "transactions"};
	char path[PATH_MAX];
	json_t *document;

	inspects_begin(argc, argv, 120);
	fill(path);
	check_rows(path);
	check_alignment(path);
	document = inspect_json("--json", path, "transactions", NULL);
	EXPECT_EQUAL(json_array_size(json_object_get(document, "transactions")), TRANSACTIONS);
	json_decref(document);

	check_closed_pipe(path, "--json");
	check_closed_pipe(path, "--raw");
	/* A parent that ignores the signal hands that down. */
	EXPECT(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	check_closed_pipe(path, "--json");
	check_closed_pipe(path, "--output=+late");

	for (int i = 0; i < 3; i++) {
		check_full_disk(path, views[i], "--json");
		check_full_disk(path, views[i], "--output=id");
		check_full_disk(path, views[i], "--raw");
	}
	check_full_disk(path, "verify", "--json");
	check_full_disk(path, "verify", "--");
	return 0;
}
