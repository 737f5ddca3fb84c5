/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One envelope as the live view opens it. Which records belong to those below it is looked up in
 * the snapshot, so what a filter of the list keeps out is not there. The library lists the ledger
 * from its beginning, and it may be long: so only its last LOOK_BACK transactions are looked at on
 * opening, and afterwards those that are new.
 */
#include "opened.h"

#include <string.h>

#define LOOK_BACK 65536

struct refreshing {
	struct opened *opened;
	const struct snapshot *snapshot;
	bool has_children;
};

/* An envelope without children was asked for by its names. */
static bool is_wanted(const struct refreshing *refreshing, const char *namespace_name,
		      const char *category)
{
	return !refreshing->has_children || snapshot_is_within(refreshing->snapshot, namespace_name,
							       category, refreshing->opened->id);
}

static bool add_commit(void *context, const struct be_commit_info *commit)
{
	const struct refreshing *refreshing = context;
	struct opened *opened = refreshing->opened;

	if (is_wanted(refreshing, commit->namespace_name, commit->category))
		opened->commits[opened->commit_count++] = *commit;
	return opened->commit_count < OPENED_ROWS;
}

static bool add_transaction(void *context, const struct be_transaction *transaction)
{
	const struct refreshing *refreshing = context;
	struct opened *opened = refreshing->opened;

	opened->looked_up_to = transaction->id;
	if (is_wanted(refreshing, transaction->namespace_name, transaction->category))
		opened->transactions[opened->transaction_count++ % OPENED_ROWS] = *transaction;
	return true;
}

enum be_status opened_refresh(struct opened *opened, struct be_enforcer *handle,
			      const struct snapshot *snapshot, const struct be_envelope *envelope)
{
	struct refreshing refreshing = {opened, snapshot, envelope->children > 0};
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_filter filter = BE_FILTER_INIT;
	enum be_status status = be_stats(handle, &stats);

	if (!refreshing.has_children) {
		filter.namespace_name = envelope->namespace_name;
		filter.category = envelope->category;
	}
	filter.after_id = opened->looked_up_to;
	if (status == BE_OK)
		status = be_transactions_each(handle, &filter, add_transaction, &refreshing);
	/* Those of other envelopes need not be looked at again. */
	if (status == BE_OK && opened->looked_up_to < stats.next_transaction_id - 1)
		opened->looked_up_to = stats.next_transaction_id - 1;
	filter.after_id = 0;
	opened->commit_count = 0;
	if (status == BE_OK)
		status = be_commits_each(handle, &filter, add_commit, &refreshing);
	return status == BE_STOPPED ? BE_OK : status;
}

enum be_status opened_open(struct opened *opened, struct be_enforcer *handle,
			   const struct snapshot *snapshot, const struct be_envelope *envelope)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	enum be_status status = be_stats(handle, &stats);

	memset(opened, 0, sizeof *opened);
	if (status != BE_OK)
		return status;
	opened->id = envelope->id;
	if (stats.next_transaction_id > LOOK_BACK)
		opened->looked_up_to = stats.next_transaction_id - LOOK_BACK;
	return opened_refresh(opened, handle, snapshot, envelope);
}

const struct be_transaction *opened_transaction(const struct opened *opened, size_t number)
{
	if (number >= OPENED_ROWS || number >= opened->transaction_count)
		return NULL;
	return &opened->transactions[(opened->transaction_count - 1 - number) % OPENED_ROWS];
}
