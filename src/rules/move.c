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
 *
 * How many lie below an envelope only a walk over all of them can tell, which takes long. It is
 * made in a read txn before, and the write txn sees whether what was found is so still.
 */
#include "rules/move.h"

#include "base/error.h"

#include <assert.h>
#include <stdlib.h>
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

/* ---- what is below */

/* How far envelopes with this parent are below the one that is looked at. */
struct known {
	uint64_t parent_id;
	uint32_t distance;
};
#define KNOWN_MAX 4096

/* One that is below it, packed before its name. */
struct relative {
	uint64_t id;
	uint64_t parent_id;
	uint64_t children;
};

static enum be_status add(struct family *family, const struct envelope *envelope)
{
	const struct relative relative = {envelope->id, envelope->parent_id, envelope->children};

	if (family->room - family->size < sizeof relative + NAME_PACKED_MAX) {
		size_t room = 2 * family->room + 64 * (sizeof relative + NAME_PACKED_MAX);
		uint8_t *packed = realloc(family->packed, room);

		if (!packed)
			return error_set(BE_NO_MEMORY, "out of memory");
		family->packed = packed;
		family->room = room;
	}
	memcpy(family->packed + family->size, &relative, sizeof relative);
	family->size += sizeof relative;
	family->size = (size_t)(name_pack(family->packed + family->size, &envelope->name) -
				family->packed);
	return BE_OK;
}

static enum be_status look_at(struct ledger *ledger, uint64_t id, const struct envelope *envelope,
			      struct known *known, struct family *keep, uint32_t *height)
{
	enum be_status status = BE_OK;

	known += envelope->parent_id % KNOWN_MAX;
	if (envelope->parent_id == 0)
		return BE_OK;
	if (known->parent_id != envelope->parent_id)
		status = find_distance(ledger, envelope, id, &known->distance);
	known->parent_id = status == BE_OK ? envelope->parent_id : 0;
	if (status != BE_OK || known->distance == 0)
		return status;
	if (known->distance > *height)
		*height = known->distance;
	return keep ? add(keep, envelope) : BE_OK;
}

/* How many envelopes are in the longest chain below the one with this id; all that are below it are
 * kept, unless `keep` is NULL. An envelope does not know its children, so all are looked at. */
static enum be_status walk(struct ledger *ledger, uint64_t id, struct family *keep,
			   uint32_t *height)
{
	struct record_key from = {.size = 1, .bytes = {RECORD_ENVELOPE}};
	struct known *known = calloc(KNOWN_MAX, sizeof *known);
	struct envelope envelope;
	enum be_status status = BE_OK;
	int found = 0;

	*height = 0;
	if (!known)
		return error_set(BE_NO_MEMORY, "out of memory");
	while (status == BE_OK && (found = ledger_envelope_next(ledger, &from, &envelope)) == 0) {
		status = look_at(ledger, id, &envelope, known, keep, height);
		record_key_envelope(&from, &envelope.name);
		from.bytes[from.size++] = 0;
	}
	free(known);
	return found < 0 ? (enum be_status)found : status;
}

/* Takes some relatives from *at on, and tells what is to be found under which keys. */
static size_t take(struct family *family, const uint8_t **at, struct relative *relatives)
{
	const uint8_t *end = family->packed + family->size;
	size_t count = 0;
	struct name name;

	for (; count < LEDGER_FETCH_MAX && *at < end; count++) {
		bool is_name;

		memcpy(&relatives[count], *at, sizeof *relatives);
		*at += sizeof *relatives;
		is_name = name_unpack(at, end, &name);
		assert(is_name);
		(void)is_name;
		record_key_envelope(&family->keys[count], &name);
	}
	return count;
}

static bool is_same(const struct relative *relative, const struct envelope *envelope)
{
	return envelope->id == relative->id && envelope->parent_id == relative->parent_id &&
	       envelope->children == relative->children;
}

/* Is all below the envelope as it was? */
static enum be_status check_family(struct ledger *ledger, const struct envelope *above, bool *same)
{
	struct family *family = ledger->family;
	const uint8_t *at = family ? family->packed : NULL;
	struct relative relatives[LEDGER_FETCH_MAX];
	struct envelope envelope;
	enum be_status status = BE_OK;
	size_t count;

	*same = family && family->id == above->id && family->children == above->children;
	while (*same && status == BE_OK && (count = take(family, &at, relatives)) > 0) {
		status = ledger_fetch(ledger, family->keys, count);
		for (size_t i = 0; *same && status == BE_OK && i < count; i++) {
			int found = ledger_envelope_find(ledger, &family->keys[i], &envelope);

			status = found < 0 ? (enum be_status)found : BE_OK;
			*same = found == 0 && is_same(&relatives[i], &envelope);
		}
	}
	return status;
}

static enum be_status find_height(struct ledger *ledger, const struct envelope *envelope,
				  uint32_t *height)
{
	bool same;
	enum be_status status = check_family(ledger, envelope, &same);

	if (status != BE_OK || !same)
		return status == BE_OK ? walk(ledger, envelope->id, NULL, height) : status;
	*height = ledger->family->height;
	return BE_OK;
}

/* Where it comes to lie no deeper than it did, those below it need not be looked for. */
static enum be_status comes_deeper(struct ledger *ledger, const struct envelope *envelope,
				   uint32_t above, bool *deeper)
{
	uint32_t before = 0;
	enum be_status status = BE_OK;

	if (envelope->children > 0)
		status = find_distance(ledger, envelope, 0, &before);
	*deeper = envelope->children > 0 && above > before;
	return status;
}

enum be_status family_find(struct ledger *ledger, const struct operation *operation,
			   struct family *family)
{
	struct envelope envelope;
	struct chain above;
	bool deeper;
	enum be_status status = move_load_parent(ledger, operation, &above);
	int found;

	if (status != BE_OK)
		return status;
	found = ledger_envelope_get(ledger, &operation->name, &envelope);
	if (found != 0)
		return found < 0 ? (enum be_status)found : BE_NO_ENVELOPE;
	status = comes_deeper(ledger, &envelope, above.depth, &deeper);
	if (status != BE_OK || !deeper)
		return status;
	family->id = envelope.id;
	family->children = envelope.children;
	return walk(ledger, family->id, family, &family->height);
}

void family_free(struct family *family)
{
	free(family->packed);
}

/* ---- may it move? */

/* Would the longest chain still have no more than BE_DEPTH_MAX envelopes, with so many above this
 * one? */
static enum be_status check_depth(struct ledger *ledger, const struct envelope *envelope,
				  uint32_t above)
{
	uint32_t height = 0;
	bool deeper;
	enum be_status status = comes_deeper(ledger, envelope, above, &deeper);

	if (status == BE_OK && deeper)
		status = find_height(ledger, envelope, &height);
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
