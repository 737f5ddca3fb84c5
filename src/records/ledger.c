/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed records over a storage txn. All values that a storage returns are decoded into structures
 * of ours at once, since they are valid only until the next call. A status a storage may not return
 * becomes BE_STORAGE_FAILED here, at the border, so that a wrong backend can never look like BE_OK.
 */
#include "records/ledger.h"

#include "base/error.h"
#include "storage/backend.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A read that others keep from its end is made so often. */
#define READS_MAX 300

/* What a storage returned, as 0, LEDGER_NONE or a fault. */
static int storage_answer(int answer)
{
	if (answer == 0 || answer == BE_STORAGE_NOT_FOUND)
		return answer;
	if (answer <= -130 && answer >= -199)
		return (int)error_default((enum be_status)answer);
	if (answer == BE_STORAGE_CONFLICT)
		return (int)error_default(BE_CONFLICT);
	return (int)error_set(BE_STORAGE_FAILED,
			      "the storage returned %d, which its interface does not allow",
			      answer);
}

/* The same where "not found" is no answer. */
static enum be_status storage_done(int answer)
{
	answer = storage_answer(answer);
	if (answer == BE_STORAGE_NOT_FOUND)
		return error_set(BE_STORAGE_FAILED,
				 "the storage said \"not found\" where it cannot");
	return (enum be_status)answer;
}

/* What the end of a txn returned: it alone may not know what became of it. */
static enum be_status storage_ended(int answer)
{
	return answer == BE_STORAGE_IN_DOUBT
		       ? error_set(BE_UNKNOWN_OUTCOME,
				   "the storage did not hear whether its change was kept")
		       : storage_done(answer);
}

enum be_status ledger_answer(int answer)
{
	return storage_done(answer);
}

enum be_status ledger_ended(int answer)
{
	return storage_ended(answer);
}

static enum be_status damaged(const char *what, enum be_status status)
{
	if (status == BE_NEWER_FORMAT)
		return error_set(status,
				 "%s was written by a later version of this library: upgrade it",
				 what);
	if (status == BE_OLDER_FORMAT)
		return error_set(
			status,
			"%s was written by an earlier version of this library: export what "
			"you need with that version, and begin a new environment",
			what);
	return error_set(BE_DAMAGED,
			 "%s is damaged: stop the pool, run be-inspect verify, restore a backup",
			 what);
}

static int find(struct ledger *ledger, const struct record_key *key, struct be_bytes *value)
{
	const struct be_storage *storage = ledger->storage;

	return storage_answer(
		storage->ops->get(storage->self, ledger->txn, record_key_bytes(key), value));
}

static enum be_status write(struct ledger *ledger, const struct record_key *key,
			    const struct record_value *value)
{
	const struct be_storage *storage = ledger->storage;

	assert(ledger->write);
	ledger->changes++;
	return storage_done(storage->ops->put(storage->self, ledger->txn, record_key_bytes(key),
					      (struct be_bytes){value->bytes, value->size}));
}

/* *part is what the digest counts for what lies there, and then for what is put there. */
static enum be_status put(struct ledger *ledger, const struct record_key *key,
			  const struct record_value *value, uint64_t *part)
{
	ledger->digest -= *part;
	*part = record_part(record_key_bytes(key), (struct be_bytes){value->bytes, value->size});
	ledger->digest += *part;
	return write(ledger, key, value);
}

static enum be_status del(struct ledger *ledger, const struct record_key *key, uint64_t part)
{
	const struct be_storage *storage = ledger->storage;
	int answer;

	assert(ledger->write);
	answer = storage_answer(
		storage->ops->del(storage->self, ledger->txn, record_key_bytes(key)));
	ledger->changes++;
	ledger->digest -= part;
	if (answer == LEDGER_NONE)
		return damaged("a record that must be there to be removed", BE_DAMAGED);
	return (enum be_status)answer;
}

static bool sound(const struct ledger *ledger, struct be_bytes key, struct be_bytes value)
{
	return !ledger->strict || record_checksum_fits(key, value);
}

/* ---- the txn */

enum be_status ledger_begin(struct ledger *ledger, const struct be_storage *storage, bool write)
{
	ledger->storage = storage;
	ledger->write = write;
	ledger->strict = write;
	ledger->has_header = false;
	ledger->changes = 0;
	ledger->room = NULL;
	ledger->family = NULL;
	ledger->renamings = RENAMINGS_UNKNOWN;
	ledger->digest = 0;
	return storage_done(storage->ops->begin(storage->self, write, &ledger->txn));
}

enum be_status ledger_begin_walk(struct ledger *ledger, const struct be_storage *storage,
				 enum record_type type)
{
	const uint8_t from = (uint8_t)type;
	enum be_status status = ledger_begin(ledger, storage, false);
	struct be_bytes key, value;
	int found;

	if (status != BE_OK)
		return status;
	found = ledger_next(ledger, (struct be_bytes){&from, 1}, &key, &value);
	if (found >= 0)
		return BE_OK;
	ledger_abort(ledger);
	return (enum be_status)found;
}

bool ledger_reads_again(enum be_status *status, unsigned *tries)
{
	if (*status != BE_CONFLICT || ++*tries > READS_MAX)
		return false;
	error_clear();
	*status = BE_OK;
	return true;
}

struct envelope *ledger_room(struct ledger *ledger)
{
	if (!ledger->room)
		ledger->room = malloc(LEDGER_ROOM * sizeof *ledger->room);
	if (!ledger->room)
		(void)error_set(BE_NO_MEMORY, "out of memory");
	return ledger->room;
}

static void give_room_back(struct ledger *ledger)
{
	if (ledger->room)
		free(ledger->room);
	ledger->room = NULL;
}

/* 0 when the storage has no numbers. */
static uint64_t txn_number(const struct ledger *ledger)
{
	const struct backend *backend = backend_of(ledger->storage);

	return backend->txn_number ? backend->txn_number(ledger->txn) : 0;
}

enum be_status ledger_commit(struct ledger *ledger, uint64_t batch)
{
	struct record_value value;
	struct record_key key;
	enum be_status status;

	give_room_back(ledger);
	if (ledger->changes == 0)
		return storage_ended(
			ledger->storage->ops->commit(ledger->storage->self, ledger->txn));
	status = ledger_header(ledger);
	if (status == BE_OK) {
		ledger->header.changes++;
		if (batch != 0)
			ledger->header.batch = batch;
		ledger->header.digest += ledger->digest;
		ledger->header.txn = txn_number(ledger);
		record_key_header(&key);
		record_encode_header(&value, &ledger->header);
		status = write(ledger, &key, &value);
	}
	if (status != BE_OK) {
		ledger_abort(ledger);
		return status;
	}
	return storage_ended(ledger->storage->ops->commit(ledger->storage->self, ledger->txn));
}

void ledger_abort(struct ledger *ledger)
{
	give_room_back(ledger);
	ledger->storage->ops->abort(ledger->storage->self, ledger->txn);
}

/* ---- the header */

enum be_status ledger_header(struct ledger *ledger)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	if (ledger->has_header)
		return BE_OK;
	record_key_header(&key);
	found = find(ledger, &key, &value);
	if (found == LEDGER_NONE)
		return error_set(BE_NOT_AN_ENVIRONMENT,
				 "there is no header record: this is not, or not yet, a "
				 "budget-enforcer environment");
	if (found < 0)
		return (enum be_status)found;
	if (record_is_filling(value))
		return error_set(BE_NOT_AN_ENVIRONMENT,
				 "it is being copied into, or such a copy was broken off: wait for "
				 "its end, or begin it again");
	status = record_decode_header(value, &ledger->header);
	if (status == BE_OK && !record_checksum_fits(record_key_bytes(&key), value))
		status = BE_DAMAGED;
	if (status != BE_OK)
		return damaged("the header record", status);
	ledger->has_header = true;
	return BE_OK;
}

enum be_status ledger_read_header(const struct be_storage *storage, bool write,
				  struct header *header)
{
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, storage, write);

	if (status != BE_OK)
		return status;
	status = ledger_header(&ledger);
	if (status == BE_OK)
		*header = ledger.header;
	if (status == BE_OK && write)
		return ledger_commit(&ledger, 0);
	ledger_abort(&ledger);
	return status;
}

enum be_status ledger_initialise(struct ledger *ledger, int64_t now_ns)
{
	struct be_bytes key, value;
	int found = ledger_next(ledger, (struct be_bytes){"", 1}, &key, &value);

	if (found < 0)
		return (enum be_status)found;
	if (found == 0)
		return error_set(BE_NOT_AN_ENVIRONMENT,
				 "the storage holds records of another program");
	ledger->header = (struct header){
		.next_envelope_id = 1,
		.next_commit_id = 1,
		.next_transaction_id = 1,
		.next_alert_id = 1,
		.created_ns = now_ns,
	};
	ledger->has_header = true;
	ledger->changes++;
	return BE_OK;
}

/*
 * Ids go on from the seconds since 1970, times 2^21. The copied ledger cannot have come so far by
 * itself, unless it has given out two million ids in every second of its life; nor can another copy
 * that was restored in an earlier second. Such ids stay below 2^53, which is what JSON's readers
 * and scripts can take, until the year 2106. A clock that says less than the ids at hand, or a
 * later year, is passed over by 2^32 ids, which more than a million restored copies in a row can
 * afford.
 */
#define LEAP_BITS 21
#define LEAP_LEAST (UINT64_C(1) << 32)
#define LEAP_SECOND (UINT64_C(1) << LEAP_BITS)
#define LEAP_CLOCK_END (UINT64_C(1) << 53)
/* No ledger of ours gets there. */
#define LEAP_ID_MAX (UINT64_C(1) << 62)

/* `by_clock_least`: the clock is followed where that is at least so far. */
static uint64_t leap(uint64_t id, int64_t now_ns, uint64_t by_clock_least)
{
	uint64_t by_clock = now_ns > 0 ? (uint64_t)(now_ns / BE_UNIT) << LEAP_BITS : 0;

	return by_clock > id + by_clock_least && by_clock < LEAP_CLOCK_END ? by_clock
									   : id + LEAP_LEAST;
}

static enum be_status leap_all(struct header *header, int64_t now_ns, uint64_t by_clock_least)
{
	uint64_t envelope_id;

	if ((header->next_envelope_id | header->next_commit_id | header->next_transaction_id |
	     header->next_alert_id) >= LEAP_ID_MAX)
		return damaged("the header record", BE_DAMAGED);
	envelope_id = leap(header->next_envelope_id, now_ns, by_clock_least);
	header->leapt += envelope_id - header->next_envelope_id;
	header->next_envelope_id = envelope_id;
	header->next_commit_id = leap(header->next_commit_id, now_ns, by_clock_least);
	header->next_transaction_id = leap(header->next_transaction_id, now_ns, by_clock_least);
	header->next_alert_id = leap(header->next_alert_id, now_ns, by_clock_least);
	return BE_OK;
}

enum be_status ledger_leap(struct ledger *ledger, int64_t now_ns)
{
	enum be_status status = ledger_header(ledger);

	if (status == BE_OK)
		status = leap_all(&ledger->header, now_ns, LEAP_LEAST);
	if (status != BE_OK)
		return status;
	/* It may come to lie elsewhere. */
	ledger->header.histories.latest = 0;
	ledger->changes++;
	return BE_OK;
}

/*
 * Three servers may take over one from the other within minutes, the last one without having heard
 * of the one before. So ids leap to the clock's even where that is not far: what each server has
 * given out is below the second in which the next one leaps.
 */
enum be_status ledger_follow(struct ledger *ledger, uint64_t history, const struct loss *loss,
			     int64_t now_ns)
{
	struct histories *known = &ledger->header.histories;
	enum be_status status = ledger_header(ledger);
	bool is_other, leaps;

	if (status != BE_OK)
		return status;
	is_other = history != 0 && known->latest != 0 && known->latest != history;
	/* Others that lost something may have come before. */
	leaps = is_other || (loss && (loss->acked_ns == 0 || known->leapt_ns <= loss->acked_ns));
	if (leaps)
		status = leap_all(&ledger->header, now_ns, LEAP_SECOND);
	if (status != BE_OK)
		return status;
	if (leaps)
		known->leapt_ns = now_ns;
	if (history != 0)
		known->latest = history;
	known->changes += is_other;
	known->losses += loss != NULL;
	return BE_OK;
}

/* ---- the last batches of hosts */

int ledger_host_get(struct ledger *ledger, const uint8_t id[RECORD_HOST_ID_SIZE], struct host *host)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	record_key_host(&key, id);
	found = find(ledger, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_host(record_key_bytes(&key), value, host);
	if (status == BE_OK && !sound(ledger, record_key_bytes(&key), value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("the record of a host", status);
}

enum be_status ledger_host_put(struct ledger *ledger, struct host *host)
{
	struct record_value value;
	struct record_key key;

	record_key_host(&key, host->id);
	record_encode_host(&value, &key, host);
	return put(ledger, &key, &value, &host->checksum);
}

enum be_status ledger_host_del(struct ledger *ledger, const struct host *host)
{
	struct record_key key;

	record_key_host(&key, host->id);
	return del(ledger, &key, host->checksum);
}

/* ---- envelopes */

int ledger_envelope_find(struct ledger *ledger, const struct record_key *key,
			 struct envelope *envelope)
{
	struct be_bytes value;
	enum be_status status;
	int found = find(ledger, key, &value);

	if (found != 0)
		return found;
	status = record_decode_envelope(value, envelope);
	if (status == BE_OK && !sound(ledger, record_key_bytes(key), value))
		status = BE_DAMAGED;
	if (status != BE_OK)
		return (int)damaged("an envelope's record", status);
	return 0;
}

enum be_status ledger_fetch(struct ledger *ledger, const struct record_key *keys, size_t count)
{
	const struct be_storage *storage = ledger->storage;
	struct be_bytes wanted[LEDGER_FETCH_MAX];

	assert(count <= LEDGER_FETCH_MAX);
	if (!storage->ops->prefetch)
		return BE_OK;
	for (size_t i = 0; i < count; i++)
		wanted[i] = record_key_bytes(&keys[i]);
	return ledger_answer(storage->ops->prefetch(storage->self, ledger->txn, wanted, count));
}

int ledger_envelope_get(struct ledger *ledger, const struct name *name, struct envelope *envelope)
{
	struct record_key key;
	int found;

	record_key_envelope(&key, name);
	found = ledger_envelope_find(ledger, &key, envelope);
	if (found == 0)
		name_copy(&envelope->name, name);
	return found;
}

enum be_status ledger_envelope_put(struct ledger *ledger, struct envelope *envelope)
{
	struct record_value value;
	struct record_key key;

	assert(envelope->name.category_size > 0);
	record_key_envelope(&key, &envelope->name);
	record_encode_envelope(&value, &key, envelope);
	return put(ledger, &key, &value, &envelope->checksum);
}

enum be_status ledger_envelope_del(struct ledger *ledger, const struct envelope *envelope)
{
	struct record_key key;

	record_key_envelope(&key, &envelope->name);
	return del(ledger, &key, envelope->checksum);
}

/* ---- records that are their key */

static enum be_status put_key(struct ledger *ledger, const struct record_key *key)
{
	struct record_value nothing;
	uint64_t part = 0;

	nothing.size = 0;
	return put(ledger, key, &nothing, &part);
}

static enum be_status del_key(struct ledger *ledger, const struct record_key *key)
{
	return del(ledger, key, record_part(record_key_bytes(key), (struct be_bytes){"", 0}));
}

/* ---- commits */

static int get_commit(struct ledger *ledger, enum record_type type, uint64_t id,
		      struct commit *commit)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	record_key_id(&key, type, id);
	found = find(ledger, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_commit(record_key_bytes(&key), value, commit);
	if (status == BE_OK && !sound(ledger, record_key_bytes(&key), value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("a commit's record", status);
}

int ledger_commit_get(struct ledger *ledger, uint64_t id, struct commit *commit)
{
	int found = get_commit(ledger, RECORD_COMMIT, id, commit);

	return found == LEDGER_NONE ? get_commit(ledger, RECORD_ENDED, id, commit) : found;
}

static enum be_status put_deadline(struct ledger *ledger, int64_t deadline_ns, uint64_t id)
{
	struct record_key key;

	if (deadline_ns == 0)
		return BE_OK;
	record_key_deadline(&key, deadline_ns, id);
	return put_key(ledger, &key);
}

static enum be_status del_deadline(struct ledger *ledger, int64_t deadline_ns, uint64_t id)
{
	struct record_key key;

	if (deadline_ns == 0)
		return BE_OK;
	record_key_deadline(&key, deadline_ns, id);
	return del_key(ledger, &key);
}

static enum be_status put_commit(struct ledger *ledger, struct commit *commit)
{
	struct record_value value;
	struct record_key key;

	record_key_id(&key, commit->state == BE_COMMIT_PENDING ? RECORD_COMMIT : RECORD_ENDED,
		      commit->id);
	record_encode_commit(&value, &key, commit);
	return put(ledger, &key, &value, &commit->checksum);
}

enum be_status ledger_commit_put(struct ledger *ledger, struct commit *commit)
{
	enum be_status status = put_commit(ledger, commit);

	if (status == BE_OK && commit->state == BE_COMMIT_PENDING)
		status = put_deadline(ledger, commit->deadline_ns, commit->id);
	return status;
}

enum be_status ledger_commit_end(struct ledger *ledger, struct commit *commit)
{
	struct record_key key;
	enum be_status status;

	assert(commit->state != BE_COMMIT_PENDING);
	record_key_id(&key, RECORD_COMMIT, commit->id);
	status = del(ledger, &key, commit->checksum);
	commit->checksum = 0; /* there is none yet among the ended ones */
	if (status == BE_OK)
		status = del_deadline(ledger, commit->deadline_ns, commit->id);
	if (status == BE_OK)
		status = put_commit(ledger, commit);
	return status;
}

enum be_status ledger_commit_replace(struct ledger *ledger, struct commit *commit,
				     int64_t old_deadline_ns)
{
	enum be_status status = del_deadline(ledger, old_deadline_ns, commit->id);

	assert(commit->state == BE_COMMIT_PENDING);
	return status == BE_OK ? ledger_commit_put(ledger, commit) : status;
}

/* ---- transactions */

enum be_status ledger_transaction_put(struct ledger *ledger, const struct transaction *transaction)
{
	struct record_value value;
	struct record_key key;
	uint64_t part = 0;

	record_key_id(&key, RECORD_TRANSACTION, transaction->id);
	record_encode_transaction(&value, &key, transaction);
	return put(ledger, &key, &value, &part);
}

int ledger_transaction_get(struct ledger *ledger, uint64_t id, struct transaction *transaction)
{
	int found = ledger_transaction_next(ledger, id, transaction);

	return found == 0 && transaction->id != id ? LEDGER_NONE : found;
}

int ledger_given_back_get(struct ledger *ledger, uint64_t id, struct given_back *given_back)
{
	int found = ledger_given_back_next(ledger, id, given_back);

	return found == 0 && given_back->id != id ? LEDGER_NONE : found;
}

enum be_status ledger_given_back_put(struct ledger *ledger, struct given_back *given_back)
{
	struct record_value value;
	struct record_key key;

	record_key_id(&key, RECORD_GIVEN_BACK, given_back->id);
	record_encode_given_back(&value, &key, given_back);
	return put(ledger, &key, &value, &given_back->checksum);
}

/* ---- envelopes that had another name */

int ledger_envelope_known(struct ledger *ledger, const struct name *name, uint64_t id,
			  struct envelope *envelope)
{
	struct renamed renamed;
	int found = ledger_envelope_get(ledger, name, envelope);

	if (found < 0 || (found == 0 && envelope->id == id))
		return found;
	found = ledger_renamed_get(ledger, id, &renamed);
	if (found != 0)
		return found;
	found = ledger_envelope_get(ledger, &renamed.name, envelope);
	if (found == LEDGER_NONE || (found == 0 && envelope->id != id))
		return (int)error_set(BE_DAMAGED,
				      "the envelope \"%s\", which was renamed to that, is missing: "
				      "run be-inspect verify",
				      renamed.name.category);
	return found;
}

enum be_status ledger_name_now(struct ledger *ledger, uint64_t id, struct name *name)
{
	struct renamed renamed;
	int found = id == 0 ? LEDGER_NONE : ledger_renamed_get(ledger, id, &renamed);

	if (found == 0)
		name_copy(name, &renamed.name);
	return found < 0 ? (enum be_status)found : BE_OK;
}

enum be_status ledger_renamed_put(struct ledger *ledger, struct renamed *renamed)
{
	struct record_value value;
	struct record_key key;

	record_key_id(&key, RECORD_RENAMED, renamed->id);
	record_encode_renamed(&value, &key, renamed);
	ledger->renamings = RENAMINGS_SOME;
	return put(ledger, &key, &value, &renamed->checksum);
}

/* ---- alerts */

int ledger_alert_get(struct ledger *ledger, uint64_t id, struct alert *alert)
{
	int found = ledger_alert_next(ledger, id, alert);

	return found == 0 && alert->id != id ? LEDGER_NONE : found;
}

enum be_status ledger_alert_put(struct ledger *ledger, struct alert *alert)
{
	struct record_value value;
	struct record_key key;

	record_key_id(&key, RECORD_ALERT, alert->id);
	record_encode_alert(&value, &key, alert);
	return put(ledger, &key, &value, &alert->checksum);
}

/* ---- further envelopes */

enum be_status ledger_further_get(struct ledger *ledger, enum record_type type, uint64_t id,
				  uint32_t place, struct further *further)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	record_key_further(&key, type, id, place);
	found = find(ledger, &key, &value);
	if (found < 0)
		return (enum be_status)found;
	if (found == LEDGER_NONE)
		return error_set(BE_DAMAGED, "the record of a further envelope is missing: run "
					     "be-inspect verify");
	status = record_decode_further(record_key_bytes(&key), value, further);
	if (status == BE_OK && !sound(ledger, record_key_bytes(&key), value))
		status = BE_DAMAGED;
	return status == BE_OK ? BE_OK : damaged("the record of a further envelope", status);
}

enum be_status ledger_further_put(struct ledger *ledger, enum record_type type, uint64_t id,
				  uint32_t place, struct further *further)
{
	struct record_value value;
	struct record_key key;

	record_key_further(&key, type, id, place);
	record_encode_further(&value, &key, further);
	return put(ledger, &key, &value, &further->checksum);
}

/* ---- labels */

enum be_status ledger_labels_get(struct ledger *ledger, enum record_type type, uint64_t id,
				 uint32_t count, struct labels *labels)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	record_key_labels(&key, type, id);
	found = find(ledger, &key, &value);
	if (found < 0)
		return (enum be_status)found;
	if (found == LEDGER_NONE)
		return error_set(BE_DAMAGED,
				 "the record of labels is missing: run be-inspect verify");
	status = record_decode_labels(record_key_bytes(&key), value, labels);
	if (status == BE_OK &&
	    (labels->count != count || !sound(ledger, record_key_bytes(&key), value)))
		status = BE_DAMAGED;
	return status == BE_OK ? BE_OK : damaged("the record of labels", status);
}

enum be_status ledger_labels_put(struct ledger *ledger, enum record_type type, uint64_t id,
				 uint32_t count, const uint8_t *bytes, size_t size)
{
	struct record_value value;
	struct record_key key;
	uint64_t part = 0;

	record_key_labels(&key, type, id);
	record_encode_labels(&value, &key, count, bytes, size);
	return put(ledger, &key, &value, &part);
}

/* ---- time zones */

int ledger_zone_get(struct ledger *ledger, const char *name, size_t name_size, uint8_t *packed,
		    size_t *size)
{
	struct record_key key;
	struct be_bytes value, bytes;
	enum be_status status;
	int found;

	record_key_zone(&key, name, name_size);
	found = find(ledger, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_zone(value, &bytes);
	if (status == BE_OK && !sound(ledger, record_key_bytes(&key), value))
		status = BE_DAMAGED;
	if (status != BE_OK)
		return (int)damaged("a time zone's record", status);
	*size = bytes.size;
	memcpy(packed, bytes.data, bytes.size);
	return 0;
}

enum be_status ledger_zone_put(struct ledger *ledger, const char *name, size_t name_size,
			       const uint8_t *packed, size_t size)
{
	struct record_value value;
	struct record_key key;
	struct be_bytes old;
	uint64_t part = 0;
	int found;

	record_key_zone(&key, name, name_size);
	record_encode_zone(&value, &key, packed, size);
	found = find(ledger, &key, &old);
	if (found < 0)
		return (enum be_status)found;
	if (found == 0) {
		if (old.size == value.size && memcmp(old.data, value.bytes, old.size) == 0)
			return BE_OK;
		part = record_part(record_key_bytes(&key), old);
	}
	return put(ledger, &key, &value, &part);
}

/* ---- daily sums */

/* Reads those of its names that lie in records of their own. */
static int get_day_names(struct ledger *ledger, struct day_sum *sum)
{
	struct record_key key;
	struct be_bytes value;

	for (uint32_t place = 1; (size_t)place * DAY_NAMES_PART < sum->names_size; place++) {
		enum be_status status = BE_DAMAGED;
		int found;

		record_key_day(&key, sum, place);
		found = find(ledger, &key, &value);
		if (found < 0)
			return found;
		if (found == 0 && sound(ledger, record_key_bytes(&key), value))
			status = record_decode_day_names(record_key_bytes(&key), value, sum);
		if (status != BE_OK)
			return (int)damaged("the record of a daily sum's names", status);
	}
	return record_day_is_whole(sum) ? 0 : (int)damaged("a daily sum's record", BE_DAMAGED);
}

static int take_day(struct ledger *ledger, struct be_bytes key, struct be_bytes value,
		    struct day_sum *sum)
{
	enum be_status status = record_decode_day(key, value, sum);

	if (status == BE_OK && !sound(ledger, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? get_day_names(ledger, sum)
			       : (int)damaged("a daily sum's record", status);
}

int ledger_day_get(struct ledger *ledger, struct day_sum *sum)
{
	struct record_key key;
	struct be_bytes value;
	int found;

	record_key_day(&key, sum, 0);
	found = find(ledger, &key, &value);
	return found == 0 ? take_day(ledger, record_key_bytes(&key), value, sum) : found;
}

enum be_status ledger_day_put(struct ledger *ledger, struct day_sum *sum)
{
	bool is_new = sum->checksum == 0;
	struct record_value value;
	struct record_key key;
	enum be_status status;

	record_key_day(&key, sum, 0);
	record_encode_day(&value, &key, sum);
	status = put(ledger, &key, &value, &sum->checksum);
	for (uint32_t place = 1; (size_t)place * DAY_NAMES_PART < sum->names_size; place++) {
		uint64_t part = 0;

		if (!is_new || status != BE_OK)
			break;
		record_key_day(&key, sum, place);
		record_encode_day_names(&value, &key, sum, place);
		status = put(ledger, &key, &value, &part);
	}
	return status;
}

/* ---- requests with keys */

int ledger_request_get(struct ledger *ledger, const struct request_name *name,
		       struct keyed_request *request)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	record_key_request(&key, name);
	found = find(ledger, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_request(record_key_bytes(&key), value, request);
	if (status == BE_OK && !sound(ledger, record_key_bytes(&key), value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("the record of a request's key", status);
}

enum be_status ledger_request_put(struct ledger *ledger, struct keyed_request *request)
{
	struct record_value value;
	struct record_key key;
	enum be_status status;

	assert(request->checksum == 0);
	record_key_request(&key, &request->name);
	record_encode_request(&value, &key, request);
	status = put(ledger, &key, &value, &request->checksum);
	record_key_request_end(&key, request->until_ns, &request->name);
	return status == BE_OK ? put_key(ledger, &key) : status;
}

enum be_status ledger_request_del(struct ledger *ledger, const struct keyed_request *request)
{
	struct record_key key;
	enum be_status status;

	record_key_request(&key, &request->name);
	status = del(ledger, &key, request->checksum);
	record_key_request_end(&key, request->until_ns, &request->name);
	return status == BE_OK ? del_key(ledger, &key) : status;
}

/* ---- what pruning removes */

/* Whatever lies there. */
static enum be_status del_any(struct ledger *ledger, const struct record_key *key)
{
	struct be_bytes value;
	uint64_t part = 0;
	int found = find(ledger, key, &value);

	if (found < 0)
		return (enum be_status)found;
	if (found == 0)
		part = record_part(record_key_bytes(key), value);
	return del(ledger, key, part);
}

static enum be_status del_id(struct ledger *ledger, enum record_type type, uint64_t id)
{
	struct record_key key;

	record_key_id(&key, type, id);
	return del_any(ledger, &key);
}

enum be_status ledger_further_del(struct ledger *ledger, enum record_type type, uint64_t id,
				  uint32_t count)
{
	enum be_status status = BE_OK;
	struct record_key key;

	for (uint32_t place = 0; place < count && status == BE_OK; place++) {
		record_key_further(&key, type, id, place);
		status = del_any(ledger, &key);
	}
	return status;
}

enum be_status ledger_labels_del(struct ledger *ledger, enum record_type type, uint64_t id)
{
	struct record_key key;

	record_key_labels(&key, type, id);
	return del_any(ledger, &key);
}

enum be_status ledger_transaction_del(struct ledger *ledger, uint64_t id)
{
	return del_id(ledger, RECORD_TRANSACTION, id);
}

enum be_status ledger_ended_del(struct ledger *ledger, uint64_t id)
{
	return del_id(ledger, RECORD_ENDED, id);
}

enum be_status ledger_alert_del(struct ledger *ledger, uint64_t id)
{
	return del_id(ledger, RECORD_ALERT, id);
}

enum be_status ledger_renamed_del(struct ledger *ledger, uint64_t id)
{
	return del_id(ledger, RECORD_RENAMED, id);
}

enum be_status ledger_given_back_del(struct ledger *ledger, uint64_t id)
{
	return del_id(ledger, RECORD_GIVEN_BACK, id);
}

enum be_status ledger_day_del(struct ledger *ledger, const struct day_sum *sum)
{
	enum be_status status = BE_OK;
	struct record_key key;

	for (uint32_t place = 0; (size_t)place * DAY_NAMES_PART < sum->names_size; place++) {
		record_key_day(&key, sum, place);
		status = status == BE_OK ? del_any(ledger, &key) : status;
	}
	return status;
}

/* ---- listing */

int ledger_next(struct ledger *ledger, struct be_bytes from, struct be_bytes *key,
		struct be_bytes *value)
{
	const struct be_storage *storage = ledger->storage;
	int found =
		storage_answer(storage->ops->next(storage->self, ledger->txn, from, key, value));

	if (found == 0 && key->size == 0)
		return (int)error_set(BE_STORAGE_FAILED, "the storage returned an empty key");
	return found;
}

/* The same, of one type. */
static int next(struct ledger *ledger, const struct record_key *from, struct be_bytes *key,
		struct be_bytes *value)
{
	int found = ledger_next(ledger, record_key_bytes(from), key, value);

	if (found != 0)
		return found;
	return ((const uint8_t *)key->data)[0] == from->bytes[0] ? 0 : LEDGER_NONE;
}

int ledger_envelope_next(struct ledger *ledger, const struct record_key *from,
			 struct envelope *envelope)
{
	struct be_bytes key, value;
	enum be_status status;
	int found = next(ledger, from, &key, &value);

	if (found != 0)
		return found;
	status = record_parse_envelope_key(key, &envelope->name)
			 ? record_decode_envelope(value, envelope)
			 : BE_DAMAGED;
	if (status == BE_OK && !sound(ledger, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("an envelope's record", status);
}

static int next_commit(struct ledger *ledger, enum record_type type, uint64_t from_id,
		       struct commit *commit)
{
	struct record_key from;
	struct be_bytes key, value;
	enum be_status status;
	int found;

	record_key_id(&from, type, from_id);
	found = next(ledger, &from, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_commit(key, value, commit);
	if (status == BE_OK && !sound(ledger, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("a commit's record", status);
}

int ledger_commit_next(struct ledger *ledger, uint64_t from_id, struct commit *commit)
{
	return next_commit(ledger, RECORD_COMMIT, from_id, commit);
}

int ledger_ended_next(struct ledger *ledger, uint64_t from_id, struct commit *commit)
{
	return next_commit(ledger, RECORD_ENDED, from_id, commit);
}

int ledger_transaction_next(struct ledger *ledger, uint64_t from_id,
			    struct transaction *transaction)
{
	struct record_key from;
	struct be_bytes key, value;
	enum be_status status;
	int found;

	record_key_id(&from, RECORD_TRANSACTION, from_id);
	found = next(ledger, &from, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_transaction(key, value, transaction);
	if (status == BE_OK && !sound(ledger, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("a transaction's record", status);
}

int ledger_alert_next(struct ledger *ledger, uint64_t from_id, struct alert *alert)
{
	struct record_key from;
	struct be_bytes key, value;
	enum be_status status;
	int found;

	record_key_id(&from, RECORD_ALERT, from_id);
	found = next(ledger, &from, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_alert(key, value, alert);
	if (status == BE_OK && !sound(ledger, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("an alert's record", status);
}

int ledger_given_back_next(struct ledger *ledger, uint64_t from_id, struct given_back *given_back)
{
	struct record_key from;
	struct be_bytes key, value;
	enum be_status status;
	int found;

	record_key_id(&from, RECORD_GIVEN_BACK, from_id);
	found = next(ledger, &from, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_given_back(key, value, given_back);
	if (status == BE_OK && !sound(ledger, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("the record of what was given back", status);
}

/* LEDGER_NONE: no envelope ever had another name, which is asked once in a txn. */
static int any_renamed(struct ledger *ledger)
{
	struct record_key from = {.size = 1, .bytes = {RECORD_RENAMED}};
	struct be_bytes key, value;
	int found = 0;

	if (ledger->renamings == RENAMINGS_UNKNOWN) {
		found = next(ledger, &from, &key, &value);
		if (found >= 0)
			ledger->renamings = found == 0 ? RENAMINGS_SOME : RENAMINGS_NONE;
	}
	return ledger->renamings == RENAMINGS_NONE ? LEDGER_NONE : found;
}

int ledger_renamed_get(struct ledger *ledger, uint64_t id, struct renamed *renamed)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found = any_renamed(ledger);

	if (found != 0)
		return found;
	record_key_id(&key, RECORD_RENAMED, id);
	found = find(ledger, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_renamed(record_key_bytes(&key), value, renamed);
	if (status == BE_OK && !sound(ledger, record_key_bytes(&key), value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("the record of an envelope's new name", status);
}

int ledger_deadline_next(struct ledger *ledger, int64_t *deadline_ns, uint64_t *id)
{
	struct record_key from;
	struct be_bytes key, value;
	int found;

	record_key_deadline(&from, *deadline_ns, *id + 1);
	found = next(ledger, &from, &key, &value);
	if (found != 0)
		return found;
	if (!record_parse_deadline_key(key, deadline_ns, id))
		return (int)damaged("a deadline's record", BE_DAMAGED);
	return 0;
}

int ledger_request_first(struct ledger *ledger, int64_t *until_ns, struct request_name *name)
{
	struct record_key from = {.size = 1, .bytes = {RECORD_REQUEST_END}};
	struct be_bytes key, value;
	int found = next(ledger, &from, &key, &value);

	if (found != 0)
		return found;
	if (!record_parse_request_end_key(key, until_ns, name))
		return (int)damaged("the record of a key's end", BE_DAMAGED);
	return 0;
}

int ledger_host_next(struct ledger *ledger, const uint8_t *after, struct host *host)
{
	struct record_key from;
	struct be_bytes key, value;
	enum be_status status;
	int found;

	record_key_header(&from);
	if (after)
		record_key_host(&from, after);
	from.bytes[from.size++] = 0;
	found = next(ledger, &from, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_host(key, value, host);
	if (status == BE_OK && !sound(ledger, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("the record of a host", status);
}

int ledger_day_next(struct ledger *ledger, const struct day_sum *after, struct day_sum *sum)
{
	struct record_key from = {.size = 1, .bytes = {RECORD_DAY}};
	struct be_bytes key, value;
	int found;

	if (after) {
		record_key_day(&from, after, 0);
		from.bytes[from.size++] = 0;
	}
	found = next(ledger, &from, &key, &value);
	return found == 0 ? take_day(ledger, key, value, sum) : found;
}
