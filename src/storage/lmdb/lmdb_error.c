/* SPDX-License-Identifier: Apache-2.0 */
/* What LMDB and the system say, as statuses and advice. */
#include "storage/lmdb/inside.h"

#include "base/error.h"
#include "base/shared_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A commit that failed with EIO when no more than this was free failed for lack of space. */
#define DISK_FULL_BYTES 65536

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
enum be_status lmdb_explain(enum be_status status, const char *path, bool read_only)
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
__attribute__((cold)) enum be_status lmdb_failed(const char *path, bool read_only, int code)
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
		return error_set(BE_IO_ERROR,
				 "%s: some process holds locks on all of " LOCK_FILE
				 ", which no user of LMDB does; lslocks shows which",
				 path);
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

int lmdb_failed_in(const struct lmdb_storage *storage, int code)
{
	return lmdb_failed(storage->path, storage->read_only, code);
}

enum be_status lmdb_name_file(const char *path, const char *name, char file[PATH_MAX])
{
	if (snprintf(file, PATH_MAX, "%s/%s", path, name) >= PATH_MAX)
		return error_errno(BE_INVALID_ARGUMENT, ENAMETOOLONG, "%s", path);
	return BE_OK;
}
