/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage interface of budget-enforcer, for those who bring their own.
 *
 * WHAT A STORAGE IS
 *
 *   An ordered map from byte strings to byte strings, changed in transactions. It knows nothing of
 *   budgets: the library encodes envelopes, pending commits, transactions and its own header record
 *   into keys and values, checks them when it reads them, and never asks what they mean. To avoid
 *   confusion with the ledger's transactions, those of a storage are called txns.
 *
 *   Keys are 1 to 300 bytes and values 0 to 1500; both may hold any byte. Keys are ordered as
 *   memcmp() orders them, and a key that is a prefix of another comes first.
 *
 * WHAT MUST HOLD
 *
 *   1. Write txns come one after the other, over all threads and processes that share what is
 *      stored. Either begin(write) waits until the one before has ended; or a txn that read what
 *      another has changed since is answered BE_STORAGE_CONFLICT, at its commit at the latest.
 *      The library sees to it that all txns which change something write one record, the header,
 *      and have read it. All that it guarantees about concurrent workers rests on this line.
 *   2. A write txn sees its own changes. They become visible to others all at once when commit
 *      returns 0, and not at all after abort or after a commit that failed.
 *   3. A read txn sees one state of the map, the one at its beginning, or it may exclude write txns
 *      for as long as it lasts (the library keeps read txns short).
 *   4. When commit returns 0, the changes are as durable as this storage promises to be, and so is
 *      all that the txn has read. The commit of a txn that changed nothing should cost next to
 *      nothing.
 *
 *   Threads: begin may be called by any number of threads at once. A txn is used by one thread, the
 *   one that began it. Fork: a child may use the storage only if the storage itself can bear that.
 *
 * RETURN VALUES
 *
 *   0 is success. BE_STORAGE_NOT_FOUND (1) is returned by get, del and next when there is no such
 *   record. Anything negative is an enum be_status from the machine's range, such as BE_IO_ERROR,
 *   BE_DISK_FULL or BE_NO_MEMORY; the library aborts the txn and gives it to its caller. Any other
 *   number counts as BE_STORAGE_FAILED.
 *
 *   BE_STORAGE_CONFLICT (2): nothing was done, since another write txn came in between. Any call
 *   of a write txn, also begin and commit, may return it. The library ends the txn (which begin
 *   and commit have done already), waits for a moment and begins again, some hundred times; only
 *   then it answers BE_CONFLICT. A read txn that cannot go on with its state may return it, too,
 *   which should be rare: a check is made again at once, some times; other reads answer
 *   BE_CONFLICT.
 *
 *   BE_STORAGE_IN_DOUBT (3), of commit only: the changes were sent, and whether they were kept is
 *   not known, because the answer was lost. The next write txn of this storage must tell: it
 *   either sees those changes, or shows, once it is committed with a changed header, that they
 *   never come. If the storage's `traits` have BE_STORAGE_MAY_DOUBT, the library finds out: it
 *   writes the number of its latest txn into each txn that changes something, begins a write txn,
 *   and delivers what it had computed if that number is there, and else does all again. Without
 *   the trait, or when begin fails now, the caller is answered BE_UNKNOWN_OUTCOME. For as long as
 *   a caller can be expected to wait, a storage should try to reach its server before begin
 *   returns BE_UNREACHABLE.
 *
 * A COMPLETE EXAMPLE
 *
 *   The program custom-storage in the source's tests/patterns keeps its records in a file of its
 *   own. src/storage/README.md there is a guide, and tests/storages/conform runs the tests that
 *   every storage has to pass against one of yours.
 */
#ifndef BUDGET_ENFORCER_STORAGE_H
#define BUDGET_ENFORCER_STORAGE_H

#include <budget_enforcer.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define BE_STORAGE_NOT_FOUND 1
#define BE_STORAGE_CONFLICT 2
#define BE_STORAGE_IN_DOUBT 3
#define BE_STORAGE_KEY_MAX 300
#define BE_STORAGE_VALUE_MAX 1500

/* Bytes that belong to somebody else. */
struct be_bytes {
	const void *data;
	size_t size;
};

/* What is true of a storage; bits that this library does not know are not looked at. */
enum be_storage_traits {
	/* commit may return BE_STORAGE_IN_DOUBT, and the library is to find out. It costs one small
	 * record, of which each process that changes something has its own, for an hour after. */
	BE_STORAGE_MAY_DOUBT = 1,
};

/* The functions of a storage. Those up to `next` are all needed. A storage may do without the
 * others by leaving them NULL, or by a smaller `size`, which is how later releases add more: a
 * storage keeps working with later libraries. be_open() copies the table. */
struct be_storage_ops {
	uint32_t size;     /* sizeof(struct be_storage_ops) */
	uint32_t reserved; /* 0 */

	/* Begins a txn and sets *txn, which is passed to the calls below. `write` says which
	 * kind. */
	int (*begin)(void *self, bool write, void **txn);

	/* Ends a write txn and keeps its changes. The txn is gone whatever is returned. */
	int (*commit)(void *self, void *txn);

	/* Ends a txn of either kind and drops its changes. Cannot fail. */
	void (*abort)(void *self, void *txn);

	/* Finds the value of `key`. *value stays valid until the next put, del, commit or abort of
	 * this txn; it is never written to. */
	int (*get)(void *self, void *txn, struct be_bytes key, struct be_bytes *value);

	/* Stores `value` under `key`, in place of what was there. Copies both. */
	int (*put)(void *self, void *txn, struct be_bytes key, struct be_bytes value);

	/* Removes `key`. */
	int (*del)(void *self, void *txn, struct be_bytes key);

	/* Finds the first record whose key is `from` or comes after it. *key and *value are valid
	 * as in get. `from` may be *key of the call before with a zero byte appended: the way to
	 * walk. */
	int (*next)(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		    struct be_bytes *value);

	/* ---- Those below may be NULL. */

	/* Says which keys get is going to be asked for, so that a storage far away can fetch them
	 * in one go: right after begin, and in listings for each page; not binding. The keys are in
	 * no order, each once, and may be there or not. */
	int (*prefetch)(void *self, void *txn, const struct be_bytes *keys, size_t count);

	/* The storage's own time, in nanoseconds since 1970: operations then count as made at that
	 * time, whatever the clock of this machine says, unless be_options.now was given. With
	 * BE_STORAGE_MAY_DOUBT commits have owners, and hosts leases by this time
	 * (be_options.lease_ms). */
	int (*now)(void *self, void *txn, int64_t *now_ns);

	uint64_t traits; /* enum be_storage_traits */

	/* Names what is stored, for other processes of this machine: a text that two storages have
	 * alike only if each sees what is changed through the other, without passwords, which stays
	 * valid as long as the storage. Those of one user then share group commit in front of it
	 * (with BE_STORAGE_MAY_DOUBT, by which they find out what became of each other's txns).
	 * NULL or "": each process works by itself. */
	const char *(*where)(void *self);

	/* Which history the storage is in: a number that is another one after the server was
	 * replaced by a copy, or set back, so that changes which were acknowledged may be missing;
	 * 0: it does not know. Asked in write txns, behind prefetch, which should have brought it.
	 * The header keeps the latest, and when another is found all ids leap far ahead, in the
	 * same txn, so that none is given out twice. That it changes when nothing is missing does
	 * no harm. (What is missing the library finds out itself, with BE_STORAGE_MAY_DOUBT.) */
	int (*history)(void *self, void *txn, uint64_t *history);
};

/* A storage: its functions and what they are passed as `self`. */
struct be_storage {
	const struct be_storage_ops *ops;
	void *self;
};

/* For a storage, in a call that is going to return a fault: sets what be_last_error() says. */
void be_storage_explain(const char *text);

/* Makes a storage in this process's memory: for tests, and for single processes that need nothing
 * kept. All threads of the process may use it; it excludes writers while somebody reads. After a
 * fork each side has a copy of its own. Give it back with be_storage_memory_destroy() once every
 * handle on it is closed. */
BE_MUST_USE enum be_status be_storage_memory_create(struct be_storage **storage);
void be_storage_memory_destroy(struct be_storage *storage);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
