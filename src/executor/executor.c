/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor brings operations to a write txn. The storage's single writer serialises them across
 * threads and processes.
 *
 * Cancellation is off from before a lock is taken until the txn has ended: a thread that vanished
 * inside it would leave LMDB's writer lock in a state that stops the whole process.
 */
#include "executor/executor.h"

#include "base/error.h"
#include "executor/batch.h"
#include "executor/group.h"

#include <assert.h>
#include <pthread.h>

enum be_status executor_direct(struct executor *executor, const struct operation *operations,
			       struct result *results, size_t count)
{
	enum be_status status;
	int cancel_state;

	assert(!executor->read_only);
	assert(count <= EXECUTOR_DIRECT_MAX);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = group_lock(executor->group, executor->storage);
	if (status == BE_OK) {
		status = batch_run(executor->storage, operations, results, count);
		group_unlock(executor->group, status);
	} else {
		for (size_t i = 0; i < count; i++)
			batch_fail(&results[i], status);
	}
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

enum be_status executor_together(struct executor *executor, const struct batch_source *source,
				 size_t count, size_t *done)
{
	enum be_status status;
	int cancel_state;

	assert(!executor->read_only);
	*done = count;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = group_lock(executor->group, executor->storage);
	if (status == BE_OK) {
		status = batch_run_together(executor->storage, source, count, done);
		group_unlock(executor->group, status);
	}
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

enum be_status executor_run(struct executor *executor, const struct operation *operation,
			    struct result *result)
{
	int cancel_state;
	bool answered = false;

	assert(!executor->read_only);
	if (executor->group && !executor->direct) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
		answered = group_run(executor->group, executor->storage, operation, result);
		pthread_setcancelstate(cancel_state, NULL);
	}
	if (!answered)
		return executor_direct(executor, operation, result, 1);
	return batch_is_fault(result->status) ? result->status : BE_OK;
}
