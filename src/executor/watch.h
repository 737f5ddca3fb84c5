/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes of a host have seen of the leases of other hosts (lease.h).
 *
 * The storage's clock alone may not end a lease: it can be set ahead, or be another one after a
 * fail-over, and a server that was away for long has let nobody renew anything. So it counts, too,
 * for how long this host has seen, by a clock of its own that nobody sets, that the other one's
 * record has not changed. A lease has ended
 *   - when the storage's clock says so, and the record has not changed for half of the lease: the
 *     other host renews it when a third is over, so it had the time to do so after a leap; or
 *   - when the record has not changed for the whole lease, whatever that clock says; or
 *   - when that clock says that it has been over for a day. This is for those who come and go, and
 *     never look for long; no clock is set by so much in passing.
 *
 * The records are looked at whenever a third of the host's own lease is over. When nobody has
 * looked for half of it, all watching begins anew: perhaps the server was away.
 *
 * All of this is hints, in memory that the host's processes share and others of its user may write.
 * Entries are taken and written without a lock: one is believed only if it is of just that record,
 * so that one that was overwritten costs time, and ends no lease too early.
 */
#ifndef WATCH_H
#define WATCH_H

#include "records/record.h"

#include <stdatomic.h>

/* Of more hosts than that some are watched in vain. */
#define WATCH_HOSTS 256

struct lease_watch {
	_Atomic int64_t looked_ns; /* all records were looked at, by remote_steady() */
	_Atomic int64_t since_ns;  /* and since then never too seldom */
	_Atomic int64_t look_ns;   /* then they are to be looked at again */
	struct watched {
		_Atomic uint64_t host; /* a part of its id; 0: none */
		_Atomic uint64_t seen; /* a part of the record's checksum, and since when */
	} hosts[WATCH_HOSTS];
};

/* All records are looked at, as they are at `begun_ns` or later, by a host with such a lease. */
void watch_begin(struct lease_watch *watch, int64_t begun_ns, int64_t lease_ns);

/* One of them was as it is here at `seen_ns`, or before. */
void watch_note(struct lease_watch *watch, const struct host *host, int64_t seen_ns);

/* For how long it will have to stay as it is until its lease has ended, when it is so at `begun_ns`
 * or later, and at `now_ns` by the storage's clock. 0: it has ended. */
int64_t watch_left(const struct lease_watch *watch, const struct host *host, int64_t begun_ns,
		   int64_t now_ns);

#endif
