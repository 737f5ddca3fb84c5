/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listings. Each reads a page of records in one short read txn, ends the txn, and only then
 * shows the records to the caller, whose function may take long: an open txn would keep LMDB from
 * reusing the pages that every commit frees. The next page begins behind the last key.
 */
#include "api/enforcer.h"
#include "api/sized.h"
#include "base/error.h"
#include "executor/lease.h"
#include "records/ledger.h"
#include "rules/rules.h"
#include "sharing/counts.h"
#include "storage/backend.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 64
/* Records looked at in one txn, whether or not they pass the filter. */
#define LOOKS 1024
/* Both, of a storage for which each trip counts: of the first page, and of those behind it. */
#define PAGE_AFAR_FIRST 128
#define PAGE_AFAR 8192
/* After so many records, which are some megabytes, a listing lets go of the pages that it has read.
 * Otherwise a listing of millions would make the process look as large as the data file. */
#define LET_GO 16384

/* The further envelopes of a commit or transaction. */
struct also_names {
	struct be_envelope_name names[FURTHER_MAX];
	char texts[FURTHER_MAX][2][BE_NAME_SIZE];
};

union row {
	struct {
		struct be_envelope envelope;
		uint64_t tally;
	};
	struct be_commit_info commit;
	struct be_transaction transaction;
	struct be_alert alert;
};

/* What a commit or transaction points at. */
struct notes {
	struct also_names also;
	struct label_texts labels;
};

/* How much that is, and whose. */
struct pointers {
	enum record_type type;
	uint64_t id;
	uint32_t further;
	uint32_t labels;
};

/* A page that was gone over, and keys that are fetched in one trip. */
struct wanted {
	size_t foreseen;
	uint64_t ids[PAGE_AFAR];
	size_t count;
	struct be_bytes keys[PAGE_AFAR];
	uint8_t bytes[PAGE_AFAR][12];
};

/* Where a listing stands. */
struct cursor {
	struct record_key key; /* envelopes */
	uint64_t id;           /* commits, transactions, alerts */
};

struct query {
	struct environment *environment;
	struct owners *owners;         /* commits: who is asked for the life of theirs */
	uint8_t host[OWNER_HOST_SIZE]; /* commits: the one whose lease was looked at last */
	bool host_lives;
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
	bool (*each_alert)(void *context, const struct be_alert *alert);
	void *context;

	/* Commits and transactions: of the next record what it points at, moving on. */
	int (*peek)(struct ledger *ledger, uint64_t *id, struct pointers *pointers);

	bool is_afar;
	size_t page;
	union row *rows;
	struct notes *notes;   /* of these: apart, since few have any, so that nobody touches it */
	struct wanted *wanted; /* afar: the keys of the page's notes */
};

static struct notes *notes_of(struct query *query, const union row *row)
{
	return &query->notes[row - query->rows];
}

/* ---- filters */

static bool names_match(const struct be_filter *filter, const struct name *name)
{
	if (filter->namespace_name && strcmp(filter->namespace_name, name->namespace_name) != 0)
		return false;
	return !filter->category || strcmp(filter->category, name->category) == 0;
}

/* The same of a commit or transaction, which any of its envelopes may let through. Fills in the
 * names of the further ones: of a commit those that they have now. */
static enum be_status match_any(const struct query *query, struct ledger *ledger,
				enum record_type type, uint64_t id, uint32_t count,
				struct also_names *also, bool *matches)
{
	enum be_status status = BE_OK;
	struct further further;

	for (uint32_t i = 0; i < count && status == BE_OK; i++) {
		char(*texts)[BE_NAME_SIZE] = also->texts[i];

		status = ledger_further_get(ledger, type, id, i, &further);
		if (status == BE_OK && type == RECORD_COMMIT)
			status = ledger_name_now(ledger, further.chain[0], &further.name);
		if (status != BE_OK)
			break;
		*matches = *matches || names_match(&query->filter, &further.name);
		memcpy(texts[0], further.name.namespace_name, further.name.namespace_size + 1U);
		memcpy(texts[1], further.name.category, further.name.category_size + 1U);
	}
	return status;
}

static const struct be_envelope_name *point(struct also_names *also, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		also->names[i] = (struct be_envelope_name){also->texts[i][0], also->texts[i][1]};
	return count > 0 ? also->names : NULL;
}

/* Reads labels, if there are any, and lets through what has those that are looked for. */
static enum be_status match_labels(const struct query *query, struct ledger *ledger,
				   enum record_type type, uint64_t id, uint32_t count,
				   struct label_texts *texts, bool *matches)
{
	struct labels labels;
	enum be_status status;

	if (count > 0) {
		status = ledger_labels_get(ledger, type, id, count, &labels);
		if (status != BE_OK)
			return status;
		labels_unpack(&labels, texts);
	}
	*matches = labels_match(texts, count, query->filter.labels, query->filter.label_count);
	return BE_OK;
}

static enum be_status check_labels(const struct be_filter *filter)
{
	if (filter->label_count > BE_LABELS_MAX)
		return error_set(BE_INVALID_ARGUMENT, "filter.label_count is more than %d",
				 BE_LABELS_MAX);
	if (filter->label_count > 0 && !filter->labels)
		return error_set(BE_INVALID_ARGUMENT, "no filter.labels were given");
	for (uint32_t i = 0; i < filter->label_count; i++)
		if (!filter->labels[i].key)
			return error_set(BE_INVALID_ARGUMENT, "a label of the filter has no key");
	return BE_OK;
}

static bool figures_match(const struct be_filter *filter, int64_t at_ns, int64_t amount)
{
	if (filter->since_ns != 0 && at_ns < filter->since_ns)
		return false;
	if (filter->until_ns != 0 && at_ns >= filter->until_ns)
		return false;
	if (filter->min_amount != 0 && amount < filter->min_amount)
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
	status = ledger_name_now(ledger, envelope.parent_id, &envelope.parent);
	if (status != BE_OK)
		return (int)status;
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

/* Is this process of the same host as the owner? */
static bool is_of_this_host(const struct query *query, const struct owner *owner)
{
	struct executor *executor = &query->environment->executor;
	const struct remote_host *host = executor_host(executor, executor->remote);

	return !executor->read_only && host &&
	       memcmp(host->id, owner->host, sizeof owner->host) == 0;
}

/* By the lease of another host. Commits of one follow each other, and it is asked for once. */
static bool host_lives(struct query *query, struct ledger *ledger, const struct owner *owner)
{
	if (memcmp(query->host, owner->host, sizeof query->host) != 0) {
		if (lease_look(ledger, owner, &query->host_lives) != BE_OK) {
			error_clear();
			return true; /* nobody is called dead who is not known to be */
		}
		memcpy(query->host, owner->host, sizeof query->host);
	}
	return query->host_lives;
}

/* An owner is a slot of this environment's be-owners. Where that file is missing, as after a
 * restore, no owner lives, even if processes of the original environment do. In front of a server
 * the file is that of this host. */
static bool owner_lives(struct query *query, struct ledger *ledger, const struct commit *commit)
{
	const struct owner *owner = &commit->owner;
	const struct remote *remote = query->environment->executor.remote;
	bool is_far = remote && remote->lease_ns != 0 && owner_has_host(owner);
	bool is_local = is_far && is_of_this_host(query, owner);
	struct owners *met = is_far ? environment_met(query->environment, owner) : NULL;

	if (owner->generation == 0)
		return true;
	if (met)
		return owners_alive(met, owner);
	if (is_far && !is_local)
		return host_lives(query, ledger, owner);
	return query->owners ? owners_alive(query->owners, owner) : is_local;
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
	struct notes *notes = notes_of(query, row);
	struct be_commit_info *info = &row->commit;
	struct commit commit;
	int found = ledger_commit_next(ledger, query->cursor.id, &commit);

	if (found != 0)
		return found;
	query->cursor.id = commit.id + 1;
	found = (int)ledger_name_now(ledger, commit.envelope_id, &commit.name);
	if (found != 0)
		return found;
	*matches = names_match(&query->filter, &commit.name);
	if (commit.further > 0)
		found = (int)match_any(query, ledger, RECORD_COMMIT, commit.id, commit.further,
				       &notes->also, matches);
	*matches = *matches && figures_match(&query->filter, commit.created_ns, commit.amount);
	if (*matches && found == 0)
		found = (int)match_labels(query, ledger, RECORD_COMMIT, commit.id, commit.labels,
					  &notes->labels, matches);
	if (!*matches || found != 0)
		return found;
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
	info->owner_alive = owner_lives(query, ledger, &commit);
	info->state = state_of(query, info);
	memcpy(info->namespace_name, commit.name.namespace_name, commit.name.namespace_size);
	memcpy(info->category, commit.name.category, commit.name.category_size);
	memcpy(info->description, commit.description, commit.description_size);
	info->also_count = commit.further;
	info->also = point(&notes->also, commit.further);
	info->label_count = commit.labels;
	info->labels = commit.labels > 0 ? notes->labels.labels : NULL;
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
	struct notes *notes = notes_of(query, row);
	struct transaction transaction;
	int found = ledger_transaction_next(ledger, query->cursor.id, &transaction);

	if (found != 0)
		return found;
	query->cursor.id = transaction.id + 1;
	*matches = names_match(&query->filter, &transaction.name);
	if (transaction.further > 0)
		found = (int)match_any(query, ledger, RECORD_TRANSACTION, transaction.id,
				       transaction.further, &notes->also, matches);
	*matches = *matches && figures_match(&query->filter, transaction.at_ns, transaction.amount);
	if (*matches && found == 0)
		found = (int)match_labels(query, ledger, RECORD_TRANSACTION, transaction.id,
					  transaction.labels, &notes->labels, matches);
	if (*matches && found == 0) {
		rules_describe_transaction(&transaction, &row->transaction);
		row->transaction.also = point(&notes->also, transaction.further);
		row->transaction.labels = transaction.labels > 0 ? notes->labels.labels : NULL;
	}
	return found;
}

static bool show_transaction(struct query *query, union row *row)
{
	return query->each_transaction(query->context, &row->transaction);
}

/* ---- alerts */

static int read_alert(struct query *query, struct ledger *ledger, union row *row, bool *matches)
{
	struct alert alert;
	int found = ledger_alert_next(ledger, query->cursor.id, &alert);

	if (found != 0)
		return found;
	query->cursor.id = alert.id + 1;
	*matches = names_match(&query->filter, &alert.name) &&
		   figures_match(&query->filter, alert.at_ns, alert.spent);
	if (*matches)
		rules_describe_alert(&alert, &row->alert);
	return 0;
}

static bool show_alert(struct query *query, union row *row)
{
	return query->each_alert(query->context, &row->alert);
}

/* ---- what a page points at, far away */

static int peek_commit(struct ledger *ledger, uint64_t *id, struct pointers *pointers)
{
	struct commit commit;
	int found = ledger_commit_next(ledger, *id, &commit);

	if (found != 0)
		return found;
	*pointers = (struct pointers){RECORD_COMMIT, commit.id, commit.further, commit.labels};
	*id = commit.id + 1;
	return 0;
}

static int peek_transaction(struct ledger *ledger, uint64_t *id, struct pointers *pointers)
{
	struct transaction transaction;
	int found = ledger_transaction_next(ledger, *id, &transaction);

	if (found != 0)
		return found;
	*pointers = (struct pointers){RECORD_TRANSACTION, transaction.id, transaction.further,
				      transaction.labels};
	*id = transaction.id + 1;
	return 0;
}

static void want(struct wanted *wanted, const struct record_key *key)
{
	uint8_t *bytes = wanted->bytes[wanted->count];

	assert(key->size <= sizeof *wanted->bytes);
	memcpy(bytes, key->bytes, key->size);
	wanted->keys[wanted->count++] = (struct be_bytes){bytes, key->size};
}

/* Goes over a page once before it is read: its records come in a few trips, and what they point at
 * in one more, not in one for each. *looks: so many records are looked at. */
static enum be_status foresee(const struct query *query, struct ledger *ledger, size_t *looks)
{
	const struct be_storage *storage = ledger->storage;
	struct wanted *wanted = query->wanted;
	struct pointers pointers;
	uint64_t id = query->cursor.id;
	struct record_key key;
	int found = 0;
	size_t i;

	wanted->count = wanted->foreseen = 0;
	for (i = 0; i < *looks && wanted->count + FURTHER_MAX + 1 <= PAGE_AFAR; i++) {
		found = query->peek(ledger, &id, &pointers);
		if (found != 0)
			break; /* what is damaged is told by who reads it */
		for (uint32_t place = 0; place < pointers.further; place++) {
			record_key_further(&key, pointers.type, pointers.id, place);
			want(wanted, &key);
		}
		if (pointers.labels > 0) {
			record_key_labels(&key, pointers.type, pointers.id);
			want(wanted, &key);
		}
		wanted->ids[i] = pointers.id;
	}
	wanted->foreseen = i;
	if (found == 0)
		*looks = i;
	if (wanted->count == 0)
		return BE_OK;
	return ledger_answer(
		storage->ops->prefetch(storage->self, ledger->txn, wanted->keys, wanted->count));
}

/* ---- pages */

static enum be_status read_once(struct query *query, size_t *count, bool *more)
{
	const struct be_storage *storage = query->environment->executor.storage;
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, storage, false);
	size_t wanted = query->page, looks = query->is_afar ? query->page : LOOKS;
	int found = 0;

	if (status != BE_OK)
		return status;
	if (query->filter.max_count != 0 && query->filter.max_count - query->shown < wanted)
		wanted = (size_t)(query->filter.max_count - query->shown);
	*count = 0;
	if (query->is_afar && query->peek)
		found = (int)foresee(query, &ledger, &looks);
	for (size_t i = 0; found == 0 && *count < wanted && i < looks; i++) {
		bool matches = false;

		query->looked++;
		/* Found by its key, which takes no walk. */
		if (query->wanted && i < query->wanted->foreseen)
			query->cursor.id = query->wanted->ids[i];
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

static enum be_status read_page(struct query *query, size_t *count, bool *more)
{
	const struct cursor cursor = query->cursor;
	uint64_t looked = query->looked;
	unsigned tries = 0;
	enum be_status status;

	do {
		query->cursor = cursor;
		query->looked = looked;
		status = read_once(query, count, more);
	} while (ledger_reads_again(&status, &tries));
	return status;
}

/* What a page has room for. Most of that for notes is never touched. */
static enum be_status make_page(struct query *query, size_t page)
{
	free(query->rows);
	free(query->notes);
	query->page = page;
	query->rows = malloc(page * sizeof *query->rows);
	query->notes = malloc(page * sizeof *query->notes);
	if (query->is_afar && !query->wanted)
		query->wanted = calloc(1, sizeof *query->wanted);
	if (!query->rows || !query->notes || (query->is_afar && !query->wanted))
		return error_set(BE_NO_MEMORY, "out of memory");
	return BE_OK;
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
		if (query->is_afar && query->looked > 0 && query->page != PAGE_AFAR)
			status = make_page(query, PAGE_AFAR);
		if (status == BE_OK)
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

/* Who wants one record only pays for one. */
static size_t first_page(const struct query *query)
{
	size_t page = query->is_afar ? PAGE_AFAR_FIRST : PAGE;
	uint64_t most = query->filter.max_count;

	return most != 0 && most < page ? (size_t)most : page;
}

static void end(struct query *query)
{
	free(query->rows);
	free(query->notes);
	free(query->wanted);
	free(query);
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
	made = calloc(1, sizeof *made);
	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	status = sized_read(filter, &made->filter);
	if (status == BE_OK && (made->filter.reserved | made->filter.reserved_too) != 0)
		status = sized_refuse_unknown();
	if (status == BE_OK)
		status = check_labels(&made->filter);
	if (status == BE_OK)
		status = enforcer_environment(handle, &made->environment);
	if (status == BE_OK && made->filter.after_id == UINT64_MAX)
		status = error_set(BE_INVALID_ARGUMENT, "filter.after_id is beyond all ids");
	if (status == BE_OK)
		status = begin_envelopes(&made->filter, &made->cursor.key);
	if (status == BE_OK) {
		made->is_afar = made->environment->executor.storage->ops->prefetch != NULL;
		status = make_page(made, first_page(made));
	}
	if (status != BE_OK) {
		end(made);
		return status;
	}
	made->now_ns = enforcer_now(handle);
	made->cursor.id = made->filter.after_id + 1;
	*query = made;
	return BE_OK;
}

static enum be_status finish(struct query *query)
{
	enum be_status status = list(query);

	end(query);
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
	query->peek = peek_commit;
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
	query->peek = peek_transaction;
	query->show = show_transaction;
	query->each_transaction = each;
	query->context = context;
	return finish(query);
}

enum be_status be_alerts_each(struct be_enforcer *handle, const struct be_filter *filter,
			      bool (*each)(void *context, const struct be_alert *alert),
			      void *context)
{
	struct query *query;
	enum be_status status = begin(handle, filter, each != NULL, &query);

	if (status != BE_OK)
		return error_default(status);
	query->read = read_alert;
	query->show = show_alert;
	query->each_alert = each;
	query->context = context;
	return finish(query);
}

enum be_status be_alert_done(struct be_enforcer *handle, uint64_t id)
{
	struct operation operation;
	struct result result;

	error_clear();
	if (!handle)
		return error_set(BE_INVALID_ARGUMENT, "no handle was given");
	enforcer_prepare(handle, &operation, BE_OPERATION_ALERT_DONE);
	operation.id = id;
	return enforcer_run(handle, &operation, &result);
}
