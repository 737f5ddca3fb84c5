/* SPDX-License-Identifier: Apache-2.0 */
/* For the rules only: an envelope and its ancestors, which change in one step; of a commit over
 * several envelopes all of these and their ancestors, each once. */
#ifndef CHAIN_H
#define CHAIN_H

#include "records/ledger.h"
#include "rules/operation.h"

/* The envelope named, then its parent, and so on to the topmost; then the first further envelope
 * and its ancestors, up to the first that is there already, and so on. */
struct chain {
	uint32_t depth;             /* of the envelope named */
	uint32_t count;             /* of all */
	uint32_t further;           /* how many further ones were named */
	struct envelope *envelopes; /* `own`, or the room of the txn (ledger_room()) */
	uint8_t named[FURTHER_MAX]; /* where each further one is, */
	uint8_t first[FURTHER_MAX]; /* and what it has added */
	struct envelope own[BE_DEPTH_MAX];
};

enum be_status next_transaction_id(struct ledger *ledger, uint64_t *id);

/* Reads the envelope of this name and its ancestors: BE_NO_ENVELOPE when there is none. With `id`
 * (unless it is 0) the envelope with that id, which had this name at some time. */
enum be_status chain_load(struct ledger *ledger, const struct name *name, uint64_t id,
			  int64_t now_ns, struct chain *chain);
/* Adds the further envelopes of an operation, or those that chain_note() noted for a commit, with
 * the ancestors that they have by now. One that is missing is BE_NO_ENVELOPE; *name is then its
 * name. */
enum be_status chain_add_named(struct ledger *ledger, const struct operation *operation,
			       struct chain *chain, struct name *name);
enum be_status chain_add_noted(struct ledger *ledger, const struct commit *commit, int64_t now_ns,
			       struct chain *chain);
/* Reads the envelopes that a transaction was charged to, whatever is above them by now, but for
 * ancestors that were removed since. BE_NO_ENVELOPE: one that it names was removed. */
enum be_status chain_load_charged(struct ledger *ledger, const struct transaction *transaction,
				  int64_t now_ns, struct chain *chain);

/* Notes the further envelopes of a chain with a commit or transaction. */
enum be_status chain_note(struct ledger *ledger, const struct chain *chain, enum record_type type,
			  uint64_t id);

enum be_status chain_store(struct ledger *ledger, struct chain *chain);

/* Each changes all envelopes of the chain in memory. Whose thresholds are passed by spending, those
 * give their alerts with the transaction that is written for it. */
enum be_status chain_commit(struct chain *chain, int64_t amount, int64_t pending);
enum be_status chain_spend(struct chain *chain, int64_t amount);

/* Is all that is spent and committed covered by every limit of the chain, and none suspended? For
 * assertions, after a grant. */
bool chain_covers(const struct chain *chain);

void chain_count(struct ledger *ledger, struct chain *chain, enum lapse lapse);

/* Shows the envelope with the result. */
void show_envelope(struct result *result, const struct envelope *envelope);

#endif
