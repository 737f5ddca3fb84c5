/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listings. Each reads a page of records in one short read txn, ends the txn, and only then
 * shows the records to the caller, whose function may take long: an open txn would keep LMDB from
 * reusing the pages that every commit frees. The next page begins behind the last key.
 */
#include "api/enforcer.h"
#include "api/sized.h"
#include "base/error.h"
#include "records/ledger.h"
#include "rules/rules.h"
#include "sharing/counts.h"
#include "storage/backend.h"

#include <stdlib.h>

#define PAGE 64
/* Records looked at in one txn, whether or not they pass the filter. */
#define LOOKS 1024
/* After so many records, which are some megabytes, a listing lets go of the pages that it has read.
 * Otherwise a listing of millions would make the process look as large as the data file. */
#define LET_GO 16384

union row {
	struct {
		struct be_envelope envelope;
		uint64_t tally;
	};
	struct be_commit_info commit;
	struct be_transaction transaction;
};

/* Where a listing stands. */
struct cursor {
	struct record_key key; /* envelopes */
	uint64_t id;           /* commits, transactions */
};

struct query {
	struct environment *environment;
	struct owners *owners; /* commits: who is asked for the life of theirs */
	struct be_filter filter;
	int64_t now_ns;
	uint64_t shown;
	uint64_t looked; /* at records */
	struct cursor cursor;
	struct counts_page counts; /* of refusals, read so far */

	/* Reads the next record and moves on: 0 and *matches, LEDGER_NONE, or a fault. */
	int (*read)(struct query *query, struct ledger *ledger, union row *row, bool *matches);
	bool (*show)(struct query *query, union row *row);

	bool (*each_envelope)(void *context, const struct be_envelope *envelope);
	bool (*each_commit)(void *context, const struct be_commit_info *commit);
	bool (*each_transaction)(void *context, const struct be_transaction *transaction);
	void *context;
	union row rows[PAGE];
};

/* ---- filters */

static bool names_match(const struct be_filter *filter, const struct name *name)
{
	if (filter->namespace_name && strcmp(filter->namespace_name, name->namespace_name) != 0)
		return false;
	return !filter->category || strcmp(filter->category, name->category) == 0;
}

static bool figures_match(const struct be_filter *filter, int64_t at_ns, int64_t amount)
{
	if (filter->since_ns != 0 && at_ns < filter->since_ns)
		return false;
	if (filter->until_ns != 0 && at_ns >= filter->until_ns)
		return false;
	if (amount < filter->min_amount)
		return false;
	return filter->max_amount == 0 || amount <= filter->max_amount;
}

/* ---- envelopes */

/* The first key behind `key`: the same with a zero byte after it. */
static void step_over(struct record_key *key, const struct name *name)
{
	record_key_envelope(key, name);
	key->bytes[key->size++] = 0;
}

/* Where the envelopes begin that a filter lets through: with the first, or behind the one named. */
static enum be_status begin_envelopes(const struct be_filter *filter, struct record_key *key)
{
	struct name after;
	enum be_status status;

	key->bytes[0] = RECORD_ENVELOPE;
	key->size = 1;
	if (!filter->after_category)
		return BE_OK;
	status = name_set_namespace(&after, filter->after_namespace ? filter->after_namespace : "");
	if (status == BE_OK)
		status = name_set_category(&after, filter->after_category);
	if (status == BE_OK)
		step_over(key, &after);
	return status;
}

static int read_envelope(struct query *query, struct ledger *ledger, union row *row, bool *matches)
{
	struct envelope envelope;
	int found = ledger_envelope_next(ledger, &query->cursor.key, &envelope);
	enum be_status status;

	if (found != 0)
		return found;
	step_over(&query->cursor.key, &envelope.name);
	*matches = names_match(&query->filter, &envelope.name) &&
		   figures_match(&query->filter, envelope.created_ns, envelope.limit);
	if (!*matches)
		return 0;
	status = rules_roll_over(ledger, &envelope, query->now_ns, 1);
	if (status != BE_OK)
		return (int)status;
	row->envelope.size = sizeof row->envelope;
	rules_describe_envelope(&envelope, &row->envelope);
	row->tally = envelope.tally;
	return 0;
}

static bool show_envelope(struct query *query, union row *row)
{
	counts_show(query->environment->counts, &query->counts, row->tally, &row->envelope);
	return query->each_envelope(query->context, &row->envelope);
}

/* ---- commits */

/* An owner is a slot of this environment's be-owners. Where that file is missing, as after a
 * restore, no owner lives, even if processes of the original environment do. */
static bool owner_lives(const struct query *query, const struct commit *commit)
{
	if (commit->owner.generation == 0 || query->environment->is_given)
		return true;
	return query->owners && owners_alive(query->owners, &commit->owner);
}

/* The state that reaping would end it with, in the order in which reaping looks; pending if it
 * would not. */
static enum be_commit_state state_of(const struct query *query, const struct be_commit_info *info)
{
	if (info->deadline_ns != 0 && info->deadline_ns <= query->now_ns)
		return BE_COMMIT_EXPIRED;
	return info->owner_alive || info->detached ? BE_COMMIT_PENDING : BE_COMMIT_ORPHANED;
}

static int read_commit(struct query *query, struct ledger *ledger, union row *row, bool *matches)
{
	struct be_commit_info *info = &row->commit;
	struct commit commit;
	int found = ledger_commit_next(ledger, query->cursor.id, &commit);

	if (found != 0)
		return found;
	query->cursor.id = commit.id + 1;
	*matches = names_match(&query->filter, &commit.name) &&
		   figures_match(&query->filter, commit.created_ns, commit.amount);
	if (!*matches)
		return 0;
	memset(info, 0, sizeof *info);
	info->size = sizeof *info;
	info->reap_policy = commit.reap_policy;
	info->owner_pid = commit.owner.pid;
	info->id = commit.id;
	info->owner_id = commit.owner.generation;
	info->amount = commit.amount;
	info->created_ns = commit.created_ns;
	info->deadline_ns = commit.deadline_ns;
	info->detached = commit.detached;
	info->owner_alive = owner_lives(query, &commit);
	info->state = state_of(query, info);
	memcpy(info->namespace_name, commit.name.namespace_name, commit.name.namespace_size);
	memcpy(info->category, commit.name.category, commit.name.category_size);
	memcpy(info->description, commit.description, commit.description_size);
	return 0;
}

static bool show_commit(struct query *query, union row *row)
{
	return query->each_commit(query->context, &row->commit);
}

/* ---- transactions */

static int read_transaction(struct query *query, struct ledger *ledger, union row *row,
			    bool *matches)
{
	struct transaction transaction;
	int found = ledger_transaction_next(ledger, query->cursor.id, &transaction);

	if (found != 0)
		return found;
	query->cursor.id = transaction.id + 1;
	*matches = names_match(&query->filter, &transaction.name) &&
		   figures_match(&query->filter, transaction.at_ns, transaction.amount);
	if (*matches)
		rules_describe_transaction(&transaction, &row->transaction);
	return 0;
}

static bool show_transaction(struct query *query, union row *row)
{
	return query->each_transaction(query->context, &row->transaction);
}

/* ---- pages */

static enum be_status read_page(struct query *query, size_t *count, bool *more)
{
	const struct be_storage *storage = query->environment->executor.storage;
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, storage, false);
	size_t wanted = PAGE;
	int found = 0;

	if (status != BE_OK)
		return status;
	if (query->filter.max_count != 0 && query->filter.max_count - query->shown < wanted)
		wanted = (size_t)(query->filter.max_count - query->shown);
	*count = 0;
	for (int looks = 0; found == 0 && *count < wanted && looks < LOOKS; looks++) {
		bool matches = false;

		query->looked++;
		found = query->read(query, &ledger, &query->rows[*count], &matches);
		if (found == 0 && matches)
			(*count)++;
	}
	if (query->looked >= LET_GO && backend_of(storage)->let_go)
		backend_of(storage)->let_go(ledger.txn);
	ledger_abort(&ledger);
	*more = found == 0;
	return found < 0 ? (enum be_status)found : BE_OK;
}

static enum be_status list(struct query *query)
{
	enum be_status status = BE_OK;
	char fault[ERROR_TEXT_SIZE];
	bool more = true;

	while (more && status == BE_OK) {
		size_t count = 0;

		if (query->filter.max_count != 0 && query->shown == query->filter.max_count)
			break;
		status = read_page(query, &count, &more);
		/* What was read before a damaged record is still shown. */
		error_save(fault);
		for (size_t i = 0; i < count; i++) {
			query->shown++;
			if (!query->show(query, &query->rows[i]))
				return BE_STOPPED;
		}
		error_restore(fault); /* the callbacks may have called the library */
	}
	return status;
}

static enum be_status begin(struct be_enforcer *handle, const struct be_filter *filter,
			    bool has_callback, struct query **query)
{
	struct query *made;
	enum be_status status;

	error_clear();
	if (!handle || !has_callback)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 handle ? "callback" : "handle");
	made = malloc(sizeof *made);
	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	memset(made, 0, offsetof(struct query, rows));
	status = sized_read(filter, &made->filter);
	if (status == BE_OK && made->filter.reserved != 0)
		status = sized_refuse_unknown();
	if (status == BE_OK)
		status = enforcer_environment(handle, &made->environment);
	if (status == BE_OK && made->filter.after_id == UINT64_MAX)
		status = error_set(BE_INVALID_ARGUMENT, "filter.after_id is beyond all ids");
	if (status != BE_OK) {
		free(made);
		return status;
	}
	made->now_ns = enforcer_now(handle);
	made->cursor.id = made->filter.after_id + 1;
	status = begin_envelopes(&made->filter, &made->cursor.key);
	if (status != BE_OK) {
		free(made);
		return status;
	}
	*query = made;
	return BE_OK;
}

static enum be_status finish(struct query *query)
{
	enum be_status status = list(query);

	free(query);
	return status == BE_STOPPED ? error_set(status, "the callback ended the listing")
				    : error_default(status);
}

enum be_status be_envelopes_each(struct be_enforcer *handle, const struct be_filter *filter,
				 bool (*each)(void *context, const struct be_envelope *envelope),
				 void *context)
{
	struct query *query;
	enum be_status status = begin(handle, filter, each != NULL, &query);

	if (status != BE_OK)
		return error_default(status);
	query->read = read_envelope;
	query->show = show_envelope;
	query->each_envelope = each;
	query->context = context;
	return finish(query);
}

enum be_status be_commits_each(struct be_enforcer *handle, const struct be_filter *filter,
			       bool (*each)(void *context, const struct be_commit_info *commit),
			       void *context)
{
	struct query *query;
	enum be_status status = begin(handle, filter, each != NULL, &query);

	if (status != BE_OK)
		return error_default(status);
	query->read = read_commit;
	query->show = show_commit;
	query->owners = environment_owners(query->environment);
	query->each_commit = each;
	query->context = context;
	return finish(query);
}

enum be_status be_transactions_each(struct be_enforcer *handle, const struct be_filter *filter,
				    bool (*each)(void *context,
						 const struct be_transaction *transaction),
				    void *context)
{
	struct query *query;
	enum be_status status = begin(handle, filter, each != NULL, &query);

	if (status != BE_OK)
		return error_default(status);
	query->read = read_transaction;
	query->show = show_transaction;
	query->each_transaction = each;
	query->context = context;
	return finish(query);
}
