/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing the live view with ncurses. */
#ifndef SCREEN_H
#define SCREEN_H

#include "watch.h"

/* Takes the terminal over. False when it cannot be used so. */
bool screen_begin(void);

/* Gives it back as it was. */
void screen_end(void);

/* Draws all of it, scrolling the list to its selection. */
void screen_draw(struct watch *watch);

/* Lines of the list that fit above the figures of the selected envelope. */
size_t screen_list_lines(const struct watch *watch);

#endif
