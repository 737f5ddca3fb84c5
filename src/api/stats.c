/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An environment from outside: its owners, its files, the ids that come next. The header is read in
 * a read txn of its own, so the figures are of moments that lie close together, not of one.
 */
#include "api/enforcer.h"
#include "api/sized.h"
#include "base/error.h"
#include "executor/group.h"
#include "records/ledger.h"
#include "sharing/boot.h"
#include "sharing/counts.h"
#include "storage/backend.h"
#include "storage/lmdb/reader_number.h"

#include <pthread.h>

struct owner_listing {
	const struct be_storage *storage;
	uint32_t pid_namespace; /* of this process */
	bool (*each)(void *context, const struct be_owner_info *owner);
	void *context;
};

/* What LMDB locks for a process is a lock of the kind of which the kernel tells whose it is. */
static uint32_t pid_here(const struct owner_listing *listing, const struct owner *owner)
{
	const struct backend *backend = backend_of(listing->storage);

	if (owner->pid_namespace == listing->pid_namespace)
		return owner->pid;
	return backend->pid_seen ? backend->pid_seen(listing->storage->self,
						     reader_number_of(owner->generation))
				 : 0;
}

static bool show_owner(void *context, const struct owner *owner, bool alive)
{
	const struct owner_listing *listing = context;
	struct be_owner_info info = {
		.size = sizeof info,
		.pid = owner->pid,
		.pid_namespace = owner->pid_namespace,
		.pid_here = alive ? pid_here(listing, owner) : 0,
		.id = owner->generation,
		.alive = alive,
	};

	return listing->each(listing->context, &info);
}

enum be_status be_owners_each(struct be_enforcer *handle,
			      bool (*each)(void *context, const struct be_owner_info *owner),
			      void *context)
{
	struct owner_listing listing = {.each = each, .context = context};
	struct environment *environment;
	struct owners *owners;
	enum be_status status;

	error_clear();
	if (!handle || !each)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 handle ? "callback" : "handle");
	status = enforcer_environment(handle, &environment);
	owners = status == BE_OK ? environment_owners(environment) : NULL;
	if (!owners)
		return error_default(status);
	listing.storage = environment->executor.storage;
	listing.pid_namespace = owners_pid_namespace(owners);
	if (!owners_each(owners, show_owner, &listing))
		status = error_set(BE_STOPPED, "the callback ended the listing");
	return error_default(status);
}

static bool count_owner(void *context, const struct owner *owner, bool alive)
{
	(void)owner;
	*(uint32_t *)context += alive;
	return true;
}

static enum be_status read_header(struct environment *environment, struct be_statistics *stats)
{
	struct header header;
	enum be_status status = ledger_read_header(environment->executor.storage, false, &header);

	if (status != BE_OK)
		return status;
	stats->created_ns = header.created_ns;
	stats->changes = header.changes;
	stats->next_envelope_id = header.next_envelope_id;
	stats->next_commit_id = header.next_commit_id;
	stats->next_transaction_id = header.next_transaction_id;
	stats->expired_released = header.lapses[LAPSE_EXPIRED_RELEASED];
	stats->expired_charged = header.lapses[LAPSE_EXPIRED_CHARGED];
	stats->orphaned_released = header.lapses[LAPSE_ORPHANED_RELEASED];
	stats->orphaned_charged = header.lapses[LAPSE_ORPHANED_CHARGED];
	stats->settled_late = header.lapses[LAPSE_SETTLED_LATE];
	stats->pruned_id = header.pruned;
	stats->history_changes = header.histories.changes;
	stats->losses = header.histories.losses;
	return BE_OK;
}

static enum be_status measure(const struct be_storage *storage, struct be_statistics *stats)
{
	const struct backend *backend = backend_of(storage);
	struct backend_figures figures = {0};
	enum be_status status =
		backend->measure ? backend->measure(storage->self, &figures) : BE_OK;

	if (status != BE_OK)
		return status;
	stats->file_size = figures.file_size;
	stats->map_size = figures.map_size;
	stats->page_size = figures.page_size;
	stats->pages = figures.pages;
	stats->free_pages = figures.free_pages;
	stats->records = figures.records;
	stats->readers = figures.readers;
	stats->readers_max = figures.readers_max;
	stats->stale_readers = figures.stale_readers;
	stats->reader_lag = figures.reader_lag;
	stats->lagging_pid = figures.lagging_pid;
	stats->went_back = figures.went_back;
	stats->reads_exclude_writes = figures.reads_alone;
	return BE_OK;
}

static enum be_status read_durability(const struct shared_directory *directory,
				      struct be_statistics *stats)
{
	bool is_marked;
	enum be_status status = boot_check(directory, &is_marked);

	if (status == BE_OTHER_BOOT) { /* this process has it open: see opening.c */
		error_clear();
		is_marked = true;
		status = BE_OK;
	}
	if (status == BE_OK)
		stats->durability = is_marked ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL;
	return status;
}

static enum be_status fill(struct be_enforcer *handle, struct be_statistics *stats)
{
	struct environment *environment;
	struct owners *owners;
	enum be_status status = enforcer_environment(handle, &environment);

	if (status == BE_OK)
		status = read_header(environment, stats);
	if (status == BE_OK && environment->directory)
		status = read_durability(environment->directory, stats);
	if (status == BE_OK)
		status = measure(environment->executor.storage, stats);
	if (status != BE_OK)
		return status;
	owners = environment_owners(environment);
	if (owners)
		owners_each(owners, count_owner, &stats->owners);
	stats->went_back |= owners && owners_went_back(owners);
	if (environment->executor.group)
		stats->waiting = group_waiting(environment->executor.group);
	else if (environment->directory)
		stats->waiting = group_peek_waiting(environment->directory);
	stats->refused_no_envelope = counts_no_envelope(environment->counts);
	stats->refusals_known = environment->counts != NULL;
	return BE_OK;
}

enum be_status be_stats(struct be_enforcer *handle, struct be_statistics *stats)
{
	struct be_statistics filled = {.format_version = RECORD_FORMAT};
	enum be_status status;
	int cancel_state;

	error_clear();
	if (!stats)
		return error_set(BE_INVALID_ARGUMENT, "no place for the figures was given");
	status = sized_clear(stats);
	if (status == BE_OK && !handle)
		status = error_set(BE_INVALID_ARGUMENT, "no handle was given");
	if (status != BE_OK)
		return status;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state); /* files are opened */
	status = fill(handle, &filled);
	pthread_setcancelstate(cancel_state, NULL);
	if (status == BE_OK)
		sized_write(stats, &filled);
	return error_default(status);
}
