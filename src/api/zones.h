/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones that a call names: each is read once in it, before any txn. */
#ifndef ZONES_H
#define ZONES_H

#include "rules/operation.h"

/* Those that were read so far; begins as NULL. */
struct zones;

/* Puts the zone into an operation: its name, and packed into the description, if it is another than
 * UTC. Statuses: INVALID_ZONE, NO_MEMORY. */
enum be_status zones_take(struct zones **zones, const char *name, struct operation *operation);

void zones_free(struct zones *zones);

#endif
