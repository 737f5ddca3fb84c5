/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comma-separated values, in lines that end with LF, as shells and their kin want them, unless the
 * CR LF of RFC 4180 is asked for: the fields of the JSON form under the same names, numbers and
 * times as there, and nothing where JSON has null. A parent is two columns, its namespace and its
 * category, since any character between the two might be part of a name.
 *
 * Texts stay as they are, also those that a spreadsheet takes for formulas: a mark before them
 * would make another name of them, and what reads CSV most often is a program.
 */
#include "csv.h"

#include "tool.h"

#include <stdio.h>
#include <string.h>

static void put_text(const char *text)
{
	if (!text[strcspn(text, "\",\r\n")] && *text != ' ' &&
	    (!*text || text[strlen(text) - 1] != ' ')) {
		fputs_unlocked(text, stdout);
		return;
	}
	putc_unlocked('"', stdout);
	for (; *text; text++) {
		if (*text == '"')
			putc_unlocked('"', stdout);
		putc_unlocked(*text, stdout);
	}
	putc_unlocked('"', stdout);
}

static void put_value(const struct field *field, const void *record, int64_t now_ns)
{
	char text[FIELD_TEXT_SIZE];

	switch (field_value(field, record, now_ns, text)) {
	case FIELD_VALUE_NONE:
		break;
	case FIELD_VALUE_WORD:
		fputs_unlocked(text, stdout);
		break;
	case FIELD_VALUE_TEXT:
		put_text(text);
	}
}

static void put_parent(const struct be_envelope *envelope)
{
	put_text(envelope->has_parent ? envelope->parent_namespace : "");
	putc_unlocked(',', stdout);
	put_text(envelope->has_parent ? envelope->parent_category : "");
}

/* Ends a field, or the line behind the last one. */
static void put_separator(const struct arguments *arguments, size_t column)
{
	fputs_unlocked(column + 1 < arguments->column_count ? ","
		       : arguments->crlf                    ? "\r\n"
							    : "\n",
		       stdout);
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
	for (size_t i = 0; i < arguments->column_count; i++) {
		if (arguments->columns[i]->kind == FIELD_PARENT)
			put_parent(record);
		else
			put_value(arguments->columns[i], record, arguments->now_ns);
		put_separator(arguments, i);
	}
	return tool_output_is_sound();
}
