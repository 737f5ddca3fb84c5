/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in large blocks, one behind the other: a text of 10 bytes takes 11. */
#include "texts.h"

#include "blocks.h"
#include "tool.h"

#include <stdlib.h>
#include <string.h>

/* Names that come again and again lie among the last ones. */
#define RECENT 4

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
	if (texts)
		blocks_free(texts->blocks);
	free(texts);
}

const char *texts_keep(struct texts *texts, const char *text)
{
	size_t size = strlen(text) + 1;
	char *kept;

	for (unsigned i = 0; i < RECENT; i++)
		if (texts->recent[i] && strcmp(texts->recent[i], text) == 0)
			return texts->recent[i];
	kept = memcpy(blocks_take(&texts->blocks, size, 1), text, size);
	texts->recent[texts->next++ % RECENT] = kept;
	return kept;
}
