/* SPDX-License-Identifier: Apache-2.0 */
/* What asks and spends. */
#include "addon.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* (handle, operation, category or id, amount, description, ttlMs, detached, charge) */
static enum be_status read_options(napi_env env, size_t argc, napi_value *argv, struct call *call)
{
	double ttl_ms = 0;

	if (argc <= 5)
		return BE_OK;
	napi_get_value_double(env, argv[5], &ttl_ms);
	if (!(ttl_ms >= 0 && ttl_ms < 9e15))
		return BE_INVALID_ARGUMENT;
	call->options.ttl_ms = (uint64_t)ttl_ms;
	if (argc > 7) {
		call->options.detached = read_bool(env, argv[6]);
		call->options.reap_policy =
			read_bool(env, argv[7]) ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	}
	return BE_OK;
}

enum be_status call_read(napi_env env, size_t argc, napi_value *argv, struct call *call)
{
	const char *text = NULL;
	enum be_status status = BE_OK;

	memset(call, 0, offsetof(struct call, category));
	call->options = (struct be_commit_options)BE_COMMIT_OPTIONS_INIT;
	call->handle = handle_of(env, argv[0]);
	if (!call->handle)
		return BE_INVALID_ARGUMENT;
	call->operation = (enum be_operation)read_number(env, argv[1]);
	if (call->operation == BE_OPERATION_COMMIT || call->operation == BE_OPERATION_RECORD) {
		status = read_text(env, argv[2], call->category, sizeof call->category, &text);
		if (status == BE_OK && !text)
			status = BE_INVALID_ARGUMENT;
	} else {
		status = read_id(env, argv[2], &call->id);
	}
	if (status == BE_OK && call->operation != BE_OPERATION_RELEASE)
		status = read_amount(env, argv[3], &call->amount);
	if (status == BE_OK && argc > 4) {
		status =
			read_text(env, argv[4], call->description, sizeof call->description, &text);
		if (status == BE_INVALID_NAME)
			status = BE_INVALID_DESCRIPTION;
		call->has_description = text != NULL;
	}
	return status == BE_OK ? read_options(env, argc, argv, call) : status;
}

void call_run(struct call *call)
{
	struct be_enforcer *enforcer = call->handle->enforcer;
	const char *description = call->has_description ? call->description : NULL;

	switch (call->operation) {
	case BE_OPERATION_COMMIT:
		call->decision = (struct be_decision)BE_DECISION_INIT;
		call->status = be_commit_with(enforcer, call->category, call->amount, description,
					      &call->options, &call->id, &call->decision);
		break;
	case BE_OPERATION_EXTEND:
		call->decision = (struct be_decision)BE_DECISION_INIT;
		call->status = be_extend(enforcer, call->id, call->amount, call->options.ttl_ms,
					 &call->decision);
		break;
	case BE_OPERATION_RELEASE:
		call->status = be_release(enforcer, call->id);
		break;
	case BE_OPERATION_RECORD:
		call->transaction = (struct be_transaction)BE_TRANSACTION_INIT;
		call->status = be_record(enforcer, call->category, call->amount, description,
					 &call->transaction);
		break;
	case BE_OPERATION_SETTLE:
		call->transaction = (struct be_transaction)BE_TRANSACTION_INIT;
		call->status = be_settle(enforcer, call->id, call->amount, description,
					 &call->transaction);
		break;
	default:
		call->status = BE_INVALID_ARGUMENT;
	}
}

void call_publish(struct addon *addon, const struct call *call)
{
	switch (call->operation) {
	case BE_OPERATION_COMMIT:
	case BE_OPERATION_EXTEND:
		addon->decision = call->decision;
		put_decision(addon, &call->decision);
		addon->nanos[5] = (int64_t)call->id;
		break;
	case BE_OPERATION_RECORD:
	case BE_OPERATION_SETTLE:
		addon->transaction = call->transaction;
		put_transaction(addon, &call->transaction);
		break;
	default:
		break;
	}
}

napi_value call_now(napi_env env, napi_callback_info info)
{
	ARGUMENTS(8);
	struct call call;

	call.status = call_read(env, argc, argv, &call);
	if (call.status != BE_OK) {
		keep_own_error(addon, call.status);
		return make_status(env, call.status);
	}
	call_run(&call);
	keep_error(addon, call.status);
	call_publish(addon, &call);
	return handle_result(env, call.handle, call.status);
}

/* check(handle, category, amount) */
napi_value call_check(napi_env env, napi_callback_info info)
{
	ARGUMENTS(3);
	struct js_handle *handle = handle_of(env, argv[0]);
	char category[NAME_ROOM];
	const char *text = NULL;
	int64_t amount = 0;
	enum be_status status = read_text(env, argv[1], category, sizeof category, &text);

	if (status == BE_OK)
		status = read_amount(env, argv[2], &amount);
	if (status == BE_OK && !handle)
		status = BE_INVALID_ARGUMENT;
	if (status != BE_OK) {
		keep_own_error(addon, status);
		return make_status(env, status);
	}
	addon->decision.size = sizeof addon->decision;
	status = be_check(handle->enforcer, text, amount, &addon->decision);
	keep_error(addon, status);
	put_decision(addon, &addon->decision);
	return handle_result(env, handle, status);
}
