/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records gathered in memory: sorted, and linked to trees.
 *
 * What is sorted is small: a number for the value of the sort column, and the record's place in the
 * pack, which grows in the order of adding. Records are unpacked to be shown, and to be compared
 * when their numbers are equal but their values may differ.
 *
 * A listing that takes several pages sees changes made meanwhile, so a parent may be missing, and
 * an envelope that was removed and made anew with another parent may even close a circle. What has
 * no parent among the rows, or hangs deeper than the library allows, is shown at the top.
 */
#include "rows.h"

#include "order.h"
#include "pack.h"
#include "tool.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

/* A record's index among those added, and NONE. */
typedef uint32_t rows_index;
#define NONE UINT32_MAX
/* With a limit, twice as many records as the limit and so many more are kept before the rest is
 * dropped. */
#define SPARE 4096

struct entry {
	uint64_t key; /* in ascending order, whatever the order asked for */
	size_t place;
};

/* Siblings, and how far they have been shown: `next` to `end` are left. */
struct level {
	size_t next, end;
};

struct rows {
	const struct arguments *arguments;
	bool trees;         /* wanted */
	bool have_children; /* and there are some */
	struct pack pack;
	unsigned char *kept; /* which bytes of a record: 0xff or 0; NULL: all */
	unsigned char *record, *other;
	struct entry *entries; /* in the order they were added, then sorted */
	size_t count, room;

	/* Of a tree: the children of entry i, by the order of adding, are children[first[i]] to
	 * children[first[i + 1]], and those at the top stand last. */
	rows_index *parents, *first, *children;

	struct level levels[BE_DEPTH_MAX + 2];
	int depth; /* of the one shown last; -1 before */
};

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		tool_out_of_memory();
	return memory;
}

struct rows *rows_create(size_t record_size, const struct arguments *arguments, bool trees)
{
	struct rows *rows = allocate(1, sizeof *rows);

	rows->arguments = arguments;
	rows->trees = trees;
	rows->pack.record_size = record_size;
	rows->record = allocate(record_size, 1);
	rows->other = allocate(record_size, 1);
	rows->depth = -1;
	return rows;
}

void rows_keep(struct rows *rows, const struct field *field)
{
	if (!rows->kept)
		rows->kept = allocate(rows->pack.record_size, 1);
	memset(rows->kept + field->offset, 0xff, field->size);
}

/* ---- order */

static int compare_entries(const void *a, const void *b, void *context)
{
	const struct entry *first = a, *second = b;
	struct rows *rows = context;
	const struct field *sort = rows->arguments->sort;
	bool descending = rows->arguments->descending;
	int difference = 0;

	if (first->key != second->key)
		return first->key < second->key ? -1 : 1;
	if (sort && !order_key_is_whole(sort, descending ? ~first->key : first->key)) {
		pack_read(&rows->pack, first->place, rows->record);
		pack_read(&rows->pack, second->place, rows->other);
		difference =
			order_compare(sort, rows->record, rows->other, rows->arguments->now_ns);
	}
	if (difference != 0)
		return descending ? -difference : difference;
	return first->place < second->place ? -1 : 1;
}

static void sort_entries(struct rows *rows)
{
	if (rows->count > 1) /* with none, there is no array either */
		qsort_r(rows->entries, rows->count, sizeof *rows->entries, compare_entries, rows);
}

static int compare_places(const void *a, const void *b)
{
	const struct entry *first = a, *second = b;

	return first->place < second->place ? -1 : 1;
}

/* Forgets all but the first `limit` in order. */
static void forget_the_rest(struct rows *rows)
{
	struct pack all = rows->pack;

	sort_entries(rows);
	rows->count = (size_t)rows->arguments->limit;
	qsort(rows->entries, rows->count, sizeof *rows->entries, compare_places);
	rows->pack = (struct pack){.record_size = all.record_size};
	for (size_t i = 0; i < rows->count; i++) {
		pack_read(&all, rows->entries[i].place, rows->record);
		rows->entries[i].place = pack_add(&rows->pack, rows->record);
	}
	free(all.bytes);
}

void rows_add(struct rows *rows, const void *record)
{
	const struct arguments *arguments = rows->arguments;
	const unsigned char *bytes = record;
	uint64_t key = 0;

	rows->entries = tool_grow(rows->entries, rows->count, &rows->room, sizeof *rows->entries);
	if (arguments->sort)
		key = order_key(arguments->sort, record, arguments->now_ns);
	if (rows->kept) {
		for (size_t i = 0; i < rows->pack.record_size; i++)
			rows->record[i] = bytes[i] & rows->kept[i];
		bytes = rows->record;
	}
	rows->entries[rows->count++] =
		(struct entry){arguments->descending ? ~key : key, pack_add(&rows->pack, bytes)};
	if (rows->trees)
		rows->have_children |= ((const struct be_envelope *)record)->has_parent;
	else if (arguments->limit > 0 && arguments->limit < rows->count / 2 &&
		 rows->count - 2 * arguments->limit > SPARE)
		forget_the_rest(rows);
}

/* ---- trees */

/* The entry of an envelope's parent, by halving, before they are sorted. */
static rows_index find_parent(struct rows *rows, const struct be_envelope *child)
{
	const struct be_envelope *envelope = (const void *)rows->other;
	size_t low = 0, high = rows->count;

	while (child->has_parent && low < high) {
		size_t middle = low + (high - low) / 2;
		int difference;

		pack_read(&rows->pack, rows->entries[middle].place, rows->other);
		difference = strcmp(child->parent_namespace, envelope->namespace_name);
		if (difference == 0)
			difference = strcmp(child->parent_category, envelope->category);
		if (difference == 0)
			return (rows_index)middle;
		if (difference < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NONE;
}

static bool is_too_deep(const struct rows *rows, rows_index index)
{
	int depth;

	for (depth = 0; index != NONE && depth <= BE_DEPTH_MAX; depth++)
		index = rows->parents[index];
	return index != NONE;
}

static void link_to_parents(struct rows *rows)
{
	rows->parents = allocate(rows->count, sizeof *rows->parents);
	for (size_t i = 0; i < rows->count; i++) {
		pack_read(&rows->pack, rows->entries[i].place, rows->record);
		rows->parents[i] = find_parent(rows, (const void *)rows->record);
	}
	for (size_t i = 0; i < rows->count; i++)
		if (is_too_deep(rows, (rows_index)i))
			rows->parents[i] = NONE;
}

/* A tree stands where the most constrained of its envelopes would. */
static void raise_trees(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		uint64_t key = rows->entries[i].key;

		for (rows_index above = rows->parents[i]; above != NONE;
		     above = rows->parents[above])
			if (key < rows->entries[above].key)
				rows->entries[above].key = key;
	}
}

/* Which entry, by the order of adding, begins at a place. */
static rows_index index_of(const size_t *places, size_t count, size_t place)
{
	size_t low = 0, high = count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (places[middle] <= place)
			low = middle;
		else
			high = middle;
	}
	return (rows_index)low;
}

/* Sorts, and lists the children of each in order. From then on `entries` are as they were added,
 * and `children` has the order. */
static void sort_trees(struct rows *rows)
{
	size_t *places, top = rows->count;

	link_to_parents(rows);
	if (rows->arguments->by_need)
		raise_trees(rows);
	places = allocate(rows->count, sizeof *places);
	for (size_t i = 0; i < rows->count; i++)
		places[i] = rows->entries[i].place;
	sort_entries(rows);
	rows->first = allocate(rows->count + 2, sizeof *rows->first);
	rows->children = allocate(rows->count, sizeof *rows->children);
	for (size_t i = 0; i < rows->count; i++)
		rows->first[(rows->parents[i] == NONE ? top : rows->parents[i]) + 1]++;
	for (size_t i = 0; i <= top; i++)
		rows->first[i + 1] += rows->first[i];
	for (size_t i = 0; i < rows->count; i++) {
		rows_index index = index_of(places, rows->count, rows->entries[i].place);
		size_t parent = rows->parents[index] == NONE ? top : rows->parents[index];

		rows->children[rows->first[parent]++] = index;
	}
	/* Each has moved on to where the next one begins. */
	memmove(rows->first + 1, rows->first, (rows->count + 1) * sizeof *rows->first);
	rows->first[0] = 0;
	for (size_t i = 0; i < rows->count; i++)
		rows->entries[i].place = places[i];
	free(places);
}

void rows_sort(struct rows *rows)
{
	if (rows->have_children) {
		sort_trees(rows);
		rows->levels[0] = (struct level){rows->first[rows->count], rows->count};
	} else {
		sort_entries(rows);
		rows->levels[0] = (struct level){0, rows->count};
	}
}

/* ---- showing */

/* Goes down to the children of the one shown last. */
static void descend(struct rows *rows)
{
	rows_index index = rows->children[rows->levels[rows->depth].next - 1];

	rows->depth++;
	rows->levels[rows->depth] = (struct level){rows->first[index], rows->first[index + 1]};
}

const void *rows_next(struct rows *rows)
{
	size_t index;

	if (rows->depth < 0)
		rows->depth = 0;
	else if (rows->have_children)
		descend(rows);
	while (rows->levels[rows->depth].next == rows->levels[rows->depth].end)
		if (rows->depth-- == 0)
			return NULL;
	index = rows->levels[rows->depth].next++;
	if (rows->have_children)
		index = rows->children[index];
	pack_read(&rows->pack, rows->entries[index].place, rows->record);
	return rows->record;
}

int rows_depth(const struct rows *rows)
{
	return rows->depth;
}

void rows_branch(const struct rows *rows, char text[ROWS_BRANCH_SIZE])
{
	bool lines = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;

	for (int depth = 1; depth <= rows->depth; depth++) {
		bool more = rows->levels[depth].next < rows->levels[depth].end;

		if (depth == rows->depth)
			text = stpcpy(text, lines  ? more ? "\u251c\u2500" : "\u2514\u2500"
					    : more ? "|-"
						   : "`-");
		else
			text = stpcpy(text, !more ? "  " : lines ? "\u2502 " : "| ");
	}
	*text = '\0';
}

void rows_free(struct rows *rows)
{
	free(rows->pack.bytes);
	free(rows->kept);
	free(rows->record);
	free(rows->other);
	free(rows->entries);
	free(rows->parents);
	free(rows->first);
	free(rows->children);
	free(rows);
}
