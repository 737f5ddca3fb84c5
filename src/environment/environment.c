/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-process table of open environments: the one piece of global state in the library.
 *
 * Locks: `table_lock` covers the table and every opening and closing. The fork handlers hold it
 * across fork(), so that a child finds the table whole. Within it the file be-owners has its
 * opening lock, which lets one process make what is new; LMDB's locks come last.
 *
 * An environment of which the last handle is closed, while commits tied to this process are pending
 * or another thread holds the registration's hint, keeps its registration (its storage is closed):
 * the process lives, so what it reserved stays reserved. It is taken up again when the directory is
 * opened again.
 */
#include "environment/environment.h"

#include "base/error.h"
#include "executor/group.h"
#include "records/ledger.h"
#include "sharing/boot.h"
#include "sharing/counts.h"
#include "storage/lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;
static struct environment *table;
static struct environment *left; /* by release_inherited() */
_Atomic uint64_t environment_fork_generation;

/* ---- fork */

static void before_fork(void)
{
	pthread_mutex_lock(&table_lock);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&table_lock);
}

/* Everything in the table is the parent's. Its locks must not outlive it through our copies of the
 * descriptors; the rest is freed when this process next opens something, outside a fork handler. */
static void after_fork_in_child(void)
{
	atomic_fetch_add_explicit(&environment_fork_generation, 1, memory_order_release);
	for (struct environment *one = table; one; one = one->next)
		if (one->owners)
			owners_disown(one->owners);
	pthread_mutex_unlock(&table_lock);
}

static void install_handlers(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- the table */

static void unlink_environment(struct environment *environment)
{
	for (struct environment **at = &table; *at; at = &(*at)->next)
		if (*at == environment) {
			*at = environment->next;
			return;
		}
}

/* Drops what a parent left in the table and no handle of ours refers to. The struct itself stays:
 * another thread may have read its address from a handle just before this one renewed that, and
 * still look whose it is. */
static void release_inherited(struct environment *environment)
{
	if (environment->owners)
		owners_abandon(environment->owners);
	if (environment->group)
		group_close(environment->group);
	counts_close(environment->counts);
	if (environment->lmdb)
		lmdb_storage_abandon(environment->lmdb);
	shared_directory_close(environment->directory);
	environment->directory = NULL;
	unlink_environment(environment);
	environment->next = left;
	left = environment;
}

static struct environment *find_environment(const struct stat *about)
{
	for (struct environment *one = table; one; one = one->next)
		if (one->device == about->st_dev && one->inode == about->st_ino &&
		    environment_is_ours(one))
			return one;
	return NULL;
}

/* A registration that was kept is of use only while its file is the one that others find in the
 * directory. When that was removed after all was closed, what it stood for has gone, too, and it is
 * not found again. */
static struct environment *find_usable(const struct shared_directory *directory,
				       const struct stat *about)
{
	struct environment *found = find_environment(about);

	if (!found || found->references > 0 || owners_are_in(found->owners, directory))
		return found;
	found->device = 0;
	found->inode = 0;
	return NULL;
}

/* ---- opening */

static mode_t directory_mode(mode_t mode)
{
	return mode | (mode & 0444) >> 2;
}

/* Gives the directory that was just made its mode, whatever the umask. It keeps the setgid bit that
 * it has from the one above, so that files in it get its group. */
static int set_mode(int fd, mode_t mode)
{
	struct stat about;

	if (fstat(fd, &about) < 0)
		return errno;
	mode |= about.st_mode & S_ISGID;
	if ((about.st_mode & 07777) == mode)
		return 0;
	return about.st_uid != geteuid() ? EPERM : fchmod(fd, mode) < 0 ? errno : 0;
}

/* One that is there already is left as it is. */
static enum be_status make_directory(const char *path, mode_t mode)
{
	int fd, rc;

	if (mkdir(path, mode) < 0) {
		if (errno == EEXIST)
			return BE_OK;
		return errno == EACCES ? error_path(errno, path)
				       : error_errno(error_from_errno(errno), errno,
						     "%s: cannot create the directory", path);
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = fd < 0 ? errno : set_mode(fd, mode);
	if (fd >= 0)
		close(fd);
	return rc == 0 ? BE_OK : error_path(rc, path);
}

static enum be_status open_directory(const struct environment_settings *settings,
				     struct shared_directory **directory)
{
	bool may_create = !(settings->flags & (BE_OPEN_EXISTING | BE_OPEN_READ_ONLY));
	enum be_status status = shared_directory_open(settings->path, directory);

	if (status != BE_NOT_FOUND || !may_create)
		return status;
	error_clear();
	status = make_directory(settings->path, directory_mode(settings->mode));
	return status == BE_OK ? shared_directory_open(settings->path, directory) : status;
}

static enum be_status make_header(const struct environment_settings *settings,
				  struct environment *environment)
{
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, environment->storage, true);

	if (status != BE_OK)
		return status;
	status = ledger_header(&ledger);
	if (status == BE_NOT_AN_ENVIRONMENT)
		status = ledger_initialise(&ledger, settings->now_ns);
	if (status != BE_OK) {
		ledger_abort(&ledger);
		return status;
	}
	error_clear();
	return ledger_commit(&ledger, 0);
}

/* Makes the header when the storage is new. */
static enum be_status settle_header(const struct environment_settings *settings,
				    struct environment *environment)
{
	struct header header;
	enum be_status status = ledger_read_header(environment->storage, false, &header);

	if (status != BE_NOT_AN_ENVIRONMENT || environment->read_only)
		return status;
	error_clear();
	if (environment->directory)
		counts_remove(environment->directory);
	status = group_lock(environment->group, environment->storage);
	if (status != BE_OK)
		return status;
	status = make_header(settings, environment);
	group_unlock(environment->group, status);
	return status;
}

/* Storages over LMDB are opened flushing; in process durability that ends here. */
static enum be_status settle_durability(const struct environment_settings *settings,
					struct environment *environment, bool is_marked)
{
	enum be_status status = BE_OK;

	if (environment->read_only)
		return BE_OK;
	if (settings->durability == BE_DURABILITY_PROCESS) {
		if (!is_marked)
			status = boot_mark(environment->directory, settings->mode);
		return status == BE_OK ? lmdb_storage_stop_flushing(environment->lmdb) : status;
	}
	if (is_marked)
		status = lmdb_storage_flush(environment->lmdb);
	return status == BE_OK && is_marked ? boot_unmark(environment->directory) : status;
}

static enum be_status open_owners(const struct environment_settings *settings,
				  struct environment *environment)
{
	bool kept = environment->owners != NULL; /* from an earlier opening by this process */

	if (environment->read_only)
		return kept ? BE_OK
			    : owners_open_read_only(environment->directory, &environment->owners);
	if (kept)
		return owners_reopen(environment->owners, settings->durability);
	return owners_open(environment->directory, settings->mode, settings->durability,
			   &environment->owners);
}

/* Opens the storage in a directory that this process has not open. */
static enum be_status open_storage(const struct environment_settings *settings,
				   struct environment *environment)
{
	struct lmdb_settings lmdb = {
		.path = settings->path,
		.create = !(settings->flags & (BE_OPEN_EXISTING | BE_OPEN_READ_ONLY)),
		.read_only = environment->read_only,
		.sync = true,
		.mode = settings->mode,
		.map_size = settings->map_size,
	};
	bool is_marked;
	enum be_status status = boot_check(environment->directory, &is_marked);

	if (status == BE_OK)
		status = lmdb_storage_open(&lmdb, &environment->lmdb);
	if (status != BE_OK)
		return status;
	environment->storage = lmdb_storage_interface(environment->lmdb);
	status = settle_header(settings, environment);
	if (status == BE_OK)
		status = settle_durability(settings, environment, is_marked);
	if (status != BE_OK) {
		error_name_path(settings->path);
		lmdb_storage_close(environment->lmdb);
		environment->lmdb = NULL;
		environment->storage = NULL;
	}
	return status;
}

/* Before anything is made in a directory that no pool has used yet: is it fit for an environment?
 * When somebody else begins at the same moment, his half-made files are not judged: that is left to
 * the storage, which looks under the opening lock. */
static enum be_status examine_directory(const struct environment_settings *settings,
					const struct shared_directory *directory)
{
	bool may_create = !(settings->flags & (BE_OPEN_EXISTING | BE_OPEN_READ_ONLY));
	bool is_marked;
	enum be_status status = boot_check(directory, &is_marked);

	if (status == BE_OK)
		status = lmdb_storage_examine(settings->path, may_create);
	if (status != BE_OK && status != BE_NOT_FOUND && owners_exist(directory)) {
		error_clear();
		return BE_OK;
	}
	return status;
}

static void close_group(struct environment *environment)
{
	if (environment->group)
		group_close(environment->group);
	environment->group = NULL;
}

static enum be_status open_new(const struct environment_settings *settings,
			       struct environment *environment)
{
	enum be_status status;
	bool kept = environment->owners != NULL;

	environment->read_only = settings->flags & BE_OPEN_READ_ONLY;
	environment->direct = settings->flags & BE_OPEN_DIRECT;
	environment->durability = settings->durability;
	environment->fork_generation = environment_fork_generation;
	status = owners_exist(environment->directory)
			 ? BE_OK
			 : examine_directory(settings, environment->directory);
	if (status == BE_OK)
		status = open_owners(settings, environment);
	if (status != BE_OK)
		return status;
	if (!environment->read_only)
		status = group_open(environment->directory, settings->mode,
				    owners_were_alone(environment->owners), environment->owners,
				    &environment->group);
	if (status == BE_OK)
		status = open_storage(settings, environment);
	if (status == BE_OK)
		environment->counts = environment->read_only
					      ? counts_open_read_only(environment->directory)
					      : counts_open(environment->directory, settings->mode);
	if (status != BE_OK) {
		close_group(environment);
		/* With the opening lock: what is half made must not count as in use. */
		if (environment->owners && !kept && owners_close(environment->owners))
			environment->owners = NULL;
	}
	if (!environment->read_only && environment->owners)
		owners_opened(environment->owners);
	return status;
}

/* Counts one more user of what is open, if it is open in a way that suits. */
static enum be_status share(const struct environment_settings *settings,
			    struct environment *environment)
{
	bool read_only = settings->flags & BE_OPEN_READ_ONLY;

	if (environment->read_only && !read_only)
		return error_set(BE_READ_ONLY,
				 "%s: this process has it open read-only; close those handles "
				 "before opening "
				 "it to write",
				 settings->path);
	if (!read_only && environment->durability != settings->durability)
		return error_set(BE_OTHER_DURABILITY,
				 "%s: this process has it open with the other durability",
				 settings->path);
	environment->references++;
	return BE_OK;
}

static void free_environment(struct environment *environment)
{
	unlink_environment(environment);
	shared_directory_close(environment->directory);
	free(environment);
}

/* Finds the environment in a directory, or makes it, with no references. NULL: out of memory. Takes
 * the directory over. */
static struct environment *take_place(struct shared_directory *directory, const struct stat *about)
{
	struct environment *found = find_usable(directory, about);

	if (found) {
		shared_directory_close(directory);
		return found;
	}
	found = calloc(1, sizeof *found);
	if (!found) {
		shared_directory_close(directory);
		return NULL;
	}
	found->directory = directory;
	found->device = about->st_dev;
	found->inode = about->st_ino;
	found->next = table;
	table = found;
	return found;
}

static enum be_status open_path(const struct environment_settings *settings,
				struct environment **environment)
{
	struct shared_directory *directory;
	struct environment *found;
	struct stat about;
	enum be_status status = open_directory(settings, &directory);

	if (status != BE_OK)
		return status;
	if (fstat(directory->fd, &about) < 0) {
		shared_directory_close(directory);
		return error_path(errno, settings->path);
	}
	found = take_place(directory, &about);
	if (!found)
		return error_set(BE_NO_MEMORY, "out of memory");
	if (found->references > 0) {
		status = share(settings, found);
		if (status == BE_OK)
			*environment = found;
		return status;
	}
	status = open_new(settings, found);
	if (status == BE_OK) {
		found->references = 1;
		*environment = found;
	} else if (!found->owners) {
		free_environment(found);
	}
	return status;
}

/* A storage of the caller's: each handle has an environment of its own, outside the table. */
static enum be_status open_given(const struct environment_settings *settings,
				 struct environment **environment)
{
	struct environment *made = calloc(1, sizeof *made);
	enum be_status status;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	made->storage = settings->storage;
	made->read_only = settings->flags & BE_OPEN_READ_ONLY;
	made->is_given = true;
	made->references = 1;
	status = settle_header(settings, made);
	if (status != BE_OK) {
		free(made);
		return status;
	}
	*environment = made;
	return BE_OK;
}

enum be_status environment_open(const struct environment_settings *settings,
				struct environment **environment)
{
	enum be_status status;
	int cancel_state;

	if (settings->storage)
		return open_given(settings, environment);
	pthread_once(&handlers_once, install_handlers);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_mutex_lock(&table_lock);
	status = open_path(settings, environment);
	pthread_mutex_unlock(&table_lock);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

/* ---- closing */

/* Is a commit pending that this process made? Even a detached one asks whether its owner lives. */
static bool holds_commits(struct environment *environment)
{
	struct owner self = owners_self(environment->owners);
	uint64_t first = owners_first_commit(environment->owners, &self);
	struct commit commit = {.id = first - 1};
	struct ledger ledger;
	bool holds = false;
	int found;

	if (first == 0)
		return false;
	if (ledger_begin(&ledger, environment->storage, false) != BE_OK)
		return true;
	while (!holds &&
	       (found = ledger_commit_next(&ledger, commit.id + 1, &commit)) != LEDGER_NONE)
		holds = found < 0 || (commit.owner.generation == self.generation &&
				      commit.owner.slot == self.slot);
	ledger_abort(&ledger);
	return holds;
}

static void close_path(struct environment *environment)
{
	bool keep = environment->owners && !environment->read_only && holds_commits(environment);

	close_group(environment);
	counts_close(environment->counts);
	environment->counts = NULL;
	lmdb_storage_close(environment->lmdb);
	environment->lmdb = NULL;
	environment->storage = NULL;
	if (environment->owners && (keep || !owners_close(environment->owners)))
		return;
	free_environment(environment);
}

static void drop(struct environment *environment)
{
	if (--environment->references > 0)
		return;
	if (environment_is_ours(environment))
		close_path(environment);
	else
		release_inherited(environment);
}

void environment_close(struct environment *environment)
{
	int cancel_state;

	if (environment->is_given) {
		free(environment);
		return;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_mutex_lock(&table_lock);
	drop(environment);
	pthread_mutex_unlock(&table_lock);
	pthread_setcancelstate(cancel_state, NULL);
}

/* ---- fork children */

enum be_status environment_renew(const struct environment_settings *settings,
				 _Atomic(struct environment *) *place)
{
	struct environment *inherited, *opened;
	enum be_status status = BE_OK;
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_mutex_lock(&table_lock);
	inherited = atomic_load(place);
	if (!environment_is_ours(inherited)) {
		status = open_path(settings, &opened);
		if (status == BE_OK) {
			atomic_store(place, opened);
			drop(inherited);
		}
	}
	pthread_mutex_unlock(&table_lock);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}
