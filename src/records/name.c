/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and descriptions: what is accepted, and how it is copied.
 *
 * be_check() sets a category on every call, so ASCII is looked at eight bytes at a time and only
 * what remains goes through the UTF-8 decoder, byte by byte. No byte behind a text's NUL is read.
 */
#include "records/name.h"
#include "base/error.h"

#include <string.h>

static const char control_character[] = "it has a control character";
static const char malformed[] = "it is not valid UTF-8";

/* True when all eight bytes are printable ASCII, 0x20 to 0x7E. With every byte below 0x80, adding 1
 * carries into bit 7 for 0x7F alone, and subtracting 0x20 borrows into it for the lowest byte that
 * is below 0x20; where neither happens, no byte disturbs its neighbour. */
static bool word_is_plain(const char *at)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return ((word | (word + ones) | (word - 0x20 * ones)) & (0x80 * ones)) == 0;
}

/* Steps over one character; NULL, or what is wrong with it. The first byte decides the length and,
 * where overlong forms, surrogates or code points past U+10FFFF begin with it, narrows the
 * second. */
static const char *step(const unsigned char **at, const unsigned char *end)
{
	unsigned char first = *(*at)++, low = 0x80, high = 0xBF;
	int more;

	if (first < 0x80)
		return first < 0x20 || first == 0x7F ? control_character : NULL;
	if (first < 0xC2 || first > 0xF4)
		return malformed;
	more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
	if (end - *at < more)
		return malformed;
	if (first == 0xE0)
		low = 0xA0;
	else if (first == 0xED)
		high = 0x9F;
	else if (first == 0xF0)
		low = 0x90;
	else if (first == 0xF4)
		high = 0x8F;
	if (**at < low || **at > high)
		return malformed;
	if (first == 0xC2 && **at < 0xA0)
		return control_character;
	for ((*at)++; more > 1; more--) {
		if ((*(*at)++ & 0xC0) != 0x80)
			return malformed;
	}
	return NULL;
}

/* NULL, or what is wrong with a text. What the words leave over is looked at as the last eight
 * bytes of the text, some of them for the second time. */
static const char *fault(const char *text, size_t size)
{
	const char *end = text + size;

	for (;;) {
		const unsigned char *at;
		const char *wrong;

		while (end - text >= 8 && word_is_plain(text))
			text += 8;
		if (text == end || (size >= 8 && end - text < 8 && word_is_plain(end - 8)))
			return NULL;
		at = (const unsigned char *)text;
		wrong = step(&at, (const unsigned char *)end);
		if (wrong)
			return wrong;
		text = (const char *)at;
	}
}

/* Copies a text of at most `most` bytes with its NUL and sets *size; NULL, or what is wrong with
 * it, and then the copy is empty. */
static const char *copy_text(char *to, size_t *size, const char *text, size_t most)
{
	const char *wrong;

	*size = strnlen(text, most + 1);
	wrong = *size > most ? "it is too long" : fault(text, *size);
	if (wrong)
		*size = 0;
	memcpy(to, text, *size);
	to[*size] = '\0';
	return wrong;
}

bool name_text_is_valid(const char *text, size_t size)
{
	return !fault(text, size);
}

enum be_status name_set_namespace(struct name *name, const char *text)
{
	size_t size;
	const char *wrong = copy_text(name->namespace_name, &size, text, BE_NAME_SIZE - 1);

	name->namespace_size = (uint8_t)size;
	if (wrong)
		return error_set(BE_INVALID_NAME,
				 "namespace: %s; it may be %d bytes of UTF-8 at most", wrong,
				 BE_NAME_SIZE - 1);
	return BE_OK;
}

enum be_status name_set_category(struct name *name, const char *text)
{
	size_t size;
	const char *wrong = copy_text(name->category, &size, text, BE_NAME_SIZE - 1);

	name->category_size = (uint8_t)size;
	if (!wrong && size == 0)
		wrong = "it is empty";
	if (wrong)
		return error_set(BE_INVALID_NAME, "category: %s; it must be 1 to %d bytes of UTF-8",
				 wrong, BE_NAME_SIZE - 1);
	return BE_OK;
}

bool name_equal(const struct name *a, const struct name *b)
{
	return a->category_size == b->category_size && a->namespace_size == b->namespace_size &&
	       memcmp(a->category, b->category, a->category_size) == 0 &&
	       memcmp(a->namespace_name, b->namespace_name, a->namespace_size) == 0;
}

void name_copy(struct name *to, const struct name *from)
{
	to->namespace_size = from->namespace_size;
	to->category_size = from->category_size;
	memcpy(to->namespace_name, from->namespace_name, from->namespace_size + 1U);
	memcpy(to->category, from->category, from->category_size + 1U);
}

uint8_t *name_pack(uint8_t *at, const struct name *name)
{
	*at++ = name->namespace_size;
	*at++ = name->category_size;
	memcpy(at, name->namespace_name, name->namespace_size);
	at += name->namespace_size;
	memcpy(at, name->category, name->category_size);
	return at + name->category_size;
}

bool name_unpack(const uint8_t **at, const uint8_t *end, struct name *name)
{
	const uint8_t *bytes = *at;

	if (end - bytes < 2 || bytes[0] >= BE_NAME_SIZE || bytes[1] >= BE_NAME_SIZE ||
	    bytes[1] == 0 || end - bytes < 2 + bytes[0] + bytes[1])
		return false;
	name->namespace_size = bytes[0];
	name->category_size = bytes[1];
	memcpy(name->namespace_name, bytes + 2, bytes[0]);
	name->namespace_name[bytes[0]] = '\0';
	memcpy(name->category, bytes + 2 + bytes[0], bytes[1]);
	name->category[bytes[1]] = '\0';
	*at = bytes + 2 + bytes[0] + bytes[1];
	return name_text_is_valid(name->namespace_name, name->namespace_size) &&
	       name_text_is_valid(name->category, name->category_size);
}

enum be_status name_set_key(char key[BE_KEY_SIZE], uint8_t *size, const char *text)
{
	size_t length;
	const char *wrong = copy_text(key, &length, text, BE_KEY_SIZE - 1);

	*size = (uint8_t)length;
	if (!wrong && length == 0)
		wrong = "it is empty";
	if (wrong)
		return error_set(BE_INVALID_KEY, "key: %s; it must be 1 to %d bytes of UTF-8",
				 wrong, BE_KEY_SIZE - 1);
	return BE_OK;
}

enum be_status name_set_description(char description[BE_DESCRIPTION_SIZE], uint16_t *size,
				    const char *text)
{
	size_t length;
	const char *wrong =
		copy_text(description, &length, text ? text : "", BE_DESCRIPTION_SIZE - 1);

	*size = (uint16_t)length;
	if (wrong)
		return error_set(BE_INVALID_DESCRIPTION,
				 "description: %s; it may be %d bytes of UTF-8 at most", wrong,
				 BE_DESCRIPTION_SIZE - 1);
	return BE_OK;
}
