/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON on standard output. Records are written field by field: a value of jansson's for each would
 * take most of the time. All that is not ASCII is escaped, which keeps it harmless on any terminal.
 */
#include "json.h"

#include "moment.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>

void json_begin(const struct arguments *arguments, const char *opening)
{
	char at[MOMENT_TEXT_SIZE];

	moment_format(arguments->now_ns, 9, at);
	printf("{\"version\": 1, \"at\": \"%s\", \"%s\": %s", at, view_name(arguments->view),
	       opening);
}

bool json_element(json_t *element, uint64_t *count)
{
	char *text = element ? json_dumps(element, JSON_ENSURE_ASCII | JSON_ENCODE_ANY) : NULL;
	bool written;

	if (!text)
		tool_out_of_memory();
	printf("%s\n  %s", *count > 0 ? "," : "", text);
	written = tool_output_is_sound();
	++*count;
	free(text);
	json_decref(element);
	return written;
}

/* Jansson knows how to escape; what needs no escape, as nearly all, does without its help. */
static void put_text(const char *text)
{
	json_t *string;
	const char *c;

	for (c = text; *c >= ' ' && *c <= '~' && *c != '"' && *c != '\\'; c++)
		;
	if (*c == '\0') {
		putc_unlocked('"', stdout);
		fwrite_unlocked(text, 1, (size_t)(c - text), stdout);
		putc_unlocked('"', stdout);
		return;
	}
	string = json_string(text);
	if (!string)
		tool_out_of_memory();
	json_dumpf(string, stdout, JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	json_decref(string);
}

/* What is an object or an array. */
static void put_compound(const struct field *field, const void *record)
{
	json_t *value = field_json(field, record, 0);

	if (!value || json_dumpf(value, stdout, JSON_ENSURE_ASCII | JSON_ENCODE_ANY) != 0)
		tool_out_of_memory();
	json_decref(value);
}

static void put_record(const struct arguments *arguments, const void *record)
{
	char text[FIELD_TEXT_SIZE];

	for (size_t i = 0; i < arguments->column_count; i++) {
		const struct field *field = arguments->columns[i];

		fputs_unlocked(i > 0 ? ", \"" : "{\"", stdout);
		fputs_unlocked(field->key, stdout);
		fputs_unlocked("\": ", stdout);
		if (field->kind == FIELD_PARENT || field->kind == FIELD_ALSO ||
		    field->kind == FIELD_LABELS) {
			put_compound(field, record);
			continue;
		}
		switch (field_value(field, record, arguments->now_ns, text)) {
		case FIELD_VALUE_NONE:
			fputs_unlocked("null", stdout);
			break;
		case FIELD_VALUE_WORD:
			fputs_unlocked(text, stdout);
			break;
		case FIELD_VALUE_TEXT:
			put_text(text);
		}
	}
	putc_unlocked('}', stdout);
}

bool json_row(const struct arguments *arguments, const void *record, uint64_t *count)
{
	fputs_unlocked(*count > 0 ? ",\n  " : "\n  ", stdout);
	++*count;
	put_record(arguments, record);
	return tool_output_is_sound();
}

bool json_line(const struct arguments *arguments, const void *record)
{
	put_record(arguments, record);
	putc_unlocked('\n', stdout);
	return tool_output_is_sound();
}

void json_end(const char *closing)
{
	printf("\n%s}\n", closing);
}
