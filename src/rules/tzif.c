/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads zone files. Of a file that has a second block, with times of 64 bits, only that and the
 * footer behind it are looked at. Every count is compared with what there is before it is believed.
 */
#include "rules/tzif.h"

#include "rules/zone.h"

#include <string.h>

#define HEADER_SIZE 44

/* One block: where its parts begin. */
struct tzif_block {
	const uint8_t *times, *types, *infos, *end;
	uint32_t time_count, type_count;
	size_t time_size;
	bool has_leaps;
};

static uint32_t get_32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static int64_t time_at(const struct tzif_block *block, uint32_t index)
{
	const uint8_t *at = block->times + index * block->time_size;

	if (block->time_size == 4)
		return (int32_t)get_32(at);
	return (int64_t)((uint64_t)get_32(at) << 32 | get_32(at + 4));
}

static int32_t offset_at(const struct tzif_block *block, uint32_t type)
{
	return (int32_t)get_32(block->infos + (size_t)type * 6);
}

/* Takes a block's header apart, and says where the block ends. */
static bool take_block(const uint8_t *at, const uint8_t *end, size_t time_size,
		       struct tzif_block *block)
{
	uint64_t left, need;
	uint32_t count[6]; /* UTC and standard flags, leap seconds, times, types, characters */

	if (end - at < HEADER_SIZE || memcmp(at, "TZif", 4) != 0)
		return false;
	for (size_t i = 0; i < 6; i++)
		count[i] = get_32(at + 20 + 4 * i);
	left = (uint64_t)(end - at) - HEADER_SIZE;
	need = (uint64_t)count[3] * (time_size + 1) + (uint64_t)count[4] * 6 + count[5] +
	       (uint64_t)count[2] * (time_size + 4) + count[1] + count[0];
	if (need > left || count[4] == 0 || count[4] > 256)
		return false;
	block->time_size = time_size;
	block->time_count = count[3];
	block->type_count = count[4];
	block->has_leaps = count[2] > 0;
	block->times = at + HEADER_SIZE;
	block->types = block->times + count[3] * time_size;
	block->infos = block->types + count[3];
	block->end = at + HEADER_SIZE + need;
	for (uint32_t i = 0; i < count[3]; i++)
		if (block->types[i] >= count[4] ||
		    (i > 0 && time_at(block, i) <= time_at(block, i - 1)))
			return false;
	return true;
}

/* The footer: a line of its own behind the block. */
static bool take_footer(const uint8_t *at, const uint8_t *end, const char **rule, size_t *size)
{
	const uint8_t *newline;

	if (at == end || *at != '\n')
		return false;
	at++;
	newline = memchr(at, '\n', (size_t)(end - at));
	if (!newline)
		return false;
	*rule = (const char *)at;
	*size = (size_t)(newline - at);
	return true;
}

/* The changes of the block from from_s on, of which as many are kept as there is room for: of those
 * that have some every year to come, decades. */
static uint32_t take_changes(const struct tzif_block *block, int64_t from_s, int32_t *first_s,
			     struct zone_change *changes)
{
	uint32_t count = 0;

	*first_s = offset_at(block, 0);
	for (uint32_t i = 0; i < block->time_count && count < ZONE_CHANGES_MAX; i++) {
		int32_t offset_s = offset_at(block, block->types[i]);
		int32_t before_s = count > 0 ? changes[count - 1].offset_s : *first_s;

		if (time_at(block, i) <= from_s)
			*first_s = offset_s;
		else if (offset_s != before_s || i == block->time_count - 1)
			changes[count++] = (struct zone_change){time_at(block, i), offset_s};
	}
	return count;
}

size_t tzif_pack(const void *bytes, size_t size, int64_t from_s, uint8_t *packed, const char **why)
{
	struct zone_change changes[ZONE_CHANGES_MAX];
	const uint8_t *at = bytes, *end = at + size;
	const char *rule = "";
	size_t rule_size = 0, packed_size;
	struct tzif_block block;
	int32_t first_s;
	uint32_t count;

	*why = "it is no time zone file";
	if (!take_block(at, end, 4, &block))
		return 0;
	if (at[4] >= '2' && (!take_block(block.end, end, 8, &block) ||
			     !take_footer(block.end, end, &rule, &rule_size)))
		return 0;
	if (block.has_leaps) {
		*why = "it counts leap seconds";
		return 0;
	}
	count = take_changes(&block, from_s, &first_s, changes);
	packed_size = zone_pack(packed, first_s, changes, count, rule, rule_size);
	if (packed_size == 0)
		*why = "its offsets, or its rule for the future, are out of range";
	return packed_size;
}
