/* SPDX-License-Identifier: Apache-2.0 */
/* See screens.h. */
#include "screens.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char screens_screen[64 * 1024];
bool screens_in_colour;
char screens_program[PATH_MAX];
static char socket_path[PATH_MAX];

/* In the foreground, so that it ends with this process, and its terminals with it. */
static int run_server(int index, void *context)
{
	(void)index;
	(void)context;
	execlp("tmux", "tmux", "-u", "-D", "-f", "/dev/null", "-S", socket_path, (char *)NULL);
	return 127;
}

int tmux(const char *format, ...)
{
	char command[4 * PATH_MAX];
	size_t size = (size_t)snprintf(command, sizeof command, "tmux -u -S '%s' ", socket_path);
	va_list list;
	FILE *pipe;

	va_start(list, format);
	vsnprintf(command + size, sizeof command - size, format, list);
	va_end(list);
	pipe = popen(command, "re");
	EXPECT(pipe);
	screens_screen[fread(screens_screen, 1, sizeof screens_screen - 1, pipe)] = '\0';
	return pclose(pipe);
}

void screens_begin(const char *program)
{
	EXPECT(realpath(program, screens_program));
	if (system("tmux -V >/dev/null 2>&1") != 0)
		test_skip("tmux is missing (Debian package tmux)");
	test_path(socket_path, "tmux");
	setenv("LC_ALL", "C.UTF-8", 1);
	unsetenv("TMUX");
	unsetenv("NO_COLOR");
	child_start(run_server, 0, NULL);
	while (tmux("show-options -s >/dev/null 2>&1") != 0)
		usleep(10000);
}

void keys(const char *names)
{
	EXPECT_EQUAL(tmux("send-keys %s", names), 0);
}

void look(void)
{
	EXPECT_EQUAL(tmux("capture-pane -p%s", screens_in_colour ? " -e" : ""), 0);
}

/* At the test's deadline the last screen is not known, so it is given up earlier and shown. */
void await(int line, const char *part, bool wanted, struct be_enforcer *refused)
{
	int64_t start_ns = test_monotonic_ns();

	do {
		if (refused)
			EXPECT_STATUS(be_check(refused, "e-07", 2 * BE_UNIT, NULL),
				      BE_EXCEEDS_BUDGET);
		look();
	} while ((strstr(screens_screen, part) != NULL) != wanted && test_wait_on(start_ns, 20));
	expect_contains(__FILE__, line, screens_screen, part, wanted);
}

/* The shell is interrupted along with it, and would end. */
void screens_watch_view(const char *environment, const char *view, const char *options)
{
	EXPECT_EQUAL(tmux("new-session -d -x 80 -y 24 \"trap : INT; echo before; '%s' --watch %s "
			  "'%s' %s; echo status \\$?; exec sleep 1000\"",
			  screens_program, options, environment, view),
		     0);
}

void screens_watch(const char *environment, const char *options)
{
	screens_watch_view(environment, "envelopes", options);
}

void screens_resize(int columns, int lines)
{
	EXPECT_EQUAL(tmux("resize-window -x %d -y %d", columns, lines), 0);
}

void screens_end(const char *status)
{
	AWAIT(status);
	AWAIT("before\n");
	AWAIT_GONE("q quit");
	EXPECT_EQUAL(tmux("kill-session"), 0);
}
