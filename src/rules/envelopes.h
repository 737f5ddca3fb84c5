/* SPDX-License-Identifier: Apache-2.0 */
/* For rules.c: the rules of each operation on an envelope. */
#ifndef RULES_ENVELOPES_H
#define RULES_ENVELOPES_H

#include "records/ledger.h"
#include "rules/operation.h"

enum be_status apply_create(struct ledger *ledger, const struct operation *operation,
			    struct result *result);
enum be_status apply_remove(struct ledger *ledger, const struct operation *operation,
			    struct result *result);
enum be_status apply_steer(struct ledger *ledger, const struct operation *operation,
			   struct result *result);

#endif
