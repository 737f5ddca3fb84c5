/* SPDX-License-Identifier: Apache-2.0 */
/* For supervisors: what they look after. */
#include "addon.h"
#include "server.h"

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

/* ---- (handle, operation, argument), at once or on a thread */

static enum be_status read_place(napi_env env, napi_value value, char *place)
{
	const char *text = NULL;
	enum be_status status = read_path(env, value, place, &text);

	return status == BE_OK && !text ? BE_INVALID_ARGUMENT : status;
}

enum be_status upkeep_read(napi_env env, napi_value argument, struct call *call)
{
	switch (call->operation) {
	case UPKEEP_PRUNE:
		call->before_ns = read_time(env, argument);
		break;
	case UPKEEP_END:
		call->releases = read_bool(env, argument);
		break;
	case UPKEEP_BACKUP:
	case UPKEEP_COPY:
		return read_place(env, argument, call->place);
	case UPKEEP_APPLY:
		return changes_read(env, argument, &call->changes);
	default:
		break;
	}
	return BE_OK;
}

/* Pruning takes its time, and a worker thread that is terminated waits for the threads. */
static bool goes_on(void *context, const struct be_pruning *done)
{
	(void)done;
	return call_is_wanted(context);
}

static bool goes_on_copying(void *context, uint64_t records)
{
	(void)records;
	return call_is_wanted(context);
}

static enum be_status copy_to(struct be_enforcer *enforcer, struct call *call)
{
	struct js_server *server = NULL;
	enum be_status status = server_open(call->place, &server);

	if (status != BE_OK)
		return status;
	status = be_copy(enforcer, server_storage(server), goes_on_copying, call);
	server_close(server);
	return status;
}

void upkeep_run(struct call *call)
{
	struct be_enforcer *enforcer = call->handle->enforcer;
	struct be_pruning pruning = BE_PRUNING_INIT;

	call->counts[0] = call->counts[1] = 0;
	switch (call->operation) {
	case UPKEEP_REAP:
		call->status = be_reap(enforcer, &call->counts[0]);
		break;
	case UPKEEP_PRUNE:
		call->status = be_prune(enforcer, call->before_ns, goes_on, call, &pruning);
		call->counts[0] = pruning.transactions;
		break;
	case UPKEEP_END:
		call->status = be_namespace_end(enforcer, call->releases ? BE_END_RELEASE : 0,
						&call->counts[0], &call->counts[1]);
		break;
	case UPKEEP_BACKUP:
		call->status = be_backup(enforcer, call->place);
		break;
	case UPKEEP_COPY:
		call->status = copy_to(enforcer, call);
		break;
	case UPKEEP_APPLY:
		call->status = changes_make(enforcer, call->changes, &call->counts[0]);
		break;
	default:
		call->status = BE_INVALID_ARGUMENT;
	}
}

void upkeep_publish(struct addon *addon, const struct call *call)
{
	addon->units[0] = (double)call->counts[0];
	addon->units[1] = (double)call->counts[1];
}

/* restore(backup, directory) */
napi_value restore(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	char backup[PATH_MAX], directory[PATH_MAX];
	enum be_status status = read_place(env, argv[0], backup);

	if (status == BE_OK)
		status = read_place(env, argv[1], directory);
	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_restore(backup, directory);
	keep_error(addon, status);
	return make_status(env, status);
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
