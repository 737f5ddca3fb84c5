/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor: the way of operations to a write txn. The storage's single writer serialises them
 * across threads and processes.
 *
 * Cancellation is off from before a lock is taken until the txn has ended: a thread that vanished
 * inside it would leave LMDB's writer lock in a state that stops the whole process.
 */
#include "executor/executor.h"

#include "base/error.h"
#include "executor/group.h"
#include "rules/rules.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void fail(struct result *result, enum be_status status)
{
	memset(result, 0, sizeof *result);
	result->status = status;
}

enum be_status executor_batch(struct environment *environment, struct executor_item *items,
			      size_t count, uint64_t batch)
{
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, environment->storage, true);

	for (size_t i = 0; status == BE_OK && i < count; i++) {
		error_clear();
		status = rules_apply(&ledger, items[i].operation, items[i].result);
		if (items[i].error)
			snprintf(items[i].error, items[i].error_size, "%s", be_last_error());
		if (status != BE_OK)
			ledger_abort(&ledger);
	}
	if (status == BE_OK)
		status = ledger_commit(&ledger, batch);
	for (size_t i = 0; status != BE_OK && i < count; i++) {
		fail(items[i].result, status);
		if (items[i].error)
			snprintf(items[i].error, items[i].error_size, "%s", be_last_error());
	}
	return status;
}

enum be_status executor_direct(struct environment *environment, const struct operation *operations,
			       struct result *results, size_t count)
{
	struct executor_item items[EXECUTOR_DIRECT_MAX];
	enum be_status status;
	int cancel_state;

	for (size_t i = 0; i < count; i++)
		items[i] = (struct executor_item){&operations[i], &results[i], NULL, 0};
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	group_lock(environment->group, environment);
	status = executor_batch(environment, items, count, 0);
	group_unlock(environment->group);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

static enum be_status apply_all(const struct be_storage *storage,
				const struct operation *operations, struct result *results,
				size_t count, size_t *done)
{
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, storage, true);

	if (status != BE_OK)
		return status;
	for (*done = 0; *done < count; ++*done) {
		status = rules_apply(&ledger, &operations[*done], &results[*done]);
		if (status == BE_OK)
			status = results[*done].status;
		if (status != BE_OK) {
			ledger_abort(&ledger);
			return status;
		}
	}
	return ledger_commit(&ledger, 0);
}

enum be_status executor_together(struct environment *environment,
				 const struct operation *operations, struct result *results,
				 size_t count, size_t *done)
{
	enum be_status status;
	int cancel_state;

	*done = count;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	group_lock(environment->group, environment);
	status = apply_all(environment->storage, operations, results, count, done);
	group_unlock(environment->group);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

enum be_status executor_run(struct environment *environment, const struct operation *operation,
			    struct result *result)
{
	enum be_status status;
	int cancel_state;

	if (environment->read_only) {
		status = error_set(BE_READ_ONLY, "the environment was opened read-only");
		fail(result, status);
		return status;
	}
	if (!environment->group || environment->direct)
		return executor_direct(environment, operation, result, 1);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = group_run(environment->group, environment, operation, result);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}
