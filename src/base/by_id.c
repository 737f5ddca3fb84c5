/* SPDX-License-Identifier: Apache-2.0 */
#include "base/by_id.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 64

static uint64_t id_of(const void *row)
{
	uint64_t id;

	memcpy(&id, row, sizeof id);
	return id;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = id_of(a), right = id_of(b);

	return (left > right) - (left < right);
}

void *by_id_add(struct by_id *table, uint64_t id)
{
	char *row;

	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : ROOM_FIRST;
		void *rows = reallocarray(table->rows, room, table->row_size);

		if (!rows)
			return NULL;
		table->rows = rows;
		table->room = room;
	}
	row = (char *)table->rows + table->count++ * table->row_size;
	memset(row, 0, table->row_size);
	memcpy(row, &id, sizeof id);
	return row;
}

void by_id_sort(struct by_id *table)
{
	if (table->count > 0)
		qsort(table->rows, table->count, table->row_size, compare);
}

void *by_id_find(const struct by_id *table, uint64_t id)
{
	if (table->count == 0)
		return NULL;
	return bsearch(&id, table->rows, table->count, table->row_size, compare);
}

void by_id_clear(struct by_id *table)
{
	table->count = 0;
}

void by_id_free(struct by_id *table)
{
	free(table->rows);
	table->rows = NULL;
	table->count = table->room = 0;
}
