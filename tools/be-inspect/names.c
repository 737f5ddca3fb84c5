/* SPDX-License-Identifier: Apache-2.0 */
/* Texts numbered in the order in which they were first seen, found by hashing. */
#include "names.h"

#include "tool.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 1024

struct name_of {
	size_t place; /* in `bytes` */
	uint32_t size;
	uint32_t hash;
};

uint64_t names_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static uint32_t hash_of(const char *bytes, size_t size)
{
	uint64_t hash = size, word;

	for (; size >= sizeof word; bytes += sizeof word, size -= sizeof word) {
		memcpy(&word, bytes, sizeof word);
		hash = names_mix(hash, word);
	}
	word = 0;
	memcpy(&word, bytes, size);
	return (uint32_t)names_mix(hash, word);
}

/* The slot that a text has, or would have. */
static uint32_t *find_slot(const struct names *names, const char *bytes, size_t size, uint32_t hash)
{
	size_t slot = hash & (names->slot_count - 1);

	for (; names->slots[slot] != 0; slot = (slot + 1) & (names->slot_count - 1)) {
		const struct name_of *name = &names->names[names->slots[slot] - 1];

		if (name->hash == hash && name->size == size &&
		    memcmp(names->bytes.bytes + name->place, bytes, size) == 0)
			break;
	}
	return &names->slots[slot];
}

static void grow_slots(struct names *names)
{
	size_t count = names->slot_count > 0 ? 2 * names->slot_count : SLOTS_MIN;
	uint32_t *slots = calloc(count, sizeof *slots);

	if (!slots)
		tool_out_of_memory();
	for (size_t i = 0; i < names->count; i++) {
		size_t slot = names->names[i].hash & (count - 1);

		while (slots[slot] != 0)
			slot = (slot + 1) & (count - 1);
		slots[slot] = (uint32_t)i + 1;
	}
	free(names->slots);
	names->slots = slots;
	names->slot_count = count;
}

uint32_t names_find(const struct names *names, const char *bytes, size_t size)
{
	uint32_t *slot;

	if (names->slot_count == 0)
		return NAMES_NONE;
	slot = find_slot(names, bytes, size, hash_of(bytes, size));
	return *slot != 0 ? *slot - 1 : NAMES_NONE;
}

uint32_t names_add(struct names *names, const char *bytes, size_t size)
{
	uint32_t hash = hash_of(bytes, size), *slot;

	if (names->count >= names->slot_count / 2)
		grow_slots(names);
	slot = find_slot(names, bytes, size, hash);
	if (*slot != 0)
		return *slot - 1;
	if (names->count >= NAMES_NONE - 1)
		errx(TOOL_EXIT_FAULT, "more than %u different groups", NAMES_NONE - 1);
	names->names = tool_grow(names->names, names->count, &names->room, sizeof *names->names);
	names->names[names->count] = (struct name_of){names->bytes.used, (uint32_t)size, hash};
	text_append_bytes(&names->bytes, bytes, size);
	*slot = (uint32_t)++names->count;
	return *slot - 1;
}

const char *names_text(const struct names *names, uint32_t number)
{
	return names->bytes.bytes + names->names[number].place;
}

void names_free(struct names *names)
{
	free(names->bytes.bytes);
	free(names->names);
	free(names->slots);
	*names = (struct names){0};
}
