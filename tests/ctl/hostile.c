/* SPDX-License-Identifier: Apache-2.0 */
/* Names that could deceive go through create, commit and apply, and come whole out of the JSON,
 * whose text is harmless on any terminal; so are errors. The runner is that of be-inspect's tests,
 * on be-ctl. */
#include "inspects.h"

#include <stdlib.h>
#include <string.h>

/* Quotes, backslashes, a look-alike of an escape, wide and combining characters, a turn of
 * direction, what means something to YAML, and the longest. */
static const char *const names[] = {
	"\"; drop",
	"C:\\x1b[31m",
	"it's {a: b} # & *c",
	"e\u0301te\u0301",
	"safe\u202egnp.exe",
	"\u65e5\u672c\u8a9e",
	" ",
	"$(touch /tmp/x)`id`",
	("a123456789a123456789a123456789a123456789a123456789a123456789a123456789a123456789a12345678"
	 "9a12345678"
	 "9"
	 "a123456789a123456789a123456"),
};
#define NAMES (int)(sizeof names / sizeof names[0])

static const char *member(json_t *document, const char *object, const char *key)
{
	return json_string_value(json_object_get(json_object_get(document, object), key));
}

static void round_trip(const char *path, const char *category, const char *namespace_name)
{
	json_t *document = inspect_json("create", "--json", "--category", category, "--namespace",
					namespace_name, "--limit", "1", path, NULL);

	EXPECT_TEXT(member(document, "envelope", "category"), category);
	EXPECT_TEXT(member(document, "envelope", "namespace"), namespace_name);
	json_decref(document);
	document = inspect_json("record", "--json", "--category", category, "--namespace",
				namespace_name, "--amount", "0.5", "--description", category, path,
				NULL);
	EXPECT_TEXT(member(document, "transaction", "category"), category);
	EXPECT_TEXT(member(document, "transaction", "namespace"), namespace_name);
	EXPECT_TEXT(member(document, "transaction", "description"), category);
	json_decref(document);
	document = inspect_json("check", "--json", "--category", category, "--namespace",
				namespace_name, "--amount", "0.5", path, NULL);
	EXPECT_TEXT(member(document, "decision", "category"), category);
	json_decref(document);
}

/* The same names in a file, as JSON strings, which YAML takes as they are. */
static void declare(const char *path, const char *file)
{
	json_t *envelopes = json_array(), *document;
	char *text;

	for (int i = 0; i < NAMES; i++)
		EXPECT_EQUAL(json_array_append_new(
				     envelopes, json_pack("{s:s, s:s, s:s}", "category", names[i],
							  "namespace", names[i], "limit", "2")),
			     0);
	document = json_pack("{s:o}", "envelopes", envelopes);
	EXPECT_EQUAL(json_dump_file(document, file, JSON_INDENT(1)), 0);
	json_decref(document);
	document = inspect_json("apply", "--json", path, file, NULL);
	envelopes = json_object_get(document, "changes");
	EXPECT_EQUAL(json_array_size(envelopes), NAMES);
	for (int i = 0; i < NAMES; i++) {
		json_t *change = json_array_get(envelopes, (size_t)i);

		EXPECT_TEXT(json_string_value(json_object_get(change, "category")), names[i]);
		EXPECT_TEXT(json_string_value(json_object_get(change, "namespace")), names[i]);
	}
	json_decref(document);
	text = inspect_text("apply", path, file, NULL);
	EXPECT_TEXT(text, "nothing to change\n");
	free(text);
}

/* One that asks for what is not there is told so without the terminal being turned over. */
static void check_errors(const char *path)
{
	struct ending ending;

	inspect(&ending, "check", "--json", "--category", "\x1b[31m\u202e", "--amount", "1", path,
		NULL);
	EXPECT_EQUAL(ending.status, 2);
	ending_free(&ending);
	inspect(&ending, "check", "--json", "--category", "safe\u202egnp", "--amount", "1", path,
		NULL);
	EXPECT_EQUAL(ending.status, 1);
	EXPECT_CONTAINS(ending.errors, "safe\\xe2\\x80\\xaegnp");
	for (const char *c = ending.output; *c; c++)
		EXPECT((*c >= ' ' && *c <= '~') || *c == '\n');
	ending_free(&ending);
	inspect(&ending, "check", "--amount", "\x1b[31m", path, NULL);
	EXPECT_EQUAL(ending.status, 2);
	EXPECT_LACKS(ending.errors, "\x1b");
	ending_free(&ending);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX], file[PATH_MAX];

	inspects_begin(argc, argv, 60);
	test_path(path, "environment");
	test_path(file, "budgets.yaml");
	for (int i = 0; i < NAMES; i++)
		round_trip(path, names[i], names[(i + 1) % NAMES]);
	declare(path, file);
	check_errors(path);
	printf("%d names came through create, record, check and apply\n", NAMES);
	return 0;
}
