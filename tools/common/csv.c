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

#include <string.h>

static void put_text(FILE *file, const char *text)
{
	if (!text[strcspn(text, "\",\r\n")] && *text != ' ' &&
	    (!*text || text[strlen(text) - 1] != ' ')) {
		fputs_unlocked(text, file);
		return;
	}
	putc_unlocked('"', file);
	for (; *text; text++) {
		if (*text == '"')
			putc_unlocked('"', file);
		putc_unlocked(*text, file);
	}
	putc_unlocked('"', file);
}

static void put_value(FILE *file, const struct field *field, const void *record, int64_t now_ns)
{
	char text[FIELD_TEXT_SIZE];

	switch (field_value(field, record, now_ns, text)) {
	case FIELD_VALUE_NONE:
		break;
	case FIELD_VALUE_WORD:
		fputs_unlocked(text, file);
		break;
	case FIELD_VALUE_TEXT:
		put_text(file, text);
	}
}

static void put_parent(FILE *file, const struct be_envelope *envelope)
{
	put_text(file, envelope->has_parent ? envelope->parent_namespace : "");
	putc_unlocked(',', file);
	put_text(file, envelope->has_parent ? envelope->parent_category : "");
}

static void put_heading(FILE *file, const struct field *field)
{
	if (field->kind == FIELD_PARENT)
		fprintf(file, "%s_namespace,%s_category", field->key, field->key);
	else
		fputs(field->key, file);
}

static void put_field(FILE *file, const struct field *field, const void *record, int64_t now_ns)
{
	if (field->kind == FIELD_PARENT)
		put_parent(file, record);
	else
		put_value(file, field, record, now_ns);
}

/* Ends a field, or the line behind the last one. */
static void put_separator(FILE *file, bool is_last, bool crlf)
{
	fputs_unlocked(!is_last ? "," : crlf ? "\r\n" : "\n", file);
}

void csv_begin(FILE *file, const struct field *const *columns, size_t count, bool crlf)
{
	for (size_t i = 0; i < count; i++) {
		put_heading(file, columns[i]);
		put_separator(file, i + 1 == count, crlf);
	}
}

void csv_row(FILE *file, const struct field *const *columns, size_t count, bool crlf,
	     const void *record, int64_t now_ns)
{
	for (size_t i = 0; i < count; i++) {
		put_field(file, columns[i], record, now_ns);
		put_separator(file, i + 1 == count, crlf);
	}
}

void csv_put_headings(FILE *file, const struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++) {
		put_heading(file, &fields->first[i]);
		put_separator(file, i + 1 == fields->count, false);
	}
}

void csv_put_row(FILE *file, const struct fields *fields, const void *record, int64_t now_ns)
{
	for (size_t i = 0; i < fields->count; i++) {
		put_field(file, &fields->first[i], record, now_ns);
		put_separator(file, i + 1 == fields->count, false);
	}
}
