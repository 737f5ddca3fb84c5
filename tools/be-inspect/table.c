/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table on standard output, with the habits of lsblk and its kin.
 *
 * A ledger may have millions of lines. So lines are printed and forgotten a chunk at a time; from
 * one chunk to the next a column only ever gets wider. Widths are those on a terminal: a character
 * may fill no cell, or two. No blank ends a line.
 *
 * A table keeps to the width of the terminal: first it cuts texts that may be long, then leaves
 * columns out, then cuts names, with a "+" at the end of each that is cut. Figures are shown whole
 * or not at all. Whoever names columns gets them whole, and so does a pipe.
 *
 * Every cell is escaped. With --raw nothing is aligned, and blanks and backslashes are escaped,
 * too, so that a line is as many words as there are columns, and a name without these can be given
 * to be-ctl as it stands.
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
 * usual ones: before names are cut those that say what a tree shows, or what changes least; and
 * those that can be looked up only if cutting names would not be enough. */
struct dispensable {
	const char *key; /* NULL behind the last one */
	bool before_names;
};
static const struct dispensable dispensable[] = {
	{"parent", true},       {"period", true},
	{"period_end", true},   {"refused", true},
	{"commit_id", true},    {"held", true},
	{"committed", false},   {"spent", false},
	{"limit", false},       {"utilization_percent", false},
	{"kind", false},        {"owner_pid", false},
	{"age_seconds", false}, {"deadline", false},
	{"at", false},          {NULL, false},
};
/* Of alerts it matters what was spent, and of owners what they hold. */
static const struct dispensable dispensable_of_alerts[] = {
	{"done", true}, {"spender_category", false}, {"limit", false},
	{"at", false},  {"percent", false},          {NULL, false},
};
static const struct dispensable dispensable_of_owners[] = {
	{"pid_namespace", true}, {"pid_here", true}, {"oldest_seconds", true},
	{"alive", true},         {"commits", false}, {NULL, false},
};

static const struct dispensable *dispensable_of(enum view view)
{
	if (view == VIEW_ALERTS)
		return dispensable_of_alerts;
	return view == VIEW_OWNERS ? dispensable_of_owners : dispensable;
}

/* Columns that may be cut, and to how many cells: texts, and where that is not enough names and
 * texts. */
#define LEAST_OF_TEXT 11
#define LEAST_OF_ALL 4
/* The same of reports; what they are grouped by stays. */
static const char *const of_reports[] = {"mean", "share_percent", "count"};

/* Cells of a bar: where it has no less room, where there is any room, and in a pipe. */
#define BAR_LEAST 8
#define BAR_MOST 40
#define BAR_USUAL 20

static const char *const texts[] = {"description", "command"};
static const char *const names[] = {"namespace", "category", "parent", "spender_category"};

struct column {
	const struct field *field;
	bool is_figure; /* aligned to the right */
	bool is_text;   /* see above */
	bool is_name;
	bool is_bar; /* as wide as there is room */
	bool hidden;
	size_t width; /* of its widest cell so far */
	size_t shown_width;
};

struct table {
	const struct arguments *arguments;
	struct column *columns;
	bool colours;
	size_t room;               /* cells in a line of the terminal; 0: as many as needed */
	const char **line_colours; /* of this chunk's lines, */
	struct text cells;         /* and their cells, each with a NUL */
	size_t waiting;            /* lines */
	bool begun;                /* headings were printed, or are not wanted */
	bool laid_out;             /* it was decided which columns are left out */
};

static bool is_one_of(const char *key, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

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
	table->room = arguments->columns_chosen ? 0 : terminal_width();
	table->columns = calloc(arguments->column_count, sizeof *table->columns);
	table->line_colours = calloc(CHUNK, sizeof *table->line_colours);
	if (!table->columns || !table->line_colours)
		tool_out_of_memory();
	for (size_t i = 0; i < arguments->column_count; i++) {
		struct column *column = &table->columns[i];

		column->field = arguments->columns[i];
		column->is_figure = field_is_figure(column->field);
		column->is_text =
			is_one_of(column->field->key, texts, sizeof texts / sizeof *texts);
		column->is_name =
			is_one_of(column->field->key, names, sizeof names / sizeof *names);
		column->is_bar = column->field->kind == FIELD_BAR;
		column->width = column->is_bar ? 0 : strlen(column->field->heading);
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

		if (width > column->width && !column->is_bar)
			column->width = width;
		cell += strlen(cell) + 1;
	}
}

/* What of a column's width may be cut. */
static size_t spare_of(const struct column *column, bool of_names)
{
	size_t least = of_names ? LEAST_OF_ALL : LEAST_OF_TEXT;

	if (!column->is_text && !(of_names && column->is_name))
		return 0;
	return column->width > least ? column->width - least : 0;
}

/* The width of a whole line, with everything cut that may be. */
static size_t least_width(const struct table *table, bool of_names)
{
	size_t width = 0;

	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (!table->columns[i].hidden && !table->columns[i].is_bar)
			width += table->columns[i].width + 1 -
				 spare_of(&table->columns[i], of_names);
	return width - 1;
}

static void hide(struct table *table, const char *key)
{
	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (strcmp(table->columns[i].field->key, key) == 0)
			table->columns[i].hidden = true;
}

static void leave_out_of_report(struct table *table)
{
	for (size_t i = 0; i < sizeof of_reports / sizeof *of_reports; i++)
		if (least_width(table, true) > table->room)
			hide(table, of_reports[i]);
}

/* Only before the first line; from then on columns stay. The last ones go only if cutting names
 * would not be enough. */
static void leave_out(struct table *table)
{
	const struct dispensable *next = dispensable_of(table->arguments->view);

	if (table->room == 0)
		return;
	if (table->arguments->view == VIEW_REPORT) {
		leave_out_of_report(table);
		return;
	}
	for (; next->key && least_width(table, !next->before_names) > table->room; next++)
		hide(table, next->key);
}

/* Cuts the widest first, so that what is cut is cut to one width. */
static void cut(struct table *table, bool of_names, size_t *excess)
{
	while (*excess > 0) {
		struct column *widest = NULL;

		for (size_t i = 0; i < table->arguments->column_count; i++) {
			struct column *column = &table->columns[i];

			if (!column->hidden && (column->is_text || (of_names && column->is_name)) &&
			    column->shown_width > column->width - spare_of(column, of_names) &&
			    (!widest || column->shown_width > widest->shown_width))
				widest = column;
		}
		if (!widest)
			return;
		widest->shown_width--;
		--*excess;
	}
}

/* What room is left behind the other columns, which take `width` with a blank behind each. */
static void fit_bars(struct table *table, size_t width)
{
	size_t room = table->room > width ? table->room - width : 0;

	if (table->room == 0)
		room = BAR_USUAL;
	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (table->columns[i].is_bar)
			table->columns[i].shown_width = room < BAR_LEAST  ? 0
							: room < BAR_MOST ? room
									  : BAR_MOST;
}

static void fit(struct table *table)
{
	size_t width = 0, excess;

	for (size_t i = 0; i < table->arguments->column_count; i++) {
		table->columns[i].shown_width = table->columns[i].width;
		if (!table->columns[i].hidden && !table->columns[i].is_bar)
			width += table->columns[i].width + 1;
	}
	fit_bars(table, width);
	if (table->room == 0 || width <= table->room + 1)
		return;
	excess = width - 1 - table->room;
	cut(table, false, &excess);
	cut(table, true, &excess);
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
	bool is_cut = cell[size] != '\0';

	if (is_cut)
		size = fitting(cell, column->shown_width - 1, &cells);
	if (column->is_figure)
		*blanks += column->shown_width - cells;
	put_blanks(*blanks);
	fwrite_unlocked(cell, 1, size, stdout);
	if (is_cut) {
		putc_unlocked('+', stdout);
		cells++;
	}
	*blanks = 1 + (column->is_figure ? 0 : column->shown_width - cells);
}

/* A part of the longest; what is not nothing is seen. */
static void put_bar(const struct column *column, const char *cell, size_t *blanks)
{
	size_t ppm = strtoull(cell, NULL, 10);
	size_t cells = (ppm * column->shown_width + 500000) / 1000000;

	if (cells == 0 && ppm > 0 && column->shown_width > 0)
		cells = 1;
	put_blanks(cells > 0 ? *blanks : 0);
	*blanks = (cells > 0 ? 0 : *blanks) + column->shown_width - cells + 1;
	for (; cells > 0; cells--)
		putc_unlocked('#', stdout);
}

static void put_headings(struct table *table)
{
	size_t blanks = 0;

	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (table->columns[i].is_bar)
			blanks += table->columns[i].shown_width + 1;
		else if (!table->columns[i].hidden)
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
			if (table->columns[i].is_bar)
				put_bar(&table->columns[i], cell, &blanks);
			else if (!table->columns[i].hidden)
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

/* What is printable stays as it is, but for what parts words. */
static void put_raw(struct text *safe, const char *text)
{
	safe->used = 0;
	text_append_escaped(safe, text);
	text_end(safe);
	for (const char *byte = safe->bytes; *byte; byte++) {
		if (*byte == ' ')
			fputs_unlocked("\\x20", stdout);
		else if (*byte == '\\' && byte[1] != 'x')
			fputs_unlocked("\\x5c", stdout);
		else
			putc_unlocked(*byte, stdout);
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
		put_raw(&table->cells, text);
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
