/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage over LMDB. lmdb.c is the only source file that includes <lmdb.h>; environment.c is
 * the only one that opens it, once per environment and process.
 */
#ifndef STORAGE_LMDB_H
#define STORAGE_LMDB_H

#include "base/shared_file.h"

#include <budget_enforcer_storage.h>

struct lmdb_storage;
struct shared_directory;
struct stat;

struct lmdb_settings {
	const struct shared_directory *directory;
	const char *path;  /* where none is given: of the directory, which exists */
	bool create;       /* make the files where missing; nothing is made for a reader */
	bool read_only;    /* begin(write) answers BE_READ_ONLY */
	bool sync;         /* flush on commit; false: BE_DURABILITY_PROCESS */
	mode_t mode;       /* of files made, whatever the umask */
	uint64_t map_size; /* bytes; a multiple of the page size */
};

/* Looks at what is there (preflight.h) and changes nothing. That there is nothing yet is
 * BE_NOT_FOUND, or BE_OK if it `may_be_missing`. */
enum be_status lmdb_storage_examine(const struct shared_directory *directory, bool may_be_missing);

/* Looks again, then maps it. */
enum be_status lmdb_storage_open(const struct lmdb_settings *settings,
				 struct lmdb_storage **storage);

/* Its functions, valid until it is closed or abandoned. */
struct be_storage *lmdb_storage_interface(struct lmdb_storage *storage);

/* LMDB's number of a write txn; 0 for one of a storage that is not of this kind. */
uint64_t lmdb_storage_txn_number(const struct be_storage *storage, const void *txn);

/* About its data.mdb: the one that is open, and the one in a directory. */
enum be_status lmdb_storage_stat(struct lmdb_storage *storage, struct stat *about);
bool lmdb_storage_find(const struct shared_directory *directory, struct stat *about);

/* From now on commits survive the death of processes, but not the loss of power. No write txn may
 * be open. */
enum be_status lmdb_storage_stop_flushing(struct lmdb_storage *storage);

/* Flushes what was written without. */
enum be_status lmdb_storage_flush(struct lmdb_storage *storage);

/* No txn may be open, and no thread inside. */
void lmdb_storage_close(struct lmdb_storage *storage);

/* In a fork child, of a storage that the parent opened: frees what is ours and leaves LMDB's state,
 * its mapping and its descriptors alone, since closing them would disturb the parent's locks. */
void lmdb_storage_abandon(struct lmdb_storage *storage);

/* Reads every page of the data file, not by way of LMDB, and checks that all holds together; holds
 * one read txn meanwhile. BE_DAMAGED says in its error text what does not. */
enum be_status lmdb_storage_check(struct lmdb_storage *storage);

/* Writes a compact copy, as of one moment, to a descriptor. Holds one read txn meanwhile. A signal may
 * interrupt it; then it has failed and may be begun anew. */
enum be_status lmdb_storage_copy(struct lmdb_storage *storage, int fd, bool *interrupted);

/* Lets go of the pages that `txn`, a read txn of such a storage, has walked over: they no longer count as
 * memory of this process. They stay in the system's page cache, where who reads one again finds it. */
void lmdb_storage_let_go(void *txn);

/* The figures that only LMDB knows; see struct be_statistics, whose names these are. */
struct lmdb_figures {
	uint64_t file_size;
	uint64_t map_size;
	uint64_t page_size;
	uint64_t pages;
	uint64_t free_pages;
	uint64_t records;
	uint64_t readers;
	uint64_t readers_max;
	uint64_t stale_readers;
	uint64_t reader_lag;
	uint32_t lagging_pid;
};

/* Frees the reader slots of dead processes, then counts. */
enum be_status lmdb_storage_measure(struct lmdb_storage *storage, struct lmdb_figures *figures);

/* Frees the reader slots of dead processes; *freed (may be NULL) is how many. */
enum be_status lmdb_storage_clear_readers(struct lmdb_storage *storage, int *freed);

#endif
