/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table on standard output, with the habits of lsblk and its kin.
 *
 * A ledger may have millions of lines. So lines are printed and forgotten a chunk at a time; from
 * one chunk to the next a column only ever gets wider. Widths are those on a terminal: a character
 * may fill no cell, or two. No blank ends a line.
 *
 * Every cell is escaped. With --raw nothing is aligned, and every byte that is not printable ASCII
 * is escaped, and blanks, so that a line is as many words as there are columns.
 */
#include "table.h"

#include "text.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define CHUNK 4096
/* Millionths of the limit from which on an envelope is coloured. */
#define NEARLY_USED_PPM 800000
#define ALL_USED_PPM 1000000

#define PLAIN ""
#define RED "\033[31m"
#define YELLOW "\033[1;33m"
#define RESET "\033[0m"

/* Columns that are left out, one after the other, where a terminal is too narrow for all of the
 * usual ones: those that say what a tree shows, or what changes least. */
static const char *const dispensable[] = {"parent", "period", "period_end", "refused"};

struct column {
	const struct field *field;
	bool is_figure;  /* aligned to the right */
	bool may_be_cut; /* on a terminal, where the lines would be too long */
	bool hidden;
	size_t width; /* of its widest cell so far */
	size_t shown_width;
};

struct table {
	const struct arguments *arguments;
	struct column *columns;
	bool colours;
	size_t room;               /* cells in a line of the terminal; 0: there is none */
	const char **line_colours; /* of this chunk's lines, */
	struct text cells;         /* and their cells, each with a NUL */
	size_t waiting;            /* lines */
	bool begun;                /* headings were printed, or are not wanted */
	bool laid_out;             /* it was decided which columns are left out */
};

/* As https://no-color.org has it. */
static bool wants_colours(void)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && (!no_colour || !*no_colour) && terminal &&
	       strcmp(terminal, "dumb") != 0;
}

static size_t terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return columns && atoi(columns) > 0 ? (size_t)atoi(columns) : 80;
}

struct table *table_create(const struct arguments *arguments)
{
	struct table *table = calloc(1, sizeof *table);

	if (!table)
		tool_out_of_memory();
	table->arguments = arguments;
	table->begun = arguments->noheadings;
	table->colours = arguments->form == FORM_TABLE && wants_colours();
	table->room = terminal_width();
	table->columns = calloc(arguments->column_count, sizeof *table->columns);
	table->line_colours = calloc(CHUNK, sizeof *table->line_colours);
	if (!table->columns || !table->line_colours)
		tool_out_of_memory();
	for (size_t i = 0; i < arguments->column_count; i++) {
		struct column *column = &table->columns[i];

		column->field = arguments->columns[i];
		column->is_figure = field_is_figure(column->field);
		/* What is not shown on a line of its own is shown by its beginning. */
		column->may_be_cut = strcmp(column->field->key, "description") == 0 ||
				     strcmp(column->field->key, "command") == 0;
		column->width = strlen(column->field->heading);
	}
	return table;
}

/* ---- widths */

/* How many bytes of a printable text fill at most `most` cells; *cells is how many they fill. */
static size_t fitting(const char *text, size_t most, size_t *cells)
{
	mbstate_t state = {0};
	size_t used = 0;

	for (*cells = 0; text[used];) {
		size_t size = 1, needed = 1;
		wchar_t character;

		if ((unsigned char)text[used] >= 0x80) {
			size = mbrtowc(&character, text + used, MB_CUR_MAX, &state);
			needed = size <= MB_CUR_MAX ? (size_t)wcwidth(character) : 1;
			size = size <= MB_CUR_MAX ? size : 1;
		}
		if (*cells + needed > most)
			break;
		*cells += needed;
		used += size;
	}
	return used;
}

static size_t width_of(const char *text)
{
	size_t cells;

	fitting(text, SIZE_MAX / 2, &cells);
	return cells;
}

static void widen(struct table *table)
{
	const struct arguments *arguments = table->arguments;
	const char *cell = table->cells.bytes;

	for (size_t i = 0; i < table->waiting * arguments->column_count; i++) {
		struct column *column = &table->columns[i % arguments->column_count];
		size_t width = width_of(cell);

		if (width > column->width)
			column->width = width;
		cell += strlen(cell) + 1;
	}
}

/* The width of a whole line. */
static size_t line_width(const struct table *table)
{
	size_t width = 0;

	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (!table->columns[i].hidden)
			width += table->columns[i].width + 1;
	return width - 1;
}

static void hide(struct table *table, const char *key)
{
	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (strcmp(table->columns[i].field->key, key) == 0)
			table->columns[i].hidden = true;
}

/* Columns are left out only if they were not asked for, only on a terminal, and only before the
 * first line; from then on they stay. */
static void leave_out(struct table *table)
{
	size_t gone = 0;

	if (table->room == 0 || table->arguments->columns_chosen)
		return;
	while (line_width(table) > table->room && gone < sizeof dispensable / sizeof *dispensable)
		hide(table, dispensable[gone++]);
}

static void fit(struct table *table)
{
	size_t width = line_width(table);

	for (size_t i = 0; i < table->arguments->column_count; i++) {
		struct column *column = &table->columns[i];
		size_t least = strlen(column->field->heading), spare = 0;

		if (table->room > 0 && width > table->room && column->may_be_cut &&
		    column->width > least)
			spare = column->width - least;
		if (spare > width - table->room)
			spare = width - table->room;
		column->shown_width = column->width - spare;
		width -= spare;
	}
}

/* ---- printing */

static void put_blanks(size_t count)
{
	while (count-- > 0)
		putc_unlocked(' ', stdout);
}

/* Prints a cell. Blanks are owed to what follows it, and not printed where nothing does. */
static void put_cell(const struct column *column, const char *cell, size_t *blanks)
{
	size_t cells, size = fitting(cell, column->shown_width, &cells);

	if (column->is_figure)
		*blanks += column->shown_width - cells;
	put_blanks(*blanks);
	fwrite_unlocked(cell, 1, size, stdout);
	*blanks = 1 + (column->is_figure ? 0 : column->shown_width - cells);
}

static void put_headings(struct table *table)
{
	size_t blanks = 0;

	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (!table->columns[i].hidden)
			put_cell(&table->columns[i], table->columns[i].field->heading, &blanks);
	putc_unlocked('\n', stdout);
}

static void put_lines(struct table *table)
{
	const char *cell = table->cells.bytes;

	for (size_t line = 0; line < table->waiting; line++) {
		const char *colour = table->line_colours[line];
		size_t blanks = 0;

		fputs_unlocked(colour, stdout);
		for (size_t i = 0; i < table->arguments->column_count; i++) {
			if (!table->columns[i].hidden)
				put_cell(&table->columns[i], cell, &blanks);
			cell += strlen(cell) + 1;
		}
		fputs_unlocked(*colour ? RESET "\n" : "\n", stdout);
	}
}

bool table_flush(struct table *table)
{
	widen(table);
	if (!table->laid_out)
		leave_out(table);
	table->laid_out = true;
	fit(table);
	if (!table->begun)
		put_headings(table);
	table->begun = true;
	put_lines(table);
	table->cells.used = 0;
	table->waiting = 0;
	fflush(stdout);
	return tool_output_is_sound();
}

/* ---- rows */

static const char *colour_of(const struct table *table, const void *record)
{
	const struct be_envelope *envelope = record;

	if (!table->colours || table->arguments->view != VIEW_ENVELOPES)
		return PLAIN;
	if (envelope->utilization_ppm >= ALL_USED_PPM)
		return RED;
	return envelope->utilization_ppm >= NEARLY_USED_PPM ? YELLOW : PLAIN;
}

static void put_raw(const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte > ' ' && byte < 0x7f && byte != '\\') {
			putc_unlocked(byte, stdout);
			continue;
		}
		fputs_unlocked("\\x", stdout);
		putc_unlocked(digits[byte >> 4], stdout);
		putc_unlocked(digits[byte & 15], stdout);
	}
}

static bool raw_row(struct table *table, const void *record)
{
	const struct arguments *arguments = table->arguments;
	char text[FIELD_TEXT_SIZE];

	if (!table->begun)
		table_flush(table);
	for (size_t i = 0; i < arguments->column_count; i++) {
		if (i > 0)
			putc_unlocked(' ', stdout);
		field_text(arguments->columns[i], record, arguments->now_ns, text);
		put_raw(text);
	}
	putc_unlocked('\n', stdout);
	return tool_output_is_sound();
}

bool table_row(struct table *table, const void *record, const char *branch)
{
	const struct arguments *arguments = table->arguments;
	char text[FIELD_TEXT_SIZE];

	if (arguments->form == FORM_RAW)
		return raw_row(table, record);
	for (size_t i = 0; i < arguments->column_count; i++) {
		if (*branch && strcmp(arguments->columns[i]->key, "category") == 0)
			text_append(&table->cells, branch);
		field_text(arguments->columns[i], record, arguments->now_ns, text);
		text_append_escaped(&table->cells, text);
		text_end(&table->cells);
	}
	table->line_colours[table->waiting++] = colour_of(table, record);
	return table->waiting < CHUNK || table_flush(table);
}

void table_finish(struct table *table)
{
	table_flush(table);
	free(table->cells.bytes);
	free(table->line_colours);
	free(table->columns);
	free(table);
}
