/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Committing, and flushing what was committed.
 *
 * LMDB flushes nothing (MDB_NOSYNC). A commit is flushed here, once: pages and meta page
 * together. The meta page may reach the disk before the pages that it names, and the machine may
 * go down in between; the next opening then finds the newest txn incomplete, and goes back to the
 * one before (newest.h). That one must be on the disk for it: a txn is not written before the one
 * that it follows was flushed, by whatever process. The word *flushed, which all who write share,
 * is the number of the newest txn that is known to be on the disk. It is read and written inside a
 * write txn, or while the lock that all write txns are made under is held (group.h). Where it is
 * behind, a process died before it had flushed, or a flush failed, of which the system perhaps told
 * another process only: then all that the newest txn changed is written again before it is flushed.
 */
#include "storage/lmdb/inside.h"

#include "base/error.h"
#include "storage/lmdb/newest.h"
#include "storage/lmdb/preflight.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

/* Does LMDB refuse all further work in this process? */
static bool is_poisoned(struct lmdb_storage *storage)
{
	MDB_txn *txn;
	int rc = lmdb_begin_reader(storage, &txn);

	if (rc == 0)
		mdb_txn_abort(txn);
	return rc == MDB_PANIC;
}

/* Txn `failed` could not write its meta page. LMDB has put the number of the txn that was there
 * back into it, but not its roots: the page names pages that anybody may write over, so that a look
 * at the whole file finds it damaged until the next txn replaces it. So it is given the state of
 * the txn before, which stands in the other meta page, and is whole. Nobody reads it, and no other
 * writer is there: the caller holds the lock that all write txns are made under (group.h). When it
 * cannot be written, it stays as it is. */
static void mend_meta_page(struct lmdb_storage *storage, uint64_t failed)
{
	const size_t offset = offsetof(struct meta_page, map_size);
	struct meta_page metas[2];
	struct meta_page *newest = &metas[(failed - 1) % 2];
	off_t size, place;
	int fd;

	if (mdb_env_get_fd(storage->env, &fd) ||
	    preflight_metas(storage->path, fd, metas, &size) != BE_OK ||
	    newest->txn != failed - 1 || metas[failed % 2].txn >= failed)
		return;
	place = (off_t)(failed % 2) * newest->trees[0].pad + (off_t)offset;
	newest->txn -= newest->txn > 0;
	if (pwrite(fd, (char *)newest + offset, sizeof *newest - offset, place) > 0)
		(void)fdatasync(fd);
}

/* What to do and say when a commit failed. */
static __attribute__((cold)) int commit_failed(struct lmdb_storage *storage, uint64_t txn, int rc)
{
	if (is_poisoned(storage))
		mend_meta_page(storage, txn);
	return lmdb_failed_in(storage, rc);
}

/* ---- flushing */

int lmdb_flush_file(const struct lmdb_storage *storage)
{
	int rc;

	do
		rc = fdatasync(storage->data.fd) < 0 ? errno : 0;
	while (rc == EINTR);
	return rc;
}

/* Writes again what txn `newest` changed, and flushes. A flush that failed may have let the system
 * forget which pages are not on the disk, and the next one then succeeds without them. */
__attribute__((cold, noinline)) enum be_status lmdb_flush_anew(struct lmdb_storage *storage,
							       uint64_t newest)
{
	char data[PATH_MAX];
	enum be_status status = lmdb_name_file(storage->path, DATA_FILE, data);
	int rc;

	if (status == BE_OK && storage->vouching && newest > 0)
		status = preflight_rewrite(data, storage->data.fd, newest, storage->vouching);
	if (status != BE_OK)
		return status;
	rc = lmdb_flush_file(storage);
	if (rc)
		return error_errno(BE_IO_ERROR, rc,
				   "%s: flushing it failed, and nothing more can be written until "
				   "that succeeds: look at the disk",
				   data);
	atomic_store(storage->flushed, newest);
	return BE_OK;
}

/* Before txn `id` may be written, or an answer given that was computed in it: the one that it
 * follows is on the disk. */
static enum be_status flush_before(struct lmdb_storage *storage, uint64_t id)
{
	if (__builtin_expect(!storage->sync || atomic_load(storage->flushed) == id - 1, 1))
		return BE_OK;
	return lmdb_flush_anew(storage, id - 1);
}

/* Flushes txn `id`, which was written just now. */
static enum be_status flush_written(struct lmdb_storage *storage, uint64_t id)
{
	int rc = lmdb_flush_file(storage);

	if (rc == 0) {
		atomic_store(storage->flushed, id);
		return BE_OK;
	}
	if (lmdb_flush_anew(storage, id) == BE_OK) {
		error_clear();
		return BE_OK;
	}
	return error_errno(BE_UNKNOWN_OUTCOME, rc,
			   "%s: flushing " DATA_FILE " failed: whether what was to be done is kept "
			   "is not known before the disk works again; look it up then",
			   storage->path);
}

/* The newest txn, for who holds the writer's lock. */
uint64_t lmdb_newest_txn(struct lmdb_storage *storage)
{
	MDB_envinfo about;

	return mdb_env_info(storage->env, &about) == 0 ? about.me_last_txnid : 0;
}

int lmdb_commit(void *self, void *txn)
{
	struct lmdb_storage *storage = self;
	struct lmdb_txn *writer = txn;
	MDB_txn *ending = writer->txn;
	uint64_t id = mdb_txn_id(ending);
	int rc = flush_before(storage, id);

	writer->txn = NULL;
	if (rc) {
		mdb_txn_abort(ending);
	} else {
		rc = mdb_txn_commit(ending);
		if (rc)
			rc = commit_failed(storage, id, rc);
		else if (storage->sync && lmdb_newest_txn(storage) == id)
			rc = flush_written(storage, id);
	}
	pthread_mutex_unlock(&storage->writing);
	if (__builtin_expect(!storage->is_undumped && rc == 0, 0))
		lmdb_undump(storage);
	return rc;
}
