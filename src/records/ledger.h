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

struct family;

struct ledger {
	const struct be_storage *storage;
	void *txn;
	bool write;
	bool strict; /* compare checksums */
	bool has_header;
	uint32_t changes;      /* records written so far in this txn */
	struct envelope *room; /* see ledger_room() */
	struct family *family; /* what a write txn is told is below an envelope that it moves
	                          (rules/move.h); NULL: nothing */
	enum renamings {
		RENAMINGS_UNKNOWN,
		RENAMINGS_NONE,
		RENAMINGS_SOME
	} renamings;
	uint64_t digest; /* by what they have changed that of all records */
	struct header
		header; /* valid once ledger_header() returned BE_OK; written by ledger_commit() */
};

enum be_status ledger_begin(struct ledger *ledger, const struct be_storage *storage, bool write);

/* A read txn that is going to walk over records of one type: it begins with their first, by which a
 * storage that makes snapshots is told that this txn takes more than a look. */
enum be_status ledger_begin_walk(struct ledger *ledger, const struct be_storage *storage,
				 enum record_type type);

/* A storage may refuse to read on in a txn when others have changed something, and is then asked
 * anew: clears *status then. *tries counts, from 0. */
bool ledger_reads_again(enum be_status *status, unsigned *tries);

/* Memory for as many envelopes as a commit can be held in, which is the txn's and freed with it;
 * NULL, with an error text: out of memory. What is larger than the stack of a call may be. */
#define LEDGER_ROOM ((size_t)BE_ENVELOPES_MAX * BE_DEPTH_MAX)
struct envelope *ledger_room(struct ledger *ledger);

/* Ends the txn. Commit writes the header when anything changed, with the number of the batch unless
 * that is 0. When nothing did, it costs no flush, but what was read in it is as durable afterwards
 * as if it had been written in it. */
enum be_status ledger_commit(struct ledger *ledger, uint64_t batch);
void ledger_abort(struct ledger *ledger);

/* What a storage returned from a function that finds nothing, as a status. */
enum be_status ledger_answer(int answer);
/* The same of the end of a txn, which alone may not know what became of it. */
enum be_status ledger_ended(int answer);

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

/* The storage is in this history now (0: it does not say), and the host that writes has lost
 * something (NULL: not that it knows): leaps likewise if it is another history than the header's,
 * or if nobody has leapt since what was lost. The header keeps it if the txn changes anything
 * else. */
struct loss {
	int64_t acked_ns; /* when the latest of it was acknowledged; 0: not known */
};
enum be_status ledger_follow(struct ledger *ledger, uint64_t history, const struct loss *loss,
			     int64_t now_ns);

/* The last batch of a host. `put` writes over the one that was got; `next` finds the first behind
 * `after` (NULL: the first), `del` removes one that was found. */
int ledger_host_get(struct ledger *ledger, const uint8_t id[RECORD_HOST_ID_SIZE],
		    struct host *host);
enum be_status ledger_host_put(struct ledger *ledger, struct host *host);
int ledger_host_next(struct ledger *ledger, const uint8_t *after, struct host *host);
enum be_status ledger_host_del(struct ledger *ledger, const struct host *host);

/* Has a storage that is far away fetch these at once; elsewhere it does nothing. */
#define LEDGER_FETCH_MAX 64
enum be_status ledger_fetch(struct ledger *ledger, const struct record_key *keys, size_t count);

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

int ledger_transaction_get(struct ledger *ledger, uint64_t id, struct transaction *transaction);
/* A new one. */
enum be_status ledger_transaction_put(struct ledger *ledger, const struct transaction *transaction);

int ledger_given_back_get(struct ledger *ledger, uint64_t id, struct given_back *given_back);
enum be_status ledger_given_back_put(struct ledger *ledger, struct given_back *given_back);

/* The envelope with this id, which had this name at some time, and may have another now.
 * LEDGER_NONE: it was removed. */
int ledger_envelope_known(struct ledger *ledger, const struct name *name, uint64_t id,
			  struct envelope *envelope);

/* The name of an envelope that had another before, or was above one that got another parent. Costs
 * nothing where none had. `name_now` puts it
 * in place of one that it had at some time. */
enum be_status ledger_name_now(struct ledger *ledger, uint64_t id, struct name *name);
int ledger_renamed_get(struct ledger *ledger, uint64_t id, struct renamed *renamed);
enum be_status ledger_renamed_put(struct ledger *ledger, struct renamed *renamed);
enum be_status ledger_renamed_del(struct ledger *ledger, uint64_t id);

int ledger_alert_get(struct ledger *ledger, uint64_t id, struct alert *alert);
enum be_status ledger_alert_put(struct ledger *ledger, struct alert *alert);
/* The further envelopes of a commit or transaction, one by one. `put` writes a new one, `del`
 * removes all of them. */
enum be_status ledger_further_get(struct ledger *ledger, enum record_type type, uint64_t id,
				  uint32_t place, struct further *further);
enum be_status ledger_further_put(struct ledger *ledger, enum record_type type, uint64_t id,
				  uint32_t place, struct further *further);
enum be_status ledger_further_del(struct ledger *ledger, enum record_type type, uint64_t id,
				  uint32_t count);

/* The labels of a commit or transaction that has so many. `put` writes those of a new one. */
enum be_status ledger_labels_get(struct ledger *ledger, enum record_type type, uint64_t id,
				 uint32_t count, struct labels *labels);
enum be_status ledger_labels_put(struct ledger *ledger, enum record_type type, uint64_t id,
				 uint32_t count, const uint8_t *bytes, size_t size);
enum be_status ledger_labels_del(struct ledger *ledger, enum record_type type, uint64_t id);

/* Copies a packed zone, of which there are at most RECORD_ZONE_MAX bytes; and replaces one unless
 * it is the same. */
int ledger_zone_get(struct ledger *ledger, const char *name, size_t name_size, uint8_t *packed,
		    size_t *size);
enum be_status ledger_zone_put(struct ledger *ledger, const char *name, size_t name_size,
			       const uint8_t *packed, size_t size);

/* What pruning removed, by day. `get` finds that of sum's day, kind and number; `next` the first
 * one that lies behind `after` (NULL: the first). */
int ledger_day_get(struct ledger *ledger, struct day_sum *sum);
int ledger_day_next(struct ledger *ledger, const struct day_sum *after, struct day_sum *sum);
enum be_status ledger_day_put(struct ledger *ledger, struct day_sum *sum);
enum be_status ledger_day_del(struct ledger *ledger, const struct day_sum *sum);

/* Requests that were made with keys. `put` writes a new one, `del` removes one that was got. */
int ledger_request_get(struct ledger *ledger, const struct request_name *name,
		       struct keyed_request *request);
enum be_status ledger_request_put(struct ledger *ledger, struct keyed_request *request);
enum be_status ledger_request_del(struct ledger *ledger, const struct keyed_request *request);
/* The one that is forgotten first, its name and end only; LEDGER_NONE: there are none. */
int ledger_request_first(struct ledger *ledger, int64_t *until_ns, struct request_name *name);

/* For pruning. Their further envelopes and labels are removed apart. */
enum be_status ledger_transaction_del(struct ledger *ledger, uint64_t id);
enum be_status ledger_ended_del(struct ledger *ledger, uint64_t id);
enum be_status ledger_alert_del(struct ledger *ledger, uint64_t id);
enum be_status ledger_given_back_del(struct ledger *ledger, uint64_t id);

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
int ledger_alert_next(struct ledger *ledger, uint64_t from_id, struct alert *alert);
int ledger_given_back_next(struct ledger *ledger, uint64_t from_id, struct given_back *given_back);

/* The earliest deadline after (deadline_ns, id), which (0, 0) puts before all. */
int ledger_deadline_next(struct ledger *ledger, int64_t *deadline_ns, uint64_t *id);

#endif
