/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_lead.h"

#include "base/error.h"
#include "base/futex.h"
#include "executor/batch.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>

/* Operations in one txn, at most: all that can be posted. Carrying out so many takes a few
 * milliseconds. The kernel looks at every process that maps the file for each page that it flushes,
 * so that of very many workers few and large batches must come. */
#define BATCH_MAX SLOTS
/* A leader waits for the crowd of the last batch to come back, for this part of what the last batch
 * took, and no longer than this. */
#define GATHER_PART 2
#define GATHER_MAX_NS 200000
/* After so many times in a row in vain, it waits once in 64 batches. */
#define IN_VAIN_MAX 6

/* Slots that were taken, and what the batch has come to. */
struct batch {
	uint64_t number;
	uint32_t count;
	uint32_t slots[BATCH_MAX];
};

/* Gives those whose operations were in the last batch, or were posted when it ended, the time to
 * come back: a batch costs the same flush however many it carries. One worker alone never waits.
 * Where workers do not come back so soon, because they do other work between their operations,
 * that is found out, and tried again ever more seldom. */
static void gather(struct turn *turn)
{
	struct group_file *file = turn->file;
	struct last_batch *last = &file->last;
	uint32_t crowd = last->crowd;
	uint32_t enough = crowd - crowd / 8 - turn->with_own;
	int64_t most_ns = last->took_ns / GATHER_PART, until_ns;

	if (crowd <= 1 || count_posted(file) >= enough)
		return;
	if (last->skip > 0) {
		last->skip--;
		return;
	}
	until_ns = monotonic_ns() + (most_ns < GATHER_MAX_NS ? most_ns : GATHER_MAX_NS);
	while (count_posted(file) < enough) {
		if (monotonic_ns() >= until_ns) {
			if (++last->in_vain > IN_VAIN_MAX)
				last->in_vain = IN_VAIN_MAX;
			last->skip = (1U << last->in_vain) - 1;
			return;
		}
		sched_yield();
	}
	last->in_vain = 0;
}

static void write_result(struct slot *slot, const struct result *result)
{
	result_copy(&slot->result, result);
	slot->error[0] = '\0';
	if (result->status != BE_OK)
		snprintf(slot->error, sizeof slot->error, "%s", be_last_error());
}

/* Carries out one slot's operation within the batch's txn. The copies are this process's own: what
 * is in the slot may change under its hands. */
static enum be_status carry_out(struct group_file *file, struct ledger *ledger, uint32_t index)
{
	struct slot *slot = &file->slots[index];
	struct operation operation;
	struct result result;
	enum be_status status = BE_OK;

	error_clear();
	if (operation_take(&operation, &slot->operation))
		status = rules_apply(ledger, &operation, &result);
	else
		batch_fail(&result,
			   error_set(BE_INVALID_ARGUMENT,
				     "what was posted in be-group is no operation: another "
				     "program writes to that file"));
	write_result(slot, &result);
	return status;
}

/* Takes posted slots into the batch, stamps them and carries them out. When there are more than it
 * may carry, the next one begins where this one ends: every slot has its turn, however fast the
 * others are posted again. */
static enum be_status carry_out_posted(struct group_file *file, struct ledger *ledger,
				       struct batch *batch)
{
	uint32_t first = file->last.first_row % ROWS;
	enum be_status status = BE_OK;

	for (uint32_t i = 0; i < ROWS && batch->count < BATCH_MAX; i++) {
		uint32_t number = (first + i) % ROWS;
		struct row *row = &file->rows[number];
		uint64_t bits = atomic_load(&row->posted);

		while (bits != 0 && batch->count < BATCH_MAX) {
			uint32_t index = number * 64 + (uint32_t)__builtin_ctzll(bits);
			struct mark *mark = &file->marks[index];

			atomic_fetch_and(&row->posted, ~posted_bit(index));
			bits &= bits - 1;
			if (mark->state != POSTED)
				continue;
			mark->batch = batch->number;
			atomic_store(&mark->state, TAKEN);
			batch->slots[batch->count++] = index;
			status = carry_out(file, ledger, index);
			if (status != BE_OK)
				return status;
		}
		if (batch->count == BATCH_MAX)
			file->last.first_row = number;
	}
	return status;
}

/* Tells the users of the batch's slots what became of them. */
static void publish(struct group_file *file, const struct batch *batch, enum slot_state state)
{
	if (batch->count > 0) {
		uint32_t bits[ROWS] = {0};

		for (uint32_t i = 0; i < batch->count; i++) {
			uint32_t slot = batch->slots[i];

			atomic_store(&file->marks[slot].state, state);
			bits[slot / 64] |= wake_bit(slot);
		}
		wake_rows(file, bits);
	}
	/* If nobody leads next, those who posted since must see to it themselves. */
	if (atomic_load_explicit(&file->next_is_stuck, memory_order_relaxed))
		pass_on(file);
}

/* Answers the turn's own operation, if it is not answered yet, with a fault of its own process. */
static enum step answer_fault(struct turn *turn, enum be_status status)
{
	struct result result;
	struct mark *mark;

	if (turn->slot == NO_SLOT) {
		if (turn->with_own)
			batch_fail(turn->result, status);
		return DONE;
	}
	mark = &turn->file->marks[turn->slot];
	if (mark->state == POSTED || mark->state == TAKEN) {
		batch_fail(&result, status);
		write_result(&turn->file->slots[turn->slot], &result);
		atomic_fetch_and(&turn->file->rows[turn->slot / 64].posted,
				 ~posted_bit(turn->slot));
		atomic_store(&mark->state, ANSWERED);
	}
	return LOOK;
}

/* The same where the turn's own operation may have been carried out, and nobody can tell now. */
static enum step answer_doubt(struct turn *turn, enum be_status status)
{
	char text[ERROR_TEXT_SIZE];

	if (turn->slot == NO_SLOT ? turn->with_own : turn->file->marks[turn->slot].state == TAKEN) {
		error_save(text);
		status = error_set(BE_UNKNOWN_OUTCOME,
				   "whether it was carried out cannot be told now, and must be "
				   "looked up later: %s",
				   text);
	}
	return answer_fault(turn, status);
}

static void leave(struct turn *turn)
{
	turn->holds &= ~(unsigned)HOLDS_LEADER;
	lock_leave(&turn->file->leader, &turn->group->self);
}

/* The batch met a fault; `may_stand`: in the end, so that its txn may be committed all the same.
 * What it carried for others goes back to them. When this process cannot even tell whether it was
 * committed, the next leader finds that out. */
static enum step give_back(struct turn *turn, const struct batch *batch, enum be_status status,
			   bool may_stand)
{
	bool is_own = batch->count == 1 && batch->slots[0] == turn->slot;
	uint64_t committed = batch->number - 1;
	enum step then;

	turn->file->last.crowd = 0;
	group_note_outcome(turn->group, status);
	if (batch->count == 0 || is_own)
		return answer_fault(turn, status);
	if (may_stand && batch_last(turn->storage, &committed) != BE_OK) {
		then = answer_doubt(turn, status);
		leave(turn);
		return then;
	}
	publish(turn->file, batch, committed == batch->number ? ANSWERED : RETURNED);
	if (turn->slot != NO_SLOT)
		return LOOK;
	return committed == batch->number ? DONE : ALONE;
}

/* Carries out what is posted, and the turn's own operation where it is not posted. Returns the next
 * step of the turn; *more: more is posted than one batch may carry. */
static enum step lead_batch(struct turn *turn, bool *more)
{
	struct group_file *file = turn->file;
	struct batch batch; /* not cleared: it is large */
	struct ledger ledger;
	int64_t began_ns;
	uint32_t size;
	enum be_status status;
	bool is_ending = false;

	assert(turn->holds == HOLDS_LEADER);
	*more = false;
	batch.count = 0;
	gather(turn);
	began_ns = monotonic_ns();
	status = batch_begin(&ledger, turn->storage, &batch.number);
	if (status != BE_OK) {
		group_note_outcome(turn->group, status);
		return answer_fault(turn, status);
	}
	status = carry_out_posted(file, &ledger, &batch);
	if (status == BE_OK && turn->with_own) {
		error_clear();
		status = rules_apply(&ledger, turn->operation, turn->result);
	}
	if (status != BE_OK) {
		ledger_abort(&ledger);
	} else {
		is_ending = true;
		status = ledger_commit(&ledger, batch.number);
	}
	if (status != BE_OK)
		return give_back(turn, &batch, status, is_ending);
	/* Before anybody is told, and comes back. */
	size = batch.count + turn->with_own;
	file->last.crowd = size + count_posted(file);
	file->last.took_ns = monotonic_ns() - began_ns;
	publish(file, &batch, ANSWERED);
	if (size > 1)
		group_note_led(turn->group);
	*more = batch.count == BATCH_MAX;
	return turn->slot != NO_SLOT ? LOOK : DONE;
}

/* Was the turn's own operation carried out while it waited to lead? */
static bool is_served(const struct turn *turn)
{
	return turn->slot != NO_SLOT && turn->file->marks[turn->slot].state != POSTED;
}

/* Would nobody lead if this thread stopped? A thread that finds `next` taken sleeps, and waits for
 * the one that has it. */
static bool nobody_is_next(struct turn *turn)
{
	if (!lock_try(&turn->file->next, &turn->group->self))
		return false;
	lock_drop(&turn->file->next, &turn->group->self);
	return true;
}

/* Takes the turn's own operation out of its slot, for this process to carry out alone. */
static enum step withdraw(struct turn *turn)
{
	struct mark *mark = &turn->file->marks[turn->slot];
	uint32_t posted = POSTED;

	if (atomic_compare_exchange_strong(&mark->state, &posted, RETURNED))
		atomic_fetch_and(&turn->file->rows[turn->slot / 64].posted,
				 ~posted_bit(turn->slot));
	return LOOK;
}

/* What did not fit into the batch is left to the next leader, if there is one: a crowd that comes
 * back as fast as it is served would keep this thread from its own caller for ever. */
static enum step lead_batches(struct turn *turn)
{
	char own_text[ERROR_TEXT_SIZE];
	bool more;
	enum step then = lead_batch(turn, &more);

	if (!more)
		return then;
	turn->with_own = false;
	error_save(own_text);
	while (more && nobody_is_next(turn))
		(void)lead_batch(turn, &more);
	error_restore(own_text);
	return then;
}

enum step turn_lead(struct turn *turn)
{
	struct group_file *file = turn->file;
	enum be_status status = group_mend(file, turn->storage);
	bool others_lead = false;
	enum step then;

	if (status != BE_OK) {
		group_note_outcome(turn->group, status);
		then = turn->slot == NO_SLOT ? answer_fault(turn, status)
					     : answer_doubt(turn, status);
		leave(turn);
	} else if (is_served(turn)) {
		then = LOOK;
		others_lead = is_any_posted(file) && !lock_is_held(&file->next);
	} else if (turn->slot != NO_SLOT && group_is_alone(turn->group)) {
		then = withdraw(turn);
	} else {
		then = lead_batches(turn);
	}
	if (turn->holds & HOLDS_LEADER)
		lock_drop(&file->leader, &turn->group->self);
	turn->holds = 0;
	if (others_lead || group_is_alone(turn->group))
		pass_on(file);
	return then;
}
