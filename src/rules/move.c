/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another parent. It holds for what is spent from then on: what was charged before stays with those
 * that were above the envelope then, and so do their counts, since each line of the ledger names
 * whom it was charged to. What is held is counted in every ancestor, so nothing moves while
 * anything is.
 *
 * Corrections find the envelopes of a line by their ids. An ancestor that is above no longer is
 * found by the name that is noted here for its id, as for one that was renamed. When the chain of
 * a line is first taken apart, all of it above the place is noted; so whatever happens later, each
 * envelope of it is above the next one still, or noted, or removed.
 */
#include "rules/move.h"

#include "base/error.h"

#include <string.h>

enum be_status move_load_parent(struct ledger *ledger, const struct operation *operation,
				struct chain *above)
{
	enum be_status status;

	above->depth = 0;
	if (operation->parent.category_size == 0)
		return BE_OK;
	if (name_equal(&operation->parent, &operation->name))
		return BE_PARENT_CYCLE;
	status = chain_load(ledger, &operation->parent, 0, operation->now_ns, above);
	return status == BE_NO_ENVELOPE ? BE_NO_PARENT : status;
}

/* From an envelope to its parent, which it has. */
static enum be_status climb(struct ledger *ledger, struct envelope *at)
{
	struct name name;
	int found;

	name_copy(&name, &at->parent);
	found = ledger_envelope_known(ledger, &name, at->parent_id, at);
	if (found == LEDGER_NONE)
		return error_set(BE_DAMAGED, "the parent \"%s\" is missing", name.category);
	return (enum be_status)found;
}

/* How far an envelope is below the one with this id, by its ancestors. Not at all: 0, or with an id
 * of 0 how many ancestors there are. */
static enum be_status find_distance(struct ledger *ledger, const struct envelope *from, uint64_t to,
				    uint32_t *distance)
{
	struct envelope at = *from;
	enum be_status status = BE_OK;
	uint32_t links = 0;

	while (at.parent_id != 0 && links < BE_DEPTH_MAX && status == BE_OK) {
		links++;
		if (at.parent_id == to)
			break;
		status = climb(ledger, &at);
	}
	*distance = at.parent_id == to ? links : 0;
	return status;
}

/* How many envelopes are in the longest chain below this one, itself not counted. An envelope does
 * not know its children, so all are looked at. */
static enum be_status find_height(struct ledger *ledger, uint64_t id, uint32_t *height)
{
	struct record_key from = {.size = 1, .bytes = {RECORD_ENVELOPE}};
	struct envelope envelope;
	int found;

	*height = 0;
	while ((found = ledger_envelope_next(ledger, &from, &envelope)) == 0) {
		uint32_t distance = 0;
		enum be_status status = BE_OK;

		if (envelope.children == 0 && envelope.parent_id != 0)
			status = find_distance(ledger, &envelope, id, &distance);
		if (status != BE_OK)
			return status;
		if (distance > *height)
			*height = distance;
		record_key_envelope(&from, &envelope.name);
		from.bytes[from.size++] = 0;
	}
	return found == LEDGER_NONE ? BE_OK : (enum be_status)found;
}

/* Would the longest chain still have no more than BE_DEPTH_MAX envelopes, with so many above this
 * one? Where it comes to lie no deeper than it did, those below it need not be looked for. */
static enum be_status check_depth(struct ledger *ledger, const struct envelope *envelope,
				  uint32_t above)
{
	uint32_t before, height = 0;
	enum be_status status = BE_OK;

	if (envelope->children > 0)
		status = find_distance(ledger, envelope, 0, &before);
	if (status == BE_OK && envelope->children > 0 && above > before)
		status = find_height(ledger, envelope->id, &height);
	if (status != BE_OK)
		return status;
	return above + 1 + height > BE_DEPTH_MAX ? BE_TOO_DEEP : BE_OK;
}

enum be_status move_check(struct ledger *ledger, const struct operation *operation,
			  const struct envelope *envelope, struct move *move)
{
	struct chain above;
	enum be_status status = move_load_parent(ledger, operation, &above);

	if (status != BE_OK)
		return status;
	for (uint32_t i = 0; i < above.depth; i++)
		if (above.envelopes[i].id == envelope->id)
			return BE_PARENT_CYCLE;
	move->has_parent = above.depth > 0;
	if (move->has_parent)
		move->parent = above.envelopes[0];
	move->is_none = envelope->parent_id == (move->has_parent ? move->parent.id : 0);
	if (move->is_none)
		return BE_OK;
	status = check_depth(ledger, envelope, above.depth);
	if (status != BE_OK)
		return status;
	return envelope->pending > 0 ? BE_HAS_COMMITS : BE_OK;
}

/* Notes by what name an ancestor is found, unless that is noted already. */
static enum be_status note(struct ledger *ledger, const struct envelope *envelope)
{
	struct renamed renamed;
	int found = ledger_renamed_get(ledger, envelope->id, &renamed);

	if (found != LEDGER_NONE)
		return (enum be_status)found;
	renamed.id = envelope->id;
	renamed.checksum = 0;
	name_copy(&renamed.name, &envelope->name);
	return ledger_renamed_put(ledger, &renamed);
}

/* Takes the envelope from below its parent, and notes what was above it. */
static enum be_status leave(struct ledger *ledger, const struct envelope *envelope, int64_t now_ns)
{
	struct chain chain;
	enum be_status status = chain_load(ledger, &envelope->name, envelope->id, now_ns, &chain);

	for (uint32_t i = 1; i < chain.depth && status == BE_OK; i++)
		status = note(ledger, &chain.envelopes[i]);
	if (status != BE_OK || chain.depth < 2)
		return status;
	if (chain.envelopes[1].children-- == 0)
		return error_set(BE_DAMAGED, "\"%s\" counts no children, but is a parent",
				 chain.envelopes[1].name.category);
	return ledger_envelope_put(ledger, &chain.envelopes[1]);
}

enum be_status move_make(struct ledger *ledger, int64_t now_ns, struct move *move,
			 struct envelope *envelope)
{
	enum be_status status;

	if (move->is_none)
		return BE_OK;
	status = leave(ledger, envelope, now_ns);
	envelope->parent_id = 0;
	memset(&envelope->parent, 0, sizeof envelope->parent);
	if (!move->has_parent || status != BE_OK)
		return status;
	envelope->parent_id = move->parent.id;
	name_copy(&envelope->parent, &move->parent.name);
	move->parent.children++;
	return ledger_envelope_put(ledger, &move->parent);
}
