/* SPDX-License-Identifier: Apache-2.0 */
/* A table on standard output. */
#ifndef TABLE_H
#define TABLE_H

#include "arguments.h"

struct table;

/* A table of the columns asked for; never NULL. `arguments` must outlive it. In a `tree`, CATEGORY
 * shows what hangs below what. */
struct table *table_create(const struct arguments *arguments, bool tree);

/* Adds a record, and prints what has gathered now and then. False when it could not be written:
 * there is no use in going on, and tool_close_output() will say why. */
bool table_row(struct table *table, const void *record);

/* The same in a tree, which is printed when it is whole: below a line returned before, or NULL. */
void *table_branch(struct table *table, const void *record, void *parent);

/* Prints what has gathered, or at first the headings alone. False as above. */
bool table_flush(struct table *table);

/* Prints the rest, or the headings alone when there was no row, and frees the table. */
void table_finish(struct table *table);

#endif
