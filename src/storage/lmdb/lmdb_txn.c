/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Txns: slots in the reader table, who may write, and the map.
 *
 * Reads. A process keeps up to POOL read txns, each with a slot in LMDB's reader table. begin
 * renews one and abort resets it, which are a few loads and stores in shared memory: no lock, no
 * allocation, no system call. A slot of the pool belongs to the thread that set `taken`; the thread
 * looks at its own favourite first, so that it normally is alone on that cache line. Once all are
 * taken, a read txn is made for the occasion. There is no cancellation point between begin and
 * abort of a read txn, hence nothing to guard there.
 *
 * Slots in the reader table are for all processes. As long as half of them were never used, a
 * process keeps each that it got. From then on it keeps few, one at least, and the rest go back at
 * the end of the read txn; a thread that gets none waits for one of the process's own, or for one
 * that somebody gives back. So no process that has one fails for want of another, and there is room
 * for newcomers as long as there are fewer processes than half of the slots.
 *
 * Writes. LMDB lets one write txn exist at a time, so one struct per environment suffices; it is
 * the thread's that holds `writing`. A thread that ended in a write txn would make LMDB refuse all
 * further work in this process (MDB_PANIC), so callers have cancellation disabled from begin to the
 * end (executor.c).
 *
 * The map. A process that was opened with a smaller map_size than another takes over the larger
 * one, when the data has outgrown its own or is about to. LMDB then maps the file anew, and no txn
 * of this process may be under way. To be alone a thread takes `writing`, then `gate`, and then all
 * readers of the pool, as any reader takes one: that costs readers nothing. A thread that finds the
 * pool taken comes to the gate. Read txns beyond the pool are counted under it, and so is a copy,
 * which LMDB reads by itself. The read txn under which all pages are checked holds a slot for long
 * and never touches the map: it is left alone, and passes the gate to end. Nobody waits for ever: a
 * thread that cannot be alone in time lets all go again, and its call fails with BE_MAP_FULL. So a
 * thread that has a read txn open and begins another one cannot lock up the process.
 */
#include "storage/lmdb/inside.h"

#include "base/error.h"
#include "base/futex.h"
#include "base/thread_local.h"
#include "storage/lmdb/preflight.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Write txns of this process between two looks for dead readers: each look asks the kernel about
 * every process in the table, and a dead reader pins the pages freed since it died. */
#define WRITES_PER_READER_CHECK 1024
#define READ_PATIENCE_NS INT64_C(1000000000)
#define WRITE_PATIENCE_NS INT64_C(50000000)

static atomic_uint threads_seen;
/* One more than an index into `readers`; 0: none yet. */
static THREAD_LOCAL_FAST unsigned favourite;

/* Begins a read txn with a new slot in the reader table. */
int lmdb_begin_reader(struct lmdb_storage *storage, MDB_txn **txn)
{
	int rc;

	table_lock_take(&storage->table);
	rc = mdb_txn_begin(storage->env, NULL, lmdb_reads_alone(storage) ? 0 : MDB_RDONLY, txn);
	table_lock_drop(&storage->table);
	storage->is_taken = rc == EAGAIN;
	return rc == EAGAIN ? NUMBER_IS_TAKEN : rc;
}

/* Frees the slots of dead readers; *freed (may be NULL) is how many. */
int lmdb_check_readers(struct lmdb_storage *storage, int *freed)
{
	int rc;

	table_lock_take(&storage->table);
	rc = mdb_reader_check(storage->env, freed);
	table_lock_drop(&storage->table);
	return rc;
}

static bool take(struct lmdb_txn *reader)
{
	return !atomic_load_explicit(&reader->taken, memory_order_relaxed) &&
	       !atomic_exchange_explicit(&reader->taken, true, memory_order_acquire);
}

static void give_back(struct lmdb_storage *storage, struct lmdb_txn *reader)
{
	if (reader->pooled) {
		atomic_store_explicit(&reader->taken, false, memory_order_release);
	} else {
#ifndef __clang_analyzer__ /* which takes a reader of the pool for one that is freed here */
		free(reader);
#endif
		atomic_fetch_sub_explicit(&storage->loose, 1, memory_order_release);
	}
}

/* Makes a reader beyond the pool. NULL: out of memory. */
static struct lmdb_txn *make_reader(struct lmdb_storage *storage)
{
	struct lmdb_txn *reader = aligned_alloc(_Alignof(struct lmdb_txn), sizeof *reader);

	if (!reader)
		return NULL;
	memset(reader, 0, sizeof *reader);
	pthread_mutex_lock(&storage->gate);
	atomic_fetch_add_explicit(&storage->loose, 1, memory_order_relaxed);
	pthread_mutex_unlock(&storage->gate);
	return reader;
}

/* This thread's favourite was taken: any other of the pool, or a new one. NULL: out of memory. */
static __attribute__((noinline)) struct lmdb_txn *take_other(struct lmdb_storage *storage)
{
	if (favourite == 0)
		favourite = 1 + atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed) %
					POOL;
	for (unsigned i = 0; i < POOL; i++) {
		struct lmdb_txn *reader = &storage->readers[(favourite - 1 + i) % POOL];

		if (take(reader))
			return reader;
	}
	return make_reader(storage);
}

/* Sleeps for a moment, and is no cancellation point; false when it is too late for that. */
bool lmdb_nap(int64_t until_ns)
{
	int cancel_state;

	if (monotonic_ns() >= until_ns)
		return false;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
	pthread_setcancelstate(cancel_state, NULL);
	return true;
}

/* ---- slots in the reader table */

/* How many slots this process may keep: all, until half of the table was used; then some, as long
 * as there are others; one in any case. The caller's reader sees to it that the map stays. */
static unsigned may_keep(struct lmdb_storage *storage)
{
	MDB_envinfo about;

	if (mdb_env_info(storage->env, &about) || about.me_numreaders < about.me_maxreaders / 2)
		return POOL;
	return 1 + (about.me_maxreaders - about.me_numreaders) / 256;
}

/* In place of a reader without a slot, one of the pool that keeps its own and is free. */
static bool exchange(struct lmdb_storage *storage, struct lmdb_txn **reader)
{
	for (unsigned i = 0; i < POOL; i++) {
		struct lmdb_txn *other = &storage->readers[i];

		if (!take(other))
			continue;
		if (other->keeps) {
			give_back(storage, *reader);
			*reader = other;
			favourite = i + 1;
			return true;
		}
		give_back(storage, other);
	}
	return false;
}

/* All slots of the table are taken. Slots of the dead are freed, others are given back. */
static int wait_for_slot(struct lmdb_storage *storage, struct lmdb_txn **reader)
{
	int64_t until_ns = monotonic_ns() + SLOT_PATIENCE_NS;
	int rc = MDB_READERS_FULL;

	for (unsigned i = 0; rc == MDB_READERS_FULL; i++) {
		if (exchange(storage, reader))
			return mdb_txn_renew((*reader)->txn);
		if (i % ATTEMPTS_PER_READER_CHECK == 0)
			(void)lmdb_check_readers(storage, NULL);
		else if (!lmdb_nap(until_ns))
			break;
		rc = lmdb_begin_reader(storage, &(*reader)->txn);
	}
	return rc;
}

/* Begins the txn of a reader that has no slot. */
static __attribute__((noinline)) int begin_anew(struct lmdb_storage *storage,
						struct lmdb_txn **reader)
{
	bool keeps;
	int rc;

	if (storage->is_lost)
		return MDB_PANIC;
	keeps = (*reader)->pooled && atomic_load(&storage->kept) < may_keep(storage);
	if ((*reader)->pooled && !keeps && exchange(storage, reader))
		return mdb_txn_renew((*reader)->txn);
	rc = lmdb_begin_reader(storage, &(*reader)->txn);
	if (rc == MDB_READERS_FULL) {
		keeps = false;
		rc = wait_for_slot(storage, reader);
	}
	if (rc == 0 && keeps) {
		(*reader)->keeps = true;
		atomic_fetch_add(&storage->kept, 1);
	}
	return rc;
}

/* Ends a txn whose slot goes back. */
static __attribute__((noinline)) void end_reader(struct lmdb_txn *reader)
{
	mdb_cursor_close(reader->cursor);
	mdb_txn_abort(reader->txn);
	reader->cursor = NULL;
	reader->txn = NULL;
}

/* A line of mdb_reader_list(): number, thread, and txn or "-"; the first one is a heading. */
int lmdb_note_reader(const char *line, void *context)
{
	struct reader_list *list = context;
	unsigned long number;
	unsigned long long txn;
	char *rest;

	number = strtoul(line, &rest, 10);
	if (number == 0)
		return 0;
	list->count++;
	if (number == (unsigned long)list->own)
		list->own_seen = true;
	(void)strtoull(rest, &rest, 16);
	txn = strtoull(rest, NULL, 10);
	if (txn != 0 && (list->oldest == 0 || txn < list->oldest)) {
		list->oldest = txn;
		list->reader = number;
	}
	return 0;
}

/* ---- being alone, for a new map */

static bool lock_until(pthread_mutex_t *mutex, int64_t until_ns)
{
	while (pthread_mutex_trylock(mutex) != 0)
		if (!lmdb_nap(until_ns))
			return false;
	return true;
}

static void let_in(struct lmdb_storage *storage, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!storage->readers[i].pins)
			give_back(storage, &storage->readers[i]);
	pthread_mutex_unlock(&storage->gate);
}

/* Sees to it that no other txn of this process is under way, and none begins; the caller holds
 * `writing`. False: not in time. */
static bool shut_out(struct lmdb_storage *storage, int64_t until_ns)
{
	if (!lock_until(&storage->gate, until_ns))
		return false;
	for (unsigned i = 0; i < POOL; i++)
		while (!take(&storage->readers[i]) && !storage->readers[i].pins)
			if (!lmdb_nap(until_ns)) {
				let_in(storage, i);
				return false;
			}
	while (atomic_load_explicit(&storage->loose, memory_order_acquire) > 0)
		if (!lmdb_nap(until_ns)) {
			let_in(storage, POOL);
			return false;
		}
	return true;
}

/* The largest map_size of all processes that wrote; 0: it cannot be told. */
static uint64_t size_of_others(struct lmdb_storage *storage)
{
	struct meta_page metas[2];
	off_t file_size;
	int fd;

	if (mdb_env_get_fd(storage->env, &fd) ||
	    preflight_metas(storage->path, fd, metas, &file_size) != BE_OK)
		return 0;
	return metas[0].map_size > metas[1].map_size ? metas[0].map_size : metas[1].map_size;
}

/* LMDB gives up the old map before it asks for the new one, and cannot go on without. */
static bool may_map(uint64_t size)
{
	void *map = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map != MAP_FAILED && munmap(map, size) == 0;
}

int lmdb_map_anew(struct lmdb_storage *storage)
{
	uint64_t size = size_of_others(storage);

	if (size > 0 && !may_map(size))
		return errno;
	return mdb_env_set_mapsize(storage->env, 0);
}

/* The same with threads about, which are kept out. The caller holds `writing`. */
static int enlarge_map(struct lmdb_storage *storage, int64_t patience_ns)
{
	uint64_t size = size_of_others(storage);
	MDB_envinfo about;
	int rc;

	if (storage->is_lost)
		return MDB_PANIC;
	rc = mdb_env_info(storage->env, &about);
	if (rc || (size > 0 && size <= about.me_mapsize))
		return rc; /* another thread has done it */
	if (size > 0 && !may_map(size))
		return errno;
	if (!shut_out(storage, monotonic_ns() + patience_ns))
		return MDB_MAP_RESIZED;
	rc = mdb_env_set_mapsize(storage->env, 0);
	storage->is_undumped = false;
	if (rc == 0) {
		let_in(storage, POOL);
	} else {
		storage->is_lost =
			true; /* and the pool stays taken, so that all come to the gate */
		pthread_mutex_unlock(&storage->gate);
	}
	return rc;
}

/* Leaves the map out of core dumps: a worker that dumps core in a write txn holds up all others
 * until that is over. LMDB does not tell where the map is; any record lies in a page of it, which
 * begins with its number. */
__attribute__((noinline)) void lmdb_leave_out_of_dumps(struct lmdb_storage *storage, MDB_txn *txn)
{
	struct page_header header;
	MDB_val key, value;
	MDB_cursor *cursor;
	MDB_envinfo about;
	MDB_stat stat;
	char *page;

	if (mdb_env_info(storage->env, &about) || mdb_stat(txn, storage->dbi, &stat) ||
	    mdb_cursor_open(txn, storage->dbi, &cursor))
		return;
	if (mdb_cursor_get(cursor, &key, &value, MDB_FIRST) == 0) {
		page = (char *)key.mv_data - (uintptr_t)key.mv_data % stat.ms_psize;
		memcpy(&header, page, sizeof header);
		/* A damaged one may have any. */
		if (header.number <= about.me_last_pgno &&
		    about.me_last_pgno < about.me_mapsize / stat.ms_psize)
			storage->is_undumped = madvise(page - header.number * stat.ms_psize,
						       about.me_mapsize, MADV_DONTDUMP) == 0;
	}
	mdb_cursor_close(cursor);
}

/* In the first txn of this process. */
int lmdb_open_database(struct lmdb_storage *storage, MDB_txn *txn)
{
	unsigned flags;
	MDB_stat stat;
	int rc = mdb_dbi_open(txn, NULL, 0, &storage->dbi);

	if (rc == 0)
		rc = mdb_dbi_flags(txn, storage->dbi, &flags);
	if (rc == 0 && flags != 0)
		rc = MDB_INVALID; /* keys in another order, or several values each: not ours */
	if (rc == 0)
		rc = mdb_stat(txn, storage->dbi, &stat);
	if (rc == 0) {
		storage->page_size = stat.ms_psize;
		lmdb_leave_out_of_dumps(storage, txn);
	}
	return rc;
}

/* ---- begin, end */

static int try_read(struct lmdb_storage *storage, struct lmdb_txn **result)
{
	struct lmdb_txn *reader = take_other(storage);
	int rc;

	if (!reader)
		return ENOMEM;
	rc = reader->txn ? mdb_txn_renew(reader->txn) : begin_anew(storage, &reader);
	if (rc) {
		give_back(storage, reader);
		reader = NULL;
	}
	*result = reader;
	return rc;
}

/* When this thread's favourite is not there to be renewed. */
static __attribute__((noinline)) int begin_read_anyhow(struct lmdb_storage *storage, void **txn)
{
	struct lmdb_txn *reader;
	int rc = try_read(storage, &reader);
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state); /* pages are read */
	for (int i = 0; rc == MDB_MAP_RESIZED && i < ATTEMPTS; i++) {
		if (!lock_until(&storage->writing, monotonic_ns() + READ_PATIENCE_NS))
			break;
		rc = enlarge_map(storage, READ_PATIENCE_NS);
		pthread_mutex_unlock(&storage->writing);
		if (rc == 0)
			rc = try_read(storage, &reader);
		if (rc == 0)
			lmdb_leave_out_of_dumps(storage, reader->txn);
	}
	pthread_setcancelstate(cancel_state, NULL);
	if (rc)
		return lmdb_failed_in(storage, rc);
	*txn = reader;
	return 0;
}

static int begin_read(struct lmdb_storage *storage, void **txn)
{
	unsigned own = favourite;
	struct lmdb_txn *reader;

	if (own == 0 || !take(&storage->readers[own - 1]))
		return begin_read_anyhow(storage, txn);
	reader = &storage->readers[own - 1];
	if (!reader->txn || mdb_txn_renew(reader->txn) != 0) {
		give_back(storage, reader);
		return begin_read_anyhow(storage, txn);
	}
	reader->lowest = reader->highest = NULL;
	*txn = reader;
	return 0;
}

/* Is the map so full that the next txn might not fit, while others use a larger one? */
static bool is_outgrown(struct lmdb_storage *storage)
{
	MDB_envinfo about;

	if (storage->page_size == 0 || mdb_env_info(storage->env, &about) ||
	    about.me_last_pgno < about.me_mapsize / storage->page_size / 4 * 3)
		return false;
	return size_of_others(storage) > about.me_mapsize;
}

/* After the death of a writer LMDB looks for dead readers, too. */
static int begin_writer(struct lmdb_storage *storage, MDB_txn **txn)
{
	bool expects_dead = atomic_load_explicit(&storage->expects_dead, memory_order_relaxed);
	int rc;

	if (!expects_dead)
		return mdb_txn_begin(storage->env, NULL, 0, txn);
	table_lock_take(&storage->table);
	rc = mdb_txn_begin(storage->env, NULL, 0, txn);
	table_lock_drop(&storage->table);
	if (rc == 0)
		atomic_store(&storage->expects_dead, false);
	return rc;
}

/* The caller holds `writing`. */
static int try_write(struct lmdb_storage *storage, MDB_txn **txn)
{
	int rc = MDB_MAP_RESIZED;

	if (!storage->is_lost && is_outgrown(storage))
		(void)enlarge_map(storage, WRITE_PATIENCE_NS);
	if (storage->is_lost)
		return MDB_PANIC;
	for (int i = 0; rc == MDB_MAP_RESIZED && i < ATTEMPTS; i++) {
		rc = i > 0 ? enlarge_map(storage, WRITE_PATIENCE_NS) : 0;
		if (rc == 0)
			rc = begin_writer(storage, txn);
	}
	if (rc == 0 && storage->dbi == 0) { /* which reads alone */
		rc = lmdb_open_database(storage, *txn);
		if (rc)
			mdb_txn_abort(*txn);
	}
	return rc;
}

static int begin_write(struct lmdb_storage *storage, void **txn)
{
	unsigned count = atomic_fetch_add_explicit(&storage->writes, 1, memory_order_relaxed);
	struct lmdb_txn *writer = &storage->writer;
	int rc;

	if (storage->read_only)
		return error_set(BE_READ_ONLY, "%s: opened read-only", storage->path);
	/* That nothing could be cleared is no reason to refuse the write. */
	if (count % WRITES_PER_READER_CHECK == WRITES_PER_READER_CHECK - 1)
		(void)lmdb_check_readers(storage, NULL);
	pthread_mutex_lock(&storage->writing);
	rc = try_write(storage, &writer->txn);
	if (rc) {
		pthread_mutex_unlock(&storage->writing);
		return lmdb_failed_in(storage, rc);
	}
	*txn = writer;
	return 0;
}

/* ---- reading alone */

static void let_write(struct lmdb_storage *storage, int cancel_state)
{
	if (storage->exclusion.unlock)
		storage->exclusion.unlock(storage->exclusion.context, BE_OK);
	pthread_setcancelstate(cancel_state, NULL);
}

static __attribute__((noinline)) int begin_alone(struct lmdb_storage *storage, void **txn)
{
	const struct exclusion *exclusion = &storage->exclusion;
	struct lmdb_txn *writer = &storage->writer;
	int status = BE_OK, cancel_state, rc;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (exclusion->lock)
		status = (int)exclusion->lock(exclusion->context, &storage->interface);
	if (status != BE_OK) {
		pthread_setcancelstate(cancel_state, NULL);
		return status;
	}
	pthread_mutex_lock(&storage->writing);
	rc = try_write(storage, &writer->txn);
	if (rc) {
		pthread_mutex_unlock(&storage->writing);
		let_write(storage, cancel_state);
		return lmdb_failed_in(storage, rc);
	}
	if (!storage->is_undumped)
		lmdb_leave_out_of_dumps(storage, writer->txn);
	storage->is_reading = true;
	storage->cancel_state = cancel_state;
	*txn = writer;
	return 0;
}

int lmdb_begin_read(struct lmdb_storage *storage, void **txn)
{
	return lmdb_reads_alone(storage) ? begin_alone(storage, txn) : begin_read(storage, txn);
}

int lmdb_begin(void *self, bool write, void **txn)
{
	return write ? begin_write(self, txn) : lmdb_begin_read(self, txn);
}

void lmdb_abort(void *self, void *txn)
{
	struct lmdb_storage *storage = self;
	struct lmdb_txn *ending = txn;
	MDB_txn *inner = ending->txn;
	bool was_reading;
	int cancel_state;

	if (ending->write) {
		was_reading = storage->is_reading;
		cancel_state = storage->cancel_state;
		ending->txn = NULL;
		storage->is_reading = false;
		mdb_txn_abort(inner);
		pthread_mutex_unlock(&storage->writing);
		if (was_reading)
			let_write(storage, cancel_state);
		return;
	}
	ending->cursor_renewed = false;
	if (ending->keeps) {
		mdb_txn_reset(inner);
		atomic_store_explicit(&ending->taken, false, memory_order_release);
		return;
	}
	end_reader(ending);
	give_back(storage, ending);
}

/* After the first commit to a new file: now there is a record. */
__attribute__((cold, noinline)) void lmdb_undump(struct lmdb_storage *storage)
{
	void *txn;

	if (lmdb_reads_alone(storage) || begin_read(storage, &txn) != 0)
		return;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what begin_read() answers says it */
	lmdb_leave_out_of_dumps(storage, ((struct lmdb_txn *)txn)->txn);
	lmdb_abort(storage, txn);
}
