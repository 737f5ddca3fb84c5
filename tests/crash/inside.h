/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells from outside whether a process is inside a write txn, and how long it has waited for the
 * disk: a program that links this has LMDB's functions that begin and end a txn pass through it,
 * and the calls with which LMDB writes. A process is inside from the moment at which it holds the
 * writer's lock until a few instructions after it has let it go.
 */
#ifndef INSIDE_H
#define INSIDE_H

#include <stdatomic.h>
#include <stdint.h>

struct inside {
	_Atomic int in_txn;
	_Atomic int64_t disk_since_ns; /* by test_monotonic_ns(); 0: no such call is under way */
	_Atomic int64_t disk_ns;       /* in the calls that are over */
};

/* In shared memory, of this process; NULL: nobody wants to know. */
extern struct inside *inside;

/* How long the process has waited for the disk until now. */
int64_t inside_disk_ns(struct inside *process);

/* Of a process that is dead now: the call that it died in is over, too. */
void inside_died(struct inside *process);

#endif
