/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage over LMDB. environment/opening.c opens it, once per environment and process;
 * be_restore() opens what it makes.
 */
#ifndef STORAGE_LMDB_H
#define STORAGE_LMDB_H

#include "base/shared_file.h"

#include <budget_enforcer_storage.h>
#include <stdatomic.h>

struct lmdb_storage;
struct shared_directory;
struct stat;
struct vouching;

/* The lock that all write txns are made under (executor/group.h). `lock` may make one itself. */
struct exclusion {
	enum be_status (*lock)(void *context, const struct be_storage *storage);
	void (*unlock)(void *context, enum be_status outcome);
	void *context;
};

struct lmdb_settings {
	const struct shared_directory *directory;
	const char *path; /* where none is given: of the directory, which exists */
	bool create;      /* make the files where missing; nothing is made for a reader */
	bool read_only;   /* begin(write) answers BE_READ_ONLY */
	bool sync;        /* flush on commit; false: BE_DURABILITY_PROCESS */
	/* With sync: where all who write share the number of the newest txn that is known to be
	 * on the disk; 0: none is known to be. NULL: nobody else writes as long as it is open,
	 * and it is `known`. */
	_Atomic uint64_t *flushed;
	uint64_t known;
	/* What the newest txn has to prove itself by when nobody has the files open and it is not
	 * known to be on the disk; NULL: it need not. */
	const struct vouching *vouching;
	bool may_go_back;  /* the machine may have gone down since: the newest may be dropped */
	mode_t mode;       /* of files made, whatever the umask */
	uint64_t map_size; /* bytes; a multiple of the page size */
	int32_t number;    /* for the reader table (reader_number.h); 0: one is drawn */
	/* For a process that reads alone. Without functions: nobody else has it open. */
	struct exclusion exclusion;
};

/* Is the liblmdb one whose reader table cannot be made true for several pid namespaces? A process
 * then excludes all writers while it reads, so that it must not be read-only, and no thread may
 * begin a txn while it reads. */
bool lmdb_storage_reads_alone(void);

/* Looks at what is there (preflight.h) and changes nothing. That there is nothing yet is
 * BE_NOT_FOUND, or BE_OK if it `may_be_missing`. */
enum be_status lmdb_storage_examine(const struct shared_directory *directory, bool may_be_missing);

/* Looks again, then maps it. */
enum be_status lmdb_storage_open(const struct lmdb_settings *settings,
				 struct lmdb_storage **storage);

/* Its functions, valid until it is closed or abandoned; it has all those of storage/backend.h. */
struct be_storage *lmdb_storage_interface(struct lmdb_storage *storage);

/* About its data.mdb: the one that is open, and the one in a directory. */
enum be_status lmdb_storage_stat(struct lmdb_storage *storage, struct stat *about);
bool lmdb_storage_find(const struct shared_directory *directory, struct stat *about);

/* Was the newest txn not whole when it was opened, and dropped? */
bool lmdb_storage_went_back(const struct lmdb_storage *storage);

/* From now on commits survive the death of processes, but not the loss of power. No write txn may
 * be open. */
void lmdb_storage_stop_flushing(struct lmdb_storage *storage);

/* Flushes what was written without. */
enum be_status lmdb_storage_flush(struct lmdb_storage *storage);

/* No txn may be open, and no thread inside. */
void lmdb_storage_close(struct lmdb_storage *storage);

#endif
