/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed records over a storage txn. All values that a storage returns are decoded into structures of ours at
 * once, since they are valid only until the next call. A status a storage may not return becomes
 * BE_STORAGE_FAILED here, at the border, so that a wrong backend can never look like BE_OK.
 */
#include "records/ledger.h"

#include "base/error.h"

#include <string.h>

/* What a storage returned, as 0, STORE_NONE or a fault. */
static int storage_answer(int answer)
{
	if (answer == 0 || answer == BE_STORAGE_NOT_FOUND)
		return answer;
	if (answer <= -130 && answer >= -199)
		return (int)error_default((enum be_status)answer);
	return (int)error_set(BE_STORAGE_FAILED,
			      "the storage returned %d, which its interface does not allow", answer);
}

/* The same where "not found" is no answer. */
static enum be_status storage_done(int answer)
{
	answer = storage_answer(answer);
	if (answer == BE_STORAGE_NOT_FOUND)
		return error_set(BE_STORAGE_FAILED, "the storage said \"not found\" where it cannot");
	return (enum be_status)answer;
}

static enum be_status damaged(const char *what, enum be_status status)
{
	if (status == BE_NEWER_FORMAT)
		return error_set(status, "%s was written by a later version of this library: upgrade it",
				 what);
	return error_set(BE_DAMAGED, "%s is damaged: stop the pool, run be-inspect verify, restore a backup",
			 what);
}

static int find(struct store *store, const struct record_key *key, struct be_bytes *value)
{
	const struct be_storage *storage = store->storage;

	return storage_answer(storage->ops->get(storage->self, store->txn, record_key_bytes(key), value));
}

static enum be_status put(struct store *store, const struct record_key *key, const struct record_value *value)
{
	const struct be_storage *storage = store->storage;

	store->changes++;
	return storage_done(storage->ops->put(storage->self, store->txn, record_key_bytes(key),
					      (struct be_bytes){value->bytes, value->size}));
}

static enum be_status del(struct store *store, const struct record_key *key)
{
	const struct be_storage *storage = store->storage;
	int answer = storage_answer(storage->ops->del(storage->self, store->txn, record_key_bytes(key)));

	store->changes++;
	if (answer == STORE_NONE)
		return damaged("a record that must be there to be removed", BE_DAMAGED);
	return (enum be_status)answer;
}

static bool sound(const struct store *store, struct be_bytes key, struct be_bytes value)
{
	return !store->strict || record_checksum_fits(key, value);
}

/* ---- the txn */

enum be_status store_begin(struct store *store, const struct be_storage *storage, bool write)
{
	store->storage = storage;
	store->write = write;
	store->strict = write;
	store->has_header = false;
	store->changes = 0;
	return storage_done(storage->ops->begin(storage->self, write, &store->txn));
}

enum be_status store_commit(struct store *store, uint64_t batch)
{
	struct record_value value;
	struct record_key key;
	enum be_status status;

	if (store->changes == 0) {
		store_abort(store);
		return BE_OK;
	}
	status = store_header(store);
	if (status == BE_OK) {
		store->header.changes++;
		if (batch != 0)
			store->header.batch = batch;
		record_key_header(&key);
		record_encode_header(&value, &store->header);
		status = put(store, &key, &value);
	}
	if (status != BE_OK) {
		store_abort(store);
		return status;
	}
	return storage_done(store->storage->ops->commit(store->storage->self, store->txn));
}

void store_abort(struct store *store)
{
	store->storage->ops->abort(store->storage->self, store->txn);
}

/* ---- the header */

enum be_status store_header(struct store *store)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	if (store->has_header)
		return BE_OK;
	record_key_header(&key);
	found = find(store, &key, &value);
	if (found == STORE_NONE)
		return error_set(
			BE_NOT_AN_ENVIRONMENT,
			"there is no header record: this is not, or not yet, a budget-enforcer environment");
	if (found < 0)
		return (enum be_status)found;
	status = record_decode_header(value, &store->header);
	if (status == BE_OK && !record_checksum_fits(record_key_bytes(&key), value))
		status = BE_DAMAGED;
	if (status != BE_OK)
		return damaged("the header record", status);
	store->has_header = true;
	return BE_OK;
}

enum be_status store_read_header(const struct be_storage *storage, bool write, struct header *header)
{
	struct store store;
	enum be_status status = store_begin(&store, storage, write);

	if (status != BE_OK)
		return status;
	status = store_header(&store);
	if (status == BE_OK)
		*header = store.header;
	store_abort(&store);
	return status;
}

enum be_status store_initialise(struct store *store, int64_t now_ns)
{
	struct be_bytes key, value;
	int found = store_next(store, (struct be_bytes){"", 1}, &key, &value);

	if (found < 0)
		return (enum be_status)found;
	if (found == 0)
		return error_set(BE_NOT_AN_ENVIRONMENT, "the storage holds records of another program");
	store->header = (struct header){
		.next_envelope_id = 1,
		.next_commit_id = 1,
		.next_transaction_id = 1,
		.created_ns = now_ns,
	};
	store->has_header = true;
	store->changes++;
	return BE_OK;
}

/* ---- envelopes */

int store_envelope_find(struct store *store, const struct record_key *key, struct envelope *envelope)
{
	struct be_bytes value;
	enum be_status status;
	int found = find(store, key, &value);

	if (found != 0)
		return found;
	status = record_decode_envelope(value, envelope);
	if (status == BE_OK && !sound(store, record_key_bytes(key), value))
		status = BE_DAMAGED;
	if (status != BE_OK)
		return (int)damaged("an envelope's record", status);
	return 0;
}

int store_envelope_get(struct store *store, const struct name *name, struct envelope *envelope)
{
	struct record_key key;
	int found;

	record_key_envelope(&key, name);
	found = store_envelope_find(store, &key, envelope);
	if (found == 0)
		name_copy(&envelope->name, name);
	return found;
}

enum be_status store_envelope_put(struct store *store, const struct envelope *envelope)
{
	struct record_value value;
	struct record_key key;

	record_key_envelope(&key, &envelope->name);
	record_encode_envelope(&value, &key, envelope);
	return put(store, &key, &value);
}

enum be_status store_envelope_del(struct store *store, const struct name *name)
{
	struct record_key key;

	record_key_envelope(&key, name);
	return del(store, &key);
}

/* ---- commits */

static int get_commit(struct store *store, enum record_type type, uint64_t id, struct commit *commit)
{
	struct record_key key;
	struct be_bytes value;
	enum be_status status;
	int found;

	record_key_id(&key, type, id);
	found = find(store, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_commit(record_key_bytes(&key), value, commit);
	if (status == BE_OK && !sound(store, record_key_bytes(&key), value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("a commit's record", status);
}

int store_commit_get(struct store *store, uint64_t id, struct commit *commit)
{
	int found = get_commit(store, RECORD_COMMIT, id, commit);

	return found == STORE_NONE ? get_commit(store, RECORD_ENDED, id, commit) : found;
}

static enum be_status put_deadline(struct store *store, int64_t deadline_ns, uint64_t id)
{
	struct record_value nothing;
	struct record_key key;

	if (deadline_ns == 0)
		return BE_OK;
	nothing.size = 0;
	record_key_deadline(&key, deadline_ns, id);
	return put(store, &key, &nothing);
}

static enum be_status del_deadline(struct store *store, int64_t deadline_ns, uint64_t id)
{
	struct record_key key;

	if (deadline_ns == 0)
		return BE_OK;
	record_key_deadline(&key, deadline_ns, id);
	return del(store, &key);
}

static enum be_status put_commit(struct store *store, const struct commit *commit)
{
	struct record_value value;
	struct record_key key;

	record_key_id(&key, commit->state == BE_COMMIT_PENDING ? RECORD_COMMIT : RECORD_ENDED, commit->id);
	record_encode_commit(&value, &key, commit);
	return put(store, &key, &value);
}

enum be_status store_commit_put(struct store *store, const struct commit *commit)
{
	enum be_status status = put_commit(store, commit);

	if (status == BE_OK && commit->state == BE_COMMIT_PENDING)
		status = put_deadline(store, commit->deadline_ns, commit->id);
	return status;
}

enum be_status store_commit_end(struct store *store, const struct commit *commit)
{
	struct record_key key;
	enum be_status status;

	record_key_id(&key, RECORD_COMMIT, commit->id);
	status = del(store, &key);
	if (status == BE_OK)
		status = del_deadline(store, commit->deadline_ns, commit->id);
	if (status == BE_OK)
		status = put_commit(store, commit);
	return status;
}

enum be_status store_commit_replace(struct store *store, const struct commit *commit, int64_t old_deadline_ns)
{
	enum be_status status = del_deadline(store, old_deadline_ns, commit->id);

	return status == BE_OK ? store_commit_put(store, commit) : status;
}

/* ---- transactions */

enum be_status store_transaction_put(struct store *store, const struct transaction *transaction)
{
	struct record_value value;
	struct record_key key;

	record_key_id(&key, RECORD_TRANSACTION, transaction->id);
	record_encode_transaction(&value, &key, transaction);
	return put(store, &key, &value);
}

static enum be_status del_id(struct store *store, enum record_type type, uint64_t id)
{
	struct record_key key;

	record_key_id(&key, type, id);
	return del(store, &key);
}

enum be_status store_transaction_del(struct store *store, uint64_t id)
{
	return del_id(store, RECORD_TRANSACTION, id);
}

enum be_status store_ended_del(struct store *store, uint64_t id)
{
	return del_id(store, RECORD_ENDED, id);
}

/* ---- listing */

int store_next(struct store *store, struct be_bytes from, struct be_bytes *key, struct be_bytes *value)
{
	const struct be_storage *storage = store->storage;
	int found = storage_answer(storage->ops->next(storage->self, store->txn, from, key, value));

	if (found == 0 && key->size == 0)
		return (int)error_set(BE_STORAGE_FAILED, "the storage returned an empty key");
	return found;
}

/* The same, of one type. */
static int next(struct store *store, const struct record_key *from, struct be_bytes *key,
		struct be_bytes *value)
{
	int found = store_next(store, record_key_bytes(from), key, value);

	if (found != 0)
		return found;
	return ((const uint8_t *)key->data)[0] == from->bytes[0] ? 0 : STORE_NONE;
}

int store_envelope_next(struct store *store, const struct record_key *from, struct envelope *envelope)
{
	struct be_bytes key, value;
	enum be_status status;
	int found = next(store, from, &key, &value);

	if (found != 0)
		return found;
	status = record_parse_envelope_key(key, &envelope->name) ? record_decode_envelope(value, envelope)
								 : BE_DAMAGED;
	if (status == BE_OK && !sound(store, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("an envelope's record", status);
}

static int next_commit(struct store *store, enum record_type type, uint64_t from_id, struct commit *commit)
{
	struct record_key from;
	struct be_bytes key, value;
	enum be_status status;
	int found;

	record_key_id(&from, type, from_id);
	found = next(store, &from, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_commit(key, value, commit);
	if (status == BE_OK && !sound(store, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("a commit's record", status);
}

int store_commit_next(struct store *store, uint64_t from_id, struct commit *commit)
{
	return next_commit(store, RECORD_COMMIT, from_id, commit);
}

int store_ended_next(struct store *store, uint64_t from_id, struct commit *commit)
{
	return next_commit(store, RECORD_ENDED, from_id, commit);
}

int store_transaction_next(struct store *store, uint64_t from_id, struct transaction *transaction)
{
	struct record_key from;
	struct be_bytes key, value;
	enum be_status status;
	int found;

	record_key_id(&from, RECORD_TRANSACTION, from_id);
	found = next(store, &from, &key, &value);
	if (found != 0)
		return found;
	status = record_decode_transaction(key, value, transaction);
	if (status == BE_OK && !sound(store, key, value))
		status = BE_DAMAGED;
	return status == BE_OK ? 0 : (int)damaged("a transaction's record", status);
}

int store_deadline_next(struct store *store, int64_t *deadline_ns, uint64_t *id)
{
	struct record_key from;
	struct be_bytes key, value;
	int found;

	record_key_deadline(&from, *deadline_ns, *id + 1);
	found = next(store, &from, &key, &value);
	if (found != 0)
		return found;
	if (!record_parse_deadline_key(key, deadline_ns, id))
		return (int)damaged("a deadline's record", BE_DAMAGED);
	return 0;
}
