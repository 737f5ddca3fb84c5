/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A report as one HTML page. A policy in its head keeps a browser from loading or running anything,
 * whatever names there are; they are escaped as well.
 */
#include "page.h"

#include "chart.h"
#include "moment.h"
#include "opening.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Envelopes on a page; of more those are left out that have most left. */
#define BALANCES_MOST 1000
#define NEARLY_USED_PPM 800000
#define ALL_USED_PPM 1000000

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" "
	"content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>Spending of ";
static const char style[] =
	"</title>\n<style>\n"
	":root{color-scheme:light dark}\n"
	"body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;"
	"padding:0 1em}\n"
	"h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em}\n"
	".sum{font-size:2em;font-variant-numeric:tabular-nums;margin:0}\n"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}\n"
	"th,td{padding:.25em .6em;text-align:left;border-bottom:1px solid #8884;"
	"overflow-wrap:break-word}\n"
	"th{white-space:nowrap}\n"
	".figure{text-align:right;white-space:nowrap}\n"
	".wide{overflow-x:auto}\n"
	".bar{width:16%;min-width:5em}.bar div{background:#4e79a7;height:.8em}\n"
	".bar::before{content:\"\";display:block;width:6em}"
	".bar .full{background:#c22}.bar .nearly{background:#d90}\n"
	".total{font-weight:bold}.other{font-style:italic}.where{overflow-wrap:anywhere}\n"
	"</style></head><body>\n<h1>Spending of <span class=\"where\">";

/* Pages are sent along. */
static void put_environment(const char *environment)
{
	char *name = tool_name(environment);

	chart_put_text(name);
	free(name);
}

static void put_moment(int64_t moment_ns)
{
	char text[MOMENT_TEXT_SIZE];

	moment_format(moment_ns, 0, text);
	fputs(text, stdout);
}

/* What the figures are of. */
static void put_scope(const struct arguments *arguments)
{
	const struct be_filter *filter = &arguments->filter;

	fputs("<p>", stdout);
	if (filter->since_ns != 0) {
		fputs("Charged since ", stdout);
		put_moment(filter->since_ns);
	}
	if (filter->until_ns != 0) {
		fputs(filter->since_ns != 0 ? " and before " : "Charged before ", stdout);
		put_moment(filter->until_ns);
	}
	fputs(filter->since_ns != 0 || filter->until_ns != 0 ? ", read at " : "Read at ", stdout);
	put_moment(arguments->now_ns);
	fputs("; days are those of ", stdout);
	chart_put_text(arguments->report.zone);
	if (filter->namespace_name) {
		fputs(". Only namespace \xe2\x80\x9c", stdout);
		chart_put_text(filter->namespace_name);
		fputs("\xe2\x80\x9d", stdout);
	}
	if (filter->category) {
		fputs(". Only category \xe2\x80\x9c", stdout);
		chart_put_text(filter->category);
		fputs("\xe2\x80\x9d", stdout);
	}
	for (uint32_t i = 0; i < filter->label_count; i++) {
		fputs(". Only label \xe2\x80\x9c", stdout);
		chart_put_text(filter->labels[i].key);
		if (filter->labels[i].value) {
			putchar('=');
			chart_put_text(filter->labels[i].value);
		}
		fputs("\xe2\x80\x9d", stdout);
	}
	if (arguments->report.below) {
		fputs(". Only what was charged to \xe2\x80\x9c", stdout);
		chart_put_text(arguments->report.below);
		fputs("\xe2\x80\x9d and below it", stdout);
	}
	fputs(".</p>\n", stdout);
}

void page_begin(const struct arguments *arguments, const struct report_row *total)
{
	fputs(head, stdout);
	put_environment(arguments->environment);
	fputs(style, stdout);
	put_environment(arguments->environment);
	printf("</span></h1>\n<p class=\"sum\">%s</p>\n<p>in %" PRIu64 " transactions%s%s</p>\n",
	       total->sum, total->count, *total->mean ? ", on average " : "", total->mean);
	put_scope(arguments);
}

static const char *class_of(const struct field *field)
{
	return field->kind == FIELD_BAR ? " class=\"bar\""
	       : field_is_figure(field) ? " class=\"figure\""
					: "";
}

void page_begin_table(const struct arguments *arguments)
{
	fputs("<h2>By ", stdout);
	for (size_t i = 0; i < arguments->report.by_count; i++) {
		printf("%s%s", i > 0 ? ", " : "", arguments->columns[i]->key);
		if (strcmp(arguments->columns[i]->key, "label") != 0)
			continue;
		putchar(' ');
		chart_put_text(arguments->report.label);
	}
	fputs("</h2>\n<div class=\"wide\"><table><thead><tr>", stdout);
	for (size_t i = 0; i < arguments->column_count; i++) {
		const struct field *field = arguments->columns[i];

		printf("<th%s>", class_of(field));
		chart_put_text(field->kind == FIELD_BAR ? "" : field->heading);
		fputs("</th>", stdout);
	}
	fputs("</tr></thead><tbody>\n", stdout);
}

static void put_bar(int64_t ppm, const char *class)
{
	int64_t hundredths = ppm > ALL_USED_PPM ? 10000 : ppm / 100;

	if (ppm <= 0)
		return;
	printf("<div%s style=\"width:%" PRId64 ".%02d%%\"></div>", class, hundredths / 100,
	       (int)(hundredths % 100));
}

void page_row(const struct arguments *arguments, const struct report_row *row)
{
	char text[FIELD_TEXT_SIZE];

	printf("<tr class=\"%s\">", row->row);
	for (size_t i = 0; i < arguments->column_count; i++) {
		const struct field *field = arguments->columns[i];

		printf("<td%s>", class_of(field));
		if (field->kind == FIELD_BAR) {
			put_bar(row->bar_ppm, "");
		} else {
			field_text(field, row, arguments->now_ns, text);
			chart_put_text(text);
		}
		fputs("</td>", stdout);
	}
	fputs("</tr>\n", stdout);
}

void page_end_table(void)
{
	fputs("</tbody></table></div>\n", stdout);
}

/* ---- balances */

struct balance {
	int64_t used_ppm;
	size_t number;
};

static int compare_balances(const void *a, const void *b)
{
	const struct balance *first = a, *second = b;

	if (first->used_ppm != second->used_ppm)
		return first->used_ppm > second->used_ppm ? -1 : 1;
	return first->number < second->number ? -1 : first->number > second->number;
}

static const char *const columns[] = {"namespace",  "category",  "parent",    "limit_now",
				      "spent",      "committed", "available", "utilization_percent",
				      "period_end", "suspended"};
#define COLUMNS (sizeof columns / sizeof *columns)

static void put_balance(const struct arguments *arguments, const struct be_envelope *envelope)
{
	char text[FIELD_TEXT_SIZE];

	fputs("<tr>", stdout);
	for (size_t i = 0; i < COLUMNS; i++) {
		const struct field *field =
			fields_find(&envelope_fields, columns[i], strlen(columns[i]));

		printf("<td%s>", class_of(field));
		field_text(field, envelope, arguments->now_ns, text);
		chart_put_text(text);
		fputs("</td>", stdout);
	}
	fputs("<td class=\"bar\">", stdout);
	put_bar(envelope->utilization_ppm,
		envelope->utilization_ppm >= ALL_USED_PPM      ? " class=\"full\""
		: envelope->utilization_ppm >= NEARLY_USED_PPM ? " class=\"nearly\""
							       : "");
	fputs("</td></tr>\n", stdout);
}

static void put_balances(const struct arguments *arguments, const struct envelopes *envelopes,
			 const struct balance *balances, size_t count)
{
	struct be_envelope envelope;

	fputs("<h2>Balances now</h2>\n<div class=\"wide\"><table><thead><tr>", stdout);
	for (size_t i = 0; i < COLUMNS; i++) {
		const struct field *field =
			fields_find(&envelope_fields, columns[i], strlen(columns[i]));

		printf("<th%s>%s</th>", class_of(field), field->heading);
	}
	fputs("<th class=\"bar\"></th></tr></thead><tbody>\n", stdout);
	for (size_t i = 0; i < count && i < BALANCES_MOST; i++) {
		envelopes_read(envelopes, balances[i].number, &envelope);
		put_balance(arguments, &envelope);
	}
	page_end_table();
	if (count > BALANCES_MOST)
		printf("<p>%zu more envelopes, which have more left, are not shown.</p>\n",
		       count - BALANCES_MOST);
}

void page_balances(const struct arguments *arguments, const struct envelopes *envelopes,
		   bool (*is_wanted)(void *context, const struct be_envelope *envelope),
		   void *context)
{
	struct balance *balances = calloc(envelopes->count + 1, sizeof *balances);
	struct be_envelope envelope;
	size_t count = 0;

	if (!balances)
		tool_out_of_memory();
	for (size_t i = 0; i < envelopes->count; i++) {
		envelopes_read(envelopes, i, &envelope);
		if (is_wanted(context, &envelope))
			balances[count++] = (struct balance){envelope.utilization_ppm, i};
	}
	if (count > 1)
		qsort(balances, count, sizeof *balances, compare_balances);
	put_balances(arguments, envelopes, balances, count);
	free(balances);
}

void page_end(void)
{
	fputs("</body></html>\n", stdout);
}
