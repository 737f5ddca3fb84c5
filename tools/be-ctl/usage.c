/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose usage it is, is known by the names of its members. OpenAI's input, and that of all who
 * write as it does, includes what was read from a cache and written to one; Anthropic's leaves that
 * out.
 */
#include "usage.h"

#include "argument.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is being read. */
struct reading {
	const json_t *usage;
	const char *wrong; /* NULL: nothing so far */
};

/* Of the first of these members that is there, and not 0. */
static uint64_t count(struct reading *reading, const json_t *object, const char *first,
		      const char *second, const char *third)
{
	const char *const names[] = {first, second, third};

	for (size_t i = 0; i < sizeof names / sizeof *names && names[i]; i++) {
		const json_t *value = json_object_get(object, names[i]);

		if (!value || json_is_null(value))
			continue;
		if (!json_is_integer(value) || json_integer_value(value) < 0)
			reading->wrong = "tokens are whole numbers, 0 or more";
		else if (json_integer_value(value) > 0)
			return (uint64_t)json_integer_value(value);
	}
	return 0;
}

/* Takes what the cache gave and took out of an input that includes it. LiteLLM names these as
 * Anthropic does, beside the details. */
static void take_including(struct reading *reading, const char *input, const json_t *details,
			   struct usage *usage)
{
	uint64_t all = count(reading, reading->usage, input, NULL, NULL);

	usage->cached = count(reading, details, "cached_tokens", "cache_read", NULL);
	if (usage->cached == 0)
		usage->cached = count(reading, reading->usage, "cache_read_input_tokens",
				      "cachedContentTokenCount", NULL);
	usage->written = count(reading, details, "cache_write_tokens", "cache_creation_tokens",
			       "cache_creation");
	if (usage->written == 0)
		usage->written =
			count(reading, reading->usage, "cache_creation_input_tokens", NULL, NULL);
	if (all < usage->cached || all - usage->cached < usage->written)
		reading->wrong = "more tokens came from the cache or went to it than went in";
	usage->input = all - usage->cached - usage->written;
}

static bool has(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return value && !json_is_null(value);
}

static void take_gemini(struct reading *reading, struct usage *usage)
{
	take_including(reading, "promptTokenCount", NULL, usage);
	usage->input += count(reading, reading->usage, "toolUsePromptTokenCount", NULL, NULL);
	/* Thoughts are not among the candidates' tokens. */
	usage->output = count(reading, reading->usage, "candidatesTokenCount", NULL, NULL) +
			count(reading, reading->usage, "thoughtsTokenCount", NULL, NULL);
}

static void take_input(struct reading *reading, struct usage *usage)
{
	const json_t *details = json_object_get(reading->usage, "input_tokens_details");

	if (!json_is_object(details))
		details = json_object_get(reading->usage, "input_token_details"); /* LangChain */
	usage->output = count(reading, reading->usage, "output_tokens", NULL, NULL);
	if (json_is_object(details)) {
		take_including(reading, "input_tokens", details, usage);
		return;
	}
	usage->input = count(reading, reading->usage, "input_tokens", NULL, NULL);
	usage->cached = count(reading, reading->usage, "cache_read_input_tokens", NULL, NULL);
	usage->written = count(reading, reading->usage, "cache_creation_input_tokens", NULL, NULL);
}

/* NULL, or what is wrong. */
static const char *take_usage(const json_t *object, struct usage *usage)
{
	struct reading reading = {.usage = object};

	*usage = (struct usage){0};
	if (has(object, "prompt_tokens")) {
		take_including(&reading, "prompt_tokens",
			       json_object_get(object, "prompt_tokens_details"), usage);
		usage->output = count(&reading, object, "completion_tokens", NULL, NULL);
	} else if (has(object, "promptTokenCount")) {
		take_gemini(&reading, usage);
	} else if (has(object, "input_tokens")) {
		take_input(&reading, usage);
	} else {
		return "no usage in it that is known: prompt_tokens or input_tokens are missing";
	}
	return reading.wrong;
}

/* The usage may be within the answer, and that within an event, or a line of a log. */
static const json_t *find_usage(const json_t *answer)
{
	static const char *const wrappers[] = {"response", "message"};
	const json_t *found = json_object_get(answer, "usage");

	if (!json_is_object(found))
		found = json_object_get(answer, "usageMetadata");
	for (size_t i = 0; !json_is_object(found) && i < sizeof wrappers / sizeof *wrappers; i++)
		found = json_object_get(json_object_get(answer, wrappers[i]), "usage");
	return json_is_object(found) ? found : answer;
}

static const char *find_model(const json_t *answer)
{
	const json_t *const places[] = {
		json_object_get(answer, "model"),
		json_object_get(json_object_get(answer, "response"), "model"),
		json_object_get(json_object_get(answer, "message"), "model"),
		json_object_get(answer, "modelVersion"),
	};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *name = json_string_value(places[i]);

		if (name && *name)
			return argument_keep(name, strlen(name));
	}
	return NULL;
}

bool usage_read(const char *path, struct usage *usage, const char **model,
		struct file_problem *problem)
{
	size_t size;
	char *text = file_load(path, &size, problem);
	json_error_t error;
	json_t *answer;
	const char *wrong, *type;

	if (!text)
		return false;
	answer = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	free(text);
	if (!json_is_object(answer)) {
		problem->line = !answer && error.line > 0 ? (size_t)error.line : 0;
		snprintf(problem->text, sizeof problem->text, "%s",
			 answer ? "a JSON object is needed" : error.text);
		json_decref(answer);
		return false;
	}
	type = json_string_value(json_object_get(answer, "type"));
	if (type && strcmp(type, "message_start") == 0)
		wrong = "message_start is how an answer begins, and does not know its output yet";
	else
		wrong = take_usage(find_usage(answer), usage);
	*model = find_model(answer);
	json_decref(answer);
	if (wrong)
		snprintf(problem->text, sizeof problem->text, "%s", wrong);
	return !wrong;
}
