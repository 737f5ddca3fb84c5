/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that are found by id: gathered in any order, sorted once, then looked up. A row is a
 * structure that begins with its id, a uint64_t.
 */
#ifndef BY_ID_H
#define BY_ID_H

#include <stddef.h>
#include <stdint.h>

struct by_id {
	size_t row_size;
	size_t count;
	size_t room;
	void *rows; /* ascending by id once sorted; of one id in any order */
};

/* No rows, and no memory yet. */
#define BY_ID_OF(type)                                                                             \
	{                                                                                          \
		.row_size = sizeof(type)                                                           \
	}

/* Adds a row, zeroed but for its id. It may move when another is added, and when they are sorted.
 * NULL: out of memory, and nothing has changed. */
void *by_id_add(struct by_id *table, uint64_t id);

void by_id_sort(struct by_id *table);

/* Of rows that are sorted. NULL: there is none. */
void *by_id_find(const struct by_id *table, uint64_t id);

/* Forgets all rows, and keeps the memory for others. */
void by_id_clear(struct by_id *table);

/* Gives the memory back; there are no rows then, and some may be added. */
void by_id_free(struct by_id *table);

#endif
