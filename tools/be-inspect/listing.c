/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The views that list records. Each record is shown as it comes, unless they are to be sorted; the
 * library holds no txn meanwhile, so a slow terminal does not keep the pool's old pages alive.
 *
 * --limit shows the first envelopes and the oldest commits, but the latest transactions and alerts.
 * The library lists these from the beginning, so a first pass notes the ids of the last matches,
 * and a second one shows them from the first of these ids on.
 */
#include "listing.h"

#include "complain.h"
#include "follow.h"
#include "held.h"
#include "opening.h"
#include "output.h"
#include "owners.h"
#include "rows.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
	const struct arguments *arguments;
	uint64_t limit;        /* 0: all */
	struct rows *rows;     /* NULL: not to be sorted */
	struct output *output; /* NULL: not begun yet */
	uint64_t last_id;      /* of the transactions or alerts shown */
	struct held *held;     /* envelopes: what waits to be reaped; NULL: nobody asks */
	char **notes;          /* names of further envelopes and labels that rows point at */
	size_t note_count, note_room;
};

static bool print(struct listing *listing, const void *record)
{
	char branch[ROWS_BRANCH_SIZE] = "";

	if (listing->rows)
		rows_branch(listing->rows, branch);
	return output_row(listing->output, record, branch) &&
	       output_count(listing->output) != listing->limit;
}

static bool show(struct listing *listing, const void *record, int64_t amount)
{
	if (listing->arguments->only_free && amount > 0)
		return true;
	if (!listing->rows)
		return print(listing, record);
	rows_add(listing->rows, record);
	return true;
}

static bool show_envelope(void *context, const struct be_envelope *envelope)
{
	struct envelope_row row = {.envelope = *envelope};
	const struct listing *listing = context;

	held_show(listing->held, &row);
	return show(context, &row, envelope->limit);
}

/* Keeps what rows point at, until they are shown; NULL: nothing. */
static const char *keep_note(struct listing *listing, char *made)
{
	if (!made)
		return NULL;
	listing->notes = tool_grow(listing->notes, listing->note_count, &listing->note_room,
				   sizeof *listing->notes);
	return listing->notes[listing->note_count++] = made;
}

static void free_notes(struct listing *listing)
{
	while (listing->note_count > 0)
		free(listing->notes[--listing->note_count]);
}

/* What is shown at once need not be kept. */
static bool show_noted(struct listing *listing, const void *record, int64_t amount)
{
	bool more = show(listing, record, amount);

	if (!listing->rows)
		free_notes(listing);
	return more;
}

static bool show_commit(void *context, const struct be_commit_info *commit)
{
	struct commit_row row = {
		*commit,
		keep_note(context, field_make_also(commit->also, commit->also_count)),
		keep_note(context, field_make_labels(commit->labels, commit->label_count)),
	};

	return show_noted(context, &row, commit->amount);
}

static bool show_transaction(void *context, const struct be_transaction *transaction)
{
	struct listing *listing = context;

	struct transaction_row row = {
		*transaction,
		keep_note(listing, field_make_also(transaction->also, transaction->also_count)),
		keep_note(listing,
			  field_make_labels(transaction->labels, transaction->label_count)),
	};

	listing->last_id = transaction->id;
	return show_noted(listing, &row, transaction->amount);
}

static bool show_alert(void *context, const struct be_alert *alert)
{
	struct listing *listing = context;

	listing->last_id = alert->id;
	return show(listing, alert, alert->spent);
}

/* The ids of the last matches: a ring, once there have been as many as it may hold. */
struct latest {
	bool only_free;
	uint64_t limit;
	uint64_t matches;
	size_t room;
	uint64_t *ids;
};

static bool note(struct latest *latest, uint64_t id, int64_t amount)
{
	if (latest->only_free && amount > 0)
		return true;
	if (latest->matches < latest->limit)
		latest->ids =
			tool_grow(latest->ids, latest->matches, &latest->room, sizeof *latest->ids);
	latest->ids[latest->matches++ % latest->limit] = id;
	return true;
}

static bool note_transaction(void *context, const struct be_transaction *transaction)
{
	return note(context, transaction->id, transaction->amount);
}

static bool note_alert(void *context, const struct be_alert *alert)
{
	return note(context, alert->id, alert->spent);
}

/* Lets the filter begin with the first of the latest `limit` matches. */
static enum be_status skip_to_latest(struct be_enforcer *handle, const struct arguments *arguments,
				     struct be_filter *filter)
{
	struct latest latest = {.only_free = arguments->only_free, .limit = arguments->limit};
	enum be_status status;

	status = arguments->view == VIEW_ALERTS
			 ? be_alerts_each(handle, filter, note_alert, &latest)
			 : be_transactions_each(handle, filter, note_transaction, &latest);
	if (status == BE_OK && latest.matches > latest.limit)
		filter->after_id = latest.ids[latest.matches % latest.limit] - 1;
	free(latest.ids);
	return status;
}

static bool has_column(const struct arguments *arguments, const char *key)
{
	for (size_t i = 0; i < arguments->column_count; i++)
		if (strcmp(arguments->columns[i]->key, key) == 0)
			return true;
	return false;
}

/* The usual table has no columns for it, and says it beside. */
static bool tells_held(const struct arguments *arguments)
{
	return arguments->form == FORM_TABLE && !arguments->columns_chosen;
}

static bool wants_held(const struct arguments *arguments)
{
	return tells_held(arguments) || has_column(arguments, "held_expired") ||
	       has_column(arguments, "held_orphaned");
}

static enum be_status list(struct be_enforcer *handle, struct listing *listing,
			   struct be_filter filter)
{
	const struct arguments *arguments = listing->arguments;
	enum be_status status = BE_OK;

	switch (arguments->view) {
	case VIEW_ENVELOPES:
		if (wants_held(arguments))
			status = held_gather(handle, arguments->environment, &listing->held);
		return status != BE_OK ? status
				       : be_envelopes_each(handle, &filter, show_envelope, listing);
	case VIEW_COMMITS:
		return be_commits_each(handle, &filter, show_commit, listing);
	case VIEW_OWNERS:
		return owners_gather(handle, listing->rows);
	default:
		if (listing->limit > 0 && !listing->rows)
			status = skip_to_latest(handle, arguments, &filter);
		if (status != BE_OK)
			return status;
		return arguments->view == VIEW_ALERTS
			       ? be_alerts_each(handle, &filter, show_alert, listing)
			       : be_transactions_each(handle, &filter, show_transaction, listing);
	}
}

static size_t record_size(enum view view)
{
	switch (view) {
	case VIEW_ENVELOPES:
		return sizeof(struct envelope_row);
	case VIEW_COMMITS:
		return sizeof(struct commit_row);
	case VIEW_ALERTS:
		return sizeof(struct be_alert);
	case VIEW_OWNERS:
		return sizeof(struct owner_row);
	default:
		return sizeof(struct transaction_row);
	}
}

/* Keeps of each record what will be looked at. */
static void keep_columns(struct rows *rows, const struct arguments *arguments, bool trees)
{
	static const char *const of_trees[] = {"namespace", "category", "parent"};

	rows_keep(rows, arguments->sort);
	for (size_t i = 0; i < arguments->column_count; i++)
		rows_keep(rows, arguments->columns[i]);
	for (size_t i = 0; trees && i < sizeof of_trees / sizeof *of_trees; i++)
		rows_keep(rows, fields_find(&envelope_fields, of_trees[i], strlen(of_trees[i])));
	/* The table colours by it. */
	if (arguments->view == VIEW_ENVELOPES)
		rows_keep(rows, fields_find(&envelope_fields, "USED%", 5));
}

static void print_rows(struct listing *listing)
{
	const void *record;

	while ((record = rows_next(listing->rows)) && print(listing, record))
		;
}

/* Says what went wrong, before the library is called again. BE_STOPPED is none: the limit was
 * reached, or the output cannot be written, which is told at the end. */
static bool is_listed(const struct arguments *arguments, enum be_status status)
{
	if (status == BE_OK || status == BE_STOPPED)
		return true;
	complain(arguments->environment, be_last_error());
	return false;
}

static bool list_sorted(struct be_enforcer *handle, struct listing *listing)
{
	const struct arguments *arguments = listing->arguments;
	bool trees = arguments->view == VIEW_ENVELOPES && arguments->form == FORM_TABLE &&
		     has_column(arguments, "category");
	bool listed;

	listing->rows = rows_create(record_size(arguments->view), arguments, trees);
	keep_columns(listing->rows, arguments, trees);
	listed = is_listed(arguments, list(handle, listing, arguments->filter));
	rows_sort(listing->rows);
	listing->output = output_begin(arguments);
	print_rows(listing);
	rows_free(listing->rows);
	return listed;
}

/* The id of the last transaction there is, shown or not. Of alerts, which are few, that of the last
 * one shown will do. */
static enum be_status last_there(struct be_enforcer *handle, const struct listing *listing,
				 uint64_t *id)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	enum be_status status = BE_OK;

	*id = listing->last_id;
	if (listing->arguments->view == VIEW_ALERTS)
		return BE_OK;
	status = be_stats(handle, &stats);
	*id = status == BE_OK ? stats.next_transaction_id - 1 : 0;
	return status;
}

/* Shows what comes, until the reader or a signal ends it. */
static bool follow(struct be_enforcer *handle, struct listing *listing)
{
	struct be_filter filter = listing->arguments->filter;
	enum be_status status;
	uint64_t last;

	follow_begin();
	do {
		status = last_there(handle, listing, &last);
		if (status == BE_OK)
			status = list(handle, listing, filter);
		/* What did not pass the filter need not be looked at again, nor what was shown. A
		 * limit may have ended the first listing before all was. */
		if (status == BE_STOPPED || last < listing->last_id)
			last = listing->last_id;
		filter.after_id = last;
		listing->limit = 0;
		if (!output_flush(listing->output))
			return true;
	} while (is_listed(listing->arguments, status) && follow_wait());
	return status == BE_OK || status == BE_STOPPED;
}

int listing_run(const struct arguments *arguments)
{
	struct listing listing = {.arguments = arguments, .limit = arguments->limit};
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;
	bool listed;

	options.flags = BE_OPEN_READ_ONLY;
	status = tool_open(arguments->environment, &options, &handle);
	if (status != BE_OK) {
		complain(arguments->environment, be_last_error());
		return TOOL_EXIT_FAULT;
	}
	if (arguments->sort) {
		listed = list_sorted(handle, &listing);
	} else {
		listing.output = output_begin(arguments);
		listed = arguments->follow
				 ? follow(handle, &listing)
				 : is_listed(arguments, list(handle, &listing, arguments->filter));
	}
	if (listed && output_count(listing.output) == 0 && arguments->view == VIEW_ENVELOPES &&
	    arguments->form <= FORM_RAW && !arguments->filtered)
		complain(arguments->environment, "no envelopes");
	output_end(listing.output, listed);
	if (tells_held(arguments))
		held_tell(listing.held, arguments->environment);
	held_free(listing.held);
	free_notes(&listing);
	free(listing.notes);
	be_close(handle);
	if (arguments->follow && listed && tool_output_is_sound())
		follow_end();
	return listed ? EXIT_SUCCESS : TOOL_EXIT_FAULT;
}
