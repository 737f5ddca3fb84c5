/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of envelopes: loaded, changed and stored together. */
#include "rules/chain.h"

#include "base/error.h"
#include "rules/amount.h"
#include "rules/rules.h"

#include <assert.h>

/* The next transaction's id, from which a window that begins in this txn counts. A read txn writes
 * nothing down, so there any number will do, and it is spared the look-up. */
enum be_status next_transaction_id(struct ledger *ledger, uint64_t *id)
{
	enum be_status status = BE_OK;

	*id = 1;
	if (ledger->write) {
		status = ledger_header(ledger);
		*id = ledger->header.next_transaction_id;
	}
	return status;
}

/* Reads and rolls over an envelope and its ancestors. */
enum be_status chain_load(struct ledger *ledger, const struct name *name, int64_t now_ns,
			  struct chain *chain)
{
	const struct name *next = name;
	uint64_t transaction_id;
	enum be_status status = next_transaction_id(ledger, &transaction_id);

	chain->depth = 0;
	while (status == BE_OK) {
		struct envelope *envelope = &chain->envelopes[chain->depth];
		int found;

		if (chain->depth == BE_DEPTH_MAX)
			return error_set(BE_DAMAGED,
					 "the envelope \"%s\" has more than %d ancestors",
					 name->category, BE_DEPTH_MAX - 1);
		found = ledger_envelope_get(ledger, next, envelope);
		if (found == LEDGER_NONE && chain->depth == 0)
			return BE_NO_ENVELOPE;
		if (found == LEDGER_NONE)
			return error_set(BE_DAMAGED, "the parent of \"%s\" is missing",
					 name->category);
		if (found < 0)
			return (enum be_status)found;
		status = rules_roll_over(ledger, envelope, now_ns, transaction_id);
		chain->depth++;
		next = &envelope->parent;
		if (next->category_size == 0)
			break;
	}
	return status;
}

enum be_status chain_store(struct ledger *ledger, struct chain *chain)
{
	enum be_status status = BE_OK;

	for (uint32_t i = 0; i < chain->depth && status == BE_OK; i++)
		status = ledger_envelope_put(ledger, &chain->envelopes[i]);
	return status;
}

/* Changes what is committed and how many commits are pending in the whole chain. Both were added up
 * before by the same rules, so a result below zero means a damaged record. */
enum be_status chain_commit(struct chain *chain, int64_t amount, int64_t pending)
{
	for (uint32_t i = 0; i < chain->depth; i++) {
		struct envelope *envelope = &chain->envelopes[i];

		if (!amount_add(envelope->committed, amount, &envelope->committed) ||
		    envelope->committed < 0 || (pending < 0 && envelope->pending == 0))
			return error_set(BE_DAMAGED,
					 "what is committed in \"%s\" does not add up: run "
					 "be-inspect verify",
					 envelope->name.category);
		envelope->pending += (uint64_t)pending;
	}
	return BE_OK;
}

bool chain_covers(const struct chain *chain)
{
	for (uint32_t i = 0; i < chain->depth; i++) {
		const struct envelope *envelope = &chain->envelopes[i];

		if (envelope->suspended)
			return false;
		if (!envelope->observe_only &&
		    envelope->spent > envelope->limit_now - envelope->committed)
			return false;
	}
	return true;
}

enum be_status chain_spend(struct chain *chain, int64_t amount)
{
	assert(amount >= 0);
	for (uint32_t i = 0; i < chain->depth; i++) {
		struct envelope *envelope = &chain->envelopes[i];

		if (!amount_add(envelope->spent, amount, &envelope->spent))
			return error_set(
				BE_OVERFLOW,
				"what is spent in \"%s\" would be more than can be counted",
				envelope->name.category);
		envelope->charged = record_add(envelope->charged, amount);
	}
	return BE_OK;
}

/* Counts, in the whole chain and in the header (which chain_load() has read), how a commit ended
 * that nobody ended in time. */
void chain_count(struct ledger *ledger, struct chain *chain, enum lapse lapse)
{
	ledger->header.lapses[lapse]++;
	for (uint32_t i = 0; i < chain->depth; i++)
		chain->envelopes[i].lapses[lapse]++;
}

void show_envelope(struct result *result, const struct envelope *envelope)
{
	result->envelope.size = sizeof result->envelope;
	rules_describe_envelope(envelope, &result->envelope);
	result->has_envelope = true;
}
