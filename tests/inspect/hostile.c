/* SPDX-License-Identifier: Apache-2.0 */
/* Names that could deceive: they come out harmless in a table, in --raw and in JSON, and whole from
 * JSON, in whatever locale it runs. */
#include "inspects.h"

#include <stdlib.h>

/* Quotes, backslashes, a look-alike of an escape, wide and combining characters, a turn of
 * direction. */
static const char *const names[] = {
	"\"; drop",        "C:\\x1b[31m",       "a/b c",
	"e\u0301te\u0301", "safe\u202egnp.exe", "\u65e5\u672c\u8a9e",
};
#define NAMES (int)(sizeof names / sizeof names[0])

static void check_json(const char *path)
{
	json_t *document = inspect_json("--json", path, "transactions", NULL);
	json_t *array = json_object_get(document, "transactions");
	char *text;

	EXPECT_EQUAL(json_array_size(array), NAMES);
	for (int i = 0; i < NAMES; i++) {
		json_t *row = json_array_get(array, (size_t)i);

		EXPECT_TEXT(json_string_value(json_object_get(row, "namespace")),
			    names[NAMES - 1 - i]);
		EXPECT_TEXT(json_string_value(json_object_get(row, "category")), names[i]);
		EXPECT_TEXT(json_string_value(json_object_get(row, "description")), names[i]);
	}
	json_decref(document);
	text = inspect_text("--json", path, NULL);
	for (const char *c = text; *c; c++)
		EXPECT((*c >= ' ' && *c <= '~') || *c == '\n');
	free(text);
}

static void check_table(const char *path)
{
	char *text = inspect_text("-o", "category,amount,description", path, "transactions", NULL);

	EXPECT_TEXT(text, "CATEGORY                     AMOUNT DESCRIPTION\n"
			  "\"; drop                 0.000000001 \"; drop\n"
			  "C:\\x5cx1b[31m           0.000000001 C:\\x5cx1b[31m\n"
			  "a/b c                   0.000000001 a/b c\n"
			  "e\u0301te\u0301                     0.000000001 e\u0301te\u0301\n"
			  "safe\\xe2\\x80\\xaegnp.exe 0.000000001 safe\\xe2\\x80\\xaegnp.exe\n"
			  "\u65e5\u672c\u8a9e                  0.000000001 \u65e5\u672c\u8a9e\n");
	free(text);
	text = inspect_text("--raw", "-H", "-o", "category", path, "transactions", NULL);
	EXPECT_TEXT(text, "\";\\x20drop\n"
			  "C:\\x5cx1b[31m\n"
			  "a/b\\x20c\n"
			  "e\u0301te\u0301\n"
			  "safe\\xe2\\x80\\xaegnp.exe\n"
			  "\u65e5\u672c\u8a9e\n");
	free(text);
}

static void check_filters(const char *path)
{
	for (int i = 0; i < NAMES; i++) {
		json_t *document = inspect_json("-j", "-o", "category", "--category", names[i],
						"--namespace", names[NAMES - 1 - i], path, NULL);

		EXPECT_EQUAL(json_array_size(json_object_get(document, "envelopes")), 1);
		json_decref(document);
	}
}

int main(int argc, char **argv)
{
	static const char *const locales[] = {"C.UTF-8", "C", "POSIX", "de_DE.ISO-8859-1",
					      "nonsense"};
	int64_t now_ns = INSPECTED_NS;
	char path[PATH_MAX];

	inspects_begin(argc, argv, 60);
	for (int i = 0; i < NAMES; i++) {
		struct be_enforcer *handle = inspected_open(names[NAMES - 1 - i], &now_ns, path);

		EXPECT_OK(be_envelope_create(handle, names[i], BE_UNIT, BE_PERIOD_TOTAL, NULL));
		EXPECT_OK(be_record(handle, names[i], 1, names[i], NULL));
		be_close(handle);
	}
	check_json(path);
	check_filters(path);
	for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
		setenv("LC_ALL", locales[i], 1);
		check_table(path);
	}
	return 0;
}
