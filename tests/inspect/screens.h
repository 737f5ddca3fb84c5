/* SPDX-License-Identifier: Apache-2.0 */
/* be-inspect --watch on a terminal of tmux's, whose keys and screen are the test's. */
#ifndef SCREENS_H
#define SCREENS_H

#include "inspects.h"

/* The screen as it was looked at last, and whether it is looked at with its colours. */
extern char screens_screen[64 * 1024];
extern bool screens_in_colour;
/* The absolute path of be-inspect. */
extern char screens_program[PATH_MAX];

/* Starts tmux, or ends the test as skipped where it is missing. The server ends with the test. */
void screens_begin(const char *program);

/* Runs a command of tmux's; what it prints goes to the screen. Returns its status. */
int tmux(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Opens a session of 80 to 24 cells, which watches the envelopes, or another view. */
void screens_watch(const char *environment, const char *options);
void screens_watch_view(const char *environment, const char *view, const char *options);

void screens_resize(int columns, int lines);

void keys(const char *names);
void look(void);

/* Waits until the screen has `part`, or has it no more. With a handle, refusals go on meanwhile. */
void await(int line, const char *part, bool wanted, struct be_enforcer *refused);

#define AWAIT(part) await(__LINE__, (part), true, NULL)
#define AWAIT_REFUSING(handle, part, wanted) await(__LINE__, (part), (wanted), (handle))
#define AWAIT_GONE(part) await(__LINE__, (part), false, NULL)

/* The screen below its first line, which tells the time. A screen may be seen while it is being
 * drawn. */
#define AWAIT_SCREEN(expected)                                                                     \
	do {                                                                                       \
		AWAIT(expected);                                                                   \
		EXPECT_TEXT(strchr(screens_screen, '\n') + 1, (expected));                         \
	} while (0)

/* Waits until be-inspect has ended with what `status` says and what was on the screen before is
 * there again, and closes the session. */
void screens_end(const char *status);

#endif
