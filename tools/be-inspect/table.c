/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table on standard output, aligned by libsmartcols.
 *
 * A ledger may have millions of lines, and a row of libsmartcols costs about a kilobyte. So rows
 * are printed and forgotten a chunk at a time; from one chunk to the next a column only ever gets
 * wider. Trees, of envelopes only, are printed whole.
 *
 * In a table every cell is escaped here, because libsmartcols lets the characters pass that turn
 * the direction of writing; its own escaping is switched off, which would escape our escapes. With
 * --raw libsmartcols escapes every byte that is not printable ASCII by itself, and blanks.
 */
#include "table.h"

#include "text.h"
#include "tool.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4096
/* Millionths of the limit from which on an envelope is coloured. */
#define NEARLY_USED_PPM 800000
#define ALL_USED_PPM 1000000

/* Columns that are left out, one after the other, where a terminal is too narrow for all of the
 * usual ones: those that say what a tree shows, or what changes least. */
static const char *const dispensable[] = {"parent", "period", "period_end", "refused"};

struct table {
	const struct arguments *arguments;
	struct libscols_table *table;
	size_t waiting; /* rows of this chunk */
	bool begun;     /* headings were printed, or are not wanted */
	uint64_t
		/* a bit for each column; with --output there may be more columns, and none is
		 * hidden */
		hidden;
};

/* libsmartcols says -ENOMEM, and -EINVAL to what never happens here. */
static void must(int result)
{
	if (result < 0)
		tool_out_of_memory();
}

/* As https://no-color.org has it. */
static bool wants_colours(const struct arguments *arguments)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return arguments->form != FORM_RAW && isatty(STDOUT_FILENO) &&
	       (!no_colour || !*no_colour) && terminal && strcmp(terminal, "dumb") != 0;
}

static bool is_hidden(const struct table *table, size_t column)
{
	return column < 64 && (table->hidden >> column & 1);
}

static int column_flags(const struct table *table, size_t column, bool tree)
{
	const struct field *field = table->arguments->columns[column];

	if (is_hidden(table, column))
		return SCOLS_FL_HIDDEN;
	if (tree && strcmp(field->key, "category") == 0)
		return SCOLS_FL_TREE;
	/* On a terminal only; what is not shown on a line of its own is shown by its beginning. */
	if (strcmp(field->key, "description") == 0 || strcmp(field->key, "command") == 0)
		return SCOLS_FL_TRUNC;
	return field_is_figure(field) ? SCOLS_FL_RIGHT : 0;
}

struct table *table_create(const struct arguments *arguments, bool tree)
{
	struct table *table = calloc(1, sizeof *table);
	size_t i;

	if (!table || !(table->table = scols_new_table()))
		tool_out_of_memory();
	table->arguments = arguments;
	table->begun = arguments->noheadings;
	must(scols_table_enable_noencoding(table->table, 1));
	must(scols_table_enable_raw(table->table, arguments->form == FORM_RAW));
	must(scols_table_enable_noheadings(table->table, arguments->noheadings));
	must(scols_table_enable_colors(table->table, wants_colours(arguments)));
	for (i = 0; i < arguments->column_count; i++) {
		const struct field *field = arguments->columns[i];

		if (!scols_table_new_column(table->table, field->heading, 0,
					    column_flags(table, i, tree)))
			tool_out_of_memory();
	}
	return table;
}

/* Lets no column of the next chunk be narrower than it was. The columns are made anew without
 * headings, because libsmartcols ignores a hint of the width where all cells are narrower than the
 * heading. */
static void keep_widths(struct table *table)
{
	const struct arguments *arguments = table->arguments;
	double *widths = calloc(arguments->column_count, sizeof *widths);
	size_t i;

	if (!widths)
		tool_out_of_memory();
	for (i = 0; i < arguments->column_count; i++)
		widths[i] = (double)scols_column_get_width(scols_table_get_column(table->table, i));
	must(scols_table_remove_columns(table->table));
	for (i = 0; i < arguments->column_count; i++)
		if (!scols_table_new_column(table->table, NULL, widths[i],
					    column_flags(table, i, false)))
			tool_out_of_memory();
	free(widths);
}

static size_t width_of(const struct table *table, size_t column)
{
	return is_hidden(table, column)
		       ? 0
		       : scols_column_get_width(scols_table_get_column(table->table, column)) + 1;
}

static void hide(struct table *table, const char *key)
{
	for (size_t i = 0; i < table->arguments->column_count; i++)
		if (strcmp(table->arguments->columns[i]->key, key) == 0) {
			table->hidden |= UINT64_C(1) << i;
			must(scols_column_set_flags(scols_table_get_column(table->table, i),
						    SCOLS_FL_HIDDEN));
		}
}

/* Only what was not asked for is left out, and only where somebody looks. */
static void fit(struct table *table)
{
	const struct arguments *arguments = table->arguments;
	size_t room = scols_table_get_termwidth(table->table), i, gone = 0;
	char *trial;

	if (arguments->form == FORM_RAW || arguments->columns_chosen || !isatty(STDOUT_FILENO))
		return;
	/* The widths are known after printing. */
	must(scols_print_table_to_string(table->table, &trial));
	free(trial);
	for (;;) {
		size_t width = 0;

		for (i = 0; i < arguments->column_count; i++)
			width += width_of(table, i);
		if (width <= room + 1 || gone == sizeof dispensable / sizeof *dispensable)
			return;
		hide(table, dispensable[gone++]);
	}
}

static bool print_chunk(struct table *table)
{
	if (!table->begun)
		fit(table);
	must(scols_print_table(table->table));
	scols_table_remove_lines(table->table);
	table->waiting = 0;
	if (!table->begun) {
		table->begun = true;
		must(scols_table_enable_noheadings(table->table, 1));
	}
	keep_widths(table);
	fflush(stdout);
	return tool_output_is_sound();
}

static void colour(struct libscols_line *line, const struct be_envelope *envelope)
{
	if (envelope->utilization_ppm >= ALL_USED_PPM)
		must(scols_line_set_color(line, "red"));
	else if (envelope->utilization_ppm >= NEARLY_USED_PPM)
		must(scols_line_set_color(line, "yellow"));
}

void *table_branch(struct table *table, const void *record, void *parent)
{
	const struct arguments *arguments = table->arguments;
	struct libscols_line *line = scols_table_new_line(table->table, parent);
	char text[FIELD_TEXT_SIZE];
	size_t i;

	if (!line)
		tool_out_of_memory();
	for (i = 0; i < arguments->column_count; i++) {
		field_text(arguments->columns[i], record, arguments->now_ns, text);
		if (arguments->form == FORM_RAW)
			must(scols_line_set_data(line, i, text));
		else
			must(scols_line_refer_data(line, i, text_escape(text)));
	}
	if (arguments->view == VIEW_ENVELOPES)
		colour(line, record);
	table->waiting++;
	return line;
}

bool table_row(struct table *table, const void *record)
{
	table_branch(table, record, NULL);
	return table->waiting < CHUNK || print_chunk(table);
}

/* libsmartcols prints nothing at all for a table without rows. */
static void print_headings(const struct arguments *arguments)
{
	size_t i;

	for (i = 0; i < arguments->column_count; i++)
		printf("%s%s", i > 0 ? " " : "", arguments->columns[i]->heading);
	putchar('\n');
}

bool table_flush(struct table *table)
{
	if (table->waiting > 0)
		return print_chunk(table);
	if (!table->begun) {
		print_headings(table->arguments);
		table->begun = true;
		must(scols_table_enable_noheadings(table->table, 1));
	}
	fflush(stdout);
	return tool_output_is_sound();
}

void table_finish(struct table *table)
{
	table_flush(table);
	scols_unref_table(table->table);
	free(table);
}
