/* SPDX-License-Identifier: Apache-2.0 */
/* Records within a txn. */
#include "storage/lmdb/inside.h"

#include <string.h>
#include <unistd.h>

static MDB_val to_val(struct be_bytes bytes)
{
	return (MDB_val){.mv_size = bytes.size, .mv_data = (void *)bytes.data};
}

static struct be_bytes to_bytes(MDB_val val)
{
	return (struct be_bytes){.data = val.mv_data, .size = val.mv_size};
}

int lmdb_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	struct lmdb_storage *storage = self;
	MDB_val wanted = to_val(key);
	MDB_val found;
	int rc = mdb_get(((struct lmdb_txn *)txn)->txn, storage->dbi, &wanted, &found);

	if (rc == MDB_NOTFOUND)
		return BE_STORAGE_NOT_FOUND;
	if (rc)
		return lmdb_failed_in(storage, rc);
	*value = to_bytes(found);
	return 0;
}

int lmdb_put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	struct lmdb_storage *storage = self;
	MDB_val name = to_val(key);
	MDB_val content = to_val(value);
	int rc = mdb_put(((struct lmdb_txn *)txn)->txn, storage->dbi, &name, &content, 0);

	return rc ? lmdb_failed_in(storage, rc) : 0;
}

int lmdb_del(void *self, void *txn, struct be_bytes key)
{
	struct lmdb_storage *storage = self;
	MDB_val name = to_val(key);
	int rc = mdb_del(((struct lmdb_txn *)txn)->txn, storage->dbi, &name, NULL);

	if (rc == MDB_NOTFOUND)
		return BE_STORAGE_NOT_FOUND;
	return rc ? lmdb_failed_in(storage, rc) : 0;
}

/* The cursor of a read txn is kept and renewed. That of a write txn is opened for each call: LMDB
 * would otherwise have to mend it on every put and del. */
static int ready_cursor(const struct lmdb_storage *storage, struct lmdb_txn *txn,
			MDB_cursor **cursor)
{
	int rc = 0;

	if (txn->write)
		return mdb_cursor_open(txn->txn, storage->dbi, cursor);
	if (!txn->cursor)
		rc = mdb_cursor_open(txn->txn, storage->dbi, &txn->cursor);
	else if (!txn->cursor_renewed)
		rc = mdb_cursor_renew(txn->txn, txn->cursor);
	if (rc == 0)
		txn->cursor_renewed = true;
	*cursor = txn->cursor;
	return rc;
}

static bool is_before(struct be_bytes a, struct be_bytes b)
{
	int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

	return order < 0 || (order == 0 && a.size < b.size);
}

static void note_walk(struct lmdb_txn *inside, const char *key)
{
	if (!inside->lowest || key < inside->lowest)
		inside->lowest = key;
	if (key > inside->highest)
		inside->highest = key;
}

int lmdb_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
	      struct be_bytes *value)
{
	struct lmdb_storage *storage = self;
	struct lmdb_txn *inside = txn;
	MDB_val name = to_val(from);
	MDB_val content;
	MDB_cursor *cursor;
	int rc = ready_cursor(storage, inside, &cursor);

	if (rc)
		return lmdb_failed_in(storage, rc);
	rc = mdb_cursor_get(cursor, &name, &content, from.size ? MDB_SET_RANGE : MDB_FIRST);
	if (inside->write)
		mdb_cursor_close(cursor);
	if (rc == MDB_NOTFOUND)
		return BE_STORAGE_NOT_FOUND;
	/* In a damaged page, whose keys are out of order, LMDB finds what lies before, and a walk
	 * had no end. */
	if (rc == 0 && from.size > 0 && is_before(to_bytes(name), from))
		rc = MDB_CORRUPTED;
	if (rc)
		return lmdb_failed_in(storage, rc);
	*key = to_bytes(name);
	*value = to_bytes(content);
	note_walk(inside, key->data);
	return 0;
}
