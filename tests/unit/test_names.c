/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and descriptions: what is accepted is exactly well-formed UTF-8 without control characters,
 * of the right length, wherever in a text the character stands. Every text is judged in a buffer
 * that ends where it ends, so that a sanitizer sees a byte read too far.
 */
#include "records/name.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_valid(const char *text, size_t size)
{
	char *exact = malloc(size ? size : 1);
	bool valid;

	cr_assert(exact);
	memcpy(exact, text, size);
	valid = name_text_is_valid(exact, size);
	free(exact);
	return valid;
}

/* The same text with 0 to 17 plain characters before and behind it, so that it meets every position
 * in the words that are looked at together. */
static bool is_valid_everywhere(const char *text, size_t size, bool *same)
{
	char padded[64];
	bool valid = is_valid(text, size);

	*same = true;
	for (size_t before = 0; before <= 17; before++) {
		for (size_t behind = 0; behind <= 17; behind++) {
			memset(padded, 'p', sizeof padded);
			memcpy(padded + before, text, size);
			if (is_valid(padded, before + size + behind) != valid)
				*same = false;
		}
	}
	return valid;
}

static size_t encode(uint32_t point, char *to)
{
	if (point < 0x80) {
		to[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		to[0] = (char)(0xC0 | point >> 6);
		to[1] = (char)(0x80 | (point & 0x3F));
		return 2;
	}
	if (point < 0x10000) {
		to[0] = (char)(0xE0 | point >> 12);
		to[1] = (char)(0x80 | (point >> 6 & 0x3F));
		to[2] = (char)(0x80 | (point & 0x3F));
		return 3;
	}
	to[0] = (char)(0xF0 | point >> 18);
	to[1] = (char)(0x80 | (point >> 12 & 0x3F));
	to[2] = (char)(0x80 | (point >> 6 & 0x3F));
	to[3] = (char)(0x80 | (point & 0x3F));
	return 4;
}

Test(names, every_code_point_is_accepted_but_controls_and_surrogates)
{
	size_t accepted = 0;

	for (uint32_t point = 0; point <= 0x1FFFFF; point++) {
		bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
		bool surrogate = point >= 0xD800 && point <= 0xDFFF;
		char text[4];
		bool valid = name_text_is_valid(text, encode(point, text));

		cr_assert_eq(valid, !control && !surrogate && point <= 0x10FFFF, "U+%04X", point);
		accepted += valid;
	}
	/* All 17 planes without 2048 surrogates and 65 controls. */
	cr_expect_eq(accepted, 17 * 65536 - 2048 - 65);
	printf("%zu code points accepted\n", accepted);
}

Test(names, what_is_wrong_is_seen_at_every_position)
{
	static const struct {
		const char *text;
		size_t size;
		bool valid;
	} cases[] = {
		{"", 0, true},
		{" ", 1, true},
		{"~", 1, true},
		{"\0", 1, false},
		{"\x01", 1, false},
		{"\x1F", 1, false},
		{"\x7F", 1, false},
		{"\x7F\x1F", 2, false},
		{"\x80", 1, false},
		{"\xBF", 1, false},
		{"\xFF", 1, false},
		{"\xFE", 1, false},
		{"\xC2\x80", 2, false}, /* U+0080, the first control of the second range */
		{"\xC2\x85", 2, false}, /* U+0085, NEXT LINE */
		{"\xC2\x9F", 2, false}, /* U+009F, the last one */
		{"\xC2\xA0", 2, true},
		{"\xC3\xA4", 2, true},
		{"\xDF\xBF", 2, true},
		{"\xC2", 1, false},             /* cut */
		{"\xC0\xAF", 2, false},         /* overlong */
		{"\xC1\xBF", 2, false},         /* overlong */
		{"\xE0\x9F\xBF", 3, false},     /* overlong */
		{"\xE0\xA0\x80", 3, true},      /* U+0800 */
		{"\xED\x9F\xBF", 3, true},      /* U+D7FF */
		{"\xED\xA0\x80", 3, false},     /* a surrogate */
		{"\xED\xBF\xBF", 3, false},     /* a surrogate */
		{"\xEE\x80\x80", 3, true},      /* U+E000 */
		{"\xE2\x82", 2, false},         /* cut */
		{"\xE2\x82p", 3, false},        /* cut by another character */
		{"\xE2\x82\xC2", 3, false},     /* cut by a first byte */
		{"\xF0\x8F\xBF\xBF", 4, false}, /* overlong */
		{"\xF0\x90\x80\x80", 4, true},  /* U+10000 */
		{"\xF0\x9F\xA4\x96", 4, true},  /* U+1F916 */
		{"\xF0\x9F\xA4", 3, false},     /* cut */
		{"\xF0\x9F\xA4p", 4, false},    /* cut by another character */
		{"\xF0\x9Fp\x96", 4, false},
		{"\xF4\x8F\xBF\xBF", 4, true},  /* U+10FFFF */
		{"\xF4\x90\x80\x80", 4, false}, /* past it */
		{"\xF5\x80\x80\x80", 4, false},
		{"\xF8\x88\x80\x80\x80", 5, false},
		{"\xED\xA0\xBD\xED\xB8\x80", 6,
		 false},                   /* a pair of surrogates, as some systems write them */
		{"\xEF\xBB\xBF", 3, true}, /* U+FEFF */
		{"\xEF\xBF\xBF", 3, true}, /* U+FFFF */
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		bool same, valid = is_valid_everywhere(cases[i].text, cases[i].size, &same);

		cr_expect_eq(valid, cases[i].valid, "case %zu", i);
		cr_expect(same, "case %zu depends on where it stands", i);
	}
}

Test(names, every_pair_of_bytes_is_judged_alike_at_every_position)
{
	for (int first = 0; first < 256; first++) {
		for (int second = 0; second < 256; second++) {
			const unsigned char pair[2] = {(unsigned char)first, (unsigned char)second};
			bool plain =
				first >= 0x20 && first < 0x7F && second >= 0x20 && second < 0x7F;
			bool two = first >= 0xC2 && first <= 0xDF && (second & 0xC0) == 0x80 &&
				   !(first == 0xC2 && second < 0xA0);

			for (size_t at = 0; at <= 14; at++) {
				char text[16];

				memset(text, 'p', sizeof text);
				memcpy(text + at, pair, 2);
				cr_assert_eq(name_text_is_valid(text, sizeof text), plain || two,
					     "%02X %02X at %zu", (unsigned)first, (unsigned)second,
					     at);
			}
		}
	}
}

/* A text of `size` bytes that ends with its allocation. */
static char *text_of(size_t size)
{
	char *text = malloc(size + 1);

	cr_assert(text);
	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 26);
	text[size] = '\0';
	return text;
}

Test(names, a_category_is_1_to_127_bytes)
{
	for (size_t size = 0; size <= 300; size++) {
		char *text = text_of(size);
		struct name name;
		enum be_status status;

		memset(&name, '#', sizeof name);
		status = name_set_category(&name, text);
		if (size >= 1 && size <= 127) {
			cr_expect_eq(status, BE_OK, "%zu bytes", size);
			cr_expect_eq(name.category_size, size);
			cr_expect_str_eq(name.category, text);
		} else {
			cr_expect_eq(status, BE_INVALID_NAME, "%zu bytes", size);
			cr_expect_eq(name.category_size, 0);
			cr_expect_str_empty(name.category);
			cr_expect(strstr(be_last_error(), "category"));
			cr_expect(strstr(be_last_error(), size ? "too long" : "empty"), "%s",
				  be_last_error());
		}
		cr_expect_eq(name.namespace_name[0], '#', "the namespace was touched");
		free(text);
	}
}

Test(names, a_namespace_is_0_to_127_bytes)
{
	for (size_t size = 0; size <= 300; size++) {
		char *text = text_of(size);
		struct name name;
		enum be_status status;

		memset(&name, '#', sizeof name);
		status = name_set_namespace(&name, text);
		cr_expect_eq(status, size <= 127 ? BE_OK : BE_INVALID_NAME, "%zu bytes", size);
		cr_expect_eq(name.namespace_size, size <= 127 ? size : 0);
		cr_expect_str_eq(name.namespace_name, size <= 127 ? text : "");
		if (status != BE_OK)
			cr_expect(strstr(be_last_error(), "namespace"));
		cr_expect_eq(name.category[0], '#', "the category was touched");
		free(text);
	}
}

Test(names, a_description_is_0_to_512_bytes_or_null)
{
	char description[BE_DESCRIPTION_SIZE];
	uint16_t stored;

	for (size_t size = 0; size <= 1100; size++) {
		char *text = text_of(size);
		enum be_status status;

		stored = 4711;
		memset(description, '#', sizeof description);
		status = name_set_description(description, &stored, text);
		cr_expect_eq(status, size <= 512 ? BE_OK : BE_INVALID_DESCRIPTION, "%zu bytes",
			     size);
		cr_expect_eq(stored, size <= 512 ? size : 0);
		cr_expect_str_eq(description, size <= 512 ? text : "");
		if (status != BE_OK)
			cr_expect(strstr(be_last_error(), "description"));
		free(text);
	}
	memset(description, '#', sizeof description);
	cr_expect_eq(name_set_description(description, &stored, NULL), BE_OK);
	cr_expect_eq(stored, 0);
	cr_expect_str_empty(description);
}

Test(names, a_malformed_name_says_what_is_wrong)
{
	struct name name;
	char description[BE_DESCRIPTION_SIZE];
	uint16_t size;

	cr_expect_eq(name_set_category(&name, "llm\ncalls"), BE_INVALID_NAME);
	cr_expect(strstr(be_last_error(), "control character"), "%s", be_last_error());
	cr_expect_eq(name_set_category(&name, "llm\xC2\x9B"
					      "calls"),
		     BE_INVALID_NAME);
	cr_expect(strstr(be_last_error(), "control character"), "%s", be_last_error());
	cr_expect_eq(name_set_namespace(&name, "llm\xFF"), BE_INVALID_NAME);
	cr_expect(strstr(be_last_error(), "UTF-8"), "%s", be_last_error());
	cr_expect_eq(name_set_namespace(&name, "cut \xE2\x82"), BE_INVALID_NAME);
	cr_expect(strstr(be_last_error(), "UTF-8"), "%s", be_last_error());
	cr_expect_eq(name_set_description(description, &size, "\x1B[31m"), BE_INVALID_DESCRIPTION);
	cr_expect(strstr(be_last_error(), "control character"), "%s", be_last_error());
}

static struct name named(const char *namespace_name, const char *category, int filler)
{
	struct name name;

	memset(&name, filler, sizeof name);
	cr_assert_eq(name_set_namespace(&name, namespace_name), BE_OK);
	cr_assert_eq(name_set_category(&name, category), BE_OK);
	return name;
}

Test(names, are_equal_by_what_they_say)
{
	struct name a = named("task-1", "llm", 0x00);
	struct name same = named("task-1", "llm", 0xAA);
	static const struct {
		const char *namespace_name, *category;
	} others[] = {{"task-1", "llN"}, {"task-1", "ll"},  {"task-1", "llmm"},
		      {"task-2", "llm"}, {"task-", "llm"},  {"task-11", "llm"},
		      {"", "llm"},       {"task-1l", "lm"}, {"llm", "task-1"}};

	cr_expect(name_equal(&a, &same));
	cr_expect(name_equal(&same, &a));
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct name other = named(others[i].namespace_name, others[i].category, 0x00);

		cr_expect_not(name_equal(&a, &other), "case %zu", i);
		cr_expect_not(name_equal(&other, &a), "case %zu", i);
	}
}

Test(names, a_copy_has_what_was_used_and_nothing_behind_it)
{
	static const char long_name[] =
		"0123456789012345678901234567890123456789012345678901234567890123"
		"456789012345678901234567890123456789012345678901234567890123456";
	static const char *const texts[] = {"", "a", "12345678", long_name};

	cr_assert_eq(strlen(long_name), 127);
	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 1; j < 4; j++) {
			struct name from = named(texts[i], texts[j], 'F'), to;

			memset(&to, '#', sizeof to);
			name_copy(&to, &from);
			cr_expect(name_equal(&to, &from));
			cr_expect_str_eq(to.namespace_name, texts[i]);
			cr_expect_str_eq(to.category, texts[j]);
			for (size_t at = strlen(texts[i]) + 1; at < BE_NAME_SIZE; at++)
				cr_assert_eq(to.namespace_name[at], '#');
			for (size_t at = strlen(texts[j]) + 1; at < BE_NAME_SIZE; at++)
				cr_assert_eq(to.category[at], '#');
		}
	}
}
