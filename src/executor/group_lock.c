/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_lock.h"
#include "base/error.h"
#include "executor/attempt.h"
#include "executor/batch.h"
#include "executor/group.h"
#include "executor/group_batch.h"
#include "executor/group_line.h"
#include "executor/group_room.h"
#include "storage/backend.h"

/* Operations that a process carries out alone, at most, after it met a fault. */
#define ALONE_MAX 1024

void group_note_outcome(struct group *group, enum be_status outcome)
{
	int penalty;

	if (batch_is_fault(outcome)) {
		penalty = atomic_load(&group->penalty);
		atomic_store(&group->alone, penalty);
		if (penalty < ALONE_MAX)
			atomic_store(&group->penalty, penalty * 2);
	} else if (group_is_alone(group)) {
		atomic_fetch_sub(&group->alone, 1);
	}
}

void group_note_led(struct group *group)
{
	int penalty = atomic_load_explicit(&group->penalty, memory_order_relaxed);

	if (penalty > 1)
		atomic_compare_exchange_strong(&group->penalty, &penalty, penalty - 1);
}

void group_let_go(struct group_file *file, uint32_t slot, enum slot_state state)
{
	if (atomic_exchange(&file->marks[slot].state, state) == GONE)
		room_let_slot_go(file, slot);
}

void group_post_again(struct group_file *file, uint32_t slot)
{
	uint32_t state = TAKEN;

	if (atomic_compare_exchange_strong(&file->marks[slot].state, &state, POSTED))
		atomic_fetch_or(&file->rows[slot / 64].posted, posted_bit(slot));
	else if (state == ABANDONED || state == GONE)
		group_let_go(file, slot, RETURNED);
}

static bool is_taken(const struct mark *mark)
{
	uint32_t state = atomic_load(&mark->state);

	return state == TAKEN || state == ABANDONED || state == GONE;
}

/* In place of a number: nobody will ever know. */
#define NEVER_KNOWN UINT64_MAX

/* The number of the last batch that was committed, as far as slots ask for it. Those that are taken
 * all have the same. */
static enum be_status last_committed(struct group_file *file, const struct be_storage *storage,
				     struct remote *remote, uint64_t *committed)
{
	uint64_t number = 0;
	bool landed = false, gone = false;
	enum be_status status;

	*committed = 0;
	if (!remote)
		return batch_last(storage, committed);
	for (uint32_t i = 0; i < SLOTS; i++)
		if (is_taken(&file->marks[i]) && file->marks[i].batch > number)
			number = file->marks[i].batch;
	if (number == 0)
		return BE_OK;
	status = attempt_ask(storage, remote, &file->host, number, &landed, &gone);
	if (status == BE_OK && landed)
		*committed = number;
	if (status != BE_OK && gone)
		*committed = NEVER_KNOWN;
	return gone ? BE_OK : status;
}

/* Its user is told that nobody knows what became of it, as the error text says. The next batch
 * keeps the one in doubt from being committed after all. */
static void answer_never_known(struct group_file *file, uint32_t slot)
{
	struct result result;

	batch_fail(&result, BE_UNKNOWN_OUTCOME);
	batch_write_result(&file->slots[slot], &result);
	group_let_go(file, slot, ANSWERED);
}

/* A leader died, or could not tell whether its txn was committed. The batch was committed if the
 * storage says so, and then the results in the slots are true. When nobody can tell, no operation
 * is carried out that may have been carried out before. */
static enum be_status recover(struct group_file *file, const struct be_storage *storage,
			      struct remote *remote)
{
	uint64_t committed;
	uint32_t bits[ROWS] = {0};
	enum be_status status = last_committed(file, storage, remote, &committed);

	if (status != BE_OK)
		return status;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct mark *mark = &file->marks[i];

		if (is_taken(mark) && committed == NEVER_KNOWN) {
			answer_never_known(file, i);
			bits[i / 64] |= wake_bit(i);
		} else if (is_taken(mark) && mark->batch == committed) {
			group_let_go(file, i, ANSWERED);
			bits[i / 64] |= wake_bit(i);
		} else if (is_taken(mark)) {
			group_post_again(file, i);
		} else if (mark->state == POSTED) {
			atomic_fetch_or(&file->rows[i / 64].posted, posted_bit(i));
		}
	}
	lock_mend(&file->leader);
	wake_rows(file, bits);
	/* It may have freed something, and not served those who wait for it. */
	if (!line_is_empty(file))
		line_leave_untended(file);
	pass_on(file);
	return BE_OK;
}

enum be_status group_mend(struct group_file *file, const struct be_storage *storage,
			  struct remote *remote)
{
	char text[ERROR_TEXT_SIZE];
	enum be_status status;

	if (!lock_is_left(&file->leader))
		return BE_OK;
	if (backend_of(storage)->expect_dead)
		backend_of(storage)->expect_dead(storage->self);
	status = recover(file, storage, remote);
	if (!remote || status != BE_UNKNOWN_OUTCOME)
		return status;
	error_save(text);
	return error_set(BE_UNREACHABLE,
			 "what is left of one that has died must be known first: %s", text);
}

/* Waits for `leader` behind the one that is to lead next, if there is one. That one may have died,
 * where nobody sleeps that would notice. */
static void wait_behind_next(struct group *group)
{
	struct lock *next = &group->file->next;
	uint64_t history = lock_history(next);

	if (!lock_is_held(next)) {
		lock_wait(&group->file->leader, &group->self, LOCK_EAGER);
		return;
	}
	lock_wait(&group->file->leader, &group->self, LOCK_POLITE);
	if (lock_history(next) == history && lock_inherit(next, &group->self)) {
		lock_mend(next);
		lock_drop(next, &group->self);
		pass_on(group->file);
	}
}

enum be_status group_mend_leader(struct group *group, const struct be_storage *storage,
				 struct remote *remote)
{
	enum be_status status = group_mend(group->file, storage, remote);

	if (status != BE_OK) {
		group_note_outcome(group, status);
		lock_leave(&group->file->leader, &group->self);
	}
	return status;
}

enum be_status group_take_leader(struct group *group, const struct be_storage *storage,
				 struct remote *remote)
{
	wait_behind_next(group);
	return group_mend_leader(group, storage, remote);
}

enum be_status group_lock(struct group *group, const struct be_storage *storage)
{
	return group && !group->far_away ? group_take_leader(group, storage, NULL) : BE_OK;
}

void group_unlock(struct group *group, enum be_status outcome)
{
	if (!group)
		return;
	group_note_outcome(group, outcome);
	if (!group->far_away)
		lock_drop(&group->file->leader, &group->self);
}
