/* SPDX-License-Identifier: Apache-2.0 */
/* A report as one HTML page that needs nothing else: no script, no font, no picture from
 * elsewhere. Its parts are written to standard output one after the other. */
#ifndef PAGE_H
#define PAGE_H

#include "arguments.h"
#include "envelopes.h"

/* The head of the page: `total` is what was spent in all. */
void page_begin(const struct arguments *arguments, const struct report_row *total);

/* The table of groups; then its rows, and its end. */
void page_begin_table(const struct arguments *arguments);
void page_row(const struct arguments *arguments, const struct report_row *row);
void page_end_table(void);

/* The balances of the envelopes that `is_wanted`, the most constrained first. */
void page_balances(const struct arguments *arguments, const struct envelopes *envelopes,
		   bool (*is_wanted)(void *context, const struct be_envelope *envelope),
		   void *context);

void page_end(void);

#endif
