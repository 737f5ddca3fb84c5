/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-process table of open environments: the one piece of global state in the library.
 *
 * The states of an entry, and who owns it:
 *
 *   state   references  busy  owner of the members outside the table's part
 *   in use  1 or more   no    the handles: nothing changes but what is atomic
 *   busy    0           yes   the one thread that opens or closes it
 *   kept    0           no    nobody: its registration is held, its storage is closed
 *
 * A thread that wants an environment that is busy waits for `changed`. Threads that want another
 * environment do not wait.
 *
 * Locks: `table_lock` covers the table. Nothing that waits for another process is done under it,
 * since that process may have been stopped. The fork handlers hold it across fork(), so that a
 * child finds the table whole; every entry is then its parent's, busy or not. The locks that
 * opening takes are in opening.c.
 *
 * When the last handle is closed while commits tied to this process are pending, or while another
 * thread holds the registration's hint, the entry is kept: the process lives, so what it reserved
 * stays reserved. The registration is used again when the directory is opened again.
 */
#include "environment/environment.h"

#include "base/descriptor.h"
#include "base/error.h"
#include "environment/opening.h"
#include "environment/place.h"
#include "executor/group.h"
#include "executor/lease.h"
#include "sharing/counts.h"
#include "storage/backend.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* something is busy no longer */
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;
static struct environment *table;
static struct environment *abandoned; /* by release_inherited() */
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

/* Everything in the table is the parent's. It is freed when this process next opens something,
 * outside a fork handler. Nothing here waits for what the parent's threads were doing. */
static void after_fork_in_child(void)
{
	atomic_fetch_add_explicit(&environment_fork_generation, 1, memory_order_release);
	pthread_cond_init(&changed, NULL);
	pthread_mutex_unlock(&table_lock);
}

static void install_handlers(void)
{
	descriptors_install();
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

/* Drops what the parent left in the table and no handle of ours refers to. The struct itself stays:
 * another thread may have read its address from a handle just before this thread renewed that
 * handle, and may still look whose it is. */
static void release_inherited(struct environment *environment)
{
	if (environment->executor.owners)
		owners_abandon(environment->executor.owners);
	if (environment->executor.group)
		group_close(environment->executor.group);
	counts_close(environment->counts);
	if (environment->executor.storage)
		backend_of(environment->executor.storage)
			->abandon(environment->executor.storage->self);
	shared_directory_close(environment->directory);
	environment->directory = NULL;
	unlink_environment(environment);
	environment->next = abandoned;
	abandoned = environment;
}

static struct environment *find_environment(const struct stat *about)
{
	for (struct environment *one = table; one; one = one->next)
		if (one->device == about->st_dev && one->inode == about->st_ino &&
		    environment_is_ours(one))
			return one;
	return NULL;
}

/* A registration that was kept is of use only while its file is the one that other processes find
 * in the directory. If the file was removed after all was closed, the commits that it stood for
 * have gone, too, and the registration is not used again. */
static struct environment *find_usable(const struct shared_directory *directory,
				       struct environment *found)
{
	if (!found || found->references > 0 || owners_are_in(found->executor.owners, directory))
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

/* Gives the directory that was just made its mode, whatever the umask, through a descriptor that
 * needs no permission. The directory keeps the setgid bit that it has from the directory above, so
 * that files in it get its group. */
static int set_mode(int fd, mode_t mode)
{
	char name[32];
	struct stat about;

	if (fstat(fd, &about) < 0)
		return errno;
	mode |= about.st_mode & S_ISGID;
	if ((about.st_mode & 07777) == mode)
		return 0;
	if (about.st_uid != geteuid())
		return EPERM;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	return chmod(name, mode) < 0 ? errno : 0;
}

/* A directory that is there already is left as it is. */
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
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
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

/* Counts one more handle, if the environment is open in the way that the handle needs. */
static enum be_status share(const struct environment_settings *settings,
			    struct environment *environment)
{
	bool read_only = settings->flags & BE_OPEN_READ_ONLY;

	if (environment->is_place != settings->is_place)
		return error_set(
			BE_NOT_AN_ENVIRONMENT,
			"%s: this is a runtime directory, in which processes meet that use "
			"a server; name the server",
			settings->path);
	if (environment->executor.read_only && !read_only)
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

/* Finds the environment in a directory, or makes it, with no references; waits while another thread
 * opens or closes it. NULL: out of memory. Takes the directory over. */
static struct environment *take_place(struct shared_directory *directory, const struct stat *about)
{
	struct environment *found;

	while ((found = find_environment(about)) && found->busy)
		pthread_cond_wait(&changed, &table_lock);
	found = find_usable(directory, found);
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
	found->fork_generation = environment_fork_generation;
	found->next = table;
	table = found;
	return found;
}

/* The table's lock is not held while the environment is opened. */
static enum be_status open_entry(const struct environment_settings *settings,
				 struct environment *environment)
{
	enum be_status status;

	assert(!environment->busy && environment->references == 0);
	environment->busy = true;
	pthread_mutex_unlock(&table_lock);
	status = opening_run(settings, environment);
	pthread_mutex_lock(&table_lock);
	environment->busy = false;
	pthread_cond_broadcast(&changed);
	if (status == BE_OK)
		environment->references = 1;
	else if (!environment->executor.owners)
		free_environment(environment);
	return status;
}

/* Nor while it is closed. */
static void close_entry(struct environment *environment)
{
	assert(!environment->busy && environment->references == 0);
	environment->busy = true;
	pthread_mutex_unlock(&table_lock);
	opening_undo(environment);
	pthread_mutex_lock(&table_lock);
	environment->busy = false;
	pthread_cond_broadcast(&changed);
	if (!environment->executor.owners)
		free_environment(environment);
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
	if (fstat(directory->fd, &about) < 0)
		status = error_path(errno, settings->path);
	else if (settings->is_place)
		status = place_check(directory);
	if (status != BE_OK) {
		shared_directory_close(directory);
		return status;
	}
	pthread_mutex_lock(&table_lock);
	found = take_place(directory, &about);
	if (!found)
		status = error_set(BE_NO_MEMORY, "out of memory");
	else if (found->references > 0)
		status = share(settings, found);
	else
		status = open_entry(settings, found);
	pthread_mutex_unlock(&table_lock);
	if (status == BE_OK)
		*environment = found;
	return status;
}

/* Before the first operation asks what time it is. */
static enum be_status ask_clock(struct remote *remote)
{
	struct ledger ledger;
	int64_t now_ns;
	enum be_status status = ledger_begin(&ledger, remote->storage, false);

	if (status != BE_OK)
		return status;
	status = remote_ask_clock(remote, &ledger, &now_ns);
	ledger_abort(&ledger);
	return status;
}

/* Where other processes of this machine are met that use the same storage. Where there is no such
 * place, or it cannot be used and nobody asked for it, this one works directly. */
static enum be_status open_place(const char *path, struct environment **place)
{
	const struct environment_settings settings = {
		.path = path, .mode = 0600, .durability = BE_DURABILITY_FULL, .is_place = true};
	enum be_status status;
	int cancel_state;

	pthread_once(&handlers_once, install_handlers);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = open_path(&settings, place);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

static void take_place_in(struct environment *environment, struct environment *place)
{
	environment->place = place;
	environment->executor.group = place->executor.group;
	atomic_load(&environment->executor.remote)->group = group_host(place->executor.group);
	environment->executor.direct = false;
	if (environment->executor.remote->lease_ns != 0)
		environment->executor.owners = atomic_load(&place->executor.owners);
}

/* In a process that makes commits there the lease is renewed from now on. */
static void keep_lease(struct environment *environment)
{
	const struct remote *remote = environment->executor.remote;

	if (remote && remote->lease_ns != 0 && !environment->executor.read_only)
		lease_list(&environment->executor);
}

/* One that only looks meets nobody, but asks the kernel who of this machine's processes lives, as
 * they do, where it can. */
static void look_at_others(const struct environment_settings *settings,
			   struct environment *environment)
{
	struct shared_directory *directory = NULL;
	struct header header;
	char path[PATH_MAX] = "";
	bool is_wanted;
	enum be_status status = ledger_read_header(settings->storage, false, &header);

	if (status == BE_OK)
		status = place_find(settings->storage, &header, false, path, &is_wanted);
	if (status == BE_OK && *path)
		status = shared_directory_open(path, &directory);
	if (status == BE_OK && directory)
		status = place_check(directory);
	if (status == BE_OK && directory && group_peek_host(directory, environment->met_host))
		status = owners_open_unseen(directory, &environment->met);
	if (status != BE_OK)
		error_clear();
	shared_directory_close(directory);
}

static enum be_status meet_others(const struct environment_settings *settings,
				  struct environment *environment)
{
	const struct be_storage *storage = settings->storage;
	struct environment *place = NULL;
	struct header header;
	char path[PATH_MAX];
	bool is_wanted = false;
	enum be_status status;

	if (!storage->ops->where)
		return BE_OK;
	if (settings->flags & BE_OPEN_READ_ONLY && environment->executor.remote &&
	    environment->executor.remote->lease_ns != 0)
		look_at_others(settings, environment);
	if (settings->flags & (BE_OPEN_READ_ONLY | BE_OPEN_DIRECT))
		return BE_OK;
	status = ledger_read_header(storage, false, &header);
	if (status != BE_OK)
		return status;
	status = place_find(storage, &header, true, path, &is_wanted);
	if (status == BE_OK && *path)
		status = open_place(path, &place);
	if (place)
		take_place_in(environment, place);
	if (status == BE_OK || is_wanted)
		return status;
	error_clear();
	return BE_OK;
}

static void free_given(struct environment *environment)
{
	if (environment->met)
		owners_abandon(environment->met);
	remote_free(environment->executor.remote);
	if (environment->executor.group && !environment->place)
		group_close(environment->executor.group);
	free(environment);
}

/* A storage of the caller's: each handle has an environment of its own, outside the table. */
static enum be_status open_given(const struct environment_settings *settings,
				 struct environment **environment)
{
	struct environment *made = calloc(1, sizeof *made);
	struct remote *remote;
	enum be_status status;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	made->executor.storage = settings->storage;
	made->executor.read_only = settings->flags & BE_OPEN_READ_ONLY;
	made->executor.direct = true;
	made->is_given = true;
	made->references = 1;
	made->fork_generation = environment_fork_generation;
	status = remote_make(settings->storage, settings->own_clock, settings->lease_ns,
			     settings->check_age_ns, &remote);
	made->executor.remote = remote;
	if (status == BE_OK)
		status = opening_settle_header(settings, made);
	if (status == BE_OK && remote && remote->has_clock)
		status = ask_clock(remote);
	if (status == BE_OK)
		status = meet_others(settings, made);
	if (status != BE_OK) {
		free_given(made);
		return status;
	}
	keep_lease(made);
	*environment = made;
	return BE_OK;
}

enum be_status environment_open(const struct environment_settings *settings,
				struct environment **environment)
{
	enum be_status status;
	int cancel_state;

	pthread_once(&handlers_once, install_handlers);
	if (settings->storage)
		return open_given(settings, environment);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = open_path(settings, environment);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

enum be_status environment_share(struct environment *environment,
				 const struct environment_settings *settings,
				 struct environment **shared)
{
	int cancel_state;

	if (environment->is_given)
		return open_given(settings, shared);
	assert(environment_is_ours(environment));
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_mutex_lock(&table_lock);
	assert(environment->references > 0);
	environment->references++;
	pthread_mutex_unlock(&table_lock);
	pthread_setcancelstate(cancel_state, NULL);
	*shared = environment;
	return BE_OK;
}

/* ---- closing */

static void drop(struct environment *environment)
{
	assert(environment->references > 0);
	if (--environment->references > 0)
		return;
	if (environment_is_ours(environment))
		close_entry(environment);
	else
		release_inherited(environment);
}

void environment_close(struct environment *environment)
{
	struct environment *entry = environment->is_given ? environment->place : environment;
	bool holds = false;
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (environment->is_given) {
		lease_unlist(&environment->executor);
		holds = entry && environment_is_ours(entry) && environment->executor.owners &&
			opening_holds_commits(&environment->executor);
		free_given(environment);
	}
	if (entry) {
		pthread_mutex_lock(&table_lock);
		if (entry->is_place)
			entry->holds |= holds;
		drop(entry);
		pthread_mutex_unlock(&table_lock);
	}
	pthread_setcancelstate(cancel_state, NULL);
}

/* ---- fork children */

/* A child opens the same environment as its parent, in the same way, whichever handle it uses
 * first, and nothing that has taken its place since. */
static struct environment_settings as_inherited(const struct environment_settings *settings,
						const struct environment *inherited)
{
	struct environment_settings same = *settings;

	same.flags = BE_OPEN_EXISTING | (inherited->executor.read_only ? BE_OPEN_READ_ONLY : 0) |
		     (inherited->executor.direct ? BE_OPEN_DIRECT : 0);
	same.durability = inherited->durability;
	same.mode = inherited->mode;
	same.map_size = inherited->map_size;
	same.data_device = inherited->data_device;
	same.data_inode = inherited->data_inode;
	return same;
}

static enum be_status open_inherited(const struct environment_settings *settings,
				     const struct environment *inherited,
				     struct environment **opened)
{
	struct environment_settings same = as_inherited(settings, inherited);
	enum be_status status = open_path(&same, opened);

	/* A child that has given up its rights since the fork can still look. */
	if (status == BE_PERMISSION && settings->flags & BE_OPEN_READ_ONLY &&
	    !inherited->executor.read_only) {
		error_clear();
		same.flags |= BE_OPEN_READ_ONLY;
		status = open_path(&same, opened);
	}
	return status;
}

/* The storage goes on by itself, and so does struct remote; the child only has to meet the others
 * anew, or works directly. */
static enum be_status renew_given(const struct environment *inherited, struct environment **renewed)
{
	struct environment *made = calloc(1, sizeof *made), *place;
	char path[PATH_MAX] = "";

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	/* Another thread may have renewed the handle, and closed the directory. */
	pthread_mutex_lock(&table_lock);
	if (inherited->place && inherited->place->directory)
		snprintf(path, sizeof path, "%s", inherited->place->directory->path);
	pthread_mutex_unlock(&table_lock);
	made->executor.storage = inherited->executor.storage;
	made->executor.remote = inherited->executor.remote;
	made->executor.direct = true;
	made->is_given = true;
	made->references = 1;
	made->fork_generation = environment_fork_generation;
	if (atomic_load(&made->executor.remote))
		atomic_load(&made->executor.remote)->group = NULL; /* it is the parent's */
	if (*path && open_place(path, &place) == BE_OK)
		take_place_in(made, place);
	else
		error_clear();
	*renewed = made;
	return BE_OK;
}

/* Another thread may have read the address of what the parent had, which therefore stays. False:
 * another thread was first. */
static bool replace_given(_Atomic(struct environment *) *place, struct environment *inherited,
			  struct environment *renewed)
{
	struct environment *expected = inherited;
	bool is_first = atomic_compare_exchange_strong(place, &expected, renewed);
	struct environment *loser = is_first ? inherited : renewed;

	if (loser->place)
		drop(loser->place);
	if (!is_first) {
		renewed->executor.remote = NULL; /* it is the handle's still */
		free_given(renewed);
	}
	return is_first;
}

/* When several threads use a handle first, one of them replaces its environment. */
static void replace(_Atomic(struct environment *) *place, struct environment *inherited,
		    struct environment *opened)
{
	struct environment *expected = inherited;

	drop(atomic_compare_exchange_strong(place, &expected, opened) ? inherited : opened);
}

enum be_status environment_renew(const struct environment_settings *settings,
				 _Atomic(struct environment *) *place)
{
	struct environment *inherited = atomic_load(place), *opened;
	enum be_status status;
	int cancel_state;

	if (environment_is_ours(inherited))
		return BE_OK;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = inherited->is_given ? renew_given(inherited, &opened)
				     : open_inherited(settings, inherited, &opened);
	if (status == BE_OK) {
		bool is_kept = false;

		pthread_mutex_lock(&table_lock);
		if (inherited->is_given)
			is_kept = replace_given(place, inherited, opened);
		else
			replace(place, inherited, opened);
		pthread_mutex_unlock(&table_lock);
		/* The list of leases has a lock that a fork takes before that of the table. */
		if (is_kept)
			keep_lease(opened);
	}
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

/* ---- who is alive, seen by a reader */

struct owners *environment_owners(struct environment *environment)
{
	struct owners *found = environment->executor.owners, *none = NULL;

	if (found || !environment->directory)
		return found;
	if (owners_open_read_only(environment->directory, &found) != BE_OK)
		error_clear();
	if (found && !atomic_compare_exchange_strong(&environment->executor.owners, &none, found)) {
		owners_abandon(found);
		found = none;
	}
	return found;
}

struct owners *environment_met(const struct environment *environment, const struct owner *owner)
{
	/* A fork child has not got what asking takes. */
	if (!environment->met || environment->fork_generation != environment_fork_generation ||
	    memcmp(environment->met_host, owner->host, sizeof environment->met_host) != 0)
		return NULL;
	return environment->met;
}
