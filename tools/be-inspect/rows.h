/* SPDX-License-Identifier: Apache-2.0 */
/* Records gathered in memory, to be shown in another order than the library's, envelopes as trees.
 * A row takes as much memory as what is shown of it, and some 16 bytes more (32 in a tree). */
#ifndef ROWS_H
#define ROWS_H

#include "arguments.h"

struct rows;

/* Bytes that hold the lines before a name in a tree, with the NUL. */
#define ROWS_BRANCH_SIZE (6 * BE_DEPTH_MAX + 1)

/* An empty set for records of `record_size` bytes, to be sorted as the arguments say; never NULL.
 * Without trees, no more is kept than the arguments' limit lets through. */
struct rows *rows_create(size_t record_size, const struct arguments *arguments, bool trees);

/* Of each record only the fields added are kept; all of it, when none are. */
void rows_keep(struct rows *rows, const struct field *field);

/* Adds a copy of a record. For trees, envelopes must come in the library's order. */
void rows_add(struct rows *rows, const void *record);

/* Once all are added. Equal ones stay in the order they were added in. */
void rows_sort(struct rows *rows);

/* The next record in order, children before the next sibling; NULL behind the last one. It is valid
 * until the next call. */
const void *rows_next(struct rows *rows);

/* How deep in its tree the record is that rows_next() returned last, and the lines before its
 * name. */
int rows_depth(const struct rows *rows);
void rows_branch(const struct rows *rows, char text[ROWS_BRANCH_SIZE]);

void rows_free(struct rows *rows);

#endif
