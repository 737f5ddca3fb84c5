/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comma-separated values: the fields of the JSON form under the same names, numbers and times as
 * there, and nothing where JSON has null. A parent is two columns, its namespace and its category,
 * since any character between the two might be part of a name.
 *
 * Texts stay as they are, also those that a spreadsheet takes for formulas: a mark before them
 * would make another name of them, and what reads CSV most often is a program.
 */
#include "csv.h"

#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_text(const char *text)
{
	const char *quote;

	if (!text[strcspn(text, "\",\r\n")] && *text != ' ' &&
	    (!*text || text[strlen(text) - 1] != ' ')) {
		fputs(text, stdout);
		return;
	}
	putchar('"');
	for (; (quote = strchr(text, '"')); text = quote + 1)
		printf("%.*s\"\"", (int)(quote - text), text);
	printf("%s\"", text);
}

static void put_value(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		put_text(json_string_value(value));
		break;
	case JSON_INTEGER:
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_TRUE:
		fputs("true", stdout);
		break;
	case JSON_FALSE:
		fputs("false", stdout);
		break;
	default: /* null; no field is a number with decimals, or an array */
		break;
	}
}

/* Ends a field, or the line behind the last one. */
static void put_separator(const struct arguments *arguments, size_t column)
{
	fputs(column + 1 < arguments->column_count ? "," : "\r\n", stdout);
}

void csv_begin(const struct arguments *arguments)
{
	size_t i;

	for (i = 0; i < arguments->column_count && !arguments->noheadings; i++) {
		const struct field *field = arguments->columns[i];

		if (field->kind == FIELD_PARENT)
			printf("%s_namespace,%s_category", field->key, field->key);
		else
			fputs(field->key, stdout);
		put_separator(arguments, i);
	}
}

bool csv_row(const struct arguments *arguments, const void *record)
{
	size_t i;

	for (i = 0; i < arguments->column_count; i++) {
		json_t *value = field_json(arguments->columns[i], record, arguments->now_ns);

		if (!value)
			tool_out_of_memory();
		if (arguments->columns[i]->kind == FIELD_PARENT) {
			if (json_is_object(value))
				put_value(json_object_get(value, "namespace"));
			putchar(',');
			if (json_is_object(value))
				put_value(json_object_get(value, "category"));
		} else {
			put_value(value);
		}
		put_separator(arguments, i);
		json_decref(value);
	}
	return tool_output_is_sound();
}
