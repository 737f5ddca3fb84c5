/* SPDX-License-Identifier: Apache-2.0 */
#include "blocks.h"

#include "tool.h"

#include <stdlib.h>

#define BLOCK_SIZE 65536

struct block {
	struct block *before;
	size_t used, size;
	_Alignas(max_align_t) char bytes[];
};

void *blocks_take(struct block **blocks, size_t size, size_t alignment)
{
	struct block *block = *blocks;
	size_t at = block ? (block->used + alignment - 1) / alignment * alignment : 0;

	if (!block || at > block->size || block->size - at < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = malloc(sizeof *block + room);
		if (!block)
			tool_out_of_memory();
		*block = (struct block){.before = *blocks, .size = room};
		*blocks = block;
		at = 0;
	}
	block->used = at + size;
	return block->bytes + at;
}

void blocks_free(struct block *blocks)
{
	while (blocks) {
		struct block *before = blocks->before;

		free(blocks);
		blocks = before;
	}
}

void blocks_reset(struct block **blocks)
{
	struct block *last = *blocks;

	if (!last)
		return;
	blocks_free(last->before);
	last->before = NULL;
	last->used = 0;
}

void blocks_move(struct block **blocks, struct block **to)
{
	struct block **end = blocks;

	while (*end)
		end = &(*end)->before;
	*end = *to;
	*to = *blocks;
	*blocks = NULL;
}
