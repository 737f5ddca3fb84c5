/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of be-inspect. Options that make no sense for a view are refused rather than
 * ignored: `verify --category llm` would look like a clean bill for more than it is, or less.
 */
#include "arguments.h"

#include "argument.h"
#include "moment.h"
#include "text.h"
#include "tool.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

/* As many as tail -f shows before it waits. */
#define FOLLOW_LINES 10

const char *argp_program_version = TOOL_VERSION("be-inspect");

enum view_option {
	KEY_NAMESPACE = 'n',
	KEY_CATEGORY = 'c',
	KEY_JSON = 'j',
	KEY_NOHEADINGS = 'H',
	KEY_OUTPUT = 'o',
	KEY_RAW = 'r',
	KEY_FOLLOW = 'f',
	KEY_WATCH = 'w',
	KEY_SINCE = 256,
	KEY_UNTIL,
	KEY_MIN,
	KEY_MAX,
	KEY_LABEL,
	KEY_LIMIT,
	KEY_SORT,
	KEY_CSV,
	KEY_PROMETHEUS,
	KEY_INTERVAL,
	KEY_BY,
	KEY_TOP,
	KEY_BELOW,
	KEY_BELOW_NAMESPACE,
	KEY_ZONE,
	KEY_SVG,
	KEY_HTML,
};

static const struct argp_option options[] = {
	ARGUMENT_HELP_OPTION,
	{0, 0, 0, 0, "What to show:", 1},
	{"namespace", KEY_NAMESPACE, "NAME", 0, "Only this namespace; '' is the default one", 1},
	{"category", KEY_CATEGORY, "NAME", 0, "Only this category", 1},
	{"since", KEY_SINCE, "TIME", 0,
	 "Only what began then or later: envelopes and commits by when they were made, "
	 "transactions by when they were charged",
	 1},
	{"until", KEY_UNTIL, "TIME", 0, "Only what began before", 1},
	{"min", KEY_MIN, "AMOUNT", 0,
	 "Only amounts from here on: the limit of an envelope, what a commit holds, "
	 "what a transaction charged, what was spent at an alert",
	 1},
	{"max", KEY_MAX, "AMOUNT", 0, "Only amounts up to this one", 1},
	{"label", KEY_LABEL, "KEY[=VALUE]", 0,
	 "Only commits or transactions with this label, whatever its value where none is given; "
	 "several: with all of them",
	 1},
	{"limit", KEY_LIMIT, "N", 0,
	 "At most N: the first as sorted; else the oldest commits, the latest transactions and "
	 "alerts (these in ascending order too)",
	 1},
	{"follow", KEY_FOLLOW, 0, 0,
	 "The latest 10 transactions or alerts (or as many as --limit says, or all --since a "
	 "time), then each one as it comes",
	 1},
	{0, 0, 0, 0, "What a report adds up, and of which envelopes there are metrics:", 2},
	{"by", KEY_BY, "KEYS", 0,
	 "Groups: hour, day, week or month, and namespace, category, description, kind, "
	 "label:KEY, separated by commas (default category)",
	 2},
	{"below", KEY_BELOW, "CATEGORY", 0,
	 "Only what the envelope of this category was charged, and those below it; metrics of "
	 "these only",
	 2},
	{"below-namespace", KEY_BELOW_NAMESPACE, "NAME", 0,
	 "Namespace of that envelope (default the empty one)", 2},
	{"top", KEY_TOP, "N", 0,
	 "The N largest groups, and all others together; metrics of the N most constrained "
	 "envelopes",
	 2},
	{"zone", KEY_ZONE, "ZONE", 0,
	 "Whose days these are, such as Europe/Berlin (default UTC); times without an offset are "
	 "of it, too",
	 2},
	{0, 0, 0, 0, "How to show it:", 3},
	{"json", KEY_JSON, 0, 0,
	 "One JSON document; amounts are strings, exact to the last digit. With --follow, one "
	 "document for "
	 "each line",
	 3},
	{"csv", KEY_CSV, "crlf", OPTION_ARG_OPTIONAL,
	 "Comma-separated values, named as in JSON; with =crlf lines end as RFC 4180 has it", 3},
	{"prometheus", KEY_PROMETHEUS, "FILE", OPTION_ARG_OPTIONAL,
	 "Metrics of the environment and of envelopes, for node_exporter's textfile collector; "
	 "with =FILE that is replaced by them, in one step",
	 3},
	{"html", KEY_HTML, 0, 0,
	 "A report as a page for browsers, which needs no other file: spending over time, the "
	 "groups, the balances",
	 3},
	{"svg", KEY_SVG, 0, 0, "Only its picture: spending over time, stacked by group", 3},
	{"watch", KEY_WATCH, 0, 0,
	 "A live view on the whole screen; its key h shows the others. Where the output is no "
	 "terminal, the usual table",
	 3},
	{"interval", KEY_INTERVAL, "SECONDS", 0,
	 "With --watch: time between two refreshes, 0.1 to 3600 (default 1)", 3},
	{"output", KEY_OUTPUT, "COLUMNS", 0,
	 "These columns, separated by commas; +COLUMNS adds to the default", 3},
	{"sort", KEY_SORT, "COLUMN", 0,
	 "In ascending order of this column, or descending with -COLUMN; envelopes in tables come "
	 "by "
	 "-USED%, the most constrained first",
	 3},
	{"noheadings", KEY_NOHEADINGS, 0, 0, "No line of headings", 3},
	{"raw", KEY_RAW, 0, 0,
	 "Columns separated by one blank, not aligned; blanks in them become \\x20, backslashes "
	 "\\x5c",
	 3},
	{0, 0, 0, 0, 0, 0},
};

static const char help[] =
	"Shows what is in the budget ENVIRONMENT, a directory, and never changes it."
	"\v"
	"VIEW is envelopes (the default), commits (those pending), transactions (the "
	"ledger), alerts (the thresholds that were crossed), owners (the processes that have it "
	"open, and what each holds), report (the ledger added up), stats (files, pages, readers, "
	"ids) or verify, which recomputes every balance from ledger and pending commits. "
	"ENVIRONMENT may be left out where BUDGET_ENFORCER_DIR is set.\n"
	"\n"
	"--csv changes no text: a spreadsheet takes one that begins with = + - or @ for a "
	"formula, so import the columns of text as such.\n"
	"\n"
	"TIME is 2023-11-16, '2023-11-16 18:15:46' or 2023-11-16T18:15:46.680Z, all in "
	"UTC unless an offset follows; "
	"@SECONDS since 1970; now, today, yesterday; 22:30, the last time it was that in UTC; or "
	"how long ago: 90s, 30m, 1.5h, 7d, 2w. AMOUNT is a decimal "
	"number such as 0.40.\n"
	"\n"
	"On a terminal that is too narrow long descriptions are cut, then columns are left out (of "
	"envelopes PARENT, PERIOD, ENDS and REFUSED before others), then names are cut. A + stands "
	"for what was cut; a pipe gets all, and so does who names columns.\n"
	"\n"
	"Exit status: 0 all went well, 1 verify found a difference or damage, 2 the "
	"command line is wrong, 3 the "
	"environment cannot be read or the output cannot be written.\n"
	"\n"
	"Columns, by their headings or by their names in JSON (* by default):\n";

/* ---- views */

/* Kinds of options: which views have them. */
enum {
	HAS_JSON = 1,
	HAS_CSV = 2, /* and --output */
	HAS_LAYOUT = 4,
	HAS_ORDER = 8, /* and --limit */
	HAS_FILTERS = 16,
	HAS_FOLLOW = 32,
	HAS_PROMETHEUS = 64,
	HAS_WATCH = 128,
	HAS_REPORT = 256,
	HAS_SUBTREE = 512,
	HAS_LABELS = 1024,
	HAS_ROWS = HAS_JSON | HAS_CSV | HAS_LAYOUT | HAS_ORDER | HAS_WATCH,
};

static const struct {
	const char *name;
	const struct fields *fields; /* NULL: no columns */
	int options;
} views[] = {
	[VIEW_ENVELOPES] = {"envelopes", &envelope_row_fields,
			    HAS_ROWS | HAS_FILTERS | HAS_PROMETHEUS | HAS_SUBTREE},
	[VIEW_COMMITS] = {"commits", &commit_row_fields, HAS_ROWS | HAS_FILTERS | HAS_LABELS},
	[VIEW_TRANSACTIONS] = {"transactions", &transaction_row_fields,
			       HAS_ROWS | HAS_FILTERS | HAS_FOLLOW | HAS_LABELS},
	[VIEW_ALERTS] = {"alerts", &alert_fields, HAS_ROWS | HAS_FILTERS | HAS_FOLLOW},
	[VIEW_OWNERS] = {"owners", &owner_fields, HAS_ROWS},
	[VIEW_REPORT] = {"report", &report_fields,
			 HAS_JSON | HAS_CSV | HAS_LAYOUT | HAS_FILTERS | HAS_REPORT | HAS_SUBTREE |
				 HAS_LABELS},
	[VIEW_STATS] = {"stats", &stats_fields, HAS_JSON | HAS_CSV},
	[VIEW_VERIFY] = {"verify", NULL, HAS_JSON},
};

#define VIEW_COUNT (sizeof views / sizeof views[0])

const char *view_name(enum view view)
{
	return views[view].name;
}

/* What can be judged only when all arguments are known. */
struct parser {
	struct arguments *arguments;
	const char *columns;       /* of --output; NULL: not given */
	const char *sort;          /* of --sort; the same */
	const char *by;            /* of --by; the same */
	const char *since, *until; /* of these, whose meaning --zone may change */
	bool view_given;
	uint64_t given; /* a bit for each element of `options` that was */
};

static bool is_view(const char *name)
{
	for (size_t i = 0; i < VIEW_COUNT; i++)
		if (strcmp(views[i].name, name) == 0)
			return true;
	return false;
}

static void take_view(struct argp_state *state, struct parser *parser, const char *name)
{
	char *safe;
	size_t i;

	for (i = 0; i < VIEW_COUNT; i++) {
		if (strcmp(views[i].name, name) == 0) {
			parser->arguments->view = (enum view)i;
			parser->view_given = true;
			return;
		}
	}
	safe = text_escape(name);
	argp_error(
		state,
		"'%s' is no view; the views are envelopes, commits, transactions, alerts, owners, "
		"report, stats and verify",
		safe);
	free(safe);
}

/* ---- columns */

static void add_column(struct arguments *arguments, const struct field *field)
{
	size_t count = arguments->column_count + 1;

	arguments->columns = reallocarray(arguments->columns, count, sizeof *arguments->columns);
	if (!arguments->columns)
		tool_out_of_memory();
	arguments->columns[arguments->column_count++] = field;
}

static bool has_bars(const struct arguments *arguments)
{
	return arguments->form == FORM_TABLE || arguments->form == FORM_HTML;
}

/* What a report is grouped by, in the order given, and its figures. */
static void add_columns_of_report(struct arguments *arguments)
{
	const struct fields *fields = &report_fields;
	enum report_key key;

	if (arguments->form == FORM_JSON || arguments->form == FORM_CSV)
		add_column(arguments, &fields->first[0]);
	for (size_t i = 0; i < arguments->report.by_count; i++)
		for (size_t j = 0; j < fields->count; j++)
			if (report_key_of(&fields->first[j], &key) &&
			    key == arguments->report.by[i])
				add_column(arguments, &fields->first[j]);
	for (size_t i = 0; i < fields->count; i++)
		if (!fields->first[i].on_demand &&
		    (fields->first[i].kind != FIELD_BAR || has_bars(arguments)))
			add_column(arguments, &fields->first[i]);
}

/* The columns of the view: all of them in JSON, else those shown by default. */
static void add_default_columns(struct arguments *arguments, const struct fields *fields)
{
	size_t i;

	if (arguments->view == VIEW_REPORT) {
		add_columns_of_report(arguments);
		return;
	}
	for (i = 0; i < fields->count; i++)
		if (arguments->form == FORM_JSON || arguments->form == FORM_CSV ||
		    !fields->first[i].on_demand)
			add_column(arguments, &fields->first[i]);
}

/* Ends the process, naming the columns there are. */
static void refuse_column(struct argp_state *state, const char *option, enum view view,
			  const char *name, size_t size)
{
	char *whole = strndup(name, size), *safe, *known;
	size_t known_size, i;
	FILE *stream = open_memstream(&known, &known_size);

	if (!whole || !stream)
		tool_out_of_memory();
	safe = text_escape(whole);
	for (i = 0; i < views[view].fields->count; i++)
		fprintf(stream, "%s%s", i > 0 ? ", " : "", views[view].fields->first[i].heading);
	if (fclose(stream) != 0)
		tool_out_of_memory();
	argp_error(state, "%s: %s has no column '%s'; it has %s", option, view_name(view), safe,
		   known);
	free(known);
	free(safe);
	free(whole);
}

static void add_columns(struct argp_state *state, struct parser *parser,
			const struct fields *fields)
{
	const char *name = parser->columns, *end;

	if (*name == '+') {
		add_default_columns(parser->arguments, fields);
		name++;
	}
	for (;; name = end + 1) {
		const struct field *field;

		end = strchrnul(name, ',');
		field = fields_find(fields, name, (size_t)(end - name));
		if (!field)
			refuse_column(state, "--output", parser->arguments->view, name,
				      (size_t)(end - name));
		add_column(parser->arguments, field);
		if (*end == '\0')
			return;
	}
}

/* ---- reports */

static bool is_grouped_by(const struct report_wanted *wanted, enum report_key key)
{
	for (size_t i = 0; i < wanted->by_count; i++)
		if (wanted->by[i] == key)
			return true;
	return false;
}

/* label:KEY is the field "label", of a key that is noted. */
static size_t take_label_key(struct argp_state *state, struct report_wanted *wanted,
			     const char *name, size_t size)
{
	static const char prefix[] = "label:";
	size_t length = sizeof prefix - 1;

	if (size <= length || strncmp(name, prefix, length) != 0)
		return size;
	if (wanted->label)
		argp_error(state, "--by: one label at a time");
	wanted->label = argument_keep(name + length, size - length);
	return length - 1;
}

static void add_key(struct argp_state *state, struct report_wanted *wanted, const char *name,
		    size_t whole_size)
{
	size_t size = take_label_key(state, wanted, name, whole_size);
	const struct field *field = fields_find(&report_fields, name, size);
	enum report_key key;
	char *whole, *safe;

	if (field && report_key_of(field, &key) && !is_grouped_by(wanted, key) &&
	    (key != REPORT_LABEL || wanted->label)) {
		wanted->by[wanted->by_count++] = key;
		return;
	}
	whole = strndup(name, whole_size);
	if (!whole)
		tool_out_of_memory();
	safe = text_escape(whole);
	argp_error(state,
		   field && report_key_of(field, &key) && is_grouped_by(wanted, key)
			   ? "--by: '%s' stands there twice"
			   : "--by: '%s' is none of hour, day, week, month, namespace, category, "
			     "description, kind and label:KEY",
		   safe);
	free(safe);
	free(whole);
}

static void take_by(struct argp_state *state, struct parser *parser)
{
	struct report_wanted *wanted = &parser->arguments->report;
	const char *name = parser->by ? parser->by : "category", *end;
	int spans = 0;

	for (;; name = end + 1) {
		end = strchrnul(name, ',');
		add_key(state, wanted, name, (size_t)(end - name));
		if (*end == '\0')
			break;
	}
	for (size_t i = 0; i < wanted->by_count; i++)
		spans += report_span(wanted->by[i]) != SPAN_NONE;
	if (spans > 1)
		argp_error(state, "--by: one of hour, day, week and month at a time");
}

static void check_columns_of_report(struct argp_state *state, const struct arguments *arguments)
{
	enum report_key key;

	for (size_t i = 0; i < arguments->column_count; i++) {
		const struct field *field = arguments->columns[i];

		if (report_key_of(field, &key) && !is_grouped_by(&arguments->report, key))
			argp_error(state, "--output: %s is not among what --by names", field->key);
		if (field->kind == FIELD_BAR && !has_bars(arguments))
			argp_error(state, "--output: only a table has bars");
	}
}

/* Zone first: dates are of it. */
static void take_times(struct argp_state *state, struct parser *parser)
{
	struct arguments *arguments = parser->arguments;
	struct be_filter *filter = &arguments->filter;
	const char *fault = span_use_zone(arguments->report.zone);

	if (fault)
		argument_refuse(state, "--zone", arguments->report.zone, fault);
	if (strcmp(arguments->report.zone, "UTC") != 0)
		moment_use_local();
	if (parser->since)
		filter->since_ns =
			argument_moment(state, "--since", parser->since, arguments->now_ns);
	if (!parser->until)
		return;
	filter->until_ns = argument_moment(state, "--until", parser->until, arguments->now_ns);
	/* 0 would mean no bound, but nothing was created before 1970. */
	if (filter->until_ns == 0)
		filter->until_ns = 1;
}

static void take_sort(struct argp_state *state, struct parser *parser, const struct fields *fields)
{
	struct arguments *arguments = parser->arguments;
	const char *name = parser->sort;

	if (!name) {
		arguments->by_need =
			arguments->view == VIEW_ENVELOPES && arguments->form <= FORM_RAW;
		name = arguments->by_need ? "-utilization_percent" : "";
	}
	arguments->descending = *name == '-';
	name += arguments->descending;
	/* Owners have no order of their own, and are gathered in any case. */
	if (!parser->sort && arguments->view == VIEW_OWNERS)
		name = "pid";
	arguments->sort = fields_find(fields, name, strlen(name));
	/* Records of the live view have none. */
	if (arguments->watch && arguments->sort &&
	    (arguments->sort->kind == FIELD_ALSO || arguments->sort->kind == FIELD_LABELS))
		argp_error(state, "--watch does not sort by %s", arguments->sort->key);
	if (!parser->sort || arguments->sort)
		return;
	refuse_column(state, "--sort", arguments->view, name, strlen(name));
}

/* ---- all together */

static int kind_of(int key)
{
	switch (key) {
	case KEY_JSON:
		return HAS_JSON;
	case KEY_CSV:
	case KEY_OUTPUT:
		return HAS_CSV;
	case KEY_RAW:
	case KEY_NOHEADINGS:
		return HAS_LAYOUT;
	case KEY_LIMIT:
	case KEY_SORT:
		return HAS_ORDER;
	case KEY_FOLLOW:
		return HAS_FOLLOW;
	case KEY_PROMETHEUS:
		return HAS_PROMETHEUS;
	case KEY_WATCH:
	case KEY_INTERVAL:
		return HAS_WATCH;
	case KEY_TOP:
	case KEY_BELOW:
	case KEY_BELOW_NAMESPACE:
		return HAS_SUBTREE;
	case KEY_BY:
	case KEY_ZONE:
	case KEY_SVG:
	case KEY_HTML:
		return HAS_REPORT;
	case KEY_LABEL:
		return HAS_LABELS;
	default:
		return HAS_FILTERS;
	}
}

#define OPTION_COUNT (sizeof options / sizeof options[0])

static void note_option(struct parser *parser, int key)
{
	size_t i;

	for (i = 0; i < OPTION_COUNT; i++)
		if (options[i].name && options[i].key == key)
			parser->given |= UINT64_C(1) << i;
}

static bool was_given(const struct parser *parser, int key)
{
	size_t i;

	for (i = 0; i < OPTION_COUNT; i++)
		if (options[i].key == key)
			return parser->given >> i & 1;
	return false;
}

static void check_options_of_view(struct argp_state *state, const struct parser *parser)
{
	enum view view = parser->arguments->view;
	size_t i;

	for (i = 0; i < OPTION_COUNT; i++)
		if (parser->given >> i & 1 && !(views[view].options & kind_of(options[i].key)))
			argp_error(state, "%s has no --%s", view_name(view), options[i].name);
}

static void check_metrics(struct argp_state *state, const struct parser *parser)
{
	static const int allowed[] = {KEY_PROMETHEUS, KEY_NAMESPACE,       KEY_CATEGORY,
				      KEY_BELOW,      KEY_BELOW_NAMESPACE, KEY_TOP};
	uint64_t others = parser->given;

	if (parser->arguments->form != FORM_PROMETHEUS) {
		if (parser->arguments->view == VIEW_ENVELOPES &&
		    (was_given(parser, KEY_BELOW) || was_given(parser, KEY_TOP)))
			argp_error(state, "of envelopes only --prometheus has --below and --top");
		return;
	}
	for (size_t i = 0; i < OPTION_COUNT; i++)
		for (size_t j = 0; j < sizeof allowed / sizeof *allowed; j++)
			if (options[i].key == allowed[j])
				others &= ~(UINT64_C(1) << i);
	if (others != 0)
		argp_error(state, "--prometheus has only --namespace, --category, --below and "
				  "--top beside it");
	if (parser->arguments->file && !*parser->arguments->file)
		argp_error(state, "--prometheus=: a file must be named");
}

static void check_form(struct argp_state *state, const struct parser *parser)
{
	const struct arguments *arguments = parser->arguments;

	if (was_given(parser, KEY_JSON) + was_given(parser, KEY_CSV) + was_given(parser, KEY_RAW) +
		    was_given(parser, KEY_PROMETHEUS) + was_given(parser, KEY_SVG) +
		    was_given(parser, KEY_HTML) >
	    1)
		argp_error(state, "one of --json, --csv, --raw, --prometheus, --svg and --html "
				  "at a time");
	if ((arguments->form == FORM_SVG || arguments->form == FORM_HTML) &&
	    (was_given(parser, KEY_OUTPUT) || was_given(parser, KEY_NOHEADINGS)))
		argp_error(state, "--svg and --html have neither --output nor --noheadings");
	check_metrics(state, parser);
	if (arguments->form == FORM_JSON && arguments->noheadings)
		argp_error(state, "--json has no --noheadings");
	if (was_given(parser, KEY_BELOW_NAMESPACE) && !was_given(parser, KEY_BELOW))
		argp_error(state, "--below-namespace goes with --below");
	if (arguments->watch && (arguments->form != FORM_TABLE || was_given(parser, KEY_OUTPUT) ||
				 was_given(parser, KEY_NOHEADINGS) || was_given(parser, KEY_LIMIT)))
		argp_error(state, "--watch has only filters, --sort and --interval");
	if (was_given(parser, KEY_SINCE) && was_given(parser, KEY_UNTIL) &&
	    arguments->filter.until_ns <= arguments->filter.since_ns)
		argp_error(state, "--until is not after --since, so that nothing is between");
	if (was_given(parser, KEY_INTERVAL) && !arguments->watch)
		argp_error(state, "--interval goes with --watch");
	if (arguments->follow && arguments->watch)
		argp_error(state, "one of --follow and --watch at a time");
	if (arguments->follow && (was_given(parser, KEY_SORT) || was_given(parser, KEY_UNTIL)))
		argp_error(state, "--follow has neither --sort nor --until");
}

static void check_combination(struct argp_state *state, struct parser *parser)
{
	struct arguments *arguments = parser->arguments;
	const struct fields *fields = views[arguments->view].fields;

	if (!arguments->environment)
		arguments->environment = argument_usual_environment();
	if (!arguments->environment)
		argp_error(state, "ENVIRONMENT is missing, and BUDGET_ENFORCER_DIR is not set");
	check_options_of_view(state, parser);
	take_times(state, parser);
	if (arguments->view == VIEW_REPORT)
		take_by(state, parser);
	check_form(state, parser);
	if (arguments->follow && arguments->limit == 0 && !was_given(parser, KEY_SINCE))
		arguments->limit = FOLLOW_LINES;
	if (!fields)
		return;
	arguments->columns_chosen = parser->columns != NULL;
	if (parser->columns)
		add_columns(state, parser, fields);
	else
		add_default_columns(parser->arguments, fields);
	if (arguments->view == VIEW_REPORT)
		check_columns_of_report(state, arguments);
	else
		take_sort(state, parser, fields);
}

static void take_label(struct argp_state *state, struct arguments *arguments, const char *text)
{
	struct be_filter *filter = &arguments->filter;
	const char *fault = NULL;

	if (filter->label_count == BE_LABELS_MAX)
		fault = "8 labels are the most";
	else
		fault = argument_label(text, &arguments->labels[filter->label_count]);
	if (fault)
		argument_refuse(state, "--label", text, fault);
	filter->labels = arguments->labels;
	filter->label_count++;
}

static void take_filter(struct argp_state *state, struct parser *parser, int key, const char *text)
{
	struct arguments *arguments = parser->arguments;
	struct be_filter *filter = &arguments->filter;

	arguments->filtered = arguments->filtered || key != KEY_LIMIT;
	switch (key) {
	case KEY_NAMESPACE:
		filter->namespace_name = text;
		break;
	case KEY_CATEGORY:
		filter->category = text;
		break;
	case KEY_SINCE:
		parser->since = text;
		break;
	case KEY_UNTIL:
		parser->until = text;
		break;
	case KEY_MIN:
		filter->min_amount = argument_amount(state, "--min", text);
		break;
	case KEY_MAX:
		filter->max_amount = argument_amount(state, "--max", text);
		arguments->only_free = filter->max_amount == 0;
		break;
	case KEY_LABEL:
		take_label(state, arguments, text);
		break;
	default:
		arguments->limit = argument_count(state, "--limit", text, 1, UINT64_MAX);
	}
}

static void take_report(struct argp_state *state, struct arguments *arguments, int key,
			const char *text)
{
	struct report_wanted *wanted = &arguments->report;

	switch (key) {
	case KEY_TOP:
		wanted->top = argument_count(state, "--top", text, 1, UINT64_MAX);
		break;
	case KEY_BELOW:
		wanted->below = text;
		break;
	case KEY_BELOW_NAMESPACE:
		wanted->below_namespace = text;
		break;
	default:
		wanted->zone = text;
	}
}

static void take_interval(struct argp_state *state, struct arguments *arguments, const char *text)
{
	int64_t interval = argument_amount(state, "--interval", text);

	if (interval < BE_UNIT / 10 || interval > 3600 * BE_UNIT)
		argp_error(state, "--interval: '%s': 0.1 to 3600 seconds are possible", text);
	arguments->interval_ms = (int)(interval / (BE_UNIT / 1000));
}

static void take_csv(struct argp_state *state, struct arguments *arguments, const char *text)
{
	arguments->form = FORM_CSV;
	arguments->crlf = text != NULL;
	if (text && strcmp(text, "crlf") != 0)
		argp_error(state, "--csv: '%s': only =crlf may follow", text);
}

static enum form form_of(int key)
{
	switch (key) {
	case KEY_JSON:
		return FORM_JSON;
	case KEY_RAW:
		return FORM_RAW;
	case KEY_PROMETHEUS:
		return FORM_PROMETHEUS;
	case KEY_SVG:
		return FORM_SVG;
	default:
		return FORM_HTML;
	}
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct parser *parser = state->input;
	struct arguments *arguments = parser->arguments;

	note_option(parser, key);
	switch (key) {
	case KEY_NAMESPACE:
	case KEY_CATEGORY:
	case KEY_SINCE:
	case KEY_UNTIL:
	case KEY_MIN:
	case KEY_MAX:
	case KEY_LABEL:
	case KEY_LIMIT:
		take_filter(state, parser, key, text);
		return 0;
	case KEY_BY:
		parser->by = text;
		return 0;
	case KEY_TOP:
	case KEY_BELOW:
	case KEY_BELOW_NAMESPACE:
	case KEY_ZONE:
		take_report(state, arguments, key, text);
		return 0;
	case KEY_JSON:
	case KEY_RAW:
	case KEY_PROMETHEUS:
	case KEY_SVG:
	case KEY_HTML:
		arguments->form = form_of(key);
		arguments->file = text;
		return 0;
	case KEY_CSV:
		take_csv(state, arguments, text);
		return 0;
	case KEY_FOLLOW:
		arguments->follow = true;
		return 0;
	case KEY_WATCH:
		arguments->watch = true;
		return 0;
	case KEY_INTERVAL:
		take_interval(state, arguments, text);
		return 0;
	case KEY_NOHEADINGS:
		arguments->noheadings = true;
		return 0;
	case KEY_OUTPUT:
		parser->columns = text;
		return 0;
	case KEY_SORT:
		parser->sort = text;
		return 0;
	case ARGP_KEY_ARG:
		if (!arguments->environment && !parser->view_given &&
		    !(is_view(text) && argument_usual_environment()))
			arguments->environment = text;
		else if (!parser->view_given)
			take_view(state, parser, text);
		else
			argp_error(state, "one VIEW at a time");
		return 0;
	case ARGP_KEY_END:
		check_combination(state, parser);
		return 0;
	default:
		return argument_help(key, state);
	}
}

static void print_columns_help(FILE *stream)
{
	size_t view, i;

	for (view = 0; view < VIEW_COUNT; view++) {
		const struct fields *fields = views[view].fields;

		for (i = 0; fields && i < fields->count; i++) {
			const struct field *field = &fields->first[i];

			if (i == 0)
				fprintf(stream, "\n%s\n", views[view].name);
			fprintf(stream, " %c %-12s %-20s %s\n", field->on_demand ? ' ' : '*',
				field->heading, field->key, field->help);
		}
	}
}

/* Adds the columns, of which there is one table only, to the help, and leaves out argp's note that
 * long and short options take the same arguments. */
static char *extend_help(int key, const char *text, void *input)
{
	char *extended;
	size_t size;
	FILE *stream;

	(void)input;
	if (key == ARGP_KEY_HELP_DUP_ARGS_NOTE)
		return NULL;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	stream = open_memstream(&extended, &size);
	if (!stream)
		tool_out_of_memory();
	fputs(text, stream);
	print_columns_help(stream);
	if (fclose(stream) != 0)
		tool_out_of_memory();
	return extended;
}

void arguments_parse(int argc, char **argv, struct arguments *arguments)
{
	static const struct argp argp = {options,     parse, "ENVIRONMENT [VIEW]", help, NULL,
					 extend_help, NULL};
	struct parser parser = {.arguments = arguments};

	*arguments = (struct arguments){.now_ns = moment_now_ns(),
					.interval_ms = 1000,
					.filter = BE_FILTER_INIT,
					.report = {.zone = "UTC", .below_namespace = ""}};
	argp_parse(&argp, argc, argv, 0, NULL, &parser);
}
