/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage over LMDB: one unnamed database, no MDB_WRITEMAP (a full disk would be SIGBUS), no
 * MDB_NOLOCK, and a map so large that it is hardly ever changed. Each
 * file lmdb_*.c has a part of it:
 *
 *   lmdb_files.c    who holds data.mdb, lock.mdb before LMDB sees it, the names that LMDB is given
 *   lmdb_open.c     opening and closing, and what the newest txn has to prove before
 *   lmdb_txn.c      slots in the reader table, who may write, the map
 *   lmdb_records.c  get, put, del, next
 *   lmdb_commit.c   committing, and flushing what was committed
 *   lmdb_figures.c  copies, figures, checks
 *   lmdb_error.c    LMDB's codes as statuses
 *
 * Pid namespaces. Processes of several may share an environment: reader_number.h says how LMDB
 * tells them apart, and table_lock.h under which lock LMDB locks its reader table. The order is
 * `writing`, then that one.
 *
 * Reading alone. Where LMDB cannot be made to tell them apart, since the liblmdb is not one of
 * which it is known how, this process takes no slot in the reader table. It reads in a write txn
 * that is aborted, and excludes all writers meanwhile, by the lock that all write txns are made
 * under. That is true for whatever liblmdb, and slow beside writers: be_stats() tells.
 */
#include "storage/lmdb/inside.h"

#include "base/shared_file.h"
#include "storage/lmdb/newest.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Storages of a parent process. They are reachable from here so that they do not count as leaks. */
static _Atomic(struct lmdb_storage *) abandoned;

struct be_storage *lmdb_storage_interface(struct lmdb_storage *storage)
{
	return &storage->interface;
}

static uint64_t lmdb_txn_number(const void *txn)
{
	return mdb_txn_id(((const struct lmdb_txn *)txn)->txn);
}

enum be_status lmdb_storage_stat(struct lmdb_storage *storage, struct stat *about)
{
	if (fstat(storage->data.fd, about) < 0)
		return (enum be_status)lmdb_failed_in(storage, errno);
	return BE_OK;
}

bool lmdb_storage_find(const struct shared_directory *directory, struct stat *about)
{
	return fstatat(directory->fd, "data.mdb", about, AT_SYMLINK_NOFOLLOW) == 0;
}

bool lmdb_storage_went_back(const struct lmdb_storage *storage)
{
	return storage->went_back;
}

void lmdb_storage_stop_flushing(struct lmdb_storage *storage)
{
	storage->sync = false;
}

enum be_status lmdb_storage_flush(struct lmdb_storage *storage)
{
	uint64_t newest = lmdb_newest_txn(storage);
	int rc = lmdb_flush_file(storage);

	if (rc)
		return (enum be_status)lmdb_failed_in(storage, rc);
	atomic_store(storage->flushed, newest);
	return BE_OK;
}

void lmdb_storage_close(struct lmdb_storage *storage)
{
	lmdb_close_env(storage);
	lmdb_discard(storage);
}

static void lmdb_close(void *self)
{
	lmdb_storage_close(self);
}

/* Frees nothing: closing LMDB's descriptors would disturb the parent's locks. */
static void lmdb_abandon(void *self)
{
	struct lmdb_storage *storage = self;

	storage->next_abandoned = atomic_load(&abandoned);
	while (!atomic_compare_exchange_weak(&abandoned, &storage->next_abandoned, storage))
		;
}

static enum be_status lmdb_clear_readers(void *self, int *freed)
{
	struct lmdb_storage *storage = self;
	int count = 0;
	int rc = lmdb_check_readers(storage, &count);

	if (freed)
		*freed = rc ? 0 : count;
	return rc ? (enum be_status)lmdb_failed_in(storage, rc) : BE_OK;
}

const struct backend lmdb_operations = {
	.every =
		{
			.size = sizeof(struct be_storage_ops),
			.reserved = BACKEND_MARK,
			.begin = lmdb_begin,
			.commit = lmdb_commit,
			.abort = lmdb_abort,
			.get = lmdb_get,
			.put = lmdb_put,
			.del = lmdb_del,
			.next = lmdb_next,
		},
	.txn_number = lmdb_txn_number,
	.check = lmdb_check,
	.copy = lmdb_copy,
	.measure = lmdb_measure,
	.clear_readers = lmdb_clear_readers,
	.expect_dead = lmdb_expect_dead,
	.pid_seen = lmdb_pid_seen,
	.let_go = lmdb_let_go,
	.close = lmdb_close,
	.abandon = lmdb_abandon,
};
