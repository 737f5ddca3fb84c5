/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the ledger added up by span of time and by series, which are all lines alike in some
 * texts. Memory goes by the number of different groups, not by that of lines. Begins zeroed. */
#ifndef TALLY_H
#define TALLY_H

#include "names.h"
#include "sum.h"

/* The series of all that was put together by tally_keep(). */
#define TALLY_OTHERS NAMES_NONE
/* The span of what is not known to lie within one. */
#define TALLY_NO_SPAN (INT64_MAX - 1)
/* In place of a text that is not known. No text of the ledger has a control character. */
#define TALLY_NO_TEXT "\1"

struct tally_cell {
	struct total sum;
	int64_t span;    /* see span.h */
	uint32_t series; /* a number of `series` */
	bool is_other;   /* tally_keep() put it together */
};

struct tallied {
	struct names series;
	struct tally_cell *cells;
	size_t count, room;
	uint32_t *slots; /* as those of struct names */
	size_t slot_count;
	struct total total;
};

/* Adds amounts to the group of that span and those texts. */
void tally_add(struct tallied *tally, int64_t span, const char *texts, size_t size,
	       const struct total *amounts);

/* Puts groups together whose spans become the same one. TALLY_NO_SPAN stays what it is. */
void tally_widen(struct tallied *tally, int64_t (*wider)(const void *context, int64_t span),
		 const void *context);

/* Keeps the `most` series with the largest sums, and puts all others together in each span. By
 * span: keeps those spans, and puts all others together. */
void tally_keep(struct tallied *tally, size_t most, bool by_span);

/* Orders the groups: by span, the larger sum first, others last. */
void tally_sort(struct tallied *tally);

void tally_free(struct tallied *tally);

#endif
