/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB 0.9's layout once more, by offsets, on purpose: a test that took it from the library would
 * repeat its mistakes. The file is sound and trusted.
 */
#include "page-map.h"

#include "support.h"

#include <string.h>

#define PAGE 4096
#define HEADER 16
#define NODE 8
#define META_MAGIC 16
#define META_TREES 40 /* 48 bytes each */
#define META_LAST_PAGE 136
#define META_TXN 144
#define NO_PAGE UINT64_MAX

struct map {
	const uint8_t *file;
	uint8_t *uses;
	size_t pages;
};

static uint16_t get16(const uint8_t *bytes)
{
	uint16_t number;

	memcpy(&number, bytes, sizeof number);
	return number;
}

static uint64_t get64(const uint8_t *bytes)
{
	uint64_t number;

	memcpy(&number, bytes, sizeof number);
	return number;
}

static void mark(struct map *map, size_t offset, size_t size, enum byte_use use)
{
	EXPECT(offset + size <= map->pages * PAGE);
	memset(map->uses + offset, use, size);
}

static void map_free_list(struct map *map, size_t offset)
{
	mark(map, offset, 8 + 8 * (size_t)get64(map->file + offset), BYTE_STRUCTURE);
}

static void map_overflow(struct map *map, uint64_t page)
{
	size_t at = (size_t)page * PAGE;

	mark(map, at, 8, BYTE_STRUCTURE);      /* its number */
	mark(map, at + 10, 6, BYTE_STRUCTURE); /* flags, and how many pages */
	map_free_list(map, at + HEADER);
}

static void map_leaf_node(struct map *map, size_t at, bool records)
{
	size_t key_size = get16(map->file + at + 6);
	size_t size = get16(map->file + at) | (size_t)get16(map->file + at + 2) << 16;
	size_t value = at + NODE + key_size;

	mark(map, at, NODE, BYTE_STRUCTURE);
	mark(map, at + NODE, key_size, records ? BYTE_RECORD : BYTE_STRUCTURE);
	if (get16(map->file + at + 4) & 1) {
		EXPECT(!records);
		mark(map, value, 8, BYTE_STRUCTURE);
		map_overflow(map, get64(map->file + value));
	} else if (records) {
		mark(map, value, size, BYTE_RECORD);
	} else {
		map_free_list(map, value);
	}
}

static void map_page(struct map *map, uint64_t page, bool records)
{
	size_t at = (size_t)page * PAGE;
	bool leaf = get16(map->file + at + 10) == 2;
	size_t count = (get16(map->file + at + 12) - (size_t)HEADER) / 2;

	EXPECT(page < map->pages && (leaf || get16(map->file + at + 10) == 1));
	mark(map, at, 8, BYTE_STRUCTURE);
	mark(map, at + 10, 6 + 2 * count, BYTE_STRUCTURE);
	for (size_t i = 0; i < count; i++) {
		size_t node = at + get16(map->file + at + HEADER + 2 * i);

		if (leaf) {
			map_leaf_node(map, node, records);
			continue;
		}
		/* The first key of a branch page is never looked at. */
		mark(map, node, NODE + (i > 0 ? get16(map->file + node + 6) : 0), BYTE_STRUCTURE);
		map_page(map,
			 get16(map->file + node) | (uint64_t)get16(map->file + node + 2) << 16 |
				 (uint64_t)get16(map->file + node + 4) << 32,
			 records);
	}
}

void page_map(const uint8_t *file, size_t size, uint8_t *uses)
{
	struct map map = {.file = file, .uses = uses, .pages = size / PAGE};
	size_t newest = get64(file + META_TXN) < get64(file + PAGE + META_TXN);

	memset(uses, BYTE_UNUSED, size);
	EXPECT(size >= 2 * PAGE && size % PAGE == 0);
	for (size_t page = 0; page < 2; page++) {
		size_t at = page * PAGE;

		mark(&map, at, 8, BYTE_STRUCTURE);              /* its number */
		mark(&map, at + 10, 2, BYTE_STRUCTURE);         /* its flags */
		mark(&map, at + META_MAGIC, 8, BYTE_STRUCTURE); /* and the version */
		mark(&map, at + META_TREES, 6, BYTE_STRUCTURE); /* page size and flags */
		mark(&map, at + META_TXN, 8, BYTE_STRUCTURE);
		/* The root of the txn before tells that it was the one before. */
		mark(&map, at + META_TREES + 48 + 40, 8, BYTE_STRUCTURE);
		if (page != newest)
			continue;
		mark(&map, at + META_TREES, 48, BYTE_STRUCTURE);
		mark(&map, at + META_TREES + 52, 44, BYTE_STRUCTURE); /* all but an unused number */
		mark(&map, at + META_LAST_PAGE, 8, BYTE_STRUCTURE);
		for (size_t tree = 0; tree < 2; tree++) {
			uint64_t root = get64(file + at + META_TREES + 48 * tree + 40);

			if (root != NO_PAGE)
				map_page(&map, root, tree == 1);
		}
	}
}
