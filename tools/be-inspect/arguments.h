/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line asks for. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "fields.h"
#include "report.h"

#include <budget_enforcer.h>

enum view {
	VIEW_ENVELOPES,
	VIEW_COMMITS,
	VIEW_TRANSACTIONS,
	VIEW_ALERTS,
	VIEW_OWNERS,
	VIEW_REPORT,
	VIEW_STATS,
	VIEW_VERIFY,
};

enum form {
	FORM_TABLE,
	FORM_RAW, /* a table without alignment */
	FORM_CSV,
	FORM_JSON,
	FORM_PROMETHEUS, /* of envelopes */
	FORM_SVG,        /* of reports */
	FORM_HTML,       /* likewise */
};

struct arguments {
	const char *environment;
	enum view view;
	int64_t now_ns; /* ages and relative times count from here */
	enum form form;
	const char *file; /* metrics: where they are put; NULL: standard output */
	bool crlf;        /* CSV: how lines end */
	bool noheadings;
	bool follow;             /* transactions: wait for more */
	bool watch;              /* the live view */
	int interval_ms;         /* between its refreshes */
	struct be_filter filter; /* all but max_count: --limit counts differently (see listing.c) */
	struct be_label labels[BE_LABELS_MAX]; /* of the filter */
	bool only_free;                        /* --max 0, for which struct be_filter has no form */
	bool filtered;                         /* any filter was given */
	uint64_t limit;                        /* 0: all */
	const struct field *
		*columns; /* `column_count` of them, in the order to show; none for verify */
	size_t column_count;
	bool columns_chosen;      /* by --output */
	const struct field *sort; /* NULL: the library's order */
	bool descending;
	/* envelopes: the most constrained first, and a tree where its most constrained one is */
	bool by_need;
	struct report_wanted report;
};

/* The name of a view, as it is given on the command line and as its array is called in JSON. */
const char *view_name(enum view view);

/* Fills in all of *arguments, whose texts then point into argv, or ends the process with
 * TOOL_EXIT_USAGE and a reason. The columns are to be given back with free(). */
void arguments_parse(int argc, char **argv, struct arguments *arguments);

#endif
