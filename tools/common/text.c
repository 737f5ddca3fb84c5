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

char *text_escape(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t left = strlen(text), size;
	char *safe = malloc(4 * left + 1), *end = safe;

	if (safe == NULL)
		tool_out_of_memory();
	for (; left > 0; text += size, left -= size) {
		size = printable_size(text, left);
		if (size > 0) {
			end = mempcpy(end, text, size);
			continue;
		}
		size = 1;
		*end++ = '\\';
		*end++ = 'x';
		*end++ = digits[(unsigned char)*text >> 4];
		*end++ = digits[(unsigned char)*text & 15];
	}
	*end = '\0';
	return safe;
}
