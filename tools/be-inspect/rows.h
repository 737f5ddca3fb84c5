/* SPDX-License-Identifier: Apache-2.0 */
/* Records gathered in memory, to be shown in another order than the library's, envelopes as
 * trees. */
#ifndef ROWS_H
#define ROWS_H

#include "arguments.h"

struct rows;

/* One record, and its place. */
struct row {
	const void *record;
	struct row *parent; /* NULL: none, or it is not among the rows */
	struct row *lead;   /* whose record decides on the place of this one and all below it */
	struct row *first_child, *last_child, *next; /* in order; next is that of the siblings */
	void *line;                                  /* the table's */
};

/* An empty set for records of `record_size` bytes; never NULL. */
struct rows *rows_create(size_t record_size);

/* Adds a copy of a record. Envelopes must come in the library's order. */
void rows_add(struct rows *rows, const void *record);

/* Finds the parents of envelopes. Without it there are none. */
void rows_link(struct rows *rows);

/* Is there a row with a parent? */
bool rows_have_parents(const struct rows *rows);

/* Sorts as the arguments say; equal ones stay in the order they were added in. */
void rows_sort(struct rows *rows, const struct arguments *arguments);

/* The row after `row`, in order, children before the next sibling; the first one after NULL. NULL
 * behind the last. */
struct row *rows_next(const struct rows *rows, const struct row *row);

void rows_free(struct rows *rows);

#endif
