/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing, and what the newest txn has to prove before. */
#include "storage/lmdb/inside.h"

#include "base/descriptor.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/shared_file.h"
#include "storage/lmdb/newest.h"
#include "storage/lmdb/preflight.h"
#include "storage/lmdb/reader_number.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where no slot is in a txn, an opening looks for dead readers only when it finds one less than a
 * multiple of so many taken. */
#define SLOTS_PER_READER_CHECK 64

/* See reader_number.h. */
static void put_number(struct lmdb_storage *storage, MDB_env *env)
{
	int major, minor;

	(void)mdb_version(&major, &minor, NULL);
	if (!reader_number_put(env, major, minor, MAX_READERS, storage->number))
		storage->number = 0;
}

bool lmdb_storage_reads_alone(void)
{
	int major, minor;
	MDB_env *env;
	bool is_known;

	if (mdb_env_create(&env) != 0)
		return false; /* for want of memory, which opening it will tell */
	(void)mdb_version(&major, &minor, NULL);
	is_known = mdb_env_set_maxreaders(env, MAX_READERS) == 0 &&
		   reader_number_put(env, major, minor, MAX_READERS, INT32_MAX);
	mdb_env_close(env);
	return !is_known;
}

static int open_by_name(const struct lmdb_settings *settings, const char *path,
			struct lmdb_storage *storage)
{
	MDB_env **env = &storage->env;
	unsigned flags = MDB_NOTLS | MDB_NOSYNC | (settings->read_only ? MDB_RDONLY : 0);
	int rc;

	do {
		rc = mdb_env_create(env);
		if (rc)
			return rc;
		rc = mdb_env_set_mapsize(*env, settings->map_size);
		if (rc == 0)
			rc = mdb_env_set_maxreaders(*env, MAX_READERS);
		if (rc == 0) {
			put_number(storage, *env);
			rc = mdb_env_open(*env, path, flags, settings->mode);
		}
		if (rc)
			mdb_env_close(*env);
	} while (rc == EINTR); /* LMDB reports one that it has already dealt with */
	if (rc)
		*env = NULL;
	return rc;
}

/* A second look at the same file, for one who reads alone: without LMDB's locks, since nobody
 * writes meanwhile, and for what LMDB does in a true read txn only. Closing it drops no lock:
 * LMDB has none on data.mdb. */
int lmdb_open_beside(const struct lmdb_storage *storage, MDB_env **env)
{
	char links[LINKS_SIZE];
	MDB_envinfo about;
	int rc = mdb_env_info(storage->env, &about);

	if (rc == 0)
		rc = mdb_env_create(env);
	if (rc)
		return rc;
	rc = mdb_env_set_mapsize(*env, about.me_mapsize);
	if (rc == 0)
		rc = lmdb_make_links(storage, links);
	if (rc == 0) {
		rc = mdb_env_open(*env, links, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
		lmdb_remove_links(links);
	}
	if (rc)
		mdb_env_close(*env);
	return rc;
}

/* Are LMDB's files those that were looked at? */
static bool is_the_same(const struct lmdb_storage *storage,
			const struct shared_directory *directory)
{
	struct stat ours, theirs;
	int fd;

	return mdb_env_get_fd(storage->env, &fd) == 0 && fstat(fd, &theirs) == 0 &&
	       fstat(storage->data.fd, &ours) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino &&
	       shared_file_is_named(directory, LOCK_FILE, storage->table.file.fd);
}

static enum be_status open_env(const struct lmdb_settings *settings, struct lmdb_storage *storage)
{
	const struct shared_directory *directory = settings->directory;
	bool by_links = lmdb_is_shared(directory);
	char links[LINKS_SIZE];
	int rc;

	if (by_links) {
		rc = lmdb_make_links(storage, links);
		if (rc)
			return error_errno(BE_PERMISSION, rc,
					   "%s: others may write this directory, and to open it "
					   "safely one of our own is needed in /dev/shm or /tmp",
					   directory->path);
	}
	rc = open_by_name(settings, by_links ? links : directory->path, storage);
	if (by_links)
		lmdb_remove_links(links);
	if (rc)
		return lmdb_failed_in(storage, rc);
	if (!is_the_same(storage, directory))
		return error_set(BE_NOT_AN_ENVIRONMENT,
				 "%s: its files were replaced while they were being opened",
				 directory->path);
	return BE_OK;
}

/* Begins a read txn in a process that has no slot yet: one that somebody gives back will do. */
static int begin_first(struct lmdb_storage *storage, MDB_txn **txn)
{
	int64_t until_ns = monotonic_ns() + SLOT_PATIENCE_NS;
	unsigned attempts = 0;
	int rc;

	while ((rc = lmdb_begin_reader(storage, txn)) == MDB_READERS_FULL)
		if (attempts++ % ATTEMPTS_PER_READER_CHECK == 0)
			(void)lmdb_check_readers(storage, NULL);
		else if (!lmdb_nap(until_ns))
			break;
	return rc;
}

/* Our number stands in slots of the reader table, or another process has it. It is drawn anew. */
static enum be_status open_anew(const struct lmdb_settings *settings, struct lmdb_storage *storage)
{
	int rc = lmdb_hold(storage->data.fd, LOCK_EX);

	if (rc)
		return lmdb_failed_in(storage, rc);
	mdb_env_close(storage->env);
	storage->env = NULL;
	storage->number = reader_number_draw();
	return open_env(settings, storage);
}

/* Clears the reader table of the dead as far as it matters now. Who is dead is a question to the
 * kernel about each process in the table, which answers after a walk over the locks of all: a crowd
 * that opens would spend most of its time on it. So it is asked only when some slot is in a txn,
 * and may pin pages; and now and then, lest the slots of those who died outside a txn become so
 * many that each write txn takes longer to look through them. */
static enum be_status clear_table(const struct lmdb_settings *settings,
				  struct lmdb_storage *storage)
{
	struct reader_list list = {.own = storage->number};
	enum be_status status = BE_OK;

	if (mdb_reader_list(storage->env, lmdb_note_reader, &list) < 0)
		return BE_OK;
	if (list.own_seen)
		status = open_anew(settings, storage);
	if (status == BE_OK &&
	    (list.oldest != 0 || list.count % SLOTS_PER_READER_CHECK == SLOTS_PER_READER_CHECK - 1))
		(void)lmdb_check_readers(storage, &storage->stale_readers);
	return status;
}

/* Begins the first read txn and leaves it in the pool, if it has a slot; takes the database's
 * handle in it. A status. */
/* The same where the file has outgrown the map since LMDB looked how large it must be: it is mapped
 * anew, with the size that the others use. No txn of this process is under way yet. */
static int begin_first_in_map(struct lmdb_storage *storage, MDB_txn **txn)
{
	int rc = begin_first(storage, txn);

	for (int i = 0; i < ATTEMPTS && rc == MDB_MAP_RESIZED; i++) {
		rc = lmdb_map_anew(storage);
		if (rc == 0)
			rc = begin_first(storage, txn);
	}
	return rc;
}

static int first_read(struct lmdb_storage *storage)
{
	struct lmdb_txn *reader = &storage->readers[0];
	void *alone;
	int rc;

	if (lmdb_reads_alone(storage)) {
		rc = lmdb_begin_read(storage, &alone);
		if (rc == 0)
			lmdb_abort(storage, alone);
		return rc;
	}
	rc = begin_first_in_map(storage, &reader->txn);
	if (rc)
		return lmdb_failed_in(storage, rc);
	reader->keeps = true;
	atomic_store(&storage->kept, 1);
	rc = lmdb_open_database(storage, reader->txn);
	mdb_txn_reset(reader->txn);
	return rc ? lmdb_failed_in(storage, rc) : 0;
}

static enum be_status ready_env(const struct lmdb_settings *settings, struct lmdb_storage *storage)
{
	enum be_status status = clear_table(settings, storage);
	int fd, rc;

	if (status != BE_OK)
		return status;
	rc = mdb_env_get_fd(storage->env, &fd);
	if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		rc = errno;
	if (rc)
		return (enum be_status)lmdb_failed_in(storage, rc);
	return (enum be_status)first_read(storage);
}

static enum be_status open_storage(const struct lmdb_settings *settings,
				   struct lmdb_storage *storage)
{
	enum be_status status = open_env(settings, storage);

	if (status == BE_OK)
		status = ready_env(settings, storage);
	for (int i = 0; status != BE_OK && storage->is_taken && i < ATTEMPTS; i++) {
		status = open_anew(settings, storage);
		if (status == BE_OK)
			status = ready_env(settings, storage);
	}
	return status;
}

/* Are all pages of the newest txn in the file? A writer may overtake us between the two calls. */
static enum be_status check_pages(struct lmdb_storage *storage, const char *data, int fd)
{
	MDB_txn *txn = storage->readers[0].txn;
	enum be_status status = BE_DAMAGED;
	void *alone;
	int rc;

	if (lmdb_reads_alone(storage)) {
		status = (enum be_status)lmdb_begin_read(storage, &alone);
		if (status != BE_OK)
			return status;
		status = preflight_pages(data, fd, lmdb_number_of_state(alone));
		lmdb_abort(storage, alone);
		return status;
	}
	for (int looks = 0; status == BE_DAMAGED && looks < LOOKS_AT_PAGES; looks++) {
		rc = mdb_txn_renew(txn);
		if (rc)
			return lmdb_failed_in(storage, rc);
		status = preflight_pages(data, fd, mdb_txn_id(txn));
		mdb_txn_reset(txn);
	}
	return status;
}

/* A file that was made survives the loss of power once its directory has been flushed, and a
 * directory once the one above it has. One that we may not read was there before us. */
static int sync_directories(const struct shared_directory *directory)
{
	int rc = shared_flush_names(directory->fd, ".");

	if (rc == 0)
		rc = shared_flush_names(directory->fd, "..");
	return rc == EACCES ? 0 : rc;
}

/* So that nothing can have been acknowledged; the process that made the file may have died since.
 */
static bool nothing_committed(MDB_env *env)
{
	MDB_envinfo information;

	return mdb_env_info(env, &information) == 0 && information.me_last_txnid == 0;
}

static struct lmdb_storage *make_storage(const struct lmdb_settings *settings)
{
	size_t path_size = strlen(settings->directory->path) + 1;
	size_t size = sizeof(struct lmdb_storage) + path_size;
	struct lmdb_storage *storage;

	/* aligned_alloc() wants a multiple of the alignment. */
	size = (size + _Alignof(struct lmdb_storage) - 1) / _Alignof(struct lmdb_storage) *
	       _Alignof(struct lmdb_storage);
	storage = aligned_alloc(_Alignof(struct lmdb_storage), size);
	if (!storage)
		return NULL;
	memset(storage, 0, size);
	for (size_t i = 0; i < POOL; i++)
		storage->readers[i].pooled = true;
	storage->writer.write = true;
	pthread_mutex_init(&storage->writing, NULL);
	pthread_mutex_init(&storage->gate, NULL);
	storage->data.fd = -1;
	table_lock_make(&storage->table);
	storage->number = settings->number != 0 ? settings->number : reader_number_draw();
	storage->expects_dead = true; /* one may have died before this process came */
	storage->interface = (struct be_storage){.ops = &lmdb_operations.every, .self = storage};
	storage->read_only = settings->read_only;
	storage->sync = settings->sync;
	storage->vouching = settings->vouching;
	storage->exclusion = settings->exclusion;
	storage->own_flushed = settings->known;
	storage->flushed = settings->flushed ? settings->flushed : &storage->own_flushed;
	memcpy(storage->path, settings->directory->path, path_size);
	return storage;
}

/* Alone with data.mdb, so that nobody waits for the mutexes that LMDB may destroy. */
void lmdb_close_env(struct lmdb_storage *storage)
{
	for (size_t i = 0; i < POOL; i++) {
		mdb_cursor_close(storage->readers[i].cursor);
		mdb_txn_abort(storage->readers[i].txn);
	}
	if (storage->env)
		(void)lmdb_hold(storage->data.fd, LOCK_EX);
	mdb_env_close(storage->env);
	storage->env = NULL;
}

void lmdb_discard(struct lmdb_storage *storage)
{
	descriptor_close(&storage->table.file);
	descriptor_close(&storage->data);
	free(storage);
}

/* Without locks, as LMDB reads where it cannot write lock.mdb, nobody may read what somebody may be
 * writing: pages change under the reader. Nor does a file system that cannot be written here tell
 * whether it is written elsewhere. */
static enum be_status refuse_read_only_mount(const struct shared_directory *directory)
{
	const char *name = shared_file_exists(directory, LOCK_FILE) ? LOCK_FILE : ".";

	if (faccessat(directory->fd, name, W_OK, AT_EACCESS) == 0 || errno != EROFS)
		return BE_OK;
	return error_set(BE_PERMISSION,
			 "%s/" LOCK_FILE ": has to be written even to read only, and the file "
			 "system is mounted read-only here: mount it without read-only (in a "
			 "container also for one who only looks), or restore a backup of it there",
			 directory->path);
}

/* The first steps with data.mdb held: neither file may be what LMDB would stumble over. */
static enum be_status ready_files(const struct lmdb_settings *settings, const char *data,
				  struct lmdb_storage *storage, bool *exists)
{
	int fd = storage->data.fd;
	enum be_status status = preflight_data_file(data, fd, exists);

	if (status != BE_OK)
		return status;
	if (!*exists && (!settings->create || settings->read_only))
		return lmdb_is_missing(settings->directory);
	/* LMDB begins anew only with an empty file. */
	if (!*exists && lseek(fd, 0, SEEK_END) > 0 && ftruncate(fd, 0) < 0)
		return error_errno(error_from_errno(errno), errno, "%s", data);
	status = refuse_read_only_mount(settings->directory);
	if (status == BE_OK)
		status = lmdb_fill_holes(settings, fd);
	if (status == BE_OK)
		status = lmdb_ready_lock_file(settings, storage);
	return status;
}

/* ---- the newest txn */

/* To go back, also for one who only reads. */
static enum be_status drop_newest(const struct lmdb_settings *settings, const char *data)
{
	enum be_status status;
	int fd;

	status = shared_file_open(settings->directory, DATA_FILE, SHARED_CHANGE, 0, &fd);
	if (status == BE_PERMISSION)
		return error_set(status,
				 "%s: the machine went down in the middle of a txn, which must be "
				 "dropped: write permission is needed for that once",
				 data);
	if (status != BE_OK)
		return status;
	status = preflight_go_back(data, fd);
	close(fd);
	return status;
}

/* Nobody has the environment open. What is known to be flushed is whole. Else the newest txn must
 * prove that it is; if the machine may have gone down since it was written, one that cannot is
 * dropped, and nobody was told of it. */
static enum be_status settle_newest(const struct lmdb_settings *settings, const char *data,
				    struct lmdb_storage *storage)
{
	uint64_t known = atomic_load(storage->flushed), newest;
	enum be_status status;
	bool may_go_back = settings->may_go_back;
	int rc;

	/* As long as the machine is up, all that was written is there to be read. */
	if (!settings->vouching || (settings->read_only && !may_go_back))
		return BE_OK;
	status = preflight_newest(data, storage->data.fd, known, settings->vouching, &newest,
				  &may_go_back);
	/* What does not hold together then has another reason, which be_verify() can tell. */
	if (status == BE_DAMAGED && !settings->may_go_back) {
		error_clear();
		rc = lmdb_flush_file(storage);
		atomic_store(storage->flushed, rc ? 0 : newest);
		return rc ? (enum be_status)lmdb_failed_in(storage, rc) : BE_OK;
	}
	if (status == BE_DAMAGED && may_go_back) {
		error_clear();
		status = drop_newest(settings, data);
		storage->went_back = status == BE_OK;
		newest--;
	}
	if (status != BE_OK || settings->read_only || newest == known)
		return status;
	return lmdb_flush_anew(storage, newest);
}

/* What is done while data.mdb is held. */
static enum be_status open_held(const struct lmdb_settings *settings, const char *data,
				struct lmdb_storage *storage)
{
	int fd = storage->data.fd;
	bool exists;
	enum be_status status = ready_files(settings, data, storage, &exists);
	int rc;

	if (status == BE_OK && exists && !lmdb_is_in_use(settings->directory))
		status = settle_newest(settings, data, storage);
	if (status == BE_OK && exists)
		status = preflight_roots(data, fd);
	if (status != BE_OK)
		return status;
	status = open_storage(settings, storage);
	if (status == BE_OK && nothing_committed(storage->env)) {
		rc = settings->read_only ? 0 : lmdb_flush_file(storage);
		if (rc == 0)
			rc = sync_directories(settings->directory);
		if (rc)
			status = (enum be_status)lmdb_failed_in(storage, rc);
	}
	if (status == BE_OK)
		status = check_pages(storage, data, fd);
	if (status == BE_OK)
		return BE_OK;
	lmdb_close_env(storage);
	/* A file that LMDB began and could not finish would count as damaged. */
	if (!exists && ftruncate(fd, 0) < 0)
		return error_errno(status, errno, "%s: is incomplete; remove it", data);
	return status;
}

static enum be_status open_in(const struct lmdb_settings *settings, struct lmdb_storage **storage)
{
	struct lmdb_storage *made;
	char data[PATH_MAX];
	enum be_status status;
	int rc;

	status = preflight_file_system(settings->directory->path);
	if (status == BE_OK)
		status = lmdb_name_file(settings->directory->path, DATA_FILE, data);
	if (status)
		return status;
	made = make_storage(settings);
	if (!made)
		return lmdb_failed(settings->directory->path, settings->read_only, ENOMEM);
	status = lmdb_open_to_hold(settings, &made->data);
	if (status == BE_NOT_FOUND)
		status = lmdb_is_missing(settings->directory);
	status = lmdb_explain(status, settings->directory->path, settings->read_only);
	if (status == BE_OK) {
		rc = lmdb_hold_to_open(made->data.fd, settings->directory);
		status = rc ? (enum be_status)lmdb_failed_in(made, rc)
			    : open_held(settings, data, made);
	}
	if (status) {
		lmdb_discard(made);
		return status;
	}
	(void)lmdb_hold(made->data.fd, LOCK_UN);
	*storage = made;
	return BE_OK;
}

enum be_status lmdb_storage_open(const struct lmdb_settings *settings,
				 struct lmdb_storage **storage)
{
	struct lmdb_settings found = *settings;
	struct shared_directory *opened = NULL;
	enum be_status status = BE_OK;

	*storage = NULL;
	if (!found.directory) {
		status = shared_directory_open(settings->path, &opened);
		found.directory = opened;
	}
	if (status == BE_OK)
		status = open_in(&found, storage);
	shared_directory_close(opened);
	return status;
}
