/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handle: how it is opened and closed, its clock and observer, and how every operation goes
 * through it.
 *
 * Any number of threads read a handle without a lock. Its pointer to the environment changes only
 * in a fork child, once, by environment_renew().
 */
#include "api/enforcer.h"

#include "api/holds.h"
#include "api/refusal.h"
#include "api/sized.h"
#include "api/wait.h"
#include "base/error.h"
#include "executor/executor.h"
#include "executor/lease.h"
#include "executor/reap.h"
#include "rules/rules.h"
#include "sharing/counts.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_MODE 0600
#define NS_PER_MS INT64_C(1000000)
#define LEASE_LEAST_MS (LEASE_LEAST_NS / NS_PER_MS)
#define LEASE_MOST_MS (LEASE_MOST_NS / NS_PER_MS)
#define CHECK_AGE_MOST_MS INT64_C(60000)

/* ---- the clock */

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * BE_UNIT + now.tv_nsec;
}

/* The clock of a storage that was given, if it has one. */
static __attribute__((noinline)) int64_t storage_now(const struct be_enforcer *handle,
						     clockid_t clock)
{
	const struct environment *environment = atomic_load(&handle->environment);
	const struct remote *remote =
		environment ? atomic_load(&environment->executor.remote) : NULL;
	int64_t now_ns;

	return remote && remote_time(remote, &now_ns) ? now_ns : read_clock(clock);
}

static inline int64_t now_by(const struct be_enforcer *handle, clockid_t clock)
{
	if (handle->now)
		return handle->now(handle->now_context);
	if (__builtin_expect(handle->settings.storage != NULL, false))
		return storage_now(handle, clock);
	return read_clock(clock);
}

int64_t enforcer_now(const struct be_enforcer *handle)
{
	return now_by(handle, CLOCK_REALTIME);
}

int64_t enforcer_now_coarse(const struct be_enforcer *handle)
{
	return now_by(handle, CLOCK_REALTIME_COARSE);
}

/* ---- opening and closing */

/* A reader writes to lock.mdb, too. So the owner, the group and others each need both permissions,
 * or none. */
static enum be_status check_mode(uint32_t mode)
{
	if (mode & ~0666U)
		return error_set(BE_INVALID_ARGUMENT,
				 "options.mode may have permission bits of files only: 0660, say");
	if (mode != 0 && (mode & 0600) != 0600)
		return error_set(BE_INVALID_ARGUMENT,
				 "options.mode must let the owner read and write");
	if ((mode & 0222) << 1 != (mode & 0444))
		return error_set(BE_INVALID_ARGUMENT,
				 "options.mode %04o lets some read who may not write, or the other "
				 "way round: to read an environment is to write to its lock.mdb. "
				 "Give 0600, 0660 or 0666",
				 (unsigned)mode);
	return BE_OK;
}

/* The library that opens such a URL; NULL: it is none that one of them knows. */
static const char *library_for(const char *path)
{
	static const char *const known[][2] = {
		{"postgresql://", "postgres"}, {"postgres://", "postgres"}, {"redis://", "redis"},
		{"rediss://", "redis"},        {"redis+unix://", "redis"},  {"unix://", "redis"},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strncmp(path, known[i][0], strlen(known[i][0])) == 0)
			return known[i][1];
	return NULL;
}

static enum be_status read_options(const struct be_options *given, const char *path,
				   struct be_options *options)
{
	enum be_status status = sized_read(given, options);
	const char *library;

	if (status != BE_OK)
		return status;
	if (options->flags &
	    ~(uint32_t)(BE_OPEN_EXISTING | BE_OPEN_READ_ONLY | BE_OPEN_DIRECT | BE_OPEN_OWNING))
		return error_set(BE_INVALID_ARGUMENT, "options.flags has an unknown bit");
	if (options->durability != BE_DURABILITY_FULL &&
	    options->durability != BE_DURABILITY_PROCESS)
		return error_set(BE_INVALID_ARGUMENT,
				 "options.durability is neither full nor process");
	status = check_mode(options->mode);
	if (status != BE_OK)
		return status;
	if (options->lease_ms != 0 &&
	    (options->lease_ms < LEASE_LEAST_MS || options->lease_ms > LEASE_MOST_MS))
		return error_set(BE_INVALID_ARGUMENT,
				 "options.lease_ms is neither 0 nor from %lld to %lld",
				 (long long)LEASE_LEAST_MS, (long long)LEASE_MOST_MS);
	if (options->check_age_ms < 0 || options->check_age_ms > CHECK_AGE_MOST_MS)
		return error_set(BE_INVALID_ARGUMENT, "options.check_age_ms is not from 0 to %lld",
				 (long long)CHECK_AGE_MOST_MS);
	if (!path == !options->storage)
		return error_set(BE_INVALID_ARGUMENT,
				 path ? "a path and a storage were given: give one"
				      : "neither a path nor a storage was given");
	if (path && (library = library_for(path)))
		return error_set(BE_NOT_FOUND,
				 "a path is a directory: a server is opened as a storage, by "
				 "be_storage_%s_open() of libbudget-enforcer-%s",
				 library, library);
	if (path && !*path)
		return error_set(BE_NOT_FOUND, "the path of the environment is empty");
	return BE_OK;
}

enum be_status enforcer_read_storage(const struct be_storage *given, struct be_storage_ops *ops)
{
	enum be_status status;

	if (!given)
		return BE_OK;
	if (!given->ops)
		return error_set(BE_INVALID_ARGUMENT, "the storage has no functions");
	status = sized_take(given->ops, ops);
	if (status != BE_OK)
		return status;
	if (ops->reserved != 0)
		return sized_refuse_unknown();
	if (!ops->begin || !ops->commit || !ops->abort || !ops->get || !ops->put || !ops->del ||
	    !ops->next)
		return error_set(BE_INVALID_ARGUMENT, "the storage lacks a function");
	return BE_OK;
}

static enum be_status make_handle(const char *path, const struct be_options *options,
				  struct be_enforcer **handle)
{
	size_t path_size = path ? PATH_MAX : 1;
	struct be_enforcer *made = calloc(1, sizeof *made + path_size);
	enum be_status status = BE_OK;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	if (path && strlen(path) >= path_size)
		status = error_set(BE_NOT_FOUND, "the path of the environment is too long");
	else
		strcpy(made->path, path ? path : "");
	if (status == BE_OK)
		status = enforcer_read_storage(options->storage, &made->storage_ops);
	if (status == BE_OK)
		status = name_set_namespace(&made->name,
					    options->namespace_name ? options->namespace_name : "");
	if (status != BE_OK) {
		free(made);
		return status;
	}
	record_key_envelope(&made->prefix, &made->name);
	made->now = options->now;
	made->now_context = options->now_context;
	made->observe = options->observe;
	made->observe_context = options->observe_context;
	if (options->storage)
		made->storage = (struct be_storage){&made->storage_ops, options->storage->self};
	made->settings = (struct environment_settings){
		.path = path ? made->path : NULL,
		.storage = options->storage ? &made->storage : NULL,
		.flags = options->flags,
		.durability = options->durability,
		.mode = options->mode ? options->mode : DEFAULT_MODE,
		.map_size = options->map_size ? options->map_size : ENFORCER_DEFAULT_MAP_SIZE,
		.now_ns = enforcer_now(made),
		.own_clock = options->now != NULL,
		.lease_ns = options->lease_ms ? options->lease_ms * NS_PER_MS : LEASE_DEFAULT_NS,
		.check_age_ns = options->check_age_ms * NS_PER_MS,
	};
	*handle = made;
	return BE_OK;
}

static enum be_status reap_at_opening(struct be_enforcer *handle, struct owners *owners)
{
	bool thorough = owners && owners_claim_unknown(owners);
	uint64_t reaped;
	enum be_status status = enforcer_reap(handle, thorough, &reaped);

	if (status != BE_OK && thorough)
		owners_leave_unknown(owners);
	return status;
}

/* The observer is told of what comes from now on. */
static enum be_status skip_alerts(struct be_enforcer *handle)
{
	struct header header = {0};
	enum be_status status = ledger_read_header(
		atomic_load(&handle->environment)->executor.storage, false, &header);

	atomic_store(&handle->next_alert_id, header.next_alert_id);
	return status;
}

/* Leaves the error text as it is, since it may say why the handle is discarded. */
static void discard(struct be_enforcer *handle)
{
	environment_close(atomic_load(&handle->environment));
	free(handle);
}

enum be_status be_open(const char *path, const struct be_options *given,
		       struct be_enforcer **handle)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct environment *environment;
	struct be_enforcer *made = NULL;
	enum be_status status;

	error_clear();
	if (!handle)
		return error_set(BE_INVALID_ARGUMENT, "no place for the handle was given");
	*handle = NULL;
	status = read_options(given, path, &options);
	if (status == BE_OK)
		status = make_handle(path, &options, &made);
	if (status != BE_OK)
		return error_default(status);
	status = environment_open(&made->settings, &environment);
	if (status != BE_OK) {
		free(made);
		return error_default(status);
	}
	atomic_store(&made->environment, environment);
	/* A fork child may have another working directory when it opens the environment again. */
	if (path) {
		char *absolute = realpath(path, NULL);

		if (absolute && strlen(absolute) < PATH_MAX)
			strcpy(made->path, absolute);
		free(absolute);
	}
	if (made->observe)
		status = skip_alerts(made);
	if (status == BE_OK && !enforcer_is_read_only(made))
		status = reap_at_opening(made, environment->executor.owners);
	if (status != BE_OK) {
		discard(made);
		return error_default(status);
	}
	*handle = made;
	return BE_OK;
}

/* The same handle, but for its namespace. What points into it points into the copy. */
static enum be_status copy_handle(const struct be_enforcer *handle, const char *namespace_name,
				  struct be_enforcer **copy)
{
	struct be_enforcer *made = calloc(1, sizeof *made + PATH_MAX);
	enum be_status status;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	status = name_set_namespace(&made->name, namespace_name);
	if (status != BE_OK) {
		free(made);
		return status;
	}
	record_key_envelope(&made->prefix, &made->name);
	strcpy(made->path, handle->path);
	made->storage_ops = handle->storage_ops;
	made->storage = (struct be_storage){&made->storage_ops, handle->storage.self};
	made->now = handle->now;
	made->now_context = handle->now_context;
	made->observe = handle->observe;
	made->observe_context = handle->observe_context;
	made->settings = handle->settings;
	made->settings.path = handle->settings.path ? made->path : NULL;
	made->settings.storage = handle->settings.storage ? &made->storage : NULL;
	made->settings.now_ns = enforcer_now(handle);
	*copy = made;
	return BE_OK;
}

enum be_status be_open_namespace(struct be_enforcer *handle, const char *namespace_name,
				 struct be_enforcer **other)
{
	struct environment *environment, *shared;
	struct be_enforcer *made = NULL;
	enum be_status status;

	error_clear();
	if (other)
		*other = NULL;
	if (!handle || !namespace_name || !other)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 !handle  ? "handle"
				 : !other ? "place for the other handle"
					  : "namespace");
	status = copy_handle(handle, namespace_name, &made);
	if (status != BE_OK)
		return error_default(status);
	status = enforcer_environment(handle, &environment);
	if (status == BE_OK)
		status = environment_share(environment, &made->settings, &shared);
	if (status != BE_OK) {
		free(made);
		return error_default(status);
	}
	atomic_store(&made->environment, shared);
	if (made->observe)
		status = skip_alerts(made);
	if (status != BE_OK) {
		discard(made);
		return error_default(status);
	}
	*other = made;
	return BE_OK;
}

void be_close(struct be_enforcer *handle)
{
	error_clear();
	if (!handle)
		return;
	holds_end(handle);
	discard(handle);
}

enum be_status enforcer_environment(struct be_enforcer *handle, struct environment **environment)
{
	enum be_status status;

	*environment = atomic_load_explicit(&handle->environment, memory_order_acquire);
	if (__builtin_expect(environment_is_ours(*environment), true))
		return BE_OK;
	status = environment_renew(&handle->settings, &handle->environment);
	*environment = atomic_load(&handle->environment);
	/* As be_open() does. What cannot be reaped now is looked for again before a refusal. */
	if (status == BE_OK && !enforcer_is_read_only(handle) &&
	    reap_at_opening(handle, (*environment)->executor.owners) != BE_OK)
		error_clear();
	return status;
}

enum be_status enforcer_environment_to_write(struct be_enforcer *handle,
					     struct environment **environment)
{
	enum be_status status = enforcer_environment(handle, environment);

	if (status == BE_OK && enforcer_is_read_only(handle))
		status = error_set(BE_READ_ONLY, "the handle was opened read-only");
	return status;
}

/* ---- operations */

enum be_status enforcer_name(const struct be_enforcer *handle, const char *category,
			     struct name *name)
{
	name->namespace_size = handle->name.namespace_size;
	memcpy(name->namespace_name, handle->name.namespace_name, handle->name.namespace_size + 1U);
	return name_set_category(name, category);
}

bool enforcer_key(const struct be_enforcer *handle, const char *category, struct record_key *key)
{
	size_t size = strnlen(category, BE_NAME_SIZE);

	memcpy(key->bytes, handle->prefix.bytes, handle->prefix.size);
	memcpy(key->bytes + handle->prefix.size, category, size);
	key->size = (uint16_t)(handle->prefix.size + size);
	return size > 0 && size < BE_NAME_SIZE;
}

void enforcer_prepare_at(struct operation *operation, enum be_operation kind, int64_t now_ns)
{
	memset(operation, 0, offsetof(struct operation, description));
	operation->description[0] = '\0';
	operation->kind = kind;
	operation->now_ns = now_ns;
}

void enforcer_prepare(const struct be_enforcer *handle, struct operation *operation,
		      enum be_operation kind)
{
	enforcer_prepare_at(operation, kind, enforcer_now(handle));
}

void enforcer_count(struct be_enforcer *handle, enum be_status status, uint64_t refuser)
{
	/* The environment itself may be open to write, by another handle of this process. */
	if (!enforcer_is_read_only(handle))
		counts_refusal(atomic_load(&handle->environment)->counts, status, refuser);
}

static bool is_own_alert(const struct be_enforcer *handle, const struct alert *alert)
{
	const char *own = handle->name.namespace_name;

	return strcmp(alert->name.namespace_name, own) == 0 ||
	       (alert->spender.category_size > 0 &&
		strcmp(alert->spender.namespace_name, own) == 0);
}

static void observe_alert(struct be_enforcer *handle, const struct alert *alert)
{
	struct be_alert shown;
	struct be_event event = {
		.size = sizeof event,
		.operation = BE_OPERATION_ALERT,
		.transaction_id = alert->transaction_id,
		.amount = alert->spent,
		.at_ns = alert->at_ns,
		.namespace_name = shown.namespace_name,
		.category = shown.category,
		.alert = &shown,
	};

	rules_describe_alert(alert, &shown);
	handle->observe(handle->observe_context, &event);
}

/* Reads the first alert from `id` on; false when there is none, or it cannot be read now. */
static bool read_alert(struct be_enforcer *handle, uint64_t id, struct alert *alert)
{
	struct environment *environment;
	struct ledger ledger;
	bool found;

	if (enforcer_environment(handle, &environment) != BE_OK ||
	    ledger_begin(&ledger, environment->executor.storage, false) != BE_OK)
		return false;
	found = ledger_alert_next(&ledger, id, alert) == 0;
	ledger_abort(&ledger);
	return found;
}

/* Each is told of once, by the thread that has moved the handle on beyond it. */
static void observe_alerts(struct be_enforcer *handle, uint64_t next_id)
{
	uint64_t id = atomic_load(&handle->next_alert_id);
	struct alert alert;

	while (id < next_id && read_alert(handle, id, &alert)) {
		if (!atomic_compare_exchange_strong(&handle->next_alert_id, &id, alert.id + 1))
			continue;
		id = alert.id + 1;
		if (is_own_alert(handle, &alert))
			observe_alert(handle, &alert);
	}
}

/* Not every id is that of a commit. */
static uint64_t commit_of(const struct operation *operation)
{
	return operation->kind == BE_OPERATION_CORRECT || operation->kind == BE_OPERATION_ALERT_DONE
		       ? 0
		       : operation->id;
}

static int64_t amount_of(const struct operation *operation, const struct result *result)
{
	if (result->held)
		return result->held;
	return operation->amount == BE_HELD_AMOUNT ? result->decision.requested : operation->amount;
}

void enforcer_observe(struct be_enforcer *handle, const struct operation *operation,
		      const struct result *result)
{
	struct be_event event = {
		.size = sizeof event,
		.operation = operation->kind,
		.status = result->status,
		.repeated = result->repeated,
		.commit_id = result->commit_id ? result->commit_id : commit_of(operation),
		.transaction_id = result->repeated ? 0 : result->transaction.id,
		/* Releasing and reaping are asked for by id alone. */
		.amount = amount_of(operation, result),
		.at_ns = operation->now_ns,
		.namespace_name = operation->name.namespace_name,
		.category = operation->name.category,
		.envelope = result->has_envelope ? &result->envelope : NULL,
	};
	char saved[ERROR_TEXT_SIZE];

	if (!handle->observe)
		return;
	if (operation->id != 0) {
		event.namespace_name = result->has_envelope ? result->envelope.namespace_name : "";
		event.category = result->has_envelope ? result->envelope.category : "";
	}
	error_save(saved);
	handle->observe(handle->observe_context, &event);
	observe_alerts(handle, result->next_alert_id);
	error_restore(saved);
}

static void tell_reaped(void *context, const struct operation *operation,
			const struct result *result)
{
	enforcer_observe(context, operation, result);
}

enum be_status enforcer_reap(struct be_enforcer *handle, bool thorough, uint64_t *reaped)
{
	struct reap_listener listener = {tell_reaped, handle};
	struct environment *environment;
	enum be_status status = enforcer_environment_to_write(handle, &environment);

	*reaped = 0;
	if (status != BE_OK)
		return status;
	return reap_run(&environment->executor, enforcer_now(handle), thorough, &listener, reaped);
}

enum be_status enforcer_give_up(struct be_enforcer *handle, const uint64_t *ids, size_t count)
{
	struct reap_listener listener = {tell_reaped, handle};
	struct environment *environment;
	enum be_status status = enforcer_environment(handle, &environment);
	struct owner owner;

	if (status == BE_OK)
		status = executor_owner(&environment->executor, false, &owner);
	if (status != BE_OK)
		return status;
	return reap_given_up(&environment->executor, enforcer_now(handle), &owner, ids, count,
			     &listener);
}

enum be_status enforcer_doubt(struct be_enforcer *handle, const struct refusal *refusal,
			      int64_t *now_ns, bool *again)
{
	struct reap_listener listener = {tell_reaped, handle};
	enum be_status status = BE_OK;
	bool freed = false;

	*now_ns = enforcer_now(handle);
	if (refusal_hinges_on_commits(refusal) && !enforcer_is_read_only(handle))
		status = reap_for_refusal(&atomic_load(&handle->environment)->executor, *now_ns,
					  refusal->reaped, &listener, &freed);
	*again = status == BE_OK &&
		 (freed || (refusal->window_end_ns != 0 && *now_ns >= refusal->window_end_ns));
	return status;
}

static void fail(struct result *result, enum be_status status)
{
	memset(result, 0, sizeof *result);
	result->status = status;
}

/* Sets the error text, unless there is one that says what went wrong. */
static void explain(const struct operation *operation, const struct result *result)
{
	if (result->refusal.tally != 0)
		refusal_explain(result->status, result->decision.namespace_name,
				result->decision.category, result->decision.requested,
				&result->refusal);
	else if (result->status == BE_NO_ENVELOPE && result->decision.category[0] != '\0')
		refusal_explain_no_envelope(result->decision.namespace_name,
					    result->decision.category);
	else if (result->status == BE_NO_ENVELOPE && operation->name.category_size > 0)
		refusal_explain_no_envelope(operation->name.namespace_name,
					    operation->name.category);
	else if (result->status == BE_KEY_REUSED)
		error_set(BE_KEY_REUSED,
			  "the key \"%s\" was given before, with another request: what was "
			  "carried out under it stands, and this was not carried out",
			  operation->key);
}

/* Runs it, and a second time if the first was refused for what is no longer so. */
static void decide(struct be_enforcer *handle, struct environment *environment,
		   struct operation *operation, struct result *result)
{
	enum be_status status;
	int64_t now_ns;
	bool again;

	executor_run(&environment->executor, operation, result);
	if (result->status != BE_EXCEEDS_BUDGET)
		return;
	status = enforcer_doubt(handle, &result->refusal, &now_ns, &again);
	if (status != BE_OK) {
		fail(result, status);
	} else if (again) {
		operation->now_ns = now_ns;
		executor_run(&environment->executor, operation, result);
	}
}

static enum be_status begin_to_run(struct be_enforcer *handle, struct environment **environment)
{
	enum be_status status = enforcer_environment_to_write(handle, environment);

	/* A thread of this process shows others that it lives. That thread may have ended. */
	if (status == BE_OK && (*environment)->executor.owners)
		(void)owners_self((*environment)->executor.owners);
	return status;
}

/* Tells the observer, and returns the result's status with an error text. */
static enum be_status tell(struct be_enforcer *handle, const struct operation *operation,
			   const struct result *result)
{
	enum be_status status = result->status;

	enforcer_observe(handle, operation, result);
	explain(operation, result);
	return error_default(status);
}

enum be_status enforcer_run_patiently(struct be_enforcer *handle, struct operation *operation,
				      const struct patience *patience, struct result *result)
{
	bool asks =
		operation->kind == BE_OPERATION_COMMIT || operation->kind == BE_OPERATION_EXTEND;
	struct environment *environment;
	enum be_status status = begin_to_run(handle, &environment);

	if (status == BE_OK)
		decide(handle, environment, operation, result);
	else
		fail(result, status);
	if (result->status == BE_EXCEEDS_BUDGET && patience && patience->ms != 0) {
		wait_for_money(handle, environment, operation, patience, result);
		if (result->status == BE_EXCEEDS_BUDGET)
			decide(handle, environment, operation, result);
	}
	if (asks)
		enforcer_count(handle, result->status, result->refusal.tally);
	return tell(handle, operation, result);
}

enum be_status enforcer_run_move(struct be_enforcer *handle, struct operation *operation,
				 struct family *family, struct result *result)
{
	struct environment *environment;
	enum be_status status = begin_to_run(handle, &environment);

	if (status == BE_OK)
		executor_move(&environment->executor, operation, family, result);
	else
		fail(result, status);
	return tell(handle, operation, result);
}

enum be_status enforcer_run(struct be_enforcer *handle, struct operation *operation,
			    struct result *result)
{
	return enforcer_run_patiently(handle, operation, NULL, result);
}
