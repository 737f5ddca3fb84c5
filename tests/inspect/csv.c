/* SPDX-License-Identifier: Apache-2.0 */
/* Comma-separated values: the same as in JSON, field by field, whatever the names are; lines end as
 * RFC 4180 has it. */
#include "inspects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Commas, quotes, blanks at the ends, what a spreadsheet takes for a formula, backslashes, wide
 * characters. */
static const char *const names[] = {
	"a,b",
	"\"",
	"\"a\",\"b\"",
	" first",
	"last ",
	"=1+1",
	"C:\\n",
	"\u65e5\u672c\u8a9e",
	"\u201equoted\u201c",
};
#define NAMES (sizeof names / sizeof names[0])

static void fill(struct be_enforcer *handle)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;

	EXPECT_OK(be_envelope_create(handle, "top", 9 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (size_t i = 0; i < NAMES; i++) {
		below.parent_category = i > 0 ? names[0] : "top";
		EXPECT_OK(be_envelope_create(handle, names[i], BE_UNIT, BE_PERIOD_TOTAL, &below));
		EXPECT_OK(be_record(handle, names[i], BE_UNIT / 8, names[i], NULL));
	}
}

/* Takes the next field off *text, which then stands behind what ended it; `end` is set to that. */
static char *take_field(char **text, char *end)
{
	char *field = *text, *from = field, *to = field;

	if (*from == '"') {
		for (from++; *from != '"' || from[1] == '"'; *to++ = *from++) {
			EXPECT(*from);
			if (*from == '"')
				from++;
		}
		from++;
	} else {
		for (; *from && *from != ',' && *from != '\n'; *to++ = *from++)
			EXPECT(*from != '"' && *from != '\r');
	}
	*end = *from;
	EXPECT(*end == ',' || *end == '\n');
	*to = '\0';
	*text = from + 1;
	return field;
}

static void expect_value(const json_t *value, const char *field)
{
	char number[24];

	if (json_is_string(value)) {
		EXPECT_TEXT(field, json_string_value(value));
	} else if (json_is_integer(value)) {
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
		EXPECT_TEXT(field, number);
	} else if (json_is_boolean(value)) {
		EXPECT_TEXT(field, json_is_true(value) ? "true" : "false");
	} else {
		EXPECT(json_is_null(value));
		EXPECT_TEXT(field, "");
	}
}

/* The member of a JSON row that a column of CSV is: parents are two columns there. */
static const json_t *member(const json_t *row, const char *heading)
{
	json_t *parent = json_object_get(row, "parent"), *value;

	if (parent && strncmp(heading, "parent_", 7) == 0)
		value = json_is_null(parent) ? parent : json_object_get(parent, heading + 7);
	else
		value = json_object_get(row, heading);
	if (!value)
		test_fail(__FILE__, __LINE__, "JSON has no %s", heading);
	return value;
}

static void compare(const char *path, const char *view, const char *columns, int width)
{
	char *text = inspect_text("--csv", "-o", columns, path, view, NULL), *rest = text,
	     end = ',';
	json_t *document = inspect_json("--json", "--sort", "id", "-o", columns, path, view, NULL);
	json_t *rows = json_object_get(document, view);
	char *headings[32];
	int count = 0;
	size_t i;

	while (end == ',')
		headings[count++] = take_field(&rest, &end);
	EXPECT_EQUAL(count, width);
	for (i = 0; *rest; i++) {
		const json_t *row = json_array_get(rows, i);

		for (int column = 0; column < count; column++) {
			expect_value(member(row, headings[column]), take_field(&rest, &end));
			EXPECT_EQUAL(end, column + 1 < count ? ',' : '\n');
		}
	}
	EXPECT_EQUAL(i, json_array_size(rows));
	printf("%s: %zu records of %d fields\n", view, i, count);
	json_decref(document);
	free(text);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	char path[PATH_MAX], *text;
	uint64_t id;

	inspects_begin(argc, argv, 60);
	handle = inspected_open("a \"task\"", &now_ns, path);
	fill(handle);
	compare(path, "transactions",
		"id,at,kind,namespace,category,amount,held,commit,late,description", 10);
	for (size_t i = 0; i < NAMES; i++)
		EXPECT_OK(be_commit(handle, "top", 1, names[i], &id));
	compare(path, "commits",
		"id,namespace,category,amount,created,expires,detached,owner,state,description",
		10);
	text = inspect_text("--csv", "--sort", "id", "-o",
			    "id,namespace,category,parent,ends,state", path, NULL);
	EXPECT_CONTAINS(
		text,
		"id,namespace,category,parent_namespace,parent_category,period_end,suspended\n"
		"1,\"a \"\"task\"\"\",top,,,,false\n"
		"2,\"a \"\"task\"\"\",\"a,b\",\"a \"\"task\"\"\",top,,false\n"
		"3,\"a \"\"task\"\"\",\"\"\"\",\"a \"\"task\"\"\",\"a,b\",,false\n");
	EXPECT_CONTAINS(text, ",=1+1,");
	free(text);
	text = inspect_text("--csv", "--noheadings", "-o", "id,category", "--category", " first",
			    path, NULL);
	EXPECT_TEXT(text, "5,\" first\"\n");
	free(text);
	text = inspect_text("--csv=crlf", "-o", "id", "--category", " first", path, NULL);
	EXPECT_TEXT(text, "id\r\n5\r\n");
	free(text);
	EXPECT_REFUSED(2, "--csv: 'cr': only =crlf may follow", "--csv=cr", path);
	be_close(handle);
	return 0;
}
