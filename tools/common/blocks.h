/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for many small things that are given back together. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include <stddef.h>

/* NULL: none. */
struct block;

/* Takes `size` bytes from the last block, or from a new one in front of it, at a multiple of
 * `alignment`. Ends the process when memory has run out. */
void *blocks_take(struct block **blocks, size_t size, size_t alignment);

/* Forgets what was taken, and keeps one block. */
void blocks_reset(struct block **blocks);

/* Moves all blocks in front of those of `to`. */
void blocks_move(struct block **blocks, struct block **to);

void blocks_free(struct block *blocks);

#endif
