/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed as it is, and what is escaped: control characters, malformed UTF-8, turns of
 * direction. */
#include "support.h"
#include "text.h"
#include "tool.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *text;
	const char *safe;
} cases[] = {
	{"", ""},
	{"plain ~ text", "plain ~ text"},
	{"\u00e9t\u00e9 \u65e5\u672c \U0001f600", "\u00e9t\u00e9 \u65e5\u672c \U0001f600"},
	{"\001\t\n\r\033[0m\177", "\\x01\\x09\\x0a\\x0d\\x1b[0m\\x7f"},
	{"a\xc2\x80z\xc2\x9bz\xc2\xa0z", "a\\xc2\\x80z\\xc2\\x9bz\u00a0z"},
	/* A backslash is harmless but for what looks like an escape. */
	{"\\ \\n \\\\ \\x \\\\x41 \\", "\\ \\n \\\\ \\x5cx \\\\x5cx41 \\"},
	{"\xff\xfe", "\\xff\\xfe"},
	{"\xc3", "\\xc3"},
	{"\xc3(", "\\xc3("},
	{"\xe2\x82", "\\xe2\\x82"},
	{"\xc0\x8a", "\\xc0\\x8a"},
	{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
	{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
	{"\u061c\u200e\u200f", "\\xd8\\x9c\\xe2\\x80\\x8e\\xe2\\x80\\x8f"},
	{"\u202a.\u202e", "\\xe2\\x80\\xaa.\\xe2\\x80\\xae"},
	{"\u2066.\u2069", "\\xe2\\x81\\xa6.\\xe2\\x81\\xa9"},
	{"\u2028\u2029", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9"},
	{"\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"},
};

static void check_escape(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *safe = text_escape(cases[i].text);

		EXPECT_TEXT(safe, cases[i].safe);
		free(safe);
	}
}

/* In whatever bytes, nothing is left that a terminal would obey, and the escapes can be undone. */
static void check_random(void)
{
	uint64_t random = test_seed();

	for (int round = 0; round < 20000; round++) {
		char text[33] = "", back[33] = "", *safe, *end = back;
		size_t size = test_random(&random) % 32;

		for (size_t i = 0; i < size; i++)
			text[i] = (char)(1 + test_random(&random) % 255);
		safe = text_escape(text);
		EXPECT(mbstowcs(NULL, safe, 0) != (size_t)-1);
		for (const char *c = safe; *c; c++) {
			EXPECT(((unsigned char)*c >= ' ' && *c != 0x7f));
			if (c[0] == '\\' && c[1] == 'x') {
				const char digits[3] = {c[2], c[3], '\0'};

				*end++ = (char)strtol(digits, NULL, 16);
				c += 3;
			} else {
				*end++ = *c;
			}
		}
		EXPECT_TEXT(back, text);
		free(safe);
	}
}

int main(void)
{
	test_begin(60);
	/* Whatever the locale, names are UTF-8. */
	setenv("LC_ALL", "C", 1);
	tool_start();
	check_escape();
	setenv("LC_ALL", "C.UTF-8", 1);
	tool_start();
	check_escape();
	check_random();
	return 0;
}
