/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be_backup() and be_restore(): an environment as one file, and back.
 *
 * Both give what they make its name when it is whole and flushed: a file that has none until then,
 * or something under another name. Whoever is killed in the middle leaves nothing that looks
 * finished, and nothing that exists is written over.
 */
#include "api/enforcer.h"
#include "base/error.h"
#include "records/ledger.h"
#include "storage/lmdb.h"
#include "storage/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum be_status failed(const char *path)
{
	int code = errno;

	if (code == EEXIST || code == ENOTEMPTY)
		return error_set(BE_ALREADY_THERE,
				 "%s: it exists, and nothing is written over; give another name",
				 path);
	return error_path(code, path);
}

static enum be_status name_beside(char beside[PATH_MAX], const char *path, const char *suffix)
{
	if (snprintf(beside, PATH_MAX, "%s%s", path, suffix) >= PATH_MAX)
		return error_set(BE_INVALID_ARGUMENT, "the path is too long");
	return BE_OK;
}

/* The directory that `path` is in. */
static enum be_status find_directory(char directory[PATH_MAX], const char *path)
{
	char *slash;

	if (strlen(path) >= PATH_MAX)
		return error_set(BE_INVALID_ARGUMENT, "the path is too long");
	strcpy(directory, path);
	slash = strrchr(directory, '/');
	if (!slash)
		strcpy(directory, ".");
	else
		slash[slash == directory ? 1 : 0] = '\0';
	return BE_OK;
}

/* Flushes the directory that `path` is in, so that its name is there after the loss of power. */
static enum be_status flush_directory_of(const char *path)
{
	char directory[PATH_MAX];
	int fd;
	enum be_status status = find_directory(directory, path);

	if (status != BE_OK)
		return status;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed(directory);
	if (fsync(fd) < 0)
		status = failed(directory);
	close(fd);
	return status;
}

/* Gives a file its name, unless something has it. */
static enum be_status publish_file(const char *made, const char *path)
{
	if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) < 0) {
		/* A network file system may know of renames only that write over what is there, and
		 * of links. */
		if (errno != EINVAL || link(made, path) < 0)
			return failed(path);
		unlink(made);
	}
	return flush_directory_of(path);
}

/* The same for a directory: rename() puts it in the place of nothing, or of an empty one. */
static enum be_status publish_directory(const char *made, const char *path)
{
	if (rename(made, path) < 0) {
		if (errno == ENOTDIR)
			errno = EEXIST;
		return failed(path);
	}
	return flush_directory_of(path);
}

/* ---- backup */

/* A file being made. Most file systems make it without a name, so that whoever is killed takes it
 * along; elsewhere it lies beside, under a name of its own. */
struct part {
	int fd;
	bool is_named;
	char path[PATH_MAX]; /* as long as it has no other name */
};

static enum be_status part_make(struct part *part, const char *path)
{
	char directory[PATH_MAX];
	enum be_status status = find_directory(directory, path);

	if (status == BE_OK)
		status = name_beside(part->path, path, ".XXXXXX");
	if (status != BE_OK)
		return status;
	/* It is named through /proc, where that is. */
	part->fd = -1;
	if (access("/proc/self/fd", X_OK) == 0)
		part->fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	part->is_named = part->fd < 0;
	if (part->is_named)
		part->fd = mkostemp(part->path, O_CLOEXEC);
	else
		snprintf(part->path, sizeof part->path, "/proc/self/fd/%d", part->fd);
	return part->fd < 0 ? failed(path) : BE_OK;
}

static enum be_status part_publish(const struct part *part, const char *path)
{
	if (part->is_named)
		return publish_file(part->path, path);
	if (linkat(AT_FDCWD, part->path, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
		return failed(path);
	return flush_directory_of(path);
}

static enum be_status copy_out(struct lmdb_storage *lmdb, const struct part *part, const char *path)
{
	enum be_status status = lmdb_storage_copy(lmdb, part->fd);

	if (status == BE_OK && fsync(part->fd) < 0)
		status = failed(path);
	if (status == BE_OK)
		status = part_publish(part, path);
	if (close(part->fd) < 0 && status == BE_OK)
		status = failed(path);
	if (status != BE_OK && part->is_named)
		unlink(part->path);
	return status;
}

static enum be_status backup(struct environment *environment, const char *path)
{
	struct part part;
	struct stat about;
	enum be_status status;
	int cancel_state;

	if (!environment->lmdb)
		return error_set(BE_INVALID_ARGUMENT,
				 "only an environment in a directory can be backed up");
	if (lstat(path, &about) == 0) {
		errno = EEXIST;
		return failed(path);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = part_make(&part, path);
	if (status == BE_OK)
		status = copy_out(environment->lmdb, &part, path);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

enum be_status be_backup(struct be_enforcer *handle, const char *path)
{
	struct environment *environment;
	enum be_status status;

	error_clear();
	if (!handle || !path)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 handle ? "path" : "handle");
	status = enforcer_environment(handle, &environment);
	if (status == BE_OK)
		status = backup(environment, path);
	return error_default(status);
}

/* ---- restore */

static enum be_status copy_bytes(int from, int to, const char *from_path, const char *to_path)
{
	char bytes[65536];
	ssize_t got;

	while ((got = read(from, bytes, sizeof bytes)) != 0) {
		if (got < 0)
			return failed(from_path);
		for (ssize_t done = 0; done < got;) {
			ssize_t put = write(to, bytes + done, (size_t)(got - done));

			if (put < 0)
				return failed(to_path);
			done += put;
		}
	}
	return fsync(to) == 0 ? BE_OK : failed(to_path);
}

static enum be_status copy_in(const char *backup, const char *data)
{
	enum be_status status;
	bool exists = false;
	int to = -1;
	int from = open(backup, O_RDONLY | O_CLOEXEC);

	if (from < 0)
		return failed(backup);
	status = preflight_data_file(backup, from, &exists);
	if (status == BE_OK && !exists)
		status = error_set(BE_NOT_AN_ENVIRONMENT, "%s: it is empty", backup);
	if (status == BE_OK && lseek(from, 0, SEEK_SET) < 0)
		status = failed(backup);
	if (status == BE_OK) {
		to = open(data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		status = to < 0 ? failed(data) : copy_bytes(from, to, backup, data);
	}
	if (to >= 0)
		close(to);
	close(from);
	return status;
}

/* Is what was copied an environment of ours? */
static enum be_status check_header(const char *directory)
{
	struct lmdb_settings settings = {.path = directory,
					 .read_only = true,
					 .mode = 0600,
					 .map_size = ENFORCER_DEFAULT_MAP_SIZE};
	struct lmdb_storage *lmdb;
	struct header header;
	enum be_status status = lmdb_storage_open(&settings, &lmdb);

	if (status != BE_OK)
		return status;
	status = ledger_read_header(lmdb_storage_interface(lmdb), false, &header);
	lmdb_storage_close(lmdb);
	return status;
}

static enum be_status restore(const char *backup, const char *directory)
{
	char made[PATH_MAX], data[PATH_MAX + 16], lock[PATH_MAX + 16];
	enum be_status status = name_beside(made, directory, ".XXXXXX");

	if (status != BE_OK)
		return status;
	if (!mkdtemp(made))
		return failed(directory);
	snprintf(data, sizeof data, "%s/data.mdb", made);
	snprintf(lock, sizeof lock, "%s/lock.mdb", made);
	status = copy_in(backup, data);
	if (status == BE_OK)
		status = check_header(made);
	unlink(lock);
	if (status == BE_OK)
		status = flush_directory_of(data);
	if (status == BE_OK)
		status = publish_directory(made, directory);
	if (status != BE_OK) {
		unlink(data);
		rmdir(made);
	}
	return status;
}

enum be_status be_restore(const char *backup, const char *directory)
{
	char trimmed[PATH_MAX];
	size_t size;

	error_clear();
	if (!backup || !directory)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 backup ? "directory" : "backup");
	size = strlen(directory);
	while (size > 1 && directory[size - 1] == '/')
		size--;
	if (size == 0 || size >= sizeof trimmed)
		return error_set(BE_INVALID_ARGUMENT,
				 "the path of the directory is empty or too long");
	memcpy(trimmed, directory, size);
	trimmed[size] = '\0';
	return error_default(restore(backup, trimmed));
}
