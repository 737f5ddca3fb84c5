/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes: made, changed, shown; and listings, a page at a time. */
#include "addon.h"

#include <string.h>

/* (handle, operation, category, limit, period, parentNamespace, parentCategory, startMs, suspended)
 */
struct envelope_request {
	const char *category;
	int64_t limit;
	enum be_period period;
	struct be_envelope_options options;
	char room[3][NAME_ROOM];
};

static enum be_status read_new(napi_env env, napi_value *argv, struct envelope_request *request)
{
	char period[16];
	const char *text = NULL;
	enum be_status status = read_text(env, argv[4], period, sizeof period, &text);

	if (status == BE_OK)
		status = be_period_parse(text ? text : "total", &request->period);
	if (status == BE_OK)
		status = read_text(env, argv[5], request->room[1], NAME_ROOM,
				   &request->options.parent_namespace);
	if (status == BE_OK)
		status = read_text(env, argv[6], request->room[2], NAME_ROOM,
				   &request->options.parent_category);
	request->options.period_start_ns = read_time(env, argv[7]);
	request->options.suspended = read_bool(env, argv[8]);
	return status;
}

static enum be_status read_request(napi_env env, napi_value *argv, enum be_operation operation,
				   struct envelope_request *request)
{
	bool is_new = operation == BE_OPERATION_CREATE || operation == BE_OPERATION_ENSURE;
	enum be_status status =
		read_text(env, argv[2], request->room[0], NAME_ROOM, &request->category);

	if (status == BE_OK && !request->category)
		status = BE_INVALID_ARGUMENT;
	if (status == BE_OK && (is_new || operation == BE_OPERATION_SET_LIMIT))
		status = read_amount(env, argv[3], &request->limit);
	return status == BE_OK && is_new ? read_new(env, argv, request) : status;
}

static enum be_status change(struct be_enforcer *enforcer, enum be_operation operation,
			     const struct envelope_request *request, struct addon *addon)
{
	enum be_status status = BE_OK;

	switch (operation) {
	case BE_OPERATION_CREATE:
		status = be_envelope_create(enforcer, request->category, request->limit,
					    request->period, &request->options);
		if (status != BE_OK)
			return status;
		/* fall through */
	case BE_OPERATION_ENSURE:
		addon->envelope.size = sizeof addon->envelope;
		return be_envelope_ensure_with(enforcer, request->category, request->limit,
					       request->period, &request->options, &addon->envelope,
					       NULL);
	case BE_OPERATION_SET_LIMIT:
		return be_envelope_set_limit(enforcer, request->category, request->limit);
	case BE_OPERATION_SUSPEND:
		return be_envelope_suspend(enforcer, request->category);
	case BE_OPERATION_RESUME:
		return be_envelope_resume(enforcer, request->category);
	case BE_OPERATION_RESET:
		return be_envelope_reset(enforcer, request->category);
	default:
		return be_envelope_remove(enforcer, request->category);
	}
}

napi_value envelope_change(napi_env env, napi_callback_info info)
{
	ARGUMENTS(9);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct envelope_request request = {.options = BE_ENVELOPE_OPTIONS_INIT};
	enum be_operation operation = (enum be_operation)read_number(env, argv[1]);
	enum be_status status =
		handle ? read_request(env, argv, operation, &request) : BE_INVALID_ARGUMENT;

	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = change(handle->enforcer, operation, &request, addon);
	keep_error(addon, status);
	put_envelope(addon, &addon->envelope);
	return handle_result(env, handle, status);
}

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
	put_envelope(addon, &addon->envelope);
	return handle_result(env, handle, status);
}

/* ---- listings: (handle, count, namespace, category, since, until, afterId, afterNamespace,
 * afterCategory, array): the array is filled with so many values for each. */

struct js_page {
	napi_env env;
	napi_value array;
	uint32_t count;
};

static void add(struct js_page *page, napi_value value)
{
	napi_set_element(page->env, page->array, page->count++, value);
}

static void add_text(struct js_page *page, const char *text)
{
	add(page, make_text(page->env, text));
}

static void add_number(struct js_page *page, double number)
{
	add(page, make_number(page->env, number));
}

static void add_bigint(struct js_page *page, uint64_t number)
{
	add(page, make_bigint(page->env, number));
}

static bool add_transaction(void *context, const struct be_transaction *one)
{
	add_bigint(context, one->id);
	add_bigint(context, one->commit_id);
	add_bigint(context, (uint64_t)one->amount);
	add_bigint(context, (uint64_t)one->held);
	add_number(context, (double)one->at_ns / 1e6);
	add_number(context, one->kind);
	add_number(context, one->late ? 1 : 0);
	add_text(context, one->namespace_name);
	add_text(context, one->category);
	add_text(context, one->description);
	return true;
}

static bool add_envelope(void *context, const struct be_envelope *one)
{
	add_text(context, one->namespace_name);
	add_text(context, one->category);
	return true;
}

struct listing_request {
	struct be_filter filter;
	char room[4][NAME_ROOM];
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
	return status;
}

static napi_value list(napi_env env, napi_callback_info info, bool envelopes)
{
	ARGUMENTS(10);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct listing_request request = {.filter = BE_FILTER_INIT};
	struct js_page page = {env, argv[9], 0};
	enum be_status status = handle ? read_filter(env, argv, &request) : BE_INVALID_ARGUMENT;

	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	if (envelopes)
		status = be_envelopes_each(handle->enforcer, &request.filter, add_envelope, &page);
	else
		status = be_transactions_each(handle->enforcer, &request.filter, add_transaction,
					      &page);
	keep_error(addon, status);
	return handle_result(env, handle, status);
}

napi_value list_envelopes(napi_env env, napi_callback_info info)
{
	return list(env, info, true);
}

napi_value list_transactions(napi_env env, napi_callback_info info)
{
	return list(env, info, false);
}

/* ---- verify(handle, array): what differs, in sentences */

static void add_finding(void *context, const char *sentence)
{
	add_text(context, sentence);
}

napi_value verify(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct js_page page = {env, argv[1], 0};
	enum be_status status = BE_INVALID_ARGUMENT;

	if (!handle) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_verify(handle->enforcer, add_finding, &page, NULL);
	if (status == BE_UNBALANCED || status == BE_DAMAGED)
		status = BE_OK;
	keep_error(addon, status);
	return handle_result(env, handle, status);
}
