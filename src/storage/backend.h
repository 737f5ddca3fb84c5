/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a storage of the library's own can do beyond the functions that every storage has. Each of
 * these functions is optional: it is NULL where a storage has no such thing, and the caller then
 * does without, or says that it cannot be done.
 *
 * The functions of every storage come first, and are marked by a value of `reserved` that a user's
 * storage may not have. By that mark the library finds the others.
 */
#ifndef STORAGE_BACKEND_H
#define STORAGE_BACKEND_H

#include <budget_enforcer_storage.h>
#include <stddef.h>

#define BACKEND_MARK UINT32_C(0x6b636162) /* "back" */

/* What only the storage knows; see struct be_statistics, whose names these are. */
struct backend_figures {
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
	uint32_t lagging_pid; /* as it is seen from here; 0: nobody, or it cannot be seen */
	bool went_back;       /* this process found the newest txn not whole */
	bool reads_alone;     /* it excludes writers while it reads */
};

struct backend {
	struct be_storage_ops every; /* its `reserved` is BACKEND_MARK */

	/* The storage's number of a write txn, which no other has had. */
	uint64_t (*txn_number)(const void *txn);

	/* Reads all that lies in the files, not by way of txns, and checks that it holds together.
	 * BE_DAMAGED says in its error text what does not. */
	enum be_status (*check)(void *self);

	/* Writes a compact copy, as of one moment, to a descriptor. A signal may interrupt it; then
	 * it has failed and may be begun anew. */
	enum be_status (*copy)(void *self, int fd, bool *interrupted);

	/* Forgets readers that are dead, then counts. */
	enum be_status (*measure)(void *self, struct backend_figures *figures);

	/* Forgets readers that are dead, which keep space from being used again; *freed (may be
	 * NULL) is how many. */
	enum be_status (*clear_readers)(void *self, int *freed);

	/* A writer may have died: the next write txn may have to be begun with care. */
	void (*expect_dead)(void *self);

	/* The pid, as it is seen from this pid namespace, of the live process that was opened with
	 * this number; 0: there is none to be seen. */
	uint32_t (*pid_seen)(void *self, int32_t number);

	/* Lets go of the pages that `txn`, a read txn, has walked over: they no longer count as
	 * memory of this process. They stay in the system's page cache. */
	void (*let_go)(void *txn);

	/* No txn may be open, and no thread inside. */
	void (*close)(void *self);

	/* In a fork child, of a storage that the parent opened: frees what is the child's, and
	 * leaves alone what it shares with the parent, whose locks it would disturb. */
	void (*abandon)(void *self);
};

/* The functions of a storage; all of the optional ones are NULL for a user's. */
static inline const struct backend *backend_of(const struct be_storage *storage)
{
	static const struct backend without;

	return storage->ops->reserved == BACKEND_MARK ? (const struct backend *)storage->ops
						      : &without;
}

#endif
