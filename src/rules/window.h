/* SPDX-License-Identifier: Apache-2.0 */
/* For the rules only: windows of time begin. */
#ifndef WINDOW_H
#define WINDOW_H

#include "records/record.h"
#include "rules/operation.h"

/* Gives an envelope the period and zone that an operation names, and the window that its time lies
 * in: for create. */
enum be_status window_begin(const struct operation *operation, struct envelope *envelope);

/* The same for an envelope that has a window. */
enum be_status window_change(const struct operation *operation, struct envelope *envelope);

/* A new window, now. */
void window_restart(struct envelope *envelope, int64_t now_ns);

#endif
