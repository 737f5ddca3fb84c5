/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaping. What is due is found in read txns, a page at a time, so that the writer's lock is held
 * only to end a page of commits; the rules look at each again before they end it, since it may have
 * been ended meanwhile.
 *
 * In front of a server that other hosts use, too, their leases say who lives (lease.h). They are
 * looked at some second apart, so that a refusal may be up to four seconds late to see that one has
 * ended.
 *
 * A dead owner's slot is freed only after its commits are gone. If the process that reaps dies in
 * between, or if a commit cannot be ended yet, the slot stays for the next process to find.
 *
 * Why a refusal that comes after a look is true. Let it have been decided in a txn that saw C
 * commits reaped, and let everything that is due at a moment M after that be looked for: first the
 * owners, then, in one read txn, the deadlines and the header's count of reaped commits.
 *   - An owner dead at M whose slot is found is reaped here. One whose slot is not found was
 *     forgotten by a process that had reaped it before, in txns that have ended; so this read txn
 *     sees them counted, unless the refusing one saw them done.
 *   - A commit past its deadline at M is either found here, or was ended by a txn that this read
 *     txn sees, and counted likewise.
 *   - A process may die between the last write of its txn and the word that shows the txn to
 *     readers. What it did then, and what it had posted, is made visible or dropped before its own
 *     commits are looked for. It cannot have forgotten any slot, or ended what we still find past
 *     its deadline. So a reader that sees too little only looks at too much, and the rules look
 *     again in a write txn.
 * So if the count is still C, nothing that was due at M was committed in the state that refused. If
 * it is another, everything that was due at M has ended before the txn that decides next. One more
 * try is enough, and no process tries without end while others come and go.
 */
#include "executor/reap.h"

#include "base/error.h"
#include "executor/executor.h"
#include "executor/group.h"
#include "executor/lease.h"
#include "records/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DUE_MAX EXECUTOR_DIRECT_MAX
#define DEAD_MAX 256
/* Leases of others are looked at this often; and where there are so many that it takes long, more
 * seldom. */
#define LEASES_NS INT64_C(1000000000)
#define LEASES_MOST_NS (4 * LEASES_NS)
#define LEASES_PART 16

struct due_commits {
	size_t count;
	struct operation operations[DUE_MAX];
	struct result results[DUE_MAX];
};

struct reaper {
	struct executor *executor;
	struct remote *remote;    /* NULL: there are no other hosts */
	struct remote_host *host; /* this one, likewise */
	int64_t now_ns;
	const struct reap_listener *listener;
	uint64_t reaped;
	size_t dead_count;
	struct owner dead[DEAD_MAX];
	bool keep[DEAD_MAX];        /* the slots of these: something is still pending for them */
	bool keep_unknown;          /* likewise for owners that have no slot */
	struct lease_looked leases; /* those of other hosts */
	bool keep_ended[LEASE_ENDED_MAX];
	struct due_commits due;
};

/* Is it one of another host, of which the kernel knows nothing? */
static bool is_elsewhere(const struct reaper *reaper, const struct owner *owner)
{
	return reaper->host && owner_has_host(owner) &&
	       memcmp(owner->host, reaper->host->id, sizeof owner->host) != 0;
}

/* The ended host that it is of; else their count. */
static size_t find_ended(const struct reaper *reaper, const struct owner *owner)
{
	size_t i = 0;

	while (i < reaper->leases.count &&
	       memcmp(owner->host, reaper->leases.ended[i].id, sizeof owner->host) != 0)
		i++;
	return i;
}

/* Slots that were found know nothing of hosts. */
static bool has_slot_of(const struct owner *dead, const struct owner *owner)
{
	return dead->slot == owner->slot && dead->generation == owner->generation;
}

static void add(struct reaper *reaper, uint64_t id, enum be_commit_state reap_as,
		const struct owner *owner)
{
	struct operation *operation = &reaper->due.operations[reaper->due.count++];

	assert(reaper->due.count <= DUE_MAX);
	memset(operation, 0, offsetof(struct operation, description));
	operation->kind = BE_OPERATION_REAP;
	operation->id = id;
	operation->reap_as = reap_as;
	operation->now_ns = reaper->now_ns;
	operation->description[0] = '\0';
	if (owner) {
		operation->owner = *owner;
		operation->by_lease = is_elsewhere(reaper, owner);
	}
}

/* An orphan stays pending when its charge is more than a balance can count, and when its host was
 * heard of after all. It is looked for again only as long as its owner's slot, or the record of its
 * host, is there. */
static void keep_owner(struct reaper *reaper, const struct operation *operation)
{
	size_t ended = find_ended(reaper, &operation->owner);
	bool has_slot = false;

	if (ended < reaper->leases.count) {
		reaper->keep_ended[ended] = true;
		return;
	}
	for (size_t i = 0; i < reaper->dead_count; i++)
		if (has_slot_of(&reaper->dead[i], &operation->owner))
			has_slot = reaper->keep[i] = true;
	if (!has_slot && operation->reap_as == BE_COMMIT_ORPHANED)
		reaper->keep_unknown = true;
}

/* Ends those that were found due, in one txn. */
static enum be_status end_due(struct reaper *reaper)
{
	struct due_commits *due = &reaper->due;
	enum be_status status = BE_OK;

	if (due->count > 0)
		status = executor_direct(reaper->executor, due->operations, due->results,
					 due->count);
	for (size_t i = 0; status == BE_OK && i < due->count; i++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): just filled in */
		enum be_status outcome = due->results[i].status;

		if (outcome == BE_OVERFLOW ||
		    (outcome == BE_NO_COMMIT && due->operations[i].by_lease))
			keep_owner(reaper, &due->operations[i]);
		if (outcome != BE_OK)
			continue;
		reaper->reaped++;
		if (reaper->listener && reaper->listener->reaped)
			reaper->listener->reaped(reaper->listener->context, &due->operations[i],
						 &due->results[i]);
	}
	due->count = 0;
	return status;
}

static enum be_status reap_expired(struct reaper *reaper)
{
	int64_t deadline_ns = 0;
	uint64_t id = 0;
	unsigned tries = 0;
	bool more = true;
	enum be_status status = BE_OK;

	while (more && status == BE_OK) {
		struct ledger ledger;
		int found = 0;

		status = ledger_begin(&ledger, reaper->executor->storage, false);
		if (status != BE_OK)
			return status;
		while (reaper->due.count < DUE_MAX) {
			found = ledger_deadline_next(&ledger, &deadline_ns, &id);
			more = found == 0 && deadline_ns <= reaper->now_ns;
			if (!more)
				break;
			add(reaper, id, BE_COMMIT_EXPIRED, NULL);
		}
		ledger_abort(&ledger);
		status = found < 0 ? (enum be_status)found : BE_OK;
		more |= ledger_reads_again(&status, &tries);
		if (status == BE_OK)
			status = end_due(reaper);
	}
	return status;
}

/* Of another host. Thoroughly it is also looked for one that has no record. */
static bool is_dead_elsewhere(const struct reaper *reaper, struct ledger *ledger,
			      const struct owner *owner, bool thorough)
{
	struct host host;

	if (find_ended(reaper, owner) < reaper->leases.count)
		return true;
	return thorough && ledger_host_get(ledger, owner->host, &host) == LEDGER_NONE;
}

static bool is_dead(struct reaper *reaper, struct ledger *ledger, const struct owner *owner,
		    bool thorough)
{
	struct owners *owners = reaper->executor->owners;

	if (is_elsewhere(reaper, owner))
		return is_dead_elsewhere(reaper, ledger, owner, thorough);
	/* A process that is a host by itself is this one. What has no host was copied here. */
	if (!owners)
		return thorough && !owner_has_host(owner);
	if (thorough)
		return !owners_alive(owners, owner);
	for (size_t i = 0; i < reaper->dead_count; i++)
		if (has_slot_of(&reaper->dead[i], owner))
			return true;
	return !owners_registered(owners, owner);
}

/* The first commit that can be one of the dead owners'; 0: none is. */
static uint64_t first_commit(struct reaper *reaper)
{
	uint64_t first = 0;

	for (size_t i = 0; i < reaper->dead_count; i++) {
		uint64_t own = owners_first_commit(reaper->executor->owners, &reaper->dead[i]);

		if (own != 0 && (first == 0 || own < first))
			first = own;
	}
	return first;
}

/* Ends the orphans from the commit `first` on. */
static enum be_status reap_orphans(struct reaper *reaper, uint64_t first, bool thorough)
{
	struct commit commit = {.id = first - 1};
	enum be_status status = BE_OK;
	unsigned tries = 0;
	int found = 0;

	while (found == 0 && status == BE_OK) {
		struct ledger ledger;
		int looked_at = 0;

		status = ledger_begin(&ledger, reaper->executor->storage, false);
		if (status != BE_OK)
			return status;
		/* It also ends after so many looks, since a read txn must be short. */
		while (reaper->due.count < DUE_MAX && looked_at++ < 32 * DUE_MAX) {
			found = ledger_commit_next(&ledger, commit.id + 1, &commit);
			if (found != 0)
				break;
			if (!commit.detached && commit.owner.generation != 0 &&
			    is_dead(reaper, &ledger, &commit.owner, thorough))
				add(reaper, commit.id, BE_COMMIT_ORPHANED, &commit.owner);
		}
		ledger_abort(&ledger);
		status = found < 0 ? (enum be_status)found : BE_OK;
		if (ledger_reads_again(&status, &tries))
			found = 0;
		if (status == BE_OK)
			status = end_due(reaper);
	}
	return status;
}

/* A process may have died after the last write of its txn and before it showed the txn to readers.
 * The txn stands, but a reader sees it only when a writer has come since. */
static enum be_status come_as_writer(struct reaper *reaper)
{
	return executor_direct(reaper->executor, NULL, NULL, 0);
}

/* A leader in front of a server may have stopped for a while: then the slots stay. */
static enum be_status purge_dead(struct reaper *reaper)
{
	struct executor *executor = reaper->executor;
	enum be_status status = BE_OK;

	for (size_t i = 0; i < reaper->dead_count && executor->group && status == BE_OK; i++)
		status = group_purge(executor->group, executor->storage, reaper->remote,
				     &reaper->dead[i]);
	if (status != BE_UNREACHABLE || !reaper->remote)
		return status;
	error_clear();
	memset(reaper->keep, true, sizeof reaper->keep);
	return BE_OK;
}

static enum be_status reap_dead_owners(struct reaper *reaper, bool thorough)
{
	struct executor *executor = reaper->executor;
	enum be_status status = BE_OK;
	uint64_t first;
	size_t forgotten;

	do {
		forgotten = 0;
		reaper->dead_count = owners_find_dead(executor->owners, reaper->dead, DEAD_MAX);
		memset(reaper->keep, 0, sizeof reaper->keep);
		status = purge_dead(reaper);
		if (status != BE_OK)
			return status;
		first = thorough ? 1 : first_commit(reaper);
		if (first != 0)
			status = come_as_writer(reaper);
		if (status == BE_OK && first != 0)
			status = reap_orphans(reaper, first, thorough);
		for (size_t i = 0; i < reaper->dead_count && status == BE_OK; i++) {
			if (reaper->keep[i])
				continue;
			owners_forget(executor->owners, &reaper->dead[i]);
			forgotten++;
		}
		thorough = false;
	} while (reaper->dead_count == DEAD_MAX && forgotten > 0 && status == BE_OK);
	return status;
}

/* ---- other hosts */

static enum be_status gather_ended_hosts(struct reaper *reaper)
{
	struct ledger ledger;
	unsigned tries = 0;
	enum be_status status;

	do {
		int64_t begun_ns = remote_steady();

		status = ledger_begin(&ledger, reaper->executor->storage, false);
		if (status != BE_OK)
			return status;
		status = lease_look_at_all(&ledger, reaper->host, begun_ns, &reaper->leases);
		ledger_abort(&ledger);
	} while (ledger_reads_again(&status, &tries));
	return status;
}

/* Ends what those hosts held whose leases have ended. */
static enum be_status reap_ended_hosts(struct reaper *reaper)
{
	const struct be_storage *storage = reaper->executor->storage;
	size_t removed;
	enum be_status status;

	do {
		removed = 0;
		status = gather_ended_hosts(reaper);
		memset(reaper->keep_ended, 0, sizeof reaper->keep_ended);
		reaper->dead_count = 0;
		if (status == BE_OK && reaper->leases.count > 0)
			status = reap_orphans(reaper, 1, false);
		for (size_t i = 0; i < reaper->leases.count && status == BE_OK; i++) {
			if (reaper->keep_ended[i])
				continue;
			status = lease_remove(storage, &reaper->leases.ended[i]);
			removed++;
		}
	} while (reaper->leases.count == LEASE_ENDED_MAX && removed > 0 && status == BE_OK);
	return status;
}

/* Has a lease ended? Looked at now and then, in the read txn of look(), which was begun at
 * `begun_ns` or later. One that is over, and was not watched, is watched from now on. */
static enum be_status look_at_leases(struct executor *executor, struct ledger *ledger,
				     int64_t begun_ns, bool *due)
{
	struct lease_looked looked;
	struct remote *remote;
	struct remote_host *host;
	int64_t pause_ns;
	enum be_status status = remote_find(&executor->remote, &remote);

	host = status == BE_OK ? executor_host(executor, remote) : NULL;
	if (!host || begun_ns < atomic_load(&remote->look_ns))
		return status;
	status = lease_look_at_all(ledger, host, begun_ns, &looked);
	if (status == BE_OK && looked.is_overdue && !executor->read_only)
		status = lease_hold(executor);
	if (status != BE_OK)
		return status;
	*due |= looked.count > 0;
	pause_ns = LEASES_PART * (remote_steady() - begun_ns);
	if (pause_ns < LEASES_NS)
		pause_ns = LEASES_NS;
	if (pause_ns > LEASES_MOST_NS)
		pause_ns = LEASES_MOST_NS;
	if (looked.left_ns < pause_ns)
		pause_ns = looked.left_ns;
	atomic_store(&remote->look_ns, begun_ns + pause_ns);
	return BE_OK;
}

/* ---- all together */

static struct reaper *make_reaper(struct executor *executor, int64_t now_ns,
				  const struct reap_listener *listener)
{
	struct reaper *reaper = malloc(sizeof *reaper);

	if (!reaper) {
		(void)error_set(BE_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (remote_find(&executor->remote, &reaper->remote) != BE_OK) {
		free(reaper);
		return NULL;
	}
	reaper->executor = executor;
	reaper->host = executor_host(executor, reaper->remote);
	reaper->leases.count = 0;
	reaper->now_ns = now_ns;
	reaper->listener = listener;
	reaper->reaped = 0;
	reaper->dead_count = 0;
	reaper->keep_unknown = false;
	reaper->due.count = 0;
	return reaper;
}

/* Ends what is due. */
static enum be_status sweep(struct executor *executor, int64_t now_ns, bool thorough,
			    const struct reap_listener *listener, uint64_t *reaped)
{
	struct reaper *reaper = make_reaper(executor, now_ns, listener);
	enum be_status status;

	if (!reaper)
		return BE_NO_MEMORY;
	status = reap_expired(reaper);
	if (status == BE_OK && reaper->host)
		status = reap_ended_hosts(reaper);
	if (status == BE_OK && executor->owners) {
		status = reap_dead_owners(reaper, thorough);
		if (status == BE_OK && thorough && !reaper->keep_unknown)
			owners_reaped_unknown(executor->owners);
	} else if (status == BE_OK && reaper->host && thorough) {
		status = reap_orphans(reaper, 1, true);
	}
	*reaped = reaper->reaped;
	free(reaper);
	if (status == BE_OK)
		error_clear(); /* of what single commits were refused for */
	return status;
}

/* Is anything due, and how many commits have been reaped so far? Costs reads only. */
static enum be_status look_once(struct executor *executor, int64_t now_ns, bool *due,
				uint64_t *reaped_so_far)
{
	struct ledger ledger;
	struct owner dead;
	int64_t deadline_ns = 0;
	int64_t begun_ns = executor->remote ? remote_steady() : 0;
	uint64_t id = 0;
	enum be_status status;
	int found;

	*due = executor->owners && owners_find_dead(executor->owners, &dead, 1) > 0;
	status = ledger_begin(&ledger, executor->storage, false);
	if (status != BE_OK)
		return status;
	found = ledger_deadline_next(&ledger, &deadline_ns, &id);
	status = found < 0 ? (enum be_status)found : ledger_header(&ledger);
	if (status == BE_OK && executor->remote)
		status = look_at_leases(executor, &ledger, begun_ns, due);
	ledger_abort(&ledger);
	if (found == 0 && deadline_ns <= now_ns)
		*due = true;
	if (status == BE_OK)
		*reaped_so_far = header_reaped(&ledger.header);
	return status;
}

static enum be_status look(struct executor *executor, int64_t now_ns, bool *due,
			   uint64_t *reaped_so_far)
{
	unsigned tries = 0;
	enum be_status status;

	do
		status = look_once(executor, now_ns, due, reaped_so_far);
	while (ledger_reads_again(&status, &tries));
	return status;
}

enum be_status reap_run(struct executor *executor, int64_t now_ns, bool thorough,
			const struct reap_listener *listener, uint64_t *reaped)
{
	uint64_t so_far;
	bool due = true;
	enum be_status status = BE_OK;

	*reaped = 0;
	if (!thorough)
		status = look(executor, now_ns, &due, &so_far);
	if (status == BE_OK && due)
		status = sweep(executor, now_ns, thorough, listener, reaped);
	return status;
}

enum be_status reap_for_refusal(struct executor *executor, int64_t now_ns, uint64_t reaped,
				const struct reap_listener *listener, bool *freed)
{
	bool unknown = executor->owners && owners_have_unknown(executor->owners);
	struct header header;
	uint64_t own, so_far = 0;
	bool due;
	enum be_status status = look(executor, now_ns, &due, &so_far);

	*freed = false;
	if (status == BE_OK && (due || unknown)) {
		status = sweep(executor, now_ns, unknown, listener, &own);
		if (status == BE_OK)
			status = ledger_read_header(executor->storage, false, &header);
		if (status == BE_OK)
			so_far = header_reaped(&header);
	}
	if (status == BE_OK)
		*freed = so_far != reaped;
	return status;
}

enum be_status reap_given_up(struct executor *executor, int64_t now_ns, const struct owner *owner,
			     const uint64_t *ids, size_t count,
			     const struct reap_listener *listener)
{
	struct reaper *reaper = make_reaper(executor, now_ns, listener);
	enum be_status status = BE_OK;

	if (!reaper)
		return BE_NO_MEMORY;
	for (size_t i = 0; i < count && status == BE_OK; i++) {
		add(reaper, ids[i], BE_COMMIT_ORPHANED, owner);
		if (reaper->due.count == DUE_MAX || i == count - 1)
			status = end_due(reaper);
	}
	free(reaper);
	return status;
}
