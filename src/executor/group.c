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
 *                                                                          SLEEP, WAIT
 *   SLEEP   slot           sleeps until told, or for long enough           LOOK
 *   WAIT    slot           sleeps in the line of those who wait for money  LOOK
 *   NEXT    next, slot     waits for `leader`, and lets `next` go          LEAD
 *   LEAD    leader (slot)  mends what the last one left, carries out what  LOOK with a slot, else
 *                          is posted, unless it has been served            DONE, ALONE
 *                          meanwhile, and lets `leader` go
 *   DONE    -              has its result
 *   ALONE   -              has nothing done, and carries it out by itself
 *
 * In front of a server a thread waits PATIENCE_NS for a leader, in LOOK, SLEEP and NEXT, which may
 * have been stopped. Then it carries out its operation alone, if that is only posted. If a leader
 * has taken it, the thread asks the server what became of the batch, by the host's record
 * (attempt.h), and reads the result or goes on alone. The leader finds out in the same way, should
 * it go on; before it begins another batch it says in each slot how this one ended, so that an
 * answer of the server's counts only as long as the slot is ABANDONED.
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
#include "executor/group_line.h"
#include "executor/group_room.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* How long a thread looks again and again before it sleeps, where batches are not flushed: as long
 * as a batch of some 64 operations takes. Those of larger crowds take longer: 400 workers do two
 * thirds of what they do asleep. */
#define SPIN_NS 400000
#define SPIN_CROWD 128

/* A little longer than a server leaves a txn alone that has stopped. */
#define PATIENCE_NS 6000000000
/* What a dead process has posted there may be dropped later. */
#define PURGE_NS 200000000

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

enum be_status group_open_far(const struct shared_directory *directory, mode_t mode, bool reset,
			      struct owners *owners, struct group **group)
{
	enum be_status status = group_open(directory, mode, reset, true, owners, group);

	if (status == BE_OK)
		(*group)->far_away = true;
	return status;
}

enum be_status group_open_private(bool leads, struct group **group)
{
	struct group *made = calloc(1, sizeof *made);
	enum be_status status;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	made->self = lock_user_alone();
	made->penalty = 1;
	made->never_leads = !leads;
	status = group_file_make(&made->file);
	if (status != BE_OK) {
		free(made);
		return status;
	}
	*group = made;
	return BE_OK;
}

struct remote_host *group_host(struct group *group)
{
	return &group->file->host;
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

/* Does this thread do without a leader? */
static bool goes_alone(struct turn *turn)
{
	struct group *group = turn->group;
	uint64_t stuck = atomic_load_explicit(&group->stuck, memory_order_relaxed);

	return group_is_alone(group) || (stuck != 0 && lock_history(&turn->file->leader) == stuck);
}

static enum step arrive(struct turn *turn)
{
	struct group_file *file = turn->file;
	const struct lock_user *self = &turn->group->self;

	if (goes_alone(turn))
		return ALONE;
	if (!lock_is_held(&file->next) && lock_try(&file->leader, self)) {
		turn->holds = HOLDS_LEADER;
		return LEAD;
	}
	return POST;
}

static enum step refuse_to_wait(struct turn *turn)
{
	room_let_slot_go(turn->file, turn->slot);
	turn->slot = NO_SLOT;
	batch_fail(turn->result,
		   error_set(BE_TOO_MANY_WAITING, "%d commits wait in this environment already",
			     WAITING_MAX));
	return DONE;
}

static enum step post(struct turn *turn)
{
	struct group_file *file = turn->file;
	struct slot *slot;

	turn->slot = room_take_slot(turn->group, turn->storage, turn->remote);
	assert(turn->slot < SLOTS && turn->holds == 0);
	turn->with_own = false;
	slot = &file->slots[turn->slot];
	operation_post(&slot->operation, turn->operation);
	if (turn->waiting) {
		batch_write_result(slot, turn->result);
		atomic_store(&file->marks[turn->slot].due_ns, turn->result->refusal.window_end_ns);
		line_join(turn);
		if (line_length(file) > WAITING_MAX)
			return refuse_to_wait(turn);
	}
	/* One that goes without the group has just been refused, alone. It looks by itself. */
	if (turn->waiting && goes_alone(turn)) {
		atomic_store(&file->marks[turn->slot].state, WAITING);
		return LOOK;
	}
	atomic_store(&file->marks[turn->slot].state, POSTED);
	atomic_fetch_or(&file->rows[turn->slot / 64].posted, posted_bit(turn->slot));
	return LOOK;
}

/* The result that a leader has written into the slot; false: what is there is none. */
static bool read_answer(struct turn *turn)
{
	const struct slot *slot = &turn->file->slots[turn->slot];
	char text[sizeof slot->error];
	bool is_sound;

	error_clear(); /* of what this thread may have carried out for others */
	result_copy(turn->result, &slot->result);
	memcpy(text, slot->error, sizeof text);
	is_sound = result_is_valid(turn->result);
	if (is_sound && turn->result->status != BE_OK &&
	    name_text_is_valid(text, strnlen(text, sizeof text)))
		error_write("%.*s", (int)sizeof text, text);
	return is_sound;
}

static enum be_status not_ours(void)
{
	return error_set(BE_DAMAGED,
			 "another program wrote to be-group while an operation of this process was "
			 "posted there; whether it was carried out must be looked up");
}

/* The slot has an answer, or is no longer what it was. Lets it go. */
static enum step take_answer(struct turn *turn, uint32_t state)
{
	struct mark *mark = &turn->file->marks[turn->slot];
	bool is_sound = state == ANSWERED ? read_answer(turn) : state == RETURNED;

	if (state == RETURNED)
		error_clear();
	turn->batch = mark->batch;
	if (!is_sound)
		batch_fail(turn->result, not_ours());
	if (mark->user == turn->group->self.name)
		room_let_slot_go(turn->file, turn->slot);
	turn->slot = NO_SLOT;
	return state == RETURNED ? ALONE : DONE;
}

/* Has it waited for a leader for too long? What `leader` was then is remembered: as long as that
 * does not change nobody need wait for it. */
static bool is_overdue(struct turn *turn)
{
	int64_t now_ns = monotonic_ns();

	if (!turn->group->far_away)
		return false;
	if (turn->overdue_ns == 0)
		turn->overdue_ns = now_ns + PATIENCE_NS;
	if (now_ns < turn->overdue_ns)
		return false;
	if (lock_is_held(&turn->file->leader))
		atomic_store(&turn->group->stuck, lock_history(&turn->file->leader));
	return true;
}

/* The leader that has taken the operation does not say what became of it: the server does. */
static enum step ask_server(struct turn *turn)
{
	struct group_file *file = turn->file;
	struct mark *mark = &file->marks[turn->slot];
	uint32_t taken = TAKEN, abandoned = ABANDONED;
	enum be_status status;
	enum step then;
	bool landed, gone;

	if (!atomic_compare_exchange_strong(&mark->state, &taken, ABANDONED))
		return LOOK;
	status = attempt_ask(turn->storage, turn->remote, &file->host, mark->batch, &landed, &gone);
	if (atomic_load(&mark->state) != ABANDONED)
		return LOOK;
	if (status == BE_OK && landed && !read_answer(turn))
		status = not_ours();
	if (status != BE_OK)
		batch_fail(turn->result, status);
	turn->batch = mark->batch;
	then = status == BE_OK && !landed ? ALONE : DONE;
	line_leave(file, turn->slot);
	if (!atomic_compare_exchange_strong(&mark->state, &abandoned, GONE))
		room_let_slot_go(file, turn->slot);
	turn->slot = NO_SLOT;
	return then;
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
	if (state == WAITING && turn->waiting) {
		turn->overdue_ns = 0;
		return WAIT;
	}
	if (state != POSTED && state != TAKEN)
		return take_answer(turn, state);
	if (turn->waited && is_overdue(turn))
		return state == POSTED ? turn_withdraw(turn) : ask_server(turn);
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

	int64_t until_ns = turn->group->far_away ? monotonic_ns() + PATIENCE_NS : INT64_MAX;

	assert(turn->holds == HOLDS_NEXT);
	(void)spin(turn);
	if (!lock_wait_until(&file->leader, &turn->group->self, LOCK_FIRST_IN_LINE, until_ns)) {
		lock_drop(&file->next, &turn->group->self);
		turn->holds = 0;
		turn->waited = true;
		turn->overdue_ns = until_ns;
		return LOOK;
	}
	if (atomic_load_explicit(&file->next_is_stuck, memory_order_relaxed))
		atomic_store_explicit(&file->next_is_stuck, 0, memory_order_relaxed);
	lock_drop(&file->next, &turn->group->self);
	atomic_thread_fence(memory_order_seq_cst);
	turn->holds = HOLDS_LEADER;
	return LEAD;
}

/* Takes the steps from this one on; true when the turn has its result. */
static bool take_steps(struct turn *turn, enum step step)
{
	while (step != DONE && step != ALONE) {
		switch (step) {
		case ARRIVE:
			step = arrive(turn);
			break;
		case POST:
			step = post(turn);
			break;
		case LOOK:
			step = look(turn);
			break;
		case SLEEP:
			step = sleep_on_row(turn);
			break;
		case WAIT:
			step = line_wait(turn);
			break;
		case NEXT:
			step = be_next(turn);
			break;
		case LEAD:
			step = turn_lead(turn);
			break;
		case DONE:
		case ALONE:
			break;
		}
	}
	assert(turn->slot == NO_SLOT && turn->holds == 0);
	if (__builtin_expect(turn->remote != NULL, false) && step == DONE)
		remote_hear(turn->remote, turn->batch, turn->result);
	return step == DONE;
}

bool group_run(struct group *group, const struct be_storage *storage, struct remote *remote,
	       const struct operation *operation, struct result *result)
{
	struct turn turn = {
		.group = group,
		.file = group->file,
		.storage = storage,
		.remote = remote,
		.operation = operation,
		.now_ns = operation->now_ns,
		.result = result,
		.slot = NO_SLOT,
		.with_own = true,
	};

	assert(operation_is_valid(operation));
	return take_steps(&turn, ARRIVE);
}

/* ---- waiting for money */

/* The thread was cancelled while it waited. If a leader has just taken its operation, what became
 * of that is learnt first. */
static void abandon(void *context)
{
	struct turn *turn = context;

	if (turn->slot == NO_SLOT)
		return;
	turn->waiting->cancel_state = PTHREAD_CANCEL_DISABLE;
	line_give_up(turn);
	if (!take_steps(turn, LOOK))
		turn->result->status = BE_EXCEEDS_BUDGET; /* it was returned, and nothing is done */
}

bool group_wait(struct group *group, const struct be_storage *storage, struct remote *remote,
		const struct operation *operation, struct waiting *waiting, struct result *result)
{
	struct turn turn = {
		.group = group,
		.file = group->file,
		.storage = storage,
		.remote = remote,
		.operation = operation,
		.now_ns = operation->now_ns,
		.result = result,
		.slot = NO_SLOT,
		.waiting = waiting,
	};
	bool answered;

	assert(operation_is_valid(operation) && result->status == BE_EXCEEDS_BUDGET);
	pthread_cleanup_push(abandon, &turn);
	answered = take_steps(&turn, POST);
	pthread_cleanup_pop(0);
	return answered;
}

uint32_t group_waiting(struct group *group)
{
	return line_length(group->file);
}

/* Holds `leader`; false: it has let it go, since nobody could tell what became of the batch. */
static bool serve_line(struct group *group, const struct be_storage *storage, int64_t now_ns)
{
	struct turn turn = {
		.group = group,
		.file = group->file,
		.storage = storage,
		.slot = NO_SLOT,
		.now_ns = now_ns,
		.holds = HOLDS_LEADER,
	};

	if (group_is_alone(group))
		line_leave_untended(group->file);
	else
		turn_lead_for_line(&turn);
	return turn.holds & HOLDS_LEADER;
}

enum be_status group_lock_behind_line(struct group *group, const struct be_storage *storage,
				      int64_t now_ns)
{
	enum be_status status = group_lock(group, storage);

	if (status != BE_OK || !group || group->far_away || !line_is_due(group->file, now_ns))
		return status;
	return serve_line(group, storage, now_ns) ? BE_OK : group_lock(group, storage);
}

void group_unlock_freed(struct group *group, const struct be_storage *storage,
			enum be_status outcome, int64_t now_ns)
{
	if (!group)
		return;
	if (group->far_away && !line_is_empty(group->file))
		line_leave_untended(group->file);
	if (group->far_away || line_is_empty(group->file)) {
		group_unlock(group, outcome);
		return;
	}
	group_note_outcome(group, outcome);
	if (serve_line(group, storage, now_ns))
		lock_drop(&group->file->leader, &group->self);
}

enum be_status group_purge(struct group *group, const struct be_storage *storage,
			   struct remote *remote, const struct owner *dead)
{
	enum be_status status;

	if (group->far_away && !lock_wait_until(&group->file->leader, &group->self, LOCK_EAGER,
						monotonic_ns() + PURGE_NS))
		return BE_UNREACHABLE;
	status = group->far_away ? group_mend_leader(group, storage, remote)
				 : group_take_leader(group, storage, NULL);
	if (status != BE_OK)
		return status;
	room_clear_slots(group->file, lock_name(dead));
	lock_drop(&group->file->leader, &group->self);
	return BE_OK;
}
