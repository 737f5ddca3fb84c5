/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restores the terminal in a signal handler, where ncurses may not be called: what ncurses would
 * send at its end is composed beforehand. A file of its own, because term.h takes common words for
 * its macros.
 */
#include "terminal.h"

#include "tool.h"

#include <curses.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

static struct termios modes;
static char farewell[256];
static size_t farewell_size;

static void restore(void)
{
	/* Nothing can be done about a terminal that is gone. */
	if (write(STDOUT_FILENO, farewell, farewell_size) >= 0)
		tcsetattr(STDIN_FILENO, TCSANOW, &modes);
}

static int append(int byte)
{
	if (farewell_size < sizeof farewell)
		farewell[farewell_size++] = (char)byte;
	return byte;
}

void terminal_note_modes(void)
{
	tcgetattr(STDIN_FILENO, &modes);
}

bool terminal_is_a_screen(void)
{
	return cursor_address != NULL;
}

void terminal_restore_at_crash(void)
{
	const char *const capabilities[] = {exit_attribute_mode, orig_pair, keypad_local,
					    cursor_normal, exit_ca_mode};

	farewell_size = 0;
	/* The last line, for terminals that have one screen only. */
	if (cursor_address)
		tputs(tparm(cursor_address, LINES - 1, 0), 1, append);
	for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
		if (capabilities[i])
			tputs(capabilities[i], 1, append);
	if (!exit_ca_mode) {
		append('\r');
		append('\n');
	}
	tool_restore_with(restore);
}

void terminal_is_restored(void)
{
	tool_restore_with(NULL);
}
