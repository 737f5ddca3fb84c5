/* SPDX-License-Identifier: Apache-2.0 */
/* Spending over time as a picture: a column for each span, made of what each series has cost. */
#ifndef CHART_H
#define CHART_H

#include "span.h"
#include "tally.h"

/* Chooses the spans to draw, of which `span` are the smallest: hours become days, days weeks or
 * months, where there would be more columns than can be told apart; without spans of the user's own
 * choice, where there would be more than are worth it. The groups become those of these spans. */
enum span chart_choose(struct tallied *tally, enum span span, bool is_chosen);

/* Writes an SVG element to standard output, complete with its style. The groups are sorted, and
 * each series is named by so many texts. What belongs into the picture and has no span is told in
 * it. */
void chart_put(const struct tallied *tally, enum span span, size_t texts, wide without_span);

/* Writes text to standard output: escaped as for a terminal, and as XML and HTML want it. */
void chart_put_text(const char *text);

#endif
