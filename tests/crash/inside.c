/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See inside.h. The library and LMDB find these functions before LMDB's and the C library's own,
 * because those of the program come first. One thread of a process writes at a time, so one pointer
 * to its txn is enough.
 */
/* The names without 64 are wanted, too: LMDB uses those. */
#undef _FILE_OFFSET_BITS
#include "inside.h"

#include "support.h"

#include <dlfcn.h>
#include <lmdb.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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

/* ---- the disk */

static void disk_begins(void)
{
	if (inside != NULL)
		atomic_store(&inside->disk_since_ns, test_monotonic_ns());
}

static long disk_ends(long rc)
{
	if (inside != NULL)
		inside_died(inside);
	return rc;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	disk_begins();
	return disk_ends(syscall(SYS_pwrite64, fd, bytes, size, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
	return pwrite(fd, bytes, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	disk_begins();
	return disk_ends(syscall(SYS_writev, fd, parts, count));
}

int fdatasync(int fd)
{
	disk_begins();
	return (int)disk_ends(syscall(SYS_fdatasync, fd));
}

int64_t inside_disk_ns(struct inside *process)
{
	int64_t since_ns = atomic_load(&process->disk_since_ns);

	return atomic_load(&process->disk_ns) +
	       (since_ns == 0 ? 0 : test_monotonic_ns() - since_ns);
}

void inside_died(struct inside *process)
{
	atomic_store(&process->disk_ns, inside_disk_ns(process));
	atomic_store(&process->disk_since_ns, 0);
}
