/* SPDX-License-Identifier: Apache-2.0 */
#include "paint.h"

#include "text.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define LINE_SIZE 1024
#define BETWEEN_ITEMS 2 /* blanks */

void paint_begin(void)
{
	const char *no_colour = getenv("NO_COLOR");

	if ((no_colour && *no_colour) || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(COLOUR_FULL, COLOR_RED, -1);
	init_pair(COLOUR_NEARLY, COLOR_YELLOW, -1);
	init_pair(COLOUR_SPENT, COLOR_CYAN, -1);
	init_pair(COLOUR_COMMITTED, COLOR_BLUE, -1);
}

chtype paint_colour(enum colour colour)
{
	return COLOR_PAIR(has_colors() ? colour : COLOUR_NONE);
}

/* How many bytes of a text, made printable before, fill at most `width` cells, and how many cells
 * those are. */
static size_t fitting(const char *text, int width, int *cells)
{
	size_t left = strlen(text), used = 0;
	mbstate_t state = {0};

	for (*cells = 0; left > 0;) {
		wchar_t character;
		size_t size = mbrtowc(&character, text + used, left, &state);
		int needed = size == 0 || size > left ? -1 : wcwidth(character);

		if (needed < 0 || *cells + needed > width)
			break;
		*cells += needed;
		used += size;
		left -= size;
	}
	return used;
}

int paint_cells(const char *text)
{
	char *safe = text_escape(text);
	int cells;

	fitting(safe, INT_MAX, &cells);
	free(safe);
	return cells;
}

void paint(int y, int x, int width, bool to_the_right, const char *text)
{
	char *safe = text_escape(text);
	size_t size;
	int cells;

	if (width > 0 && y < LINES) {
		size = fitting(safe, width, &cells);
		mvhline(y, x, ' ', width);
		if (safe[size]) {
			size = fitting(safe, width - 1, &cells);
			mvaddch(y, x + width - 1, '+');
			to_the_right = false;
		}
		mvaddnstr(y, to_the_right ? x + width - cells : x, safe, (int)size);
	}
	free(safe);
}

void paint_line(int y, const char *format, ...)
{
	char text[LINE_SIZE];
	va_list list;

	va_start(list, format);
	/* It is not uninitialised. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	paint(y, 0, COLS, false, text);
}

int paint_flow(int y, int most, const char *items)
{
	char line[LINE_SIZE], item[LINE_SIZE];
	int lines = 0, cells = 0, bytes = 0;

	for (size_t size; *items; items += size + 1) {
		int needed;

		size = strcspn(items, "\n");
		snprintf(item, sizeof item, "%.*s", (int)size, items);
		needed = paint_cells(item);
		if (cells > 0 && (needed == 0 || cells + BETWEEN_ITEMS + needed > COLS) &&
		    (most == 0 || lines + 1 < most)) {
			if (most > 0)
				paint(y + lines, 0, COLS, false, line);
			lines++;
			cells = bytes = 0;
		}
		if (needed == 0 || bytes >= LINE_SIZE)
			continue;
		needed += cells > 0 ? BETWEEN_ITEMS : 0;
		bytes += snprintf(line + bytes, (size_t)(LINE_SIZE - bytes), "%s%s",
				  cells > 0 ? "  " : "", item);
		cells += needed;
	}
	if (cells > 0 && most > 0)
		paint(y + lines, 0, COLS, false, line);
	return lines + (cells > 0);
}

void paint_name(const char *namespace_name, const char *category, char text[PAINT_NAME_SIZE])
{
	snprintf(text, PAINT_NAME_SIZE, "%s%s%s", namespace_name, *namespace_name ? "/" : "",
		 category);
}
