/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures come first and the bar last. A column is as wide as its widest figure on the screen, and
 * is shown whole or not at all: which of them a narrow screen has room for goes by what matters
 * most. Only what is available stays where it does not fit, with a mark in place of the digits that
 * are cut, and the bar, which has none.
 */
#include "list.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NEARLY_USED_PPM 800000
#define ALL_USED_PPM 1000000

/* From the left. */
enum column {
	COLUMN_USED,
	COLUMN_AVAILABLE,
	COLUMN_LIMIT,
	COLUMN_SPENT,
	COLUMN_COMMITTED,
	COLUMN_RATE,
	COLUMN_REFUSED,
	COLUMN_ENDS,
	COLUMN_PENDING,
	COLUMN_HOLDERS,
	COLUMN_BAR,
	COLUMNS,
};

static const struct {
	const char *heading;
	int width;
	int least;       /* to which it may shrink, rather than be left out */
	const char *key; /* of its field, which widens it; NULL: it is no figure */
} list_columns[COLUMNS] = {
	[COLUMN_USED] = {"USED%", 6, INT_MAX, "utilization_percent"},
	[COLUMN_AVAILABLE] = {"AVAILABLE", 9, 9, "available"},
	[COLUMN_LIMIT] = {"LIMIT", 6, INT_MAX, "limit"},
	[COLUMN_SPENT] = {"SPENT", 6, INT_MAX, "spent"},
	[COLUMN_COMMITTED] = {"COMMITTED", 9, INT_MAX, "committed"},
	[COLUMN_RATE] = {"/MIN", 8, INT_MAX, "spent_per_minute"},
	[COLUMN_REFUSED] = {"REF/S", 5, INT_MAX, "refused_per_second"},
	[COLUMN_ENDS] = {"ENDS", 6, INT_MAX, "period_end"},
	[COLUMN_PENDING] = {"PEND", 4, INT_MAX, "pending_commits"},
	[COLUMN_HOLDERS] = {"OWNERS", 20, INT_MAX, NULL},
	[COLUMN_BAR] = {"SPENT# HELD=", 14, 8, NULL},
};

/* What gets room first. */
static const enum column by_importance[COLUMNS] = {
	COLUMN_AVAILABLE, COLUMN_USED,      COLUMN_RATE,    COLUMN_REFUSED,
	COLUMN_ENDS,      COLUMN_PENDING,   COLUMN_BAR,     COLUMN_LIMIT,
	COLUMN_SPENT,     COLUMN_COMMITTED, COLUMN_HOLDERS,
};

/* The least and the most for the name; on less than 80 columns, the least is less. */
#define NAME_WIDTH_MIN 21
#define NAME_WIDTH_MAX 48
#define USUAL_WIDTH 80

/* Where the columns are on this screen. */
struct layout {
	int name_width;
	int widths[COLUMNS]; /* 0: it is left out */
};

void list_holders(const struct watched *watched, char text[LIST_HOLDERS_SIZE])
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < watched->activity.holder_count; i++) {
		const struct holder *holder = &watched->activity.holders[i];

		used += (size_t)snprintf(text + used, LIST_HOLDERS_SIZE - used,
					 "%s%" PRIu32 "%s:%" PRIu64, i > 0 ? " " : "", holder->pid,
					 holder->alive ? "" : "(dead)", holder->commits);
	}
	if (watched->activity.more_holders)
		snprintf(text + used, LIST_HOLDERS_SIZE - used, " ...");
}

static void column_text(const struct watched *watched, int column, int64_t now_ns,
			char text[FIELD_TEXT_SIZE])
{
	const char *key = list_columns[column].key;
	const struct field *field;

	if (!key) {
		list_holders(watched, text);
		return;
	}
	field = fields_find(&rate_fields, key, strlen(key));
	if (!field)
		field = fields_find(&envelope_fields, key, strlen(key));
	field_text(field, watched, now_ns, text);
}

/* ---- layout */

static void measure(const struct watch *watch, size_t lines, int widths[COLUMNS])
{
	const struct snapshot *snapshot = &watch->snapshot;
	char text[FIELD_TEXT_SIZE];

	for (int column = 0; column < COLUMNS; column++) {
		widths[column] = list_columns[column].width;
		for (size_t i = watch->top;
		     list_columns[column].key && i < watch->top + lines && i < snapshot->line_count;
		     i++) {
			column_text(&snapshot->lines[i].watched, column, snapshot->at_ns, text);
			if ((int)strlen(text) > widths[column])
				widths[column] = (int)strlen(text);
		}
	}
}

static struct layout lay_out(const struct watch *watch, size_t lines)
{
	int name_width = COLS < USUAL_WIDTH ? COLS * NAME_WIDTH_MIN / USUAL_WIDTH : NAME_WIDTH_MIN;
	int room = COLS - name_width, widths[COLUMNS];
	struct layout layout = {0};

	measure(watch, lines, widths);
	for (int i = 0; i < COLUMNS; i++) {
		enum column column = by_importance[i];

		if (widths[column] >= room && room > list_columns[column].least)
			widths[column] = room - 1;
		if (widths[column] >= room)
			continue;
		layout.widths[column] = widths[column];
		room -= 1 + widths[column];
	}
	layout.name_width = name_width + room;
	if (layout.name_width > NAME_WIDTH_MAX && layout.widths[COLUMN_BAR] > 0) {
		layout.widths[COLUMN_BAR] += layout.name_width - NAME_WIDTH_MAX;
		layout.name_width = NAME_WIDTH_MAX;
	}
	return layout;
}

/* ---- drawing */

enum colour list_colour(const struct watched *watched)
{
	int64_t used_ppm = watched->envelope.utilization_ppm;

	if (used_ppm >= ALL_USED_PPM || watched->activity.refused_per_second > 0)
		return COLOUR_FULL;
	return used_ppm >= NEARLY_USED_PPM ? COLOUR_NEARLY : COLOUR_NONE;
}

const char *list_state(const struct snapshot *snapshot, const struct be_envelope *envelope)
{
	if (envelope->suspended)
		return " (suspended)";
	return snapshot_is_suspended_above(snapshot, envelope) ? " (suspended above)" : "";
}

/* Cells of `width` for a part of the limit; what is not nothing is seen. */
static int cells_of(int64_t part, int64_t limit, int width)
{
	int cells = part >= limit ? width : (int)((double)part / (double)limit * width);

	return cells == 0 && part > 0 ? 1 : cells;
}

void list_draw_bar(int y, int x, int width, const struct be_envelope *envelope)
{
	int inside = width - 2, spent = cells_of(envelope->spent, envelope->limit, inside);
	int committed = cells_of(envelope->committed, envelope->limit, inside);

	if (spent + committed > inside)
		committed = inside - spent;
	mvaddch(y, x, '[');
	for (int i = 0; i < inside; i++) {
		if (i < spent)
			addch('#' | paint_colour(COLOUR_SPENT));
		else if (i < spent + committed)
			addch('=' | paint_colour(COLOUR_COMMITTED));
		else
			addch('.');
	}
	addch(']');
}

static void draw_line(int y, const struct layout *layout, const struct snapshot *snapshot,
		      size_t number, bool selected)
{
	const struct line *line = &snapshot->lines[number];
	const struct be_envelope *envelope = &line->watched.envelope;
	const char *state = list_state(snapshot, envelope);
	char text[FIELD_TEXT_SIZE], name[PAINT_NAME_SIZE];
	chtype attributes = (selected ? A_REVERSE : A_NORMAL) | (*state ? A_DIM : A_NORMAL) |
			    paint_colour(list_colour(&line->watched));
	int x = layout->name_width;

	paint_name(envelope->namespace_name, envelope->category, name);
	snprintf(text, sizeof text, "%*s%s%s", 2 * line->depth, "", name, state);
	attrset(attributes);
	paint(y, 0, layout->name_width, false, text);
	for (int column = 0; column < COLUMNS; column++) {
		int width = layout->widths[column];

		if (width == 0)
			continue;
		attrset(column == COLUMN_BAR ? A_NORMAL : attributes);
		mvaddch(y, x, ' ');
		if (column == COLUMN_BAR) {
			list_draw_bar(y, x + 1, width, envelope);
		} else {
			column_text(&line->watched, column, snapshot->at_ns, text);
			paint(y, x + 1, width, list_columns[column].key != NULL, text);
		}
		x += 1 + width;
	}
	attrset(A_NORMAL);
}

static void draw_headings(int y, const struct layout *layout)
{
	int x = layout->name_width;

	attrset(A_BOLD);
	paint(y, 0, layout->name_width, false, "ENVELOPE");
	for (int column = 0; column < COLUMNS; column++) {
		if (layout->widths[column] == 0)
			continue;
		paint(y, x + 1, layout->widths[column], list_columns[column].key != NULL,
		      list_columns[column].heading);
		x += 1 + layout->widths[column];
	}
	attrset(A_NORMAL);
}

void list_draw(int y, size_t lines, const struct watch *watch)
{
	struct layout layout = lay_out(watch, lines);

	draw_headings(y, &layout);
	for (size_t i = 0; i < lines && watch->top + i < watch->snapshot.line_count; i++)
		draw_line(y + 1 + (int)i, &layout, &watch->snapshot, watch->top + i,
			  watch->top + i == watch->selected);
}
