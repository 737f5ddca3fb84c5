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

/* The envelopes below one, as a read txn has found them, so that a write txn, for which all others
 * wait, need not look for them among all there are: if each of them is there still, with the same
 * parent and as many children, and the one above them has as many, too, there are no others. */
struct family {
	uint64_t id;       /* of the one above; 0: nothing was looked for */
	uint64_t children; /* of that one */
	uint32_t height;   /* how many are in the longest chain below it */
	uint8_t *packed;   /* the relatives */
	size_t size, room;
	struct record_key keys[LEDGER_FETCH_MAX]; /* of some of them, in the write txn */
};

/* Looks for all that are below the envelope which an operation is to move, if that is needed, in a
 * read txn. `family` is zeroed before, and freed by family_free() whatever was returned. */
enum be_status family_find(struct ledger *ledger, const struct operation *operation,
			   struct family *family);
void family_free(struct family *family);

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
