/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit; group.h has the protocol, group_file.h what lies in the shared file and the states
 * of a slot.
 *
 * The steps of a thread that wants an operation carried out, and what it holds at each:
 *
 *   step    holds          does                                            then
 *   ARRIVE  -              takes `leader` if it and `next` are free        LEAD, POST, ALONE
 *   POST    -              waits for a slot, and posts                     LOOK
 *   LOOK    slot           looks whether it is answered, or to lead        DONE, ALONE, NEXT, LEAD,
 *                                                                          SLEEP
 *   SLEEP   slot           sleeps until told, or for long enough           LOOK
 *   NEXT    next, slot     waits for `leader`, and lets `next` go          LEAD
 *   LEAD    leader (slot)  mends what the last one left, carries out what  LOOK with a slot, else
 *                          is posted, unless it has been served            DONE, ALONE
 *                          meanwhile, and lets `leader` go
 *   DONE    -              has its result
 *   ALONE   -              has nothing done, and carries it out by itself
 *
 * Memory order. A thread posts (sets its bit) and then tries `next`; a leader lets `next` go and
 * then reads the bits. All of these are sequentially consistent read-modify-writes, or stand behind
 * a full fence, so that either the thread gets `next` or the leader sees its bit: nobody sleeps
 * unseen.
 *
 * Everybody posts but the one that finds nobody else: so the leader can take the operation of the
 * one that is next, too, and all that came back since the last batch go into one.
 *
 * Where batches are not flushed, a batch takes less time than to fall asleep and be woken. There a
 * thread gives the processor to others for a while, and looks again, before it sleeps.
 *
 * Lock order: next, then leader, then LMDB's writer lock.
 */
#include "executor/group.h"

#include "base/error.h"
#include "base/futex.h"
#include "executor/batch.h"
#include "executor/group_lead.h"
#include "executor/group_room.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* How long a thread looks again and again before it sleeps, where batches are not flushed: as long
 * as a batch of some 64 operations takes. Those of larger crowds take longer: 400 workers do two
 * thirds of what they do asleep. */
#define SPIN_NS 400000
#define SPIN_CROWD 128

enum be_status group_open(const struct shared_directory *directory, mode_t mode, bool reset,
			  bool awaits_disk, struct owners *owners, struct group **group)
{
	struct group *made = calloc(1, sizeof *made);
	enum be_status status;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	made->self = lock_user(owners);
	made->awaits_disk = awaits_disk;
	made->penalty = 1;
	status = group_file_open(directory, mode, reset, owners_are_settled(owners), &made->file);
	if (status != BE_OK) {
		free(made);
		return status;
	}
	*group = made;
	return BE_OK;
}

_Atomic uint64_t *group_flushed(struct group *group)
{
	return &group->file->flushed;
}

void group_close(struct group *group)
{
	group_file_close(group->file);
	free(group);
}

static enum step arrive(struct turn *turn)
{
	struct group_file *file = turn->file;
	const struct lock_user *self = &turn->group->self;

	if (group_is_alone(turn->group))
		return ALONE;
	if (!lock_is_held(&file->next) && lock_try(&file->leader, self)) {
		turn->holds = HOLDS_LEADER;
		return LEAD;
	}
	return POST;
}

static enum step post(struct turn *turn)
{
	struct slot *slot;

	turn->slot = room_take_slot(turn->group, turn->storage);
	assert(turn->slot < SLOTS && turn->holds == 0);
	turn->with_own = false;
	slot = &turn->file->slots[turn->slot];
	operation_post(&slot->operation, turn->operation);
	atomic_store(&turn->file->marks[turn->slot].state, POSTED);
	atomic_fetch_or(&turn->file->rows[turn->slot / 64].posted, posted_bit(turn->slot));
	return LOOK;
}

/* The slot has an answer, or is no longer what it was. Lets it go. */
static enum step take_answer(struct turn *turn, uint32_t state)
{
	const struct slot *slot = &turn->file->slots[turn->slot];
	struct mark *mark = &turn->file->marks[turn->slot];
	char text[sizeof slot->error];
	bool is_sound = state == RETURNED || state == ANSWERED;

	error_clear(); /* of what this thread may have carried out for others */
	if (state == ANSWERED) {
		result_copy(turn->result, &slot->result);
		memcpy(text, slot->error, sizeof text);
		is_sound = result_is_valid(turn->result);
		if (is_sound && turn->result->status != BE_OK &&
		    name_text_is_valid(text, strnlen(text, sizeof text)))
			error_write("%.*s", (int)sizeof text, text);
	}
	if (!is_sound)
		batch_fail(turn->result,
			   error_set(BE_DAMAGED,
				     "another program wrote to be-group while an operation of this "
				     "process was posted there; whether it was carried out must be "
				     "looked up"));
	if (mark->user == turn->group->self.name)
		room_let_slot_go(turn->file, turn->slot);
	turn->slot = NO_SLOT;
	return state == RETURNED ? ALONE : DONE;
}

/* Nobody came for as long as this thread slept. Is the one dead that was to lead, or stopped? */
static enum step look_around(struct turn *turn)
{
	struct group_file *file = turn->file;
	const struct lock_user *self = &turn->group->self;

	if (file->marks[turn->slot].state == POSTED)
		atomic_fetch_or(&file->rows[turn->slot / 64].posted, posted_bit(turn->slot));
	if (lock_inherit(&file->next, self)) {
		lock_mend(&file->next);
		turn->holds = HOLDS_NEXT;
		return NEXT;
	}
	if (lock_history(&file->leader) != turn->history)
		return SLEEP;
	if (!lock_try(&file->leader, self) && !lock_inherit(&file->leader, self))
		return SLEEP;
	atomic_store(&file->next_is_stuck, 1);
	turn->holds = HOLDS_LEADER;
	return LEAD;
}

static enum step look(struct turn *turn)
{
	struct group_file *file = turn->file;
	uint32_t state;

	assert(turn->slot < SLOTS && turn->holds == 0);
	turn->seen = atomic_load(&file->rows[turn->slot / 64].turn);
	state = atomic_load(&file->marks[turn->slot].state);
	if (state != POSTED && state != TAKEN)
		return take_answer(turn, state);
	if (lock_try(&file->next, &turn->group->self)) {
		turn->holds = HOLDS_NEXT;
		return NEXT;
	}
	if (turn->waited)
		return look_around(turn);
	if (atomic_load(&file->next_is_stuck) && lock_try(&file->leader, &turn->group->self)) {
		turn->holds = HOLDS_LEADER;
		return LEAD;
	}
	return SLEEP;
}

/* True: something has happened that the thread waits for. No turn does so for longer than SPIN_NS
 * in all, so that one that waits for a stopped process comes to rest. */
static bool spin(struct turn *turn)
{
	struct group_file *file = turn->file;
	const struct lock *lock = turn->holds & HOLDS_NEXT ? &file->leader : &file->next;
	_Atomic uint32_t *state = &file->marks[turn->slot].state;

	if (turn->group->awaits_disk ||
	    atomic_load_explicit(&file->last.crowd, memory_order_relaxed) > SPIN_CROWD)
		return false;
	if (turn->spin_until_ns == 0)
		turn->spin_until_ns = monotonic_ns() + SPIN_NS;
	while (monotonic_ns() < turn->spin_until_ns) {
		uint32_t now = atomic_load(state);

		if (!lock_is_held(lock) || (turn->holds == 0 && now != POSTED && now != TAKEN))
			return true;
		sched_yield();
	}
	return false;
}

static enum step sleep_on_row(struct turn *turn)
{
	struct group_file *file = turn->file;
	enum futex_end end;

	if (spin(turn))
		return LOOK;
	turn->history = lock_history(&file->leader);
	end = futex_sleep(&file->rows[turn->slot / 64].turn, turn->seen, wake_bit(turn->slot),
			  look_at(count_posted(file), turn->slot));
	turn->waited = end == FUTEX_TIMED_OUT;
	return LOOK;
}

/* Waits for `leader` as the one that is first in line. */
static enum step be_next(struct turn *turn)
{
	struct group_file *file = turn->file;

	assert(turn->holds == HOLDS_NEXT);
	(void)spin(turn);
	lock_wait(&file->leader, &turn->group->self, LOCK_FIRST_IN_LINE);
	if (atomic_load_explicit(&file->next_is_stuck, memory_order_relaxed))
		atomic_store_explicit(&file->next_is_stuck, 0, memory_order_relaxed);
	lock_drop(&file->next, &turn->group->self);
	atomic_thread_fence(memory_order_seq_cst);
	turn->holds = HOLDS_LEADER;
	return LEAD;
}

bool group_run(struct group *group, const struct be_storage *storage,
	       const struct operation *operation, struct result *result)
{
	struct turn turn = {
		.group = group,
		.file = group->file,
		.storage = storage,
		.operation = operation,
		.result = result,
		.slot = NO_SLOT,
		.with_own = true,
	};
	enum step step = ARRIVE;

	assert(operation_is_valid(operation));
	while (step != DONE && step != ALONE) {
		switch (step) {
		case ARRIVE:
			step = arrive(&turn);
			break;
		case POST:
			step = post(&turn);
			break;
		case LOOK:
			step = look(&turn);
			break;
		case SLEEP:
			step = sleep_on_row(&turn);
			break;
		case NEXT:
			step = be_next(&turn);
			break;
		case LEAD:
			step = turn_lead(&turn);
			break;
		case DONE:
		case ALONE:
			break;
		}
	}
	assert(turn.slot == NO_SLOT && turn.holds == 0);
	return step == DONE;
}

enum be_status group_purge(struct group *group, const struct be_storage *storage,
			   const struct owner *dead)
{
	enum be_status status = group_lock(group, storage);

	if (status != BE_OK)
		return status;
	room_clear_slots(group->file, lock_name(dead));
	lock_drop(&group->file->leader, &group->self);
	return BE_OK;
}
