/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be_copy(): all records of an environment, as of one moment, into an empty storage.
 *
 * They go there in many txns, since one with millions of records is more than a server bears. What
 * is not whole must look like nothing: in place of the header, without which nobody can open an
 * environment, there is a mark that says whose copy this is and how far it has come. Each txn reads
 * the mark and writes it anew, so two copies cannot mix: the second takes the place over, and the
 * first finds another's mark. The last txn puts the header there, its ids leapt as be_restore()
 * does it. A copy that was broken off leaves its mark, and the next one empties the place first.
 */
#include "api/copy.h"
#include "api/enforcer.h"
#include "base/error.h"
#include "records/ledger.h"
#include "storage/backend.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* In one txn. */
#define RECORDS_MAX 1000
/* How many may be walked over before their pages are let go of. */
#define LET_GO 16384

struct copied {
	struct ledger source;
	struct ledger target;
	struct be_storage_ops ops;
	struct be_storage storage; /* that is copied into */
	struct record_key next;    /* the first record of the source that is not there yet */
	struct filling mark;
	bool is_begun;   /* records were committed to the target */
	bool is_refused; /* the source does not go on reading a state that others have changed */
	bool (*progress)(void *context, uint64_t records);
	void *context;
};

static enum be_status read_key(struct ledger *ledger, const struct record_key *key,
			       struct be_bytes *value, bool *found)
{
	const struct be_storage *storage = ledger->storage;
	int answer = storage->ops->get(storage->self, ledger->txn, record_key_bytes(key), value);

	*found = answer == 0;
	return answer == BE_STORAGE_NOT_FOUND ? BE_OK : ledger_answer(answer);
}

static enum be_status put(struct ledger *ledger, struct be_bytes key, struct be_bytes value)
{
	const struct be_storage *storage = ledger->storage;

	return ledger_answer(storage->ops->put(storage->self, ledger->txn, key, value));
}

static enum be_status commit(struct ledger *ledger)
{
	const struct be_storage *storage = ledger->storage;

	return ledger_ended(storage->ops->commit(storage->self, ledger->txn));
}

static enum be_status too_long(void)
{
	return error_set(BE_DAMAGED, "there is a key longer than any of this library");
}

/* ---- the mark */

static enum be_status put_mark(struct copied *copying)
{
	struct record_value value;
	struct record_key key;

	record_key_header(&key);
	record_encode_filling(&value, &copying->mark);
	return put(&copying->target, record_key_bytes(&key),
		   (struct be_bytes){value.bytes, value.size});
}

/* Begins a txn that this copy alone can make. */
static enum be_status begin(struct copied *copying)
{
	enum be_status status = ledger_begin(&copying->target, &copying->storage, true);
	struct filling mark;
	struct record_key key;
	struct be_bytes value;
	bool found;

	if (status != BE_OK)
		return status;
	record_key_header(&key);
	status = read_key(&copying->target, &key, &value, &found);
	if (status == BE_OK && (!found || !record_decode_filling(value, &mark) ||
				mark.id != copying->mark.id || mark.txns != copying->mark.txns))
		status = error_set(BE_CONFLICT,
				   "another copy into this storage was begun meanwhile, and has "
				   "taken the place of this one");
	copying->mark.txns++;
	if (status == BE_OK)
		status = put_mark(copying);
	if (status != BE_OK)
		ledger_abort(&copying->target);
	return status;
}

static enum be_status end(struct copied *copying, enum be_status status)
{
	if (status == BE_OK)
		return commit(&copying->target);
	ledger_abort(&copying->target);
	return status;
}

/* May this be copied into? Leaves the mark there. */
static enum be_status mark_target(struct copied *copying, bool *is_empty)
{
	struct be_bytes key_found, value;
	struct record_key key;
	bool found;
	enum be_status status = ledger_begin(&copying->target, &copying->storage, true);

	if (status != BE_OK)
		return status;
	record_key_header(&key);
	status = read_key(&copying->target, &key, &value, &found);
	*is_empty = !found;
	if (status == BE_OK && found && !record_is_filling(value))
		status = error_set(BE_ALREADY_THERE,
				   "there is an environment, and nothing is written over: give "
				   "an empty place");
	if (status == BE_OK && !found) {
		int next =
			ledger_next(&copying->target, (struct be_bytes){"", 1}, &key_found, &value);

		if (next == 0)
			status = error_set(BE_NOT_AN_ENVIRONMENT,
					   "the storage holds records of another program");
		else if (next != LEDGER_NONE)
			status = (enum be_status)next;
	}
	if (status == BE_OK)
		status = put_mark(copying);
	return end(copying, status);
}

/* Removes some of what a copy that was broken off has left. */
static enum be_status clear_some(struct copied *copying, bool *is_empty)
{
	const struct be_storage *storage = &copying->storage;
	struct record_key from = {.size = 1};
	enum be_status status = begin(copying);
	uint32_t count = 0;

	if (status != BE_OK)
		return status;
	while (status == BE_OK && count < RECORDS_MAX) {
		struct be_bytes key, value;
		int found = ledger_next(&copying->target, record_key_bytes(&from), &key, &value);

		if (found == LEDGER_NONE)
			break;
		if (found < 0) {
			status = (enum be_status)found;
			break;
		}
		if (!record_key_after(&from, key)) {
			status = too_long();
			break;
		}
		if (record_is_header(key))
			continue;
		key.data = from.bytes;
		status = ledger_answer(storage->ops->del(storage->self, copying->target.txn, key));
		count++;
	}
	*is_empty = count == 0;
	return end(copying, status);
}

static enum be_status prepare(struct copied *copying)
{
	bool is_empty;
	enum be_status status;

	if (getrandom(&copying->mark.id, sizeof copying->mark.id, 0) != sizeof copying->mark.id)
		return error_errno(BE_IO_ERROR, errno, "there are no random numbers");
	status = mark_target(copying, &is_empty);
	while (status == BE_OK && !is_empty)
		status = clear_some(copying, &is_empty);
	return status;
}

/* ---- the records */

/* Copies some; the header stays behind. */
static enum be_status put_some(struct copied *copying, bool *is_all)
{
	const struct be_storage *storage = copying->source.storage;
	enum be_status status = BE_OK;

	*is_all = false;
	for (uint32_t i = 0; status == BE_OK && i < RECORDS_MAX; i++) {
		struct be_bytes key, value;
		int found = ledger_next(&copying->source, record_key_bytes(&copying->next), &key,
					&value);

		if (found == LEDGER_NONE) {
			*is_all = true;
			break;
		}
		copying->is_refused = found == BE_CONFLICT;
		if (found < 0)
			return (enum be_status)found;
		if (!record_is_header(key)) {
			status = put(&copying->target, key, value);
			copying->mark.records++;
			if (copying->mark.records % LET_GO == 0 && backend_of(storage)->let_go)
				backend_of(storage)->let_go(copying->source.txn);
		}
		if (status == BE_OK && !record_key_after(&copying->next, key))
			status = too_long();
	}
	return status;
}

/* The header takes the mark's place. */
static enum be_status put_header(struct copied *copying)
{
	struct record_key key;
	struct be_bytes value;
	struct timespec now;
	bool found;
	enum be_status status;

	record_key_header(&key);
	status = read_key(&copying->source, &key, &value, &found);
	if (status == BE_OK && !found)
		status = error_set(BE_DAMAGED, "the header record is gone");
	if (status == BE_OK)
		status = put(&copying->target, record_key_bytes(&key), value);
	if (status != BE_OK)
		return status;
	clock_gettime(CLOCK_REALTIME, &now);
	return ledger_leap(&copying->target, (int64_t)now.tv_sec * BE_UNIT);
}

static enum be_status copy_all(struct copied *copying)
{
	bool is_all = false;

	while (!is_all) {
		enum be_status status = begin(copying);

		if (status != BE_OK)
			return status;
		status = put_some(copying, &is_all);
		if (status == BE_OK && is_all)
			status = put_header(copying);
		if (status == BE_OK && is_all)
			return ledger_commit(&copying->target, 0);
		status = end(copying, status);
		if (status != BE_OK)
			return status;
		copying->is_begun = true;
		if (copying->progress &&
		    !copying->progress(copying->context, copying->mark.records))
			return error_set(BE_STOPPED, "the copy was stopped");
	}
	return BE_OK;
}

/* From the first record on, in one read txn of the source's. */
static enum be_status copy_state(struct copied *copying, const struct be_storage *from)
{
	enum be_status status = ledger_begin(&copying->source, from, false);

	if (status != BE_OK)
		return status;
	copying->next = (struct record_key){.size = 1};
	copying->is_refused = false;
	status = copy_all(copying);
	ledger_abort(&copying->source);
	return status;
}

/* The target is prepared before the source's txn begins, which a server ends when it is idle. That
 * txn's first question is for records, so that a server knows that it takes more than a look. */
static enum be_status copy(struct copied *copying, const struct be_storage *from)
{
	struct header header;
	struct filling prepared;
	unsigned tries = 0;
	enum be_status status = ledger_read_header(from, false, &header);

	if (status == BE_OK)
		status = prepare(copying);
	if (status != BE_OK)
		return status;
	prepared = copying->mark;
	do {
		copying->mark = prepared;
		status = copy_state(copying, from);
	} while (copying->is_refused && !copying->is_begun && ledger_reads_again(&status, &tries));
	return status;
}

enum be_status copy_records(const struct be_storage *from, const struct be_storage *storage,
			    bool (*progress)(void *context, uint64_t records), void *context)
{
	struct copied *copying = calloc(1, sizeof *copying);
	enum be_status status;

	if (!copying)
		return error_set(BE_NO_MEMORY, "out of memory");
	copying->storage = *storage;
	copying->progress = progress;
	copying->context = context;
	status = copy(copying, from);
	free(copying);
	return status;
}

enum be_status be_copy(struct be_enforcer *handle, const struct be_storage *storage,
		       bool (*progress)(void *context, uint64_t records), void *context)
{
	struct be_storage_ops ops;
	struct environment *environment;
	enum be_status status;
	int cancel_state;

	error_clear();
	if (!handle || !storage)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 handle ? "storage" : "handle");
	memset(&ops, 0, sizeof ops);
	status = enforcer_read_storage(storage, &ops);
	if (status != BE_OK)
		return status;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = enforcer_environment(handle, &environment);
	if (status == BE_OK && environment->executor.storage->self == storage->self)
		status = error_set(BE_INVALID_ARGUMENT, "an environment is not copied into itself");
	if (status == BE_OK)
		status = copy_records(environment->executor.storage,
				      &(struct be_storage){&ops, storage->self}, progress, context);
	pthread_setcancelstate(cancel_state, NULL);
	return error_default(status);
}
