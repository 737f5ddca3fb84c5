/* SPDX-License-Identifier: Apache-2.0 */
/* For the rules only: an envelope gets another parent, or none. */
#ifndef MOVE_H
#define MOVE_H

#include "rules/chain.h"

struct move {
	bool is_none;           /* it has that parent already */
	bool has_parent;        /* from then on */
	struct envelope parent; /* the new one */
};

/* The parent that an operation names, with its ancestors, for the envelope of that name. */
enum be_status move_load_parent(struct ledger *ledger, const struct operation *operation,
				struct chain *above);

/* May this envelope have the parent that is asked for? Reads what move_make() needs. */
enum be_status move_check(struct ledger *ledger, const struct operation *operation,
			  const struct envelope *envelope, struct move *move);

/* Writes all but the envelope itself. */
enum be_status move_make(struct ledger *ledger, int64_t now_ns, struct move *move,
			 struct envelope *envelope);

#endif
