/* SPDX-License-Identifier: Apache-2.0 */
/* For supervisors: what they look after. */
#include "addon.h"

/* alertDone(handle, id) */
napi_value alert_done(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	struct js_handle *handle = handle_of(env, argv[0]);
	uint64_t id = 0;
	enum be_status status = handle ? read_id(env, argv[1], &id) : BE_INVALID_ARGUMENT;

	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_alert_done(handle->enforcer, id);
	keep_error(addon, status);
	return handle_result(env, handle, status);
}

/* endNamespace(handle, release, array): the array gets how many envelopes and how many commits */
napi_value namespace_end(napi_env env, napi_callback_info info)
{
	ARGUMENTS(3);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct js_page page = {env, argv[2], 0};
	uint64_t removed = 0, released = 0;
	enum be_status status = BE_INVALID_ARGUMENT;

	if (!handle) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_namespace_end(handle->enforcer, read_bool(env, argv[1]) ? BE_END_RELEASE : 0,
				  &removed, &released);
	keep_error(addon, status);
	add(&page, make_number(env, (double)removed));
	add(&page, make_number(env, (double)released));
	return handle_result(env, handle, status);
}

/* reap(handle, array): the array gets how many */
napi_value reap(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct js_page page = {env, argv[1], 0};
	uint64_t reaped = 0;
	enum be_status status = BE_INVALID_ARGUMENT;

	if (!handle) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_reap(handle->enforcer, &reaped);
	keep_error(addon, status);
	add(&page, make_number(env, (double)reaped));
	return handle_result(env, handle, status);
}

/* prune(handle, before, array): the array gets how many transactions */
napi_value prune(napi_env env, napi_callback_info info)
{
	ARGUMENTS(3);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct js_page page = {env, argv[2], 0};
	struct be_pruning pruning = BE_PRUNING_INIT;
	enum be_status status = BE_INVALID_ARGUMENT;

	if (!handle) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_prune(handle->enforcer, read_time(env, argv[1]), NULL, NULL, &pruning);
	keep_error(addon, status);
	add(&page, make_number(env, (double)pruning.transactions));
	return handle_result(env, handle, status);
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
