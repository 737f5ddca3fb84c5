/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_room.h"

#include "base/futex.h"
#include "base/thread_local.h"
#include "executor/group.h"
#include "executor/group_line.h"

/* Marks that one who waits for a slot looks at for users that are dead. */
#define SWEEP 8

/* Nobody sleeps as long as if more than so many waited: how many do, others may have written. */
#define LOOKERS 128

static THREAD_LOCAL_FAST uint32_t favourite; /* the slot this thread used last */

/* Takes a free slot for this process; false when there is none. A free slot is IDLE. That this is
 * looked at shows ThreadSanitizer, which sees one process only, that a leader of this process has
 * done with the slot, whose last user was perhaps in another one. */
static bool claim_slot(struct group *group, uint32_t first, uint32_t *slot)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t at = (first + i) % SLOTS;
		struct mark *mark = &group->file->marks[at];
		uint64_t nobody = 0;

		if (mark->user == 0 && mark->state == IDLE &&
		    atomic_compare_exchange_strong(&mark->user, &nobody, group->self.name)) {
			*slot = favourite = at;
			return true;
		}
	}
	return false;
}

void room_let_slot_go(struct group_file *file, uint32_t slot)
{
	struct room *room = &file->room;
	uint32_t ticket;

	line_leave(file, slot);
	atomic_store(&file->marks[slot].state, IDLE);
	atomic_store(&file->marks[slot].user, 0);
	ticket = atomic_load(&room->admitted);
	if (ticket == atomic_load(&room->arrived))
		return;
	atomic_store(&room->last_free, slot);
	if (!atomic_compare_exchange_strong(&room->admitted, &ticket, ticket + 1))
		return;
	atomic_fetch_add(&room->doors[ticket % DOORS], 1);
	futex_wake(&room->doors[ticket % DOORS], wake_bit(ticket / DOORS));
}

void room_clear_slots(struct group_file *file, uint64_t user)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (file->marks[i].user != user)
			continue;
		atomic_fetch_and(&file->rows[i / 64].posted, ~posted_bit(i));
		room_let_slot_go(file, i);
	}
}

/* Looks whether some of the slots are held by the dead, or by nobody, and frees those. */
static void sweep(struct group *group, const struct be_storage *storage, struct remote *remote)
{
	struct group_file *file = group->file;
	uint32_t first = (uint32_t)((uint64_t)monotonic_ns() / SWEEP);

	for (uint32_t i = 0; i < SWEEP; i++) {
		struct mark *mark = &file->marks[(first + i) % SLOTS];
		uint64_t user = mark->user;

		if (user == 0 ? mark->state == IDLE : !lock_name_is_dead(&group->self, user))
			continue;
		if (group_take_leader(group, storage, remote) != BE_OK)
			return;
		if (user != 0)
			room_clear_slots(file, user);
		else if (mark->user == 0)
			atomic_store(&mark->state, IDLE);
		lock_drop(&file->leader, &group->self);
		return;
	}
}

/* Is it first in the queue? Then it may have any slot that is free. */
static bool claim_as_first(struct group *group, uint32_t ticket, uint32_t *slot)
{
	struct room *room = &group->file->room;

	if (atomic_load(&room->admitted) != ticket || !claim_slot(group, room->last_free, slot))
		return false;
	atomic_compare_exchange_strong(&room->admitted, &(uint32_t){ticket}, ticket + 1);
	return true;
}

static void wait_for_slot(struct group *group, const struct be_storage *storage,
			  struct remote *remote, uint32_t *slot)
{
	struct room *room = &group->file->room;
	uint32_t ticket = atomic_fetch_add(&room->arrived, 1);
	_Atomic uint32_t *door = &room->doors[ticket % DOORS];

	for (;;) {
		uint32_t seen = atomic_load(door), admitted = atomic_load(&room->admitted);
		uint32_t waiting = atomic_load(&room->arrived) - admitted;

		if (waiting > OWNER_SLOTS * 64) /* not even so many can wait: it is nonsense */
			atomic_store(&room->admitted, ticket);
		if (claim_as_first(group, ticket, slot))
			return;
		if ((int32_t)(admitted - ticket) > 0 && claim_slot(group, room->last_free, slot))
			return;
		if (waiting > LOOKERS)
			waiting = LOOKERS;
		if (futex_sleep(door, seen, wake_bit(ticket / DOORS), look_at(waiting, ticket)) !=
		    FUTEX_TIMED_OUT)
			continue;
		if (claim_slot(group, room->last_free, slot))
			return;
		sweep(group, storage, remote);
	}
}

uint32_t room_take_slot(struct group *group, const struct be_storage *storage,
			struct remote *remote)
{
	struct room *room = &group->file->room;
	uint32_t slot = NO_SLOT;

	if (atomic_load(&room->arrived) != atomic_load(&room->admitted) ||
	    !claim_slot(group, favourite, &slot))
		wait_for_slot(group, storage, remote, &slot);
	return slot;
}
