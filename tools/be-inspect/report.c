/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the money went. A line of the ledger is of one envelope, that which was charged, and counts
 * there only, once: its ancestors have spent the same money, so adding up what envelopes have spent
 * would count it again at each of them.
 *
 * The ledger is read once, in its order, and added up as it is read: memory goes by the number of
 * groups. Sums are exact, whatever they come to; means and shares are cut to the digits shown.
 *
 * What pruning has removed is in the daily sums, which are read first, and then the ledger behind
 * them. Pruning may go on meanwhile, in front of what is read. When it has overtaken the reading,
 * lines may be missing, and all is read again: that can be told by the last transaction that was
 * pruned, which is asked for when twice as many lines were read as the last time.
 */
#include "report.h"

#include "arguments.h"
#include "chart.h"
#include "complain.h"
#include "envelopes.h"
#include "json.h"
#include "opening.h"
#include "output.h"
#include "page.h"
#include "tally.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROW(member) offsetof(struct report_row, member), sizeof((struct report_row *)0)->member
#define KEY(key) ROW(keys[REPORT_##key])
static const struct field of_reports[] = {
	{"ROW", "row", FIELD_POINTER, ROW(row), true,
	 "group; pruned, for what it is not known of; other, for all groups beyond --top; total. "
	 "In "
	 "CSV and JSON by default"},
	{"HOUR", "hour", FIELD_POINTER, KEY(HOUR), true, "the hour, by the clock of --zone"},
	{"DAY", "day", FIELD_POINTER, KEY(DAY), true, "the day"},
	{"WEEK", "week", FIELD_POINTER, KEY(WEEK), true, "the Monday that the week begins with"},
	{"MONTH", "month", FIELD_POINTER, KEY(MONTH), true, "the month"},
	{"NAMESPACE", "namespace", FIELD_POINTER, KEY(NAMESPACE), true, "namespace"},
	{"CATEGORY", "category", FIELD_POINTER, KEY(CATEGORY), true, "category"},
	{"DESCRIPTION", "description", FIELD_POINTER, KEY(DESCRIPTION), true, "description"},
	{"KIND", "kind", FIELD_POINTER, KEY(KIND), true, "record, settle, charge, ..."},
	{"LABEL", "label", FIELD_POINTER, KEY(LABEL), true,
	 "the value of the label that --by names; empty where a transaction has none"},
	{"COUNT", "count", FIELD_COUNT, ROW(count), false, "how many transactions there were"},
	{"SUM", "sum", FIELD_FIGURE, ROW(sum), false, "what they charged"},
	{"MEAN", "mean", FIELD_FIGURE, ROW(mean), false, "the same of one, cut to nanos"},
	{"SHARE%", "share_percent", FIELD_FIGURE, ROW(share), false, "of the total, cut"},
	{"BAR", "bar", FIELD_BAR, ROW(bar_ppm), false,
	 "the sum as a bar; the longest is the largest group. In tables only"},
};
#define FIRST_KEY 1
const struct fields report_fields = {of_reports, sizeof of_reports / sizeof *of_reports};

bool report_key_of(const struct field *field, enum report_key *key)
{
	ptrdiff_t number = field - of_reports - FIRST_KEY;

	*key = (enum report_key)number;
	return number >= 0 && number < REPORT_KEYS;
}

enum span report_span(enum report_key key)
{
	switch (key) {
	case REPORT_HOUR:
		return SPAN_HOUR;
	case REPORT_DAY:
		return SPAN_DAY;
	case REPORT_WEEK:
		return SPAN_WEEK;
	case REPORT_MONTH:
		return SPAN_MONTH;
	default:
		return SPAN_NONE;
	}
}

/* Bytes of all texts of a line, each with its NUL. */
#define TEXTS_SIZE (2 * BE_NAME_SIZE + BE_DESCRIPTION_SIZE + BE_LABEL_VALUE_SIZE + 32)
/* Lines between two looks at the clock, and nanoseconds between two words of progress. */
#define LINES_BETWEEN 4096
#define INTERVAL_NS 200000000
/* Lines before it is asked first whether pruning has come by, and how often all is read anew. */
#define LINES_BEFORE_CHECK 64
#define READINGS_MAX 20

struct reporting {
	const struct arguments *arguments;
	enum span span; /* of the groups as they are added up */
	bool has_span;  /* --by names it; else it is that of the picture */
	struct tallied tally;

	/* --below: the envelopes that were asked about so far, and what was found. */
	struct envelopes envelopes;
	struct names asked;
	struct asked *answers;
	size_t answers_room;
	struct total lost; /* lines of envelopes that are there no more */
	struct total cut;  /* pruned lines of which it is not known whether they belong to it */

	struct be_enforcer *handle;
	uint64_t checked_id; /* up to this line none can be missing */
	uint64_t counted;    /* lines, and when it is checked again */
	uint64_t next_check;
	bool is_overtaken;

	uint64_t read;    /* lines */
	uint64_t last_id; /* of the ledger when it began */
	int64_t next_ns;  /* when progress is shown again; 0: never */
	bool is_shown;    /* it was */
};

/* ---- progress */

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void show_progress(struct reporting *report, uint64_t id)
{
	int64_t now_ns;

	if (report->next_ns == 0 || ++report->read % LINES_BETWEEN != 0)
		return;
	now_ns = monotonic_ns();
	if (now_ns < report->next_ns)
		return;
	report->next_ns = now_ns + INTERVAL_NS;
	report->is_shown = true;
	fprintf(stderr, "\r%" PRIu64 " lines read, %d%%\033[K", report->read,
		(int)((double)id / (double)report->last_id * 100));
}

static enum be_status begin_progress(struct be_enforcer *handle, struct reporting *report)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	enum be_status status;

	if (!isatty(STDERR_FILENO))
		return BE_OK;
	status = be_stats(handle, &stats);
	report->last_id = stats.next_transaction_id;
	report->next_ns = monotonic_ns() + INTERVAL_NS;
	return status;
}

static void end_progress(const struct reporting *report)
{
	if (report->is_shown)
		fputs("\r\033[K", stderr);
}

/* ---- what lies below an envelope */

struct asked {
	bool is_there;
	bool is_below;
};

static struct asked ask(const struct reporting *report, size_t number)
{
	const struct report_wanted *wanted = &report->arguments->report;
	struct asked answer = {.is_there = number != ENVELOPES_NONE};

	answer.is_below = envelopes_is_below(&report->envelopes, number, wanted->below_namespace,
					     wanted->below);
	return answer;
}

/* Each envelope is asked about once; by its id, since its name may be another's by now. */
static bool is_below(struct reporting *report, uint64_t id, const struct total *amounts)
{
	size_t before = report->asked.count;
	struct asked *answer;
	uint32_t number = names_add(&report->asked, (const char *)&id, sizeof id);

	report->answers =
		tool_grow(report->answers, number, &report->answers_room, sizeof *report->answers);
	answer = &report->answers[number];
	if (number == before)
		*answer = ask(report, envelopes_find_id(&report->envelopes, id));
	if (!answer->is_there)
		sum_add(&report->lost, amounts);
	return answer->is_below;
}

/* Reads the envelopes where they are needed, and refuses one that is not there: nothing would be
 * below it. */
static bool prepare_below(struct be_enforcer *handle, struct reporting *report)
{
	const struct arguments *arguments = report->arguments;

	if (!arguments->report.below && arguments->form != FORM_HTML)
		return true;
	if (envelopes_fill(&report->envelopes, handle, NULL) == BE_OK)
		return envelopes_has(&report->envelopes, arguments);
	complain(arguments->environment, be_last_error());
	return false;
}

static void tell_left_out(const struct reporting *report, const struct total *left,
			  const char *which, const char *why)
{
	char sum[SUM_TEXT_SIZE], sentence[SUM_TEXT_SIZE + 300];

	if (left->count == 0)
		return;
	sum_format(left->nanos, sum);
	snprintf(sentence, sizeof sentence,
		 "%" PRIu64 " transactions %s are left out, %s in all: %s", left->count, which, sum,
		 why);
	complain(report->arguments->environment, sentence);
}

static void tell_lost(const struct reporting *report)
{
	tell_left_out(report, &report->lost, "of envelopes that were removed",
		      "what these were below is not known any more");
}

static void tell_cut(const struct reporting *report)
{
	tell_left_out(report, &report->cut, "that were pruned",
		      "of what was pruned only the sums of UTC days are known, and this report "
		      "wants parts of them");
}

/* ---- what was pruned */

static const char *text_of_sum(enum report_key key, const struct be_daily_sum *sum)
{
	switch (key) {
	case REPORT_NAMESPACE:
		return sum->namespace_name;
	case REPORT_CATEGORY:
		return sum->category;
	case REPORT_KIND:
		return be_transaction_kind_name(sum->kind);
	default:
		return TALLY_NO_TEXT;
	}
}

/* Does the report want some of these transactions, perhaps, and others not? */
static bool is_cut(const struct reporting *report, const struct be_daily_sum *sum)
{
	const struct be_filter *filter = &report->arguments->filter;

	return report->arguments->only_free || filter->label_count > 0 || filter->min_amount != 0 ||
	       filter->max_amount != 0 ||
	       (filter->since_ns != 0 && sum->first_ns < filter->since_ns) ||
	       (filter->until_ns != 0 && sum->last_ns >= filter->until_ns);
}

static bool add_sum(void *context, const struct be_daily_sum *sum)
{
	struct reporting *report = context;
	const struct report_wanted *wanted = &report->arguments->report;
	struct total amounts = {sum->amount, sum->count};
	int64_t span = span_of(report->span, sum->first_ns);
	char texts[TEXTS_SIZE], *end = texts;

	if (wanted->below && !is_below(report, sum->envelope_id, &amounts))
		return true;
	if (is_cut(report, sum)) {
		sum_add(&report->cut, &amounts);
		return true;
	}
	if (span_of(report->span, sum->last_ns) != span)
		span = TALLY_NO_SPAN;
	for (size_t i = 0; i < wanted->by_count; i++)
		if (report_span(wanted->by[i]) == SPAN_NONE)
			end = stpcpy(end, text_of_sum(wanted->by[i], sum)) + 1;
	tally_add(&report->tally, span, texts, (size_t)(end - texts), &amounts);
	return true;
}

static bool ignore_sum(void *context, const struct be_daily_sum *sum)
{
	(void)context;
	(void)sum;
	return true;
}

/* Has pruning removed lines behind the last one that was checked? They may not have been read. */
static enum be_status check_pruned(struct reporting *report, uint64_t id)
{
	struct be_filter filter = BE_FILTER_INIT;
	uint64_t pruned_id;
	enum be_status status;

	filter.max_count = 1;
	status = be_daily_sums_each(report->handle, &filter, ignore_sum, NULL, &pruned_id);
	report->is_overtaken |= status == BE_OK && pruned_id > report->checked_id;
	report->checked_id = id;
	return status;
}

/* ---- reading */

static const char *label_of(const char *key, const struct be_transaction *line)
{
	for (uint32_t i = 0; i < line->label_count; i++)
		if (strcmp(line->labels[i].key, key) == 0)
			return line->labels[i].value;
	return "";
}

static const char *text_of(const struct report_wanted *wanted, enum report_key key,
			   const struct be_transaction *line)
{
	switch (key) {
	case REPORT_LABEL:
		return label_of(wanted->label, line);
	case REPORT_NAMESPACE:
		return line->namespace_name;
	case REPORT_CATEGORY:
		return line->category;
	case REPORT_DESCRIPTION:
		return line->description;
	default:
		return be_transaction_kind_name(line->kind);
	}
}

static bool add_line(void *context, const struct be_transaction *line)
{
	struct reporting *report = context;
	const struct report_wanted *wanted = &report->arguments->report;
	struct total one = {line->amount, 1};
	char texts[TEXTS_SIZE], *end = texts;

	show_progress(report, line->id);
	if (++report->counted == report->next_check) {
		report->next_check *= 2;
		if (check_pruned(report, line->id) != BE_OK || report->is_overtaken)
			return false;
	}
	if (report->arguments->only_free && line->amount > 0)
		return true;
	if (wanted->below && !is_below(report, line->envelope_id, &one))
		return true;
	for (size_t i = 0; i < wanted->by_count; i++)
		if (report_span(wanted->by[i]) == SPAN_NONE)
			end = stpcpy(end, text_of(wanted, wanted->by[i], line)) + 1;
	tally_add(&report->tally, span_of(report->span, line->at_ns), texts, (size_t)(end - texts),
		  &one);
	return true;
}

/* All that was ever charged, once: unless is_overtaken. */
static enum be_status read_once(struct reporting *report)
{
	struct be_filter filter = report->arguments->filter;
	enum be_status status;

	tally_free(&report->tally);
	report->tally = (struct tallied){0};
	report->lost = report->cut = (struct total){0};
	report->counted = 0;
	report->next_check = LINES_BEFORE_CHECK;
	report->is_overtaken = false;
	status = be_daily_sums_each(report->handle, &filter, add_sum, report, &report->checked_id);
	filter.after_id = report->checked_id;
	if (status == BE_OK)
		status = be_transactions_each(report->handle, &filter, add_line, report);
	if (status == BE_STOPPED && report->is_overtaken)
		status = BE_OK;
	if (status == BE_OK && !report->is_overtaken)
		status = check_pruned(report, report->checked_id);
	return status;
}

static enum be_status read_all(struct reporting *report)
{
	enum be_status status = BE_OK;

	report->is_overtaken = true;
	for (int i = 0; i < READINGS_MAX && status == BE_OK && report->is_overtaken; i++)
		status = read_once(report);
	return status;
}

/* A picture has no hours where only days are known. */
static enum be_status choose_days(struct reporting *report)
{
	enum be_status status = BE_OK;

	report->checked_id = 0;
	if (!report->has_span && report->span == SPAN_HOUR)
		status = check_pruned(report, 0);
	if (report->is_overtaken)
		report->span = SPAN_DAY;
	return status;
}

static bool read_ledger(struct reporting *report)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle = NULL;
	enum be_status status;
	bool is_read = false;

	options.flags = BE_OPEN_READ_ONLY;
	status = tool_open(report->arguments->environment, &options, &handle);
	if (status == BE_OK && !prepare_below(handle, report))
		goto out;
	if (status == BE_OK)
		status = begin_progress(handle, report);
	report->handle = handle;
	if (status == BE_OK)
		status = choose_days(report);
	if (status == BE_OK)
		status = read_all(report);
	end_progress(report);
	if (status != BE_OK)
		complain(report->arguments->environment, be_last_error());
	else if (report->is_overtaken)
		complain(report->arguments->environment,
			 "lines are pruned faster than they are read: try again when that is over");
	is_read = status == BE_OK && !report->is_overtaken;
out:
	be_close(handle);
	return is_read;
}

/* ---- showing */

static void fill_figures(const struct reporting *report, const struct total *sum,
			 struct report_row *row)
{
	row->count = sum->count;
	sum_format(sum->nanos, row->sum);
	sum_mean(sum, row->mean);
	sum_share(sum->nanos, report->tally.total.nanos, row->share);
}

static bool is_table(const struct reporting *report)
{
	enum form form = report->arguments->form;

	return form == FORM_TABLE || form == FORM_RAW || form == FORM_HTML;
}

/* A name for what has none, where there is no column that tells. */
static void name_row(const struct reporting *report, struct report_row *row, const char *name)
{
	const struct report_wanted *wanted = &report->arguments->report;

	for (size_t i = 0; is_table(report) && i < wanted->by_count; i++) {
		if (!row->keys[wanted->by[i]]) {
			row->keys[wanted->by[i]] = name;
			return;
		}
	}
}

/* Where rows go, which is one of three. */
static bool put_row(const struct reporting *report, struct output *output,
		    const struct report_row *row, uint64_t *count)
{
	if (output)
		return output_row(output, row, "");
	if (report->arguments->form == FORM_JSON)
		return json_row(report->arguments, row, count);
	page_row(report->arguments, row);
	return tool_output_is_sound();
}

static bool show_cell(const struct reporting *report, struct output *output,
		      const struct tally_cell *cell, wide largest, uint64_t *count)
{
	const struct report_wanted *wanted = &report->arguments->report;
	struct report_row row = {.row = cell->is_other ? "other" : "group"};
	bool has_span = cell->span != TALLY_NO_SPAN && (!cell->is_other || cell->span != INT64_MAX);
	bool is_pruned = cell->span == TALLY_NO_SPAN;
	const char *text = cell->series != TALLY_OTHERS
				   ? names_text(&report->tally.series, cell->series)
				   : NULL;
	char span[SPAN_TEXT_SIZE];

	if (has_span && report->span != SPAN_NONE)
		span_format(report->span, cell->span, span);
	for (size_t i = 0; i < wanted->by_count; i++) {
		if (report_span(wanted->by[i]) != SPAN_NONE) {
			row.keys[wanted->by[i]] = has_span ? span : NULL;
		} else if (text) {
			bool is_known = strcmp(text, TALLY_NO_TEXT) != 0;

			row.keys[wanted->by[i]] = is_known ? text : NULL;
			is_pruned |= !is_known;
			text += strlen(text) + 1;
		}
	}
	if (is_pruned && !cell->is_other) {
		row.row = "pruned";
		name_row(report, &row, "(pruned)");
	}
	if (cell->is_other)
		name_row(report, &row, "(other)");
	fill_figures(report, &cell->sum, &row);
	if (largest > 0 && cell->sum.nanos > 0 && !cell->is_other)
		row.bar_ppm = (int64_t)(cell->sum.nanos * 1000000 / largest);
	return put_row(report, output, &row, count);
}

static void show_total(const struct reporting *report, struct output *output)
{
	struct report_row row = {.row = "total"};
	uint64_t count = 0;

	name_row(report, &row, "TOTAL");
	fill_figures(report, &report->tally.total, &row);
	put_row(report, output, &row, &count);
}

static void show_cells(const struct reporting *report, struct output *output)
{
	const struct tallied *tally = &report->tally;
	uint64_t count = 0;
	wide largest = 0;

	for (size_t i = 0; i < tally->count; i++)
		if (tally->cells[i].sum.nanos > largest && !tally->cells[i].is_other)
			largest = tally->cells[i].sum.nanos;
	for (size_t i = 0; i < tally->count; i++)
		if (!show_cell(report, output, &tally->cells[i], largest, &count))
			break;
}

/* As a JSON string, to be given back with free(). */
static char *quote(const char *text)
{
	json_t *json = json_string(text);
	char *quoted = json_dumps(json, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

	if (!quoted)
		tool_out_of_memory();
	json_decref(json);
	return quoted;
}

static void show_json(const struct reporting *report)
{
	const struct report_wanted *wanted = &report->arguments->report;
	char *text = quote(wanted->zone);
	char *label = wanted->label ? quote(wanted->label) : NULL;

	json_begin(report->arguments, "{\"by\": [");
	for (size_t i = 0; i < wanted->by_count; i++)
		printf("%s\"%s\"", i > 0 ? ", " : "", of_reports[FIRST_KEY + wanted->by[i]].key);
	printf("], \"zone\": %s, ", text);
	if (label)
		printf("\"label\": %s, ", label);
	printf("\"groups\": [");
	show_cells(report, NULL);
	printf("\n], \"total\":");
	show_total(report, NULL);
	json_end("}");
	free(text);
	free(label);
}

static void show_rows(const struct reporting *report)
{
	struct output *output = output_begin(report->arguments);

	show_cells(report, output);
	show_total(report, output);
	output_end(output, true);
}

/* ---- pictures and pages */

static int64_t forget_span(const void *context, int64_t span)
{
	(void)context;
	(void)span;
	return 0;
}

static void forget_spans(struct tallied *tally)
{
	/* They were needed for the picture only. */
	for (size_t i = 0; i < tally->count; i++)
		if (tally->cells[i].span == TALLY_NO_SPAN)
			tally->cells[i].span = 0;
	tally_widen(tally, forget_span, NULL);
}

/* The spans of the picture may be larger than those of the table. */
static void show_picture(struct reporting *report)
{
	struct tallied *tally = &report->tally;
	size_t texts = report->arguments->report.by_count - report->has_span;
	struct tallied drawn = {.series = tally->series};
	wide without_span = 0;
	enum span span;

	for (size_t i = 0; i < tally->count; i++) {
		if (tally->cells[i].span == TALLY_NO_SPAN) {
			without_span += tally->cells[i].sum.nanos;
			continue;
		}
		drawn.cells = tool_grow(drawn.cells, drawn.count, &drawn.room, sizeof *drawn.cells);
		drawn.cells[drawn.count++] = tally->cells[i];
	}
	span = chart_choose(&drawn, report->span, report->has_span);
	tally_sort(&drawn);
	chart_put(&drawn, span, texts, without_span);
	free(drawn.cells);
}

static bool is_wanted(void *context, const struct be_envelope *envelope)
{
	const struct reporting *report = context;
	const struct be_filter *filter = &report->arguments->filter;

	if (filter->namespace_name && strcmp(filter->namespace_name, envelope->namespace_name) != 0)
		return false;
	if (filter->category && strcmp(filter->category, envelope->category) != 0)
		return false;
	return !report->arguments->report.below ||
	       ask(report,
		   envelopes_find(&report->envelopes, envelope->namespace_name, envelope->category))
		       .is_below;
}

static void order_groups(struct reporting *report)
{
	const struct report_wanted *wanted = &report->arguments->report;

	if (!report->has_span && report->span != SPAN_NONE) {
		forget_spans(&report->tally);
		report->span = SPAN_NONE;
	}
	if (wanted->top > 0)
		tally_keep(&report->tally, (size_t)wanted->top,
			   report->has_span && wanted->by_count == 1);
	tally_sort(&report->tally);
}

static void show_page(struct reporting *report)
{
	const struct arguments *arguments = report->arguments;
	struct report_row total = {.row = "total"};

	fill_figures(report, &report->tally.total, &total);
	page_begin(arguments, &total);
	show_picture(report);
	order_groups(report);
	page_begin_table(arguments);
	show_cells(report, NULL);
	show_total(report, NULL);
	page_end_table();
	page_balances(arguments, &report->envelopes, is_wanted, report);
	page_end();
}

static void show(struct reporting *report)
{
	switch (report->arguments->form) {
	case FORM_SVG:
		show_picture(report);
		break;
	case FORM_HTML:
		show_page(report);
		break;
	case FORM_JSON:
		order_groups(report);
		show_json(report);
		break;
	default:
		order_groups(report);
		show_rows(report);
	}
}

/* What is to be added up by time: as --by has it, and what a picture needs. */
static void choose_span(struct reporting *report)
{
	const struct arguments *arguments = report->arguments;

	for (size_t i = 0; i < arguments->report.by_count; i++)
		if (report_span(arguments->report.by[i]) != SPAN_NONE)
			report->span = report_span(arguments->report.by[i]);
	report->has_span = report->span != SPAN_NONE;
	if (!report->has_span && (arguments->form == FORM_SVG || arguments->form == FORM_HTML))
		report->span = SPAN_HOUR;
}

int report_run(const struct arguments *arguments)
{
	struct reporting report = {.arguments = arguments};
	bool is_read;

	choose_span(&report);
	is_read = read_ledger(&report);
	if (is_read) {
		show(&report);
		tell_lost(&report);
		tell_cut(&report);
	}
	tally_free(&report.tally);
	envelopes_free(&report.envelopes);
	names_free(&report.asked);
	free(report.answers);
	return is_read ? EXIT_SUCCESS : TOOL_EXIT_FAULT;
}
