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
 * commits has one for all its handles, and the one that gets there first does it for all of its
 * host, so that a process which sleeps for ten minutes in one call keeps what it holds, and a host
 * that is stopped does not. The thread has all signals blocked. It ends when the last handle on
 * such a storage is closed, and a fork child begins without it.
 *
 * Ending. Any other host that finds an ended lease reaps the commits (reap.c), by the same rules
 * as those of its own dead. The write txn that does so looks at the lease again, at the storage's
 * time. When none are left it clears the lease, unless that was renewed meanwhile: then the host
 * lives again, and may have new ones. Only a record without lease is ever removed, so that no
 * commit of a host that vanished is overlooked; where there is no record, the lease has ended long
 * ago.
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

/* Has the lease of this host ended at `now_ns` of the storage's clock? `expect`: BE_NO_COMMIT if it
 * has not, and its owners may live. */
bool lease_has_ended(const struct host *host, int64_t now_ns);
enum be_status lease_expect_ended(struct ledger *ledger, const uint8_t *id, int64_t now_ns);

/* Is this owner, of another host than `own`, alive? For those who only look, in a read txn. */
enum be_status lease_look(struct ledger *ledger, const struct owner *owner, bool *lives);

/* Clears a lease that has ended, after all that the host held was reaped; does nothing if it was
 * renewed since. */
enum be_status lease_clear(const struct be_storage *storage, const struct host *seen);

/* Lists an open environment, whose lease this process can renew then; and takes it from the list,
 * which waits until it is renewed no more. */
void lease_list(struct executor *executor);
void lease_unlist(struct executor *executor);

/* From now on leases are renewed by a thread of this process, as long as any are listed. Costs two
 * loads when they are already. */
enum be_status lease_hold(struct executor *executor);

#endif
