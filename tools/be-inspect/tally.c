/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the ledger added up by group, as they are read. */
#include "tally.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 1024

static size_t hash_of(int64_t span, uint32_t series)
{
	return (size_t)names_mix(names_mix(series, (uint64_t)span), 0);
}

static uint32_t *find_slot(const struct tallied *tally, int64_t span, uint32_t series)
{
	size_t mask = tally->slot_count - 1, slot = hash_of(span, series) & mask;

	for (; tally->slots[slot] != 0; slot = (slot + 1) & mask) {
		const struct tally_cell *cell = &tally->cells[tally->slots[slot] - 1];

		if (cell->span == span && cell->series == series)
			break;
	}
	return &tally->slots[slot];
}

static void grow_slots(struct tallied *tally)
{
	size_t count = tally->slot_count > 0 ? 2 * tally->slot_count : SLOTS_MIN;

	free(tally->slots);
	tally->slots = calloc(count, sizeof *tally->slots);
	if (!tally->slots)
		tool_out_of_memory();
	tally->slot_count = count;
	for (size_t i = 0; i < tally->count; i++)
		*find_slot(tally, tally->cells[i].span, tally->cells[i].series) = (uint32_t)i + 1;
}

static struct tally_cell *cell_of(struct tallied *tally, int64_t span, uint32_t series)
{
	uint32_t *slot;

	if (tally->count >= tally->slot_count / 2)
		grow_slots(tally);
	slot = find_slot(tally, span, series);
	if (*slot != 0)
		return &tally->cells[*slot - 1];
	tally->cells = tool_grow(tally->cells, tally->count, &tally->room, sizeof *tally->cells);
	tally->cells[tally->count] = (struct tally_cell){.span = span, .series = series};
	*slot = (uint32_t)++tally->count;
	return &tally->cells[tally->count - 1];
}

void tally_add(struct tallied *tally, int64_t span, const char *texts, size_t size,
	       const struct total *amounts)
{
	sum_add(&cell_of(tally, span, names_add(&tally->series, texts, size))->sum, amounts);
	sum_add(&tally->total, amounts);
}

/* Begins anew without cells, and returns the old ones. */
static struct tally_cell *take_cells(struct tallied *tally, size_t *count)
{
	struct tally_cell *cells = tally->cells;

	*count = tally->count;
	tally->cells = NULL;
	tally->count = tally->room = 0;
	free(tally->slots);
	tally->slots = NULL;
	tally->slot_count = 0;
	return cells;
}

void tally_widen(struct tallied *tally, int64_t (*wider)(const void *context, int64_t span),
		 const void *context)
{
	size_t count;
	struct tally_cell *cells = take_cells(tally, &count);

	for (size_t i = 0; i < count; i++) {
		int64_t span = cells[i].span == TALLY_NO_SPAN ? TALLY_NO_SPAN
							      : wider(context, cells[i].span);

		sum_add(&cell_of(tally, span, cells[i].series)->sum, &cells[i].sum);
	}
	free(cells);
}

/* ---- the largest */

struct ranked {
	wide nanos;
	size_t number;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *first = a, *second = b;

	if (first->nanos != second->nanos)
		return first->nanos > second->nanos ? -1 : 1;
	return first->number < second->number ? -1 : first->number > second->number;
}

/* Which of `count` things are among the largest, as an array to be given back with free(). */
static bool *largest(struct ranked *ranked, size_t count, size_t most)
{
	bool *kept = calloc(count + 1, sizeof *kept);

	if (!kept)
		tool_out_of_memory();
	qsort(ranked, count, sizeof *ranked, compare_ranked);
	for (size_t i = 0; i < count && i < most; i++)
		kept[ranked[i].number] = true;
	return kept;
}

void tally_keep(struct tallied *tally, size_t most, bool by_span)
{
	bool *kept;
	size_t count, ranks = by_span ? tally->count : tally->series.count;
	struct ranked *ranked = calloc(ranks + 1, sizeof *ranked);
	struct tally_cell *cells;

	if (!ranked)
		tool_out_of_memory();
	for (size_t i = 0; i < ranks; i++)
		ranked[i].number = i;
	for (size_t i = 0; i < tally->count; i++)
		ranked[by_span ? i : tally->cells[i].series].nanos += tally->cells[i].sum.nanos;
	kept = largest(ranked, ranks, most);
	cells = take_cells(tally, &count);
	for (size_t i = 0; i < count; i++) {
		bool is_kept = kept[by_span ? i : cells[i].series];
		struct tally_cell *cell =
			cell_of(tally, by_span && !is_kept ? INT64_MAX : cells[i].span,
				is_kept ? cells[i].series : TALLY_OTHERS);

		cell->is_other = !is_kept;
		sum_add(&cell->sum, &cells[i].sum);
	}
	free(cells);
	free(kept);
	free(ranked);
}

/* ---- order */

static int compare_cells(const void *a, const void *b)
{
	const struct tally_cell *first = a, *second = b;

	if (first->span != second->span)
		return first->span < second->span ? -1 : 1;
	if (first->is_other != second->is_other)
		return first->is_other ? 1 : -1;
	if (first->sum.nanos != second->sum.nanos)
		return first->sum.nanos > second->sum.nanos ? -1 : 1;
	return first->series < second->series ? -1 : first->series > second->series;
}

void tally_sort(struct tallied *tally)
{
	if (tally->count > 1) /* with none, there is no array either */
		qsort(tally->cells, tally->count, sizeof *tally->cells, compare_cells);
	free(tally->slots); /* they name places */
	tally->slots = NULL;
	tally->slot_count = 0;
}

void tally_free(struct tallied *tally)
{
	names_free(&tally->series);
	free(tally->cells);
	free(tally->slots);
}
