/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write txn that is tried until it counts. A storage that answers with a conflict has done
 * nothing, and the txn is begun again; one that does not know what became of a commit is asked in
 * the next txn. With LMDB, which does neither, there is one attempt, and this costs nothing.
 *
 *     attempt_open(&attempt, storage, remote);
 *     do {
 *             status = attempt_begin(&attempt, &ledger);
 *             if (status == BE_OK) {
 *                     status = ...;   what is done in the txn
 *                     status = attempt_end(&attempt, &ledger, status);
 *             }
 *     } while (attempt_again(&attempt, &status));
 *     attempt_close(&attempt);
 *
 * All between begin and end is done anew in each attempt. Cancellation must be off.
 *
 * Begin also finds out whether the storage has lost what it had acknowledged (remote.h), and lets
 * ids leap when it is in another history. A txn of this process alone is not begun when it is to be
 * told of a loss: then the header counts the loss, and BE_CHANGES_LOST is what became of it all.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include "executor/remote.h"

struct attempt {
	const struct be_storage *storage;
	struct remote *remote;             /* NULL: none */
	struct remote_host *numbers;       /* whose batches these are */
	struct remote_host *owners;        /* whose owners make commits in it; NULL: it keeps no
	                                   leases */
	const struct remote_host *watcher; /* what was seen of the leases of others */
	const struct remote_keys *keys;    /* to be fetched ahead; NULL: none */
	bool repeatable;                   /* doing it twice is as good as once */
	bool is_batch;                     /* of a group */
	bool has_clock;                    /* operations are made at the time of the storage */
	bool tells_time;                   /* the storage has a clock, which is asked */
	bool is_untold;                    /* its process is not told here that changes were lost */
	bool is_behind;                    /* the host's record lacks what was acknowledged */
	bool is_upset;                     /* it found another history, or is behind */
	bool is_gone;                      /* nobody will ever know of the one in doubt */
	bool in_doubt;
	bool asks; /* what became of the txn in doubt */
	uint32_t conflicts;
	uint64_t number;           /* of the group's batch that has begun */
	int64_t now_ns;            /* by the storage's clock, if it has one */
	int64_t begun_ns;          /* the txn, by remote_steady(); only far away */
	struct batch_times times;  /* of the last txn that did not ask */
	struct host host;          /* the record, with the number of the txn on its way */
	struct remote_host *group; /* what is done alone looks at that one's record, too; NULL:
	                              there is none, or it makes no difference */
	/* What had been given out and acknowledged before the txn began. */
	struct numbers {
		uint64_t given, acked;
		struct batch_times times;
	} own, of_group;
};

/* Holds the lock of the struct remote until attempt_close(). `owners` may be NULL where no commits
 * are made. */
void attempt_open(struct attempt *attempt, const struct be_storage *storage, struct remote *remote,
		  struct remote_host *owners);

/* The same for batches of a group, by a thread that holds `leader`. Where there is a struct remote,
 * `host` is the group's. After attempt_begin() `number` is that of the batch: one more than the
 * last that was committed, or one that no other batch of the host has had. */
void attempt_open_batch(struct attempt *attempt, const struct be_storage *storage,
			struct remote *remote, struct remote_host *host);
enum be_status attempt_begin(struct attempt *attempt, struct ledger *ledger);

/* Commits when `status` is BE_OK, else aborts. */
enum be_status attempt_end(struct attempt *attempt, struct ledger *ledger, enum be_status status);

/* Is there to be another attempt after this status? If not, *status is what became of it all. */
bool attempt_again(struct attempt *attempt, enum be_status *status);
void attempt_close(struct attempt *attempt);

/* Has this process lost what it did alone? Then it has been told, if the caller says so. */
bool attempt_tells_alone(const struct be_storage *storage, struct remote *remote);

/* Was the batch of this number, which another leader of the group may have begun, committed? On
 * BE_OK, and with *landed false, it never will be. Any number of threads may ask at once. But when
 * another batch of the host has been committed since, a true answer is not to be had here. Where it
 * fails, *gone says whether it always will, since the host's record was removed. */
enum be_status attempt_ask(const struct be_storage *storage, struct remote *remote,
			   struct remote_host *host, uint64_t number, bool *landed, bool *gone);

#endif
