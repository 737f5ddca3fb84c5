/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/checks.h"

#include "base/error.h"
#include "executor/remote.h"

#include <stdlib.h>
#include <string.h>

/* The table forgets: notes take the place of whatever was there. */
#define PLACES 256
/* A chain of eight has less than half of it. */
#define NOTES_MAX ((size_t)32 << 10)

/* A get or next and its answer; behind it the bytes of the key asked for, of the key found (of next
 * only) and of the value. */
struct answered {
	bool is_next;
	int answer;
	size_t asked;
	size_t key;
	size_t value;
};

struct place {
	struct record_key key; /* of the envelope */
	uint64_t change;
	int64_t begun_ns;
	size_t size;
	unsigned char *bytes; /* the notes; NULL: none */
};

struct checks {
	int64_t age_ns;
	_Atomic uint64_t change;
	pthread_mutex_t lock; /* of the places */
	struct place places[PLACES];
};

struct checks *checks_make(int64_t age_ns)
{
	struct checks *checks = calloc(1, sizeof *checks);

	if (!checks)
		return NULL;
	checks->age_ns = age_ns;
	pthread_mutex_init(&checks->lock, NULL);
	return checks;
}

void checks_free(struct checks *checks)
{
	if (!checks)
		return;
	for (size_t i = 0; i < PLACES; i++)
		free(checks->places[i].bytes);
	free(checks);
}

void checks_outdate(struct checks *checks)
{
	atomic_fetch_add(&checks->change, 1);
}

static bool same_bytes(struct be_bytes a, struct be_bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static struct place *place_of(struct checks *checks, const struct record_key *key)
{
	return &checks->places[record_sum(record_key_bytes(key)) % PLACES];
}

/* ---- noting */

static void append(struct checks_reading *reading, const void *bytes, size_t size)
{
	if (size > reading->room - reading->size) {
		size_t room = 2 * reading->room + size;
		unsigned char *larger = reading->is_whole && room <= NOTES_MAX
						? realloc(reading->bytes, room)
						: NULL;

		reading->is_whole = larger != NULL;
		if (!larger)
			return;
		reading->bytes = larger;
		reading->room = room;
	}
	if (size > 0)
		memcpy(reading->bytes + reading->size, bytes, size);
	reading->size += size;
}

static void take_note(struct checks_reading *reading, bool is_next, int answer,
		      struct be_bytes asked, struct be_bytes key, struct be_bytes value)
{
	struct answered note = {is_next, answer, asked.size, key.size, value.size};

	if (answer != 0 && answer != BE_STORAGE_NOT_FOUND)
		reading->is_whole = false;
	append(reading, &note, sizeof note);
	append(reading, asked.data, asked.size);
	append(reading, key.data, key.size);
	append(reading, value.data, value.size);
}

static int noted_begin(void *self, bool write, void **txn)
{
	const struct be_storage *inner = ((struct checks_reading *)self)->inner;

	return inner->ops->begin(inner->self, write, txn);
}

static void noted_abort(void *self, void *txn)
{
	const struct be_storage *inner = ((struct checks_reading *)self)->inner;

	inner->ops->abort(inner->self, txn);
}

static int noted_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	struct checks_reading *reading = self;
	int answer = reading->inner->ops->get(reading->inner->self, txn, key, value);

	take_note(reading, false, answer, key, (struct be_bytes){NULL, 0},
		  answer == 0 ? *value : (struct be_bytes){NULL, 0});
	return answer;
}

static int noted_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		      struct be_bytes *value)
{
	struct checks_reading *reading = self;
	int answer = reading->inner->ops->next(reading->inner->self, txn, from, key, value);

	take_note(reading, true, answer, from, answer == 0 ? *key : (struct be_bytes){NULL, 0},
		  answer == 0 ? *value : (struct be_bytes){NULL, 0});
	return answer;
}

static int noted_prefetch(void *self, void *txn, const struct be_bytes *keys, size_t count)
{
	const struct be_storage *inner = ((struct checks_reading *)self)->inner;

	return inner->ops->prefetch(inner->self, txn, keys, count);
}

static const struct be_storage_ops noted_ops = {
	.size = sizeof noted_ops,
	.begin = noted_begin,
	.abort = noted_abort,
	.get = noted_get,
	.next = noted_next,
	.prefetch = noted_prefetch,
};

void checks_begin(struct checks *checks, const struct be_storage *storage,
		  struct checks_reading *reading)
{
	*reading = (struct checks_reading){
		.inner = storage,
		.storage = {&noted_ops, reading},
		.change = atomic_load(&checks->change),
		.begun_ns = remote_steady(),
		.is_whole = true,
	};
}

void checks_end(struct checks *checks, const struct record_key *key, enum be_status status,
		struct checks_reading *reading)
{
	struct place *place = place_of(checks, key);

	if (!reading->is_whole || status != BE_OK) {
		free(reading->bytes);
		reading->bytes = NULL;
	}
	pthread_mutex_lock(&checks->lock);
	free(place->bytes);
	memcpy(&place->key, key, offsetof(struct record_key, bytes) + key->size);
	place->change = reading->change;
	place->begun_ns = reading->begun_ns;
	place->size = reading->size;
	place->bytes = reading->bytes;
	pthread_mutex_unlock(&checks->lock);
}

/* ---- reading the notes: a place is the storage */

static int known_begin(void *self, bool write, void **txn)
{
	(void)write;
	*txn = self;
	return 0;
}

static void known_abort(void *self, void *txn)
{
	(void)self;
	(void)txn;
}

/* Finds the note; without one it is not known. */
static int find_note(const struct place *place, bool is_next, struct be_bytes asked,
		     struct be_bytes *key, struct be_bytes *value)
{
	const unsigned char *at = place->bytes, *end = at + place->size;
	struct answered note;

	for (; at < end; at += note.asked + note.key + note.value) {
		memcpy(&note, at, sizeof note);
		at += sizeof note;
		if (note.is_next != is_next ||
		    !same_bytes((struct be_bytes){at, note.asked}, asked))
			continue;
		*key = (struct be_bytes){at + note.asked, note.key};
		*value = (struct be_bytes){at + note.asked + note.key, note.value};
		return note.answer;
	}
	return BE_STORAGE_CONFLICT;
}

static int known_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	struct be_bytes found;

	(void)txn;
	return find_note(self, false, key, &found, value);
}

static int known_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		      struct be_bytes *value)
{
	(void)txn;
	return find_note(self, true, from, key, value);
}

static const struct be_storage_ops known_ops = {
	.size = sizeof known_ops,
	.begin = known_begin,
	.abort = known_abort,
	.get = known_get,
	.next = known_next,
};

static enum be_status ask_known(struct place *place, struct rules_question *question)
{
	struct be_storage storage = {&known_ops, place};
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, &storage, false);

	if (status != BE_OK)
		return status;
	status = rules_check(&ledger, question);
	ledger_abort(&ledger);
	return status;
}

bool checks_permit(struct checks *checks, struct rules_question *question)
{
	struct place *place = place_of(checks, question->key);
	bool permitted = false;

	pthread_mutex_lock(&checks->lock);
	if (place->bytes && place->change == atomic_load(&checks->change) &&
	    remote_steady() - place->begun_ns < checks->age_ns &&
	    same_bytes(record_key_bytes(&place->key), record_key_bytes(question->key)))
		permitted = ask_known(place, question) == BE_OK;
	pthread_mutex_unlock(&checks->lock);
	if (!permitted)
		error_clear();
	return permitted;
}
