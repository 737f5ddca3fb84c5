/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots, and the room where threads wait for one.
 *
 * Threads that find no slot free queue for one, so that each gets it in its order, and does not
 * fight for `leader`. A slot that is let go admits the next ticket. One whose holder is dead admits
 * nobody; what is lost by that is found by those who look for themselves.
 */
#ifndef GROUP_ROOM_H
#define GROUP_ROOM_H

#include "executor/group_lock.h"

/* Takes a slot for this process, which is IDLE; waits for one where there is none. */
uint32_t room_take_slot(struct group *group, const struct be_storage *storage,
			struct remote *remote);

void room_let_slot_go(struct group_file *file, uint32_t slot);

/* Clears the slots of a user that is dead, holding `leader`. */
void room_clear_slots(struct group_file *file, uint64_t user);

#endif
