/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an environment: who holds data.mdb, lock.mdb before LMDB sees it, and the names that
 * LMDB is given.
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
 * LMDB opens its files by name, and follows links. Where other users may write the directory, it is
 * therefore given one of our own that holds two links to the descriptors of what was looked at
 * (base/shared_file.h), so that it opens these and nothing else, whatever becomes of the names.
 */
#include "storage/lmdb/inside.h"

#include "base/descriptor.h"
#include "base/error.h"
#include "base/shared_file.h"
#include "storage/lmdb/preflight.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Holds an open file: shared with others that hold it so, or alone. */
int lmdb_hold(int fd, int how)
{
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return errno;
	return 0;
}

/* Has any process the files open by way of LMDB? Each holds a lock on the first byte of lock.mdb.
 * This process does not. */
bool lmdb_is_in_use(const struct shared_directory *directory)
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
int lmdb_hold_to_open(int fd, const struct shared_directory *directory)
{
	int rc = lmdb_hold(fd, lmdb_is_in_use(directory) ? LOCK_SH : LOCK_EX);

	if (rc == 0 && lmdb_is_in_use(directory))
		rc = lmdb_hold(fd, LOCK_SH);
	if (rc == 0 && !lmdb_is_in_use(directory))
		rc = lmdb_hold(fd, LOCK_EX);
	return rc;
}

/* Opens data.mdb, made if need be and asked for. No fork comes before the descriptor is noted. */
enum be_status lmdb_open_to_hold(const struct lmdb_settings *settings,
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

enum be_status lmdb_is_missing(const struct shared_directory *directory)
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
		status = lmdb_name_file(directory->path, DATA_FILE, data);
	if (status != BE_OK)
		return status;
	descriptors_hold_forks();
	status = shared_file_open(directory, DATA_FILE, SHARED_LOOK, 0, &held.fd);
	descriptor_note(&held);
	descriptors_let_forks();
	if (status == BE_OK) {
		rc = lmdb_hold(held.fd, LOCK_SH);
		status = rc ? lmdb_failed(directory->path, true, rc)
			    : preflight_data_file(data, held.fd, &exists);
	}
	descriptor_close(&held);
	if (status != BE_OK && status != BE_NOT_FOUND)
		return lmdb_explain(status, directory->path, true);
	error_clear();
	return exists || may_be_missing ? BE_OK : lmdb_is_missing(directory);
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

	if (status != BE_OK || is_lock_file(*fd) || lmdb_is_in_use(directory))
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
enum be_status lmdb_ready_lock_file(const struct lmdb_settings *settings,
				    struct lmdb_storage *storage)
{
	struct descriptor *lock = &storage->table.file;
	enum be_status status = open_lock_file(settings, lock);

	if (status != BE_OK)
		return lmdb_explain(status, storage->path, settings->read_only);
	status = shared_file_allocate(settings->directory, LOCK_FILE, lock->fd, LOCK_FILE_BYTES);
	if (status != BE_OK && lseek(lock->fd, 0, SEEK_END) == 0)
		unlinkat(settings->directory->fd, LOCK_FILE, 0);
	return status;
}

/* Reading a hole of a mapped file needs no place on the disk, but for tmpfs, where it is SIGBUS if
 * there is none. LMDB leaves holes, and so does who copies files. */
enum be_status lmdb_fill_holes(const struct lmdb_settings *settings, int fd)
{
	struct statfs system;
	struct stat about;

	if (settings->read_only || fstatfs(fd, &system) < 0 || system.f_type != TMPFS_MAGIC ||
	    fstat(fd, &about) < 0)
		return BE_OK;
	return shared_file_allocate(settings->directory, DATA_FILE, fd, about.st_size);
}

/* May somebody else than this process's user and root change the names in the directory? */
bool lmdb_is_shared(const struct shared_directory *directory)
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

void lmdb_remove_links(const char *directory)
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
int lmdb_make_links(const struct lmdb_storage *storage, char made[LINKS_SIZE])
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
		lmdb_remove_links(made);
	}
	return rc;
}
