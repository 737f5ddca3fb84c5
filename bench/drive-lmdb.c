/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives LMDB alone: what the same operations cost at least, on records of the same sizes under the
 * same keys (src/records/record.h), with nothing checked, encoded or summed up, nobody's death
 * noticed and no work shared. Since the keys are the same, `check` can be run on an environment
 * that the enforcer made.
 *
 * Modes: sync, LMDB's default flags, with two flushes to each txn; nosync, with none.
 */
#include "pool.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAP_BYTES (UINT64_C(64) << 30)
#define FILLED_AT_ONCE 1000

enum type {
	COMMIT = 2,
	HEADER = 3,
	ENVELOPE = 4,
	ENDED = 5,
	TRANSACTION = 6,
};

struct header {
	uint64_t next_commit_id;
	uint64_t next_transaction_id;
	uint8_t rest[128];
};

/* As the enforcer has them, so that a check reads the same bytes of either. */
struct envelope {
	uint64_t head[2];
	uint64_t id;
	int64_t limit;
	int64_t spent;
	int64_t committed;
	uint8_t rest[128];
};

struct commit {
	uint64_t id;
	int64_t amount;
	int64_t created_ns;
	uint32_t owner;
	uint8_t rest[68];
	char category[POOL_CATEGORY_SIZE - 1];
	char description[sizeof POOL_DESCRIPTION - 1];
};

struct transaction {
	uint64_t id;
	uint64_t commit_id;
	int64_t amount;
	int64_t at_ns;
	uint8_t rest[40];
	char category[POOL_CATEGORY_SIZE - 1];
	char description[sizeof POOL_DESCRIPTION - 1];
};

#define COMMIT_BYTES (offsetof(struct commit, description) + sizeof POOL_DESCRIPTION - 1)
#define TRANSACTION_BYTES (offsetof(struct transaction, description) + sizeof POOL_DESCRIPTION - 1)

struct key {
	size_t size;
	uint8_t bytes[2 + POOL_CATEGORY_SIZE];
};

struct lmdb {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *reader;
	uint32_t owner;
};

static void must(int rc)
{
	if (rc)
		die("%s", mdb_strerror(rc));
}

static void *lmdb_open(const struct run *run)
{
	struct lmdb *lmdb = calloc(1, sizeof *lmdb);
	MDB_txn *txn;

	if (!lmdb)
		die("out of memory");
	lmdb->owner = (uint32_t)getpid();
	must(mdb_env_create(&lmdb->env));
	must(mdb_env_set_mapsize(lmdb->env, MAP_BYTES));
	must(mdb_env_set_maxreaders(lmdb->env, 4096));
	must(mdb_env_open(lmdb->env, run->place,
			  MDB_NOTLS | (strcmp(run->mode, "nosync") == 0 ? MDB_NOSYNC : 0), 0600));
	must(mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn));
	must(mdb_dbi_open(txn, NULL, 0, &lmdb->dbi));
	must(mdb_txn_commit(txn));
	must(mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->reader));
	mdb_txn_reset(lmdb->reader);
	return lmdb;
}

static void lmdb_close(void *self)
{
	struct lmdb *lmdb = self;

	mdb_txn_abort(lmdb->reader);
	mdb_env_close(lmdb->env);
	free(lmdb);
}

/* ---- records */

static void key_of_envelope(struct key *key, const char *category)
{
	size_t size = strlen(category);

	key->bytes[0] = ENVELOPE;
	key->bytes[1] = 0; /* the end of an empty namespace */
	memcpy(key->bytes + 2, category, size);
	key->size = 2 + size;
}

static void key_of_id(struct key *key, enum type type, uint64_t id)
{
	uint64_t ascending = __builtin_bswap64(id);

	key->bytes[0] = (uint8_t)type;
	memcpy(key->bytes + 1, &ascending, sizeof ascending);
	key->size = 1 + sizeof ascending;
}

static void key_of_header(struct key *key)
{
	key->bytes[0] = HEADER;
	key->size = 1;
}

static const void *get(struct lmdb *lmdb, MDB_txn *txn, struct key *key)
{
	MDB_val name = {key->size, key->bytes};
	MDB_val value;

	must(mdb_get(txn, lmdb->dbi, &name, &value));
	return value.mv_data;
}

static void put(struct lmdb *lmdb, MDB_txn *txn, struct key *key, const void *data, size_t size)
{
	MDB_val name = {key->size, key->bytes};
	MDB_val value = {size, (void *)data};

	must(mdb_put(txn, lmdb->dbi, &name, &value, 0));
}

static void put_commit(struct lmdb *lmdb, MDB_txn *txn, uint64_t id, const char *category)
{
	struct commit commit = {.id = id, .amount = POOL_AMOUNT, .owner = lmdb->owner};
	struct key key;

	commit.created_ns = pool_now_ns();
	memcpy(commit.category, category, sizeof commit.category);
	memcpy(commit.description, POOL_DESCRIPTION, sizeof commit.description);
	key_of_id(&key, COMMIT, id);
	put(lmdb, txn, &key, &commit, COMMIT_BYTES);
}

static void put_transaction(struct lmdb *lmdb, MDB_txn *txn, uint64_t id, uint64_t commit_id,
			    const char *category)
{
	struct transaction transaction = {.id = id, .commit_id = commit_id, .amount = POOL_AMOUNT};
	struct key key;

	transaction.at_ns = pool_now_ns();
	memcpy(transaction.category, category, sizeof transaction.category);
	memcpy(transaction.description, POOL_DESCRIPTION, sizeof transaction.description);
	key_of_id(&key, TRANSACTION, id);
	put(lmdb, txn, &key, &transaction, TRANSACTION_BYTES);
}

/* ---- filling */

static void fill_one(struct lmdb *lmdb, MDB_txn *txn, const struct run *run, uint64_t i)
{
	struct envelope envelope = {.id = i + 1, .limit = POOL_LIMIT};
	char category[POOL_CATEGORY_SIZE];
	struct key key;

	pool_category(i % run->envelopes, category);
	if (i < run->envelopes) {
		key_of_envelope(&key, category);
		put(lmdb, txn, &key, &envelope, sizeof envelope);
	}
	if (i < run->pending)
		put_commit(lmdb, txn, i + 1, category);
	if (i < run->ledger)
		put_transaction(lmdb, txn, i + 1, 0, category);
}

/* Without flushes; whatever is flushed next flushes it all. */
static void lmdb_make(const struct run *run)
{
	struct header header = {.next_commit_id = run->pending + 1,
				.next_transaction_id = run->ledger + 1};
	struct run as = *run;
	struct lmdb *lmdb;
	uint64_t most = run->envelopes > run->pending ? run->envelopes : run->pending;
	struct key key;
	MDB_txn *txn;

	as.mode = "nosync";
	lmdb = lmdb_open(&as);
	most = run->ledger > most ? run->ledger : most;
	for (uint64_t i = 0; i < most; i += FILLED_AT_ONCE) {
		must(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
		for (uint64_t j = i; j < most && j < i + FILLED_AT_ONCE; j++)
			fill_one(lmdb, txn, run, j);
		if (i == 0) {
			key_of_header(&key);
			put(lmdb, txn, &key, &header, sizeof header);
		}
		must(mdb_txn_commit(txn));
	}
	if (strcmp(run->mode, "nosync") != 0)
		must(mdb_env_sync(lmdb->env, 1));
	lmdb_close(lmdb);
}

/* ---- what is measured */

static uint64_t lmdb_reserve(void *self, const char *category)
{
	struct lmdb *lmdb = self;
	struct key header_key, envelope_key;
	struct header header;
	struct envelope envelope;
	MDB_txn *txn;
	uint64_t id;

	key_of_header(&header_key);
	key_of_envelope(&envelope_key, category);
	must(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
	memcpy(&header, get(lmdb, txn, &header_key), sizeof header);
	memcpy(&envelope, get(lmdb, txn, &envelope_key), sizeof envelope);
	if (envelope.limit - envelope.spent - envelope.committed < POOL_AMOUNT) {
		mdb_txn_abort(txn);
		return 0;
	}
	id = header.next_commit_id++;
	envelope.committed += POOL_AMOUNT;
	put(lmdb, txn, &envelope_key, &envelope, sizeof envelope);
	put_commit(lmdb, txn, id, category);
	put(lmdb, txn, &header_key, &header, sizeof header);
	must(mdb_txn_commit(txn));
	return id;
}

static bool lmdb_check(void *self, const char *category)
{
	struct lmdb *lmdb = self;
	const struct envelope *envelope;
	struct key key;
	bool available;

	key_of_envelope(&key, category);
	must(mdb_txn_renew(lmdb->reader));
	envelope = get(lmdb, lmdb->reader, &key);
	available = envelope->limit - envelope->spent - envelope->committed >= POOL_AMOUNT;
	mdb_txn_reset(lmdb->reader);
	return available;
}

static void lmdb_settle(void *self, uint64_t id)
{
	struct lmdb *lmdb = self;
	struct key header_key, envelope_key, commit_key, ended_key;
	char category[POOL_CATEGORY_SIZE];
	struct header header;
	struct envelope envelope;
	struct commit commit;
	MDB_val name;
	MDB_txn *txn;

	key_of_header(&header_key);
	key_of_id(&commit_key, COMMIT, id);
	key_of_id(&ended_key, ENDED, id);
	must(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
	memcpy(&header, get(lmdb, txn, &header_key), sizeof header);
	memcpy(&commit, get(lmdb, txn, &commit_key), COMMIT_BYTES);
	memcpy(category, commit.category, sizeof commit.category);
	category[sizeof commit.category] = '\0';
	key_of_envelope(&envelope_key, category);
	memcpy(&envelope, get(lmdb, txn, &envelope_key), sizeof envelope);
	envelope.committed -= commit.amount;
	envelope.spent += commit.amount;
	put(lmdb, txn, &envelope_key, &envelope, sizeof envelope);
	put_transaction(lmdb, txn, header.next_transaction_id++, id, category);
	name = (MDB_val){commit_key.size, commit_key.bytes};
	must(mdb_del(txn, lmdb->dbi, &name, NULL));
	put(lmdb, txn, &ended_key, &commit, offsetof(struct commit, category));
	put(lmdb, txn, &header_key, &header, sizeof header);
	must(mdb_txn_commit(txn));
}

static size_t lmdb_list(void *self, uint64_t *ids, size_t room)
{
	struct lmdb *lmdb = self;
	size_t count = 0;
	MDB_cursor *cursor;
	MDB_val name, value;
	struct key key;
	int rc;

	key_of_id(&key, COMMIT, 0);
	name = (MDB_val){key.size, key.bytes};
	must(mdb_txn_renew(lmdb->reader));
	must(mdb_cursor_open(lmdb->reader, lmdb->dbi, &cursor));
	rc = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
	while (rc == 0 && *(const uint8_t *)name.mv_data == COMMIT && count < room) {
		memcpy(&ids[count++], value.mv_data, sizeof *ids);
		rc = mdb_cursor_get(cursor, &name, &value, MDB_NEXT);
	}
	if (rc != MDB_NOTFOUND)
		must(rc);
	mdb_cursor_close(cursor);
	mdb_txn_reset(lmdb->reader);
	return count;
}

static int64_t lmdb_committed(void *self, const char *category)
{
	struct lmdb *lmdb = self;
	const struct envelope *envelope;
	int64_t committed;
	struct key key;

	key_of_envelope(&key, category);
	must(mdb_txn_renew(lmdb->reader));
	envelope = get(lmdb, lmdb->reader, &key);
	committed = envelope->committed;
	mdb_txn_reset(lmdb->reader);
	return committed;
}

int main(int argc, char **argv)
{
	static const struct driver driver = {
		.name = "lmdb",
		.make = lmdb_make,
		.open = lmdb_open,
		.close = lmdb_close,
		.reserve = lmdb_reserve,
		.check = lmdb_check,
		.settle = lmdb_settle,
		.list = lmdb_list,
		.committed = lmdb_committed,
	};

	_Static_assert(sizeof(struct header) == 144 && sizeof(struct envelope) == 176,
		       "as the enforcer's");
	_Static_assert(offsetof(struct commit, category) == 96 &&
			       offsetof(struct transaction, category) == 72,
		       "as the enforcer's");
	return pool_main(argc, argv, &driver);
}
