/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from elsewhere, made safe to print on a terminal.
 *
 * Escape sequences can rewrite what a terminal shows, and the characters that turn the direction of
 * writing can make one name look like another. The form \xHH is the one that lsblk and its kin use.
 */
#include "text.h"

#include "tool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* The marks, embeddings, overrides and isolates of bidirectional writing: the C library counts them
 * as printable. */
static bool turns_direction(wchar_t character)
{
	return character == 0x061c || character == 0x200e || character == 0x200f ||
	       (character >= 0x202a && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x2069);
}

/* How many bytes from `text` on, which is not at its end, are one character to be printed as it is;
 * 0 when the first byte must be escaped. */
static size_t printable_size(const char *text, size_t left)
{
	wchar_t character;
	mbstate_t state;
	size_t size;

	if (text[0] == '\\' && text[1] == 'x')
		return 0;
	memset(&state, 0, sizeof state);
	size = mbrtowc(&character, text, left, &state);
	if (size == (size_t)-1 || size == (size_t)-2)
		return 0;
	return iswprint((wint_t)character) && !turns_direction(character) ? size : 0;
}

/* Is it all ASCII, with nothing to be escaped? Nearly all is. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '\\')
			return false;
	return true;
}

char *text_reserve(struct text *to, size_t size)
{
	if (to->room - to->used <= size) {
		to->room = to->room + to->room / 2 + size + 1;
		to->bytes = realloc(to->bytes, to->room);
		if (!to->bytes)
			tool_out_of_memory();
	}
	return to->bytes + to->used;
}

void text_append_bytes(struct text *to, const char *bytes, size_t size)
{
	memcpy(text_reserve(to, size), bytes, size);
	to->used += size;
}

void text_append(struct text *to, const char *text)
{
	text_append_bytes(to, text, strlen(text));
}

void text_end(struct text *to)
{
	text_append_bytes(to, "", 1);
}

void text_append_escaped(struct text *to, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t left = strlen(text), size;

	if (is_plain(text)) {
		text_append_bytes(to, text, left);
		return;
	}
	for (; left > 0; text += size, left -= size) {
		size = printable_size(text, left);
		if (size > 0) {
			text_append_bytes(to, text, size);
			continue;
		}
		size = 1;
		text_append_bytes(to,
				  (char[]){'\\', 'x', digits[(unsigned char)*text >> 4],
					   digits[(unsigned char)*text & 15]},
				  4);
	}
}

char *text_escape(const char *text)
{
	struct text escaped = {0};

	text_append_escaped(&escaped, text);
	text_end(&escaped);
	return escaped.bytes;
}

/* As the library quotes names in which there is what divides them. */
static void append_name(struct text *to, const char *name)
{
	bool quoted = strchr(name, '/') != NULL || *name == '"';

	if (quoted)
		text_append(to, "\"");
	for (; *name; name++) {
		if (quoted && (*name == '"' || *name == '\\'))
			text_append(to, "\\");
		text_append_bytes(to, name, 1);
	}
	if (quoted)
		text_append(to, "\"");
}

char *text_label(const char *namespace_name, const char *category)
{
	struct text label = {0};

	if (namespace_name && *namespace_name) {
		append_name(&label, namespace_name);
		text_append(&label, "/");
	}
	append_name(&label, category);
	text_end(&label);
	return label.bytes;
}

void count_format(uint64_t count, char text[COUNT_TEXT_SIZE])
{
	char digits[COUNT_TEXT_SIZE], *first = digits + sizeof digits - 1;

	*first = '\0';
	do
		*--first = (char)('0' + count % 10);
	while ((count /= 10) != 0);
	strcpy(text, first);
}
