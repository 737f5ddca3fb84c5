/* SPDX-License-Identifier: Apache-2.0 */
/* A table on a terminal keeps to its width as long as it can, without losing what matters; a pipe,
 * and one that chooses columns, gets all of it. Asking for what is no column tells those there
 * are. */
#include "inspects.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DESCRIPTION                                                                                \
	"a description that goes on and on, and then on, until there is no terminal of eighty "    \
	"columns "                                                                                 \
	"that it fits on"

static char path[PATH_MAX], shown[1 << 14];

static void show(unsigned short columns, const char *view, const char *option)
{
	struct winsize size = {.ws_row = 24, .ws_col = columns};
	int terminal, inside;
	size_t used = 0;
	ssize_t got;
	pid_t child;

	EXPECT(openpty(&terminal, &inside, NULL, NULL, &size) == 0);
	EXPECT(fcntl(terminal, F_SETFD, FD_CLOEXEC) == 0 &&
	       fcntl(inside, F_SETFD, FD_CLOEXEC) == 0);
	child = inspect_start(inside, path, view, option, NULL);
	close(inside);
	while ((got = read(terminal, shown + used, sizeof shown - 1 - used)) > 0)
		used += (size_t)got;
	shown[used] = '\0';
	EXPECT_EQUAL(child_wait(child), 0);
	close(terminal);
}

/* Every figure there can be, and names as long as they can be. */
static void fill_large(struct be_enforcer *handle)
{
	char longest[BE_NAME_SIZE];
	uint64_t id;

	memset(longest, 'n', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	EXPECT_OK(be_envelope_create(handle, longest, INT64_MAX, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(handle, longest, INT64_MAX - 3, DESCRIPTION, NULL));
	EXPECT_OK(be_commit(handle, longest, 1, DESCRIPTION, &id));
}

static size_t longest_line(void)
{
	size_t longest = 0, size;

	for (const char *line = shown; *line; line += size + strspn(line + size, "\r\n")) {
		size = strcspn(line, "\r\n");
		longest = size > longest ? size : longest;
	}
	return longest;
}

int main(int argc, char **argv)
{
	struct be_envelope_options suspended = BE_ENVELOPE_OPTIONS_INIT;
	int64_t now_ns = INSPECTED_NS;
	static const unsigned short widths[] = {40, 80, 200};
	struct be_enforcer *handle;
	char *whole;

	inspects_begin(argc, argv, 60);
	setenv("NO_COLOR", "1", 1);
	unsetenv("COLUMNS");
	handle = inspected_open("a-namespace", &now_ns, path);
	suspended.suspended = true;
	EXPECT_OK(be_envelope_create(handle, "a-category", 1000 * BE_UNIT, BE_PERIOD_TOTAL,
				     &suspended));
	EXPECT_OK(be_record(handle, "a-category", 123456789, DESCRIPTION, NULL));

	show(200, "envelopes", NULL);
	EXPECT_CONTAINS(shown, " PARENT");
	show(80, "envelopes", NULL);
	EXPECT_LACKS(shown, " PARENT");
	EXPECT_CONTAINS(shown, " AVAILABLE ");
	EXPECT_CONTAINS(shown, " suspended");
	EXPECT(longest_line() <= 80);
	printf("at 80 columns the longest line has %zu\n", longest_line());
	show(80, "envelopes", "--output=+id");
	EXPECT_CONTAINS(shown, " PARENT ");
	show(20, "envelopes", NULL);
	EXPECT_CONTAINS(shown, " suspended");
	fill_large(handle);
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		show(widths[i], "envelopes", NULL);
		EXPECT(longest_line() <= widths[i]);
		EXPECT_CONTAINS(shown, " 0.000000002 ");
		EXPECT_CONTAINS(shown, "nn+");
		EXPECT_CONTAINS(shown, " 999.876543211 ");
		show(widths[i], "transactions", NULL);
		EXPECT(longest_line() <= widths[i]);
		EXPECT_CONTAINS(shown, " 9223372036.854775804 ");
		EXPECT_CONTAINS(shown, "a d");
		show(widths[i], "commits", NULL);
		EXPECT(longest_line() <= widths[i]);
		EXPECT_CONTAINS(shown, " 0.000000001 ");
		show(widths[i], "owners", NULL);
		EXPECT(longest_line() <= widths[i]);
	}
	EXPECT_CONTAINS(shown, " COMMAND");
	show(200, "envelopes", NULL);
	EXPECT_CONTAINS(shown, " 9223372036.854775807 9223372036.854775804 ");
	show(120, "transactions", NULL);
	EXPECT_CONTAINS(shown, " a descript+");
	EXPECT(longest_line() <= 120);
	whole = inspect_text(path, "transactions", NULL);
	EXPECT_CONTAINS(whole, DESCRIPTION "\n");
	free(whole);

	EXPECT_REFUSED(2, "--output: commits has no column 'kind'; it has ID, NAMESPACE, ",
		       "--output=id,kind", path, "commits");
	EXPECT_REFUSED(2, "--sort: owners has no column 'id'; it has PID, NAMESPACE, ",
		       "--sort=-id", path, "owners");
	be_close(handle);
	return 0;
}
