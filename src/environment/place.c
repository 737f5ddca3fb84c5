/* SPDX-License-Identifier: Apache-2.0 */
#include "environment/place.h"

#include "base/error.h"
#include "base/shared_file.h"
#include "executor/group.h"
#include "storage/lmdb/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_DIRECTORY "budget-enforcer"

/* The directory of all places: of our own choice it lies in the one that the system makes for the
 * user. False: there is none. */
static bool find_top(char path[PATH_MAX], bool *is_wanted)
{
	const char *chosen = secure_getenv("BUDGET_ENFORCER_RUNTIME_DIR");
	const char *system = secure_getenv("XDG_RUNTIME_DIR");
	char user[32];
	int size;

	*is_wanted = chosen && *chosen;
	if (chosen && !*chosen)
		return false;
	snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
	if (!system || *system != '/')
		system = user;
	if (chosen)
		size = snprintf(path, PATH_MAX, "%s", chosen);
	else
		size = snprintf(path, PATH_MAX, "%s/" OWN_DIRECTORY, system);
	return size > 0 && size < PATH_MAX - 32;
}

/* Versions of the library whose files are not alike do not meet. */
static uint64_t sum_of(const char *where, const struct header *header)
{
	char text[1024];
	int size = snprintf(text, sizeof text, "%s %lld %llx", where, (long long)header->created_ns,
			    (unsigned long long)group_layout());

	if (size < 0 || (size_t)size >= sizeof text)
		return 0;
	return record_sum((struct be_bytes){text, (size_t)size});
}

static enum be_status make_directory(const char *path)
{
	struct stat about;

	if (mkdir(path, 0700) == 0 || errno == EEXIST) {
		if (lstat(path, &about) != 0)
			return error_path(errno, path);
		if (S_ISDIR(about.st_mode))
			return BE_OK;
		return error_set(BE_NOT_AN_ENVIRONMENT, "%s is no directory", path);
	}
	return error_path(errno, path);
}

enum be_status place_find(const struct be_storage *storage, const struct header *header, bool make,
			  char path[PATH_MAX], bool *is_wanted)
{
	const struct be_storage_ops *ops = storage->ops;
	const char *where = ops->where && (ops->traits & BE_STORAGE_MAY_DOUBT)
				    ? ops->where(storage->self)
				    : NULL;
	uint64_t sum = where && *where ? sum_of(where, header) : 0;
	enum be_status status;

	*is_wanted = false;
	if (sum == 0 || !find_top(path, is_wanted)) {
		*path = '\0';
		return BE_OK;
	}
	status = make ? make_directory(path) : BE_OK;
	if (status != BE_OK)
		return status;
	snprintf(path + strlen(path), 32, "/%016llx", (unsigned long long)sum);
	if (!make)
		return BE_OK;
	status = make_directory(path);
	return status == BE_OK ? preflight_file_system(path) : status;
}

/* May nobody but this user and root put anything in the place of what is in this directory? With
 * the sticky bit only its owner may remove or rename an entry. */
static bool is_safe_above(const struct stat *about)
{
	if (about->st_uid != 0 && about->st_uid != geteuid())
		return false;
	return (about->st_mode & (S_IWGRP | S_IWOTH)) == 0 || (about->st_mode & S_ISVTX);
}

static enum be_status refuse_above(int fd, const char *path)
{
	char link[32], above[PATH_MAX] = "a directory above it";
	ssize_t size;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	size = readlink(link, above, sizeof above - 1);
	if (size > 0)
		above[size] = '\0';
	return error_set(BE_PERMISSION,
			 "%s: others may put another directory in the place of this runtime "
			 "directory, since %s belongs to them or may be written by them: close it "
			 "to them, or name another in BUDGET_ENFORCER_RUNTIME_DIR",
			 path, above);
}

/* Up to the root, from what was opened: links on the way to it lead nowhere else any more. */
static enum be_status check_above(int fd, struct stat about, const char *path)
{
	enum be_status status = BE_OK;
	bool is_root = false;
	int at = fd;

	while (status == BE_OK && !is_root) {
		struct stat below = about;
		int above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (above < 0 || fstat(above, &about) != 0)
			status = error_path(errno, path);
		is_root =
			above >= 0 && about.st_dev == below.st_dev && about.st_ino == below.st_ino;
		if (status == BE_OK && !is_safe_above(&about))
			status = refuse_above(above, path);
		if (at != fd)
			close(at);
		at = above;
	}
	if (at >= 0 && at != fd)
		close(at);
	return status;
}

enum be_status place_check(const struct shared_directory *directory)
{
	struct stat about;

	if (fstat(directory->fd, &about) != 0)
		return error_path(errno, directory->path);
	if (about.st_uid == geteuid() && (about.st_mode & 077) == 0)
		return check_above(directory->fd, about, directory->path);
	return error_set(BE_PERMISSION,
			 "%s: the runtime directory must be this user's and closed to all others: "
			 "remove it, or name another in BUDGET_ENFORCER_RUNTIME_DIR",
			 directory->path);
}
