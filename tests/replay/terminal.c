/* SPDX-License-Identifier: Apache-2.0 */
/* Progress is drawn on a terminal, on one line, and that line is empty at the end. */
#include "replays.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char drawn[1 << 22]; /* at ten drawings a second, for hours */
	char directory[PATH_MAX];
	struct run run;
	size_t size = 0;
	ssize_t got;
	int terminal, inside;

	replays_begin(argc, argv, 60);
	EXPECT(openpty(&terminal, &inside, NULL, NULL, NULL) == 0);
	EXPECT(fcntl(terminal, F_SETFD, FD_CLOEXEC) == 0);
	test_path(directory, "environment");
	/* An hour in two seconds: some twenty drawings. */
	run_start(&run, inside, "--speed", "1800", directory, NULL);
	close(inside);
	/* Reading fails once the last writer has gone. */
	while ((got = read(terminal, drawn + size, sizeof drawn - 1 - size)) > 0)
		size += (size_t)got;
	EXPECT_EQUAL(run_wait(&run), 0);
	EXPECT_CONTAINS(drawn, "/2000  permitted ");
	EXPECT_CONTAINS(drawn, "  spent 27.892476  ");
	EXPECT_CONTAINS(drawn, " operations/s  left ");
	EXPECT(strchr(drawn, '\n') == NULL);
	EXPECT(size > 4 && strcmp(drawn + size - 4, "\r\033[K") == 0);
	printf("%zu bytes drawn\n", size);
	close(terminal);
	return 0;
}
