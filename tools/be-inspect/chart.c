/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spending over time as a picture, in SVG.
 *
 * Lengths are whole hundredths of a unit: printf() would write a decimal comma in some locales.
 * What costs less than nothing in a span (corrections may) is not drawn; the table has it.
 */
#include "chart.h"

#include "text.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The picture, in units: where columns are drawn, and what stands around them. */
#define UNIT INT64_C(100) /* of lengths, in hundredths */
#define WIDTH 960
#define LEFT 130
#define RIGHT 40
#define TOP 14
#define HEIGHT 260
#define AXIS 34
#define LEGEND_LINE 20
#define LEGEND_COLUMNS 3
#define DRAWN_WIDTH (WIDTH - LEFT - RIGHT)
/* Of a column's width for what is drawn. */
#define COLUMN_PERCENT 86
#define WIDEST 9000 /* hundredths */
#define LABELS 6
#define GRID_LINES 5
/* Characters of a name in the legend. */
#define NAME_LENGTH 30

/* Columns that are worth it, and that can be told apart. */
#define COLUMNS_USUAL 100
#define COLUMNS_MOST 400

/* Series that have a colour of their own; all others share one. */
#define COLOURS 8
static const char *const colours[COLOURS + 1] = {"#4e79a7", "#f28e2b", "#59a14f",
						 "#e15759", "#b07aa1", "#76b7b2",
						 "#edc948", "#9c755f", "#9aa0a6"};
#define OTHERS COLOURS

static const char style[] =
	"<style>svg.spending{background:#fff;font:12px system-ui,sans-serif}"
	"svg.spending text{fill:#333}svg.spending .grid{stroke:#ddd}"
	"@media(prefers-color-scheme:dark){svg.spending{background:#1b1d20}"
	"svg.spending text{fill:#ddd}svg.spending .grid{stroke:#444}}</style>\n";

/* ---- text */

void chart_put_text(const char *text)
{
	char *safe = text_escape(text);

	for (const char *byte = safe; *byte; byte++) {
		switch (*byte) {
		case '&':
			fputs("&amp;", stdout);
			break;
		case '<':
			fputs("&lt;", stdout);
			break;
		case '>':
			fputs("&gt;", stdout);
			break;
		case '"':
			fputs("&quot;", stdout);
			break;
		default:
			putchar(*byte);
		}
	}
	free(safe);
}

/* The texts of a series as one, to be given back with free(). */
static char *series_name(const struct tallied *tally, uint32_t series, size_t texts)
{
	struct text name = {0};
	const char *text;

	if (series == TALLY_OTHERS) {
		text_append(&name, "other");
	} else {
		text = names_text(&tally->series, series);
		for (size_t i = 0; i < texts; i++) {
			text_append(&name, i > 0 ? " / " : "");
			text_append(&name, strcmp(text, TALLY_NO_TEXT) == 0 ? "(pruned)"
					   : *text                          ? text
									    : "-");
			text += strlen(text) + 1;
		}
		if (texts == 0)
			text_append(&name, "all");
	}
	text_end(&name);
	return name.bytes;
}

/* ---- spans */

struct widening {
	enum span span, smaller;
};

static int64_t widen(const void *context, int64_t span)
{
	const struct widening *widening = context;

	return span_within(widening->span, widening->smaller, span);
}

/* How many columns there are from the first to the last, or one more than `most`. */
static size_t count_columns(const struct tallied *tally, enum span wanted, enum span had,
			    size_t most)
{
	int64_t first = INT64_MAX, last = INT64_MIN;
	size_t count = 0;

	for (size_t i = 0; i < tally->count; i++) {
		int64_t number = tally->cells[i].span;

		first = number < first ? number : first;
		last = number > last ? number : last;
	}
	if (tally->count == 0)
		return 0;
	if (wanted != had) {
		first = span_within(wanted, had, first);
		last = span_within(wanted, had, last);
	}
	for (; first <= last && count <= most; first = span_next(wanted, first))
		count++;
	return count;
}

enum span chart_choose(struct tallied *tally, enum span span, bool is_chosen)
{
	size_t most = is_chosen ? COLUMNS_MOST : COLUMNS_USUAL;
	enum span chosen = span;

	/* Weeks are of no month. */
	while (chosen < SPAN_MONTH && span != SPAN_WEEK &&
	       count_columns(tally, chosen, span, most) > most)
		chosen++;
	if (chosen != span)
		tally_widen(tally, widen, &(struct widening){chosen, span});
	return chosen;
}

/* ---- what is drawn */

struct chart {
	const struct tallied *tally;
	enum span span;
	size_t texts;
	int64_t *columns; /* the spans */
	size_t column_count, column_room;
	wide *sums;              /* of each column, */
	uint8_t *colour_of;      /* and the colour of each series */
	wide *of_series;         /* what each series has cost in all */
	uint32_t named[COLOURS]; /* the series of each colour */
	size_t named_count;
	bool has_others;
	wide without_span;
	wide step, most; /* of the grid */
};

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		tool_out_of_memory();
	return memory;
}

/* All spans from the first to the last, also those in which nothing was spent. */
static void find_columns(struct chart *chart)
{
	const struct tallied *tally = chart->tally;

	for (size_t i = 0; i < tally->count; i++) {
		int64_t span = tally->cells[i].span;

		while (chart->column_count == 0 || chart->columns[chart->column_count - 1] < span) {
			int64_t next = span;

			if (chart->column_count > 0)
				next = span_next(chart->span,
						 chart->columns[chart->column_count - 1]);
			chart->columns = tool_grow(chart->columns, chart->column_count,
						   &chart->column_room, sizeof *chart->columns);
			/* An hour that a change of offset cut short comes before the next one. */
			chart->columns[chart->column_count++] = next < span ? next : span;
		}
	}
}

/* The largest series get colours. */
static void give_colours(struct chart *chart)
{
	const struct tallied *tally = chart->tally;
	size_t count = tally->series.count;

	chart->of_series = allocate(count, sizeof *chart->of_series);
	chart->colour_of = allocate(count, 1);
	memset(chart->colour_of, OTHERS, count);
	for (size_t i = 0; i < tally->count; i++)
		if (tally->cells[i].series != TALLY_OTHERS)
			chart->of_series[tally->cells[i].series] += tally->cells[i].sum.nanos;
	for (; chart->named_count < COLOURS && chart->named_count < count; chart->named_count++) {
		uint32_t best = NAMES_NONE;

		for (uint32_t i = 0; i < count; i++)
			if (chart->colour_of[i] == OTHERS &&
			    (best == NAMES_NONE || chart->of_series[i] > chart->of_series[best]))
				best = i;
		chart->colour_of[best] = (uint8_t)chart->named_count;
		chart->named[chart->named_count] = best;
	}
	chart->has_others = count > chart->named_count;
}

/* A step of 1, 2 or 5 and noughts, so that few lines are needed. */
static void choose_grid(struct chart *chart)
{
	static const int factors[] = {2, 5, 10};
	wide power = 1;

	chart->step = 1;
	for (size_t i = 0; chart->most > chart->step * GRID_LINES; i++) {
		chart->step = power * factors[i % 3];
		if (i % 3 == 2)
			power *= 10;
	}
	chart->most = (chart->most + chart->step - 1) / chart->step * chart->step;
	if (chart->most == 0)
		chart->most = chart->step;
}

static void add_up(struct chart *chart)
{
	const struct tallied *tally = chart->tally;
	size_t column = 0;

	chart->sums = allocate(chart->column_count, sizeof *chart->sums);
	for (size_t i = 0; i < tally->count; i++) {
		const struct tally_cell *cell = &tally->cells[i];

		while (chart->columns[column] < cell->span)
			column++;
		if (cell->sum.nanos > 0)
			chart->sums[column] += cell->sum.nanos;
		if (chart->sums[column] > chart->most)
			chart->most = chart->sums[column];
	}
	choose_grid(chart);
}

/* ---- drawing */

/* Hundredths of a unit. */
static void put_length(const char *name, int64_t hundredths)
{
	printf(" %s=\"%" PRId64 ".%02d\"", name, hundredths / UNIT, (int)(hundredths % UNIT));
}

static int64_t height_of(const struct chart *chart, wide nanos)
{
	return (int64_t)(nanos * HEIGHT * UNIT / chart->most);
}

static int64_t left_of(const struct chart *chart, size_t column)
{
	return LEFT * UNIT + (int64_t)column * DRAWN_WIDTH * UNIT / (int64_t)chart->column_count;
}

static void put_without_span(const struct chart *chart)
{
	char text[SUM_TEXT_SIZE];

	if (chart->without_span == 0)
		return;
	sum_format(chart->without_span, text);
	printf("<text x=\"%d\" y=\"%d\">Not drawn: %s, which was pruned. Of it only UTC days are "
	       "known.</text>\n",
	       LEFT, TOP - 3, text);
}

static void put_grid(const struct chart *chart)
{
	for (wide nanos = 0; nanos <= chart->most; nanos += chart->step) {
		int64_t y = (TOP + HEIGHT) * UNIT - height_of(chart, nanos);
		char text[SUM_TEXT_SIZE];

		sum_format(nanos, text);
		printf("<line class=\"grid\" x1=\"%d\" x2=\"%d\"", LEFT, WIDTH - RIGHT);
		put_length("y1", y);
		put_length("y2", y);
		printf("/><text text-anchor=\"end\" x=\"%d\"", LEFT - 8);
		put_length("y", y + 400);
		printf(">%s</text>\n", text);
	}
}

static void put_labels(const struct chart *chart)
{
	size_t step = (chart->column_count + LABELS - 1) / LABELS;

	for (size_t i = 0; i < chart->column_count; i += step) {
		char text[SPAN_TEXT_SIZE];

		span_format(chart->span, chart->columns[i], text);
		printf("<text text-anchor=\"middle\" y=\"%d\"", TOP + HEIGHT + 20);
		put_length("x", (left_of(chart, i) + left_of(chart, i + 1)) / 2);
		printf(">%s</text>\n", text);
	}
}

static void put_part(const struct chart *chart, size_t column, wide below, wide nanos,
		     size_t colour, const char *name)
{
	int64_t left = left_of(chart, column), room = left_of(chart, column + 1) - left;
	int64_t width = room * COLUMN_PERCENT / 100 < WIDEST ? room * COLUMN_PERCENT / 100 : WIDEST;
	int64_t bottom = height_of(chart, below), top = height_of(chart, below + nanos);
	char span[SPAN_TEXT_SIZE], sum[SUM_TEXT_SIZE];

	if (nanos <= 0)
		return;
	span_format(chart->span, chart->columns[column], span);
	sum_format(nanos, sum);
	printf("<rect fill=\"%s\"", colours[colour]);
	put_length("x", left + (room - width) / 2);
	put_length("y", (TOP + HEIGHT) * UNIT - top);
	put_length("width", width);
	put_length("height", top - bottom);
	printf("><title>%s ", span);
	chart_put_text(name);
	printf(": %s</title></rect>\n", sum);
}

/* A column from its foot: the series in the order of their colours, then all others. */
static void put_column(const struct chart *chart, size_t column, const struct tally_cell *cells,
		       size_t count, char *const *names)
{
	wide sums[COLOURS + 1] = {0}, below = 0;

	for (size_t i = 0; i < count; i++) {
		size_t colour = cells[i].series == TALLY_OTHERS ? OTHERS
								: chart->colour_of[cells[i].series];

		if (cells[i].sum.nanos > 0)
			sums[colour] += cells[i].sum.nanos;
	}
	for (size_t colour = 0; colour <= OTHERS; colour++) {
		put_part(chart, column, below, sums[colour], colour, names[colour]);
		below += sums[colour];
	}
}

static void put_columns(const struct chart *chart, char *const *names)
{
	const struct tallied *tally = chart->tally;
	size_t column = 0, end;

	for (size_t i = 0; i < tally->count; i = end) {
		for (end = i; end < tally->count && tally->cells[end].span == tally->cells[i].span;)
			end++;
		while (chart->columns[column] < tally->cells[i].span)
			column++;
		put_column(chart, column, tally->cells + i, end - i, names);
	}
}

static void put_legend(const struct chart *chart, char *const *names)
{
	size_t count = chart->named_count + chart->has_others;

	for (size_t i = 0; i < count; i++) {
		size_t colour = i < chart->named_count ? i : OTHERS, length = 0, size = 0;
		int x = LEFT + (int)(i % LEGEND_COLUMNS) * DRAWN_WIDTH / LEGEND_COLUMNS;
		int y = TOP + HEIGHT + AXIS + (int)(i / LEGEND_COLUMNS) * LEGEND_LINE;
		char *name = names[colour], *shown;

		/* Whole characters of UTF-8. */
		for (; name[size] && length <= NAME_LENGTH; size++)
			length += ((unsigned char)name[size + 1] & 0xc0) != 0x80;
		shown = strndup(name, size);
		if (!shown)
			tool_out_of_memory();
		printf("<rect fill=\"%s\" x=\"%d\" y=\"%d\" width=\"12\" height=\"12\"/>"
		       "<text x=\"%d\" y=\"%d\">",
		       colours[colour], x, y, x + 18, y + 10);
		chart_put_text(shown);
		fputs(name[size] ? "&#8230;<title>" : "<title>", stdout);
		chart_put_text(name);
		fputs("</title></text>\n", stdout);
		free(shown);
	}
}

static void draw(const struct chart *chart)
{
	size_t lines =
		(chart->named_count + chart->has_others + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
	char *names[COLOURS + 1];

	for (size_t i = 0; i <= OTHERS; i++)
		names[i] = series_name(chart->tally,
				       i < chart->named_count ? chart->named[i] : TALLY_OTHERS,
				       chart->texts);
	printf("<svg class=\"spending\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" "
	       "viewBox=\"0 0 %d %d\"><title>Spending over time</title>\n%s",
	       WIDTH, TOP + HEIGHT + AXIS + (int)lines * LEGEND_LINE + 4, style);
	if (chart->column_count == 0) {
		printf("<text x=\"%d\" y=\"%d\">Nothing was charged.</text>\n", LEFT,
		       TOP + HEIGHT / 2);
	} else {
		put_grid(chart);
		put_labels(chart);
		put_columns(chart, names);
		put_legend(chart, names);
	}
	put_without_span(chart);
	fputs("</svg>\n", stdout);
	for (size_t i = 0; i <= OTHERS; i++)
		free(names[i]);
}

void chart_put(const struct tallied *tally, enum span span, size_t texts, wide without_span)
{
	struct chart chart = {
		.tally = tally, .span = span, .texts = texts, .without_span = without_span};

	find_columns(&chart);
	give_colours(&chart);
	add_up(&chart);
	draw(&chart);
	free(chart.columns);
	free(chart.sums);
	free(chart.colour_of);
	free(chart.of_series);
}
