/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be_prune(): keeps the ledger bounded while the pool works.
 *
 * A step is one write txn over a few records, so that nobody waits long. A transaction that is
 * removed while it still counts for a window is folded: its amount goes over to `folded` of each
 * envelope of its chain whose current window it belongs to, so that spent stays what it was, and
 * what verify adds up with it.
 *
 * A transaction knows its chain by ids. While the envelope it was charged to exists, its ancestors
 * are found by their names. When it was removed, they are looked up in a directory of all
 * envelopes, made at the first such transaction: names and ids never change, and each is compared
 * again in the txn that folds.
 */
#include "api/enforcer.h"
#include "api/sized.h"
#include "base/error.h"
#include "executor/executor.h"
#include "executor/group.h"
#include "records/ledger.h"
#include "rules/amount.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Between two steps, so that a writer who was woken when the first ended is there before the second
 * begins. */
#define PAUSE_NS 100000
/* When others write meanwhile, the pause is so many times what the last step took: pruning then
 * takes a fifth of the writer's time at most. */
#define POLITENESS 4
/* Records removed in one write txn, and looked at in it. */
#define STEP 64
#define LOOKS 1024
#define NS_PER_S INT64_C(1000000000)

struct entry {
	uint64_t id;
	struct name name;
};

/* Where envelopes are found by id. */
struct directory {
	bool is_made;
	uint64_t next_id; /* envelopes from this id on were made later, and are not in it */
	size_t count;
	size_t room;
	struct entry *entries; /* ascending by id once sorted */
};

struct pruner {
	struct environment *environment;
	int64_t before_ns;
	uint64_t next_transaction;
	uint64_t next_ended;
	uint64_t changes; /* of the header, after the last step */
	bool is_shared;   /* others wrote between the last two steps */
	bool needs_directory;
	struct directory directory;
	struct be_pruning done;
};

/* ---- the directory */

static int compare_entries(const void *a, const void *b)
{
	uint64_t left = ((const struct entry *)a)->id;
	uint64_t right = ((const struct entry *)b)->id;

	return (left > right) - (left < right);
}

static enum be_status add_entry(struct directory *directory, const struct envelope *envelope)
{
	if (directory->count == directory->room) {
		size_t room = directory->room ? 2 * directory->room : 256;
		struct entry *entries = realloc(directory->entries, room * sizeof *entries);

		if (!entries)
			return error_set(BE_NO_MEMORY, "out of memory");
		directory->entries = entries;
		directory->room = room;
	}
	directory->entries[directory->count].id = envelope->id;
	name_copy(&directory->entries[directory->count++].name, &envelope->name);
	return BE_OK;
}

/* Reads up to LOOKS envelopes from *from on; LEDGER_NONE behind the last. */
static int read_entries(struct ledger *ledger, struct directory *directory, struct record_key *from)
{
	struct envelope envelope;
	int found = 0;

	for (int i = 0; found == 0 && i < LOOKS; i++) {
		found = ledger_envelope_next(ledger, from, &envelope);
		if (found == 0)
			found = (int)add_entry(directory, &envelope);
		if (found == 0) {
			record_key_envelope(from, &envelope.name);
			from->bytes[from->size++] = 0;
		}
	}
	return found;
}

static enum be_status make_directory(struct pruner *pruner)
{
	struct directory *directory = &pruner->directory;
	struct record_key from = {.size = 1, .bytes = {RECORD_ENVELOPE}};
	int found = 0;

	while (found == 0) {
		struct ledger ledger;
		enum be_status status = ledger_begin(&ledger, pruner->environment->storage, false);

		if (status != BE_OK)
			return status;
		status = ledger_header(&ledger);
		if (directory->next_id == 0)
			directory->next_id = ledger.header.next_envelope_id;
		found = status == BE_OK ? read_entries(&ledger, directory, &from) : (int)status;
		ledger_abort(&ledger);
	}
	if (found < 0)
		return (enum be_status)found;
	if (directory->count > 0)
		qsort(directory->entries, directory->count, sizeof *directory->entries,
		      compare_entries);
	directory->is_made = true;
	return BE_OK;
}

/* NULL: removed. */
static const struct name *find_name(const struct directory *directory, uint64_t id)
{
	struct entry wanted = {.id = id};
	const struct entry *found = NULL;

	if (directory->count > 0)
		found = bsearch(&wanted, directory->entries, directory->count, sizeof wanted,
				compare_entries);
	return found ? &found->name : NULL;
}

/* ---- transactions */

/* Finds the envelope `i` of the transaction's chain: 0, LEDGER_NONE when it was removed, or a
 * fault. The one before it in the chain, if it was found, names it as its parent. Sets
 * needs_directory, and answers LEDGER_NONE, when it cannot be found without the directory. */
static int find_envelope(struct pruner *pruner, struct ledger *ledger,
			 const struct transaction *transaction, uint32_t i,
			 const struct name *parent, struct envelope *envelope)
{
	const struct name *name = i == 0 ? &transaction->name : parent;
	int found;

	if (!name) {
		if (!pruner->directory.is_made ||
		    transaction->chain[i] >= pruner->directory.next_id) {
			pruner->needs_directory = true;
			return LEDGER_NONE;
		}
		name = find_name(&pruner->directory, transaction->chain[i]);
		if (!name)
			return LEDGER_NONE;
	}
	found = ledger_envelope_get(ledger, name, envelope);
	if (found == 0 && envelope->id != transaction->chain[i])
		return LEDGER_NONE;
	return found;
}

/* Loads those of the chain that still exist. */
static enum be_status load_chain(struct pruner *pruner, struct ledger *ledger,
				 const struct transaction *transaction,
				 struct envelope envelopes[BE_DEPTH_MAX], bool exists[BE_DEPTH_MAX])
{
	const struct name *parent = NULL;

	for (uint32_t i = 0; i < transaction->depth; i++) {
		int found = find_envelope(pruner, ledger, transaction, i, parent, &envelopes[i]);

		if (found < 0)
			return (enum be_status)found;
		exists[i] = found == 0;
		parent = exists[i] && envelopes[i].parent.category_size > 0 ? &envelopes[i].parent
									    : NULL;
	}
	return BE_OK;
}

static enum be_status fold(struct pruner *pruner, struct ledger *ledger,
			   const struct transaction *transaction)
{
	struct envelope envelopes[BE_DEPTH_MAX];
	bool exists[BE_DEPTH_MAX];
	enum be_status status = load_chain(pruner, ledger, transaction, envelopes, exists);

	for (uint32_t i = 0; status == BE_OK && !pruner->needs_directory && i < transaction->depth;
	     i++) {
		if (!exists[i] || transaction->id < envelopes[i].window_first)
			continue;
		if (!amount_add(envelopes[i].folded, transaction->amount, &envelopes[i].folded))
			return error_set(BE_DAMAGED, "what is spent in \"%s\" does not add up",
					 envelopes[i].name.category);
		status = ledger_envelope_put(ledger, &envelopes[i]);
	}
	return status;
}

/* Folds and removes transactions. *more is false at the first that is too young, and behind the
 * last. */
static enum be_status prune_transactions(struct pruner *pruner, struct ledger *ledger, bool *more)
{
	struct transaction transaction;
	enum be_status status = BE_OK;
	int found;

	for (int i = 0; i < STEP && *more && status == BE_OK; i++) {
		found = ledger_transaction_next(ledger, pruner->next_transaction, &transaction);
		if (found < 0)
			return (enum be_status)found;
		*more = found == 0 && transaction.at_ns < pruner->before_ns;
		if (!*more)
			break;
		status = fold(pruner, ledger, &transaction);
		if (pruner->needs_directory)
			break;
		if (status == BE_OK)
			status = ledger_transaction_del(ledger, transaction.id);
		pruner->next_transaction = transaction.id + 1;
		pruner->done.transactions++;
	}
	return status;
}

/* ---- ended commits */

/* They lie in the order in which they were made, not ended, so all are looked at. */
static enum be_status prune_ended(struct pruner *pruner, struct ledger *ledger, bool *more)
{
	struct commit commit;
	int removed = 0;

	for (int i = 0; i < LOOKS && removed < STEP; i++) {
		int found = ledger_ended_next(ledger, pruner->next_ended, &commit);
		enum be_status status;

		if (found < 0)
			return (enum be_status)found;
		*more = found == 0;
		if (!*more)
			break;
		pruner->next_ended = commit.id + 1;
		if (commit.ended_ns >= pruner->before_ns)
			continue;
		status = ledger_ended_del(ledger, commit.id);
		if (status != BE_OK)
			return status;
		pruner->done.commits++;
		removed++;
	}
	return BE_OK;
}

/* ---- steps */

typedef enum be_status step_function(struct pruner *pruner, struct ledger *ledger, bool *more);

static enum be_status write_step(struct pruner *pruner, step_function *step, bool *more)
{
	struct pruner before = *pruner;
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, pruner->environment->storage, true);

	if (status != BE_OK)
		return status;
	status = ledger_header(&ledger);
	pruner->is_shared = status == BE_OK && ledger.header.changes != pruner->changes;
	if (status == BE_OK)
		status = step(pruner, &ledger, more);
	if (status != BE_OK) {
		ledger_abort(&ledger);
	} else {
		ledger.header.prunings++;
		status = ledger_commit(&ledger, 0);
		pruner->changes = ledger.header.changes;
	}
	if (status != BE_OK)
		pruner->done = before.done;
	return status;
}

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void pause_for(int64_t ns)
{
	nanosleep(&(struct timespec){ns / NS_PER_S, ns % NS_PER_S}, NULL);
}

static enum be_status run_step(struct pruner *pruner, step_function *step, bool *more)
{
	struct group *group = pruner->environment->group;
	enum be_status status;
	int64_t took_ns;
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = group_lock(group, pruner->environment->storage);
	took_ns = -monotonic_ns();
	if (status == BE_OK) {
		status = write_step(pruner, step, more);
		group_unlock(group, status);
	}
	took_ns += monotonic_ns();
	pthread_setcancelstate(cancel_state, NULL);
	if (status != BE_OK)
		return status;
	if (*more)
		pause_for(pruner->is_shared ? POLITENESS * took_ns : PAUSE_NS);
	return status;
}

static enum be_status prune(struct pruner *pruner,
			    bool (*progress)(void *context, const struct be_pruning *done),
			    void *context)
{
	static step_function *const steps[] = {prune_transactions, prune_ended};

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		bool more = true;

		while (more) {
			enum be_status status = run_step(pruner, steps[i], &more);

			if (status == BE_OK && pruner->needs_directory) {
				pruner->needs_directory = false;
				if (pruner->directory.is_made)
					/* charged to an envelope younger than this call: left */
					break;
				status = make_directory(pruner);
			}
			if (status != BE_OK)
				return status;
			if (progress && !progress(context, &pruner->done))
				return error_set(BE_STOPPED, "the callback ended the pruning");
		}
	}
	return BE_OK;
}

enum be_status be_prune(struct be_enforcer *handle, int64_t before_ns,
			bool (*progress)(void *context, const struct be_pruning *done),
			void *context, struct be_pruning *pruning)
{
	struct pruner pruner = {.before_ns = before_ns, .next_transaction = 1, .next_ended = 1};
	enum be_status status;

	error_clear();
	status = sized_clear(pruning);
	if (!handle)
		return error_set(BE_INVALID_ARGUMENT, "no handle was given");
	if (status == BE_OK)
		status = enforcer_environment(handle, &pruner.environment);
	if (status == BE_OK &&
	    (pruner.environment->read_only || handle->settings.flags & BE_OPEN_READ_ONLY))
		status = error_set(BE_READ_ONLY, "the handle was opened read-only");
	if (status != BE_OK)
		return error_default(status);
	pruner.done.size = sizeof pruner.done;
	status = prune(&pruner, progress, context);
	/* What was removed is removed, even when a later step failed. */
	sized_write(pruning, &pruner.done, sizeof pruner.done);
	free(pruner.directory.entries);
	return error_default(status);
}
