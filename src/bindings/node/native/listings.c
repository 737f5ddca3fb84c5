/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes shown; listings, a page at a time; and the environment from outside. */
#include "addon.h"

#include <string.h>

/* utilization(handle, category) */
napi_value envelope_show(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	struct js_handle *handle = handle_of(env, argv[0]);
	char category[NAME_ROOM];
	const char *text = NULL;
	enum be_status status = read_text(env, argv[1], category, sizeof category, &text);

	if (status == BE_OK && !handle)
		status = BE_INVALID_ARGUMENT;
	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	addon->envelope.size = sizeof addon->envelope;
	status = be_utilization(handle->enforcer, text, &addon->envelope);
	keep_error(addon, status);
	return handle_result(env, handle, status);
}

/* lastEnvelope(): the one that was made, set or shown last */
napi_value envelope_last(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);
	struct js_page page = make_page(env);

	(void)argv;
	add_envelope(&page, &addon->envelope);
	return page.array;
}

/* ---- listings: (handle, count, namespace, category, since, until, afterId, afterNamespace,
 * afterCategory, array): the array is filled with so many values for each. */

static void add_thresholds(struct js_page *page, const uint16_t *thresholds)
{
	struct js_page numbers = make_page(page->env);

	for (size_t i = 0; i < BE_THRESHOLDS_MAX && thresholds[i] != 0; i++)
		add_number(&numbers, thresholds[i]);
	add(page, numbers.array);
}

void add_envelope(struct js_page *page, const struct be_envelope *one)
{
	const int64_t amounts[] = {one->limit,     one->available, one->spent,     one->committed,
				   one->limit_now, one->raise,     one->roll_over, one->carried,
				   one->charged,   one->given_back};
	const uint64_t counts[] = {one->pending_commits, one->commits_granted,
				   one->refused_exceeds_budget, one->refused_suspended,
				   one->excused};

	add_id(page, one->id);
	add_name(page, one->namespace_name, one->category);
	add_name(page, one->parent_namespace, one->parent_category);
	add_number(page, one->period);
	add_time(page, one->period_start_ns);
	add_time(page, one->period_end_ns);
	add_time(page, one->raise_until_ns);
	add_number(page, (one->suspended ? 1 : 0) + (one->has_parent ? 2 : 0) +
				 (one->observe_only ? 4 : 0));
	add_number(page, (double)one->utilization_ppm / 1e6);
	add_text(page, one->zone);
	add_number(page, one->begins_on);
	add_thresholds(page, one->thresholds);
	add_number(page, one->passed);
	for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++)
		add_amount(page, amounts[i]);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		add_number(page, (double)counts[i]);
}

static bool show_envelope(void *context, const struct be_envelope *one)
{
	add_envelope(context, one);
	return true;
}

static bool add_commit(void *context, const struct be_commit_info *one)
{
	add_id(context, one->id);
	add_amount(context, one->amount);
	add_number(context, one->state);
	add_time(context, one->created_ns);
	add_time(context, one->deadline_ns);
	add_number(context, (one->detached ? 1 : 0) + (one->owner_alive ? 2 : 0) +
				    (one->reap_policy == BE_REAP_CHARGE ? 4 : 0));
	add_id(context, one->owner_id);
	add_number(context, one->owner_pid);
	add_name(context, one->namespace_name, one->category);
	add_text(context, one->description);
	add_labels(context, one->labels, one->label_count);
	add_names(context, one->also, one->also_count);
	return true;
}

static bool add_transaction(void *context, const struct be_transaction *one)
{
	add_id(context, one->id);
	add_id(context, one->commit_id);
	add_amount(context, one->amount);
	add_amount(context, one->held);
	add_time(context, one->at_ns);
	add_number(context, one->kind);
	add_number(context, one->late ? 1 : 0);
	add_name(context, one->namespace_name, one->category);
	add_text(context, one->description);
	add_labels(context, one->labels, one->label_count);
	add_names(context, one->also, one->also_count);
	add_id(context, one->corrects);
	add_id(context, one->envelope_id);
	return true;
}

void add_alert(struct js_page *page, const struct be_alert *one)
{
	add_id(page, one->id);
	add_id(page, one->transaction_id);
	add_amount(page, one->limit);
	add_amount(page, one->spent);
	add_number(page, one->percent);
	add_time(page, one->at_ns);
	add_time(page, one->period_end_ns);
	add_time(page, one->done_ns);
	add_name(page, one->namespace_name, one->category);
	add_name(page, one->spender_namespace, one->spender_category);
}

static bool show_alert(void *context, const struct be_alert *one)
{
	add_alert(context, one);
	return true;
}

static bool add_daily_sum(void *context, const struct be_daily_sum *one)
{
	add_number(context, one->kind);
	add_time(context, one->day_ns);
	add_time(context, one->first_ns);
	add_time(context, one->last_ns);
	add_amount(context, one->amount);
	add_number(context, (double)one->count);
	add_id(context, one->envelope_id);
	add_name(context, one->namespace_name, one->category);
	add_names(context, one->also, one->also_count);
	return true;
}

struct listing_request {
	struct be_filter filter;
	char room[4][NAME_ROOM];
	struct js_labels labels;
};

static enum be_status read_filter(napi_env env, napi_value *argv, struct listing_request *request)
{
	struct be_filter *filter = &request->filter;
	const char **texts[] = {&filter->namespace_name, &filter->category,
				&filter->after_namespace, &filter->after_category};
	static const int places[] = {2, 3, 7, 8};
	enum be_status status = read_id(env, argv[6], &filter->after_id);

	for (size_t i = 0; i < 4 && status == BE_OK; i++)
		status = read_text(env, argv[places[i]], request->room[i], NAME_ROOM, texts[i]);
	filter->max_count = read_number(env, argv[1]);
	filter->since_ns = read_time(env, argv[4]);
	filter->until_ns = read_time(env, argv[5]);
	if (status == BE_OK)
		status = read_labels(env, argv[10], &request->labels);
	filter->labels = point_at_labels(&request->labels);
	filter->label_count = request->labels.count;
	return status;
}

typedef enum be_status (*lister)(struct be_enforcer *enforcer, const struct be_filter *filter,
				 struct js_page *page);

static enum be_status each_envelope(struct be_enforcer *enforcer, const struct be_filter *filter,
				    struct js_page *page)
{
	return be_envelopes_each(enforcer, filter, show_envelope, page);
}

static enum be_status each_commit(struct be_enforcer *enforcer, const struct be_filter *filter,
				  struct js_page *page)
{
	return be_commits_each(enforcer, filter, add_commit, page);
}

static enum be_status each_transaction(struct be_enforcer *enforcer, const struct be_filter *filter,
				       struct js_page *page)
{
	return be_transactions_each(enforcer, filter, add_transaction, page);
}

static enum be_status each_alert(struct be_enforcer *enforcer, const struct be_filter *filter,
				 struct js_page *page)
{
	return be_alerts_each(enforcer, filter, show_alert, page);
}

/* The last transaction in them comes last. */
static enum be_status each_daily_sum(struct be_enforcer *enforcer, const struct be_filter *filter,
				     struct js_page *page)
{
	uint64_t last_id = 0;
	enum be_status status = be_daily_sums_each(enforcer, filter, add_daily_sum, page, &last_id);

	add_id(page, last_id);
	return status;
}

static napi_value list(napi_env env, napi_callback_info info, lister each)
{
	ARGUMENTS(11);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct listing_request request = {.filter = BE_FILTER_INIT};
	struct js_page page = {env, argv[9], 0};
	enum be_status status = handle ? read_filter(env, argv, &request) : BE_INVALID_ARGUMENT;

	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = each(handle->enforcer, &request.filter, &page);
	keep_error(addon, status);
	return handle_result(env, handle, status);
}

napi_value list_envelopes(napi_env env, napi_callback_info info)
{
	return list(env, info, each_envelope);
}

napi_value list_commits(napi_env env, napi_callback_info info)
{
	return list(env, info, each_commit);
}

napi_value list_transactions(napi_env env, napi_callback_info info)
{
	return list(env, info, each_transaction);
}

napi_value list_alerts(napi_env env, napi_callback_info info)
{
	return list(env, info, each_alert);
}

napi_value list_daily_sums(napi_env env, napi_callback_info info)
{
	return list(env, info, each_daily_sum);
}

/* ---- owners(handle, array) and stats(handle, array), likewise */

static bool add_owner(void *context, const struct be_owner_info *one)
{
	add_id(context, one->id);
	add_number(context, one->pid);
	add_number(context, one->pid_namespace);
	add_number(context, one->pid_here);
	add_number(context, one->alive ? 1 : 0);
	return true;
}

napi_value list_owners(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct js_page page = {env, argv[1], 0};
	enum be_status status = BE_INVALID_ARGUMENT;

	if (!handle) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_owners_each(handle->enforcer, add_owner, &page);
	keep_error(addon, status);
	return handle_result(env, handle, status);
}

static void add_statistics(struct js_page *page, const struct be_statistics *stats)
{
	const uint64_t ids[] = {stats->next_envelope_id, stats->next_commit_id,
				stats->next_transaction_id, stats->pruned_id};
	const uint64_t counts[] = {stats->format_version,
				   stats->owners,
				   stats->changes,
				   stats->expired_released,
				   stats->expired_charged,
				   stats->orphaned_released,
				   stats->orphaned_charged,
				   stats->settled_late,
				   stats->file_size,
				   stats->map_size,
				   stats->page_size,
				   stats->pages,
				   stats->free_pages,
				   stats->records,
				   stats->readers,
				   stats->readers_max,
				   stats->stale_readers,
				   stats->reader_lag,
				   stats->refused_no_envelope,
				   stats->lagging_pid,
				   stats->waiting,
				   stats->history_changes,
				   stats->losses};

	add_time(page, stats->created_ns);
	add_number(page, (stats->durability == BE_DURABILITY_PROCESS ? 1 : 0) +
				 (stats->refusals_known ? 2 : 0) + (stats->went_back ? 4 : 0) +
				 (stats->reads_exclude_writes ? 8 : 0));
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
		add_id(page, ids[i]);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		add_number(page, (double)counts[i]);
}

napi_value stats_show(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct js_page page = {env, argv[1], 0};
	struct be_statistics stats = BE_STATISTICS_INIT;
	enum be_status status = BE_INVALID_ARGUMENT;

	if (!handle) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_stats(handle->enforcer, &stats);
	keep_error(addon, status);
	add_statistics(&page, &stats);
	return handle_result(env, handle, status);
}
