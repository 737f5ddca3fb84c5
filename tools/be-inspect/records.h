/* SPDX-License-Identifier: Apache-2.0 */
/* What the live view shows of commits, transactions, alerts or owners: the records of a moment, in
 * an order. */
#ifndef RECORDS_H
#define RECORDS_H

#include "arguments.h"

/* So many are kept: the oldest commits, the latest transactions and alerts. */
#define RECORDS_MOST 10000

struct records {
	enum view view;
	unsigned char *bytes;  /* a ring of records */
	uint64_t count;        /* how many went through it */
	bool has_more;         /* commits: there are others behind those that are kept */
	size_t room;           /* of the ring so far, in records */
	uint64_t looked_after; /* transactions: up to this id none was looked at, */
	uint64_t looked_up_to; /* and this is the last one that was */
	size_t *lines;         /* places in the ring: those that pass the search, in order */
	size_t line_count;
	int64_t at_ns;
};

/* Its columns in the live view, ended by NULL; NULL for envelopes, which have a view of their
 * own. */
const char *const *records_keys(enum view view);
const struct fields *records_fields(enum view view);

/* Reads what there is, or is new. On failure all stays as it was. */
enum be_status records_take(struct records *records, struct be_enforcer *handle,
			    const struct arguments *arguments);

/* Nothing has changed since, but that time has passed. */
void records_stay(struct records *records);

/* Makes the lines: the records in which `search` stands, sorted as the arguments say; without a
 * column to sort by the oldest commits, and the latest of the others, come first. */
void records_arrange(struct records *records, const struct arguments *arguments,
		     const char *search);

/* Of how much the lines are: "" of all there is, else "+" where not all of that were kept; and how
 * many of the latest transactions were looked at, 0 where all were. */
const char *records_more(const struct records *records);
uint64_t records_looked_at(const struct records *records);

/* Of a line; NULL, or 0, behind the last one. */
const void *records_line(const struct records *records, size_t number);
uint64_t records_id(const struct records *records, size_t number);

/* All that a line says, as paint_flow() wants it. */
void records_figures(const struct records *records, size_t number, char *text, size_t size);

void records_free(struct records *records);

#endif
