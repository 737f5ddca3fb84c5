/* SPDX-License-Identifier: Apache-2.0 */
/* What an envelope is made with, and what it is set to afterwards. */
#include "addon.h"

#include <math.h>
#include <stdlib.h>

/* (handle, operation, category, limit, period, parentNamespace, parentCategory, startMs, suspended,
 * zone, beginsOn, rollOver, observeOnly) */
struct envelope_request {
	const char *category;
	int64_t limit;
	enum be_period period;
	struct be_envelope_options options;
	char room[3][NAME_ROOM];
	char zone[ZONE_ROOM];
};

/* undefined is none. */
static enum be_status read_optional(napi_env env, napi_value value, int64_t *nanos)
{
	napi_valuetype type = napi_undefined;

	*nanos = 0;
	napi_typeof(env, value, &type);
	return type == napi_undefined ? BE_OK : read_amount(env, value, nanos);
}

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
	if (status == BE_OK)
		status = read_text(env, argv[9], request->zone, ZONE_ROOM, &request->options.zone);
	request->options.begins_on = read_number(env, argv[10]);
	if (status == BE_OK)
		status = read_optional(env, argv[11], &request->options.roll_over);
	request->options.observe_only = read_bool(env, argv[12]);
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
	ARGUMENTS(13);
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
	return handle_result(env, handle, status);
}

/* ---- set(handle, category, mask, limit, period, zone, beginsOn, suspended, observeOnly, rollOver,
 * thresholds, raise, raiseUntil, newNamespace, newCategory, parentNamespace, parentCategory): the
 * mask is that of the library. */

struct settings_request {
	const char *category;
	struct be_settings settings;
	char room[5][NAME_ROOM];
	char zone[ZONE_ROOM];
};

static enum be_status read_thresholds(napi_env env, napi_value array, struct be_settings *settings)
{
	uint32_t count = 0;

	if (napi_get_array_length(env, array, &count) != napi_ok || count > BE_THRESHOLDS_MAX)
		return BE_INVALID_ARGUMENT;
	for (uint32_t i = 0; i < count; i++) {
		napi_value one = NULL;
		double percent = 0;

		napi_get_element(env, array, i, &one);
		napi_get_value_double(env, one, &percent);
		if (!(percent >= 1 && percent <= BE_THRESHOLD_MAX) || percent != floor(percent))
			return BE_INVALID_ARGUMENT;
		settings->thresholds[i] = (uint16_t)percent;
	}
	return BE_OK;
}

static enum be_status read_amounts(napi_env env, napi_value *argv, struct be_settings *settings)
{
	enum be_status status = read_optional(env, argv[3], &settings->limit);

	if (status == BE_OK)
		status = read_optional(env, argv[9], &settings->roll_over);
	if (status == BE_OK)
		status = read_optional(env, argv[11], &settings->raise);
	settings->raise_until_ns = read_time(env, argv[12]);
	return status;
}

static enum be_status read_window(napi_env env, napi_value *argv, struct settings_request *request)
{
	char period[16];
	const char *text = NULL;
	enum be_status status = read_text(env, argv[4], period, sizeof period, &text);

	if (status == BE_OK && request->settings.mask & BE_SET_PERIOD)
		status = be_period_parse(text, &request->settings.period);
	if (status == BE_OK)
		status = read_text(env, argv[5], request->zone, ZONE_ROOM, &request->settings.zone);
	request->settings.begins_on = read_number(env, argv[6]);
	return status;
}

static enum be_status read_settings(napi_env env, napi_value *argv,
				    struct settings_request *request)
{
	struct be_settings *settings = &request->settings;
	enum be_status status =
		read_text(env, argv[1], request->room[0], NAME_ROOM, &request->category);

	settings->mask = read_number(env, argv[2]);
	settings->suspended = read_bool(env, argv[7]);
	settings->observe_only = read_bool(env, argv[8]);
	if (status == BE_OK)
		status = read_window(env, argv, request);
	if (status == BE_OK)
		status = read_amounts(env, argv, settings);
	if (status == BE_OK && settings->mask & BE_SET_THRESHOLDS)
		status = read_thresholds(env, argv[10], settings);
	if (status == BE_OK)
		status = read_text(env, argv[13], request->room[1], NAME_ROOM,
				   &settings->new_namespace);
	if (status == BE_OK)
		status = read_text(env, argv[14], request->room[2], NAME_ROOM,
				   &settings->new_category);
	if (status == BE_OK)
		status = read_text(env, argv[15], request->room[3], NAME_ROOM,
				   &settings->parent_namespace);
	if (status == BE_OK)
		status = read_text(env, argv[16], request->room[4], NAME_ROOM,
				   &settings->parent_category);
	return status;
}

napi_value envelope_set(napi_env env, napi_callback_info info)
{
	ARGUMENTS(17);
	struct js_handle *handle = handle_of(env, argv[0]);
	struct settings_request request = {.settings = BE_SETTINGS_INIT};
	enum be_status status = handle ? read_settings(env, argv, &request) : BE_INVALID_ARGUMENT;

	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	addon->envelope.size = sizeof addon->envelope;
	status = be_envelope_set(handle->enforcer, request.category, &request.settings,
				 &addon->envelope);
	keep_error(addon, status);
	return handle_result(env, handle, status);
}

/* ---- several changes together */

/* One of them: what the library's value for it points at. */
struct change_request {
	char namespace_name[NAME_ROOM];
	union {
		struct envelope_request new;
		struct settings_request set;
	};
};

enum {
	CHANGES_MAX = 1000000 /* index.js says so first */
};

struct js_changes {
	uint32_t count, failed; /* the one that is wrong; `count`: none */
	enum be_status status;  /* what is wrong with it */
	struct be_envelope_change *changes;
	struct change_request requests[];
};

static enum be_status read_set(napi_env env, napi_value *argv, struct change_request *request,
			       struct be_envelope_change *change)
{
	enum be_status status = BE_OK;

	request->set.settings = (struct be_settings)BE_SETTINGS_INIT;
	status = read_settings(env, argv, &request->set);
	change->category = request->set.category;
	change->settings = &request->set.settings;
	return status;
}

static enum be_status read_other(napi_env env, napi_value *argv, struct change_request *request,
				 struct be_envelope_change *change)
{
	enum be_status status = BE_OK;

	request->new.options = (struct be_envelope_options)BE_ENVELOPE_OPTIONS_INIT;
	status = read_request(env, argv, change->operation, &request->new);
	change->category = request->new.category;
	change->limit = request->new.limit;
	change->period = request->new.period;
	if (change->operation == BE_OPERATION_CREATE || change->operation == BE_OPERATION_ENSURE)
		change->options = &request->new.options;
	return status;
}

/* The functions that make a change alone have the handle first. */
static enum be_status read_change(napi_env env, napi_value one, struct change_request *request,
				  struct be_envelope_change *change)
{
	napi_value parts[3] = {0}, argv[17] = {0};
	enum be_status status = BE_OK;

	for (uint32_t i = 0; i < 3; i++)
		napi_get_element(env, one, i, &parts[i]);
	for (uint32_t i = 1; i < 17; i++)
		napi_get_element(env, parts[2], i - 1, &argv[i]);
	change->size = sizeof *change;
	change->operation = (enum be_operation)read_number(env, parts[0]);
	status = read_text(env, parts[1], request->namespace_name, NAME_ROOM,
			   &change->namespace_name);
	if (status != BE_OK)
		return status;
	return change->operation == BE_OPERATION_SET ? read_set(env, argv, request, change)
						     : read_other(env, argv, request, change);
}

enum be_status changes_read(napi_env env, napi_value array, struct js_changes **changes)
{
	struct js_changes *made = NULL;
	uint32_t count = 0;

	if (napi_get_array_length(env, array, &count) != napi_ok || count > CHANGES_MAX)
		return BE_INVALID_ARGUMENT;
	made = calloc(1, sizeof *made + (size_t)count * sizeof *made->requests);
	*changes = made;
	if (!made)
		return BE_NO_MEMORY;
	made->count = made->failed = count;
	made->changes = calloc((size_t)count + 1, sizeof *made->changes);
	if (!made->changes)
		return BE_NO_MEMORY;
	for (uint32_t i = 0; i < count && made->status == BE_OK; i++) {
		napi_handle_scope scope = NULL;
		napi_value one = NULL;

		napi_open_handle_scope(env, &scope);
		napi_get_element(env, array, i, &one);
		made->status = read_change(env, one, &made->requests[i], &made->changes[i]);
		if (made->status != BE_OK)
			made->failed = i;
		napi_close_handle_scope(env, scope);
	}
	return BE_OK;
}

enum be_status changes_make(struct be_enforcer *enforcer, const struct js_changes *changes,
			    uint64_t *failed)
{
	size_t index = changes->failed;
	enum be_status status = changes->status;

	if (status == BE_OK)
		status = be_envelopes_apply(enforcer, changes->changes, changes->count, &index);
	else
		be_storage_explain(be_status_text(status));
	*failed = index;
	return status;
}

void changes_free(struct js_changes *changes)
{
	if (changes)
		free(changes->changes);
	free(changes);
}
