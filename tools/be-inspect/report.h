/* SPDX-License-Identifier: Apache-2.0 */
/* Where the money went: the ledger added up by time, envelope, description, kind or label. */
#ifndef REPORT_H
#define REPORT_H

#include "fields.h"
#include "span.h"
#include "sum.h"

/* What lines may be grouped by, in the order of the fields behind "row". */
enum report_key {
	REPORT_HOUR,
	REPORT_DAY,
	REPORT_WEEK,
	REPORT_MONTH,
	REPORT_NAMESPACE,
	REPORT_CATEGORY,
	REPORT_DESCRIPTION,
	REPORT_KIND,
	REPORT_LABEL,
};
#define REPORT_KEYS 9

/* The record of the view. */
struct report_row {
	const char *row;               /* "group", "pruned", "other" or "total" */
	const char *keys[REPORT_KEYS]; /* NULL: not grouped by, or not of one group */
	uint64_t count;
	char sum[SUM_TEXT_SIZE];
	char mean[SUM_TEXT_SIZE];
	char share[SUM_TEXT_SIZE];
	int64_t bar_ppm; /* of the largest group */
};

/* What the command line asks of it. */
struct report_wanted {
	enum report_key by[REPORT_KEYS];
	size_t by_count;
	const char *label; /* whose values are a key; NULL: none is */
	const char *zone;
	uint64_t top;                /* 0: all groups */
	const char *below;           /* only what the envelope of this category was charged, and
	                                those below it; NULL: all */
	const char *below_namespace; /* of that envelope */
};

extern const struct fields report_fields;

struct arguments;

/* The key of which a field is; false when it is a figure. */
bool report_key_of(const struct field *field, enum report_key *key);

/* The span of time that a key stands for; SPAN_NONE when it stands for a text. */
enum span report_span(enum report_key key);

/* Adds up, and prints. Returns the exit status. */
int report_run(const struct arguments *arguments);

#endif
