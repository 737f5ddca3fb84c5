/* SPDX-License-Identifier: Apache-2.0 */
/* A table on standard output. */
#ifndef TABLE_H
#define TABLE_H

#include "arguments.h"

struct table;

/* A table of the columns asked for; never NULL. `arguments` must outlive it. */
struct table *table_create(const struct arguments *arguments);

/* Adds a record, and prints what has gathered now and then. False when it could not be written: there
 * is no use in going on, and tool_close_output() will say why. */
bool table_row(struct table *table, const void *record);

/* Prints the rest, or the headings alone when there was no row, and frees the table. */
void table_finish(struct table *table);

#endif
