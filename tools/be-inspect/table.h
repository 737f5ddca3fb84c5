/* SPDX-License-Identifier: Apache-2.0 */
/* A table on standard output. */
#ifndef TABLE_H
#define TABLE_H

#include "arguments.h"

struct table;

/* A table of the columns asked for; never NULL. `arguments` must outlive it. */
struct table *table_create(const struct arguments *arguments);

/* Adds a record, and prints what has gathered now and then. In a tree, `branch` is what stands
 * before its category; "" elsewhere. False when it could not be written: there is no use in going
 * on, and tool_close_output() will say why. */
bool table_row(struct table *table, const void *record, const char *branch);

/* Prints what has gathered, or at first the headings alone. False as above. */
bool table_flush(struct table *table);

/* Prints the rest, or the headings alone when there was no row, and frees the table. */
void table_finish(struct table *table);

#endif
