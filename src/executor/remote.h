/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process remembers of a storage that lies elsewhere: under which name it writes there, how
 * its clock goes, and what operations will want to read. A storage that has none of the functions
 * and traits that this is for has no struct remote, and pays nothing.
 *
 * The host. A storage whose commits may be in doubt keeps, for each process that writes by itself,
 * a record with the number of its last batch (struct host), and one for all processes of a machine
 * that share group commit (group.h). A process holds `lock`, or `leader`, until it knows what
 * became of a batch: so there is one at most that may have been committed since the last that was
 * acknowledged. Whoever begins to write under a new name removes some of what others have left for
 * longer than an hour, but for hosts whose commits nobody has looked for yet. A doubt lasts
 * seconds; one that lasts so long that the record may have been removed meanwhile is not resolved.
 * The same record has the host's lease (lease.h).
 *
 * Losses. A server may fall back to an earlier state, or be replaced by one that lacks the latest
 * changes. So each txn compares the host's record with the last batch that was acknowledged: one
 * that is behind it, or gone, has lost all that came between, which is noted as a loss of these
 * batches. The numbers go on behind them. A process remembers the last batch in which something of
 * its own was acknowledged, of the group's and of its own; when it is one of a loss, the next
 * operation of the process is answered BE_CHANGES_LOST in place of being carried out. Who leads
 * answers so for all: a posted operation says what its process heard last. What a process did alone
 * it alone can compare, as it does at its next call after anybody has noticed an upset. Only what
 * nobody waits for, as reaping, is told nothing. A record that is gone tells nothing where it may
 * have been removed, as above. Each handle on a storage of its own has a struct remote, so that a
 * process with several is told by each.
 *
 * The clock is kept as a difference to one of this machine's that nobody sets.
 *
 * Hints. Nobody has to believe them: what is not fetched ahead is fetched when it is asked for.
 *
 * Fork: a child gets all this anew at its first call.
 */
#ifndef REMOTE_H
#define REMOTE_H

#include "executor/checks.h"
#include "executor/watch.h"
#include "records/ledger.h"
#include "rules/operation.h"

#include <pthread.h>
#include <stdatomic.h>

struct hints;

/* Batches that were acknowledged, and were gone later: those behind `kept`, up to `last`. */
struct lost_batches {
	_Atomic uint64_t kept;
	_Atomic uint64_t last;
};
#define LOSSES_KEPT 8

/* When a batch began. Who has to know whether a record that is gone may have been removed asks two
 * clocks, since the storage's may be set, and a server that took over has another one. */
struct batch_times {
	_Atomic int64_t begun_ns; /* by remote_steady() */
	_Atomic int64_t at_ns;    /* by the storage's clock; 0: it has none */
	_Atomic int64_t life_ns;  /* and for so long at least the record stays that it wrote */
};

/* By what the batches of a host are told apart, and its owners. */
struct remote_host {
	uint8_t id[RECORD_HOST_ID_SIZE];
	_Atomic uint64_t batch;   /* the last number that was given out */
	struct batch_times begun; /* of that */
	_Atomic uint64_t acked;   /* the last that was acknowledged, so that there is a record; 0:
	                            none was */
	struct batch_times acked_times;
	_Atomic uint64_t losses; /* so far, of which the last ones are in `lost`, going
	                                   around */
	struct lost_batches lost[LOSSES_KEPT];
	_Atomic uint64_t upsets;  /* so often another history was written down, or a loss */
	_Atomic uint32_t holds;   /* commits were made for owners of this host */
	_Atomic int64_t renew_ns; /* then its lease is to be renewed, by remote_steady() */
	_Atomic int64_t lease_ns; /* the longest that its processes ask for */
	struct lease_watch watch; /* what they have seen of other hosts */
};

enum be_status remote_host_make(struct remote_host *host);

struct remote {
	const struct be_storage *storage;
	bool may_doubt;
	bool has_clock;           /* operations are made at its time */
	int64_t lease_ns;         /* of a lease; 0: the storage cannot bear any */
	pid_t pid;                /* whose this is */
	int64_t born_ns;          /* the storage's time; whatever it is, without a clock */
	_Atomic int64_t clock_ns; /* its clock is so far ahead of this machine's */
	_Atomic int64_t look_ns; /* then leases of others are to be looked at, by remote_steady() */
	pthread_mutex_t lock;    /* held while `own` has a batch on its way */
	struct remote_host own;  /* of this process alone */
	struct remote_host *group;    /* that of the group that it is in; NULL: it is in none */
	_Atomic uint64_t heard_alone; /* the last batch of `own` that was acknowledged; 0: none was
	                                 since this process was told of a loss */
	_Atomic uint64_t heard;       /* the same of the group's, with something of this process */
	_Atomic uint64_t upsets_seen; /* of the group's, when `own` was last looked at */
	struct hints *hints; /* NULL: the storage has no use for them. It has a lock of its own */
	int64_t check_age_ns;
	struct checks *checks; /* NULL: each check makes its trip. Likewise */
};

/* Makes *remote, or NULL for a storage that needs none. `own_clock`: the caller has another.
 * `check_age_ns` of 0: no checks are kept, nor of a storage that fetches nothing ahead. */
enum be_status remote_make(const struct be_storage *storage, bool own_clock, int64_t lease_ns,
			   int64_t check_age_ns, struct remote **remote);
void remote_free(struct remote *remote);

/* The one of this process, in place of which a fork child finds its parent's. */
enum be_status remote_find(_Atomic(struct remote *) *place, struct remote **remote);

/* A batch of the host was acknowledged that began then. */
void remote_ack(struct remote_host *host, uint64_t batch, const struct batch_times *times);
void remote_copy_times(struct batch_times *times, const struct batch_times *from);

/* The group's host, where this process was acknowledged something in the group; else NULL. */
static inline struct remote_host *remote_group(struct remote *remote)
{
	return atomic_load(&remote->heard) != 0 ? remote->group : NULL;
}

/* May something have been lost since this process looked what became of what it did alone? */
static inline bool remote_must_look(const struct remote *remote)
{
	return remote->group && atomic_load(&remote->heard_alone) != 0 &&
	       atomic_load(&remote->upsets_seen) != atomic_load(&remote->group->upsets);
}

/* The host's record has the batch `kept` (0: none), where a later one was acknowledged. `last` had
 * been given out when this was asked. */
void remote_note_loss(struct remote_host *host, uint64_t kept, uint64_t last);

/* Was this batch, or 0, lost? Of one that lies before all losses that are remembered nobody knows
 * it, if there were others: then yes. */
bool remote_has_lost(const struct remote_host *host, uint64_t batch);

/* An operation of this process was answered so, by this batch of the group's. */
void remote_hear(struct remote *remote, uint64_t batch, const struct result *result);

/* Is this process to be told now that the group, or it alone, has lost something? Only once, for
 * all that it has heard so far. */
bool remote_tells(struct remote *remote);
bool remote_tells_alone(struct remote *remote);
enum be_status remote_say_lost(void);

/* Nanoseconds by a clock of this machine that nobody sets, and that goes on while it sleeps. */
int64_t remote_steady(void);

/* The time by the storage's clock, as far as it is known; false: it has none. */
bool remote_time(const struct remote *remote, int64_t *now_ns);

/* Asks the storage's clock within a txn. */
enum be_status remote_ask_clock(struct remote *remote, const struct ledger *ledger,
				int64_t *now_ns);

/* Brings the times that an operation got from a clock to what the storage's says now. */
void remote_retime(struct operation *operation, int64_t now_ns);

/* Keys to be fetched ahead for so many operations, of which those that do not fit are left out. The
 * header and the host's record are among them. NULL: the storage has no use for that, or there is
 * no memory for it. */
struct remote_keys;
struct remote_keys *remote_keys_make(struct remote *remote, const struct remote_host *host,
				     size_t operations);
void remote_keys_free(struct remote_keys *keys);
void remote_want_chain(struct remote *remote, const struct name *name, struct remote_keys *keys);
void remote_want_host(struct remote_keys *keys, const uint8_t id[RECORD_HOST_ID_SIZE]);
void remote_want(struct remote *remote, const struct operation *operation,
		 struct remote_keys *keys);
enum be_status remote_fetch(const struct ledger *ledger, const struct remote_keys *keys);

/* Learns from what an operation has read. */
void remote_learn(struct remote *remote, struct ledger *ledger, const struct result *result);

/* The same of one that was carried out elsewhere; and says, for one that is to be, what is known of
 * the commit that it names. */
void remote_note(struct remote *remote, const struct result *result);
void remote_help(struct remote *remote, struct operation *operation);

#endif
