/* SPDX-License-Identifier: Apache-2.0 */
/* The list of envelopes in the live view, and what one line of it says. */
#ifndef LIST_H
#define LIST_H

#include "paint.h"
#include "watch.h"

/* The headings in line `y`, and below them at most `lines` envelopes from the top one on. */
void list_draw(int y, size_t lines, const struct watch *watch);

/* Spent, held and free in `width` cells. */
void list_draw_bar(int y, int x, int width, const struct be_envelope *envelope);

/* Red when all is used, or when it has just refused somebody; yellow when it nearly is. */
enum colour list_colour(const struct watched *watched);

/* " (suspended)" for an envelope that is, " (suspended above)" for one below such an envelope; ""
 * else. */
const char *list_state(const struct snapshot *snapshot, const struct be_envelope *envelope);

/* Who holds what is pending: PID:COMMITS for each. */
#define LIST_HOLDERS_SIZE FIELD_TEXT_SIZE
void list_holders(const struct watched *watched, char text[LIST_HOLDERS_SIZE]);

#endif
