/* SPDX-License-Identifier: Apache-2.0 */
/* Brings operations to a write txn and their results back. */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "executor/batch.h"
#include "rules/operation.h"
#include "sharing/owner.h"

#include <budget_enforcer_storage.h>
#include <stdatomic.h>

struct group;

/* A place in the list of those whose leases this process keeps (lease.h). */
struct lease {
	struct executor *next;
	_Atomic uint64_t listed; /* by which process; 0: it is not */
	_Atomic uint64_t held;   /* by a thread of which process; 0: by none yet */
};

/* The part of an open environment that the way to a write txn needs. The environment fills it in.
 * */
struct executor {
	const struct be_storage *storage;
	_Atomic(struct group *) group;   /* NULL: one process has the storage, or it is read only.
	                                    There, made when somebody waits */
	_Atomic(struct remote *) remote; /* NULL: the storage needs none */
	_Atomic(struct owners *) owners; /* NULL: nobody who makes commits is known to die */
	bool read_only;                  /* its caller refuses what would write */
	bool direct;                     /* do without group commit */
	struct lease lease;
};

/* The host of whose owners this process is one; NULL: commits have no owners, or those of one
 * machine. */
struct remote_host *executor_host(struct executor *executor, struct remote *remote);

/* This process as the owner of its commits; generation 0: nobody. `holds`: it is going to hold one,
 * so that its host's lease is kept from now on. */
enum be_status executor_owner(struct executor *executor, bool holds, struct owner *owner);

/* Keeps others out for a write txn of this thread's, which is begun by attempt.h with *remote, and
 * ended before group_unlock() of *group. Cancellation must be off. */
enum be_status executor_lock(struct executor *executor, struct group **group,
			     struct remote **remote);

/* Runs one operation: together with operations that wait elsewhere if the environment has group
 * commit (group.h), directly otherwise. Returns BE_OK when it is done and as durable as the
 * environment promises, whatever the result's status says. Otherwise nothing was done, and the
 * fault is returned and stands in the result. */
enum be_status executor_run(struct executor *executor, struct operation *operation,
			    struct result *result);

struct waiting;

/* For a commit that executor_run() has refused for lack of budget, as `result` says: waits as
 * `waiting` says (group.h), and then has the result. A cancelled thread leaves no commit behind. */
enum be_status executor_wait(struct executor *executor, struct operation *operation,
			     struct waiting *waiting, struct result *result);

/* The same for `count` operations in one txn of this thread's, in order. Each is refused or granted
 * by itself. EXECUTOR_DIRECT_MAX at most, since other writers wait meanwhile. */
#define EXECUTOR_DIRECT_MAX 32
enum be_status executor_direct(struct executor *executor, const struct operation *operations,
			       struct result *results, size_t count);

/* The same for one that moves an envelope, and what was found to be below that (rules/move.h),
 * which no other process could be handed. */
enum be_status executor_move(struct executor *executor, const struct operation *operation,
			     struct family *family, struct result *result);

/* Has a read txn's storage fetch ahead what a check of an envelope reads. */
enum be_status executor_fetch(struct executor *executor, const struct ledger *ledger,
			      const struct record_key *key);

/* Any number of operations in one txn of this thread's, in order: all of them, or none when one is
 * refused. Then the status of that one is returned, and *done is its index. *done is `count` when
 * all were done, and also when the fault was that of no single operation. */
enum be_status executor_together(struct executor *executor, const struct batch_source *source,
				 size_t count, size_t *done);

#endif
