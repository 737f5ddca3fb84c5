/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to envelopes: they are made, steered, set and removed. */
#include "rules/envelopes.h"

#include "base/error.h"
#include "rules/alerts.h"
#include "rules/chain.h"
#include "rules/move.h"
#include "rules/rules.h"
#include "rules/window.h"

#include <assert.h>
#include <string.h>

/* The zone that came with the operation is the one that the environment goes by from now on. */
static enum be_status put_zone(struct ledger *ledger, const struct operation *operation)
{
	if (operation->zone_size == 0 || operation->description_size == 0)
		return BE_OK;
	return ledger_zone_put(ledger, operation->zone, operation->zone_size,
			       (const uint8_t *)operation->description,
			       operation->description_size);
}

/* A new envelope is above nobody, so that nothing but itself could make a cycle. */
static enum be_status load_parent(struct ledger *ledger, const struct operation *operation,
				  struct chain *chain)
{
	enum be_status status = move_load_parent(ledger, operation, chain);

	return status == BE_OK && chain->depth == BE_DEPTH_MAX ? BE_TOO_DEEP : status;
}

enum be_status apply_create(struct ledger *ledger, const struct operation *operation,
			    struct result *result)
{
	struct envelope envelope;
	struct chain parents;
	uint64_t transaction_id;
	enum be_status status = next_transaction_id(ledger, &transaction_id);
	int found;

	if (status != BE_OK)
		return status;
	found = ledger_envelope_get(ledger, &operation->name, &envelope);
	if (found < 0)
		return (enum be_status)found;
	if (found == 0) {
		status = ledger_name_now(ledger, envelope.parent_id, &envelope.parent);
		if (status == BE_OK)
			status = rules_roll_over(ledger, &envelope, operation->now_ns,
						 transaction_id);
		if (status != BE_OK)
			return status;
		show_envelope(result, &envelope);
		result->tally = envelope.tally;
		return operation->kind == BE_OPERATION_ENSURE ? BE_OK : BE_ENVELOPE_EXISTS;
	}
	status = load_parent(ledger, operation, &parents);
	if (status == BE_OK)
		status = window_begin(operation, &envelope);
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	name_copy(&envelope.name, &operation->name);
	name_copy(&envelope.parent, &operation->parent);
	envelope.parent_id = parents.depth > 0 ? parents.envelopes[0].id : 0;
	envelope.id = ledger->header.next_envelope_id++;
	envelope.tally = envelope.id - ledger->header.leapt;
	envelope.suspended = operation->suspended;
	envelope.limit = operation->amount;
	envelope.spent = envelope.committed = envelope.folded = 0;
	envelope.window_first = transaction_id;
	envelope.observe_only = operation->observe_only;
	envelope.raise = envelope.raise_until_ns = envelope.carried = envelope.charged = 0;
	envelope.given_back = 0;
	envelope.roll_over = operation->roll_over;
	envelope.excused = 0;
	envelope.threshold_count = 0;
	envelope.passed = envelope.passed_then = 0;
	envelope.limit_now = envelope.limit;
	envelope.created_ns = operation->now_ns;
	envelope.pending = envelope.children = envelope.granted = 0;
	envelope.checksum = 0;
	memset(envelope.lapses, 0, sizeof envelope.lapses);
	show_envelope(result, &envelope);
	result->made = true;
	result->tally = envelope.tally;
	if (parents.depth > 0) {
		parents.envelopes[0].children++;
		status = ledger_envelope_put(ledger, &parents.envelopes[0]);
	}
	if (status == BE_OK)
		status = put_zone(ledger, operation);
	return status == BE_OK ? ledger_envelope_put(ledger, &envelope) : status;
}

enum be_status apply_remove(struct ledger *ledger, const struct operation *operation,
			    struct result *result)
{
	struct chain chain;
	enum be_status status = chain_load(ledger, &operation->name, 0, operation->now_ns, &chain);
	struct envelope *envelope = &chain.envelopes[0];
	struct renamed renamed;
	int found;

	if (status != BE_OK)
		return status;
	show_envelope(result, envelope);
	if (envelope->children > 0)
		return BE_HAS_CHILDREN;
	if (envelope->pending > 0)
		return BE_HAS_COMMITS;
	if (chain.depth > 1 && chain.envelopes[1].children == 0)
		return error_set(BE_DAMAGED, "\"%s\" counts no children, but is a parent",
				 chain.envelopes[1].name.category);

	found = ledger_renamed_get(ledger, envelope->id, &renamed);
	if (found < 0)
		return (enum be_status)found;

	/* Nothing may be refused from here on. */
	result->has_envelope = false; /* there is none afterwards */
	if (found == 0)
		status = ledger_renamed_del(ledger, envelope->id);
	if (status == BE_OK && chain.depth > 1) {
		chain.envelopes[1].children--;
		status = ledger_envelope_put(ledger, &chain.envelopes[1]);
	}
	return status == BE_OK ? ledger_envelope_del(ledger, envelope) : status;
}

/* Nothing is spent any more, and every threshold is ahead again. */
static void begin_anew(struct envelope *envelope, uint64_t transaction_id)
{
	envelope->spent = envelope->folded = 0;
	envelope->window_first = transaction_id;
	envelope->passed = envelope->passed_then = 0;
}

/* What set changes, after the window has been set. */
static void set(const struct operation *operation, uint64_t transaction_id,
		struct envelope *envelope)
{
	uint32_t mask = operation->mask;

	if (mask & BE_SET_LIMIT)
		envelope->limit = operation->amount;
	if (mask & BE_SET_SUSPENDED)
		envelope->suspended = operation->suspended;
	if (mask & BE_SET_OBSERVE_ONLY)
		envelope->observe_only = operation->observe_only;
	if (mask & BE_SET_ROLL_OVER)
		envelope->roll_over = operation->roll_over;
	if (mask & BE_SET_RAISE) {
		envelope->raise = operation->raise;
		envelope->raise_until_ns = operation->raise_until_ns;
	}
	if (mask & BE_SET_THRESHOLDS) {
		memcpy(envelope->thresholds, operation->thresholds, sizeof envelope->thresholds);
		envelope->threshold_count = operation->threshold_count;
	}
	if (mask & BE_SET_SPENT)
		begin_anew(envelope, transaction_id);
}

/* ---- another name */

/* The new name, if it is another. */
static bool sets_name(const struct operation *operation, struct name *name)
{
	const uint8_t *at = operation->further;
	bool is_name;

	if (operation->kind != BE_OPERATION_SET || !(operation->mask & BE_SET_NAME))
		return false;
	is_name = name_unpack(&at, at + operation->further_size, name);
	assert(is_name);
	return is_name && !name_equal(name, &operation->name);
}

/* May the envelope with this id have this name? Then `renamed` is that. */
static enum be_status check_new_name(struct ledger *ledger, const struct name *name, uint64_t id,
				     struct renamed *renamed)
{
	struct envelope other;
	int found = ledger_envelope_get(ledger, name, &other);

	if (found != LEDGER_NONE)
		return found == 0 ? BE_ENVELOPE_EXISTS : (enum be_status)found;
	found = ledger_renamed_get(ledger, id, renamed);
	if (found == LEDGER_NONE)
		renamed->checksum = 0;
	renamed->id = id;
	name_copy(&renamed->name, name);
	return found == LEDGER_NONE || found == 0 ? BE_OK : (enum be_status)found;
}

/* Children and commits know it by its id, too, and find it by what is noted here. */
static enum be_status give_name(struct ledger *ledger, struct envelope *envelope,
				struct renamed *renamed)
{
	enum be_status status = ledger_envelope_del(ledger, envelope);

	name_copy(&envelope->name, &renamed->name);
	envelope->checksum = 0;
	return status == BE_OK ? ledger_renamed_put(ledger, renamed) : status;
}

/* ---- what is set */

/* What set asks of other envelopes: a name that none has, and a parent. */
static enum be_status check_set(struct ledger *ledger, const struct operation *operation,
				struct envelope *envelope, struct renamed *renamed,
				struct move *move)
{
	struct name name;
	enum be_status status = BE_OK;

	move->is_none = true;
	if (operation->kind != BE_OPERATION_SET)
		return BE_OK;
	if (operation->mask & BE_SET_PERIOD)
		status = window_change(operation, envelope);
	if (status == BE_OK && sets_name(operation, &name))
		status = check_new_name(ledger, &name, envelope->id, renamed);
	if (status == BE_OK && operation->mask & BE_SET_PARENT)
		status = move_check(ledger, operation, envelope, move);
	return status;
}

/* Set, set-limit, suspend, resume, reset: one envelope, and but for its name and parent nobody
 * else's business. */
enum be_status apply_steer(struct ledger *ledger, const struct operation *operation,
			   struct result *result)
{
	struct renamed renamed = {.id = 0};
	struct envelope envelope;
	struct move move;
	uint64_t transaction_id;
	enum be_status status = next_transaction_id(ledger, &transaction_id);
	int found;

	if (status != BE_OK)
		return status;
	found = ledger_envelope_get(ledger, &operation->name, &envelope);
	if (found != 0)
		return found == LEDGER_NONE ? BE_NO_ENVELOPE : (enum be_status)found;
	status = ledger_name_now(ledger, envelope.parent_id, &envelope.parent);
	if (status == BE_OK)
		status = rules_roll_over(ledger, &envelope, operation->now_ns, transaction_id);
	if (status == BE_OK) {
		show_envelope(result, &envelope);
		status = check_set(ledger, operation, &envelope, &renamed, &move);
	}
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	switch (operation->kind) {
	case BE_OPERATION_SET_LIMIT:
		envelope.limit = operation->amount;
		break;
	case BE_OPERATION_SUSPEND:
		envelope.suspended = true;
		break;
	case BE_OPERATION_RESUME:
		envelope.suspended = false;
		break;
	case BE_OPERATION_SET:
		set(operation, transaction_id, &envelope);
		break;
	default: /* reset */
		begin_anew(&envelope, transaction_id);
		envelope.carried = 0;
		window_restart(&envelope, operation->now_ns);
		break;
	}
	status = move_make(ledger, operation->now_ns, &move, &envelope);
	if (renamed.id != 0 && status == BE_OK)
		status = give_name(ledger, &envelope, &renamed);
	envelope.limit_now = envelope_limit_now(&envelope);
	alerts_pass(&envelope);
	show_envelope(result, &envelope);
	result->tally = envelope.tally;
	if (status == BE_OK)
		status = alerts_give(ledger, &envelope, operation->now_ns, NULL);
	if (status == BE_OK)
		status = put_zone(ledger, operation);
	return status == BE_OK ? ledger_envelope_put(ledger, &envelope) : status;
}
