/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles: opened for a BudgetEnforcer, and closed when JavaScript says so, or collects it, or
 * ends. be_close() is the last call on a handle, so that it waits for those on threads.
 */
#include "addon.h"
#include "server.h"

#include <stdlib.h>

/* With the last handle that is on it. */
static void close_storage(struct js_handle *origin)
{
	if (origin->enforcer || origin->sharers > 0)
		return;
	be_storage_memory_destroy(origin->memory);
	origin->memory = NULL;
	js_storage_free(origin->storage);
	origin->storage = NULL;
	server_close(origin->server);
	origin->server = NULL;
}

static void close_enforcer(struct js_handle *handle)
{
	bool shares = handle->origin && handle->enforcer;

	be_close(handle->enforcer);
	/* What its storage threw is not to come out of a call of another handle that has it. */
	if (handle->enforcer)
		js_storage_forget(handle->storage);
	handle->enforcer = NULL;
	if (shares) {
		handle->origin->sharers--;
		handle->storage = NULL;
	}
	close_storage(handle->origin ? handle->origin : handle);
}

/* Not before those that share its events. */
static void free_handle(struct js_handle *handle)
{
	struct js_handle *origin = handle->origin;

	if (handle->pointers > 0)
		return;
	events_end(handle);
	free(handle);
	if (origin && --origin->pointers == 0 && origin->collected && origin->working == 0)
		free_handle(origin);
}

static void finalize(napi_env env, void *data, void *hint)
{
	struct js_handle *handle = data;

	(void)env;
	(void)hint;
	handle->closing = handle->collected = true;
	if (handle->working > 0)
		return; /* the last of them frees it */
	close_enforcer(handle);
	free_handle(handle);
}

void handle_leave(struct js_handle *handle)
{
	if (--handle->working > 0 || !handle->closing)
		return;
	close_enforcer(handle);
	if (handle->collected)
		free_handle(handle);
}

struct js_handle *handle_of(napi_env env, napi_value value)
{
	struct js_handle *handle = NULL;

	if (napi_get_value_external(env, value, (void **)&handle) != napi_ok)
		return NULL;
	return handle && handle->enforcer && !handle->closing ? handle : NULL;
}

napi_value handle_result(napi_env env, struct js_handle *handle, enum be_status status)
{
	/* What was read besides, such as labels, may fail; the money is charged all the same. */
	if (handle && status == BE_OK)
		js_storage_forget(handle->storage);
	if (handle && js_storage_rethrow(env, handle->storage))
		return NULL;
	return make_status(env, status);
}

/* A server is as durable as it is set up. A failure is closed by the caller. */
static enum be_status connect_to(struct js_handle *handle, const char *url,
				 struct be_options *options)
{
	enum be_status status = BE_OK;

	if (options->durability != BE_DURABILITY_FULL) {
		be_storage_explain("durability is for a directory, not a server");
		return BE_INVALID_ARGUMENT;
	}
	status = server_open(url, &handle->server);
	if (status == BE_OK)
		options->storage = server_storage(handle->server);
	return status;
}

/* A path or URL, an object that is a storage, or true for one in memory. */
static enum be_status open_it(napi_env env, struct js_handle *handle, const char *path,
			      napi_value storage, struct be_options *options)
{
	napi_valuetype type = napi_undefined;

	napi_typeof(env, storage, &type);
	if (type == napi_boolean) {
		enum be_status status = be_storage_memory_create(&handle->memory);

		if (status != BE_OK)
			return status;
		options->storage = handle->memory;
	} else if (type == napi_object) {
		handle->storage = js_storage_make(env, storage);
		if (!handle->storage)
			return BE_NO_MEMORY;
		options->storage = js_storage_of(handle->storage);
	} else if (path && server_is_url(path)) {
		enum be_status status = connect_to(handle, path, options);

		if (status != BE_OK)
			return status;
	}
	return be_open(options->storage ? NULL : path, options, &handle->enforcer);
}

/* open(path, namespace, process, flags, storage, observe, leaseMs, checkAgeMs): a handle, or a
 * status */
napi_value handle_open(napi_env env, napi_callback_info info)
{
	ARGUMENTS(8);
	struct be_options options = BE_OPTIONS_INIT;
	char path[PATH_MAX], name[NAME_ROOM];
	const char *place = NULL;
	napi_value external = NULL;
	struct js_handle *handle = NULL;
	enum be_status status = read_path(env, argv[0], path, &place);

	if (status == BE_OK)
		status = read_text(env, argv[1], name, sizeof name, &options.namespace_name);
	if (status == BE_OK && !(handle = calloc(1, sizeof *handle)))
		status = BE_NO_MEMORY;
	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	events_begin(handle);
	if (read_bool(env, argv[5])) {
		options.observe = events_keep;
		options.observe_context = handle;
	}
	options.durability = read_bool(env, argv[2]) ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL;
	options.flags = read_number(env, argv[3]);
	options.lease_ms = read_number(env, argv[6]);
	options.check_age_ms = read_number(env, argv[7]);
	status = open_it(env, handle, place, argv[4], &options);
	keep_error(addon, status);
	if (js_storage_rethrow(env, handle->storage) || status != BE_OK) {
		finalize(env, handle, NULL);
		return make_status(env, status);
	}
	if (napi_create_external(env, handle, finalize, NULL, &external) != napi_ok)
		finalize(env, handle, NULL);
	return external;
}

/* openNamespace(handle, namespace): another handle, or a status */
napi_value handle_open_namespace(napi_env env, napi_callback_info info)
{
	ARGUMENTS(2);
	struct js_handle *from = handle_of(env, argv[0]), *made = NULL;
	char room[NAME_ROOM];
	const char *name = NULL;
	napi_value external = NULL;
	enum be_status status =
		from ? read_text(env, argv[1], room, sizeof room, &name) : BE_INVALID_ARGUMENT;

	if (status == BE_OK && !(made = calloc(1, sizeof *made)))
		status = BE_NO_MEMORY;
	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	status = be_open_namespace(from->enforcer, name, &made->enforcer);
	keep_error(addon, status);
	if (status != BE_OK) {
		free(made);
		return handle_result(env, from, status);
	}
	js_storage_forget(from->storage);
	events_begin(made);
	made->origin = from->origin ? from->origin : from;
	made->storage = from->storage;
	made->origin->sharers++;
	made->origin->pointers++;
	if (napi_create_external(env, made, finalize, NULL, &external) != napi_ok)
		finalize(env, made, NULL);
	return external;
}

napi_value handle_close(napi_env env, napi_callback_info info)
{
	ARGUMENTS(1);
	struct js_handle *handle = handle_of(env, argv[0]);

	(void)addon;
	if (!handle)
		return NULL;
	handle->closing = true;
	if (handle->working == 0)
		close_enforcer(handle);
	return NULL;
}
