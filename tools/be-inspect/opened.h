/* SPDX-License-Identifier: Apache-2.0 */
/* One envelope as the live view opens it: what is pending against it and what was charged to it
 * last, in those below it, too. */
#ifndef OPENED_H
#define OPENED_H

#include "snapshot.h"

#define OPENED_ROWS 64

struct opened {
	uint64_t id;                                /* of the envelope; 0: none is open */
	struct be_commit_info commits[OPENED_ROWS]; /* the oldest ones */
	size_t commit_count;
	struct be_transaction transactions[OPENED_ROWS]; /* a ring of the latest ones */
	uint64_t transaction_count;                      /* how many went through the ring */
	uint64_t looked_up_to; /* the last id in the ledger that was looked at */
};

/* Begins with another envelope, and reads it. */
enum be_status opened_open(struct opened *opened, struct be_enforcer *handle,
			   const struct snapshot *snapshot, const struct be_envelope *envelope);

/* Reads what is new. */
enum be_status opened_refresh(struct opened *opened, struct be_enforcer *handle,
			      const struct snapshot *snapshot, const struct be_envelope *envelope);

/* The latest transaction is number 0; NULL behind the last one kept. */
const struct be_transaction *opened_transaction(const struct opened *opened, size_t number);

#endif
