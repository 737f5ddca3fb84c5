/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock under which LMDB's lock on its reader table is taken.
 *
 * LMDB guards the reader table with a robust mutex in lock.mdb. The kernel finds the mutexes of a
 * thread that ends by the number of the thread in its own pid namespace. A thread that is killed
 * while it waits for such a mutex, or tries it, lets the kernel look at it, too; where the holder
 * is of another namespace and has the same number, the kernel takes the mutex for the dead one's,
 * and marks a live holder's lock as a dead one's. So nobody waits for that mutex any more: one that
 * makes LMDB take it holds this lock, which is the kernel's own (flock() on lock.mdb) and ends with
 * its holder. LMDB takes the mutex
 *
 *   - when a read txn gets a slot in the table,
 *   - when dead readers are looked for,
 *   - and for the latter when a write txn begins after a writer has died.
 *
 * LMDB's other mutex, the writers', is taken under the executor's `leader` only (executor/group.h).
 *
 * The descriptor is open from before LMDB opens lock.mdb until after it has closed it: closing any
 * descriptor of that file sooner would drop the locks that LMDB has on it.
 */
#ifndef TABLE_LOCK_H
#define TABLE_LOCK_H

#include "base/descriptor.h"

#include <pthread.h>

struct table_lock {
	pthread_mutex_t threads; /* the other is the same for all threads of a process */
	struct descriptor file;
};

void table_lock_make(struct table_lock *lock);
void table_lock_take(struct table_lock *lock);
void table_lock_drop(struct table_lock *lock);

#endif
