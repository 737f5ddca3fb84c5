/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in large blocks, one behind the other: a text of 10 bytes takes 11. */
#include "texts.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 65536
/* Names that come again and again lie among the last ones. */
#define RECENT 4

struct block {
	struct block *before;
	size_t used, size;
	char bytes[];
};

struct texts {
	struct block *blocks;
	const char *recent[RECENT];
	unsigned next;
};

struct texts *texts_make(void)
{
	struct texts *texts = calloc(1, sizeof *texts);

	if (!texts)
		tool_out_of_memory();
	return texts;
}

void texts_free(struct texts *texts)
{
	while (texts && texts->blocks) {
		struct block *before = texts->blocks->before;

		free(texts->blocks);
		texts->blocks = before;
	}
	free(texts);
}

const char *texts_keep(struct texts *texts, const char *text)
{
	size_t size = strlen(text) + 1;
	struct block *block = texts->blocks;
	char *kept;

	for (unsigned i = 0; i < RECENT; i++)
		if (texts->recent[i] && strcmp(texts->recent[i], text) == 0)
			return texts->recent[i];
	if (!block || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = malloc(sizeof *block + room);
		if (!block)
			tool_out_of_memory();
		*block = (struct block){.before = texts->blocks, .size = room};
		texts->blocks = block;
	}
	kept = memcpy(block->bytes + block->used, text, size);
	block->used += size;
	texts->recent[texts->next++ % RECENT] = kept;
	return kept;
}
