/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of envelopes: loaded, changed and stored together. */
#include "rules/chain.h"

#include "base/error.h"
#include "rules/alerts.h"
#include "rules/amount.h"
#include "rules/rules.h"

#include <assert.h>
#include <string.h>

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

static bool is_in_chain(const struct chain *chain, const struct envelope *envelope, uint32_t *at)
{
	for (*at = 0; *at < chain->count; ++*at)
		if (chain->envelopes[*at].id == envelope->id)
			return true;
	return false;
}

/* Reads and rolls over an envelope and its ancestors: up to the first that is in the chain already
 * at *at, unless `at` is NULL. A child learns on the way what its parent is called now. */
static enum be_status load(struct ledger *ledger, const struct name *name, uint64_t id,
			   int64_t now_ns, struct chain *chain, uint32_t *at)
{
	const struct name *next = name;
	struct name *parent = NULL;
	uint32_t first = chain->count;
	uint64_t transaction_id;
	enum be_status status = next_transaction_id(ledger, &transaction_id);

	while (status == BE_OK) {
		struct envelope *envelope = &chain->envelopes[chain->count];
		int found;

		if (chain->count - first == BE_DEPTH_MAX)
			return error_set(BE_DAMAGED,
					 "the envelope \"%s\" has more than %d ancestors",
					 name->category, BE_DEPTH_MAX - 1);
		found = id == 0 ? ledger_envelope_get(ledger, next, envelope)
				: ledger_envelope_known(ledger, next, id, envelope);
		if (found == LEDGER_NONE && chain->count == first)
			return BE_NO_ENVELOPE;
		if (found == LEDGER_NONE)
			return error_set(BE_DAMAGED, "the parent of \"%s\" is missing",
					 name->category);
		if (found < 0)
			return (enum be_status)found;
		if (parent && !name_equal(parent, &envelope->name))
			name_copy(parent, &envelope->name);
		if (at && is_in_chain(chain, envelope, at))
			break;
		status = rules_roll_over(ledger, envelope, now_ns, transaction_id);
		chain->count++;
		next = parent = &envelope->parent;
		id = envelope->parent_id;
		if (id == 0)
			break;
	}
	return status;
}

enum be_status chain_load(struct ledger *ledger, const struct name *name, uint64_t id,
			  int64_t now_ns, struct chain *chain)
{
	enum be_status status;

	chain->count = chain->further = 0;
	chain->envelopes = chain->own;
	status = load(ledger, name, id, now_ns, chain, NULL);
	chain->depth = chain->count;
	return status;
}

/* ---- several */

/* More envelopes than the stack should bear. */
static enum be_status make_room(struct ledger *ledger, struct chain *chain)
{
	struct envelope *room = ledger_room(ledger);

	if (!room)
		return BE_NO_MEMORY;
	memcpy(room, chain->own, chain->count * sizeof *room);
	chain->envelopes = room;
	return BE_OK;
}

static enum be_status add(struct ledger *ledger, const struct name *name, uint64_t id,
			  int64_t now_ns, struct chain *chain)
{
	uint32_t first = chain->count, at;
	enum be_status status = load(ledger, name, id, now_ns, chain, &at);

	if (status != BE_OK)
		return status;
	assert(chain->further < FURTHER_MAX && chain->count <= LEDGER_ROOM);
	chain->first[chain->further] = (uint8_t)first;
	chain->named[chain->further] = (uint8_t)(chain->count > first ? first : at);
	chain->further++;
	return BE_OK;
}

enum be_status chain_add_named(struct ledger *ledger, const struct operation *operation,
			       struct chain *chain, struct name *name)
{
	const uint8_t *at = operation->further, *end = at + operation->further_size;
	enum be_status status = make_room(ledger, chain);

	for (uint32_t i = 0; i < operation->further_count && status == BE_OK; i++) {
		bool is_name = name_unpack(&at, end, name);

		assert(is_name);
		(void)is_name;
		status = add(ledger, name, 0, operation->now_ns, chain);
	}
	return status;
}

enum be_status chain_add_noted(struct ledger *ledger, const struct commit *commit, int64_t now_ns,
			       struct chain *chain)
{
	enum be_status status = make_room(ledger, chain);

	for (uint32_t i = 0; i < commit->further && status == BE_OK; i++) {
		uint32_t first = chain->count;
		struct further further;

		status = ledger_further_get(ledger, RECORD_COMMIT, commit->id, i, &further);
		if (status == BE_OK)
			status = add(ledger, &further.name, further.chain[0], now_ns, chain);
		/* While it is pending nothing moves. */
		if (status == BE_OK && commit->state == BE_COMMIT_PENDING &&
		    chain->count - first != further.depth)
			return error_set(BE_DAMAGED,
					 "\"%s\" has other ancestors than when it was noted: run "
					 "be-inspect verify",
					 further.name.category);
	}
	return status;
}

/* ---- as it was charged */

/* Reads envelopes by the ids that were noted: the first by its name, each ancestor by the name that
 * the one below it knows, or by what was noted when it came apart from that (move.c). */
static enum be_status load_noted(struct ledger *ledger, const struct name *name,
				 const uint64_t *ids, uint32_t depth, int64_t now_ns,
				 struct chain *chain)
{
	uint64_t transaction_id;
	enum be_status status = next_transaction_id(ledger, &transaction_id);

	for (uint32_t i = 0; i < depth && status == BE_OK; i++) {
		struct envelope *envelope = &chain->envelopes[chain->count];
		struct renamed renamed;
		int found = 0;

		if (!name) {
			found = ledger_renamed_get(ledger, ids[i], &renamed);
			name = &renamed.name;
		}
		if (found == 0)
			found = ledger_envelope_known(ledger, name, ids[i], envelope);
		if (found < 0 && found != LEDGER_NONE)
			return (enum be_status)found;
		name = NULL;
		if (found == LEDGER_NONE && i == 0)
			return BE_NO_ENVELOPE;
		if (found == LEDGER_NONE)
			continue;
		status = rules_roll_over(ledger, envelope, now_ns, transaction_id);
		chain->count++;
		if (envelope->parent_id != 0)
			name = &envelope->parent;
	}
	return status;
}

static enum be_status load_further_charged(struct ledger *ledger, const struct further *further,
					   int64_t now_ns, struct chain *chain)
{
	uint32_t at = chain->count;
	enum be_status status =
		load_noted(ledger, &further->name, further->chain, further->depth, now_ns, chain);

	chain->first[chain->further] = (uint8_t)at;
	if (further->depth == 0)
		for (at = 0; at < chain->count && chain->envelopes[at].id != further->chain[0];)
			at++;
	if (status == BE_OK && at == chain->count)
		return BE_NO_ENVELOPE;
	chain->named[chain->further++] = (uint8_t)at;
	return status;
}

enum be_status chain_load_charged(struct ledger *ledger, const struct transaction *transaction,
				  int64_t now_ns, struct chain *chain)
{
	enum be_status status;

	chain->count = chain->further = 0;
	chain->envelopes = chain->own;
	status = load_noted(ledger, &transaction->name, transaction->chain, transaction->depth,
			    now_ns, chain);
	chain->depth = chain->count;
	if (status == BE_OK && transaction->further > 0)
		status = make_room(ledger, chain);
	for (uint32_t i = 0; i < transaction->further && status == BE_OK; i++) {
		struct further further;

		status = ledger_further_get(ledger, RECORD_TRANSACTION, transaction->id, i,
					    &further);
		if (status == BE_OK)
			status = load_further_charged(ledger, &further, now_ns, chain);
	}
	return status;
}

enum be_status chain_note(struct ledger *ledger, const struct chain *chain, enum record_type type,
			  uint64_t id)
{
	enum be_status status = BE_OK;

	for (uint32_t i = 0; i < chain->further && status == BE_OK; i++) {
		uint32_t first = chain->first[i];
		uint32_t end = i + 1 < chain->further ? chain->first[i + 1] : chain->count;
		struct further further = {.depth = end - first};

		assert(further.depth <= BE_DEPTH_MAX);
		name_copy(&further.name, &chain->envelopes[chain->named[i]].name);
		further.chain[0] = chain->envelopes[chain->named[i]].id;
		for (uint32_t k = 0; k < further.depth; k++)
			further.chain[k] = chain->envelopes[first + k].id;
		status = ledger_further_put(ledger, type, id, i, &further);
	}
	return status;
}

enum be_status chain_store(struct ledger *ledger, struct chain *chain)
{
	enum be_status status = BE_OK;

	for (uint32_t i = 0; i < chain->count && status == BE_OK; i++)
		status = ledger_envelope_put(ledger, &chain->envelopes[i]);
	return status;
}

/* Changes what is committed and how many commits are pending in the whole chain. Both were added up
 * before by the same rules, so a result below zero means a damaged record. */
enum be_status chain_commit(struct chain *chain, int64_t amount, int64_t pending)
{
	for (uint32_t i = 0; i < chain->count; i++) {
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
	for (uint32_t i = 0; i < chain->count; i++) {
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
	for (uint32_t i = 0; i < chain->count; i++) {
		struct envelope *envelope = &chain->envelopes[i];

		if (!amount_add(envelope->spent, amount, &envelope->spent))
			return error_set(
				BE_OVERFLOW,
				"what is spent in \"%s\" would be more than can be counted",
				envelope->name.category);
		envelope->charged = record_add(envelope->charged, amount);
		if (envelope->threshold_count > 0)
			alerts_pass(envelope);
	}
	return BE_OK;
}

/* Counts, in the whole chain and in the header (which chain_load() has read), how a commit ended
 * that nobody ended in time. */
void chain_count(struct ledger *ledger, struct chain *chain, enum lapse lapse)
{
	ledger->header.lapses[lapse]++;
	for (uint32_t i = 0; i < chain->count; i++)
		chain->envelopes[i].lapses[lapse]++;
}

void show_envelope(struct result *result, const struct envelope *envelope)
{
	result->envelope.size = sizeof result->envelope;
	rules_describe_envelope(envelope, &result->envelope);
	result->has_envelope = true;
}
