/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed records over one storage txn: what rules, queries and verify work with. It knows where each kind
 * of record lies, but not what budgets are.
 *
 * Functions that look something up return 0 when it is there, STORE_NONE when it is not, and a negative
 * enum be_status (with an error text) when it cannot be told. In a write txn every record read has its
 * checksum compared; a read txn is left to the checks of form, which is what keeps be_check() cheap.
 */
#ifndef STORE_H
#define STORE_H

#include "records/record.h"

#define STORE_NONE BE_STORAGE_NOT_FOUND

struct store {
	const struct be_storage *storage;
	void *txn;
	bool write;
	bool strict; /* compare checksums */
	bool has_header;
	uint32_t changes;     /* records written so far in this txn */
	struct header header; /* valid once store_header() returned BE_OK; written by store_commit() */
};

enum be_status store_begin(struct store *store, const struct be_storage *storage, bool write);

/* Ends the txn. Commit writes the header when anything changed, with the number of the batch unless that is
 * 0, and drops the txn when nothing did, so that it costs no flush. */
enum be_status store_commit(struct store *store, uint64_t batch);
void store_abort(struct store *store);

/* Reads the header into store->header, once. A storage without one is BE_NOT_AN_ENVIRONMENT. */
enum be_status store_header(struct store *store);

/* The same in a txn of its own, which changes nothing. */
enum be_status store_read_header(const struct be_storage *storage, bool write, struct header *header);

/* Writes a new header into a storage that holds nothing; BE_NOT_AN_ENVIRONMENT if it holds something. */
enum be_status store_initialise(struct store *store, int64_t now_ns);

/* `find` leaves envelope->name alone, for those who have the key and are in a hurry. */
int store_envelope_find(struct store *store, const struct record_key *key, struct envelope *envelope);
int store_envelope_get(struct store *store, const struct name *name, struct envelope *envelope);
enum be_status store_envelope_put(struct store *store, const struct envelope *envelope);
enum be_status store_envelope_del(struct store *store, const struct name *name);

/* Pending or ended; commit->state tells. */
int store_commit_get(struct store *store, uint64_t id, struct commit *commit);
enum be_status store_commit_put(struct store *store, const struct commit *commit);
/* Moves a pending commit, whose state now says how it ended, to the ended ones. */
enum be_status store_commit_end(struct store *store, const struct commit *commit);
/* Replaces a pending commit whose deadline was `old_deadline_ns`. */
enum be_status store_commit_replace(struct store *store, const struct commit *commit,
				    int64_t old_deadline_ns);

enum be_status store_transaction_put(struct store *store, const struct transaction *transaction);

/* For pruning. */
enum be_status store_transaction_del(struct store *store, uint64_t id);
enum be_status store_ended_del(struct store *store, uint64_t id);

/* The first record at or after `from`, of any type, as it lies there. */
int store_next(struct store *store, struct be_bytes from, struct be_bytes *key, struct be_bytes *value);

/* The first record at or after `from` with the same type byte, decoded; STORE_NONE behind the last. */
int store_envelope_next(struct store *store, const struct record_key *from, struct envelope *envelope);
int store_commit_next(struct store *store, uint64_t from_id, struct commit *commit);
int store_ended_next(struct store *store, uint64_t from_id, struct commit *commit);
int store_transaction_next(struct store *store, uint64_t from_id, struct transaction *transaction);

/* The earliest deadline after (deadline_ns, id), which (0, 0) puts before all. */
int store_deadline_next(struct store *store, int64_t *deadline_ns, uint64_t *id);

#endif
