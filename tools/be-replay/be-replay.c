/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be-replay: would this budget, or these, have held that traffic? Forks workers that replay a trace
 * of LLM requests against an envelope, or all that a file declares, through the library.
 *
 * Everything that can be wrong with the command line, the file, the trace or the prices is found
 * before the environment is touched. An envelope that is there already is used as it stands and
 * never changed.
 */
#include "argument.h"
#include "budgets.h"
#include "clock.h"
#include "complain.h"
#include "cost.h"
#include "hours.h"
#include "log.h"
#include "pool.h"
#include "price.h"
#include "report.h"
#include "tool.h"
#include "trace.h"

#include <argp.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *argp_program_version = TOOL_VERSION("be-replay");

/* An exit status beside those of every tool (tool.h), as shells have it for what SIGINT ended. */
#define EXIT_INTERRUPTED 130

struct settings {
	const char *directory;
	const char *trace;       /* NULL: the built-in one */
	const char *columns;     /* what they are called in it; NULL: as usual */
	const char *prices_file; /* NULL: all models cost the same */
	const char *apply;       /* the file that declares envelopes; NULL: there is one */
	const char *namespace_name;
	const char *category; /* NULL: not given */
	unsigned int workers;
	struct prices prices;
	int64_t limit;      /* 0: not given */
	int64_t max_output; /* -1: the trace's largest */
	enum be_period period;
	bool period_given;
	enum be_durability durability;
	double speed;
	bool json;
};

enum replay_option {
	KEY_TRACE = 't',
	KEY_WORKERS = 'w',
	KEY_LIMIT = 'l',
	KEY_PERIOD = 'p',
	KEY_NAMESPACE = 'n',
	KEY_CATEGORY = 'c',
	KEY_SPEED = 's',
	KEY_JSON = 'j',
	KEY_PRICE_IN = 256,
	KEY_PRICE_OUT,
	KEY_MAX_OUTPUT,
	KEY_DURABILITY,
	KEY_COLUMNS,
	KEY_PRICES,
	KEY_APPLY,
};

static const struct argp_option options[] = {
	ARGUMENT_HELP_OPTION,
	{"trace", KEY_TRACE, "FILE", 0,
	 "CSV whose first line names the columns, or JSON, one object in a line, with OpenAI's or "
	 "Anthropic's usage, or LiteLLM's spend logs; - is standard input (default: 2000 made-up "
	 "requests over an hour)",
	 0},
	{"columns", KEY_COLUMNS, "NAMES", 0,
	 "What columns or members are called, as in time=when,input=tokens_in; also output, "
	 "cached, written, model and cost, and with --apply namespace and category (default: their "
	 "usual names)",
	 0},
	{"apply", KEY_APPLY, "FILE", 0,
	 "Charge the envelopes that FILE declares, as be-ctl apply has it, each request to the one "
	 "that its namespace and category name, as in --columns category=model,namespace=customer",
	 0},
	{"prices", KEY_PRICES, "FILE", 0,
	 "CSV of model,input,output[,cached[,written]]: what a million tokens of each kind cost, "
	 "which goes before costs that the trace has, but for those without tokens",
	 0},
	{"workers", KEY_WORKERS, "N", 0, "Worker processes, 1 to 1000 (default 4)", 0},
	{"price-in", KEY_PRICE_IN, "AMOUNT", 0, "Price of a million input tokens (default 3)", 0},
	{"price-out", KEY_PRICE_OUT, "AMOUNT", 0, "Price of a million output tokens (default 15)",
	 0},
	{"max-output", KEY_MAX_OUTPUT, "TOKENS", 0,
	 "Output tokens that a worker reserves for before it knows (default: the largest output of "
	 "the "
	 "trace, with which spending never passes the limit)",
	 0},
	{"limit", KEY_LIMIT, "AMOUNT", 0, "The budget (default: the existing envelope's, else 100)",
	 0},
	{"period", KEY_PERIOD, "PERIOD", 0,
	 "total, hourly, daily, weekly or monthly (default: the existing envelope's, else total)",
	 0},
	{"namespace", KEY_NAMESPACE, "NAME", 0,
	 "Namespace of the envelope (default: the empty one); with --apply of requests that name "
	 "none",
	 0},
	{"category", KEY_CATEGORY, "NAME", 0,
	 "Category of the envelope (default llm); with --apply of requests that name none, or one "
	 "that is not declared",
	 0},
	{"speed", KEY_SPEED, "FACTOR", 0,
	 "1 is real time, 60 is sixty times faster, 0 is as fast as possible (default 0)", 0},
	{"durability", KEY_DURABILITY, "MODE", 0, "full or process (default full)", 0},
	{"json", KEY_JSON, NULL, 0, "Print the summary as JSON", 0},
	{0},
};

static const char doc[] =
	"Replays a trace of LLM requests against a budget, or against all that a file declares, "
	"and "
	"says whether it would have held.\v"
	"DIR is the environment, created when missing. Each worker takes the next request of the "
	"trace, "
	"reserves its estimate, runs it (which takes no time here) and settles what it really "
	"cost. "
	"What a refused request would have cost is counted.\n\n"
	"The enforcer's clock follows the trace: an hourly budget starts anew after each hour of "
	"the trace, "
	"counted from its first request. be-inspect goes by the machine's clock, and shows the "
	"windows of "
	"an old trace as over. An envelope that exists is used with what it has spent and is "
	"never changed; a --limit or --period that differs from it is an error, and so is an "
	"--apply "
	"file that does. With --apply the summary tells what each envelope would have refused, and "
	"in which hour.\n\n"
	"Exit status: 0 done, whatever the answer; 2 wrong usage; 3 a fault, or a worker that "
	"died; "
	"130 ended by SIGINT, SIGTERM or SIGHUP, with a summary of what was done.";

static double parse_speed(struct argp_state *state, const char *text)
{
	char *end = NULL;
	double speed = 0;
	size_t length = strspn(text, "0123456789.");

	if (length > 0 && text[length] == '\0')
		speed = strtod(text, &end);
	if (!end || *end || speed > 1e6)
		argument_refuse(state, "--speed", text, "a number from 0 to 1000000 is needed");
	return speed;
}

/* What goes with what. */
static void check_together(struct argp_state *state, const struct settings *settings)
{
	if (!settings->directory)
		argp_error(state, "no DIR given");
	if (settings->apply && (settings->limit || settings->period_given))
		argp_error(state, "--apply: limits and periods are those of the file; leave out "
				  "--limit and --period");
	if (settings->apply && settings->trace && strcmp(settings->apply, "-") == 0 &&
	    strcmp(settings->trace, "-") == 0)
		argp_error(state, "--apply and --trace cannot both be standard input");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct settings *settings = state->input;

	switch (key) {
	case KEY_TRACE:
		settings->trace = text;
		break;
	case KEY_COLUMNS:
		settings->columns = text;
		if (log_columns_fault(text))
			argument_refuse(
				state, "--columns", log_columns_fault(text),
				"NAME=COLUMN is needed, and the names are time, input, output, "
				"cached, written, model, cost, namespace and category");
		break;
	case KEY_PRICES:
		settings->prices_file = text;
		break;
	case KEY_APPLY:
		settings->apply = text;
		break;
	case KEY_WORKERS:
		settings->workers = (unsigned int)argument_count(state, "--workers", text, 1, 1000);
		break;
	case KEY_PRICE_IN:
		settings->prices.input = argument_amount(state, "--price-in", text);
		break;
	case KEY_PRICE_OUT:
		settings->prices.output = argument_amount(state, "--price-out", text);
		break;
	case KEY_MAX_OUTPUT:
		settings->max_output =
			(int64_t)argument_count(state, "--max-output", text, 0, TRACE_TOKENS_MAX);
		break;
	case KEY_LIMIT:
		settings->limit = argument_amount(state, "--limit", text);
		if (settings->limit == 0)
			argp_error(state, "--limit: it must be more than 0");
		break;
	case KEY_PERIOD:
		settings->period = argument_period(state, "--period", text);
		settings->period_given = true;
		break;
	case KEY_NAMESPACE:
		settings->namespace_name = text;
		break;
	case KEY_CATEGORY:
		settings->category = text;
		break;
	case KEY_SPEED:
		settings->speed = parse_speed(state, text);
		break;
	case KEY_DURABILITY:
		settings->durability = argument_durability(state, "--durability", text);
		break;
	case KEY_JSON:
		settings->json = true;
		break;
	case ARGP_KEY_ARG:
		if (settings->directory)
			argument_refuse(state, "DIR", text, "there is one already");
		settings->directory = text;
		break;
	case ARGP_KEY_END:
		check_together(state, settings);
		break;
	default:
		return argument_help(key, state);
	}
	return 0;
}

/* What messages call the trace. */
static const char *trace_name(const struct settings *settings)
{
	if (!settings->trace)
		return "built-in trace";
	return strcmp(settings->trace, "-") == 0 ? "standard input" : settings->trace;
}

/* Says what is wrong with a line of the trace, or with all of it when `line` is 0. */
static bool trace_fault(const struct settings *settings, size_t line, const char *sentence)
{
	char subject[PATH_MAX + 32];

	if (line)
		snprintf(subject, sizeof subject, "%s:%zu", trace_name(settings), line);
	else
		snprintf(subject, sizeof subject, "%s", trace_name(settings));
	complain(subject, sentence);
	return false;
}

static bool load_trace(const struct settings *settings, struct budgets *budgets,
		       struct trace *trace)
{
	const struct log_options log_options = {
		.columns = settings->columns,
		.choose = budgets->file ? budgets_choose : NULL,
		.context = budgets,
	};
	struct file_problem problem;
	bool loaded;

	if (settings->trace) {
		loaded = log_read(settings->trace, &log_options, trace, &problem);
	} else {
		if (!trace_builtin(trace))
			tool_out_of_memory();
		loaded = log_choose_for_all(&log_options, trace, &problem);
	}
	if (!loaded)
		return trace_fault(settings, problem.line, problem.text);
	trace_sort(trace);
	return true;
}

/* Says what is wrong with the file of prices. */
static bool price_fault(const struct settings *settings, size_t line, const char *sentence)
{
	char subject[PATH_MAX + 32];

	snprintf(subject, sizeof subject, line ? "%s:%zu" : "%s", settings->prices_file, line);
	complain(subject, sentence);
	return false;
}

/* The prices of each model of the trace; none where there is no file of them. */
static bool load_prices(const struct settings *settings, const struct trace *trace,
			struct price_list **list, const struct prices ***of_model)
{
	char sentence[512];
	struct file_problem problem;
	size_t models = trace->model_count;

	if (!settings->prices_file)
		return true;
	*list = price_list_read(settings->prices_file, &problem);
	if (!*list)
		return price_fault(settings, problem.line, problem.text);
	*of_model = calloc(models + 1, sizeof **of_model);
	if (!*of_model)
		tool_out_of_memory();
	for (size_t i = 0; i < models || i == 0; i++) {
		const char *model = i < models ? trace->models[i] : "";

		(*of_model)[i] = price_list_find(*list, model);
		if ((*of_model)[i])
			continue;
		snprintf(sentence, sizeof sentence,
			 "no prices of the model '%s', nor of *, which is all others", model);
		return price_fault(settings, 0, sentence);
	}
	return true;
}

static bool work_out_costs(const struct settings *settings, const struct trace *trace,
			   struct costs *costs)
{
	int64_t max_output =
		settings->max_output >= 0 ? settings->max_output : costs_largest_output(trace);
	const struct prices **of_model = NULL;
	struct price_list *list = NULL;
	size_t line = 0;
	bool loaded = load_prices(settings, trace, &list, &of_model);
	bool worked_out = loaded && costs_of_trace(trace, &settings->prices, of_model, max_output,
						   costs, &line);

	free(of_model);
	price_list_free(list);
	if (worked_out || !loaded)
		return worked_out;
	if (!line)
		tool_out_of_memory();
	return trace_fault(settings, line,
			   "at these prices the costs up to here are more than an amount "
			   "can hold (9223372036.854775807)");
}

static bool fault(const char *directory, enum be_status status)
{
	const char *details = be_last_error();

	complain(directory, *details ? details : be_status_text(status));
	return false;
}

/* Makes the envelope unless it is there, and reads it. False when it is not the one asked for. */
static bool prepare_envelope(const struct settings *settings, struct be_enforcer *handle,
			     struct budget *budget)
{
	int64_t limit = settings->limit ? settings->limit : 100 * BE_UNIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status =
		be_envelope_ensure(handle, budget->category, limit, settings->period, NULL);
	char text[BE_AMOUNT_TEXT_SIZE], sentence[512];

	if (status != BE_OK)
		return fault(settings->directory, status);
	status = be_utilization(handle, budget->category, &envelope);
	if (status != BE_OK)
		return fault(settings->directory, status);
	budget->limit = envelope.limit;
	budget->period = envelope.period;
	budget->spent_before = envelope.spent;
	if ((!settings->limit || envelope.limit == limit) &&
	    (!settings->period_given || envelope.period == settings->period))
		return true;
	status = be_amount_format(envelope.limit, text, sizeof text);
	if (status != BE_OK)
		return fault(settings->directory, status);
	snprintf(sentence, sizeof sentence,
		 "the envelope '%s' exists with limit %s and period %s, and be-replay never "
		 "changes it; leave "
		 "out --limit and --period to use it as it is, or name another DIR, --category or "
		 "--namespace",
		 budget->category, text, be_period_name(envelope.period));
	complain(settings->directory, sentence);
	return false;
}

/* Replays and reports, with everything prepared. */
static int replay(const struct settings *settings, const struct pool_plan *plan)
{
	struct pool_result result;
	struct report report = {
		.result = &result,
		.requests = plan->trace->count,
		.rounded = plan->costs->rounded,
		.above = plan->costs->above,
		.budgets = plan->budgets,
	};

	pool_run(plan, &result);
	report.hours = hours_of(plan->trace, plan->costs, plan->verdicts, &report.hour_count);
	report.shares = shares_of(plan->trace, plan->costs, plan->verdicts, plan->budgets);
	report.refusals =
		refusals_of(plan->trace, plan->costs, plan->verdicts, &report.refusal_count);
	if (!report.hours || !report.shares || !report.refusals)
		tool_out_of_memory();
	if (result.failed) {
		/* What a killed worker had reserved would otherwise stay until somebody needs
		 * it. */
		enum be_status status = be_reap(plan->handle, NULL);

		if (status != BE_OK)
			fault(settings->directory, status);
	}
	report_print(&report, settings->json);
	free(report.hours);
	free(report.shares);
	free(report.refusals);
	tool_close_output();
	if (result.interrupted)
		return EXIT_INTERRUPTED;
	return result.failed ? TOOL_EXIT_FAULT : EXIT_SUCCESS;
}

/* Opens the environment and replays a trace whose costs are known. */
static int run(const struct settings *settings, struct budgets *budgets, const struct trace *trace,
	       const struct costs *costs)
{
	struct be_options open_options = BE_OPTIONS_INIT;
	struct be_enforcer *handle = NULL;
	int64_t begin_ns = trace->requests[0].at_ns;
	struct clock *clock = clock_create(begin_ns, settings->speed);
	int exit_status = TOOL_EXIT_FAULT;
	struct verdict *verdicts = mmap(NULL, trace->count * sizeof *verdicts,
					PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enum be_status status;

	if (!clock || verdicts == MAP_FAILED)
		tool_out_of_memory();
	open_options.namespace_name = settings->namespace_name;
	open_options.durability = settings->durability;
	open_options.now = clock_now;
	open_options.now_context = clock;
	status = be_open(settings->directory, &open_options, &handle);
	if (status != BE_OK) {
		fault(settings->directory, status);
		return TOOL_EXIT_FAULT;
	}
	if (budgets->file ? budgets_make(budgets, handle, settings->directory, begin_ns)
			  : prepare_envelope(settings, handle, budgets->of)) {
		const struct pool_plan plan = {
			.handle = handle,
			.budgets = budgets,
			.trace = trace,
			.costs = costs,
			.clock = clock,
			.workers = settings->workers,
			.verdicts = verdicts,
			.progress = isatty(STDERR_FILENO) == 1,
		};

		exit_status = replay(settings, &plan);
	}
	be_close(handle);
	return exit_status;
}

int main(int argc, char **argv)
{
	const struct argp argp = {options, parse_option, "DIR", doc, NULL, NULL, NULL};
	struct settings settings = {
		.workers = 4,
		.prices = {.input = 3 * BE_UNIT, .output = 15 * BE_UNIT},
		.max_output = -1,
		.period = BE_PERIOD_TOTAL,
	};
	struct budget one = {.parent = BUDGET_NONE};
	static struct budgets budgets; /* kept until the process ends */
	struct trace trace;
	struct costs costs;
	int exit_status;

	tool_start();
	/* Numbers have a point in every language, as amounts do. */
	setlocale(LC_NUMERIC, "C");
	if (argp_parse(&argp, argc, argv, 0, NULL, &settings) != 0)
		return TOOL_EXIT_USAGE;
	/* Without a price of their own, tokens cost what those that go in cost. */
	settings.prices.cached = settings.prices.written = settings.prices.input;
	one.category = settings.category ? settings.category : "llm";
	budgets.of = &one;
	budgets.count = 1;
	budgets.file = settings.apply;
	budgets.namespace_name = settings.namespace_name;
	budgets.category = settings.category;
	exit_status = settings.apply ? budgets_read(&budgets) : 0;
	if (exit_status != 0)
		return exit_status;
	exit_status = TOOL_EXIT_FAULT;
	if (!load_trace(&settings, &budgets, &trace))
		return exit_status;
	if (work_out_costs(&settings, &trace, &costs)) {
		exit_status = run(&settings, &budgets, &trace, &costs);
		costs_free(&costs);
	}
	trace_free(&trace);
	return exit_status;
}
