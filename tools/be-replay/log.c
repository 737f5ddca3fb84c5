/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs of LLM requests. A line is taken apart into the texts of what is looked for, and these are
 * understood in one place, whatever kind of log they come from. Other columns and members are not
 * looked at; of those looked for, time, input and output must be there.
 *
 * What was read from a cache and written to one is part of the input where a usage counts
 * `prompt_tokens` or has details of its input (OpenAI, LiteLLM, LangChain). Elsewhere it is beside
 * it: in Anthropic's usage, and in columns or members of the log itself.
 */
#include "log.h"

#include "charge.h"
#include "moment.h"
#include "tool.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_JANSSON
#include <jansson.h>
#endif

enum part {
	PART_TIME,
	PART_INPUT,
	PART_OUTPUT,
	PART_CACHED,  /* read from a cache */
	PART_WRITTEN, /* and written to one */
	PART_MODEL,
	PART_COST,
	PART_NAMESPACE, /* of the envelope that is charged, */
	PART_CATEGORY,  /* and its category */
	PARTS,
};

#define NAMES_MAX 8
/* By what names each is known, in any case, but for hyphens and blanks, which are underscores. */
static const struct {
	const char *name; /* in --columns */
	const char *usual[NAMES_MAX];
} parts[PARTS] = {
	[PART_TIME] = {"time",
		       {"timestamp", "time", "created", "created_at", "starttime", "start_time",
			"date"}},
	[PART_INPUT] = {"input", {"contexttokens", "input_tokens", "prompt_tokens", "input"}},
	[PART_OUTPUT] = {"output",
			 {"generatedtokens", "output_tokens", "completion_tokens", "output"}},
	[PART_CACHED] = {"cached",
			 {"cache_read_input_tokens", "cached_tokens", "cache_read", "cached"}},
	[PART_WRITTEN] = {"written",
			  {"cache_creation_input_tokens", "cache_write_tokens",
			   "cache_creation_tokens", "cache_creation"}},
	[PART_MODEL] = {"model", {"model", "model_name"}},
	[PART_COST] = {"cost", {"cost", "spend", "response_cost"}},
	[PART_NAMESPACE] = {"namespace", {"namespace"}},
	[PART_CATEGORY] = {"category", {"category"}},
};

#define TEXT_SIZE 256

/* What one line says: "" where it says nothing. */
struct record {
	char text[PARTS][TEXT_SIZE];
	bool has[PARTS];      /* a place for it, be it empty */
	bool cached_is_input; /* the input counts what was read from a cache and written, too */
};

struct log {
	const struct log_options *options;
	struct trace *trace;
	size_t room, model_room;
	struct file_problem *problem;
	size_t line;
};

static bool fail(struct log *log, const char *what, const char *more)
{
	log->problem->line = log->line;
	snprintf(log->problem->text, sizeof log->problem->text, "%s%.128s", what, more);
	return false;
}

/* ---- what a record means */

/* A date and time, or seconds or milliseconds since 1970. */
static bool parse_time(const char *text, int64_t *at_ns)
{
	int64_t unit = strcspn(text, ".") >= 12 ? 1000000 : BE_UNIT;
	char *end;

	if (strlen(text) > 4 && text[4] == '-')
		return moment_parse(text, 0, at_ns) && *at_ns > 0;
	/* Decimals are those of a second. */
	if (strchr(text, '.'))
		return unit == BE_UNIT && be_amount_parse(text, at_ns) == BE_OK && *at_ns > 0;
	errno = 0;
	*at_ns = isdigit((unsigned char)*text) ? strtoll(text, &end, 10) : 0;
	return *at_ns > 0 && *end == '\0' && errno == 0 &&
	       !__builtin_mul_overflow(*at_ns, unit, at_ns);
}

/* Nothing is no tokens. */
static bool parse_tokens(const char *text, int64_t *tokens)
{
	char *end;

	*tokens = 0;
	if (*text == '\0')
		return true;
	errno = 0;
	*tokens = isdigit((unsigned char)*text) ? strtoll(text, &end, 10) : -1;
	return *tokens >= 0 && *end == '\0' && errno == 0 && *tokens <= TRACE_TOKENS_MAX;
}

static bool parse_cost(const char *text, int64_t *cost)
{
	return *text == '\0' || charge_parse(text, strlen(text), cost) == NULL;
}

/* The number of a model, of which there are few. */
static uint32_t model_of(struct log *log, const char *name)
{
	struct trace *trace = log->trace;

	for (size_t i = 0; i < trace->model_count; i++)
		if (strcmp(trace->models[i], name) == 0)
			return (uint32_t)i;
	trace->models = tool_grow(trace->models, trace->model_count, &log->model_room,
				  sizeof *trace->models);
	trace->models[trace->model_count] = strdup(name);
	if (!trace->models[trace->model_count])
		tool_out_of_memory();
	return (uint32_t)trace->model_count++;
}

static bool choose_envelope(struct log *log, const struct record *record, uint32_t *envelope)
{
	const struct log_options *options = log->options;
	char why[LOG_WHY_SIZE];

	return !options->choose ||
	       options->choose(options->context,
			       record->has[PART_NAMESPACE] ? record->text[PART_NAMESPACE] : NULL,
			       record->has[PART_CATEGORY] ? record->text[PART_CATEGORY] : NULL,
			       envelope, why) ||
	       fail(log, why, "");
}

static bool add_record(struct log *log, const struct record *record)
{
	struct trace_request request = {.line = log->line,
					.has_cost = record->text[PART_COST][0] != '\0'};
	struct trace *trace = log->trace;

	if (!parse_time(record->text[PART_TIME], &request.at_ns))
		return fail(log, "a time is needed, as in 2023-11-16T18:17:03Z or in seconds: ",
			    record->text[PART_TIME]);
	for (int part = PART_INPUT; part <= PART_OUTPUT; part++)
		if (record->text[part][0] == '\0' && record->text[PART_COST][0] == '\0')
			return fail(log, "neither a cost nor tokens of the ", parts[part].name);
	if (!parse_tokens(record->text[PART_INPUT], &request.input_tokens) ||
	    !parse_tokens(record->text[PART_OUTPUT], &request.output_tokens) ||
	    !parse_tokens(record->text[PART_CACHED], &request.cached_tokens) ||
	    !parse_tokens(record->text[PART_WRITTEN], &request.written_tokens))
		return fail(log, "tokens are whole numbers from 0 to 2147483648", "");
	if (!parse_cost(record->text[PART_COST], &request.cost))
		return fail(log, "a cost is a number: ", record->text[PART_COST]);
	if (record->cached_is_input)
		request.input_tokens -= request.cached_tokens + request.written_tokens;
	if (request.input_tokens < 0)
		return fail(log, "more tokens came from the cache or went to it than went in", "");
	if (!choose_envelope(log, record, &request.envelope))
		return false;
	request.model = model_of(log, record->text[PART_MODEL]);
	trace->requests =
		tool_grow(trace->requests, trace->count, &log->room, sizeof *trace->requests);
	trace->requests[trace->count++] = request;
	return true;
}

/* ---- names */

static bool is_same_name(const char *name, const char *usual)
{
	for (; *name && *usual; name++, usual++)
		if (tolower((unsigned char)*name) != *usual &&
		    !(*usual == '_' && (*name == '-' || *name == ' ')))
			return false;
	return *name == *usual;
}

/* The name that --columns gives a part: its size, 0 when it gives none. */
static size_t chosen_name(const char *columns, enum part part, const char **name)
{
	size_t size = strlen(parts[part].name);

	for (const char *at = columns; at && *at; at += strcspn(at, ","), at += *at == ',') {
		if (strncmp(at, parts[part].name, size) != 0 || at[size] != '=')
			continue;
		*name = at + size + 1;
		return strcspn(*name, ",");
	}
	return 0;
}

const char *log_columns_fault(const char *columns)
{
	for (const char *at = columns; at && *at; at += strcspn(at, ","), at += *at == ',') {
		size_t size = strcspn(at, "=,");
		int part = 0;

		while (part < PARTS && (strlen(parts[part].name) != size ||
					memcmp(at, parts[part].name, size) != 0))
			part++;
		if (part == PARTS || at[size] != '=' || strcspn(at + size + 1, ",") == 0)
			return at;
	}
	return NULL;
}

/* Is a column of that name what is looked for as this part? One may be several: a model may tell
 * prices and the envelope. */
static bool is_part(const struct log *log, enum part part, const char *name)
{
	const char *chosen;
	size_t size = chosen_name(log->options->columns, part, &chosen);

	if (part >= PART_NAMESPACE && !log->options->choose)
		return false;
	if (size > 0)
		return strlen(name) == size && memcmp(name, chosen, size) == 0;
	for (int i = 0; i < NAMES_MAX && parts[part].usual[i]; i++)
		if (is_same_name(name, parts[part].usual[i]))
			return true;
	return false;
}

/* ---- CSV */

#define COLUMNS_MAX 256

/* Takes a field off *at, and moves on behind what ended it, which is returned: a comma, '\n' at the
 * end of a line, or 0 for what cannot be. */
static char take_field(const char **at, const char *end, char text[TEXT_SIZE])
{
	const char *from = *at;
	size_t size = 0;
	bool quoted = from < end && *from == '"', open = quoted;

	for (from += quoted; from < end; from++) {
		if (open && *from == '"') {
			open = from + 1 < end && from[1] == '"';
			from += open;
			if (!open)
				continue;
		} else if (!open && (*from == ',' || *from == '\n')) {
			break;
		}
		if (*from != '\r' && size + 1 < TEXT_SIZE)
			text[size++] = *from;
	}
	text[size] = '\0';
	*at = from < end ? from + 1 : end;
	if (open)
		return 0;
	if (from == end)
		return '\n';
	return *from;
}

/* Takes the line of headings. The column of each part is noted; SIZE_MAX: there is none. */
static bool take_headings(struct log *log, const char **at, const char *end,
			  size_t column_of[PARTS], size_t *columns)
{
	char text[TEXT_SIZE], ended = ',';
	const char *chosen;

	for (int part = 0; part < PARTS; part++)
		column_of[part] = SIZE_MAX;
	for (*columns = 0; ended == ',' && *columns < COLUMNS_MAX; ++*columns) {
		ended = take_field(at, end, text);
		for (int part = 0; part < PARTS; part++) {
			if (!is_part(log, (enum part)part, text))
				continue;
			if (column_of[part] != SIZE_MAX)
				return fail(log, "two columns are one and the same: ", text);
			column_of[part] = *columns;
		}
	}
	for (int part = 0; part < PARTS; part++) {
		bool is_needed = part == PART_TIME ||
				 (part <= PART_OUTPUT && column_of[PART_COST] == SIZE_MAX) ||
				 (part >= PART_NAMESPACE && log->options->choose &&
				  chosen_name(log->options->columns, (enum part)part, &chosen) > 0);

		if (is_needed && column_of[part] == SIZE_MAX)
			return fail(log, "no column is known as that of the ", parts[part].name);
	}
	return true;
}

static bool parse_csv(struct log *log, const char *at, const char *end)
{
	size_t column_of[PARTS], columns;
	char text[TEXT_SIZE], ended;

	log->line = 1;
	if (!take_headings(log, &at, end, column_of, &columns))
		return false;
	while (at < end) {
		struct record record = {0};
		size_t column = 0;

		log->line++;
		for (ended = ','; ended == ','; column++) {
			ended = take_field(&at, end, text);
			for (int part = 0; part < PARTS; part++) {
				if (column_of[part] != column)
					continue;
				strcpy(record.text[part], text);
				record.has[part] = true;
			}
		}
		if (ended == 0 || column != columns)
			return fail(log, "not as many fields as there are columns", "");
		if (!add_record(log, &record))
			return false;
	}
	return true;
}

/* ---- JSON */

#ifdef HAVE_JANSSON

static void take_value(struct record *record, enum part part, const json_t *value)
{
	char *text = record->text[part];

	/* Of a cache, details may say 0 where the usage itself says more. */
	if (*text != '\0' &&
	    ((part != PART_CACHED && part != PART_WRITTEN) || strcmp(text, "0") != 0))
		return;
	record->has[part] = json_is_string(value) || json_is_number(value);
	if (json_is_string(value))
		snprintf(text, TEXT_SIZE, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(text, TEXT_SIZE, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value) && part == PART_TIME)
		snprintf(text, TEXT_SIZE, "%.6f", json_real_value(value));
	else if (json_is_real(value)) /* what was written, not what binary made of it */
		snprintf(text, TEXT_SIZE, "%.15g", json_real_value(value));
}

/* The parts that are members of an object itself. */
static void take_members(const struct log *log, const json_t *object, struct record *record)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		for (int part = 0; part < PARTS; part++)
			if (is_part(log, (enum part)part, name))
				take_value(record, (enum part)part, value);
	}
}

/* {"usage": {...}} or the same within {"response": {...}}, beside what the log adds. */
static void take_usage(const struct log *log, const json_t *object, struct record *record)
{
	static const char *const details[] = {"prompt_tokens_details", "input_tokens_details",
					      "input_token_details"};
	const json_t *usage = json_object_get(object, "usage");
	const json_t *prompt = json_object_get(usage, "prompt_tokens");

	take_members(log, object, record);
	record->cached_is_input |= prompt && !json_is_null(prompt);
	for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
		const json_t *found = json_object_get(usage, details[i]);

		record->cached_is_input |= json_is_object(found);
		take_members(log, found, record);
	}
	take_members(log, usage, record);
}

static bool parse_json(struct log *log, const char *at, const char *end)
{
	while (at < end) {
		const char *feed = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((feed ? feed : end) - at);
		struct record record = {0};
		json_error_t error;
		json_t *object = json_loadb(at, size, JSON_REJECT_DUPLICATES, &error);
		bool added;

		log->line++;
		if (!json_is_object(object)) {
			json_decref(object);
			return fail(log, "no JSON object: ", object ? "" : error.text);
		}
		take_usage(log, object, &record);
		take_usage(log, json_object_get(object, "response"), &record);
		added = add_record(log, &record);
		json_decref(object);
		if (!added)
			return false;
		at = feed ? feed + 1 : end;
	}
	return true;
}

#else

static bool parse_json(struct log *log, const char *at, const char *end)
{
	(void)at;
	(void)end;
	return fail(log, "this be-replay was built without jansson, and reads no JSON", "");
}

#endif

/* ---- all together */

bool log_choose_for_all(const struct log_options *options, struct trace *trace,
			struct file_problem *problem)
{
	struct log log = {.options = options, .trace = trace, .problem = problem};
	const struct record record = {0};
	uint32_t envelope = 0;

	if (!choose_envelope(&log, &record, &envelope)) {
		trace_free(trace);
		return false;
	}
	for (size_t i = 0; i < trace->count; i++)
		trace->requests[i].envelope = envelope;
	return true;
}

bool log_parse(const char *text, size_t size, const struct log_options *options,
	       struct trace *trace, struct file_problem *problem)
{
	struct log log = {.options = options, .trace = trace, .problem = problem};
	const char *end = text + size;
	bool parsed;

	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	if (!options->columns && (end == text || isdigit((unsigned char)*text) ||
				  (size > 10 && memcmp(text, "TIMESTAMP,", 10) == 0)))
		return trace_parse(text, size, trace, problem) &&
		       log_choose_for_all(options, trace, problem);
	*trace = (struct trace){0};
	*problem = (struct file_problem){0};
	parsed = *text == '{' ? parse_json(&log, text, end) : parse_csv(&log, text, end);
	if (parsed && trace->count == 0)
		parsed = fail(&log, "no requests in it", "");
	if (!parsed)
		trace_free(trace);
	return parsed;
}

bool log_read(const char *path, const struct log_options *options, struct trace *trace,
	      struct file_problem *problem)
{
	size_t size;
	char *text = file_load(path, &size, problem);
	bool parsed;

	*trace = (struct trace){0};
	if (!text)
		return false;
	parsed = log_parse(text, size, options, trace, problem);
	free(text);
	return parsed;
}
