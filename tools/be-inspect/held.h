/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the committed amounts wait to be reaped: the holds of dead owners, and those whose
 * deadline has passed. They count as committed until a worker needs the money. */
#ifndef HELD_H
#define HELD_H

#include "fields.h"

struct held;

/* Goes through all that is pending. In any case *held is the caller's then, to be given back with
 * held_free(). */
enum be_status held_gather(struct be_enforcer *handle, const char *environment, struct held **held);

/* Fills in what is held so in the row's envelope, and below it. NULL: nothing is. */
void held_show(const struct held *held, struct envelope_row *row);

/* Says it in one sentence, on standard error; nothing when nothing is. */
void held_tell(const struct held *held, const char *environment);

void held_free(struct held *held);

#endif
