/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit across threads and processes: operations that wait at the same time are carried in
 * one txn, whose flushes they share.
 *
 * The file be-group beside the data is mapped by all processes of the environment. A thread that
 * wants a write either leads, and carries out its own operation and all that are posted, or posts
 * its operation in a slot of the file and sleeps until a leader has carried it out.
 *
 * Who leads. Two robust mutexes: `leader` is held while a batch is carried out; `next` is held by
 * the one thread that waits for `leader`. Whoever finds `next` free takes it, waits for `leader`,
 * and lets `next` go; whoever finds it taken posts and sleeps. So one thread only is woken when a
 * batch ends without having been served by it, and nobody can overtake it.
 *
 * Exactly once. A leader stamps the slots it takes with the number of its batch, writes the results
 * into them, and writes the number into the header record in the same txn. When a leader dies, the
 * kernel says so to the next one, which reads the header: if that batch's number stands there, its
 * txn was committed, and the results in the slots are true; if not, nothing of it was, and the
 * operations are posted still.
 *
 * Every write txn is one of a leader's, or is made holding `leader`: see group_lock().
 *
 * What may die or stop. A dead leader or next leader is noticed at once or after WAIT_NS, through
 * the robust mutexes. A process stopped while it is to lead next delays the others by WAIT_NS for
 * each batch, no more: a sleeper that wakes unserved leads itself if `leader` is free. The slots of
 * a dead process are cleared by group_purge() before its commits are reaped, so that no operation
 * of it is carried out after that.
 */
#ifndef GROUP_H
#define GROUP_H

#include "base/shared_file.h"
#include "rules/operation.h"

struct environment;
struct group;

/* Maps the file in `directory`, making it where missing. `reset`: nobody else has the environment
 * open, so that whatever the file holds is of the dead. Under the opening lock. */
enum be_status group_open(const struct shared_directory *directory, mode_t mode, bool reset,
			  struct group **group);
void group_close(struct group *group);

/* Carries out one operation, in a batch of this thread's or of another's; as executor_run(). */
enum be_status group_run(struct group *group, struct environment *environment,
			 const struct operation *operation, struct result *result);

/* Held around every write txn that is not a batch, so that LMDB's own writer lock is never waited
 * for: sleepers on that one can be forgotten when one of them is killed (see lock_leader() in
 * group.c). NULL groups are fine. */
void group_lock(struct group *group, struct environment *environment);
void group_unlock(struct group *group);

/* Drops what a dead process has posted. On return no operation of it will be carried out any
 * more. */
void group_purge(struct group *group, struct environment *environment, const struct owner *dead);

#endif
