/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: who lives, where several hosts use one storage.
 *
 * Within a host the kernel knows (sharing/owner.h). Of another host nobody can ask: so each host
 * that holds commits has a lease in its record (remote.h), and all its owners count as alive until
 * that ends, by the storage's clock. A host is the processes that meet in one runtime directory, as
 * long as that is of this boot; a process that works directly is a host by itself. A commit has the
 * id of its owner's host.
 *
 * Renewing. Each txn of the host writes its record anyway, and the lease with it. When there was
 * none for a third of the lease, a thread renews it in a txn of its own: each process that made
 * commits has one for all its handles on a storage, and the one that gets there first does it for
 * all of its host, so that a process which sleeps for ten minutes in one call keeps what it holds,
 * and a host that is stopped does not. A server that is away keeps only its own thread from others.
 * The thread has all signals blocked. It ends when the last handle on its storage is closed, and a
 * fork child begins without it.
 *
 * Of a handle that works directly the host stays behind in this process when it is closed while
 * others on the same storage are open: its lease is renewed like theirs, and the next handle that
 * is opened there goes on as that host. With the last of them all leases end by themselves.
 *
 * Ending. Any other host that finds an ended lease reaps the commits (reap.c), by the same rules
 * as those of its own dead. How it knows that one has ended is in watch.h: the same thread looks at
 * the others' records when a third of a lease is over. The write txn that reaps looks at the record
 * again. When nothing is left it removes that, unless it was renewed meanwhile: then the host lives
 * again, and may have new commits. Where there is no record, the lease has ended long ago.
 *
 * A host that comes back needs to know nothing of this: what was reaped it finds ended, what was
 * not is still its own, and its next txn renews the lease.
 *
 * A lease never becomes shorter, so the longest of those that its processes ask for holds.
 */
#ifndef LEASE_H
#define LEASE_H

#include "executor/executor.h"

/* In nanoseconds, as be_options.lease_ms has it. */
#define LEASE_DEFAULT_NS INT64_C(60000000000)
#define LEASE_LEAST_NS INT64_C(1000000000)
#define LEASE_MOST_NS INT64_C(3600000000000)
/* It is renewed when so many parts of it are over. */
#define LEASE_RENEWALS 3

/* Is it a commit that an owner of a host is to hold? */
bool lease_is_needed(const struct operation *operation);

/* A process of the host asks for a lease of this length. */
void lease_ask(struct remote_host *host, int64_t lease_ns);

/* The longest that was asked for; what nobody may ask for, in a file that others write, is none. */
int64_t lease_length(const struct remote_host *host);

/* The host is about to hold commits. Before the txn that makes the first one. */
void lease_begin(struct remote_host *host);

/* A txn has renewed it that began at `since_ns`, of remote_steady(): the lease counts from then. */
void lease_put_off(struct remote_host *host, int64_t since_ns);

/* Within a txn at `now_ns` of the storage's clock: makes the lease last from then on. It becomes
 * shorter only where it is longer than any can be, since the clock was set back. `put` reads and
 * writes the host's record for that. */
void lease_extend(struct host *host, int64_t now_ns, int64_t lease_ns);
enum be_status lease_put(struct ledger *ledger, const uint8_t *id, int64_t now_ns,
			 int64_t lease_ns);

/* BE_NO_COMMIT if the lease of this host has not ended, and its owners may live, as `own` has seen
 * it, for a write txn that began at `begun_ns` and `now_ns`. */
enum be_status lease_expect_ended(struct ledger *ledger, const struct remote_host *own,
				  const uint8_t *id, int64_t begun_ns, int64_t now_ns);

/* Is this owner, of another host than the own one, alive? For those who only look, in a read txn:
 * by the storage's clock alone. */
enum be_status lease_look(struct ledger *ledger, const struct owner *owner, bool *lives);

/* A look at the leases of all other hosts than `own`, in a read txn that was begun at `begun_ns` of
 * remote_steady(), or later. */
#define LEASE_ENDED_MAX 32
struct lease_looked {
	size_t count; /* of those that have ended, up to LEASE_ENDED_MAX */
	struct host ended[LEASE_ENDED_MAX];
	bool is_overdue; /* another has, by the storage's clock, but was not watched for so long */
	int64_t left_ns; /* until the next one ends, if it does */
};
enum be_status lease_look_at_all(struct ledger *ledger, struct remote_host *own, int64_t begun_ns,
				 struct lease_looked *looked);

/* Removes the record of a host whose lease has ended, after all that it held was reaped; does
 * nothing if it was written to since. */
enum be_status lease_remove(const struct be_storage *storage, const struct host *seen);

/* Lists an open environment, whose lease this process can renew then. One that works directly may
 * become a host that was left behind, so that it must not have written anything yet. */
void lease_list(struct executor *executor);

/* Takes it from the list. When it is being renewed just now that is waited for: as long as a server
 * that is away is tried, some 12 s, and no longer. */
void lease_unlist(struct executor *executor);

/* From now on the leases of its storage are renewed, and others' watched, by a thread of this
 * process, as long as any are listed. Costs two loads when they are already. */
enum be_status lease_hold(struct executor *executor);

#endif
