/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks in a file that processes share. Each is one word, which names its holder: the process's
 * slot in be-owners and its generation there. When the kernel says that this process is dead
 * (owner.h), a thread that waits takes the word over from it.
 *
 *   bit 0         HELD
 *   bit 1         WAITERS   threads may sleep: the holder wakes one when it lets go
 *   bit 2         LEFT      the last holder died, or could not finish what the lock guards
 *   bits 3..14    the holder's slot
 *   bits 15..31   how often it was taken, so that waiting threads see it change hands
 *   bits 32..63   the low half of the holder's generation
 *
 * The word may be any bytes. None of them makes this code do anything worse than to wait for a live
 * process, or to take over from a dead one.
 *
 * A dead holder is one whose process is dead: a thread must not end while it holds a lock.
 */
#ifndef LOCK_H
#define LOCK_H

#include "sharing/owner.h"

#include <stdatomic.h>

struct lock {
	_Alignas(64) _Atomic uint64_t word;
};

/* This process, as its locks name it. */
struct lock_user {
	struct owners *owners; /* NULL: no other process has the locks */
	uint64_t name;
};

struct lock_user lock_user(struct owners *owners);

/* The same for locks in memory that no other process has. */
struct lock_user lock_user_alone(void);

/* The name of a process in locks; never 0. */
uint64_t lock_name(const struct owner *owner);

/* Is the process of that name dead, or is this the name of none? Asks the kernel. */
bool lock_name_is_dead(const struct lock_user *user, uint64_t name);

/* Held by anybody, dead or alive? One load. */
bool lock_is_held(const struct lock *lock);

/* Another number after each time that the lock was taken or let go. */
uint64_t lock_history(const struct lock *lock);

/* Takes the lock if nobody holds it. */
bool lock_try(struct lock *lock, const struct lock_user *user);

/* Takes the lock if its holder is dead. Asks the kernel. */
bool lock_inherit(struct lock *lock, const struct lock_user *user);

enum lock_manner {
	LOCK_FIRST_IN_LINE, /* alone in this: looks often whether the holder lives */
	LOCK_EAGER,         /* one of many: looks less and less often */
	LOCK_POLITE, /* the same, and does not take it before it has slept: somebody is first */
};

/* Waits for the lock and takes it, from the dead, too. */
void lock_wait(struct lock *lock, const struct lock_user *user, enum lock_manner manner);

/* The same until a moment of monotonic_ns(), or a little longer; false: it was not to be had. */
bool lock_wait_until(struct lock *lock, const struct lock_user *user, enum lock_manner manner,
		     int64_t limit_ns);

/* For the holder: did the last holder die, or call lock_leave()? After lock_mend() the answer is
 * no. */
bool lock_is_left(const struct lock *lock);
void lock_mend(struct lock *lock);

/* Lets go. After lock_leave() the next holder finds it left. */
void lock_drop(struct lock *lock, const struct lock_user *user);
void lock_leave(struct lock *lock, const struct lock_user *user);

#endif
