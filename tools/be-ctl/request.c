/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a verb. There is one table of options; each verb takes some of them, and has
 * a help of its own that shows those only.
 */
#include "request.h"

#include "answer.h"
#include "argument.h"
#include "moment.h"
#include "tool.h"

#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define KEY_FIRST 256
#define NS_PER_MS INT64_C(1000000)
#define DEFAULT_TTL_MS UINT64_C(3600000)

static const struct {
	const char *name;
	const char *value; /* NULL: it has none */
	const char *help;
} options[OPTION_COUNT] = {
	[OPTION_NAMESPACE] = {"namespace", "NAME",
			      "The namespace of the envelope (default: the empty one)"},
	[OPTION_CATEGORY] = {"category", "NAME", "The category of the envelope"},
	[OPTION_ALSO] =
		{"also", "NAME",
		 "The category of a further envelope that it is charged to as well, with its "
		 "ancestors: in all of them, or in none; up to 15 times"},
	[OPTION_LIMIT] = {"limit", "AMOUNT", "What may be spent in one window"},
	[OPTION_PERIOD] =
		{"period", "PERIOD",
		 "How long a window is: hourly, daily, weekly, monthly (30 days, or with --zone a "
		 "month), quarterly, yearly (both by a calendar) or total, which never ends "
		 "(default)"},
	[OPTION_PARENT] = {"parent", "NAME",
			   "The category of an envelope that limits this one, too"},
	[OPTION_PARENT_NAMESPACE] =
		{"parent-namespace", "NAME",
		 "The namespace of that one (default: the same as --namespace)"},
	[OPTION_NO_PARENT] = {"no-parent", NULL, "None limits it but itself"},
	[OPTION_TO] = {"to", "NAME", "The category that it has from then on"},
	[OPTION_TO_NAMESPACE] = {"to-namespace", "NAME",
				 "And the namespace (default: the same as before)"},
	[OPTION_SUSPENDED] = {"suspended", NULL, "Begin suspended"},
	[OPTION_START] =
		{"start", "TIME",
		 "A moment at which a window began, to align windows with it: 2023-11-16, "
		 "'2023-11-16 18:15:46', @SECONDS or 30m, 1h, 7d ago; in UTC (default: now)"},
	[OPTION_ZONE] =
		{"zone", "ZONE",
		 "Windows follow the calendar of this time zone, with its summer time: UTC, or "
		 "Europe/Berlin"},
	[OPTION_BEGINS_ON] =
		{"begins-on", "DAY",
		 "With --zone: weeks begin on this day, monday (default) to sunday; months on the "
		 "1st (default) to the 31st, or on their last day where that is earlier"},
	[OPTION_ROLL_OVER] =
		{"roll-over", "AMOUNT",
		 "What a window leaves over is added to the next, up to this; 0 for nothing"},
	[OPTION_OBSERVE_ONLY] = {"observe-only", NULL,
				 "Refuse nothing for lack of budget, but count what would be"},
	[OPTION_ENFORCE] = {"enforce", NULL, "Refuse again what exceeds the budget"},
	[OPTION_RAISE] = {"raise", "AMOUNT",
			  "Let so much more than the limit be spent until --until; 0 ends that"},
	[OPTION_UNTIL] =
		{"until", "MOMENT",
		 "When the raise ends: 2023-11-16, '2023-11-16 18:15:46' or @SECONDS in UTC, or "
		 "90m, 8h, 3d from now"},
	[OPTION_THRESHOLDS] =
		{"thresholds", "PERCENTS",
		 "Give an alert when what is spent comes to 50,80,100 per cent of the limit: up to "
		 "8 of them, or none"},
	[OPTION_RELEASE] = {"release", NULL,
			    "Suspend the envelopes, and release what is committed, first"},
	[OPTION_KEEP_WINDOW] = {"keep-window", NULL, "The window ends when it was to end"},
	[OPTION_AMOUNT] = {"amount", "AMOUNT", "How much, in decimal digits: 0.40"},
	[OPTION_LEAST] = {"least", "AMOUNT",
			  "When that is not available, as much as is will do, but not less than "
			  "this; what was granted is printed behind the id"},
	[OPTION_TOKENS] =
		{"tokens", "TOKENS",
		 "In place of an amount: 1200@2.50 is what 1200 tokens cost at 2.50 for a million "
		 "of them; with --prices 1200@input, output, cached or written at what such tokens "
		 "cost; may be given several times, and the sum is rounded up once"},
	[OPTION_ANSWER] = {"answer", "FILE",
			   "In place of an amount: what the model's answer in FILE (JSON; - is "
			   "standard input) says it used, at --prices"},
	[OPTION_PRICES] = {"prices", "FILE",
			   "What a million tokens cost, a model a line: "
			   "model,input,output[,cached[,written]]; * is all others"},
	[OPTION_MODEL] = {"model", "NAME",
			  "The model whose prices count (default: the one that the answer names)"},
	[OPTION_ESTIMATE] = {"estimate", "AMOUNT",
			     "What the command will cost at most: this is reserved"},
	[OPTION_DESCRIPTION] = {"description", "TEXT", "A note for the ledger"},
	[OPTION_LABEL] =
		{"label", "KEY=VALUE",
		 "For what, or for whom, it is, such as customer=acme: listings and reports go by "
		 "labels. Up to 8 times; those of a commit are those of its charges, too"},
	[OPTION_KEY] =
		{"key", "TEXT",
		 "Names this one request, so that it may be sent again: within a day it is carried "
		 "out once, and answered alike afterwards"},
	[OPTION_TTL] = {"ttl", "DURATION",
			"How long from now the amount is held when nobody ends the commit: 90s, "
			"30m, 1h, 7d, "
			"2w, or none for ever (default: 1h; of run none)"},
	[OPTION_WAIT] = {"wait", "DURATION",
			 "When the money is not there, wait for it so long, first come, first "
			 "served: 90s, 30m, 1h; window: until the window ends; or forever"},
	[OPTION_CHARGE_WHEN_REAPED] =
		{"charge-when-reaped", NULL,
		 "When that time is over, charge the amount rather than free it"},
	[OPTION_COST_FD] =
		{"cost-fd", "N",
		 "The command writes what it has really cost to its file descriptor N, 3 or more, "
		 "one number a line"},
	[OPTION_COST_FILE] =
		{"cost-file", "FILE",
		 "The command writes what it has really cost into FILE, which is emptied before "
		 "it is run"},
	[OPTION_CHARGE_ON_FAILURE] = {"charge-on-failure", NULL,
				      "Charge the estimate also when the command fails without "
				      "having told its cost, and "
				      "when be-ctl is killed"},
	[OPTION_DEATH_SIGNAL] =
		{"death-signal", "SIGNAL",
		 "What the command gets when be-ctl is killed: TERM (default), KILL or none"},
	[OPTION_EXEC] = {"exec", "COMMAND",
			 "What the shell runs for each alert, which it gets as JSON on standard "
			 "input"},
	[OPTION_ONCE] = {"once", NULL, "End when there is no alert left"},
	[OPTION_HEARTBEAT] = {"heartbeat", NULL,
			      "Extend the reservation by --ttl while the command runs"},
	[OPTION_TIMEOUT] =
		{"timeout", "DURATION",
		 "Send the command SIGTERM when it has run so long, and SIGKILL 10 seconds later"},
	[OPTION_BEFORE] =
		{"before", "TIME",
		 "Remove what was charged or ended before that: 2023-11-16, '2023-11-16 18:15:46', "
		 "@SECONDS, or so long ago: 30d, 8w"},
	[OPTION_SUMS_BEFORE] = {"sums-before", "TIME",
				"Remove daily sums, too: of days (UTC) that had ended by then"},
	[OPTION_ARCHIVE] =
		{"archive", "FILE",
		 "Before anything is removed, write the transactions to FILE, which must not "
		 "exist, as be-inspect transactions --csv does"},
	[OPTION_WARN] = {"warn", "PERCENT",
			 "For monitoring: exit status 1 when so much of a limit is used, 80%"},
	[OPTION_CRITICAL] = {"critical", "PERCENT", "The same for exit status 2"},
	[OPTION_ALL] = {"all", NULL,
			"All envelopes, of --namespace or --category where these are given"},
	[OPTION_DRY_RUN] = {"dry-run", NULL, "Show what would be done, and do nothing"},
	[OPTION_WHOLE] = {"whole", NULL,
			  "With all that was spent, held and charged; TARGET must be empty"},
	[OPTION_PRUNE] =
		{"prune", NULL,
		 "Remove the envelopes that FILE does not declare, in those namespaces of which it "
		 "declares some"},
	[OPTION_DURABILITY] =
		{"durability", "HOW",
		 "What changes survive: full (default) or process, the same as the pool that "
		 "has the environment open"},
	[OPTION_MODE] =
		{"mode", "OCTAL",
		 "Permissions of the files when the environment has to be made (default: 600); 660 "
		 "shares it with the group"},
	[OPTION_JSON] =
		{"json", NULL,
		 "Answer with one JSON document; amounts are strings, exact to the last digit"},
};

static const char *const operand_texts[] = {
	[OPERANDS_NONE] = "ENVIRONMENT",
	[OPERANDS_ID] = "ENVIRONMENT ID",
	[OPERANDS_ID_AMOUNT] = "ENVIRONMENT ID AMOUNT", /* or --tokens */
	[OPERANDS_ID_MAY_AMOUNT] = "ENVIRONMENT ID [AMOUNT]",
	[OPERANDS_MAY_AMOUNT] = "ENVIRONMENT [AMOUNT]", /* or --amount, or --tokens */
	[OPERANDS_MAY_LIMIT] = "ENVIRONMENT [LIMIT]",   /* or --limit */
	[OPERANDS_FILE] = "ENVIRONMENT FILE",
	[OPERANDS_TARGET] = "ENVIRONMENT TARGET",
	[OPERANDS_COMMAND] = "ENVIRONMENT -- COMMAND [ARGUMENT...]",
};

/* ---- values */

static uint32_t parse_mode(const struct argp_state *state, const char *text)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (*text < '0' || *text > '7' || *end || mode & ~0666UL || (mode & 0600) != 0600 ||
	    (mode & 0222) << 1 != (mode & 0444))
		argument_refuse(state, "--mode", text,
				"600, 660 (for the directory's group) or 666 is needed: a user "
				"who may read an environment must be able to write, since "
				"readers write to lock.mdb, too");
	return (uint32_t)mode;
}

static uint64_t parse_timeout(const struct argp_state *state, const char *text)
{
	int64_t timeout_ns = argument_duration(state, "--timeout", text);

	if (timeout_ns < NS_PER_MS)
		argument_refuse(state, "--timeout", text, "the command would end at once");
	return (uint64_t)(timeout_ns / NS_PER_MS);
}

static uint64_t parse_ttl(const struct argp_state *state, const char *text)
{
	int64_t ttl_ns;

	if (strcmp(text, "none") == 0)
		return 0;
	ttl_ns = argument_duration(state, "--ttl", text);
	/* The library takes 0 for no deadline. */
	if (ttl_ns == 0)
		argument_refuse(state, "--ttl", text, "it would have expired at once");
	return (uint64_t)(ttl_ns / NS_PER_MS);
}

static int64_t parse_wait(const struct argp_state *state, const char *text)
{
	if (strcmp(text, "window") == 0)
		return BE_WAIT_WINDOW;
	if (strcmp(text, "forever") == 0)
		return BE_WAIT_FOREVER;
	return argument_duration(state, "--wait", text) / NS_PER_MS;
}

static int64_t parse_limit(const struct argp_state *state, const char *option, const char *text)
{
	int64_t limit = argument_amount(state, option, text);

	if (limit == 0)
		argument_refuse(state, option, text,
				"a limit must be more than 0; be-ctl suspend stops an envelope");
	return limit;
}

/* A day of the week by its name, or of the month. */
static uint32_t parse_day(const struct argp_state *state, const char *text)
{
	static const char *const days[] = {"monday", "tuesday",  "wednesday", "thursday",
					   "friday", "saturday", "sunday"};

	for (uint32_t i = 0; i < 7; i++)
		if (strcasecmp(text, days[i]) == 0)
			return i + 1;
	return (uint32_t)argument_count(state, "--begins-on", text, 1, 31);
}

/* A moment, or a duration from now. A time of day is the next one. */
static int64_t parse_until(const struct argp_state *state, const char *text)
{
	int64_t now_ns = moment_now_ns(), duration_ns, until_ns;

	if (!duration_parse(text, &duration_ns)) {
		until_ns = argument_moment(state, "--until", text, now_ns);
		return strchr(text, ':') && !strchr(text, '-') && until_ns <= now_ns
			       ? until_ns + 86400 * BE_UNIT
			       : until_ns;
	}
	if (__builtin_add_overflow(now_ns, duration_ns, &until_ns))
		argument_refuse(state, "--until", text, "that is after the year 2262");
	return until_ns;
}

/* "80%", in millionths. */
static int64_t parse_percent(const struct argp_state *state, const char *option, const char *text)
{
	size_t size = strcspn(text, "%");
	char *number = strndup(text, size);
	int64_t percent = 0;

	if (!number)
		tool_out_of_memory();
	if (strcmp(text + size, "%") != 0 || be_amount_parse(number, &percent) != BE_OK ||
	    percent < BE_UNIT / 10000 || percent > 1000000 * BE_UNIT)
		argument_refuse(state, option, text,
				"a percentage of the limit is needed: 80%, 99.5%");
	free(number);
	return percent / (BE_UNIT / 10000);
}

/* "50,80,100", or "none". */
static void parse_thresholds(const struct argp_state *state, const char *text, uint16_t *thresholds)
{
	size_t count = 0;

	memset(thresholds, 0, BE_THRESHOLDS_MAX * sizeof *thresholds);
	if (strcmp(text, "none") == 0)
		return;
	for (const char *at = text;; at++) {
		char digits[8] = "";
		size_t size = strcspn(at, ",");

		memcpy(digits, at, size < sizeof digits ? size : sizeof digits - 1);
		if (count == BE_THRESHOLDS_MAX)
			argument_refuse(state, "--thresholds", text,
					"there may be 8 of them at most");
		thresholds[count] = (uint16_t)argument_count(state, "--thresholds", digits, 1,
							     BE_THRESHOLD_MAX);
		if (count > 0 && thresholds[count] <= thresholds[count - 1])
			argument_refuse(state, "--thresholds", text,
					"each must be more than the one before: 50,80,100");
		count++;
		at += size;
		if (*at == '\0')
			break;
	}
}

static int parse_death_signal(const struct argp_state *state, const char *text)
{
	if (strcmp(text, "TERM") == 0)
		return SIGTERM;
	if (strcmp(text, "KILL") == 0)
		return SIGKILL;
	if (strcmp(text, "none") != 0)
		argument_refuse(state, "--death-signal", text, "it is TERM, KILL or none");
	return 0;
}

static void take_also(const struct argp_state *state, const char *text, struct request *request)
{
	if (request->also_count == BE_ENVELOPES_MAX - 1)
		argument_refuse(state, "--also", text, "15 further envelopes are the most");
	request->also[request->also_count++].category = text;
}

static void take_label(const struct argp_state *state, const char *text, struct request *request)
{
	struct be_label *label = &request->labels[request->label_count];
	const char *fault;

	if (request->label_count == BE_LABELS_MAX)
		argument_refuse(state, "--label", text, "8 labels are the most");
	fault = argument_label(text, label);
	if (!fault && !label->value)
		fault = "a value is needed: KEY=VALUE";
	if (fault)
		argument_refuse(state, "--label", text, fault);
	request->label_count++;
}

static void take_amount(const struct argp_state *state, const char *option, const char *text,
			struct request *request)
{
	request->amount = argument_amount(state, option, text);
	request->has_amount = true;
}

/* The flag that an option without a value turns on; NULL for all others. */
static bool *flag_of(enum request_option option, struct request *request)
{
	switch (option) {
	case OPTION_OBSERVE_ONLY:
		return &request->observe_only;
	case OPTION_ENFORCE:
		return &request->enforce;
	case OPTION_KEEP_WINDOW:
		return &request->keep_window;
	case OPTION_RELEASE:
		return &request->release;
	case OPTION_SUSPENDED:
		return &request->suspended;
	case OPTION_CHARGE_WHEN_REAPED:
		return &request->charge_when_reaped;
	case OPTION_CHARGE_ON_FAILURE:
		return &request->charge_on_failure;
	case OPTION_ONCE:
		return &request->once;
	case OPTION_DRY_RUN:
		return &request->dry_run;
	case OPTION_WHOLE:
		return &request->whole;
	case OPTION_PRUNE:
		return &request->prune;
	case OPTION_NO_PARENT:
		return &request->no_parent;
	case OPTION_ALL:
		return &request->all;
	case OPTION_HEARTBEAT:
		return &request->heartbeat;
	case OPTION_JSON:
		return &request->json;
	default:
		return NULL;
	}
}

/* What an envelope is set to, beside its limit and period, and what is watched of it. */
static void take_setting(const struct argp_state *state, enum request_option option,
			 const char *text, struct request *request)
{
	switch (option) {
	case OPTION_PARENT:
		request->parent_category = text;
		break;
	case OPTION_PARENT_NAMESPACE:
		request->parent_namespace = text;
		break;
	case OPTION_START:
		request->start_ns = argument_moment(state, "--start", text, moment_now_ns());
		break;
	case OPTION_ZONE:
		request->zone = text;
		break;
	case OPTION_BEGINS_ON:
		request->begins_on = parse_day(state, text);
		break;
	case OPTION_ROLL_OVER:
		request->roll_over = argument_amount(state, "--roll-over", text);
		break;
	case OPTION_TIMEOUT:
		request->timeout_ms = parse_timeout(state, text);
		break;
	case OPTION_RAISE:
		request->raise = argument_amount(state, "--raise", text);
		break;
	case OPTION_UNTIL:
		request->until_ns = parse_until(state, text);
		break;
	case OPTION_WARN:
		request->warn_ppm = parse_percent(state, "--warn", text);
		break;
	case OPTION_CRITICAL:
		request->critical_ppm = parse_percent(state, "--critical", text);
		break;
	case OPTION_EXEC:
		request->exec = text;
		break;
	case OPTION_SUMS_BEFORE:
		request->sums_before_ns =
			argument_moment(state, "--sums-before", text, moment_now_ns());
		break;
	case OPTION_ARCHIVE:
		request->archive = text;
		break;
	case OPTION_TO:
		request->new_category = text;
		break;
	case OPTION_TO_NAMESPACE:
		request->new_namespace = text;
		break;
	case OPTION_DEATH_SIGNAL:
		request->death_signal = parse_death_signal(state, text);
		break;
	case OPTION_THRESHOLDS:
		parse_thresholds(state, text, request->thresholds);
		break;
	default:
		break;
	}
}

/* How long something is to take. */
static void take_duration(const struct argp_state *state, enum request_option option,
			  const char *text, struct request *request)
{
	if (option == OPTION_TTL)
		request->ttl_ms = parse_ttl(state, text);
	else
		request->wait_ms = parse_wait(state, text);
}

/* An amount in tokens. */
static void take_tokens(const struct argp_state *state, enum request_option option,
			const char *text, struct request *request)
{
	struct tokens *tokens = &request->tokens;

	if ((option == OPTION_PRICES && tokens->prices) ||
	    (option == OPTION_MODEL && tokens->model) ||
	    (option == OPTION_ANSWER && tokens->answer))
		argp_error(state, "--%s is given twice", options[option].name);
	if (option == OPTION_PRICES)
		tokens->prices = text;
	else if (option == OPTION_MODEL)
		tokens->model = text;
	else if (option == OPTION_ANSWER)
		tokens->answer = text;
	else
		tokens_take(state, text, tokens);
	request->has_amount |= option == OPTION_TOKENS || option == OPTION_ANSWER;
}

static void take_option(struct argp_state *state, enum request_option option, const char *text,
			struct request *request)
{
	bool *flag = flag_of(option, request);

	request->given |= UINT64_C(1) << option;
	if (flag)
		*flag = true;
	switch (option) {
	case OPTION_NAMESPACE:
		request->namespace_name = text;
		break;
	case OPTION_CATEGORY:
		request->category = text;
		break;
	case OPTION_LIMIT:
		request->limit = parse_limit(state, "--limit", text);
		break;
	case OPTION_PERIOD:
		request->period = argument_period(state, "--period", text);
		break;
	case OPTION_AMOUNT:
		take_amount(state, "--amount", text, request);
		break;
	case OPTION_ESTIMATE:
		take_amount(state, "--estimate", text, request);
		break;
	case OPTION_LEAST:
		request->least = argument_amount(state, "--least", text);
		break;
	case OPTION_TOKENS:
	case OPTION_ANSWER:
	case OPTION_PRICES:
	case OPTION_MODEL:
		take_tokens(state, option, text, request);
		break;
	case OPTION_DESCRIPTION:
		request->description = text;
		break;
	case OPTION_ALSO:
		take_also(state, text, request);
		break;
	case OPTION_LABEL:
		take_label(state, text, request);
		break;
	case OPTION_KEY:
		request->key = text;
		break;
	case OPTION_TTL:
	case OPTION_WAIT:
		take_duration(state, option, text, request);
		break;
	case OPTION_COST_FD:
		request->cost_fd = (int)argument_count(state, "--cost-fd", text, 3, 1023);
		break;
	case OPTION_COST_FILE:
		request->cost_file = text;
		break;
	case OPTION_BEFORE:
		request->before_ns = argument_moment(state, "--before", text, moment_now_ns());
		break;
	case OPTION_DURABILITY:
		request->durability = argument_durability(state, "--durability", text);
		break;
	case OPTION_MODE:
		request->mode = parse_mode(state, text);
		break;
	default:
		take_setting(state, option, text, request);
		break;
	}
}

/* ---- operands */

#define OPERANDS_MAX 3

struct request_parser {
	struct request *request;
	const char *usual_environment; /* NULL: none */
	char *operands[OPERANDS_MAX];
	unsigned count;
};

static bool is_amount(const char *text)
{
	int64_t amount;

	return be_amount_parse(text, &amount) == BE_OK;
}

/* With a usual environment, what is given goes without one where there is no doubt: an operand too
 * few, or a number where a directory would be. */
static bool goes_without_environment(const struct request_parser *parser)
{
	const char *first = parser->operands[0];

	if (!parser->usual_environment)
		return false;
	switch (parser->request->verb->operands) {
	case OPERANDS_NONE:
		return parser->count == 0;
	case OPERANDS_FILE:
	case OPERANDS_TARGET:
		return parser->count == 1;
	case OPERANDS_MAY_AMOUNT:
	case OPERANDS_MAY_LIMIT:
		return parser->count == 0 || (parser->count == 1 && is_amount(first));
	default:
		return parser->count > 0 && first[strspn(first, "0123456789")] == '\0';
	}
}

/* The `index`th operand after ENVIRONMENT. False: there is no place for it. */
static bool take_operand(const struct argp_state *state, unsigned index, char *text,
			 struct request *request)
{
	enum operands operands = request->verb->operands;

	if (operands == OPERANDS_FILE || operands == OPERANDS_TARGET) {
		request->file = text;
		return index == 0;
	}
	if (operands == OPERANDS_NONE)
		return false;
	if (operands == OPERANDS_MAY_LIMIT) {
		if (index > 0)
			return false;
		if (request->given & UINT64_C(1) << OPTION_LIMIT)
			argp_error(state, "LIMIT and --limit: one of them");
		request->limit = parse_limit(state, "LIMIT", text);
		request->given |= UINT64_C(1) << OPTION_LIMIT;
		return true;
	}
	if (index == 0 && operands != OPERANDS_MAY_AMOUNT)
		request->id = argument_count(state, "ID", text, 1, UINT64_MAX);
	else if (operands != OPERANDS_ID && index == (operands != OPERANDS_MAY_AMOUNT))
		take_amount(state, "AMOUNT", text, request);
	else
		return false;
	return true;
}

/* Once all are known. Returns how many follow ENVIRONMENT. */
static unsigned take_operands(struct argp_state *state, struct request_parser *parser)
{
	struct request *request = parser->request;
	unsigned first = goes_without_environment(parser) ? 0 : 1;

	if (request->verb->operands == OPERANDS_COMMAND)
		return request->command ? 1 : 0;
	if (first == 0)
		request->environment = parser->usual_environment;
	else if (parser->count > 0)
		request->environment = parser->operands[0];
	else
		return 0;
	for (unsigned i = first; i < parser->count; i++)
		if (!take_operand(state, i - first, parser->operands[i], request))
			argp_error(state, "too much is given; what is needed is: %s",
				   operand_texts[request->verb->operands]);
	return parser->count - first;
}

/* ENVIRONMENT, or the command and all that follows it. Behind -- there is a command in any case,
 * where there is a usual environment. */
static void take_command(struct argp_state *state, struct request_parser *parser, const char *text)
{
	struct request *request = parser->request;
	int index = state->next - 1;

	if (!request->environment && parser->usual_environment && state->quoted > 0 &&
	    index >= state->quoted)
		request->environment = parser->usual_environment;
	if (!request->environment) {
		request->environment = text;
		return;
	}
	request->command = &state->argv[index];
	state->next = state->argc;
}

static bool was_given(const struct request *request, enum request_option option)
{
	return request->given & UINT64_C(1) << option;
}

/* The amount may be an operand or an option. */
static void check_amount(const struct argp_state *state, const struct request *request,
			 unsigned operands)
{
	enum operands kind = request->verb->operands;
	bool is_operand = operands > (kind != OPERANDS_MAY_AMOUNT) &&
			  (kind == OPERANDS_ID_AMOUNT || kind == OPERANDS_ID_MAY_AMOUNT ||
			   kind == OPERANDS_MAY_AMOUNT);

	for (unsigned option = OPTION_TOKENS; option <= OPTION_ANSWER; option++)
		if (was_given(request, (enum request_option)option) &&
		    (is_operand || was_given(request, OPTION_AMOUNT)))
			argp_error(state, "an amount and --%s: one of them", options[option].name);
	if (is_operand && was_given(request, OPTION_AMOUNT))
		argp_error(state, "AMOUNT and --amount: one of them");
}

bool request_is_alarm(const struct request *request)
{
	return request->warn_ppm > 0 || request->critical_ppm > 0;
}

/* --warn and --critical make another verb of check. */
static void check_alarm(const struct argp_state *state, const struct request *request)
{
	if (!request_is_alarm(request)) {
		if (request->all)
			argp_error(state, "--all needs --warn or --critical");
		return;
	}
	if (request->has_amount || request->json)
		argp_error(state, "--warn and --critical have neither an amount nor --json");
	if (!request->all && !request->category)
		argp_error(state, "--category or --all is missing");
	if (request->warn_ppm > 0 && request->critical_ppm > 0 &&
	    request->warn_ppm > request->critical_ppm)
		argp_error(state, "--warn is more than --critical");
}

/* How many must follow ENVIRONMENT. */
static unsigned operands_needed(const struct request *request)
{
	switch (request->verb->operands) {
	case OPERANDS_NONE:
	case OPERANDS_MAY_AMOUNT:
	case OPERANDS_MAY_LIMIT:
		return 0;
	case OPERANDS_ID_AMOUNT:
		return request->has_amount ? 1 : 2;
	default:
		return 1;
	}
}

/* What goes with what. */
static void check_pairs(const struct argp_state *state, const struct request *request)
{
	if (request->parent_namespace && !request->parent_category)
		argp_error(state, "--parent-namespace needs --parent");
	if (request->verb->takes & UINT64_C(1) << OPTION_NO_PARENT) {
		if (!request->parent_category && !request->no_parent)
			argp_error(state, "where to? --parent or --no-parent is missing");
		if (request->parent_category && request->no_parent)
			argp_error(state, "--parent and --no-parent: one of them");
	}
	if (request->raise > 0 && request->until_ns == 0)
		argp_error(state, "--raise needs --until");
	if (request->observe_only && request->enforce)
		argp_error(state, "--observe-only and --enforce: one of them");
	if (request->heartbeat && (!was_given(request, OPTION_TTL) || request->ttl_ms == 0))
		argp_error(state, "--heartbeat needs a --ttl, by which it extends");
	if (request->archive && request->dry_run)
		argp_error(state, "--dry-run writes nothing: not with --archive");
	if (request->whole && (request->namespace_name || request->dry_run))
		argp_error(state, "--whole copies all there is: not with --namespace or --dry-run");
	if (request->cost_file && request->cost_fd >= 0)
		argp_error(state, "--cost-fd and --cost-file: one of them");
}

static void check_complete(struct argp_state *state, const struct request *request,
			   unsigned operands)
{
	const struct verb *verb = request->verb;
	uint64_t missing = verb->needs & ~request->given;
	unsigned needed = operands_needed(request);

	check_alarm(state, request);
	if (request_is_alarm(request))
		missing = 0;
	if (request->has_amount)
		missing &= ~(UINT64_C(1) << OPTION_AMOUNT);
	if (!request->environment)
		argp_error(state, "ENVIRONMENT is missing, and BUDGET_ENFORCER_DIR is not set");
	if (operands < needed)
		argp_error(state, "too little is given; what is needed is: %s",
			   operand_texts[verb->operands]);
	for (unsigned option = 0; option < OPTION_COUNT; option++)
		if (missing & UINT64_C(1) << option)
			argp_error(state, "--%s is missing", options[option].name);
	check_amount(state, request, operands);
	check_pairs(state, request);
}

/* ---- all together */

/* All tools have the same letters. */
static int key_of(unsigned option)
{
	switch (option) {
	case OPTION_NAMESPACE:
		return 'n';
	case OPTION_CATEGORY:
		return 'c';
	case OPTION_LIMIT:
		return 'l';
	case OPTION_PERIOD:
		return 'p';
	case OPTION_JSON:
		return 'j';
	default:
		return KEY_FIRST + (int)option;
	}
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct request_parser *parser = state->input;
	struct request *request = parser->request;

	for (unsigned option = 0; option < OPTION_COUNT; option++) {
		if (key != key_of(option))
			continue;
		take_option(state, (enum request_option)option, text, request);
		return 0;
	}
	switch (key) {
	case ARGP_KEY_ARG:
		if (request->verb->operands == OPERANDS_COMMAND)
			take_command(state, parser, text);
		else if (parser->count < OPERANDS_MAX)
			parser->operands[parser->count++] = text;
		else
			argp_error(state, "too much is given; what is needed is: %s",
				   operand_texts[request->verb->operands]);
		return 0;
	case ARGP_KEY_END:
		check_complete(state, request, take_operands(state, parser));
		if (request->given & REQUEST_IN_TOKENS)
			request->amount = tokens_total(state, &request->tokens);
		return 0;
	default:
		return argument_help(key, state);
	}
}

/* Leaves out argp's note that long and short options take the same arguments. */
static char *filter_help(int key, const char *text, void *input)
{
	(void)input;
	return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)text;
}

static char *make_text(const char *format, const char *first, const char *second, const char *third)
{
	char *text;

	if (asprintf(&text, format, first, second, third) < 0)
		tool_out_of_memory();
	return text;
}

void request_parse(const struct verb *verb, int argc, char **argv, struct request *request)
{
	struct argp_option shown[OPTION_COUNT + 2] = {ARGUMENT_HELP_OPTION};
	struct request_parser parser = {.request = request,
					.usual_environment = argument_usual_environment()};
	char *name = make_text("%s %s%s", "be-ctl", verb->name, "");
	char *help = make_text("%s.\v%s%s", verb->summary, verb->details ? verb->details : "",
			       verb->operands == OPERANDS_COMMAND ? "" : exit_status_help);
	struct argp argp = {shown,       parse, operand_texts[verb->operands], help, NULL,
			    filter_help, NULL};
	unsigned count = 1;

	*request = (struct request){.verb = verb,
				    .ttl_ms = DEFAULT_TTL_MS,
				    .cost_fd = -1,
				    .death_signal = SIGTERM,
				    .period = BE_PERIOD_TOTAL};
	for (unsigned option = 0; option < OPTION_COUNT; option++)
		if (verb->takes & UINT64_C(1) << option)
			shown[count++] = (struct argp_option){.name = options[option].name,
							      .key = key_of(option),
							      .arg = options[option].value,
							      .doc = options[option].help};
	argv[0] = name;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &parser);
	free(name);
	free(help);
}
