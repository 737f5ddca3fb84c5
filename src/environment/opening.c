/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening as one protocol. A process comes in one of three roles:
 *
 *   looking   it only reads: it registers nowhere, makes nothing and excludes nobody (but where
 *             the liblmdb makes readers exclude writers, it joins, to be able to);
 *   joining   others have the environment open, so all that it needs is there;
 *   first     nobody has it open: it makes what is missing, decides what must be the same for all,
 *             and keeps others out from step 2 to the last one.
 *
 * Which of the last two it is, step 2 tells. One that returns, whose registration was kept when it
 * closed the environment before (environment.c), takes that up in step 2, in whatever role.
 *
 *   step           looking                joining              first
 *   1 examine      are there files that can be an environment's, if nobody has used them yet?
 *   2 register     shows itself to other  takes a slot of be-owners, under its opening lock, which
 *                  copies of the library  it lets go         | it keeps
 *   3 meet         -                      maps be-group        makes it anew
 *   4 open         opens the storage, alone with data.mdb if nobody else has it open (lmdb_open.c)
 *   5 settle       -                      makes the header where it is missing, marks or flushes
 *                                         for durability
 *   6 count        maps be-counts, without which all goes on
 *   7 let in       -                      -                    lets the opening lock go
 *
 * The way back undoes the steps that were made, from the last to the first: after a failure, and to
 * close what is open. What is half made must not count as in use, so a registration ends before the
 * opening lock does.
 *
 * A runtime directory (place.h) is opened by the steps 2, 3 and 7.
 *
 * Nothing here holds a lock of this process's: other threads go on, and may fork. What they fork
 * has copies of our descriptors, but closes those that carry locks (base/descriptor.h).
 */
#include "environment/opening.h"

#include "base/error.h"
#include "base/shared_file.h"
#include "executor/attempt.h"
#include "executor/group.h"
#include "records/ledger.h"
#include "sharing/boot.h"
#include "sharing/counts.h"
#include "storage/backend.h"
#include "storage/lmdb/lmdb.h"
#include "storage/lmdb/newest.h"
#include "storage/lmdb/reader_number.h"

#include <sys/stat.h>

enum role {
	LOOKING,
	JOINING,
	FIRST,
};

struct opening {
	const struct environment_settings *settings;
	struct environment *environment;
	enum role role;
	struct lmdb_storage *lmdb; /* from step 4 on */
	bool may_create;
	bool keeps;     /* the registration stays on the way back */
	bool is_marked; /* be-boot says that something is not flushed */
};

/* ---- step 1: examine */

static enum be_status another_place(const struct environment *environment)
{
	return error_set(
		BE_NOT_FOUND,
		"%s: the environment that was open when this process was forked is no "
		"longer there, and another may have taken its place: close the handle, and "
		"open what is to be used",
		environment->directory->path);
}

/* A fork child is to go on with what its parent had open, and with nothing else. */
static bool is_expected(const struct environment_settings *settings, const struct stat *data)
{
	return settings->data_inode == 0 ||
	       (data->st_dev == settings->data_device && data->st_ino == settings->data_inode);
}

/* Before anything is done in another's directory. */
static enum be_status recognise(const struct opening *opening)
{
	struct stat data;

	if (opening->settings->data_inode == 0 ||
	    (lmdb_storage_find(opening->environment->directory, &data) &&
	     is_expected(opening->settings, &data)))
		return BE_OK;
	return another_place(opening->environment);
}

/* Before anything is made in a directory that no pool has used yet: is it fit for an environment?
 * When another process begins at the same moment, its half-made files are not judged: that is left
 * to the storage, which looks under the opening lock. */
static enum be_status examine(struct opening *opening)
{
	const struct shared_directory *directory = opening->environment->directory;
	enum be_status status = recognise(opening);
	bool is_marked;

	if (status != BE_OK || owners_exist(directory))
		return status;
	status = boot_check(directory, &is_marked);
	if (status == BE_OK)
		status = lmdb_storage_examine(directory, opening->may_create);
	if (status != BE_OK && status != BE_NOT_FOUND && owners_exist(directory)) {
		error_clear();
		return BE_OK;
	}
	return status;
}

/* ---- step 2: register */

static enum be_status enlist(struct opening *opening)
{
	const struct environment_settings *settings = opening->settings;
	struct environment *environment = opening->environment;
	struct owners *owners = environment->executor.owners;
	enum be_status status = BE_OK;

	opening->keeps = owners != NULL;
	if (opening->role == LOOKING) {
		if (!owners)
			status = owners_open_read_only(environment->directory, &owners);
	} else if (owners) {
		status = owners_reopen(owners, settings->durability);
	} else {
		status = owners_open(environment->directory, settings->mode, settings->durability,
				     &owners);
	}
	if (status != BE_OK)
		return status;
	environment->executor.owners = owners;
	if (opening->role != LOOKING && owners_were_alone(owners))
		opening->role = FIRST;
	return BE_OK;
}

/* Lets the opening lock go, which ends with the registration otherwise. */
static enum be_status let_in(struct opening *opening)
{
	if (opening->role != FIRST)
		return BE_OK;
	owners_settle(opening->environment->executor.owners,
		      opening->lmdb && lmdb_storage_went_back(opening->lmdb));
	owners_opened(opening->environment->executor.owners);
	return BE_OK;
}

static void leave(struct opening *opening)
{
	struct environment *environment = opening->environment;

	if (!environment->executor.owners)
		return;
	if (!opening->keeps && owners_close(environment->executor.owners))
		environment->executor.owners = NULL;
	else if (opening->role == FIRST)
		owners_opened(environment->executor.owners);
}

/* ---- step 3: meet */

static enum be_status open_group(struct opening *opening)
{
	struct environment *environment = opening->environment;
	struct group *group;
	enum be_status status;

	if (opening->role == LOOKING)
		return BE_OK;
	status = group_open(environment->directory, opening->settings->mode, opening->role == FIRST,
			    opening->settings->durability != BE_DURABILITY_PROCESS,
			    environment->executor.owners, &group);
	if (status == BE_OK)
		environment->executor.group = group;
	return status;
}

static enum be_status open_far_group(struct opening *opening)
{
	struct environment *environment = opening->environment;
	struct group *group;
	enum be_status status =
		group_open_far(environment->directory, opening->settings->mode,
			       opening->role == FIRST, environment->executor.owners, &group);

	if (status == BE_OK)
		environment->executor.group = group;
	return status;
}

/* In a runtime directory: what the dead without commits had posted was carried out or dropped, and
 * nothing of theirs is on the server. */
static enum be_status forget_dead(struct opening *opening)
{
	struct owners *owners = opening->environment->executor.owners;
	struct owner dead[16];
	size_t count, forgotten;

	do {
		count = owners_find_dead(owners, dead, sizeof dead / sizeof *dead);
		forgotten = 0;
		for (size_t i = 0; i < count; i++)
			if (owners_first_commit(owners, &dead[i]) == 0) {
				owners_forget(owners, &dead[i]);
				forgotten++;
			}
	} while (count == sizeof dead / sizeof *dead && forgotten > 0);
	return BE_OK;
}

static void close_group(struct opening *opening)
{
	if (opening->environment->executor.group)
		group_close(opening->environment->executor.group);
	opening->environment->executor.group = NULL;
}

/* ---- step 4: open */

/* As boot_check() says. But while somebody has the environment open, it is of this boot, whatever
 * id a container shows for that. */
static enum be_status check_boot(struct opening *opening)
{
	const struct environment *environment = opening->environment;
	const struct owners *owners = environment->executor.owners;
	enum be_status status = boot_check(environment->directory, &opening->is_marked);

	if (status != BE_OTHER_BOOT || opening->role == FIRST || !owners ||
	    !owners_are_in_use(owners))
		return status;
	error_clear();
	opening->is_marked = true;
	return BE_OK;
}

static enum be_status exclude_writers(void *group, const struct be_storage *storage)
{
	return group_lock(group, storage);
}

static void let_write(void *group, enum be_status outcome)
{
	group_unlock(group, outcome);
}

static enum be_status open_storage(struct opening *opening)
{
	const struct environment_settings *settings = opening->settings;
	struct environment *environment = opening->environment;
	struct lmdb_settings lmdb = {
		.directory = environment->directory,
		.create = opening->may_create,
		.read_only = opening->role == LOOKING,
		.exclusion = {exclude_writers, let_write, environment->executor.group},
		.sync = true, /* until the durability is settled */
		.may_go_back = !owners_are_settled(environment->executor.owners),
		.mode = settings->mode,
		.map_size = settings->map_size,
	};
	const struct owners *owners = environment->executor.owners;
	struct lmdb_storage *opened;
	enum be_status status = check_boot(opening);

	if (owners && owners_are_registered(owners))
		lmdb.number = reader_number_of(owners_generation(owners));
	if (environment->executor.group)
		lmdb.flushed = group_flushed(environment->executor.group);
	else if (!lmdb.may_go_back)
		lmdb.known = group_peek_flushed(environment->directory);
	/* What is not flushed at all needs no proof as long as the machine is up. */
	if (!opening->is_marked)
		lmdb.vouching = &record_vouching;
	if (status == BE_OK)
		status = lmdb_storage_open(&lmdb, &opened);
	if (status != BE_OK)
		return status;
	opening->lmdb = opened;
	environment->executor.storage = lmdb_storage_interface(opened);
	return BE_OK;
}

static void close_storage(struct opening *opening)
{
	const struct be_storage *storage = opening->environment->executor.storage;

	/* An environment that closed before, and kept its registration, has none. */
	if (storage)
		backend_of(storage)->close(storage->self);
	opening->environment->executor.storage = NULL;
}

/* ---- step 5: settle */

/* At the storage's time, if that is to be used. */
static enum be_status initialise(const struct environment_settings *settings,
				 struct environment *environment, struct ledger *ledger)
{
	struct remote *remote = environment->executor.remote;
	int64_t now_ns = settings->now_ns;
	enum be_status status = BE_OK;

	if (remote && remote->has_clock)
		status = remote_ask_clock(remote, ledger, &now_ns);
	return status == BE_OK ? ledger_initialise(ledger, now_ns) : status;
}

static enum be_status make_header(const struct environment_settings *settings,
				  struct environment *environment)
{
	struct attempt attempt;
	struct ledger ledger;
	enum be_status status;

	/* Without struct remote: its record lies behind the header. */
	attempt_open(&attempt, environment->executor.storage, NULL, NULL);
	attempt.repeatable = true;
	do {
		status = attempt_begin(&attempt, &ledger);
		if (status != BE_OK)
			continue;
		status = ledger_header(&ledger);
		if (status == BE_NOT_AN_ENVIRONMENT)
			status = initialise(settings, environment, &ledger);
		if (status == BE_OK)
			error_clear();
		status = attempt_end(&attempt, &ledger, status);
	} while (attempt_again(&attempt, &status));
	attempt_close(&attempt);
	return status;
}

enum be_status opening_settle_header(const struct environment_settings *settings,
				     struct environment *environment)
{
	struct header header;
	enum be_status status = ledger_read_header(environment->executor.storage, false, &header);

	if (status != BE_NOT_AN_ENVIRONMENT || environment->executor.read_only)
		return status;
	/* In a directory the files tell whether there is one. */
	if (!environment->directory && settings->flags & BE_OPEN_EXISTING)
		return status;
	error_clear();
	if (environment->directory)
		counts_remove(environment->directory);
	status = group_lock(environment->executor.group, environment->executor.storage);
	if (status != BE_OK)
		return status;
	status = make_header(settings, environment);
	group_unlock(environment->executor.group, status);
	return status;
}

/* The storage was opened flushing; in process durability that ends here. */
static enum be_status settle_durability(const struct opening *opening)
{
	struct environment *environment = opening->environment;
	enum be_status status = BE_OK;

	if (opening->settings->durability == BE_DURABILITY_PROCESS) {
		if (!opening->is_marked)
			status = boot_mark(environment->directory, opening->settings->mode);
		if (status == BE_OK)
			lmdb_storage_stop_flushing(opening->lmdb);
		return status;
	}
	if (opening->is_marked)
		status = lmdb_storage_flush(opening->lmdb);
	return status == BE_OK && opening->is_marked ? boot_unmark(environment->directory) : status;
}

static enum be_status settle(struct opening *opening)
{
	struct environment *environment = opening->environment;
	enum be_status status;
	struct stat data;

	status = lmdb_storage_stat(opening->lmdb, &data);
	if (status == BE_OK && !is_expected(opening->settings, &data))
		status = another_place(environment);
	environment->data_device = data.st_dev;
	environment->data_inode = data.st_ino;
	if (status == BE_OK)
		status = opening_settle_header(opening->settings, environment);
	if (status == BE_OK && opening->role != LOOKING)
		status = settle_durability(opening);
	if (status != BE_OK)
		error_name_path(opening->settings->path);
	return status;
}

/* ---- step 6: count */

static enum be_status open_counts(struct opening *opening)
{
	struct environment *environment = opening->environment;

	environment->counts =
		opening->role == LOOKING
			? counts_open_read_only(environment->directory)
			: counts_open(environment->directory, opening->settings->mode);
	return BE_OK;
}

static void close_counts(struct opening *opening)
{
	counts_close(opening->environment->counts);
	opening->environment->counts = NULL;
}

/* ---- there and back */

static const struct step {
	enum be_status (*make)(struct opening *opening); /* leaves nothing behind when it fails */
	void (*undo)(struct opening *opening);           /* NULL: nothing to undo */
} steps[] = {
	{examine, NULL},
	{enlist, leave},
	{open_group, close_group},
	{open_storage, close_storage},
	{settle, NULL},
	{open_counts, close_counts},
	{let_in, NULL},
};

/* Of a runtime directory: 2, 3 and 7. */
static const struct step place_steps[] = {
	{enlist, leave},
	{open_far_group, close_group},
	{forget_dead, NULL},
	{let_in, NULL},
};

static const struct step *steps_of(const struct environment *environment, size_t *count)
{
	*count = environment->is_place ? sizeof place_steps / sizeof *place_steps
				       : sizeof steps / sizeof *steps;
	return environment->is_place ? place_steps : steps;
}

static void go_back(struct opening *opening, size_t made)
{
	size_t count;
	const struct step *all = steps_of(opening->environment, &count);

	while (made-- > 0)
		if (all[made].undo)
			all[made].undo(opening);
}

/* One who only looks, and has to join for it, does so in the durability that is there. */
static enum be_durability durability_there(const struct shared_directory *directory)
{
	bool is_marked = false;

	if (boot_check(directory, &is_marked) == BE_OTHER_BOOT)
		is_marked = true; /* whether it may be used is told later */
	error_clear();
	return is_marked ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL;
}

enum be_status opening_run(const struct environment_settings *settings,
			   struct environment *environment)
{
	struct environment_settings joining = *settings;
	struct opening opening = {
		.settings = settings,
		.environment = environment,
		.role = settings->flags & BE_OPEN_READ_ONLY ? LOOKING : JOINING,
		.may_create = !(settings->flags & (BE_OPEN_EXISTING | BE_OPEN_READ_ONLY)),
	};
	const struct step *all;
	size_t count;

	if (opening.role == LOOKING && lmdb_storage_reads_alone()) {
		opening.role = JOINING;
		joining.durability = durability_there(environment->directory);
		opening.settings = settings = &joining;
	}
	environment->executor.read_only = settings->flags & BE_OPEN_READ_ONLY;
	environment->executor.direct = settings->flags & BE_OPEN_DIRECT;
	environment->durability = settings->durability;
	environment->mode = settings->mode;
	environment->map_size = settings->map_size;
	environment->is_place = settings->is_place;
	all = steps_of(environment, &count);
	for (size_t i = 0; i < count; i++) {
		enum be_status status = all[i].make(&opening);

		if (status != BE_OK) {
			go_back(&opening, i);
			return status;
		}
	}
	return BE_OK;
}

/* Even a detached one asks whether its owner lives. One that was made before it opened the
 * environment to look only counts, too. */
bool opening_holds_commits(struct executor *executor)
{
	struct owner self = owners_self(executor->owners);
	uint64_t first = owners_first_commit(executor->owners, &self);
	struct commit commit = {.id = first - 1};
	struct ledger ledger;
	bool holds = false;
	int found;

	if (first == 0)
		return false;
	if (ledger_begin(&ledger, executor->storage, false) != BE_OK)
		return true;
	while (!holds &&
	       (found = ledger_commit_next(&ledger, commit.id + 1, &commit)) != LEDGER_NONE)
		holds = found < 0 || (commit.owner.generation == self.generation &&
				      commit.owner.slot == self.slot);
	ledger_abort(&ledger);
	return holds;
}

void opening_undo(struct environment *environment)
{
	struct opening opening = {.environment = environment};
	size_t count;

	(void)steps_of(environment, &count);
	opening.role = environment->executor.read_only ? LOOKING : JOINING;
	opening.keeps = environment->executor.owners &&
			owners_are_registered(environment->executor.owners) &&
			(environment->is_place ? environment->holds
					       : opening_holds_commits(&environment->executor));
	go_back(&opening, count);
}
