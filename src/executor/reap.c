/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaping. What is due is found in read txns, a page at a time, so that the writer's lock is held
 * only to end a page of commits; the rules look at each again before they end it, since it may have
 * been ended meanwhile.
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
#include "records/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DUE_MAX EXECUTOR_DIRECT_MAX
#define DEAD_MAX 256

struct due_commits {
	size_t count;
	struct operation operations[DUE_MAX];
	struct result results[DUE_MAX];
};

struct reaper {
	struct executor *executor;
	int64_t now_ns;
	const struct reap_listener *listener;
	uint64_t reaped;
	size_t dead_count;
	struct owner dead[DEAD_MAX];
	bool keep[DEAD_MAX]; /* the slots of these: something is still pending for them */
	bool keep_unknown;   /* likewise for owners that have no slot */
	struct due_commits due;
};

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
	if (owner)
		operation->owner = *owner;
}

static bool same_owner(const struct owner *a, const struct owner *b)
{
	return a->slot == b->slot && a->generation == b->generation;
}

/* An orphan stays pending when its charge is more than a balance can count. It is looked for again
 * only as long as its owner's slot is there. */
static void keep_owner(struct reaper *reaper, const struct operation *operation)
{
	bool has_slot = false;

	for (size_t i = 0; i < reaper->dead_count; i++)
		if (same_owner(&reaper->dead[i], &operation->owner))
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

		if (outcome == BE_OVERFLOW)
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
		status = found < 0 ? (enum be_status)found : end_due(reaper);
	}
	return status;
}

static bool is_dead(struct reaper *reaper, const struct owner *owner, bool thorough)
{
	struct owners *owners = reaper->executor->owners;

	if (thorough)
		return !owners_alive(owners, owner);
	for (size_t i = 0; i < reaper->dead_count; i++)
		if (same_owner(&reaper->dead[i], owner))
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
			    is_dead(reaper, &commit.owner, thorough))
				add(reaper, commit.id, BE_COMMIT_ORPHANED, &commit.owner);
		}
		ledger_abort(&ledger);
		status = found < 0 ? (enum be_status)found : end_due(reaper);
	}
	return status;
}

/* A process may have died after the last write of its txn and before it showed the txn to readers.
 * The txn stands, but a reader sees it only when a writer has come since. */
static enum be_status come_as_writer(struct reaper *reaper)
{
	return executor_direct(reaper->executor, NULL, NULL, 0);
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
		for (size_t i = 0; i < reaper->dead_count && executor->group && status == BE_OK;
		     i++)
			status = group_purge(executor->group, executor->storage, &reaper->dead[i]);
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

static struct reaper *make_reaper(struct executor *executor, int64_t now_ns,
				  const struct reap_listener *listener)
{
	struct reaper *reaper = malloc(sizeof *reaper);

	if (!reaper) {
		(void)error_set(BE_NO_MEMORY, "out of memory");
		return NULL;
	}
	reaper->executor = executor;
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
	if (status == BE_OK && executor->owners) {
		status = reap_dead_owners(reaper, thorough);
		if (status == BE_OK && thorough && !reaper->keep_unknown)
			owners_reaped_unknown(executor->owners);
	}
	*reaped = reaper->reaped;
	free(reaper);
	if (status == BE_OK)
		error_clear(); /* of what single commits were refused for */
	return status;
}

/* Is anything due, and how many commits have been reaped so far? Costs reads only. */
static enum be_status look(struct executor *executor, int64_t now_ns, bool *due,
			   uint64_t *reaped_so_far)
{
	struct ledger ledger;
	struct owner dead;
	int64_t deadline_ns = 0;
	uint64_t id = 0;
	enum be_status status;
	int found;

	*due = executor->owners && owners_find_dead(executor->owners, &dead, 1) > 0;
	status = ledger_begin(&ledger, executor->storage, false);
	if (status != BE_OK)
		return status;
	found = ledger_deadline_next(&ledger, &deadline_ns, &id);
	status = found < 0 ? (enum be_status)found : ledger_header(&ledger);
	ledger_abort(&ledger);
	if (found == 0 && deadline_ns <= now_ns)
		*due = true;
	if (status == BE_OK)
		*reaped_so_far = header_reaped(&ledger.header);
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
