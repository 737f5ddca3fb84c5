/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls that make, steer, remove and show envelopes. */
#include "enforcer.h"
#include "error.h"
#include "period.h"
#include "rules.h"
#include "sized.h"

static enum be_status prepare(struct be_enforcer *handle, const char *category, enum be_operation kind,
			      struct operation *operation)
{
	if (!handle || !category)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given", handle ? "category" : "handle");
	enforcer_prepare(handle, operation, kind);
	return enforcer_name(handle, category, &operation->name);
}

static enum be_status check_limit(int64_t limit)
{
	if (limit <= 0)
		return error_set(BE_INVALID_LIMIT,
				 "a limit must be more than 0; suspend an envelope to stop it");
	return BE_OK;
}

static enum be_status set_parent(const struct be_enforcer *handle, const struct be_envelope_options *options,
				 struct name *parent)
{
	enum be_status status;

	if (!options->parent_category) {
		if (options->parent_namespace)
			return error_set(BE_INVALID_ARGUMENT,
					 "a parent's namespace was given without its category");
		return BE_OK;
	}
	status = name_set_namespace(parent, options->parent_namespace ? options->parent_namespace
								      : handle->name.namespace_name);
	return status == BE_OK ? name_set_category(parent, options->parent_category) : status;
}

static enum be_status make(struct be_enforcer *handle, const char *category, int64_t limit,
			   enum be_period period, const struct be_envelope_options *given,
			   enum be_operation kind)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct operation operation;
	struct result result;
	enum be_status status = sized_read(given, &options, sizeof options);

	if (!handle || !category)
		return prepare(handle, category, kind, &operation);
	if (status == BE_OK)
		status = prepare(handle, category, kind, &operation);
	if (status == BE_OK)
		status = set_parent(handle, &options, &operation.parent);
	if (status == BE_OK)
		status = check_limit(limit);
	if (status == BE_OK && !period_is_known(period))
		status = error_set(BE_INVALID_PERIOD, "%d is no period", (int)period);
	if (status == BE_OK && options.period_start_ns < 0)
		status = error_set(BE_INVALID_PERIOD, "a window cannot begin before 1970");
	if (status == BE_OK && options.period_start_ns > operation.now_ns)
		status = error_set(BE_INVALID_PERIOD, "a window cannot begin in the future");
	if (status != BE_OK)
		return error_default(status);
	operation.amount = limit;
	operation.period = period;
	operation.suspended = options.suspended;
	operation.period_start_ns = options.period_start_ns;
	return enforcer_run(handle, &operation, &result);
}

enum be_status be_envelope_create(struct be_enforcer *handle, const char *category, int64_t limit,
				  enum be_period period, const struct be_envelope_options *options)
{
	error_clear();
	return make(handle, category, limit, period, options, BE_OPERATION_CREATE);
}

enum be_status be_envelope_ensure(struct be_enforcer *handle, const char *category, int64_t limit,
				  enum be_period period, const struct be_envelope_options *options)
{
	error_clear();
	return make(handle, category, limit, period, options, BE_OPERATION_ENSURE);
}

static enum be_status steer(struct be_enforcer *handle, const char *category, enum be_operation kind)
{
	struct operation operation;
	struct result result;
	enum be_status status;

	error_clear();
	status = prepare(handle, category, kind, &operation);
	return status == BE_OK ? enforcer_run(handle, &operation, &result) : error_default(status);
}

enum be_status be_envelope_set_limit(struct be_enforcer *handle, const char *category, int64_t limit)
{
	struct operation operation;
	struct result result;
	enum be_status status;

	error_clear();
	status = prepare(handle, category, BE_OPERATION_SET_LIMIT, &operation);
	if (status == BE_OK)
		status = check_limit(limit);
	operation.amount = limit;
	return status == BE_OK ? enforcer_run(handle, &operation, &result) : error_default(status);
}

enum be_status be_envelope_suspend(struct be_enforcer *handle, const char *category)
{
	return steer(handle, category, BE_OPERATION_SUSPEND);
}

enum be_status be_envelope_resume(struct be_enforcer *handle, const char *category)
{
	return steer(handle, category, BE_OPERATION_RESUME);
}

enum be_status be_envelope_reset(struct be_enforcer *handle, const char *category)
{
	return steer(handle, category, BE_OPERATION_RESET);
}

enum be_status be_envelope_remove(struct be_enforcer *handle, const char *category)
{
	return steer(handle, category, BE_OPERATION_REMOVE);
}

static enum be_status look_up(struct be_enforcer *handle, const struct name *name, struct envelope *envelope)
{
	struct environment *environment;
	struct store store;
	enum be_status status = enforcer_environment(handle, &environment);
	int found;

	if (status == BE_OK)
		status = store_begin(&store, environment->storage, false);
	if (status != BE_OK)
		return status;
	found = store_envelope_get(&store, name, envelope);
	store_abort(&store);
	if (found != 0)
		return found == STORE_NONE ? BE_NO_ENVELOPE : (enum be_status)found;
	rules_roll_over(envelope, enforcer_now_coarse(handle), 1);
	return BE_OK;
}

enum be_status be_utilization(struct be_enforcer *handle, const char *category, struct be_envelope *shown)
{
	struct be_envelope own = BE_ENVELOPE_INIT;
	struct envelope envelope;
	struct name name;
	enum be_status status;

	error_clear();
	status = sized_clear(shown);
	if (!handle || !category || !shown)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 !handle     ? "handle"
				 : !category ? "category"
					     : "place for the envelope");
	if (status == BE_OK)
		status = enforcer_name(handle, category, &name);
	if (status == BE_OK)
		status = look_up(handle, &name, &envelope);
	if (status != BE_OK)
		return error_default(status);
	rules_describe_envelope(&envelope, &own);
	sized_write(shown, &own, sizeof own);
	return BE_OK;
}
