/* SPDX-License-Identifier: Apache-2.0 */
/* What asks and spends; and how any call is read, made and answered. */
#include "addon.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* How long to wait for money. Numbers are milliseconds; Infinity and -1 have their meaning. */
static enum be_status read_wait(napi_env env, napi_value value, int64_t *wait_ms)
{
	double number = 0;

	napi_get_value_double(env, value, &number);
	if (!(number >= 0 || number == BE_WAIT_WINDOW))
		return BE_INVALID_ARGUMENT;
	*wait_ms = number < 9e15 ? (int64_t)number : BE_WAIT_FOREVER;
	return BE_OK;
}

static enum be_status read_key(napi_env env, napi_value value, struct call *call)
{
	const char *text = NULL;
	enum be_status status = read_text(env, value, call->key, sizeof call->key, &text);

	call->has_key = text != NULL;
	return status == BE_INVALID_NAME ? BE_INVALID_KEY : status;
}

/* Milliseconds that are no date; undefined is 0. */
static enum be_status read_duration(napi_env env, napi_value value, uint64_t *ms)
{
	double number = 0;

	napi_get_value_double(env, value, &number);
	if (!(number >= 0 && number < 9e15))
		return BE_INVALID_ARGUMENT;
	*ms = (uint64_t)number;
	return BE_OK;
}

static enum be_status read_least(napi_env env, napi_value value, int64_t *least)
{
	napi_valuetype type = napi_undefined;

	napi_typeof(env, value, &type);
	return type == napi_undefined ? BE_OK : read_amount(env, value, least);
}

/* (handle, operation, category or id, amount, description, ttlMs, detached, charge, key, keyMs,
 * waitMs, labels, also, least, given_up) */
static enum be_status read_options(napi_env env, size_t argc, napi_value *argv, struct call *call)
{
	struct be_commit_options *options = &call->options;
	enum be_status status = argc > 5 ? read_duration(env, argv[5], &options->ttl_ms) : BE_OK;

	if (status != BE_OK || argc <= 6)
		return status;
	options->detached = read_bool(env, argv[6]);
	options->reap_policy = read_bool(env, argv[7]) ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	status = read_key(env, argv[8], call);
	if (status == BE_OK)
		status = read_duration(env, argv[9], &options->key_ms);
	if (status == BE_OK)
		status = read_wait(env, argv[10], &options->wait_ms);
	if (status == BE_OK)
		status = read_labels(env, argv[11], &call->labels);
	if (status == BE_OK)
		status = read_names(env, argv[12], &call->also);
	return status == BE_OK ? read_least(env, argv[13], &options->least) : status;
}

/* What a commit is to hold: undefined is what it holds. */
static enum be_status read_call_amount(napi_env env, napi_value value, struct call *call)
{
	napi_valuetype type = napi_undefined;

	napi_typeof(env, value, &type);
	if (call->operation != BE_OPERATION_EXTEND || type != napi_undefined)
		return read_amount(env, value, &call->amount);
	call->amount = BE_HELD_AMOUNT;
	return BE_OK;
}

enum be_status call_read(napi_env env, size_t argc, napi_value *argv, struct call *call)
{
	const char *text = NULL;
	enum be_status status = BE_OK;

	memset(call, 0, offsetof(struct call, category));
	call->options = (struct be_commit_options)BE_COMMIT_OPTIONS_INIT;
	call->labels.count = call->also.count = 0;
	call->pool = NULL;
	call->given_up = NULL;
	call->changes = NULL;
	call->handle = handle_of(env, argv[0]);
	if (!call->handle)
		return BE_INVALID_ARGUMENT;
	call->operation = read_number(env, argv[1]);
	if (call->operation >= UPKEEP_REAP)
		return upkeep_read(env, argv[2], call);
	if (call->operation == BE_OPERATION_COMMIT || call->operation == BE_OPERATION_RECORD) {
		status = read_text(env, argv[2], call->category, sizeof call->category, &text);
		if (status == BE_OK && !text)
			status = BE_INVALID_ARGUMENT;
	} else {
		status = read_id(env, argv[2], &call->id);
	}
	if (status == BE_OK && call->operation != BE_OPERATION_RELEASE)
		status = read_call_amount(env, argv[3], call);
	if (status == BE_OK && argc > 4) {
		status =
			read_text(env, argv[4], call->description, sizeof call->description, &text);
		if (status == BE_INVALID_NAME)
			status = BE_INVALID_DESCRIPTION;
		call->has_description = text != NULL;
	}
	return status == BE_OK ? read_options(env, argc, argv, call) : status;
}

/* A line that was pruned has none: what comes is then another. */
static bool take_notes(void *context, const struct be_transaction *one)
{
	struct call *call = context;

	if (one->id != call->transaction.id)
		return false;
	keep_labels(&call->labels, one->labels, one->label_count);
	keep_names(&call->also, one->also, one->also_count);
	return false;
}

/* Those of a commit are known to the ledger only. Where that cannot be read the call does not fail:
 * the money is charged. Who looks at them then is told why. */
static void read_back(struct call *call)
{
	struct be_filter filter = BE_FILTER_INIT;
	enum be_status status = BE_OK;

	call->notes_status = BE_OK;
	if (call->status != BE_OK)
		return;
	call->labels.count = call->also.count = 0;
	if (call->transaction.label_count + call->transaction.also_count == 0)
		return;
	filter.after_id = call->transaction.id - 1;
	filter.max_count = 1;
	status = be_transactions_each(call->handle->enforcer, &filter, take_notes, call);
	if (status != BE_STOPPED)
		call->notes_status = status;
}

static void run_charge(struct call *call, const char *description)
{
	struct be_enforcer *enforcer = call->handle->enforcer;
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;

	options.key = call->options.key;
	options.key_ms = call->options.key_ms;
	options.labels = call->options.labels;
	options.label_count = call->options.label_count;
	options.also = call->options.also;
	options.also_count = call->options.also_count;
	call->transaction = (struct be_transaction)BE_TRANSACTION_INIT;
	switch (call->operation) {
	case BE_OPERATION_RECORD:
		call->status = be_record_with(enforcer, call->category, call->amount, description,
					      &options, &call->transaction);
		break;
	case BE_OPERATION_SETTLE:
		call->status = be_settle_with(enforcer, call->id, call->amount, description,
					      &options, &call->transaction);
		break;
	case BE_OPERATION_CHARGE:
		call->status = be_charge_with(enforcer, call->id, call->amount, description,
					      &options, &call->transaction);
		break;
	default:
		call->status = be_correct_with(enforcer, call->id, call->amount, description,
					       &options, &call->transaction);
	}
	read_back(call);
}

void call_run(struct call *call)
{
	struct be_enforcer *enforcer = call->handle->enforcer;
	const char *description = call->has_description ? call->description : NULL;

	call->options.key = call->has_key ? call->key : NULL;
	call->options.labels = point_at_labels(&call->labels);
	call->options.label_count = call->labels.count;
	call->options.also = point_at_names(&call->also);
	call->options.also_count = call->also.count;
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
	case BE_OPERATION_SETTLE:
	case BE_OPERATION_CHARGE:
	case BE_OPERATION_CORRECT:
		run_charge(call, description);
		break;
	default:
		upkeep_run(call);
	}
}

void call_publish(struct addon *addon, struct call *call)
{
	switch (call->operation) {
	case BE_OPERATION_COMMIT:
	case BE_OPERATION_EXTEND:
		addon->decision = call->decision;
		put_decision(addon, &call->decision);
		addon->nanos[5] = (int64_t)call->id;
		break;
	case BE_OPERATION_RELEASE:
		break;
	case UPKEEP_REAP:
	case UPKEEP_PRUNE:
	case UPKEEP_END:
	case UPKEEP_BACKUP:
	case UPKEEP_COPY:
	case UPKEEP_APPLY:
		upkeep_publish(addon, call);
		break;
	default:
		if (call->status != BE_OK)
			break;
		addon->transaction = call->transaction;
		put_transaction(addon, &call->transaction);
		addon->units[5] = (double)call->notes_status;
		keep_labels(&addon->labels, point_at_labels(&call->labels), call->labels.count);
		keep_names(&addon->also, point_at_names(&call->also), call->also.count);
	}
}

napi_value call_now(napi_env env, napi_callback_info info)
{
	ARGUMENTS(14);
	struct call call;

	call.status = call_read(env, argc, argv, &call);
	if (call.status != BE_OK) {
		changes_free(call.changes);
		keep_own_error(addon, call.status);
		return make_status(env, call.status);
	}
	call_run(&call);
	changes_free(call.changes);
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
