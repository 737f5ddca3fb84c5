/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records gathered in memory: sorted, and linked to trees.
 *
 * A listing that takes several pages sees changes made meanwhile, so a parent may be missing, and
 * an envelope that was removed and made anew with another parent may even close a circle. What has
 * no parent among the rows, or hangs deeper than the library allows, is shown at the top.
 */
#include "rows.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>

struct rows {
	size_t record_size;
	size_t count;
	size_t room;
	char *records;
	struct row *rows; /* in the order they were added, once linked or sorted */
	struct row top;   /* whose children are those without a parent */
	bool have_parents;
};

struct rows *rows_create(size_t record_size)
{
	struct rows *rows = calloc(1, sizeof *rows);

	if (!rows)
		tool_out_of_memory();
	rows->record_size = record_size;
	return rows;
}

void rows_add(struct rows *rows, const void *record)
{
	if (rows->count == rows->room) {
		rows->room = rows->room > 0 ? 2 * rows->room : 64;
		rows->records = reallocarray(rows->records, rows->room, rows->record_size);
		if (!rows->records)
			tool_out_of_memory();
	}
	memcpy(rows->records + rows->count * rows->record_size, record, rows->record_size);
	rows->count++;
}

/* Once all records are there, and will not move any more. */
static void make_rows(struct rows *rows)
{
	size_t i;

	if (rows->rows)
		return;
	rows->rows = calloc(rows->count + 1, sizeof *rows->rows);
	if (!rows->rows)
		tool_out_of_memory();
	for (i = 0; i < rows->count; i++) {
		rows->rows[i].record = rows->records + i * rows->record_size;
		rows->rows[i].lead = &rows->rows[i];
	}
}

/* ---- trees */

/* bsearch() passes the key first: an envelope whose parent is looked for. */
static int compare_parent(const void *key, const void *element)
{
	const struct be_envelope *child = key, *envelope = ((const struct row *)element)->record;
	int difference = strcmp(child->parent_namespace, envelope->namespace_name);

	return difference ? difference : strcmp(child->parent_category, envelope->category);
}

static bool is_too_deep(const struct row *row)
{
	int depth;

	for (depth = 0; row && depth <= BE_DEPTH_MAX; depth++)
		row = row->parent;
	return row != NULL;
}

void rows_link(struct rows *rows)
{
	size_t i;

	make_rows(rows);
	for (i = 0; i < rows->count; i++) {
		const struct be_envelope *envelope = rows->rows[i].record;

		if (envelope->has_parent)
			rows->rows[i].parent = bsearch(envelope, rows->rows, rows->count,
						       sizeof *rows->rows, compare_parent);
	}
	for (i = 0; i < rows->count; i++) {
		if (is_too_deep(&rows->rows[i]))
			rows->rows[i].parent = NULL;
		rows->have_parents = rows->have_parents || rows->rows[i].parent;
	}
}

bool rows_have_parents(const struct rows *rows)
{
	return rows->have_parents;
}

/* ---- order */

static int compare_rows(const void *a, const void *b, void *context)
{
	const struct row *first = *(struct row *const *)a, *second = *(struct row *const *)b;
	const struct arguments *arguments = context;
	int difference = 0;

	if (arguments->sort)
		difference =
			field_compare(arguments->sort, first->lead->record, second->lead->record);
	if (difference)
		return arguments->descending ? -difference : difference;
	return first < second ? -1 : 1;
}

/* Lets each row be led by the first one, in order, of itself and those below it. */
static void find_leads(struct rows *rows, const struct arguments *arguments)
{
	size_t i;

	for (i = 0; i < rows->count; i++) {
		struct row *row = &rows->rows[i], *above;

		for (above = row->parent; above; above = above->parent)
			if (compare_rows(&row, &above, (void *)arguments) < 0)
				above->lead = row->lead;
	}
}

void rows_sort(struct rows *rows, const struct arguments *arguments)
{
	struct row **order;
	size_t i;

	make_rows(rows);
	order = calloc(rows->count + 1, sizeof(struct row *));
	if (!order)
		tool_out_of_memory();
	for (i = 0; i < rows->count; i++)
		order[i] = &rows->rows[i];
	if (arguments->by_need)
		find_leads(rows, arguments);
	qsort_r(order, rows->count, sizeof(struct row *), compare_rows, (void *)arguments);
	for (i = 0; i < rows->count; i++) {
		struct row *parent = order[i]->parent ? order[i]->parent : &rows->top;

		if (parent->last_child)
			parent->last_child->next = order[i];
		else
			parent->first_child = order[i];
		parent->last_child = order[i];
	}
	free(order);
}

struct row *rows_next(const struct rows *rows, const struct row *row)
{
	if (!row)
		return rows->top.first_child;
	if (row->first_child)
		return row->first_child;
	while (row && !row->next)
		row = row->parent;
	return row ? row->next : NULL;
}

void rows_free(struct rows *rows)
{
	free(rows->records);
	free(rows->rows);
	free(rows);
}
