/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells from outside whether a process is inside a write txn or flushes it: a program that links
 * this has LMDB's functions that begin and end a txn pass through it, and fdatasync(). A process is
 * inside from the moment at which it holds the writer's lock until a few instructions after it has
 * let it go, and then while it flushes.
 */
#ifndef INSIDE_H
#define INSIDE_H

#include <stdatomic.h>

struct inside {
	_Atomic int in_txn;
};

/* In shared memory, of this process; NULL: nobody wants to know. */
extern struct inside *inside;

#endif
