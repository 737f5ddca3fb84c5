/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See inside.h. The library and LMDB find these functions before LMDB's and the C library's own,
 * because those of the program come first. One thread of a process writes at a time, so one pointer
 * to its txn is enough.
 */
#include "inside.h"

#include "support.h"

#include <dlfcn.h>
#include <lmdb.h>
#include <string.h>
#include <unistd.h>

struct inside *inside;

static MDB_txn *writing;

/* The linker's answer is an object pointer, which C does not turn into a function. */
static void find_own(const char *name, void *function)
{
	void *found = dlsym(RTLD_NEXT, name);

	EXPECT(found != NULL);
	memcpy(function, &found, sizeof found);
}

static void leave(const MDB_txn *txn)
{
	if (inside == NULL || txn != writing)
		return;
	writing = NULL;
	atomic_store(&inside->in_txn, 0);
}

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn)
{
	static int (*own)(MDB_env *, MDB_txn *, unsigned, MDB_txn **);
	int rc;

	if (own == NULL)
		find_own("mdb_txn_begin", &own);
	rc = own(env, parent, flags, txn);
	if (rc == 0 && (flags & MDB_RDONLY) == 0 && inside != NULL) {
		writing = *txn;
		atomic_store(&inside->in_txn, 1);
	}
	return rc;
}

int mdb_txn_commit(MDB_txn *txn)
{
	static int (*own)(MDB_txn *);
	int rc;

	if (own == NULL)
		find_own("mdb_txn_commit", &own);
	rc = own(txn);
	leave(txn);
	return rc;
}

void mdb_txn_abort(MDB_txn *txn)
{
	static void (*own)(MDB_txn *);

	if (own == NULL)
		find_own("mdb_txn_abort", &own);
	own(txn);
	leave(txn);
}

int fdatasync(int fd)
{
	static int (*own)(int);
	int rc;

	if (own == NULL)
		find_own("fdatasync", &own);
	if (inside == NULL)
		return own(fd);
	atomic_store(&inside->in_txn, 1);
	rc = own(fd);
	atomic_store(&inside->in_txn, 0);
	return rc;
}
