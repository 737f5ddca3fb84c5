/* SPDX-License-Identifier: Apache-2.0 */
/* Copies, figures, and checks of what is there. */
#include "storage/lmdb/inside.h"

#include "base/error.h"
#include "base/futex.h"
#include "storage/lmdb/preflight.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What is damaged stays so. A meta page that is read just while it is written can be half old and
 * half new. */
#define LOOKS_AT_DAMAGE 3

/* A copy that is being written. LMDB begins its read txn itself, which takes the lock on the reader
 * table, and returns when all is written. So another thread holds our own lock on the table until
 * the first bytes are there. */
struct copy_begun {
	struct lmdb_storage *storage;
	int fd;
	atomic_bool holds;
	atomic_bool is_over;
};

static void *hold_table(void *context)
{
	struct copy_begun *begun = context;
	const struct timespec moment = {.tv_nsec = NAP_NS};
	off_t start = lseek(begun->fd, 0, SEEK_CUR);

	table_lock_take(&begun->storage->table);
	atomic_store(&begun->holds, true);
	while (!atomic_load(&begun->is_over) && lseek(begun->fd, 0, SEEK_CUR) == start)
		nanosleep(&moment, NULL);
	table_lock_drop(&begun->storage->table);
	return NULL;
}

static int copy_with_table(struct lmdb_storage *storage, int fd)
{
	struct copy_begun begun = {.storage = storage, .fd = fd};
	const struct timespec moment = {.tv_nsec = NAP_NS};
	sigset_t all, before;
	pthread_t holder;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are this thread's */
	rc = pthread_create(&holder, NULL, hold_table, &begun);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return rc;
	while (!atomic_load(&begun.holds))
		nanosleep(&moment, NULL);
	rc = mdb_env_copyfd2(storage->env, fd, MDB_CP_COMPACT);
	atomic_store(&begun.is_over, true);
	pthread_join(holder, NULL);
	return rc;
}

static int copy(struct lmdb_storage *storage, int fd)
{
	int rc = MDB_PANIC;

	pthread_mutex_lock(&storage->gate);
	atomic_fetch_add(&storage->loose, 1);
	pthread_mutex_unlock(&storage->gate);
	if (!storage->is_lost)
		rc = copy_with_table(storage, fd);
	atomic_fetch_sub(&storage->loose, 1);
	return rc;
}

/* For one who reads alone. LMDB begins the read txn itself, and needs no slot for it here. */
static int copy_alone(struct lmdb_storage *storage, int fd)
{
	MDB_env *beside;
	int rc = lmdb_open_beside(storage, &beside);

	if (rc)
		return rc;
	rc = mdb_env_copyfd2(beside, fd, MDB_CP_COMPACT);
	mdb_env_close(beside);
	return rc;
}

enum be_status lmdb_copy(void *self, int fd, bool *interrupted)
{
	struct lmdb_storage *storage = self;
	int64_t until_ns = monotonic_ns() + SLOT_PATIENCE_NS;
	void *txn;
	int rc;

	*interrupted = false;
	if (lmdb_reads_alone(storage)) {
		rc = lmdb_begin_read(storage, &txn);
		if (rc)
			return (enum be_status)rc;
		rc = copy_alone(storage, fd);
		lmdb_abort(storage, txn);
		*interrupted = rc == EINTR;
		return rc ? (enum be_status)lmdb_failed_in(storage, rc) : BE_OK;
	}
	/* LMDB begins the read txn itself, and writes nothing when it cannot. One of ours sees to
	 * the map. */
	while (((rc = copy(storage, fd)) == MDB_MAP_RESIZED || rc == MDB_READERS_FULL) &&
	       lmdb_nap(until_ns)) {
		if (rc == MDB_READERS_FULL)
			continue;
		rc = lmdb_begin_read(storage, &txn);
		if (rc)
			return (enum be_status)rc;
		lmdb_abort(storage, txn);
	}
	*interrupted = rc == EINTR;
	if (rc == EAGAIN) /* of pthread_create() */
		return error_set(BE_NO_MEMORY,
				 "%s: copying needs a thread, and the system allows no more of "
				 "them: see ulimit -u, and the pids limit of the container",
				 storage->path);
	return rc ? (enum be_status)lmdb_failed_in(storage, rc) : BE_OK;
}

/* Both ends are within the map, which is one mapping, and stays where it is as long as the txn is
 * open. This process never writes through it, so between them nothing can be lost. */
void lmdb_let_go(void *txn)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	struct lmdb_txn *inside = txn;
	char *first;

	if (!inside->lowest || inside->write)
		return;
	first = (char *)inside->lowest - (uintptr_t)inside->lowest % page;
	(void)madvise(first, (size_t)((char *)inside->highest - first) + 1, MADV_DONTNEED);
}

/* LMDB keeps the numbers of free pages in a database of its own, number 0: each value is a list
 * that begins with its length. */
static int count_free_pages(MDB_txn *txn, uint64_t *count)
{
	MDB_cursor *cursor;
	MDB_val txn_id, list;
	size_t length;
	int rc = mdb_cursor_open(txn, 0, &cursor);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &txn_id, &list, MDB_NEXT)) == 0) {
		memcpy(&length, list.mv_data, sizeof length);
		*count += length;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int measure_pages(struct lmdb_storage *storage, MDB_txn *txn,
			 struct backend_figures *figures)
{
	MDB_stat about;
	struct stat file;
	int fd;
	int rc = mdb_stat(txn, storage->dbi, &about);

	if (rc == 0)
		rc = mdb_env_get_fd(storage->env, &fd);
	if (rc == 0 && fstat(fd, &file) < 0)
		rc = errno;
	if (rc == 0)
		rc = count_free_pages(txn, &figures->free_pages);
	if (rc)
		return rc;
	figures->page_size = about.ms_psize;
	figures->records = about.ms_entries;
	figures->file_size = (uint64_t)file.st_size;
	return 0;
}

/* LMDB shows the free list to read txns only. */
static int measure_beside(struct lmdb_storage *storage, struct backend_figures *figures)
{
	MDB_env *beside;
	MDB_txn *txn;
	int rc = lmdb_open_beside(storage, &beside);

	if (rc)
		return rc;
	rc = mdb_txn_begin(beside, NULL, MDB_RDONLY, &txn);
	if (rc == 0) {
		rc = measure_pages(storage, txn, figures);
		mdb_txn_abort(txn);
	}
	mdb_env_close(beside);
	return rc;
}

/* The pid of the process that has this number, as it is seen from here; 0: it cannot be seen, or
 * does not live. */
static uint32_t pid_of_reader(struct lmdb_storage *storage, unsigned long number)
{
	struct flock held = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};

	if (number == (unsigned long)storage->number)
		return (uint32_t)getpid();
	if (fcntl(storage->table.file.fd, F_GETLK, &held) < 0 || held.l_type == F_UNLCK ||
	    held.l_pid < 0)
		return 0;
	return (uint32_t)held.l_pid;
}

uint32_t lmdb_pid_seen(void *self, int32_t number)
{
	return pid_of_reader(self, (unsigned long)number);
}

void lmdb_expect_dead(void *self)
{
	atomic_store(&((struct lmdb_storage *)self)->expects_dead, true);
}

enum be_status lmdb_measure(void *self, struct backend_figures *figures)
{
	struct lmdb_storage *storage = self;
	struct reader_list list = {0};
	MDB_envinfo information;
	int stale = 0;
	void *txn;
	int rc;

	memset(figures, 0, sizeof *figures);
	(void)lmdb_check_readers(storage, &stale);
	/* Not in a read txn of our own, which would count. */
	rc = mdb_reader_list(storage->env, lmdb_note_reader, &list);
	if (rc < 0)
		return lmdb_failed_in(storage, rc);
	rc = lmdb_begin_read(storage, &txn);
	if (rc)
		return (enum be_status)rc;
	rc = mdb_env_info(storage->env, &information);
	if (rc == 0)
		rc = lmdb_reads_alone(storage)
			     ? measure_beside(storage, figures)
			     : measure_pages(storage, ((struct lmdb_txn *)txn)->txn, figures);
	lmdb_abort(storage, txn);
	if (rc)
		return lmdb_failed_in(storage, rc);
	figures->went_back = storage->went_back;
	figures->reads_alone = lmdb_reads_alone(storage);
	figures->map_size = information.me_mapsize;
	figures->pages = information.me_last_pgno + 1;
	figures->readers = list.count;
	figures->readers_max = information.me_maxreaders;
	figures->stale_readers = (uint64_t)stale + (uint64_t)storage->stale_readers;
	if (list.oldest != 0) {
		figures->lagging_pid = pid_of_reader(storage, list.reader);
		figures->reader_lag = information.me_last_txnid - list.oldest;
	}
	return BE_OK;
}

enum be_status lmdb_check(void *self)
{
	struct lmdb_storage *storage = self;
	char data[PATH_MAX];
	enum be_status status = lmdb_name_file(storage->path, DATA_FILE, data);
	struct lmdb_txn *reader;
	int damaged = 0;
	bool outdated;
	void *txn = NULL;
	int fd;
	int rc;

	if (status)
		return status;
	rc = mdb_env_get_fd(storage->env, &fd);
	if (rc)
		return lmdb_failed_in(storage, rc);
	for (int looks = 0; looks < LOOKS_AT_PAGES; looks++) {
		rc = lmdb_begin_read(storage, &txn);
		if (rc)
			return (enum be_status)rc;
		reader = txn;
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): rc says it */
		reader->pins = reader->pooled;
		status = preflight_all_pages(data, fd, lmdb_number_of_state(reader), &outdated);
		pthread_mutex_lock(&storage->gate);
		reader->pins = false;
		lmdb_abort(storage, reader);
		pthread_mutex_unlock(&storage->gate);
		if (status != BE_DAMAGED || (!outdated && ++damaged == LOOKS_AT_DAMAGE))
			break;
		nanosleep(&(struct timespec){.tv_nsec = outdated ? 0 : 1000000}, NULL);
	}
	return status;
}
