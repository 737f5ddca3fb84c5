/* SPDX-License-Identifier: Apache-2.0 */
/* What may be a namespace, a category or a description: valid UTF-8 without control characters. */
#ifndef NAME_H
#define NAME_H

#include <budget_enforcer.h>

/* Names one envelope. Both strings end in NUL, and the sizes do not count it; an empty category
 * means no name at all. Bytes after the NUL are undefined. Plain data: it may be copied, and shared
 * between processes. */
struct name {
	uint8_t namespace_size;
	uint8_t category_size;
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
};

/* True for well-formed UTF-8 (no overlong forms, surrogates or code points past U+10FFFF) without
 * U+0000 to U+001F and U+007F to U+009F. Plain ASCII is fast. */
bool name_text_is_valid(const char *text, size_t size);

/* Set one half of a name from a NUL-terminated text (not NULL): BE_INVALID_NAME, with an error text
 * that says what is wrong, for a malformed one or one of the wrong length. */
enum be_status name_set_namespace(struct name *name, const char *text);
enum be_status name_set_category(struct name *name, const char *text);

bool name_equal(const struct name *a, const struct name *b);

/* Copies namespace and category with their NULs, and nothing behind them. */
void name_copy(struct name *to, const struct name *from);

/* Packs a name behind others, and returns where the next one begins; takes one from there and moves
 * on, false when that is no name of an envelope. */
#define NAME_PACKED_MAX (2 + 2 * (BE_NAME_SIZE - 1))
uint8_t *name_pack(uint8_t *at, const struct name *name);
bool name_unpack(const uint8_t **at, const uint8_t *end, struct name *name);

/* Copies the key of a request (not NULL) and its size: BE_INVALID_KEY with an error text. */
enum be_status name_set_key(char key[BE_KEY_SIZE], uint8_t *size, const char *text);

/* Copies a description (NULL is "") and its size: BE_INVALID_DESCRIPTION with an error text. */
enum be_status name_set_description(char description[BE_DESCRIPTION_SIZE], uint16_t *size,
				    const char *text);

#endif
