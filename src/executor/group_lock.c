/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_lock.h"

#include "executor/batch.h"
#include "executor/group.h"
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

/* A leader died, or could not tell whether its txn was committed. The batch was committed if the
 * header says so, and then the results in the slots are true. When nobody can tell, no operation is
 * carried out that may have been carried out before. */
static enum be_status recover(struct group_file *file, const struct be_storage *storage)
{
	uint64_t committed = 0;
	uint32_t bits[ROWS] = {0};
	enum be_status status = batch_last(storage, &committed);

	if (status != BE_OK)
		return status;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct mark *mark = &file->marks[i];
		uint32_t state = mark->state;

		if (state == TAKEN && mark->batch == committed) {
			atomic_store(&mark->state, ANSWERED);
			bits[i / 64] |= wake_bit(i);
		} else if (state == TAKEN || state == POSTED) {
			atomic_store(&mark->state, POSTED);
			atomic_fetch_or(&file->rows[i / 64].posted, posted_bit(i));
		}
	}
	lock_mend(&file->leader);
	wake_rows(file, bits);
	pass_on(file);
	return BE_OK;
}

enum be_status group_mend(struct group_file *file, const struct be_storage *storage)
{
	if (!lock_is_left(&file->leader))
		return BE_OK;
	if (backend_of(storage)->expect_dead)
		backend_of(storage)->expect_dead(storage->self);
	return recover(file, storage);
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

enum be_status group_lock(struct group *group, const struct be_storage *storage)
{
	struct group_file *file;
	enum be_status status;

	if (!group)
		return BE_OK;
	file = group->file;
	wait_behind_next(group);
	status = group_mend(file, storage);
	if (status != BE_OK) {
		group_note_outcome(group, status);
		lock_leave(&file->leader, &group->self);
	}
	return status;
}

void group_unlock(struct group *group, enum be_status outcome)
{
	if (!group)
		return;
	group_note_outcome(group, outcome);
	lock_drop(&group->file->leader, &group->self);
}
