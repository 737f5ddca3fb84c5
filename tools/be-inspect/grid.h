/* SPDX-License-Identifier: Apache-2.0 */
/* Records as columns on the screen of the live view. */
#ifndef GRID_H
#define GRID_H

#include "fields.h"

#define GRID_COLUMNS_MAX 9
#define GRID_NONE SIZE_MAX

struct grid {
	const struct fields *fields;
	/* Of the columns, ended by NULL: what matters most first, and a text last. */
	const char *const *keys;
	/* NULL behind the last record. */
	const void *(*record)(const void *context, size_t number);
	const void *context;
	size_t first;    /* to be shown */
	size_t selected; /* GRID_NONE: none */
	int64_t now_ns;
};

/* Draws the headings in line `y` and records below, `lines` of both at most. Returns the line
 * below. */
int grid_draw(int y, int lines, const struct grid *grid);

#endif
