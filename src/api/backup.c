/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be_backup() and be_restore(): an environment as one file, and back. The file is LMDB's. What lies
 * in another storage is copied into an LMDB environment first, whose files have no names.
 *
 * Both write to something else first: a file without a name, or a directory under another name. It
 * gets its name when it is whole and flushed. So a process that is killed in the middle leaves
 * nothing that looks finished, and nothing that exists is written over. When the name is there the
 * call succeeds, or it takes the name back.
 *
 * Cancellation is off throughout: LMDB would be left with a txn that pins its pages. Paths and
 * buffers lie on the heap, so that small stacks suffice.
 */
#include "api/copy.h"
#include "api/enforcer.h"
#include "base/error.h"
#include "base/shared_file.h"
#include "records/ledger.h"
#include "storage/backend.h"
#include "storage/lmdb/lmdb.h"
#include "storage/lmdb/preflight.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COPY_BYTES 65536
/* How often a signal may interrupt the copy before the call gives up. */
#define INTERRUPTIONS_MAX 100

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

static enum be_status out_of_memory(void)
{
	return error_set(BE_NO_MEMORY, "out of memory");
}

static enum be_status flush(int fd, const char *path)
{
	errno = shared_flush(fd);
	return errno == 0 ? BE_OK : failed(path);
}

/* The directory that `path` is in, to be freed; NULL: out of memory. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* Opens the directory that `path` is in before anything gets its name there, so that only the flush
 * can fail afterwards. */
static enum be_status open_directory_of(const char *path, int *fd)
{
	char *directory = directory_of(path);
	enum be_status status = BE_OK;

	*fd = -1;
	if (!directory)
		return out_of_memory();
	*fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Flushing a directory takes permission to read it. */
	if (*fd < 0)
		status = failed(errno == EACCES ? directory : path);
	free(directory);
	return status;
}

/* ---- backup */

/* A file being made. Most file systems can make it without a name, so that it vanishes when the
 * process is killed. Elsewhere it lies in the same directory, under a temporary name. */
struct part {
	int fd;
	int directory; /* that its name will be in */
	bool is_named;
	char path[PATH_MAX]; /* as long as it has no other name */
};

static enum be_status part_make(struct part *part, const char *path)
{
	enum be_status status = name_beside(part->path, path, ".XXXXXX");
	char *directory;

	if (status == BE_OK)
		status = open_directory_of(path, &part->directory);
	if (status != BE_OK)
		return status;
	/* Such a file gets its name through /proc, so /proc must be there. */
	if (access("/proc/self/fd", X_OK) == 0) {
		directory = directory_of(path);
		if (!directory)
			return out_of_memory();
		part->fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
		free(directory);
	}
	part->is_named = part->fd < 0;
	if (part->is_named)
		part->fd = mkostemp(part->path, O_CLOEXEC);
	else
		snprintf(part->path, sizeof part->path, "/proc/self/fd/%d", part->fd);
	return part->fd < 0 ? failed(path) : BE_OK;
}

/* By its number, since musl has no function for it. */
static long rename_to_new(const char *from, const char *to)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

/* Gives the file its name, unless something has it. */
static enum be_status part_name(struct part *part, const char *path)
{
	if (!part->is_named)
		return linkat(AT_FDCWD, part->path, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0
			       ? failed(path)
			       : BE_OK;
	if (rename_to_new(part->path, path) < 0) {
		/* A network file system may have only renames that write over what is there, and
		 * links. */
		if (errno != EINVAL || link(part->path, path) < 0)
			return failed(path);
		unlink(part->path);
	}
	part->is_named = false;
	return BE_OK;
}

static enum be_status part_publish(struct part *part, const char *path)
{
	enum be_status status = part_name(part, path);

	if (status != BE_OK)
		return status;
	status = flush(part->directory, path);
	if (status != BE_OK)
		unlink(path);
	return status;
}

static void part_close(struct part *part)
{
	if (part->is_named && part->fd >= 0)
		unlink(part->path);
	if (part->fd >= 0)
		close(part->fd); /* what it holds is flushed, or of no use */
	if (part->directory >= 0)
		close(part->directory);
}

/* On network file systems a signal may interrupt a write, and LMDB then gives the copy up. */
static enum be_status copy_out(const struct be_storage *storage, const struct part *part,
			       const char *path)
{
	bool interrupted = true;
	enum be_status status = BE_OK;

	assert(backend_of(storage)->copy);
	for (int i = 0; interrupted && i < INTERRUPTIONS_MAX; i++) {
		if (ftruncate(part->fd, 0) < 0 || lseek(part->fd, 0, SEEK_SET) < 0)
			return failed(path);
		status = backend_of(storage)->copy(storage->self, part->fd, &interrupted);
	}
	return status == BE_OK ? flush(part->fd, path) : status;
}

struct nameless {
	char directory[PATH_MAX];
	char file[PATH_MAX + 16];
};

static void remove_file(struct nameless *made, const char *name)
{
	snprintf(made->file, sizeof made->file, "%s/%s", made->directory, name);
	unlink(made->file);
}

/* Makes an LMDB environment beside `path` and takes its names away, so that nothing is left of it
 * when the process is killed. */
static enum be_status open_nameless(const char *path, struct lmdb_storage **lmdb)
{
	struct nameless *made = malloc(sizeof *made);
	struct lmdb_settings settings = {
		.create = true, .mode = 0600, .map_size = ENFORCER_DEFAULT_MAP_SIZE};
	enum be_status status;

	if (!made)
		return out_of_memory();
	settings.path = made->directory;
	status = name_beside(made->directory, path, ".XXXXXX");
	if (status == BE_OK && !mkdtemp(made->directory))
		status = failed(made->directory);
	else if (status == BE_OK) {
		status = lmdb_storage_open(&settings, lmdb);
		remove_file(made, "data.mdb");
		remove_file(made, "lock.mdb");
		rmdir(made->directory);
	}
	free(made);
	return status;
}

static enum be_status copy_from_elsewhere(const struct be_storage *storage, const struct part *part,
					  const char *path)
{
	struct lmdb_storage *lmdb = NULL;
	enum be_status status = open_nameless(path, &lmdb);

	if (status != BE_OK)
		return status;
	status = copy_records(storage, lmdb_storage_interface(lmdb), NULL, NULL);
	if (status == BE_OK)
		status = copy_out(lmdb_storage_interface(lmdb), part, path);
	lmdb_storage_close(lmdb);
	return status;
}

static enum be_status backup(struct environment *environment, const char *path)
{
	const struct be_storage *storage = environment->executor.storage;
	struct part *part;
	struct stat about;
	enum be_status status;

	if (lstat(path, &about) == 0) {
		errno = EEXIST;
		return failed(path);
	}
	part = malloc(sizeof *part);
	if (!part)
		return out_of_memory();
	part->fd = part->directory = -1;
	part->is_named = false;
	status = part_make(part, path);
	if (status == BE_OK)
		status = backend_of(storage)->copy ? copy_out(storage, part, path)
						   : copy_from_elsewhere(storage, part, path);
	if (status == BE_OK)
		status = part_publish(part, path);
	part_close(part);
	free(part);
	return status;
}

enum be_status be_backup(struct be_enforcer *handle, const char *path)
{
	struct environment *environment;
	enum be_status status;
	int cancel_state;

	error_clear();
	if (!handle || !path)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 handle ? "path" : "handle");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = enforcer_environment(handle, &environment);
	if (status == BE_OK)
		status = backup(environment, path);
	pthread_setcancelstate(cancel_state, NULL);
	return error_default(status);
}

/* ---- restore */

/* A directory being made, under a name of its own. */
struct restoring {
	char made[PATH_MAX];
	char data[PATH_MAX + 16];
	char lock[PATH_MAX + 16];
	char target[PATH_MAX]; /* the name that it will have */
	char bytes[COPY_BYTES];
};

static enum be_status write_all(struct restoring *restoring, int to, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t put = write(to, restoring->bytes + done, size - done);

		if (put < 0 && errno != EINTR)
			return failed(restoring->data);
		if (put > 0)
			done += (size_t)put;
	}
	return BE_OK;
}

static enum be_status copy_bytes(struct restoring *restoring, int from, int to, const char *backup)
{
	enum be_status status = BE_OK;
	ssize_t got;

	while (status == BE_OK && (got = read(from, restoring->bytes, COPY_BYTES)) != 0) {
		if (got < 0 && errno != EINTR)
			return failed(backup);
		if (got > 0)
			status = write_all(restoring, to, (size_t)got);
	}
	return status;
}

static enum be_status copy_in(struct restoring *restoring, const char *backup)
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
		to = open(restoring->data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		status = to < 0 ? failed(restoring->data) : copy_bytes(restoring, from, to, backup);
	}
	if (status == BE_OK)
		status = flush(to, restoring->data);
	if (to >= 0)
		close(to);
	close(from);
	return status;
}

static enum be_status leap(const struct be_storage *storage)
{
	struct timespec now;
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, storage, true);

	if (status != BE_OK)
		return status;
	clock_gettime(CLOCK_REALTIME, &now);
	status = ledger_leap(&ledger, (int64_t)now.tv_sec * BE_UNIT);
	if (status == BE_OK)
		return ledger_commit(&ledger, 0);
	ledger_abort(&ledger);
	return status;
}

/* Finds out whether what was copied is an environment of ours, and lets its ids leap, which also
 * flushes. */
static enum be_status take_over(const struct restoring *restoring)
{
	struct lmdb_settings settings = {.path = restoring->made,
					 .sync = true,
					 .mode = 0600,
					 .map_size = ENFORCER_DEFAULT_MAP_SIZE};
	struct lmdb_storage *lmdb;
	enum be_status status = lmdb_storage_open(&settings, &lmdb);

	if (status != BE_OK)
		return status;
	status = leap(lmdb_storage_interface(lmdb));
	lmdb_storage_close(lmdb);
	return status;
}

/* rename() succeeds when there is nothing of that name, or an empty directory. */
static enum be_status publish(const struct restoring *restoring, int above)
{
	enum be_status status;

	if (rename(restoring->made, restoring->target) < 0) {
		if (errno == ENOTDIR)
			errno = EEXIST;
		return failed(restoring->target);
	}
	status = flush(above, restoring->target);
	if (status != BE_OK)
		rename(restoring->target, restoring->made);
	return status;
}

/* Fills the directory, and flushes its names. */
static enum be_status fill(struct restoring *restoring, const char *backup)
{
	enum be_status status;

	snprintf(restoring->data, sizeof restoring->data, "%s/data.mdb", restoring->made);
	snprintf(restoring->lock, sizeof restoring->lock, "%s/lock.mdb", restoring->made);
	status = copy_in(restoring, backup);
	if (status == BE_OK)
		status = take_over(restoring);
	unlink(restoring->lock);
	if (status != BE_OK)
		return status;
	errno = shared_flush_names(AT_FDCWD, restoring->made);
	return errno == 0 ? BE_OK : failed(restoring->made);
}

static enum be_status restore(struct restoring *restoring, const char *backup)
{
	enum be_status status = name_beside(restoring->made, restoring->target, ".XXXXXX");
	int above = -1;

	if (status == BE_OK)
		status = open_directory_of(restoring->target, &above);
	if (status != BE_OK)
		return status;
	if (mkdtemp(restoring->made)) {
		status = fill(restoring, backup);
		if (status == BE_OK)
			status = publish(restoring, above);
		if (status != BE_OK) {
			unlink(restoring->data);
			rmdir(restoring->made);
		}
	} else {
		status = failed(restoring->target);
	}
	close(above);
	return status;
}

enum be_status be_restore(const char *backup, const char *directory)
{
	struct restoring *restoring;
	enum be_status status;
	int cancel_state;
	size_t size;

	error_clear();
	if (!backup || !directory)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 backup ? "directory" : "backup");
	size = strlen(directory);
	while (size > 1 && directory[size - 1] == '/')
		size--;
	if (size == 0 || size >= sizeof restoring->target)
		return error_set(BE_INVALID_ARGUMENT,
				 "the path of the directory is empty or too long");
	restoring = malloc(sizeof *restoring);
	if (!restoring)
		return out_of_memory();
	memcpy(restoring->target, directory, size);
	restoring->target[size] = '\0';
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = restore(restoring, backup);
	pthread_setcancelstate(cancel_state, NULL);
	free(restoring);
	return error_default(status);
}
