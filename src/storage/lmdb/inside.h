/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files lmdb*.c share. They are the only ones of the library that include <lmdb.h>.
 */
#ifndef STORAGE_LMDB_INSIDE_H
#define STORAGE_LMDB_INSIDE_H

#include "base/descriptor.h"
#include "storage/backend.h"
#include "storage/lmdb/lmdb.h"
#include "storage/lmdb/table_lock.h"

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define DATA_FILE "data.mdb"
#define LOCK_FILE "lock.mdb"
#define LINKS_SIZE 32
#define POOL 64
/* Slots in the reader table, for all processes. The first opener decides; each takes 64 bytes. */
#define MAX_READERS 4096
/* What LMDB makes of it: two lines of the processor's cache before the slots. */
#define LOCK_FILE_BYTES ((off_t)(MAX_READERS + 2) * 64)
/* What begin_reader() answers, beside LMDB's codes, when another process holds the lock on the byte
 * of our number. */
#define NUMBER_IS_TAKEN (-1)
/* How long a thread waits for a slot in the reader table, and to be alone: with a write txn to
 * begin it holds up all other writers, of all processes, meanwhile. */
#define SLOT_PATIENCE_NS INT64_C(5000000000)
#define NAP_NS 100000
/* To begin a txn, each with a larger map; and one of so many to get a slot looks for dead
 * readers. */
#define ATTEMPTS 3
#define ATTEMPTS_PER_READER_CHECK 64
#define LOOKS_AT_PAGES 20

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
	int32_t number;       /* in the reader table; 0: this process reads alone */
	atomic_bool is_taken; /* another process has the number */
	bool is_reading;      /* alone, in `writer`: under `writing` */
	int cancel_state;
	struct exclusion exclusion;
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

struct reader_list {
	int own;              /* number of this process */
	bool own_seen;        /* in a slot */
	uint64_t count;       /* of slots that are taken */
	uint64_t oldest;      /* txn that is being read; 0: none */
	unsigned long reader; /* number of the process that reads it */
};

extern const struct backend lmdb_operations;

static inline bool lmdb_reads_alone(const struct lmdb_storage *storage)
{
	return storage->number == 0;
}

/* The number of the state that a reader sees. */
static inline uint64_t lmdb_number_of_state(const struct lmdb_txn *reader)
{
	return mdb_txn_id(reader->txn) - reader->write;
}

/* ---- LMDB's codes become statuses here, and nowhere else (lmdb_error.c) */

enum be_status lmdb_explain(enum be_status status, const char *path, bool read_only);
__attribute__((cold)) enum be_status lmdb_failed(const char *path, bool read_only, int code);
int lmdb_failed_in(const struct lmdb_storage *storage, int code);
enum be_status lmdb_name_file(const char *path, const char *name, char file[PATH_MAX]);

/* ---- txns, and slots in the reader table (lmdb_txn.c) */

/* Maps the file anew, with the size that the others use, where no txn is under way. */
int lmdb_map_anew(struct lmdb_storage *storage);
int lmdb_begin_reader(struct lmdb_storage *storage, MDB_txn **txn);
int lmdb_check_readers(struct lmdb_storage *storage, int *freed);
bool lmdb_nap(int64_t until_ns);
int lmdb_note_reader(const char *line, void *context);
__attribute__((noinline)) void lmdb_leave_out_of_dumps(struct lmdb_storage *storage, MDB_txn *txn);
int lmdb_open_database(struct lmdb_storage *storage, MDB_txn *txn);
int lmdb_begin_read(struct lmdb_storage *storage, void **txn);
int lmdb_begin(void *self, bool write, void **txn);
void lmdb_abort(void *self, void *txn);
__attribute__((cold, noinline)) void lmdb_undump(struct lmdb_storage *storage);

/* ---- committing and flushing (lmdb_commit.c) */

int lmdb_flush_file(const struct lmdb_storage *storage);
__attribute__((cold, noinline)) enum be_status lmdb_flush_anew(struct lmdb_storage *storage,
							       uint64_t newest);
uint64_t lmdb_newest_txn(struct lmdb_storage *storage);
int lmdb_commit(void *self, void *txn);

/* ---- records (lmdb_records.c) */

int lmdb_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value);
int lmdb_put(void *self, void *txn, struct be_bytes key, struct be_bytes value);
int lmdb_del(void *self, void *txn, struct be_bytes key);
int lmdb_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
	      struct be_bytes *value);

/* ---- files (lmdb_files.c) */

int lmdb_hold(int fd, int how);
bool lmdb_is_in_use(const struct shared_directory *directory);
int lmdb_hold_to_open(int fd, const struct shared_directory *directory);
enum be_status lmdb_open_to_hold(const struct lmdb_settings *settings,
				 struct descriptor *descriptor);
enum be_status lmdb_is_missing(const struct shared_directory *directory);
enum be_status lmdb_ready_lock_file(const struct lmdb_settings *settings,
				    struct lmdb_storage *storage);
enum be_status lmdb_fill_holes(const struct lmdb_settings *settings, int fd);
bool lmdb_is_shared(const struct shared_directory *directory);
void lmdb_remove_links(const char *directory);
int lmdb_make_links(const struct lmdb_storage *storage, char made[LINKS_SIZE]);

/* ---- opening and closing (lmdb_open.c) */

int lmdb_open_beside(const struct lmdb_storage *storage, MDB_env **env);
void lmdb_close_env(struct lmdb_storage *storage);
void lmdb_discard(struct lmdb_storage *storage);

/* ---- copies, figures, checks (lmdb_figures.c) */

enum be_status lmdb_copy(void *self, int fd, bool *interrupted);
void lmdb_let_go(void *txn);
uint32_t lmdb_pid_seen(void *self, int32_t number);
void lmdb_expect_dead(void *self);
enum be_status lmdb_measure(void *self, struct backend_figures *figures);
enum be_status lmdb_check(void *self);

#endif
