/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal as it is to be when the live view is over, also where ncurses is not asked any
 * more. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>

/* Before ncurses changes the terminal: notes its modes. */
void terminal_note_modes(void);

/* Once ncurses knows the terminal: can anything be written at a place of one's choice? */
bool terminal_is_a_screen(void);

/* Once ncurses knows the terminal: from now on a crash, and an end for lack of memory, restores
 * it. */
void terminal_restore_at_crash(void);

/* ncurses has restored it. */
void terminal_is_restored(void);

#endif
