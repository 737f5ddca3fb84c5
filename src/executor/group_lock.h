/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds `leader`, the lock under which every write txn of an environment is made, and the group
 * as one process sees it. group.h has the public half: group_lock() and group_unlock().
 */
#ifndef GROUP_LOCK_H
#define GROUP_LOCK_H

#include "executor/group_file.h"

struct be_storage;
struct remote;

struct group {
	struct group_file *file;
	struct lock_user self;
	bool awaits_disk; /* batches are flushed */
	bool never_leads; /* its process goes without the group for good */
	bool far_away;    /* the storage lies elsewhere: see group_open_far() */
	_Atomic uint64_t
		stuck; /* what `leader` was when it was waited for too long; 0: it never was */
	/* Trouble; see below. */
	atomic_int alone;
	atomic_int penalty;
};

/* What the one that has just taken `leader` does first: brings to an end what a dead one left.
 * `remote` is NULL where the storage needs none. */
enum be_status group_mend(struct group_file *file, const struct be_storage *storage,
			  struct remote *remote);

/* Mends, holding `leader`, which is left on a fault. */
enum be_status group_mend_leader(struct group *group, const struct be_storage *storage,
				 struct remote *remote);

/* Waits for `leader`, for what is no write txn, and mends. On a fault it is not held. */
enum be_status group_take_leader(struct group *group, const struct be_storage *storage,
				 struct remote *remote);

/* Tells the user of a slot that is TAKEN, or was when it gave up, how that ended. */
void group_let_go(struct group_file *file, uint32_t slot, enum slot_state state);

/* A TAKEN slot is POSTED again, or let go if its user has given up. */
void group_post_again(struct group_file *file, uint32_t slot);

/* ---- trouble
 *
 * Nobody can see from outside that a process has a small map or may write no more; it knows by its
 * txns alone. After one that met a fault it carries out its next operations alone, in txns of their
 * own: one after the first fault, twice as many after each further one, so that a process whose
 * trouble lasts hinders the others ever more seldom. Each that ends well brings it nearer to the
 * group, and each batch that it leads well makes it forget a fault. Where all have the same
 * trouble, as on a full disk, each gets its own fault for its own operation.
 */

/* Does this process go without the group now? */
static inline bool group_is_alone(struct group *group)
{
	return group->never_leads || atomic_load_explicit(&group->alone, memory_order_relaxed) > 0;
}

/* A write txn of this process ended so. */
void group_note_outcome(struct group *group, enum be_status outcome);

/* A batch that this process led for others, too, ended well. */
void group_note_led(struct group *group);

#endif
