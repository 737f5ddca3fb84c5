/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an environment; shared_file.h says what is expected of them.
 *
 * Each file is looked at twice. If the first look finds no regular file, nothing is opened. If the
 * file has been replaced since by something else, opening it waits for nothing; the second look, by
 * the descriptor, then finds that out and closes it. Only the second look decides.
 */
#include "base/shared_file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* How often to look again at a file that is removed, or made, while it is opened. */
#define LOOKS 64
#define LOOK_PAUSE_NS 1000000L
/* No status: it was made or removed just now, so look again. */
#define LOOK_AGAIN ((enum be_status)1)

_Static_assert(SHARED_PATH_SIZE > 4096, "a path and a name");

/* ---- directories */

static bool is_overlay(int fd)
{
	struct statfs system;

	return fstatfs(fd, &system) == 0 && system.f_type == OVERLAYFS_SUPER_MAGIC;
}

enum be_status shared_directory_open(const char *path, struct shared_directory **directory)
{
	size_t size = strlen(path) + 1;
	struct shared_directory *made = malloc(sizeof *made + size);
	enum be_status status;

	*directory = NULL;
	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	memcpy(made->path, path, size);
	made->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	made->is_layered = made->fd >= 0 && is_overlay(made->fd);
	if (made->fd >= 0) {
		*directory = made;
		return BE_OK;
	}
	if (errno == ENOTDIR)
		status = error_set(BE_NOT_AN_ENVIRONMENT,
				   "%s: an environment is a directory, and this is none", path);
	else
		status = error_path(errno, path);
	free(made);
	return status;
}

void shared_directory_close(struct shared_directory *directory)
{
	if (!directory)
		return;
	close(directory->fd);
	free(directory);
}

int shared_flush(int fd)
{
	int rc;

	do
		rc = fsync(fd);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? errno : 0;
}

int shared_flush_names(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? errno : shared_flush(fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- what a file must be */

const char *shared_file_path(const struct shared_directory *directory, const char *name,
			     char path[SHARED_PATH_SIZE])
{
	snprintf(path, SHARED_PATH_SIZE, "%s/%s", directory->path, name);
	return path;
}

static const char *name_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

static enum be_status judge_kind(const char *path, mode_t mode)
{
	if (S_ISREG(mode))
		return BE_OK;
	if (S_ISLNK(mode))
		return error_set(BE_NOT_AN_ENVIRONMENT,
				 "%s: is a symbolic link, and none is followed here: find out who "
				 "put it there, and remove it",
				 path);
	return error_set(BE_NOT_AN_ENVIRONMENT,
			 "%s: is %s, not a regular file: find out who put it there, and remove it",
			 path, name_kind(mode));
}

static bool owner_is_expected(const struct stat *file, const struct stat *directory)
{
	if (file->st_uid == geteuid() || file->st_uid == directory->st_uid || file->st_uid == 0)
		return true;
	if (directory->st_mode & S_IWGRP && file->st_gid == directory->st_gid &&
	    (file->st_mode & 0060) == 0060)
		return true;
	return directory->st_mode & S_IWOTH && (file->st_mode & 0006) == 0006;
}

/* LOOK_AGAIN when it was removed meanwhile, or is empty and belongs to another user: the process
 * that makes it may be about to give it its mode. */
static enum be_status judge(const struct shared_directory *directory, const char *path, int fd)
{
	struct stat about, parent;
	enum be_status status;

	if (fstat(fd, &about) < 0 || fstat(directory->fd, &parent) < 0)
		return error_errno(BE_IO_ERROR, errno, "%s", path);
	status = judge_kind(path, about.st_mode);
	if (status != BE_OK)
		return status;
	if (about.st_nlink == 0)
		return LOOK_AGAIN;
	if (about.st_nlink > 1)
		return error_set(
			BE_NOT_AN_ENVIRONMENT,
			"%s: has %lu names (hard links), and another of them may be in use "
			"elsewhere: remove the others, or copy the environment with "
			"be_backup()",
			path, (unsigned long)about.st_nlink);
	if (owner_is_expected(&about, &parent))
		return BE_OK;
	error_write("%s: belongs to user %u, and not all who may write the directory may write it: "
		    "give it the directory's group and read and write permission for that, or "
		    "remove it",
		    path, (unsigned)about.st_uid);
	return about.st_size == 0 ? LOOK_AGAIN : BE_NOT_AN_ENVIRONMENT;
}

/* ---- opening */

/* If a group may put files into the directory, it must be able to use this file, too. */
static int give_group(const struct shared_directory *directory, int fd, mode_t mode)
{
	struct stat about, parent;

	if (fstat(fd, &about) < 0 || fstat(directory->fd, &parent) < 0)
		return errno;
	if (about.st_gid == parent.st_gid || !(mode & 0060) || !(parent.st_mode & S_IWGRP))
		return 0;
	return fchown(fd, (uid_t)-1, parent.st_gid) < 0 ? errno : 0;
}

static enum be_status make(const struct shared_directory *directory, const char *name,
			   const char *path, mode_t mode, int *fd)
{
	int rc;

	*fd = openat(directory->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (*fd < 0)
		return errno == EEXIST ? LOOK_AGAIN : error_path(errno, path);
	rc = give_group(directory, *fd, mode);
	if (rc == EPERM)
		error_write("%s: the directory's group cannot be given to it by a user who is not "
			    "of that group: set the directory's setgid bit (chmod g+s)",
			    path);
	else if (rc == 0 && fchmod(*fd, mode) < 0)
		rc = errno;
	if (rc == 0)
		return BE_OK;
	unlinkat(directory->fd, name, 0);
	return rc == EPERM ? BE_PERMISSION : error_path(rc, path);
}

/* Brings a file to the upper layer of an overlay. */
static enum be_status copy_up(const struct shared_directory *directory, const char *name,
			      const char *path)
{
	int fd = openat(directory->fd, name,
			O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0) {
		close(fd);
		return BE_OK;
	}
	if (errno != EACCES && errno != EPERM && errno != EROFS)
		return errno == ENOENT ? LOOK_AGAIN : error_path(errno, path);
	return error_set(
		BE_PERMISSION,
		"%s: is on an overlay file system, as a container's root is, where only "
		"who may write a file can be sure to read the one that others write: use a "
		"directory on a volume, or give write permission",
		path);
}

static enum be_status open_existing(const struct shared_directory *directory, const char *name,
				    const char *path, enum shared_access access, int *fd)
{
	int flags = (access == SHARED_LOOK ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC |
		    O_NONBLOCK | O_NOCTTY;
	enum be_status status = BE_OK;

	if (access == SHARED_LOOK && directory->is_layered)
		status = copy_up(directory, name, path);
	if (status != BE_OK)
		return status;
	*fd = openat(directory->fd, name, flags);
	if (*fd >= 0)
		return judge(directory, path, *fd);
	if (errno == ENOENT)
		return LOOK_AGAIN;
	return errno == ELOOP ? judge_kind(path, S_IFLNK) : error_path(errno, path);
}

/* One look. LOOK_AGAIN with a text, or without one when it has just been made or removed. */
static enum be_status open_once(const struct shared_directory *directory, const char *name,
				const char *path, enum shared_access access, mode_t mode, int *fd)
{
	struct stat about;
	enum be_status status;

	if (fstatat(directory->fd, name, &about, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT && access >= SHARED_MAKE)
			return make(directory, name, path, mode, fd);
		return error_path(errno, path);
	}
	if (access == SHARED_NEW)
		return error_set(BE_ALREADY_THERE, "%s: it exists, and nothing is written over",
				 path);
	status = judge_kind(path, about.st_mode);
	if (status == BE_OK)
		status = open_existing(directory, name, path, access, fd);
	return status == BE_PERMISSION && about.st_size == 0 ? LOOK_AGAIN : status;
}

enum be_status shared_file_open(const struct shared_directory *directory, const char *name,
				enum shared_access access, mode_t mode, int *fd)
{
	static const struct timespec pause = {.tv_nsec = LOOK_PAUSE_NS};
	char path[SHARED_PATH_SIZE];
	enum be_status status = LOOK_AGAIN;

	shared_file_path(directory, name, path);
	error_clear();
	for (int looks = 0; looks < LOOKS && status == LOOK_AGAIN; looks++) {
		if (*be_last_error()) /* its maker may be about to give it its mode */
			nanosleep(&pause, NULL);
		*fd = -1;
		error_clear();
		status = open_once(directory, name, path, access, mode, fd);
		if (status != BE_OK && *fd >= 0)
			close(*fd);
	}
	if (status == BE_OK)
		return BE_OK;
	*fd = -1;
	if (status != LOOK_AGAIN)
		return status;
	/* It stayed as it was: then the text of the last look is true, if there is one. */
	return *be_last_error()
		       ? BE_PERMISSION
		       : error_set(BE_IO_ERROR, "%s: is made and removed all the time", path);
}

bool shared_file_exists(const struct shared_directory *directory, const char *name)
{
	struct stat about;

	return fstatat(directory->fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0;
}

bool shared_file_is_named(const struct shared_directory *directory, const char *name, int fd)
{
	struct stat ours, found;

	return fstat(fd, &ours) == 0 &&
	       fstatat(directory->fd, name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == found.st_dev && ours.st_ino == found.st_ino;
}

bool shared_file_begins(int fd, uint64_t magic)
{
	static const uint64_t version = UINT64_C(0xff) << 56;
	uint64_t first = 0;
	ssize_t got;

	do
		got = pread(fd, &first, sizeof first, 0);
	while (got < 0 && errno == EINTR);
	return got >= 0 && (first == 0 || ((first ^ magic) & ~version) == 0);
}

/* ---- allocating and mapping */

/* For file systems that cannot allocate: writes zeros behind the end, and nothing before the end,
 * since that may be in use. */
static int write_zeros(int fd, off_t from, off_t size)
{
	static const char zeros[4096];

	while (from < size) {
		size_t part =
			size - from < (off_t)sizeof zeros ? (size_t)(size - from) : sizeof zeros;
		ssize_t written = pwrite(fd, zeros, part, from);

		if (written < 0 && errno != EINTR)
			return errno;
		if (written > 0)
			from += written;
	}
	return 0;
}

/* Not posix_fallocate(), which makes up for what is missing by writing zeros where zeros are, and
 * they may have become something else meanwhile. */
static int allocate(int fd, off_t size)
{
	struct stat about;

	if (fstat(fd, &about) < 0)
		return errno;
	if (about.st_size >= size && about.st_blocks >= (size + 511) / 512)
		return 0;
	while (fallocate(fd, 0, 0, size) < 0) {
		if (errno == EOPNOTSUPP || errno == ENOSYS)
			return write_zeros(fd, about.st_size, size);
		if (errno != EINTR)
			return errno;
	}
	return 0;
}

enum be_status shared_file_allocate(const struct shared_directory *directory, const char *name,
				    int fd, off_t size)
{
	char path[SHARED_PATH_SIZE];
	int rc = allocate(fd, size);

	if (rc == 0)
		return BE_OK;
	return error_errno(error_from_errno(rc), rc, "%s: cannot be given its place on the disk",
			   shared_file_path(directory, name, path));
}

enum be_status shared_file_map(const struct shared_directory *directory, const char *name, int fd,
			       size_t size, bool writable, void **map)
{
	char path[SHARED_PATH_SIZE];
	struct stat about;

	shared_file_path(directory, name, path);
	if (fstat(fd, &about) < 0)
		return error_errno(BE_IO_ERROR, errno, "%s", path);
	if (about.st_size < (off_t)size)
		return error_set(BE_DAMAGED, "%s is too short: stop the pool and remove that file",
				 path);
	*map = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (*map == MAP_FAILED)
		return error_errno(error_from_errno(errno), errno, "%s: cannot map it", path);
	/* A process that dumps core inside a write holds up the others: let it be soon over. */
	(void)madvise(*map, size, MADV_DONTDUMP);
	return BE_OK;
}
