/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed records over one storage txn: what rules, queries and verify work with. It knows where each
 * kind of record lies, but not what budgets are.
 *
 * Functions that look something up return 0 when it is there, LEDGER_NONE when it is not, and a
 * negative enum be_status (with an error text) when it cannot be told. In a write txn every record
 * read has its checksum compared; a read txn is left to the checks of form, which is what keeps
 * be_check() cheap.
 *
 * Functions that write keep the digest of all records (record.h). What they replace or remove is
 * told to them by the structure's `checksum`: that of the record as it was read in this txn, or 0
 * when nothing lies there yet. They leave what they wrote in it.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "records/record.h"

#define LEDGER_NONE BE_STORAGE_NOT_FOUND

struct ledger {
	const struct be_storage *storage;
	void *txn;
	bool write;
	bool strict; /* compare checksums */
	bool has_header;
	uint32_t changes; /* records written so far in this txn */
	uint64_t digest;  /* by what they have changed that of all records */
	struct header
		header; /* valid once ledger_header() returned BE_OK; written by ledger_commit() */
};

enum be_status ledger_begin(struct ledger *ledger, const struct be_storage *storage, bool write);

/* Ends the txn. Commit writes the header when anything changed, with the number of the batch unless
 * that is 0. When nothing did, it costs no flush, but what was read in it is as durable afterwards
 * as if it had been written in it. */
enum be_status ledger_commit(struct ledger *ledger, uint64_t batch);
void ledger_abort(struct ledger *ledger);

/* Reads the header into ledger->header, once. A storage without one is BE_NOT_AN_ENVIRONMENT. */
enum be_status ledger_header(struct ledger *ledger);

/* The same in a txn of its own, which changes nothing. What a write txn read is durable. */
enum be_status ledger_read_header(const struct be_storage *storage, bool write,
				  struct header *header);

/* Writes a new header into a storage that holds nothing; BE_NOT_AN_ENVIRONMENT if it holds
 * something. */
enum be_status ledger_initialise(struct ledger *ledger, int64_t now_ns);

/* Leaps far ahead with all ids to be given out, for a ledger that was restored: the one that it is
 * a copy of may have given out more since, and nobody who was given those may meet others here. */
enum be_status ledger_leap(struct ledger *ledger, int64_t now_ns);

/* `find` leaves envelope->name alone, for those who have the key and are in a hurry. */
int ledger_envelope_find(struct ledger *ledger, const struct record_key *key,
			 struct envelope *envelope);
int ledger_envelope_get(struct ledger *ledger, const struct name *name, struct envelope *envelope);
enum be_status ledger_envelope_put(struct ledger *ledger, struct envelope *envelope);
enum be_status ledger_envelope_del(struct ledger *ledger, const struct envelope *envelope);

/* Pending or ended; commit->state tells. */
int ledger_commit_get(struct ledger *ledger, uint64_t id, struct commit *commit);
enum be_status ledger_commit_put(struct ledger *ledger, struct commit *commit);
/* Moves a pending commit, whose state now says how it ended, to the ended ones. */
enum be_status ledger_commit_end(struct ledger *ledger, struct commit *commit);
/* Replaces a pending commit whose deadline was `old_deadline_ns`. */
enum be_status ledger_commit_replace(struct ledger *ledger, struct commit *commit,
				     int64_t old_deadline_ns);

/* A new one. */
enum be_status ledger_transaction_put(struct ledger *ledger, const struct transaction *transaction);

/* Copies a packed zone, of which there are at most RECORD_ZONE_MAX bytes; and replaces one unless
 * it is the same. */
int ledger_zone_get(struct ledger *ledger, const char *name, size_t name_size, uint8_t *packed,
		    size_t *size);
enum be_status ledger_zone_put(struct ledger *ledger, const char *name, size_t name_size,
			       const uint8_t *packed, size_t size);

/* Requests that were made with keys. `put` writes a new one, `del` removes one that was got. */
int ledger_request_get(struct ledger *ledger, const struct request_name *name,
		       struct keyed_request *request);
enum be_status ledger_request_put(struct ledger *ledger, struct keyed_request *request);
enum be_status ledger_request_del(struct ledger *ledger, const struct keyed_request *request);
/* The one that is forgotten first, its name and end only; LEDGER_NONE: there are none. */
int ledger_request_first(struct ledger *ledger, int64_t *until_ns, struct request_name *name);

/* For pruning. */
enum be_status ledger_transaction_del(struct ledger *ledger, uint64_t id);
enum be_status ledger_ended_del(struct ledger *ledger, uint64_t id);

/* The first record at or after `from`, of any type, as it lies there. */
int ledger_next(struct ledger *ledger, struct be_bytes from, struct be_bytes *key,
		struct be_bytes *value);

/* The first record at or after `from` with the same type byte, decoded; LEDGER_NONE behind the
 * last. */
int ledger_envelope_next(struct ledger *ledger, const struct record_key *from,
			 struct envelope *envelope);
int ledger_commit_next(struct ledger *ledger, uint64_t from_id, struct commit *commit);
int ledger_ended_next(struct ledger *ledger, uint64_t from_id, struct commit *commit);
int ledger_transaction_next(struct ledger *ledger, uint64_t from_id,
			    struct transaction *transaction);

/* The earliest deadline after (deadline_ns, id), which (0, 0) puts before all. */
int ledger_deadline_next(struct ledger *ledger, int64_t *deadline_ns, uint64_t *id);

#endif
