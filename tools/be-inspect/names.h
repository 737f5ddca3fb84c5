/* SPDX-License-Identifier: Apache-2.0 */
/* Texts numbered in the order in which they were first seen: each is kept once, however often it is
 * looked up. Begins zeroed. A text is any bytes, so that several that end with a NUL may be one. */
#ifndef NAMES_H
#define NAMES_H

#include "text.h"

#include <stddef.h>
#include <stdint.h>

#define NAMES_NONE UINT32_MAX

struct names {
	struct text bytes;     /* of all, one after the other */
	struct name_of *names; /* in the order of their numbers */
	size_t count, room;
	uint32_t *slots; /* a number plus 1, or 0 */
	size_t slot_count;
};

/* The number of a text, which is added where it is new. */
uint32_t names_add(struct names *names, const char *bytes, size_t size);

/* The number of a text; NAMES_NONE when it is not there. */
uint32_t names_find(const struct names *names, const char *bytes, size_t size);

/* The text of a number, valid until the next one is added. */
const char *names_text(const struct names *names, uint32_t number);

void names_free(struct names *names);

/* Mixes eight bytes into a hash, for those who have tables of their own. */
uint64_t names_mix(uint64_t hash, uint64_t value);

#endif
