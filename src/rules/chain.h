/* SPDX-License-Identifier: Apache-2.0 */
/* For the rules only: an envelope and its ancestors, which change in one step. */
#ifndef CHAIN_H
#define CHAIN_H

#include "records/ledger.h"
#include "rules/operation.h"

/* The envelope named, then its parent, and so on to the topmost. */
struct chain {
	uint32_t depth;
	struct envelope envelopes[BE_DEPTH_MAX];
};

enum be_status next_transaction_id(struct ledger *ledger, uint64_t *id);

/* The first is BE_NO_ENVELOPE when there is none of that name. */
enum be_status chain_load(struct ledger *ledger, const struct name *name, int64_t now_ns,
			  struct chain *chain);
enum be_status chain_store(struct ledger *ledger, struct chain *chain);

/* Each changes all envelopes of the chain in memory. */
enum be_status chain_commit(struct chain *chain, int64_t amount, int64_t pending);
enum be_status chain_spend(struct chain *chain, int64_t amount);

/* Is all that is spent and committed covered by every limit of the chain, and none suspended? For
 * assertions, after a grant. */
bool chain_covers(const struct chain *chain);

void chain_count(struct ledger *ledger, struct chain *chain, enum lapse lapse);

/* Shows the envelope with the result. */
void show_envelope(struct result *result, const struct envelope *envelope);

#endif
