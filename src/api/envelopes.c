/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls that make, steer, remove and show envelopes. */
#include "api/envelopes.h"

#include "api/enforcer.h"
#include "api/refusal.h"
#include "api/sized.h"
#include "base/error.h"
#include "rules/calendar.h"
#include "rules/move.h"
#include "rules/period.h"
#include "rules/rules.h"
#include "sharing/counts.h"

#include <pthread.h>
#include <stdlib.h>

static enum be_status check_limit(int64_t limit)
{
	if (limit <= 0)
		return error_set(BE_INVALID_LIMIT,
				 "a limit must be more than 0; suspend an envelope to stop it");
	return BE_OK;
}

static enum be_status set_parent(const char *namespace_name, const char *category,
				 struct operation *operation)
{
	enum be_status status;

	if (!category) {
		if (namespace_name)
			return error_set(BE_INVALID_ARGUMENT,
					 "a parent's namespace was given without its category");
		return BE_OK;
	}
	status = name_set_namespace(&operation->parent, namespace_name
								? namespace_name
								: operation->name.namespace_name);
	return status == BE_OK ? name_set_category(&operation->parent, category) : status;
}

/* What create, ensure and set say of windows. */
static enum be_status set_period(enum be_period period, const char *zone, uint32_t begins_on,
				 struct zones **zones, struct operation *operation)
{
	if (!period_is_known(period))
		return error_set(BE_INVALID_PERIOD, "%d is no period", (int)period);
	if (!zone && period > BE_PERIOD_MONTHLY)
		zone = "UTC";
	if (zone && period == BE_PERIOD_TOTAL)
		return error_set(BE_INVALID_PERIOD,
				 "a window that never ends follows no calendar: no zone is needed");
	if (!zone && begins_on != 0)
		return error_set(BE_INVALID_PERIOD,
				 "begins_on needs a zone whose calendar has the day");
	if (!calendar_may_begin_on(period, begins_on))
		return error_set(BE_INVALID_PERIOD,
				 "weeks begin on day 1 (Monday) to 7, months on 1 to 31, and "
				 "nothing else on a day of its own: %u",
				 begins_on);
	operation->period = period;
	operation->begins_on = (uint8_t)begins_on;
	return zone ? zones_take(zones, zone, operation) : BE_OK;
}

static enum be_status set_roll_over(int64_t most, struct operation *operation)
{
	if (most < 0)
		return error_set(BE_AMOUNT_NEGATIVE, "roll_over is below zero");
	operation->roll_over = most;
	return BE_OK;
}

/* What only create and ensure have. */
static enum be_status prepare_new(const struct be_envelope_change *change,
				  const struct be_envelope_options *options, struct zones **zones,
				  struct operation *operation)
{
	enum be_status status =
		set_parent(options->parent_namespace, options->parent_category, operation);

	if (status == BE_OK)
		status = check_limit(change->limit);
	if (status != BE_OK)
		return status;
	if (options->period_start_ns < 0)
		return error_set(BE_INVALID_PERIOD, "a window cannot begin before 1970");
	if (options->period_start_ns != 0 && options->period_start_ns > operation->now_ns)
		return error_set(BE_INVALID_PERIOD, "a window cannot begin in the future");
	if (options->period_start_ns != 0 && (options->zone || change->period > BE_PERIOD_MONTHLY))
		return error_set(BE_INVALID_PERIOD,
				 "a zone's calendar says when windows begin, or period_start_ns: "
				 "one of them");
	operation->amount = change->limit;
	operation->suspended = options->suspended;
	operation->observe_only = options->observe_only;
	operation->period_start_ns = options->period_start_ns;
	status = set_roll_over(options->roll_over, operation);
	return status == BE_OK ? set_period(change->period, options->zone, options->begins_on,
					    zones, operation)
			       : status;
}

static enum be_status set_raise(const struct be_settings *settings, struct operation *operation)
{
	if (settings->raise < 0)
		return error_set(BE_AMOUNT_NEGATIVE, "a raise below zero was given");
	if (settings->raise > 0 && settings->raise_until_ns <= operation->now_ns)
		return error_set(BE_INVALID_ARGUMENT, "the raise would have ended before now");
	if (settings->raise > 0 && settings->raise_until_ns <= 0)
		return error_set(BE_INVALID_ARGUMENT, "the raise ends before 1970");
	if (settings->raise > 0) {
		operation->raise = settings->raise;
		operation->raise_until_ns = settings->raise_until_ns;
	}
	return BE_OK;
}

static enum be_status set_thresholds(const uint16_t *thresholds, struct operation *operation)
{
	size_t count = 0;

	while (count < BE_THRESHOLDS_MAX && thresholds[count] != 0)
		count++;
	if (!record_thresholds_are_valid(thresholds, count))
		return error_set(BE_INVALID_ARGUMENT,
				 "thresholds are percentages from 1 to %d that ascend",
				 BE_THRESHOLD_MAX);
	memcpy(operation->thresholds, thresholds, sizeof operation->thresholds);
	operation->threshold_count = (uint8_t)count;
	return BE_OK;
}

static enum be_status set_new_name(const struct be_settings *settings, struct operation *operation)
{
	struct name name;
	enum be_status status;

	if (!settings->new_category)
		return error_set(BE_INVALID_ARGUMENT, "no new category was given");
	status =
		name_set_namespace(&name, settings->new_namespace ? settings->new_namespace
								  : operation->name.namespace_name);
	if (status == BE_OK)
		status = name_set_category(&name, settings->new_category);
	if (status != BE_OK)
		return status;
	operation->further_count = 1;
	operation->further_size =
		(uint16_t)(name_pack(operation->further, &name) - operation->further);
	return BE_OK;
}

/* What only set has. */
static enum be_status prepare_set(const struct be_settings *given, struct zones **zones,
				  struct operation *operation)
{
	struct be_settings settings = BE_SETTINGS_INIT;
	enum be_status status = sized_read(given, &settings);

	if (status != BE_OK)
		return status;
	if (!sized_is_zero(settings.reserved, sizeof settings.reserved))
		return sized_refuse_unknown();
	if (settings.mask == 0 || settings.mask >= 2 * BE_SET_PARENT)
		return error_set(BE_INVALID_ARGUMENT,
				 "settings.mask names nothing, or what this version does not know");
	operation->mask = settings.mask;
	if (settings.mask & BE_SET_NAME)
		status = set_new_name(&settings, operation);
	if (status == BE_OK && settings.mask & BE_SET_PARENT)
		status = set_parent(settings.parent_namespace, settings.parent_category, operation);
	if (status != BE_OK)
		return status;
	operation->suspended = settings.suspended;
	operation->observe_only = settings.observe_only;
	if (settings.mask & BE_SET_LIMIT) {
		operation->amount = settings.limit;
		status = check_limit(settings.limit);
	}
	if (status == BE_OK && settings.mask & BE_SET_ROLL_OVER)
		status = set_roll_over(settings.roll_over, operation);
	if (status == BE_OK && settings.mask & BE_SET_RAISE)
		status = set_raise(&settings, operation);
	if (status == BE_OK && settings.mask & BE_SET_THRESHOLDS)
		status = set_thresholds(settings.thresholds, operation);
	if (status == BE_OK && settings.mask & BE_SET_PERIOD)
		status = set_period(settings.period, settings.zone, settings.begins_on, zones,
				    operation);
	return status;
}

enum be_status envelopes_prepare(const struct be_enforcer *handle,
				 const struct be_envelope_change *change, int64_t now_ns,
				 struct zones **zones, struct operation *operation)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	enum be_status status;

	if (!change->category)
		return error_set(BE_INVALID_ARGUMENT, "no category was given");
	status = sized_read(change->options, &options);
	if (status != BE_OK)
		return status;
	if (change->reserved != 0 || !sized_is_zero(options.reserved, sizeof options.reserved) ||
	    !sized_is_zero(options.reserved_too, sizeof options.reserved_too))
		return sized_refuse_unknown();
	enforcer_prepare_at(operation, change->operation, now_ns);
	status = enforcer_name(handle, change->category, &operation->name);
	if (status == BE_OK && change->namespace_name)
		status = name_set_namespace(&operation->name, change->namespace_name);
	if (status != BE_OK)
		return status;
	switch (change->operation) {
	case BE_OPERATION_CREATE:
	case BE_OPERATION_ENSURE:
		return prepare_new(change, &options, zones, operation);
	case BE_OPERATION_SET_LIMIT:
		operation->amount = change->limit;
		return check_limit(change->limit);
	case BE_OPERATION_SET:
		if (!change->settings)
			return error_set(BE_INVALID_ARGUMENT, "no settings were given");
		return prepare_set(change->settings, zones, operation);
	case BE_OPERATION_SUSPEND:
	case BE_OPERATION_RESUME:
	case BE_OPERATION_RESET:
	case BE_OPERATION_REMOVE:
		return BE_OK;
	default:
		return error_set(BE_INVALID_ARGUMENT, "%s changes no envelope",
				 be_operation_name(change->operation));
	}
}

/* Looks for what is below an envelope that is to move, before others have to wait for it. Where
 * that fails, the txn that moves looks for itself, and tells. */
static void look_below(struct be_enforcer *handle, const struct operation *operation,
		       struct family *family)
{
	struct environment *environment;
	struct ledger ledger;
	unsigned tries = 0;
	enum be_status status = enforcer_environment_to_write(handle, &environment);

	if (status != BE_OK)
		return;
	do {
		family->id = 0;
		family->size = 0;
		status = ledger_begin(&ledger, environment->executor.storage, false);
		if (status != BE_OK)
			continue;
		status = family_find(&ledger, operation, family);
		ledger_abort(&ledger);
	} while (ledger_reads_again(&status, &tries));
	if (status != BE_OK)
		family->id = 0;
}

static enum be_status run_move(struct be_enforcer *handle, struct operation *operation,
			       struct result *result)
{
	struct family *family = calloc(1, sizeof *family);
	enum be_status status;
	int cancel_state;

	if (!family)
		return error_set(BE_NO_MEMORY, "out of memory");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	look_below(handle, operation, family);
	error_clear();
	status = family->id != 0 ? enforcer_run_move(handle, operation, family, result)
				 : enforcer_run(handle, operation, result);
	family_free(family);
	free(family);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

static enum be_status run_for_result(struct be_enforcer *handle,
				     const struct be_envelope_change *change, struct result *result)
{
	struct operation operation;
	struct zones *zones = NULL;
	enum be_status status;

	memset(result, 0, sizeof *result);
	if (!handle)
		return error_set(BE_INVALID_ARGUMENT, "no handle was given");
	status = envelopes_prepare(handle, change, enforcer_now(handle), &zones, &operation);
	zones_free(zones);
	if (status != BE_OK)
		return error_default(status);
	if (operation.kind == BE_OPERATION_SET && operation.mask & BE_SET_PARENT)
		return run_move(handle, &operation, result);
	return enforcer_run(handle, &operation, result);
}

static enum be_status run(struct be_enforcer *handle, const struct be_envelope_change *change)
{
	struct result result;

	error_clear();
	return run_for_result(handle, change, &result);
}

enum be_status(be_envelope_create)(struct be_enforcer *handle, const char *category, int64_t limit,
				   enum be_period period, const struct be_envelope_options *options)
{
	return run(handle, &(struct be_envelope_change){.operation = BE_OPERATION_CREATE,
							.category = category,
							.limit = limit,
							.period = period,
							.options = options});
}

enum be_status(be_envelope_ensure)(struct be_enforcer *handle, const char *category, int64_t limit,
				   enum be_period period, const struct be_envelope_options *options)
{
	return run(handle, &(struct be_envelope_change){.operation = BE_OPERATION_ENSURE,
							.category = category,
							.limit = limit,
							.period = period,
							.options = options});
}

/* The envelope that a result has, with its counts of refusals. */
static void show_result(struct be_enforcer *handle, struct result *result,
			struct be_envelope *shown)
{
	struct counts_page counts = {.number = 0};

	counts_show(atomic_load(&handle->environment)->counts, &counts, result->tally,
		    &result->envelope);
	sized_write(shown, &result->envelope);
}

enum be_status(be_envelope_ensure_with)(struct be_enforcer *handle, const char *category,
					int64_t limit, enum be_period period,
					const struct be_envelope_options *options,
					struct be_envelope *shown, bool *made)
{
	struct be_envelope_change change = {.operation = BE_OPERATION_ENSURE,
					    .category = category,
					    .limit = limit,
					    .period = period,
					    .options = options};
	struct result result = {0};
	enum be_status status;

	error_clear();
	if (made)
		*made = false;
	status = sized_clear(shown);
	if (status == BE_OK || !handle || !category)
		status = run_for_result(handle, &change, &result);
	if (status != BE_OK)
		return status;
	if (made)
		*made = result.made;
	show_result(handle, &result, shown);
	return BE_OK;
}

enum be_status(be_envelope_set_limit)(struct be_enforcer *handle, const char *category,
				      int64_t limit)
{
	return run(handle, &(struct be_envelope_change){.operation = BE_OPERATION_SET_LIMIT,
							.category = category,
							.limit = limit});
}

enum be_status be_envelope_set(struct be_enforcer *handle, const char *category,
			       const struct be_settings *settings, struct be_envelope *shown)
{
	struct be_envelope_change change = {
		.operation = BE_OPERATION_SET, .category = category, .settings = settings};
	struct result result = {0};
	enum be_status status;

	error_clear();
	status = sized_clear(shown);
	if (status == BE_OK || !handle || !category)
		status = run_for_result(handle, &change, &result);
	if (status == BE_OK)
		show_result(handle, &result, shown);
	if (status == BE_HAS_COMMITS && result.has_envelope)
		refusal_explain_pending(&result.envelope);
	return status;
}

static enum be_status steer(struct be_enforcer *handle, const char *category,
			    enum be_operation operation)
{
	return run(handle,
		   &(struct be_envelope_change){.operation = operation, .category = category});
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

static enum be_status look_up(struct be_enforcer *handle, const struct name *name,
			      struct envelope *envelope)
{
	struct environment *environment;
	struct ledger ledger;
	enum be_status status = enforcer_environment(handle, &environment);
	int found;

	if (status == BE_OK)
		status = ledger_begin(&ledger, environment->executor.storage, false);
	if (status != BE_OK)
		return status;
	found = ledger_envelope_get(&ledger, name, envelope);
	if (found == 0)
		status = ledger_name_now(&ledger, envelope->parent_id, &envelope->parent);
	if (found == 0 && status == BE_OK)
		status = rules_roll_over(&ledger, envelope, enforcer_now_coarse(handle), 1);
	ledger_abort(&ledger);
	if (found != 0)
		return found == LEDGER_NONE ? BE_NO_ENVELOPE : (enum be_status)found;
	return status;
}

enum be_status be_utilization(struct be_enforcer *handle, const char *category,
			      struct be_envelope *shown)
{
	struct be_envelope own = BE_ENVELOPE_INIT;
	struct counts_page counts;
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
	if (status == BE_NO_ENVELOPE)
		refusal_explain_no_envelope(name.namespace_name, name.category);
	if (status != BE_OK)
		return error_default(status);
	rules_describe_envelope(&envelope, &own);
	counts.number = 0; /* counts_show() zeroes the rest before it reads */
	counts_show(atomic_load(&handle->environment)->counts, &counts, envelope.tally, &own);
	sized_write(shown, &own);
	return BE_OK;
}
