/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage over LMDB: one unnamed database, no MDB_WRITEMAP (a full disk would be SIGBUS), no
 * MDB_NOLOCK, and a map so large that it is never changed. This is the only file that includes
 * lmdb.h.
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
 * readers of the pool, as any reader takes one: that costs readers nothing. Whoever finds the pool
 * taken comes to the gate. Read txns beyond the pool are counted under it, and so is a copy, which
 * LMDB reads by itself. The read txn under which all pages are checked holds a slot for long and
 * never touches the map: it is left alone, and passes the gate to end. Nobody waits for ever: a
 * thread that cannot be alone in time lets all go again, and its call fails with BE_MAP_FULL. So
 * a thread that has a read txn open and begins another one cannot lock up the process.
 *
 * Opening and closing. A flock() on data.mdb, of which LMDB knows nothing, is held over both:
 *
 *   shared  by one who opens what somebody has open, so that a crowd opens at once;
 *   alone   by one who opens what nobody has open, since LMDB then writes the first pages of
 *           data.mdb and lock.mdb, and when that fails destroys the mutexes in lock.mdb, for which
 *           others would be waiting;
 *   alone   by one who closes: LMDB 0.9.26 to 0.9.31 destroys those mutexes when it finds itself
 *           alone with lock.mdb, and then nobody may be waiting for them. (It is a lock on
 *           data.mdb, since each opener can take it alone, those who may only read it among them.)
 *
 * lock.mdb is opened by this file before LMDB opens it, and closed after LMDB has closed it:
 * closing any descriptor of it sooner would drop LMDB's locks.
 *
 * Pid namespaces. Processes of several may share an environment: reader_number.h says how LMDB
 * tells them apart, and table_lock.h under which lock LMDB locks its reader table. The order is
 * `writing`, then that one.
 *
 * LMDB opens its files by name, and follows links. Where other users may write the directory, it is
 * therefore given one of our own that holds two links to the descriptors of what was looked at
 * (base/shared_file.h), so that it opens these and nothing else, whatever becomes of the names.
 *
 * Flushing. LMDB flushes nothing (MDB_NOSYNC). A commit is flushed here, once: pages and meta page
 * together. The meta page may reach the disk before the pages that it names, and the machine may
 * go down in between; the next opening then finds the newest txn incomplete, and goes back to the
 * one before (newest.h). That one must be on the disk for it: a txn is not written before the one
 * that it follows was flushed, by whatever process. The word *flushed, which all who write share,
 * is the number of the newest txn that is known to be on the disk. It is read and written inside a
 * write txn, or while the lock that all write txns are made under is held (group.h). Where it is
 * behind, a process died before it had flushed, or a flush failed, of which the system perhaps told
 * another process only: then all that the newest txn changed is written again before it is flushed.
 *
 * LMDB's codes become statuses in failed(), the only place.
 */
#include "storage/lmdb/lmdb.h"

#include "base/descriptor.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/shared_file.h"
#include "base/thread_local.h"
#include "storage/backend.h"
#include "storage/lmdb/newest.h"
#include "storage/lmdb/preflight.h"
#include "storage/lmdb/reader_number.h"
#include "storage/lmdb/table_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define DATA_FILE "data.mdb"
#define LOCK_FILE "lock.mdb"
#define LINKS_SIZE 32
#define POOL 64
/* Slots in the reader table, for all processes. The first opener decides; each takes 64 bytes. */
#define MAX_READERS 4096
/* What LMDB makes of it: two lines of the processor's cache before the slots. */
#define LOCK_FILE_BYTES ((off_t)(MAX_READERS + 2) * 64)
/* Write txns of this process between two looks for dead readers: each look asks the kernel about
 * every process in the table, and a dead reader pins the pages freed since it died. */
#define WRITES_PER_READER_CHECK 1024
/* Where no slot is in a txn, an opening looks for dead readers only when it finds one less than a
 * multiple of so many taken. */
#define SLOTS_PER_READER_CHECK 64
/* A commit that failed with EIO when no more than this was free failed for lack of space. */
#define DISK_FULL_BYTES 65536

/* What begin_reader() answers, beside LMDB's codes, when another process holds the lock on the byte
 * of our number. */
#define NUMBER_IS_TAKEN (-1)

/* How long a thread waits for a slot in the reader table, and to be alone: with a write txn to
 * begin it holds up all other writers, of all processes, meanwhile. */
#define SLOT_PATIENCE_NS INT64_C(5000000000)
#define READ_PATIENCE_NS INT64_C(1000000000)
#define WRITE_PATIENCE_NS INT64_C(50000000)
#define NAP_NS 100000
/* To begin a txn, each with a larger map; and one of so many to get a slot looks for dead
 * readers. */
#define ATTEMPTS 3
#define ATTEMPTS_PER_READER_CHECK 64

#define LOOKS_AT_PAGES 20
/* What is damaged stays so. A meta page that is read just while it is written can be half old and
 * half new. */
#define LOOKS_AT_DAMAGE 3

/* A txn as the interface hands it out. Read txns of the pool that keep their slot keep `txn` and
 * `cursor`, too. */
struct lmdb_txn {
	_Alignas(64) atomic_bool taken;
	bool write;
	bool pooled;
	bool keeps;          /* its slot in the reader table, when the txn ends */
	atomic_bool pins;    /* the txn is there for its slot only, and never touches the map */
	bool cursor_renewed; /* the cursor is of this read txn, not of one before */
	MDB_txn *txn;
	MDB_cursor *cursor;
	/* The range of the map that this txn has walked over; NULL: it has not walked. */
	const char *lowest;
	const char *highest;
};

struct lmdb_storage {
	struct lmdb_txn readers[POOL];
	struct lmdb_txn writer;
	struct be_storage interface;
	struct lmdb_storage *next_abandoned;
	MDB_env *env;
	MDB_dbi dbi;
	uint32_t page_size;
	struct descriptor data; /* of data.mdb; for the lock on it, and to be opened by LMDB */
	struct table_lock table;
	int32_t number; /* by which the reader table knows this process; 0: its pid */
	bool read_only;
	bool sync;                 /* commits are flushed */
	_Atomic uint64_t *flushed; /* where all who write share it, or the next one */
	_Atomic uint64_t own_flushed;
	const struct vouching *vouching;
	bool went_back;          /* when it was opened */
	bool is_lost;            /* the map: under `gate` or `writing` */
	atomic_bool is_undumped; /* the map is left out of core dumps */
	atomic_uint kept;        /* readers of the pool that keep their slot */
	atomic_uint loose;       /* read txns beyond the pool; raised under `gate` */
	pthread_mutex_t writing;
	pthread_mutex_t gate;
	atomic_uint writes;       /* begun by this process */
	atomic_bool expects_dead; /* a writer may have died since the last write txn */
	int stale_readers;        /* cleared when it was opened */
	char path[];
};

/* Storages of a parent process. They are reachable from here so that they do not count as leaks. */
static _Atomic(struct lmdb_storage *) abandoned;

static atomic_uint threads_seen;
/* One more than an index into `readers`; 0: none yet. */
static THREAD_LOCAL_FAST unsigned favourite;

/* ------------------------------------------------------------------ errors */

static bool may(const char *path, int access_mode)
{
	return faccessat(AT_FDCWD, path, access_mode, AT_EACCESS) == 0;
}

/* Says which permission on which file is missing; false when none is. */
static bool say_missing_permission(const char *path, bool read_only)
{
	static const struct {
		const char *name;
		int needed;
		const char *text;
	} files[] = {
		{DATA_FILE, R_OK, "read permission on it is missing"},
		{DATA_FILE, W_OK, "write permission on it is missing"},
		{LOCK_FILE, R_OK | W_OK,
		 "read and write permission on it are needed, even to read only"},
	};
	char file[PATH_MAX];

	if (!may(path, X_OK)) {
		error_write("%s: search (x) permission on the directory is missing", path);
		return true;
	}
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		if (read_only && files[i].needed == W_OK)
			continue;
		snprintf(file, sizeof file, "%s/%s", path, files[i].name);
		if (may(file, files[i].needed))
			continue;
		if (may(file, F_OK))
			error_write("%s: %s", file, files[i].text);
		else if (!may(path, W_OK))
			error_write("%s: write permission on the directory is missing, and %s has "
				    "to be made",
				    path, files[i].name);
		else
			continue;
		return true;
	}
	return false;
}

/* For what shared_file_open() answered: its text, unless a permission is missing. */
static enum be_status explain(enum be_status status, const char *path, bool read_only)
{
	if (status == BE_PERMISSION)
		(void)say_missing_permission(path, read_only);
	return status;
}

/* A failed write: LMDB says EIO for a short one, and that is what a full disk gives. */
static enum be_status io_failed(const char *path)
{
	struct statvfs space;

	if (statvfs(path, &space) == 0 &&
	    (unsigned long long)space.f_bavail * space.f_frsize < DISK_FULL_BYTES)
		return error_set(BE_DISK_FULL, "%s: no space left; make some and call again", path);
	return error_errno(BE_IO_ERROR, EIO, "%s: reading or writing failed", path);
}

/* The status and text for a code of LMDB's, which may be an errno. */
static __attribute__((cold)) enum be_status failed(const char *path, bool read_only, int code)
{
	switch (code) {
	case MDB_MAP_FULL:
		return error_set(BE_MAP_FULL,
				 "%s: the environment has reached its map_size; open it with a "
				 "larger one in all processes",
				 path);
	case MDB_MAP_RESIZED:
		return error_set(
			BE_MAP_FULL,
			"%s: the data has outgrown this process's map_size, and the larger "
			"one of others cannot be taken over while a backup or a verify "
			"of this process reads; call again when that is over",
			path);
	case MDB_READERS_FULL:
		return error_set(BE_TOO_MANY_PROCESSES,
				 "%s: all reader slots are kept by live processes, one each at "
				 "least; run fewer of them",
				 path);
	case MDB_PANIC:
		return error_set(BE_MUST_REOPEN,
				 "%s: writing a meta page failed, or a thread ended inside a write "
				 "txn; the files are sound, but this process must close all its "
				 "handles on them and open them again",
				 path);
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
		return error_set(BE_DAMAGED, "%s: data.mdb is damaged (%s); restore a backup", path,
				 mdb_strerror(code));
	case MDB_VERSION_MISMATCH:
		return error_set(BE_NEWER_FORMAT,
				 "%s: data.mdb or lock.mdb is of another version of LMDB than "
				 "%s",
				 path, mdb_version(NULL, NULL, NULL));
	case MDB_INVALID:
		return error_set(BE_NOT_AN_ENVIRONMENT,
				 "%s: data.mdb or lock.mdb is not a file of LMDB's", path);
	case NUMBER_IS_TAKEN:
		return error_set(BE_OTHER_PID_NAMESPACE,
				 "%s: a live process in another pid namespace (container) has our "
				 "pid, and of %s this library does not know how to tell the two "
				 "apart: use liblmdb 0.9, or share the pid namespace",
				 path, mdb_version(NULL, NULL, NULL));
	case EAGAIN: /* of mmap() */
		return error_set(
			BE_NO_MEMORY,
			"%s: this process locks its memory (mlockall), and may not lock as "
			"much as map_size: lower that, or raise ulimit -l",
			path);
	case EACCES:
	case EPERM:
		if (say_missing_permission(path, read_only))
			return BE_PERMISSION;
		return error_set(BE_PERMISSION,
				 "%s: the system does not permit this access to data.mdb or "
				 "lock.mdb",
				 path);
	case EIO:
		return io_failed(path);
	case ENOMEM:
		return error_set(BE_NO_MEMORY,
				 "%s: out of memory, or of address space for map_size", path);
	default:
		if (code > 0)
			return error_errno(error_from_errno(code), code, "%s", path);
		return error_set(BE_IO_ERROR, "%s: %s", path, mdb_strerror(code));
	}
}

static int storage_failed(const struct lmdb_storage *storage, int code)
{
	return failed(storage->path, storage->read_only, code);
}

static enum be_status name_file(const char *path, const char *name, char file[PATH_MAX])
{
	if (snprintf(file, PATH_MAX, "%s/%s", path, name) >= PATH_MAX)
		return error_errno(BE_INVALID_ARGUMENT, ENAMETOOLONG, "%s", path);
	return BE_OK;
}

/* ---------------------------------------------------------------- begin, end */

/* Begins a read txn with a new slot in the reader table. */
static int begin_reader(struct lmdb_storage *storage, MDB_txn **txn)
{
	int rc;

	table_lock_take(&storage->table);
	rc = mdb_txn_begin(storage->env, NULL, MDB_RDONLY, txn);
	table_lock_drop(&storage->table);
	return rc == EAGAIN ? NUMBER_IS_TAKEN : rc;
}

/* Frees the slots of dead readers; *freed (may be NULL) is how many. */
static int check_readers(struct lmdb_storage *storage, int *freed)
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
static bool nap(int64_t until_ns)
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
			(void)check_readers(storage, NULL);
		else if (!nap(until_ns))
			break;
		rc = begin_reader(storage, &(*reader)->txn);
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
	rc = begin_reader(storage, &(*reader)->txn);
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

/* ---- being alone, for a new map */

static bool lock_until(pthread_mutex_t *mutex, int64_t until_ns)
{
	while (pthread_mutex_trylock(mutex) != 0)
		if (!nap(until_ns))
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
			if (!nap(until_ns)) {
				let_in(storage, i);
				return false;
			}
	while (atomic_load_explicit(&storage->loose, memory_order_acquire) > 0)
		if (!nap(until_ns)) {
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

/* Maps the file anew, with the size that the others use. The caller holds `writing`. */
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
static __attribute__((noinline)) void leave_out_of_dumps(struct lmdb_storage *storage, MDB_txn *txn)
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
		page -= header.number * stat.ms_psize;
		storage->is_undumped = madvise(page, about.me_mapsize, MADV_DONTDUMP) == 0;
	}
	mdb_cursor_close(cursor);
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
			leave_out_of_dumps(storage, reader->txn);
	}
	pthread_setcancelstate(cancel_state, NULL);
	if (rc)
		return storage_failed(storage, rc);
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

	if (mdb_env_info(storage->env, &about) ||
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
		(void)check_readers(storage, NULL);
	pthread_mutex_lock(&storage->writing);
	rc = try_write(storage, &writer->txn);
	if (rc) {
		pthread_mutex_unlock(&storage->writing);
		return storage_failed(storage, rc);
	}
	*txn = writer;
	return 0;
}

static int lmdb_begin(void *self, bool write, void **txn)
{
	return write ? begin_write(self, txn) : begin_read(self, txn);
}

static void lmdb_abort(void *self, void *txn);

/* After the first commit to a new file: now there is a record. */
static __attribute__((cold, noinline)) void undump(struct lmdb_storage *storage)
{
	void *txn;

	if (begin_read(storage, &txn) != 0)
		return;
	leave_out_of_dumps(storage, ((struct lmdb_txn *)txn)->txn);
	lmdb_abort(storage, txn);
}

/* Does LMDB refuse all further work in this process? */
static bool is_poisoned(struct lmdb_storage *storage)
{
	MDB_txn *txn;
	int rc = begin_reader(storage, &txn);

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
	return storage_failed(storage, rc);
}

/* ---- flushing */

static int flush_file(const struct lmdb_storage *storage)
{
	int rc;

	do
		rc = fdatasync(storage->data.fd) < 0 ? errno : 0;
	while (rc == EINTR);
	return rc;
}

/* Writes again what txn `newest` changed, and flushes. A flush that failed may have let the system
 * forget which pages are not on the disk, and the next one then succeeds without them. */
static __attribute__((cold, noinline)) enum be_status flush_anew(struct lmdb_storage *storage,
								 uint64_t newest)
{
	char data[PATH_MAX];
	enum be_status status = name_file(storage->path, DATA_FILE, data);
	int rc;

	if (status == BE_OK && storage->vouching && newest > 0)
		status = preflight_rewrite(data, storage->data.fd, newest, storage->vouching);
	if (status != BE_OK)
		return status;
	rc = flush_file(storage);
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
	return flush_anew(storage, id - 1);
}

/* Flushes txn `id`, which was written just now. */
static enum be_status flush_written(struct lmdb_storage *storage, uint64_t id)
{
	int rc = flush_file(storage);

	if (rc == 0) {
		atomic_store(storage->flushed, id);
		return BE_OK;
	}
	if (flush_anew(storage, id) == BE_OK) {
		error_clear();
		return BE_OK;
	}
	return error_errno(BE_UNKNOWN_OUTCOME, rc,
			   "%s: flushing " DATA_FILE " failed: whether what was to be done is kept "
			   "is not known before the disk works again; look it up then",
			   storage->path);
}

/* The newest txn, for who holds the writer's lock. */
static uint64_t newest_txn(struct lmdb_storage *storage)
{
	MDB_envinfo about;

	return mdb_env_info(storage->env, &about) == 0 ? about.me_last_txnid : 0;
}

static int lmdb_commit(void *self, void *txn)
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
		else if (storage->sync && newest_txn(storage) == id)
			rc = flush_written(storage, id);
	}
	pthread_mutex_unlock(&storage->writing);
	if (__builtin_expect(!storage->is_undumped && rc == 0, 0))
		undump(storage);
	return rc;
}

static void lmdb_abort(void *self, void *txn)
{
	struct lmdb_storage *storage = self;
	struct lmdb_txn *ending = txn;
	MDB_txn *inner = ending->txn;

	if (ending->write) {
		ending->txn = NULL;
		mdb_txn_abort(inner);
		pthread_mutex_unlock(&storage->writing);
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

/* ----------------------------------------------------------------- records */

static MDB_val to_val(struct be_bytes bytes)
{
	return (MDB_val){.mv_size = bytes.size, .mv_data = (void *)bytes.data};
}

static struct be_bytes to_bytes(MDB_val val)
{
	return (struct be_bytes){.data = val.mv_data, .size = val.mv_size};
}

static int lmdb_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	struct lmdb_storage *storage = self;
	MDB_val wanted = to_val(key);
	MDB_val found;
	int rc = mdb_get(((struct lmdb_txn *)txn)->txn, storage->dbi, &wanted, &found);

	if (rc == MDB_NOTFOUND)
		return BE_STORAGE_NOT_FOUND;
	if (rc)
		return storage_failed(storage, rc);
	*value = to_bytes(found);
	return 0;
}

static int lmdb_put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	struct lmdb_storage *storage = self;
	MDB_val name = to_val(key);
	MDB_val content = to_val(value);
	int rc = mdb_put(((struct lmdb_txn *)txn)->txn, storage->dbi, &name, &content, 0);

	return rc ? storage_failed(storage, rc) : 0;
}

static int lmdb_del(void *self, void *txn, struct be_bytes key)
{
	struct lmdb_storage *storage = self;
	MDB_val name = to_val(key);
	int rc = mdb_del(((struct lmdb_txn *)txn)->txn, storage->dbi, &name, NULL);

	if (rc == MDB_NOTFOUND)
		return BE_STORAGE_NOT_FOUND;
	return rc ? storage_failed(storage, rc) : 0;
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

static int lmdb_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		     struct be_bytes *value)
{
	struct lmdb_storage *storage = self;
	struct lmdb_txn *inside = txn;
	MDB_val name = to_val(from);
	MDB_val content;
	MDB_cursor *cursor;
	int rc = ready_cursor(storage, inside, &cursor);

	if (rc)
		return storage_failed(storage, rc);
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
		return storage_failed(storage, rc);
	*key = to_bytes(name);
	*value = to_bytes(content);
	note_walk(inside, key->data);
	return 0;
}

static const struct backend operations; /* see the end */

/* ----------------------------------------------------------------- opening */

/* Holds an open file: shared with others that hold it so, or alone. */
static int hold(int fd, int how)
{
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

/* Has any process the files open by way of LMDB? Each holds a lock on the first byte of lock.mdb.
 * This process does not. */
static bool is_in_use(const struct shared_directory *directory)
{
	struct flock held = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	bool in_use;
	int fd;

	if (shared_file_open(directory, LOCK_FILE, SHARED_LOOK, 0, &fd) != BE_OK) {
		error_clear();
		return false;
	}
	in_use = fcntl(fd, F_GETLK, &held) == 0 && held.l_type != F_UNLCK;
	close(fd);
	return in_use;
}

/* Alone if nobody has it open. Of a crowd that waits to be alone, all but the first find that
 * somebody has opened it meanwhile, and go on together. While it is held, nobody closes it. */
static int hold_to_open(int fd, const struct shared_directory *directory)
{
	int rc = hold(fd, is_in_use(directory) ? LOCK_SH : LOCK_EX);

	if (rc == 0 && is_in_use(directory))
		rc = hold(fd, LOCK_SH);
	if (rc == 0 && !is_in_use(directory))
		rc = hold(fd, LOCK_EX);
	return rc;
}

/* Opens data.mdb, made if need be and asked for. No fork comes before the descriptor is noted. */
static enum be_status open_to_hold(const struct lmdb_settings *settings,
				   struct descriptor *descriptor)
{
	enum shared_access access = settings->read_only ? SHARED_LOOK
				    : settings->create  ? SHARED_MAKE
							: SHARED_CHANGE;
	enum be_status status;

	descriptors_hold_forks();
	status = shared_file_open(settings->directory, DATA_FILE, access, settings->mode,
				  &descriptor->fd);
	descriptor_note(descriptor);
	descriptors_let_forks();
	return status;
}

static enum be_status is_missing(const struct shared_directory *directory)
{
	return error_set(BE_NOT_FOUND, "%s/" DATA_FILE ": is missing; there is no environment yet",
			 directory->path);
}

enum be_status lmdb_storage_examine(const struct shared_directory *directory, bool may_be_missing)
{
	char data[PATH_MAX];
	enum be_status status;
	bool exists = false;
	struct descriptor held = {.fd = -1};
	int rc;

	status = preflight_file_system(directory->path);
	if (status == BE_OK)
		status = name_file(directory->path, DATA_FILE, data);
	if (status != BE_OK)
		return status;
	descriptors_hold_forks();
	status = shared_file_open(directory, DATA_FILE, SHARED_LOOK, 0, &held.fd);
	descriptor_note(&held);
	descriptors_let_forks();
	if (status == BE_OK) {
		rc = hold(held.fd, LOCK_SH);
		status = rc ? failed(directory->path, true, rc)
			    : preflight_data_file(data, held.fd, &exists);
	}
	descriptor_close(&held);
	if (status != BE_OK && status != BE_NOT_FOUND)
		return explain(status, directory->path, true);
	error_clear();
	return exists || may_be_missing ? BE_OK : is_missing(directory);
}

/* ---- lock.mdb, and the names that LMDB is given */

/* LMDB writes anew what it finds alone. It may do so with what it has made. */
static bool is_lock_file(int fd)
{
	uint32_t magic = 0;

	return pread(fd, &magic, sizeof magic, 0) >= 0 && (magic == 0 || magic == LMDB_MAGIC);
}

/* With data.mdb held. */
static enum be_status open_or_make_lock_file(const struct lmdb_settings *settings, int *fd)
{
	const struct shared_directory *directory = settings->directory;
	enum be_status status =
		shared_file_open(directory, LOCK_FILE, SHARED_MAKE, settings->mode, fd);

	if (status != BE_OK || is_lock_file(*fd) || is_in_use(directory))
		return status;
	close(*fd);
	unlinkat(directory->fd, LOCK_FILE, 0);
	return shared_file_open(directory, LOCK_FILE, SHARED_NEW, settings->mode, fd);
}

/* Opens lock.mdb, making it where missing. */
static enum be_status open_lock_file(const struct lmdb_settings *settings,
				     struct descriptor *descriptor)
{
	enum be_status status;

	descriptors_hold_forks();
	status = open_or_make_lock_file(settings, &descriptor->fd);
	descriptor_note(descriptor);
	descriptors_let_forks();
	return status;
}

/* Has lock.mdb there with its blocks: LMDB writes to it through a mapping, and a disk too full to
 * take them is reported here rather than by SIGBUS there. */
static enum be_status ready_lock_file(const struct lmdb_settings *settings,
				      struct lmdb_storage *storage)
{
	struct descriptor *lock = &storage->table.file;
	enum be_status status = open_lock_file(settings, lock);

	if (status != BE_OK)
		return explain(status, storage->path, settings->read_only);
	status = shared_file_allocate(settings->directory, LOCK_FILE, lock->fd, LOCK_FILE_BYTES);
	if (status != BE_OK && lseek(lock->fd, 0, SEEK_END) == 0)
		unlinkat(settings->directory->fd, LOCK_FILE, 0);
	return status;
}

/* Reading a hole of a mapped file needs no place on the disk, but for tmpfs, where it is SIGBUS if
 * there is none. LMDB leaves holes, and so does who copies files. */
static enum be_status fill_holes(const struct lmdb_settings *settings, int fd)
{
	struct statfs system;
	struct stat about;

	if (settings->read_only || fstatfs(fd, &system) < 0 || system.f_type != TMPFS_MAGIC ||
	    fstat(fd, &about) < 0)
		return BE_OK;
	return shared_file_allocate(settings->directory, DATA_FILE, fd, about.st_size);
}

/* May somebody else than this process's user and root change the names in the directory? */
static bool is_shared(const struct shared_directory *directory)
{
	struct stat about;

	return fstat(directory->fd, &about) < 0 || (about.st_mode & (S_IWGRP | S_IWOTH)) ||
	       (about.st_uid != geteuid() && about.st_uid != 0);
}

static int link_to(const char *directory, const char *name, int fd)
{
	char from[64], to[32];

	snprintf(from, sizeof from, "%s/%s", directory, name);
	snprintf(to, sizeof to, "/proc/self/fd/%d", fd);
	return symlink(to, from) < 0 ? errno : 0;
}

static void remove_links(const char *directory)
{
	static const char *const names[] = {DATA_FILE, LOCK_FILE};
	char name[64];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(name, sizeof name, "%s/%s", directory, names[i]);
		unlink(name);
	}
	rmdir(directory);
}

/* Makes a directory that only this process's user can change, with LMDB's two names in it. */
static int make_links(const struct lmdb_storage *storage, char made[LINKS_SIZE])
{
	static const char *const places[] = {"/dev/shm/be-open-XXXXXX", "/tmp/be-open-XXXXXX"};
	int rc = ENOENT;

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		strcpy(made, places[i]);
		if (!mkdtemp(made)) {
			rc = errno;
			continue;
		}
		rc = link_to(made, DATA_FILE, storage->data.fd);
		if (rc == 0)
			rc = link_to(made, LOCK_FILE, storage->table.file.fd);
		if (rc == 0)
			return 0;
		remove_links(made);
	}
	return rc;
}

/* See reader_number.h. */
static void put_number(struct lmdb_storage *storage, MDB_env *env)
{
	int major, minor;

	(void)mdb_version(&major, &minor, NULL);
	if (storage->number != 0 &&
	    !reader_number_put(env, major, minor, MAX_READERS, storage->number))
		storage->number = 0;
}

static int open_by_name(const struct lmdb_settings *settings, const char *path,
			struct lmdb_storage *storage)
{
	MDB_env **env = &storage->env;
	unsigned flags = MDB_NOTLS | MDB_NOSYNC | (settings->read_only ? MDB_RDONLY : 0);
	int rc;

	do {
		rc = mdb_env_create(env);
		if (rc)
			return rc;
		rc = mdb_env_set_mapsize(*env, settings->map_size);
		if (rc == 0)
			rc = mdb_env_set_maxreaders(*env, MAX_READERS);
		if (rc == 0) {
			put_number(storage, *env);
			rc = mdb_env_open(*env, path, flags, settings->mode);
		}
		if (rc)
			mdb_env_close(*env);
	} while (rc == EINTR); /* LMDB reports one that it has already dealt with */
	if (rc)
		*env = NULL;
	return rc;
}

/* Are LMDB's files those that were looked at? */
static bool is_the_same(const struct lmdb_storage *storage,
			const struct shared_directory *directory)
{
	struct stat ours, theirs;
	int fd;

	return mdb_env_get_fd(storage->env, &fd) == 0 && fstat(fd, &theirs) == 0 &&
	       fstat(storage->data.fd, &ours) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino &&
	       shared_file_is_named(directory, LOCK_FILE, storage->table.file.fd);
}

static enum be_status open_env(const struct lmdb_settings *settings, struct lmdb_storage *storage)
{
	const struct shared_directory *directory = settings->directory;
	bool by_links = is_shared(directory);
	char links[LINKS_SIZE];
	int rc;

	if (by_links) {
		rc = make_links(storage, links);
		if (rc)
			return error_errno(BE_PERMISSION, rc,
					   "%s: others may write this directory, and to open it "
					   "safely one of our own is needed in /dev/shm or /tmp",
					   directory->path);
	}
	rc = open_by_name(settings, by_links ? links : directory->path, storage);
	if (by_links)
		remove_links(links);
	if (rc)
		return storage_failed(storage, rc);
	if (!is_the_same(storage, directory))
		return error_set(BE_NOT_AN_ENVIRONMENT,
				 "%s: its files were replaced while they were being opened",
				 directory->path);
	return BE_OK;
}

struct reader_list {
	int own;              /* number of this process */
	bool own_seen;        /* in a slot */
	uint64_t count;       /* of slots that are taken */
	uint64_t oldest;      /* txn that is being read; 0: none */
	unsigned long reader; /* number of the process that reads it */
};

/* A line of mdb_reader_list(): number, thread, and txn or "-"; the first one is a heading. */
static int note_reader(const char *line, void *context)
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

/* Begins a read txn in a process that has no slot yet: one that somebody gives back will do. */
static int begin_first(struct lmdb_storage *storage, MDB_txn **txn)
{
	int64_t until_ns = monotonic_ns() + SLOT_PATIENCE_NS;
	unsigned attempts = 0;
	int rc;

	while ((rc = begin_reader(storage, txn)) == MDB_READERS_FULL)
		if (attempts++ % ATTEMPTS_PER_READER_CHECK == 0)
			(void)check_readers(storage, NULL);
		else if (!nap(until_ns))
			break;
	return rc;
}

/* Our number stands in slots of the reader table, or another process has it. One of our own is
 * drawn anew. A pid, where numbers of our own cannot be had, is that of a dead process, as happens
 * when a container starts again. LMDB takes the slots for ours and would never free them, but on
 * closing it clears every slot of our pid below the highest that it has seen, which it learns in a
 * read txn. */
static enum be_status open_anew(const struct lmdb_settings *settings, struct lmdb_storage *storage)
{
	MDB_txn *txn;
	int rc = 0;

	if (storage->number == 0) {
		rc = begin_first(storage, &txn);
		if (rc == 0)
			mdb_txn_abort(txn);
	}
	if (rc == 0)
		rc = hold(storage->data.fd, LOCK_EX);
	if (rc)
		return storage_failed(storage, rc);
	mdb_env_close(storage->env);
	storage->env = NULL;
	if (storage->number != 0)
		storage->number = reader_number_draw();
	return open_env(settings, storage);
}

/* Clears the reader table of the dead as far as it matters now. Who is dead is a question to the
 * kernel about each process in the table, which answers after a walk over the locks of all: a crowd
 * that opens would spend most of its time on it. So it is asked only when some slot is in a txn,
 * and may pin pages; and now and then, lest the slots of those who died outside a txn become so
 * many that each write txn takes longer to look through them. */
static enum be_status clear_table(const struct lmdb_settings *settings,
				  struct lmdb_storage *storage)
{
	struct reader_list list = {.own = storage->number ? storage->number : getpid()};

	enum be_status status = BE_OK;

	if (mdb_reader_list(storage->env, note_reader, &list) < 0)
		return BE_OK;
	if (list.own_seen)
		status = open_anew(settings, storage);
	if (status == BE_OK &&
	    (list.oldest != 0 || list.count % SLOTS_PER_READER_CHECK == SLOTS_PER_READER_CHECK - 1))
		(void)check_readers(storage, &storage->stale_readers);
	return status;
}

/* Begins the first read txn and leaves it in the pool; takes the database's handle in it. */
static int first_read(struct lmdb_storage *storage)
{
	struct lmdb_txn *reader = &storage->readers[0];
	unsigned flags;
	MDB_stat stat;
	int rc = begin_first(storage, &reader->txn);

	if (rc)
		return rc;
	reader->keeps = true;
	atomic_store(&storage->kept, 1);
	rc = mdb_dbi_open(reader->txn, NULL, 0, &storage->dbi);
	if (rc == 0)
		rc = mdb_dbi_flags(reader->txn, storage->dbi, &flags);
	if (rc == 0 && flags != 0)
		rc = MDB_INVALID; /* keys in another order, or several values each: not ours */
	if (rc == 0)
		rc = mdb_stat(reader->txn, storage->dbi, &stat);
	if (rc == 0) {
		storage->page_size = stat.ms_psize;
		leave_out_of_dumps(storage, reader->txn);
	}
	mdb_txn_reset(reader->txn);
	return rc;
}

static enum be_status ready_env(const struct lmdb_settings *settings, struct lmdb_storage *storage)
{
	enum be_status status = clear_table(settings, storage);
	int fd, rc;

	if (status != BE_OK)
		return status;
	rc = mdb_env_get_fd(storage->env, &fd);
	if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		rc = errno;
	if (rc == 0)
		rc = first_read(storage);
	return rc ? (enum be_status)storage_failed(storage, rc) : BE_OK;
}

static enum be_status open_storage(const struct lmdb_settings *settings,
				   struct lmdb_storage *storage)
{
	enum be_status status = open_env(settings, storage);

	if (status == BE_OK)
		status = ready_env(settings, storage);
	for (int i = 0; status == BE_OTHER_PID_NAMESPACE && storage->number != 0 && i < ATTEMPTS;
	     i++) {
		status = open_anew(settings, storage);
		if (status == BE_OK)
			status = ready_env(settings, storage);
	}
	return status;
}

/* Are all pages of the newest txn in the file? A writer may overtake us between the two calls. */
static enum be_status check_pages(struct lmdb_storage *storage, const char *data, int fd)
{
	MDB_txn *txn = storage->readers[0].txn;
	enum be_status status = BE_DAMAGED;
	int rc;

	for (int looks = 0; status == BE_DAMAGED && looks < LOOKS_AT_PAGES; looks++) {
		rc = mdb_txn_renew(txn);
		if (rc)
			return storage_failed(storage, rc);
		status = preflight_pages(data, fd, mdb_txn_id(txn));
		mdb_txn_reset(txn);
	}
	return status;
}

/* A file that was made survives the loss of power once its directory has been flushed, and a
 * directory once the one above it has. One that we may not read was there before us. */
static int sync_directories(const struct shared_directory *directory)
{
	int rc = shared_flush_names(directory->fd, ".");

	if (rc == 0)
		rc = shared_flush_names(directory->fd, "..");
	return rc == EACCES ? 0 : rc;
}

/* So that nothing can have been acknowledged; whoever made the file may have died since. */
static bool nothing_committed(MDB_env *env)
{
	MDB_envinfo information;

	return mdb_env_info(env, &information) == 0 && information.me_last_txnid == 0;
}

static struct lmdb_storage *make_storage(const struct lmdb_settings *settings)
{
	size_t path_size = strlen(settings->directory->path) + 1;
	size_t size = sizeof(struct lmdb_storage) + path_size;
	struct lmdb_storage *storage;

	/* aligned_alloc() wants a multiple of the alignment. */
	size = (size + _Alignof(struct lmdb_storage) - 1) / _Alignof(struct lmdb_storage) *
	       _Alignof(struct lmdb_storage);
	storage = aligned_alloc(_Alignof(struct lmdb_storage), size);
	if (!storage)
		return NULL;
	memset(storage, 0, size);
	for (size_t i = 0; i < POOL; i++)
		storage->readers[i].pooled = true;
	storage->writer.write = true;
	pthread_mutex_init(&storage->writing, NULL);
	pthread_mutex_init(&storage->gate, NULL);
	storage->data.fd = -1;
	table_lock_make(&storage->table);
	storage->number = settings->number != 0 ? settings->number : reader_number_draw();
	storage->expects_dead = true; /* one may have died before this process came */
	storage->interface = (struct be_storage){.ops = &operations.every, .self = storage};
	storage->read_only = settings->read_only;
	storage->sync = settings->sync;
	storage->vouching = settings->vouching;
	storage->own_flushed = settings->known;
	storage->flushed = settings->flushed ? settings->flushed : &storage->own_flushed;
	memcpy(storage->path, settings->directory->path, path_size);
	return storage;
}

/* Alone with data.mdb, so that nobody waits for the mutexes that LMDB may destroy. */
static void close_env(struct lmdb_storage *storage)
{
	for (size_t i = 0; i < POOL; i++) {
		mdb_cursor_close(storage->readers[i].cursor);
		mdb_txn_abort(storage->readers[i].txn);
	}
	if (storage->env)
		(void)hold(storage->data.fd, LOCK_EX);
	mdb_env_close(storage->env);
	storage->env = NULL;
}

static void discard(struct lmdb_storage *storage)
{
	descriptor_close(&storage->table.file);
	descriptor_close(&storage->data);
	free(storage);
}

/* Without locks, as LMDB reads where it cannot write lock.mdb, nobody may read what somebody may be
 * writing: pages change under the reader. Nor does a file system that cannot be written here tell
 * whether it is written elsewhere. */
static enum be_status refuse_read_only_mount(const struct shared_directory *directory)
{
	const char *name = shared_file_exists(directory, LOCK_FILE) ? LOCK_FILE : ".";

	if (faccessat(directory->fd, name, W_OK, AT_EACCESS) == 0 || errno != EROFS)
		return BE_OK;
	return error_set(BE_PERMISSION,
			 "%s/" LOCK_FILE ": has to be written even to read only, and the file "
			 "system is mounted read-only here: mount it without read-only (in a "
			 "container also for one who only looks), or restore a backup of it there",
			 directory->path);
}

/* The first steps with data.mdb held: neither file may be what LMDB would stumble over. */
static enum be_status ready_files(const struct lmdb_settings *settings, const char *data,
				  struct lmdb_storage *storage, bool *exists)
{
	int fd = storage->data.fd;
	enum be_status status = preflight_data_file(data, fd, exists);

	if (status != BE_OK)
		return status;
	if (!*exists && (!settings->create || settings->read_only))
		return is_missing(settings->directory);
	/* LMDB begins anew only with an empty file. */
	if (!*exists && lseek(fd, 0, SEEK_END) > 0 && ftruncate(fd, 0) < 0)
		return error_errno(error_from_errno(errno), errno, "%s", data);
	status = refuse_read_only_mount(settings->directory);
	if (status == BE_OK)
		status = fill_holes(settings, fd);
	if (status == BE_OK)
		status = ready_lock_file(settings, storage);
	return status;
}

/* ---- the newest txn */

/* To go back, also for one who only reads. */
static enum be_status drop_newest(const struct lmdb_settings *settings, const char *data)
{
	enum be_status status;
	int fd;

	status = shared_file_open(settings->directory, DATA_FILE, SHARED_CHANGE, 0, &fd);
	if (status == BE_PERMISSION)
		return error_set(status,
				 "%s: the machine went down in the middle of a txn, which must be "
				 "dropped: write permission is needed for that once",
				 data);
	if (status != BE_OK)
		return status;
	status = preflight_go_back(data, fd);
	close(fd);
	return status;
}

/* Nobody has the environment open. What is known to be flushed is whole. Else the newest txn must
 * prove that it is; if the machine may have gone down since it was written, one that cannot is
 * dropped, and nobody was told of it. */
static enum be_status settle_newest(const struct lmdb_settings *settings, const char *data,
				    struct lmdb_storage *storage)
{
	uint64_t known = atomic_load(storage->flushed), newest;
	enum be_status status;
	bool may_go_back = settings->may_go_back;
	int rc;

	/* As long as the machine is up, all that was written is there to be read. */
	if (!settings->vouching || (settings->read_only && !may_go_back))
		return BE_OK;
	status = preflight_newest(data, storage->data.fd, known, settings->vouching, &newest,
				  &may_go_back);
	/* What does not hold together then has another reason, which be_verify() can tell. */
	if (status == BE_DAMAGED && !settings->may_go_back) {
		error_clear();
		rc = flush_file(storage);
		atomic_store(storage->flushed, rc ? 0 : newest);
		return rc ? (enum be_status)storage_failed(storage, rc) : BE_OK;
	}
	if (status == BE_DAMAGED && may_go_back) {
		error_clear();
		status = drop_newest(settings, data);
		storage->went_back = status == BE_OK;
		newest--;
	}
	if (status != BE_OK || settings->read_only || newest == known)
		return status;
	return flush_anew(storage, newest);
}

/* What is done while data.mdb is held. */
static enum be_status open_held(const struct lmdb_settings *settings, const char *data,
				struct lmdb_storage *storage)
{
	int fd = storage->data.fd;
	bool exists;
	enum be_status status = ready_files(settings, data, storage, &exists);
	int rc;

	if (status == BE_OK && exists && !is_in_use(settings->directory))
		status = settle_newest(settings, data, storage);
	if (status == BE_OK && exists)
		status = preflight_roots(data, fd);
	if (status != BE_OK)
		return status;
	status = open_storage(settings, storage);
	if (status == BE_OK && nothing_committed(storage->env)) {
		rc = settings->read_only ? 0 : flush_file(storage);
		if (rc == 0)
			rc = sync_directories(settings->directory);
		if (rc)
			status = (enum be_status)storage_failed(storage, rc);
	}
	if (status == BE_OK)
		status = check_pages(storage, data, fd);
	if (status == BE_OK)
		return BE_OK;
	close_env(storage);
	/* A file that LMDB began and could not finish would count as damaged. */
	if (!exists && ftruncate(fd, 0) < 0)
		return error_errno(status, errno, "%s: is incomplete; remove it", data);
	return status;
}

static enum be_status open_in(const struct lmdb_settings *settings, struct lmdb_storage **storage)
{
	struct lmdb_storage *made;
	char data[PATH_MAX];
	enum be_status status;
	int rc;

	status = preflight_file_system(settings->directory->path);
	if (status == BE_OK)
		status = name_file(settings->directory->path, DATA_FILE, data);
	if (status)
		return status;
	made = make_storage(settings);
	if (!made)
		return failed(settings->directory->path, settings->read_only, ENOMEM);
	status = open_to_hold(settings, &made->data);
	if (status == BE_NOT_FOUND)
		status = is_missing(settings->directory);
	status = explain(status, settings->directory->path, settings->read_only);
	if (status == BE_OK) {
		rc = hold_to_open(made->data.fd, settings->directory);
		status = rc ? (enum be_status)storage_failed(made, rc)
			    : open_held(settings, data, made);
	}
	if (status) {
		discard(made);
		return status;
	}
	(void)hold(made->data.fd, LOCK_UN);
	*storage = made;
	return BE_OK;
}

enum be_status lmdb_storage_open(const struct lmdb_settings *settings,
				 struct lmdb_storage **storage)
{
	struct lmdb_settings found = *settings;
	struct shared_directory *opened = NULL;
	enum be_status status = BE_OK;

	*storage = NULL;
	if (!found.directory) {
		status = shared_directory_open(settings->path, &opened);
		found.directory = opened;
	}
	if (status == BE_OK)
		status = open_in(&found, storage);
	shared_directory_close(opened);
	return status;
}

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
		return (enum be_status)storage_failed(storage, errno);
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
	uint64_t newest = newest_txn(storage);
	int rc = flush_file(storage);

	if (rc)
		return (enum be_status)storage_failed(storage, rc);
	atomic_store(storage->flushed, newest);
	return BE_OK;
}

void lmdb_storage_close(struct lmdb_storage *storage)
{
	close_env(storage);
	discard(storage);
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
	int rc = check_readers(storage, &count);

	if (freed)
		*freed = rc ? 0 : count;
	return rc ? (enum be_status)storage_failed(storage, rc) : BE_OK;
}

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

static enum be_status lmdb_copy(void *self, int fd, bool *interrupted)
{
	struct lmdb_storage *storage = self;
	int64_t until_ns = monotonic_ns() + SLOT_PATIENCE_NS;
	void *txn;
	int rc;

	*interrupted = false;
	/* LMDB begins the read txn itself, and writes nothing when it cannot. One of ours sees to
	 * the map. */
	while (((rc = copy(storage, fd)) == MDB_MAP_RESIZED || rc == MDB_READERS_FULL) &&
	       nap(until_ns)) {
		if (rc == MDB_READERS_FULL)
			continue;
		rc = begin_read(storage, &txn);
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
	return rc ? (enum be_status)storage_failed(storage, rc) : BE_OK;
}

/* ----------------------------------------------------------------- figures */

/* Both ends are within the map, which is one mapping, and stays where it is as long as the txn is
 * open. This process never writes through it, so between them nothing can be lost. */
static void lmdb_let_go(void *txn)
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

/* The pid of the process that has this number, as it is seen from here; 0: it cannot be seen, or
 * does not live. */
static uint32_t pid_of_reader(struct lmdb_storage *storage, unsigned long number)
{
	struct flock held = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};

	if (storage->number == 0 || number == (unsigned long)storage->number)
		return (uint32_t)(storage->number == 0 ? number : (unsigned long)getpid());
	if (fcntl(storage->table.file.fd, F_GETLK, &held) < 0 || held.l_type == F_UNLCK ||
	    held.l_pid < 0)
		return 0;
	return (uint32_t)held.l_pid;
}

static uint32_t lmdb_pid_seen(void *self, int32_t number)
{
	struct lmdb_storage *storage = self;

	return storage->number != 0 ? pid_of_reader(storage, (unsigned long)number) : 0;
}

static void lmdb_expect_dead(void *self)
{
	atomic_store(&((struct lmdb_storage *)self)->expects_dead, true);
}

static enum be_status lmdb_measure(void *self, struct backend_figures *figures)
{
	struct lmdb_storage *storage = self;
	struct reader_list list = {0};
	MDB_envinfo information;
	int stale = 0;
	void *txn;
	int rc;

	memset(figures, 0, sizeof *figures);
	(void)check_readers(storage, &stale);
	/* Not in a read txn of our own, which would count. */
	rc = mdb_reader_list(storage->env, note_reader, &list);
	if (rc < 0)
		return storage_failed(storage, rc);
	rc = begin_read(storage, &txn);
	if (rc)
		return (enum be_status)rc;
	rc = mdb_env_info(storage->env, &information);
	if (rc == 0)
		rc = measure_pages(storage, ((struct lmdb_txn *)txn)->txn, figures);
	lmdb_abort(storage, txn);
	if (rc)
		return storage_failed(storage, rc);
	figures->went_back = storage->went_back;
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

static enum be_status lmdb_check(void *self)
{
	struct lmdb_storage *storage = self;
	char data[PATH_MAX];
	enum be_status status = name_file(storage->path, DATA_FILE, data);
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
		return storage_failed(storage, rc);
	for (int looks = 0; looks < LOOKS_AT_PAGES; looks++) {
		rc = begin_read(storage, &txn);
		if (rc)
			return (enum be_status)rc;
		reader = txn;
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): rc says it */
		reader->pins = reader->pooled;
		status = preflight_all_pages(data, fd, mdb_txn_id(reader->txn), &outdated);
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

static const struct backend operations = {
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
