/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_lead.h"

#include "base/error.h"
#include "base/futex.h"
#include "executor/batch.h"
#include "executor/group_line.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

/* A leader waits for the crowd of the last batch to come back, for this part of what the last batch
 * took, and no longer than this. */
#define GATHER_PART 2
#define GATHER_MAX_NS 200000
/* After so many times in a row in vain, it waits once in 64 batches. */
#define IN_VAIN_MAX 6

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

/* The line comes first, once money was freed for it. */
static enum be_status serve_before_others(struct batch *batch, int64_t now_ns)
{
	if (!batch->freed || line_is_empty(batch->group->file)) {
		batch->freed = false;
		return BE_OK;
	}
	return line_serve(batch, now_ns);
}

/* Carries out what a slot holds that was POSTED. */
static __attribute__((noinline)) enum be_status carry_out(struct batch *batch, uint32_t index)
{
	struct mark *mark = &batch->group->file->marks[index];
	struct slot *slot = &batch->group->file->slots[index];
	struct operation operation;
	struct result result;
	enum be_status status = BE_OK;
	uint32_t posted = POSTED;

	mark->batch = batch->number;
	if (!atomic_compare_exchange_strong(&mark->state, &posted, TAKEN))
		return BE_OK;
	batch_add(batch, index);
	error_clear();
	if (batch_take(slot, &operation, &result)) {
		status = batch_carry_out(batch, &operation, &result);
		if (status != BE_OK)
			batch_fail(&result, status);
	}
	batch_write_result(slot, &result);
	return status;
}

/* The same of one that has been posted. Those in the line are tried all together, and lose their
 * bits when they are taken. Before a commit, which is looked at only for that, comes the line. */
static enum be_status carry_out_one(struct batch *batch, uint32_t index, int64_t now_ns)
{
	struct group_file *file = batch->group->file;
	struct row *row = &file->rows[index / 64];
	bool is_posted = atomic_load(&file->marks[index].state) == POSTED;
	enum be_status status = BE_OK;

	if (is_posted && (atomic_load(&row->line) & posted_bit(index)))
		return line_serve(batch, now_ns);
	atomic_fetch_and(&row->posted, ~posted_bit(index));
	if (!is_posted)
		return BE_OK;
	if (batch->freed && file->slots[index].operation.kind == BE_OPERATION_COMMIT)
		status = serve_before_others(batch, now_ns);
	if (status != BE_OK || batch->count == BATCH_MAX) {
		atomic_fetch_or(&row->posted, posted_bit(index));
		return status;
	}
	/* It may have been in the line when that was served. */
	return atomic_load(&file->marks[index].state) == POSTED ? carry_out(batch, index) : BE_OK;
}

/* Takes posted slots into the batch, stamps them and carries them out. When there are more than it
 * may carry, the next one begins where this one ends: every slot has its turn, however fast the
 * others are posted again. */
static enum be_status carry_out_posted(struct batch *batch, int64_t now_ns)
{
	struct group_file *file = batch->group->file;
	uint32_t first = file->last.first_row % ROWS;
	enum be_status status = BE_OK;

	for (uint32_t i = 0; i < ROWS && batch->count < BATCH_MAX; i++) {
		uint32_t number = (first + i) % ROWS;
		struct row *row = &file->rows[number];
		uint64_t bits = atomic_load(&row->posted) & batch->posted[number];

		while (bits != 0 && batch->count < BATCH_MAX) {
			uint32_t index = number * 64 + (uint32_t)__builtin_ctzll(bits);

			bits &= bits - 1;
			status = carry_out_one(batch, index, now_ns);
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

			group_let_go(file, slot, state);
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
		batch_write_result(&turn->file->slots[turn->slot], &result);
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

/* Was the batch committed that ended so? What lies elsewhere has been asked already. */
static bool can_tell(const struct turn *turn, enum be_status status, uint64_t *committed)
{
	if (turn->remote)
		return status != BE_UNKNOWN_OUTCOME;
	return batch_last(turn->storage, committed) == BE_OK;
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
	if (may_stand && !can_tell(turn, status, &committed)) {
		if (turn->remote && turn->slot != NO_SLOT)
			(void)turn_withdraw(turn); /* if it was in no batch yet */
		then = turn->remote ? answer_fault(turn, status) : answer_doubt(turn, status);
		leave(turn);
		return then;
	}
	publish(turn->file, batch, committed == batch->number ? ANSWERED : RETURNED);
	if (turn->slot != NO_SLOT)
		return LOOK;
	return committed == batch->number ? DONE : ALONE;
}

static enum be_status carry_out_all(struct turn *turn, struct batch *batch)
{
	enum be_status status = BE_OK;

	if (turn->for_line || line_is_due(turn->file, turn->now_ns))
		status = line_serve(batch, turn->now_ns);
	if (status == BE_OK)
		status = carry_out_posted(batch, turn->now_ns);
	if (status == BE_OK && turn->with_own && turn->operation->kind == BE_OPERATION_COMMIT)
		status = serve_before_others(batch, turn->now_ns);
	if (status == BE_OK && turn->with_own)
		status = batch_carry_out(batch, turn->operation, turn->result);
	if (status != BE_OK)
		return status;
	return serve_before_others(batch, turn->now_ns);
}

/* ---- what a batch will read
 *
 * A server's answer takes longer than all the rest, so that each trip counts. What is posted while
 * the first is under way is left to the next batch. */

static void want_slot(struct batch *batch, uint32_t index, struct remote_keys *keys)
{
	struct operation operation;

	if (operation_take(&operation, &batch->group->file->slots[index].operation))
		remote_want(batch->attempt.remote, &operation, keys);
}

static struct remote_keys *look_ahead(const struct turn *turn, struct batch *batch)
{
	struct group_file *file = turn->file;
	struct remote_keys *keys;
	uint64_t wanted[ROWS];
	size_t count = turn->with_own;

	if (!turn->remote) {
		memset(batch->posted, 0xff, sizeof batch->posted);
		return NULL;
	}
	for (size_t i = 0; i < ROWS; i++) {
		batch->posted[i] = atomic_load(&file->rows[i].posted);
		wanted[i] = atomic_load(&file->rows[i].line) | batch->posted[i];
		count += (size_t)__builtin_popcountll(wanted[i]);
	}
	keys = remote_keys_make(turn->remote, &file->host, count);
	if (keys && turn->with_own)
		remote_want(turn->remote, turn->operation, keys);
	for (uint32_t i = 0; keys && i < ROWS; i++)
		for (uint64_t bits = wanted[i]; bits != 0; bits &= bits - 1)
			want_slot(batch, i * 64 + (uint32_t)__builtin_ctzll(bits), keys);
	return keys;
}

/* ---- batches */

/* Carries out what is posted, and the turn's own operation where it is not posted, in one txn.
 * *is_ending: it may stand, whatever the status. */
static enum be_status try_batch(struct turn *turn, struct batch *batch, bool *is_ending)
{
	enum be_status status = attempt_begin(&batch->attempt, &batch->ledger);

	*is_ending = false;
	batch->count = 0;
	batch->freed = false;
	batch->number = batch->attempt.number;
	if (status != BE_OK)
		return status;
	if (batch->attempt.has_clock)
		turn->now_ns = batch->attempt.now_ns;
	status = carry_out_all(turn, batch);
	if (status == BE_OK && batch->count == 0 && !turn->with_own) {
		ledger_abort(&batch->ledger);
		return BE_OK;
	}
	*is_ending = status == BE_OK;
	return attempt_end(&batch->attempt, &batch->ledger, status);
}

static enum be_status run_batch(struct turn *turn, struct batch *batch, bool *is_ending)
{
	enum be_status status;

	for (;;) {
		status = try_batch(turn, batch, is_ending);
		if (!attempt_again(&batch->attempt, &status))
			return status;
		for (uint32_t i = 0; i < batch->count; i++) {
			uint32_t slot = batch->slots[i];

			group_post_again(turn->file, slot);
			batch->posted[slot / 64] |= posted_bit(slot); /* also of the line */
		}
	}
}

/* Returns the next step of the turn; *more: more is posted than one batch may carry. */
static enum step lead_batch(struct turn *turn, bool *more)
{
	struct group_file *file = turn->file;
	struct batch batch; /* not cleared: it is large */
	struct remote_keys *keys;
	int64_t began_ns;
	uint32_t size;
	enum be_status status;
	bool is_ending;

	assert(turn->holds == HOLDS_LEADER);
	*more = false;
	batch.group = turn->group;
	gather(turn);
	began_ns = monotonic_ns();
	attempt_open_batch(&batch.attempt, turn->storage, turn->remote, &file->host);
	batch.attempt.keys = keys = look_ahead(turn, &batch);
	status = run_batch(turn, &batch, &is_ending);
	attempt_close(&batch.attempt);
	remote_keys_free(keys);
	if (turn->with_own)
		turn->batch = batch.number;
	if (status != BE_OK && (turn->for_line || !line_is_empty(file)))
		line_leave_untended(file);
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

enum step turn_withdraw(struct turn *turn)
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

void turn_lead_for_line(struct turn *turn)
{
	char own_text[ERROR_TEXT_SIZE];
	bool more;

	turn->for_line = true;
	error_save(own_text);
	(void)lead_batch(turn, &more);
	error_restore(own_text);
}

enum step turn_lead(struct turn *turn)
{
	struct group_file *file = turn->file;
	enum be_status status = group_mend(file, turn->storage, turn->remote);
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
		then = turn_withdraw(turn);
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
