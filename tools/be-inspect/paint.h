/* SPDX-License-Identifier: Apache-2.0 */
/* Text and amounts on the screen of the live view. No figure loses a digit without a "+" in its
 * place. */
#ifndef PAINT_H
#define PAINT_H

#include <budget_enforcer.h>
#include <curses.h>
#include <stdbool.h>

enum colour {
	COLOUR_NONE,
	COLOUR_FULL,
	COLOUR_NEARLY,
	COLOUR_SPENT,
	COLOUR_COMMITTED,
};

/* Makes colours, where the terminal has them and the user wants them. */
void paint_begin(void);

/* The attribute of a colour; the ordinary one without colours. */
chtype paint_colour(enum colour colour);

/* Cells that a text fills once it is made printable. */
int paint_cells(const char *text);

/* Puts text into exactly `width` cells. What is too long ends with a "+". */
void paint(int y, int x, int width, bool to_the_right, const char *text);

/* A whole line of the screen. */
void paint_line(int y, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts items, each of which ends with a newline, from line `y` on, as many in a line as fit; an
 * empty item begins a new line. With `most` above 0, there are at most so many lines, and what is
 * too much for the last one is marked there; with 0 nothing is put. Returns how many lines there
 * are. */
int paint_flow(int y, int most, const char *items);

/* "namespace/category", or the category alone in the default namespace. */
#define PAINT_NAME_SIZE (2 * BE_NAME_SIZE + 1)
void paint_name(const char *namespace_name, const char *category, char text[PAINT_NAME_SIZE]);

#endif
