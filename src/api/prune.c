/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be_prune(): keeps the ledger bounded while the pool works.
 *
 * A step gathers some records in a read txn, which holds up no writer, and removes them in a write
 * txn. A transaction that still counts for a window is folded when it is removed: its amount is
 * added to `folded` of each envelope of its chain whose current window it belongs to. So spent
 * stays what it was, and verify still adds up to it. The amounts are added up while they are
 * gathered. Between the two txns an envelope may be removed, or a window may end, and the next
 * window begins behind everything that was gathered. The write txn sees both, and then folds
 * nothing. When another process has pruned meanwhile, the step is done again. What the txn removes
 * it adds to the daily sums, too (days.c).
 *
 * A txn costs the same flushes however much it carries. A step is so large that its work takes as
 * long as its flushes, so that pruning keeps ahead of a pool that writes many changes with each
 * flush. When the disk or the map is full, a txn needs free pages before it can free some; steps
 * then become smaller until one fits.
 *
 * A transaction knows its chain by ids. While the envelope that it was charged to exists, its
 * ancestors are found by their names. When that envelope has been removed, they are looked up in a
 * directory of all envelopes, which is made at the first such transaction. Ids never change, and
 * the txn that folds compares each of them again.
 *
 * Cancellation is off but for the pauses between steps.
 */
#include "api/days.h"
#include "api/enforcer.h"
#include "api/sized.h"
#include "base/by_id.h"
#include "base/error.h"
#include "base/futex.h"
#include "executor/attempt.h"
#include "executor/executor.h"
#include "executor/group.h"
#include "records/ledger.h"
#include "rules/amount.h"
#include "rules/requests.h"
#include "storage/backend.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Between two steps, so that a writer that was woken at the end of the first is running before the
 * second begins. */
#define PAUSE_NS 100000
/* When others write meanwhile, the pause is so many times what the last write txn took: pruning
 * then takes an eleventh of the writer's time at most. */
#define POLITENESS 10
/* How many records one write txn removes: at most, and at first and where a flush costs nothing.
 * The work may take so many times as long as the flush. */
#define STEP_MAX 4096
#define STEP_MIN 64
#define WORK_PER_FLUSH 1
/* Records looked at in one read txn. */
#define LOOKS 4096
/* Txns that only make pages free, before it is given up. */
#define RESTS_MAX 8
/* Envelopes that one transaction may have charged. */
#define CHARGED_MAX (BE_ENVELOPES_MAX * BE_DEPTH_MAX)
/* Envelopes that one step may fold into, and places to find them by their ids. */
#define SUMS 384
#define PLACES ((size_t)4 * SUMS)
#define NS_PER_S INT64_C(1000000000)

struct named_id {
	uint64_t id;
	struct name name;
};

/* Where the names of envelopes are found by id. */
struct directory {
	bool is_made;
	uint64_t next_id;   /* envelopes from this id on were made later, and are not in it */
	struct by_id names; /* struct named_id */
};

/* What one step folds into one envelope. */
struct sum {
	uint64_t id;
	bool exists;
	uint64_t window_first;
	int64_t amount;
	struct name name;
	struct name parent; /* its category is empty: none */
};

/* What one step removes. */
struct removal {
	uint64_t prunings; /* of the header, then */
	size_t count;
	uint64_t ids[STEP_MAX];
	bool may_change[STEP_MAX]; /* ended commits: one that was reaped can be settled late */
	uint8_t further[STEP_MAX]; /* transactions: their further envelopes */
	bool has_labels[STEP_MAX]; /* likewise */
	size_t sum_count;
	struct sum sums[SUMS];
	uint16_t places[PLACES]; /* one more than an index into `sums`; 0: empty */
	struct days days;
};

struct pruner {
	struct environment *environment;
	struct be_prune_options options;
	int64_t now_ns;
	size_t step;      /* records in the next one */
	uint64_t next_id; /* of a transaction or an ended commit, to be gathered */
	uint64_t changes; /* of the header, after the last step */
	bool is_shared;   /* others wrote between the last two steps */
	bool was_pruned;  /* by somebody else, between the two txns of a step */
	bool needs_directory;
	struct directory directory;
	struct removal *removal;
	int64_t took_ns; /* the last write txn, */
	int64_t work_ns; /* and what came before its commit */
	enum be_status status;
	struct be_pruning done;
	int rests;    /* txns that changed nothing, since the last that did */
	bool has_sum; /* the last daily sum that was gathered */
	struct day_sum sum;
};

/* ---- the directory */

static enum be_status add_name(struct directory *directory, const struct envelope *envelope)
{
	struct named_id *added = by_id_add(&directory->names, envelope->id);

	if (!added)
		return error_set(BE_NO_MEMORY, "out of memory");
	name_copy(&added->name, &envelope->name);
	return BE_OK;
}

/* Reads up to LOOKS envelopes from *from on; LEDGER_NONE behind the last. */
static int read_names(struct ledger *ledger, struct directory *directory, struct record_key *from)
{
	struct envelope envelope;
	int found = 0;

	for (int i = 0; found == 0 && i < LOOKS; i++) {
		found = ledger_envelope_next(ledger, from, &envelope);
		if (found == 0)
			found = (int)add_name(directory, &envelope);
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

	directory->is_made = false;
	directory->next_id = 0;
	by_id_clear(&directory->names);
	while (found == 0) {
		struct ledger ledger;
		enum be_status status =
			ledger_begin(&ledger, pruner->environment->executor.storage, false);

		if (status != BE_OK)
			return status;
		status = ledger_header(&ledger);
		if (directory->next_id == 0)
			directory->next_id = ledger.header.next_envelope_id;
		found = status == BE_OK ? read_names(&ledger, directory, &from) : (int)status;
		ledger_abort(&ledger);
	}
	if (found < 0)
		return (enum be_status)found;
	by_id_sort(&directory->names);
	directory->is_made = true;
	return BE_OK;
}

/* NULL: removed. */
static const struct name *find_name(const struct directory *directory, uint64_t id)
{
	const struct named_id *found = by_id_find(&directory->names, id);

	return found ? &found->name : NULL;
}

/* ---- sums */

/* The sum for the envelope `id`. NULL: there is none yet, and *place is where it belongs. */
static struct sum *find_sum(struct removal *removal, uint64_t id, size_t *place)
{
	for (*place = id % PLACES; removal->places[*place] != 0; *place = (*place + 1) % PLACES) {
		struct sum *sum = &removal->sums[removal->places[*place] - 1];

		if (sum->id == id)
			return sum;
	}
	return NULL;
}

/* Finds the envelope `id` of a chain by its name, or by the directory if `name` is NULL. Sets
 * needs_directory when the directory is needed and does not know it yet. */
static enum be_status fill_sum(struct pruner *pruner, struct ledger *ledger,
			       const struct name *name, struct sum *sum)
{
	struct envelope envelope;
	struct renamed renamed;
	int found;

	sum->exists = false;
	sum->amount = 0;
	sum->parent.category_size = 0;
	if (!name) {
		pruner->needs_directory =
			!pruner->directory.is_made || sum->id >= pruner->directory.next_id;
		name = pruner->needs_directory ? NULL : find_name(&pruner->directory, sum->id);
	}
	/* One that was renamed while the directory was made may be missing there. */
	if (!name && !pruner->needs_directory) {
		found = ledger_renamed_get(ledger, sum->id, &renamed);
		if (found < 0 && found != LEDGER_NONE)
			return (enum be_status)found;
		name = found == 0 ? &renamed.name : NULL;
	}
	if (!name)
		return BE_OK;
	found = ledger_envelope_known(ledger, name, sum->id, &envelope);
	if (found < 0)
		return (enum be_status)found;
	sum->exists = found == 0;
	if (sum->exists) {
		sum->window_first = envelope.window_first;
		name_copy(&sum->name, &envelope.name);
		name_copy(&sum->parent, &envelope.parent);
	}
	return BE_OK;
}

/* Finds the sums for a chain, or makes them; `name` is that of the first. */
static enum be_status find_sums(struct pruner *pruner, struct ledger *ledger,
				const struct name *name, const uint64_t *ids, uint32_t depth,
				struct sum *chain[])
{
	struct removal *removal = pruner->removal;

	for (uint32_t i = 0; i < depth; i++) {
		enum be_status status;
		size_t place;

		if (i > 0)
			name = chain[i - 1]->exists && chain[i - 1]->parent.category_size > 0
				       ? &chain[i - 1]->parent
				       : NULL;
		chain[i] = find_sum(removal, ids[i], &place);
		if (chain[i])
			continue;
		assert(removal->sum_count < SUMS);
		chain[i] = &removal->sums[removal->sum_count];
		chain[i]->id = ids[i];
		status = fill_sum(pruner, ledger, name, chain[i]);
		if (status != BE_OK || pruner->needs_directory)
			return status;
		removal->places[place] = (uint16_t)++removal->sum_count;
	}
	return BE_OK;
}

/* Adds a transaction to the sums of those envelopes that it charged and that still exist, and to
 * those of its day: once all of these are found, so that it is done again as a whole when the
 * directory is needed. */
static enum be_status add_to_sums(struct pruner *pruner, struct ledger *ledger,
				  const struct transaction *transaction)
{
	struct sum *sums[CHARGED_MAX];
	uint32_t count = transaction->depth;
	enum be_status status = find_sums(pruner, ledger, &transaction->name, transaction->chain,
					  transaction->depth, sums);
	uint8_t names[DAY_NAMES_MAX], *end = name_pack(names, &transaction->name);
	struct further further;

	for (uint32_t i = 0; i < transaction->further && status == BE_OK; i++) {
		if (pruner->needs_directory)
			break;
		status = ledger_further_get(ledger, RECORD_TRANSACTION, transaction->id, i,
					    &further);
		if (status == BE_OK)
			status = find_sums(pruner, ledger, &further.name, further.chain,
					   further.depth, sums + count);
		if (status != BE_OK)
			break;
		end = name_pack(end, &further.name);
		count += further.depth;
	}
	if (status != BE_OK || pruner->needs_directory)
		return status;
	for (uint32_t i = 0; i < count; i++)
		if (sums[i]->exists &&
		    transaction_counts_as(transaction) >= sums[i]->window_first &&
		    !amount_add(sums[i]->amount, transaction->amount, &sums[i]->amount))
			return error_set(BE_DAMAGED, "what is spent in \"%s\" does not add up",
					 sums[i]->name.category);
	return days_add(&pruner->removal->days, transaction, names, (size_t)(end - names));
}

static enum be_status fold(struct ledger *ledger, const struct sum *sum)
{
	struct envelope envelope;
	int found = ledger_envelope_known(ledger, &sum->name, sum->id, &envelope);

	assert(sum->amount != 0);
	if (found < 0)
		return (enum be_status)found;
	if (found != 0 || envelope.window_first != sum->window_first)
		return BE_OK;
	/* What corrections give back was charged before, and is folded before. */
	if (!amount_add(envelope.folded, sum->amount, &envelope.folded) || envelope.folded < 0)
		return error_set(BE_DAMAGED, "what is spent in \"%s\" does not add up",
				 envelope.name.category);
	return ledger_envelope_put(ledger, &envelope);
}

/* ---- gathering */

/* Looks at the next record, and moves on. Returns 0, LEDGER_NONE when nothing is left to be pruned,
 * or a fault. */
typedef int gather_function(struct pruner *pruner, struct ledger *ledger);

static int gather_transaction(struct pruner *pruner, struct ledger *ledger)
{
	struct removal *removal = pruner->removal;
	struct transaction transaction;
	enum be_status status;
	int found = ledger_transaction_next(ledger, pruner->next_id, &transaction);

	if (found == 0 &&
	    (transaction.at_ns >= pruner->options.before_ns ||
	     (pruner->options.below_id != 0 && transaction.id >= pruner->options.below_id)))
		found = LEDGER_NONE;
	if (found != 0)
		return found;
	status = pruner->options.dry_run ? BE_OK : add_to_sums(pruner, ledger, &transaction);
	if (status != BE_OK || pruner->needs_directory)
		return (int)status;
	assert(removal->count < STEP_MAX);
	removal->further[removal->count] = transaction.further;
	removal->has_labels[removal->count] = transaction.labels > 0;
	removal->ids[removal->count++] = transaction.id;
	pruner->next_id = transaction.id + 1;
	return 0;
}

/* Ended commits lie in the order in which they were made, not ended, so all are looked at. */
static int gather_ended(struct pruner *pruner, struct ledger *ledger)
{
	struct removal *removal = pruner->removal;
	struct commit commit;
	int found = ledger_ended_next(ledger, pruner->next_id, &commit);

	if (found != 0)
		return found;
	pruner->next_id = commit.id + 1;
	if (commit.ended_ns >= pruner->options.before_ns)
		return 0;
	assert(removal->count < STEP_MAX);
	removal->may_change[removal->count] =
		commit.state == BE_COMMIT_EXPIRED || commit.state == BE_COMMIT_ORPHANED;
	removal->ids[removal->count++] = commit.id;
	return 0;
}

/* They lie in the order in which they were given. */
static int gather_alert(struct pruner *pruner, struct ledger *ledger)
{
	struct removal *removal = pruner->removal;
	struct alert alert;
	int found = ledger_alert_next(ledger, pruner->next_id, &alert);

	if (found == 0 && alert.at_ns >= pruner->options.before_ns)
		found = LEDGER_NONE;
	if (found != 0)
		return found;
	assert(removal->count < STEP_MAX);
	removal->ids[removal->count++] = alert.id;
	pruner->next_id = alert.id + 1;
	return 0;
}

/* Those of transactions that are gone, which are the oldest. */
static int gather_given_back(struct pruner *pruner, struct ledger *ledger)
{
	struct removal *removal = pruner->removal;
	struct transaction transaction;
	struct given_back given_back;
	int found = ledger_given_back_next(ledger, pruner->next_id, &given_back);

	if (found != 0)
		return found;
	found = ledger_transaction_get(ledger, given_back.id, &transaction);
	if (found != LEDGER_NONE)
		return found == 0 ? LEDGER_NONE : found;
	assert(removal->count < STEP_MAX);
	removal->ids[removal->count++] = given_back.id;
	pruner->next_id = given_back.id + 1;
	return 0;
}

/* They lie in the order of their days. Those that were gathered before are gone, but in a dry
 * run. */
static int gather_sum(struct pruner *pruner, struct ledger *ledger)
{
	int found = pruner->options.sums_before_ns == 0
			    ? LEDGER_NONE
			    : ledger_day_next(ledger, pruner->has_sum ? &pruner->sum : NULL,
					      &pruner->sum);

	if (found == 0 && pruner->sum.day >= day_of(pruner->options.sums_before_ns))
		found = LEDGER_NONE;
	if (found != 0)
		return found;
	assert(pruner->removal->count < STEP_MAX);
	pruner->removal->count++;
	pruner->has_sum = true;
	return 0;
}

/* Fills the removal, in a read txn. *more is false when no record is left behind it. */
static enum be_status gather(struct pruner *pruner, gather_function *next, bool *more)
{
	struct removal *removal = pruner->removal;
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, pruner->environment->executor.storage, false);
	int found = 0;

	if (status != BE_OK)
		return status;
	ledger.strict = true;
	removal->count = removal->sum_count = 0;
	days_clear(&removal->days);
	pruner->has_sum = pruner->has_sum && pruner->options.dry_run;
	memset(removal->places, 0, sizeof removal->places);
	status = ledger_header(&ledger);
	removal->prunings = ledger.header.prunings;
	for (int i = 0; status == BE_OK && found == 0 && i < LOOKS; i++) {
		if (removal->count >= pruner->step || removal->sum_count > SUMS - CHARGED_MAX)
			break;
		found = next(pruner, &ledger);
		if (pruner->needs_directory)
			break;
	}
	ledger_abort(&ledger);
	*more = found == 0;
	return found < 0 ? (enum be_status)found : status;
}

/* ---- removing: what was gathered, in a write txn */

typedef enum be_status remove_function(struct pruner *pruner, struct ledger *ledger);

static enum be_status remove_transactions(struct pruner *pruner, struct ledger *ledger)
{
	const struct removal *removal = pruner->removal;
	enum be_status status = BE_OK;

	for (size_t i = 0; status == BE_OK && i < removal->sum_count; i++)
		if (removal->sums[i].exists && removal->sums[i].amount != 0)
			status = fold(ledger, &removal->sums[i]);
	for (size_t i = 0; status == BE_OK && i < removal->count; i++) {
		status = ledger_transaction_del(ledger, removal->ids[i]);
		if (status == BE_OK && removal->further[i] > 0)
			status = ledger_further_del(ledger, RECORD_TRANSACTION, removal->ids[i],
						    removal->further[i]);
		if (status == BE_OK && removal->has_labels[i])
			status = ledger_labels_del(ledger, RECORD_TRANSACTION, removal->ids[i]);
	}
	if (status == BE_OK)
		status = days_fold(ledger, &removal->days);
	ledger->header.pruned = removal->ids[removal->count - 1];
	pruner->done.transactions += removal->count;
	return status;
}

static enum be_status remove_ended(struct pruner *pruner, struct ledger *ledger)
{
	const struct removal *removal = pruner->removal;
	enum be_status status = BE_OK;
	struct commit commit;

	for (size_t i = 0; status == BE_OK && i < removal->count; i++) {
		uint64_t id = removal->ids[i];

		commit.further = commit.labels = 0;
		if (removal->may_change[i]) {
			int found = ledger_ended_next(ledger, id, &commit);

			if (found < 0)
				return (enum be_status)found;
			if (found != 0 || commit.id != id ||
			    commit.ended_ns >= pruner->options.before_ns)
				continue;
		}
		status = ledger_ended_del(ledger, id);
		if (status == BE_OK && commit.further > 0)
			status = ledger_further_del(ledger, RECORD_COMMIT, id, commit.further);
		if (status == BE_OK && commit.labels > 0)
			status = ledger_labels_del(ledger, RECORD_COMMIT, id);
		pruner->done.commits++;
	}
	return status;
}

static enum be_status remove_alerts(struct pruner *pruner, struct ledger *ledger)
{
	const struct removal *removal = pruner->removal;
	enum be_status status = BE_OK;

	for (size_t i = 0; status == BE_OK && i < removal->count; i++)
		status = ledger_alert_del(ledger, removal->ids[i]);
	pruner->done.alerts += removal->count;
	return status;
}

static enum be_status remove_given_back(struct pruner *pruner, struct ledger *ledger)
{
	const struct removal *removal = pruner->removal;
	enum be_status status = BE_OK;

	for (size_t i = 0; status == BE_OK && i < removal->count; i++)
		status = ledger_given_back_del(ledger, removal->ids[i]);
	return status;
}

/* The first ones, as many as were gathered. */
static enum be_status remove_sums(struct pruner *pruner, struct ledger *ledger)
{
	for (size_t i = 0; i < pruner->removal->count; i++) {
		int found = ledger_day_next(ledger, NULL, &pruner->sum);
		enum be_status status;

		if (found < 0)
			return (enum be_status)found;
		if (found != 0 || pruner->sum.day >= day_of(pruner->options.sums_before_ns))
			break;
		status = ledger_day_del(ledger, &pruner->sum);
		if (status != BE_OK)
			return status;
		pruner->done.daily_sums++;
	}
	return BE_OK;
}

/* ---- steps */

static enum be_status write_step(struct pruner *pruner, struct remote *remote,
				 remove_function *remove)
{
	struct be_pruning before = pruner->done;
	int64_t begun_ns = monotonic_ns();
	struct attempt attempt;
	struct ledger ledger;
	enum be_status status;

	attempt_open(&attempt, pruner->environment->executor.storage, remote, NULL);
	do {
		pruner->done = before;
		status = attempt_begin(&attempt, &ledger);
		if (status != BE_OK)
			continue;
		status = ledger_header(&ledger);
		pruner->is_shared = status == BE_OK && ledger.header.changes != pruner->changes;
		pruner->was_pruned =
			status == BE_OK && ledger.header.prunings != pruner->removal->prunings;
		if (status == BE_OK && !pruner->was_pruned)
			status = remove(pruner, &ledger);
		if (status == BE_OK && !pruner->was_pruned)
			ledger.header.prunings++;
		pruner->work_ns = monotonic_ns() - begun_ns;
		status = attempt_end(&attempt, &ledger, status);
		if (!pruner->was_pruned)
			pruner->changes = ledger.header.changes;
	} while (attempt_again(&attempt, &status));
	attempt_close(&attempt);
	pruner->took_ns = monotonic_ns() - begun_ns;
	if (status != BE_OK)
		pruner->done = before;
	return status;
}

/* Sizes the next step by what this one cost. */
static void adjust_step(struct pruner *pruner)
{
	int64_t flush_ns = pruner->took_ns - pruner->work_ns;
	int64_t each_ns = pruner->work_ns / (int64_t)pruner->removal->count + 1;
	size_t most = 2 * pruner->step;
	size_t fitting = (size_t)(WORK_PER_FLUSH * flush_ns / each_ns);

	if (fitting < STEP_MIN)
		fitting = STEP_MIN;
	pruner->step = fitting < most ? fitting : most;
	if (pruner->step > STEP_MAX)
		pruner->step = STEP_MAX;
}

static enum be_status write_step_locked(struct pruner *pruner, remove_function *remove)
{
	struct group *group;
	struct remote *remote;
	enum be_status status = executor_lock(&pruner->environment->executor, &group, &remote);

	if (status != BE_OK)
		return status;
	status = write_step(pruner, remote, remove);
	group_unlock(group, status);
	return status;
}

/* A txn that changes the header only. */
static enum be_status remove_nothing(struct pruner *pruner, struct ledger *ledger)
{
	(void)pruner;
	ledger->changes++;
	return BE_OK;
}

/* Can a smaller step do what this one could not? Also frees the pages that dead readers kept, and,
 * when no step is smaller, those that the last txns freed: they are kept for two more, of which
 * each needs very few here. */
static bool may_fit(struct pruner *pruner, enum be_status status)
{
	const struct be_storage *storage = pruner->environment->executor.storage;

	if (status == BE_OK)
		pruner->rests = 0;
	if (status != BE_DISK_FULL && status != BE_MAP_FULL)
		return false;
	if (pruner->step == 1 &&
	    (pruner->rests++ == RESTS_MAX || write_step_locked(pruner, remove_nothing) != BE_OK))
		return false;
	pruner->step = pruner->step / 4 + (pruner->step < 4);
	if (backend_of(storage)->clear_readers)
		(void)backend_of(storage)->clear_readers(storage->self, NULL);
	error_clear();
	return true;
}

struct kind {
	gather_function *gather;
	remove_function *remove;
	size_t counter; /* in struct be_pruning; 0: none */
};

static void only_count(struct pruner *pruner, const struct kind *kind)
{
	if (kind->counter > 0)
		*(uint64_t *)((char *)&pruner->done + kind->counter) += pruner->removal->count;
}

/* *more is false behind the last record. */
static enum be_status run_step(struct pruner *pruner, const struct kind *kind, bool *more)
{
	uint64_t first = pruner->next_id;
	enum be_status status = gather(pruner, kind->gather, more);

	if (status != BE_OK)
		return status;
	pruner->took_ns = 0;
	pruner->was_pruned = false;
	if (pruner->options.dry_run) {
		only_count(pruner, kind);
	} else if (pruner->removal->count > 0) {
		status = write_step_locked(pruner, kind->remove);
		if (status == BE_OK && !pruner->was_pruned)
			adjust_step(pruner);
	}
	if (pruner->was_pruned || may_fit(pruner, status)) {
		pruner->next_id = first;
		*more = true;
		return BE_OK;
	}
	if (status == BE_OK && pruner->needs_directory) {
		pruner->needs_directory = false;
		*more = true;
		status = make_directory(pruner);
	}
	return status;
}

/* Forgets the keys whose time is over, so many in each txn. *more: there may be others. */
static enum be_status forget_keys(struct pruner *pruner, bool *more)
{
	struct executor *executor = &pruner->environment->executor;
	int64_t begun_ns = monotonic_ns();
	struct attempt attempt;
	struct ledger ledger;
	struct group *group;
	struct remote *remote;
	uint32_t count = 0;
	enum be_status status = executor_lock(executor, &group, &remote);

	*more = false;
	if (status != BE_OK)
		return status;
	attempt_open(&attempt, executor->storage, remote, NULL);
	do {
		status = attempt_begin(&attempt, &ledger);
		if (status != BE_OK)
			continue;
		status = requests_forget(&ledger, pruner->now_ns, STEP_MIN, &count);
		status = attempt_end(&attempt, &ledger, status);
	} while (attempt_again(&attempt, &status));
	attempt_close(&attempt);
	group_unlock(group, status);
	pruner->took_ns = monotonic_ns() - begun_ns;
	*more = status == BE_OK && count == STEP_MIN;
	return status;
}

/* A thread may be cancelled here. */
static void pause_after_step(const struct pruner *pruner, int cancel_state)
{
	int64_t ns = pruner->is_shared ? POLITENESS * pruner->took_ns : PAUSE_NS;

	if (pruner->took_ns == 0)
		return;
	pthread_setcancelstate(cancel_state, NULL);
	nanosleep(&(struct timespec){ns / NS_PER_S, ns % NS_PER_S}, NULL);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

static enum be_status prune(struct pruner *pruner, int cancel_state)
{
	static const struct kind kinds[] = {
		{gather_transaction, remove_transactions,
		 offsetof(struct be_pruning, transactions)},
		{gather_ended, remove_ended, offsetof(struct be_pruning, commits)},
		{gather_alert, remove_alerts, offsetof(struct be_pruning, alerts)},
		{gather_given_back, remove_given_back, 0},
		{gather_sum, remove_sums, offsetof(struct be_pruning, daily_sums)},
	};
	const struct be_prune_options *options = &pruner->options;
	enum be_status status = BE_OK;
	bool more = true;

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		more = true;
		pruner->next_id = 1;
		while (more) {
			status = run_step(pruner, &kinds[i], &more);
			if (status != BE_OK)
				return status;
			if (options->progress &&
			    !options->progress(options->context, &pruner->done))
				return error_set(BE_STOPPED, "the callback ended the pruning");
			if (more)
				pause_after_step(pruner, cancel_state);
		}
	}
	more = !options->dry_run;
	while (status == BE_OK && more) {
		status = forget_keys(pruner, &more);
		if (more)
			pause_after_step(pruner, cancel_state);
	}
	return status;
}

static void give_back(void *context)
{
	struct pruner *pruner = context;

	by_id_free(&pruner->directory.names);
	if (pruner->removal)
		days_free(&pruner->removal->days);
	free(pruner->removal);
}

/* The memory is freed also when the thread is cancelled. */
static void prune_uncancelled(struct pruner *pruner)
{
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pruner->removal = calloc(1, sizeof *pruner->removal);
	pthread_cleanup_push(give_back, pruner);
	pruner->status = pruner->removal ? prune(pruner, cancel_state)
					 : error_set(BE_NO_MEMORY, "out of memory");
	pthread_cleanup_pop(true);
	pthread_setcancelstate(cancel_state, NULL);
}

static enum be_status prune_as(struct be_enforcer *handle, const struct be_prune_options *options,
			       struct be_pruning *pruning)
{
	struct pruner pruner = {
		.step = STEP_MIN,
		.directory.names = BY_ID_OF(struct named_id),
		.options = *options,
	};
	enum be_status status =
		options->dry_run ? enforcer_environment(handle, &pruner.environment)
				 : enforcer_environment_to_write(handle, &pruner.environment);

	if (status != BE_OK)
		return error_default(status);
	pruner.now_ns = enforcer_now(handle);
	pruner.done.size = sizeof pruner.done;
	prune_uncancelled(&pruner);
	/* The caller learns what was removed even when a later step failed. */
	sized_write(pruning, &pruner.done);
	return error_default(pruner.status);
}

enum be_status be_prune_with(struct be_enforcer *handle, const struct be_prune_options *options,
			     struct be_pruning *pruning)
{
	struct be_prune_options chosen = BE_PRUNE_OPTIONS_INIT;
	enum be_status status;

	error_clear();
	status = sized_clear(pruning);
	if (!handle || !options)
		return error_set(BE_INVALID_ARGUMENT, "no %s given",
				 handle ? "options were" : "handle was");
	if (status == BE_OK)
		status = sized_read(options, &chosen);
	if (status == BE_OK && !sized_is_zero(chosen.reserved, sizeof chosen.reserved))
		status = sized_refuse_unknown();
	return status == BE_OK ? prune_as(handle, &chosen, pruning) : error_default(status);
}

enum be_status be_prune(struct be_enforcer *handle, int64_t before_ns,
			bool (*progress)(void *context, const struct be_pruning *done),
			void *context, struct be_pruning *pruning)
{
	struct be_prune_options options = BE_PRUNE_OPTIONS_INIT;
	enum be_status status;

	error_clear();
	status = sized_clear(pruning);
	if (!handle)
		return error_set(BE_INVALID_ARGUMENT, "no handle was given");
	options.before_ns = before_ns;
	options.progress = progress;
	options.context = context;
	return status == BE_OK ? prune_as(handle, &options, pruning) : error_default(status);
}
