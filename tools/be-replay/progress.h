/* SPDX-License-Identifier: Apache-2.0 */
/* One line on stderr, drawn over and over while a replay runs. Only for terminals. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "pool.h"

/* Draws what has been counted so far, of `requests` in all. */
void progress_draw(const struct pool_result *so_far, uint64_t requests);

/* Makes the line empty for other output; nothing when progress is not shown. */
void progress_clear(bool shown);

#endif
