/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See library.h.
 *
 * Workers that die: over LMDB a child process makes the commits through the handles it was forked
 * with, tells the answer to the last one, and is killed by SIGKILL while the pipe to it is still
 * open; the kernel does the rest. Memory is not shared with children, so there this process makes
 * the commits, and CALL_REAP runs the operations of reaping that the library would have run, had it
 * been told of the deaths by a kernel.
 */
#include "library.h"

#include "api/enforcer.h"
#include "executor/executor.h"
#include "place.h"
#include "support.h"

#include <budget_enforcer_storage.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What another process is taken to have made. */
struct orphan {
	uint64_t id;
	struct owner owner; /* this process, in truth */
};

struct library {
	enum library_storage kind;
	int64_t now_ns;
	char path[PATH_MAX];        /* LMDB */
	struct be_storage *storage; /* memory */
	struct be_enforcer *handles[NAMESPACES];
	pid_t *workers; /* LMDB: those that died, in order */
	size_t worker_count;
	struct orphan *orphans; /* memory: the commits of workers that died */
	size_t orphan_count;
	char finding[512];
};

static int64_t now(void *context)
{
	return ((struct library *)context)->now_ns;
}

bool library_sees_deaths(enum library_storage storage)
{
	return storage != LIBRARY_MEMORY;
}

/* ---- opening and closing */

static enum be_status open_handles(struct library *library)
{
	for (size_t i = 0; i < NAMESPACES; i++) {
		struct be_options options = BE_OPTIONS_INIT;
		enum be_status status;

		options.namespace_name = namespaces[i];
		options.durability = BE_DURABILITY_PROCESS;
		options.now = now;
		options.now_context = library;
		options.storage = library->storage;
		options.flags = library->kind == LIBRARY_LMDB_DIRECT ? BE_OPEN_DIRECT : 0;
		status = be_open(library->storage ? NULL : library->path, &options,
				 &library->handles[i]);
		if (status != BE_OK)
			return status;
	}
	return BE_OK;
}

static void close_handles(struct library *library)
{
	for (size_t i = 0; i < NAMESPACES; i++) {
		be_close(library->handles[i]);
		library->handles[i] = NULL;
	}
}

/* In memory, or in the server that place.h has. */
static enum be_status make_storage(unsigned number, struct be_storage **storage)
{
	char name[32];

	snprintf(name, sizeof name, "model_%d_%u", (int)getpid(), number);
	return place_server() ? place_open(place_server(), name, storage)
			      : be_storage_memory_create(storage);
}

static void destroy_storage(struct be_storage *storage)
{
	if (place_server())
		place_close(storage);
	else
		be_storage_memory_destroy(storage);
}

struct library *library_create(enum library_storage storage, int64_t now_ns)
{
	static unsigned environments;
	struct library *library = calloc(1, sizeof *library);

	EXPECT(library != NULL);
	library->kind = storage;
	library->now_ns = now_ns;
	if (storage == LIBRARY_MEMORY)
		EXPECT_OK(make_storage(environments++, &library->storage));
	else
		test_path(library->path, "model-%u", environments++);
	EXPECT_OK(open_handles(library));
	return library;
}

void library_destroy(struct library *library)
{
	close_handles(library);
	if (library->kind == LIBRARY_MEMORY)
		destroy_storage(library->storage);
	else
		test_remove(library->path);
	free(library->workers);
	free(library->orphans);
	free(library);
}

/* ---- outputs */

/* What a careless caller leaves in a structure that is to be filled. */
#define RUBBISH(structure)                                                                         \
	do {                                                                                       \
		memset((structure), 0xa5, sizeof *(structure));                                    \
		(structure)->size = sizeof *(structure);                                           \
	} while (0)

/* ---- spending */

/* A commit that waits: the call is made that is meant for meanwhile, and it waits no longer. */
struct interlude {
	struct library *library;
	const struct call *call;
};

static bool keep_waiting(void *context)
{
	struct interlude *interlude = context;
	struct library *library = interlude->library;
	const struct call *call = interlude->call;
	struct be_enforcer *handle = library->handles[call->handle];

	if (call->meanwhile == CALL_MOVE)
		library->now_ns = call->then_ns;
	else if (call->meanwhile == CALL_RELEASE)
		(void)!be_release(handle, call->id);
	else
		(void)!be_envelope_set_limit(handle, call->category, call->then_limit);
	return false;
}

static enum be_status call_commit(struct library *library, const struct call *call,
				  struct answer *answer)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct interlude interlude = {library, call};
	struct be_label labels[LABEL_KEYS];

	options.labels = labels;
	options.label_count = tags_list(&call->tags, labels);
	options.ttl_ms = call->ttl_ms;
	options.reap_policy = call->reap_policy;
	options.detached = call->detached;
	options.least = call->least;
	options.also = call->also;
	options.also_count = call->also_count;
	options.key = call->key;
	options.key_ms = call->key_ms;
	options.wait_ms = call->waits ? BE_WAIT_FOREVER : 0;
	options.keep_waiting = keep_waiting;
	options.wait_context = &interlude;
	RUBBISH(&answer->decision);
	answer->id = UINT64_MAX;
	return be_commit_with(library->handles[call->handle], call->category, call->amount,
			      call->description, call->has_options ? &options : NULL, &answer->id,
			      &answer->decision);
}

struct worker {
	struct library *library;
	const struct call *call;
	int report; /* the pipe's end to write to */
};

static int work(int index, void *context)
{
	struct worker *worker = context;
	struct answer answer = {0};

	(void)index;
	for (unsigned i = 0; i < worker->call->count; i++)
		answer.status = call_commit(worker->library, worker->call, &answer);
	if (write(worker->report, &answer, sizeof answer) != (ssize_t)sizeof answer)
		return 1;
	for (;;)
		pause();
}

static enum be_status worker_dies_lmdb(struct library *library, const struct call *call,
				       struct answer *answer)
{
	struct worker worker = {library, call, -1};
	struct rows rows = answer->rows;
	int ends[2];
	pid_t child;

	EXPECT(pipe(ends) == 0);
	worker.report = ends[1];
	child = child_start(work, 0, &worker);
	close(ends[1]);
	EXPECT_EQUAL(read(ends[0], answer, sizeof *answer), sizeof *answer);
	answer->rows = rows;
	EXPECT(kill(child, SIGKILL) == 0);
	EXPECT_EQUAL(child_wait(child), 128 + SIGKILL);
	close(ends[0]);
	library->workers =
		realloc(library->workers, (library->worker_count + 1) * sizeof *library->workers);
	EXPECT(library->workers != NULL);
	library->workers[library->worker_count++] = child;
	return answer->status;
}

static enum be_status worker_dies_memory(struct library *library, const struct call *call,
					 struct answer *answer)
{
	enum be_status status = BE_OK;

	struct environment *environment;
	struct owner owner;

	EXPECT_OK(enforcer_environment(library->handles[call->handle], &environment));
	EXPECT_OK(executor_owner(&environment->executor, false, &owner));
	library->orphans = realloc(library->orphans, (library->orphan_count + call->count) *
							     sizeof *library->orphans);
	EXPECT(library->orphans != NULL);
	for (unsigned i = 0; i < call->count; i++) {
		status = call_commit(library, call, answer);
		if (status == BE_OK)
			library->orphans[library->orphan_count++] =
				(struct orphan){answer->id, owner};
	}
	return status;
}

/* Reaps what dead workers left in a storage whose owners the library does not know. Commits that
 * have ended in any other way refuse, and so do those that are detached. */
static enum be_status reap_orphans(struct library *library, uint64_t *reaped)
{
	struct environment *environment;
	enum be_status status = enforcer_environment(library->handles[0], &environment);

	for (size_t i = 0; status == BE_OK && i < library->orphan_count; i++) {
		struct operation operation;
		struct result result;

		enforcer_prepare(library->handles[0], &operation, BE_OPERATION_REAP);
		operation.id = library->orphans[i].id;
		operation.owner = library->orphans[i].owner;
		operation.reap_as = BE_COMMIT_ORPHANED;
		status = executor_run(&environment->executor, &operation, &result);
		*reaped += result.status == BE_OK;
	}
	return status;
}

static enum be_status call_reap(struct library *library, const struct call *call,
				struct answer *answer)
{
	enum be_status status;

	answer->reaped = UINT64_MAX;
	status = be_reap(library->handles[call->handle], &answer->reaped);
	return status == BE_OK ? reap_orphans(library, &answer->reaped) : status;
}

/* Record, settle, charge and correct. */
static enum be_status call_charge(struct library *library, const struct call *call,
				  struct answer *answer)
{
	struct be_enforcer *handle = library->handles[call->handle];
	struct be_transaction *transaction = &answer->transaction;
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	const struct be_charge_options *given = call->has_options ? &options : NULL;
	struct be_label labels[LABEL_KEYS];

	options.labels = labels;
	options.label_count = tags_list(&call->tags, labels);
	options.key = call->key;
	options.key_ms = call->key_ms;
	options.also = call->also;
	options.also_count = call->also_count;
	RUBBISH(transaction);
	if (call->kind == CALL_CHARGE)
		return be_charge_with(handle, call->id, call->amount, call->description, given,
				      transaction);
	if (call->kind == CALL_SETTLE)
		return be_settle_with(handle, call->id, call->amount, call->description, given,
				      transaction);
	if (call->kind == CALL_CORRECT)
		return be_correct_with(handle, call->id, call->amount, call->description, given,
				       transaction);
	return be_record_with(handle, call->category, call->amount, call->description, given,
			      transaction);
}

static enum be_status call_check(struct library *library, const struct call *call,
				 struct answer *answer)
{
	RUBBISH(&answer->decision);
	return be_check(library->handles[call->handle], call->category, call->amount,
			&answer->decision);
}

static enum be_status call_extend(struct library *library, const struct call *call,
				  struct answer *answer)
{
	RUBBISH(&answer->decision);
	return be_extend(library->handles[call->handle], call->id, call->amount, call->ttl_ms,
			 &answer->decision);
}

/* ---- envelopes */

static enum be_status call_create(struct library *library, const struct call *call)
{
	struct be_enforcer *handle = library->handles[call->handle];
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	const struct be_envelope_options *given = call->has_options ? &options : NULL;

	options.suspended = call->suspended;
	options.parent_namespace = call->parent_namespace;
	options.parent_category = call->parent_category;
	options.period_start_ns = call->period_start_ns;
	options.zone = call->zone;
	options.begins_on = call->begins_on;
	options.observe_only = call->observe_only;
	options.roll_over = call->roll_over;
	if (call->kind == CALL_ENSURE)
		return be_envelope_ensure(handle, call->category, call->amount, call->period,
					  given);
	return be_envelope_create(handle, call->category, call->amount, call->period, given);
}

static enum be_status call_set(struct library *library, const struct call *call,
			       struct answer *answer)
{
	struct be_settings settings = BE_SETTINGS_INIT;

	settings.mask = call->mask;
	settings.limit = call->amount;
	settings.period = call->period;
	settings.begins_on = call->begins_on;
	settings.zone = call->zone;
	settings.raise = call->raise;
	settings.raise_until_ns = call->raise_until_ns;
	settings.roll_over = call->roll_over;
	settings.suspended = call->suspended;
	settings.observe_only = call->observe_only;
	settings.new_namespace = settings.parent_namespace = call->parent_namespace;
	settings.new_category = settings.parent_category = call->parent_category;
	memcpy(settings.thresholds, call->thresholds, sizeof settings.thresholds);
	RUBBISH(&answer->envelope);
	return be_envelope_set(library->handles[call->handle], call->category, &settings,
			       &answer->envelope);
}

static enum be_status call_utilization(struct library *library, const struct call *call,
				       struct answer *answer)
{
	RUBBISH(&answer->envelope);
	return be_utilization(library->handles[call->handle], call->category, &answer->envelope);
}

/* ---- listings */

struct listing {
	const struct library *library;
	const struct call *call;
	struct rows *rows;
};

static bool more(const struct listing *listing)
{
	return listing->rows->count != listing->call->stop_after;
}

static bool see_envelope(void *context, const struct be_envelope *envelope)
{
	struct listing *listing = context;

	rows_add(listing->rows, envelope);
	return more(listing);
}

/* Processes have other numbers in each run; here they are the first worker that died, the second
 * and so on, and 0 for this one. */
static bool see_commit(void *context, const struct be_commit_info *info)
{
	struct listing *listing = context;
	const struct library *library = listing->library;
	struct commit_row row = {.info = *info};

	for (size_t i = 0; i < library->worker_count; i++)
		if ((uint32_t)library->workers[i] == info->owner_pid)
			row.info.owner_pid = (uint32_t)i + 1;
	if (info->owner_pid == (uint32_t)getpid())
		row.info.owner_pid = 0;
	for (uint32_t i = 0; i < info->also_count; i++)
		also_print(row.also, info->also[i].namespace_name, info->also[i].category);
	for (uint32_t i = 0; i < info->label_count; i++)
		tags_print(row.tags, info->labels[i].key, info->labels[i].value);
	rows_add(listing->rows, &row);
	return more(listing);
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	struct transaction_row row = {.transaction = *transaction};
	struct listing *listing = context;

	for (uint32_t i = 0; i < transaction->also_count; i++)
		also_print(row.also, transaction->also[i].namespace_name,
			   transaction->also[i].category);
	for (uint32_t i = 0; i < transaction->label_count; i++)
		tags_print(row.tags, transaction->labels[i].key, transaction->labels[i].value);
	rows_add(listing->rows, &row);
	return more(listing);
}

static bool see_alert(void *context, const struct be_alert *alert)
{
	struct listing *listing = context;

	rows_add(listing->rows, alert);
	return more(listing);
}

static enum be_status call_list(struct library *library, const struct call *call, struct rows *rows)
{
	struct be_enforcer *handle = library->handles[call->handle];
	struct listing listing = {library, call, rows};
	struct be_filter filter = call->filter;
	struct be_label labels[LABEL_KEYS];

	filter.labels = labels;
	filter.label_count = tags_list(&call->tags, labels);
	if (call->kind == CALL_LIST_ENVELOPES) {
		rows_clear(rows, sizeof(struct be_envelope));
		return be_envelopes_each(handle, &call->filter, see_envelope, &listing);
	}
	if (call->kind == CALL_LIST_COMMITS) {
		rows_clear(rows, sizeof(struct commit_row));
		return be_commits_each(handle, &filter, see_commit, &listing);
	}
	if (call->kind == CALL_LIST_ALERTS) {
		rows_clear(rows, sizeof(struct be_alert));
		return be_alerts_each(handle, &call->filter, see_alert, &listing);
	}
	rows_clear(rows, sizeof(struct transaction_row));
	return be_transactions_each(handle, &filter, see_transaction, &listing);
}

static void note_finding(void *context, const char *sentence)
{
	struct library *library = context;

	if (library->finding[0] == '\0')
		snprintf(library->finding, sizeof library->finding, "%s", sentence);
}

static enum be_status call_verify(struct library *library, const struct call *call,
				  struct answer *answer)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	enum be_status status;

	library->finding[0] = '\0';
	RUBBISH(&answer->verification);
	status = be_verify(library->handles[call->handle], note_finding, library,
			   &answer->verification);
	if (status == BE_OK)
		status = be_stats(library->handles[call->handle], &stats);
	answer->lapses[0] = stats.expired_released;
	answer->lapses[1] = stats.expired_charged;
	answer->lapses[2] = stats.orphaned_released;
	answer->lapses[3] = stats.orphaned_charged;
	answer->lapses[4] = stats.settled_late;
	return status;
}

/* ---- one way in */

static enum be_status answer_call(struct library *library, const struct call *call,
				  struct answer *answer)
{
	struct be_enforcer *handle = library->handles[call->handle];

	switch (call->kind) {
	case CALL_CREATE:
	case CALL_ENSURE:
		return call_create(library, call);
	case CALL_SET_LIMIT:
		return be_envelope_set_limit(handle, call->category, call->amount);
	case CALL_SUSPEND:
		return be_envelope_suspend(handle, call->category);
	case CALL_RESUME:
		return be_envelope_resume(handle, call->category);
	case CALL_RESET:
		return be_envelope_reset(handle, call->category);
	case CALL_SET:
		return call_set(library, call, answer);
	case CALL_REMOVE:
		return be_envelope_remove(handle, call->category);
	case CALL_CHECK:
		return call_check(library, call, answer);
	case CALL_COMMIT:
		return call_commit(library, call, answer);
	case CALL_WORKER_DIES:
		return library_sees_deaths(library->kind)
			       ? worker_dies_lmdb(library, call, answer)
			       : worker_dies_memory(library, call, answer);
	case CALL_RELEASE:
		return be_release(handle, call->id);
	case CALL_SETTLE:
	case CALL_CHARGE:
	case CALL_CORRECT:
	case CALL_RECORD:
		return call_charge(library, call, answer);
	case CALL_EXTEND:
		return call_extend(library, call, answer);
	case CALL_REAP:
		return call_reap(library, call, answer);
	case CALL_REOPEN:
		close_handles(library);
		return open_handles(library);
	case CALL_UTILIZATION:
		return call_utilization(library, call, answer);
	case CALL_LIST_ENVELOPES:
	case CALL_LIST_COMMITS:
	case CALL_LIST_TRANSACTIONS:
	case CALL_LIST_ALERTS:
		return call_list(library, call, &answer->rows);
	case CALL_ALERT_DONE:
		return be_alert_done(handle, call->id);
	case CALL_VERIFY:
		return call_verify(library, call, answer);
	case CALL_MOVE:
	case CALL_KINDS:
		break;
	}
	return BE_OK;
}

void library_answer(struct library *library, const struct call *call, struct answer *answer)
{
	library->now_ns = call->now_ns;
	answer->status = answer_call(library, call, answer);
}

const char *library_finding(const struct library *library)
{
	return library->finding;
}
