/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each column is as wide as its widest cell on the screen, and shown whole or not at all. Only what
 * is no figure may be cut, with a mark: names, and the text at the end, which gets what is left.
 * The first two columns stay, whatever the width, and then with a mark for what does not fit.
 */
#include "grid.h"

#include "paint.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS_THAT_STAY 2
/* A name may take one part in so many of the screen. */
#define NAME_PART 4

struct columns {
	const struct field *fields[GRID_COLUMNS_MAX];
	int widths[GRID_COLUMNS_MAX]; /* 0: it is left out */
	size_t count;
};

static void cell_text(const struct grid *grid, const struct field *field, size_t row,
		      char text[FIELD_TEXT_SIZE])
{
	field_text(field, grid->record(grid->context, grid->first + row), grid->now_ns, text);
}

/* Of the widest cell in the first `rows`, and the heading. */
static int width_of(const struct grid *grid, const struct field *field, size_t rows)
{
	int heading = (int)strlen(field->heading), width = heading, most = COLS / NAME_PART;
	char text[FIELD_TEXT_SIZE];

	for (size_t row = 0; row < rows; row++) {
		int cells;

		cell_text(grid, field, row, text);
		cells = paint_cells(text);
		if (cells > width)
			width = cells;
	}
	if (field->kind == FIELD_TEXT && width > most)
		width = most > heading ? most : heading;
	return width;
}

static void measure(struct columns *columns, const struct grid *grid, size_t rows)
{
	size_t last = columns->count - 1;
	int text_width = (int)strlen(columns->fields[last]->heading), room = COLS;

	for (size_t i = 0; i < last; i++) {
		int width = width_of(grid, columns->fields[i], rows);

		if (i < COLUMNS_THAT_STAY)
			width = width < room ? width : room;
		else if (width + 1 + text_width > room)
			width = 0;
		columns->widths[i] = width > 0 ? width : 0;
		room -= width > 0 ? width + 1 : 0;
	}
	columns->widths[last] = room >= text_width ? room : 0;
}

static void draw_row(int y, const struct columns *columns, const struct grid *grid, size_t row)
{
	char text[FIELD_TEXT_SIZE];
	int x = 0;

	for (size_t i = 0; i < columns->count; i++) {
		int width = columns->widths[i];

		if (width == 0)
			continue;
		if (x > 0)
			mvaddch(y, x - 1, ' ');
		cell_text(grid, columns->fields[i], row, text);
		paint(y, x, width, field_is_figure(columns->fields[i]), text);
		x += width + 1;
	}
}

static void draw_headings(int y, const struct columns *columns)
{
	int x = 0;

	attrset(A_BOLD);
	for (size_t i = 0; i < columns->count; i++) {
		paint(y, x, columns->widths[i], field_is_figure(columns->fields[i]),
		      columns->fields[i]->heading);
		x += columns->widths[i] > 0 ? columns->widths[i] + 1 : 0;
	}
	attrset(A_NORMAL);
}

int grid_draw(int y, int lines, const struct grid *grid)
{
	struct columns columns = {.count = 0};
	size_t rows = 0;

	for (size_t i = 0; grid->keys[i]; i++) {
		columns.fields[columns.count] =
			fields_find(grid->fields, grid->keys[i], strlen(grid->keys[i]));
		columns.count += columns.fields[columns.count] != NULL;
	}
	if (lines < 1 || columns.count == 0)
		return y;
	while ((int)rows < lines - 1 && grid->record(grid->context, grid->first + rows))
		rows++;
	measure(&columns, grid, rows);
	draw_headings(y, &columns);
	for (size_t row = 0; row < rows; row++) {
		attrset(grid->first + row == grid->selected ? A_REVERSE : A_NORMAL);
		draw_row(y + 1 + (int)row, &columns, grid, row);
	}
	attrset(A_NORMAL);
	return y + 1 + (int)rows;
}
