/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor: the way of operations to a write txn. The storage's single writer serialises them across
 * threads and processes.
 *
 * Cancellation is off from before the txn begins until it has ended: a thread that vanished inside it would
 * leave LMDB's writer lock in a state that stops the whole process.
 */
#include "executor.h"

#include "error.h"
#include "rules.h"

#include <pthread.h>
#include <string.h>

static enum be_status run(struct environment *environment, const struct operation *operations,
			  struct result *results, size_t count)
{
	struct store store;
	enum be_status status = store_begin(&store, environment->storage, true);

	if (status != BE_OK)
		return status;
	for (size_t i = 0; i < count; i++) {
		status = rules_apply(&store, &operations[i], &results[i]);
		if (status != BE_OK) {
			store_abort(&store);
			return status;
		}
	}
	return store_commit(&store);
}

enum be_status executor_run(struct environment *environment, const struct operation *operations,
			    struct result *results, size_t count)
{
	enum be_status status;
	int cancel_state;

	if (environment->read_only)
		status = error_set(BE_READ_ONLY, "the environment was opened read-only");
	else {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
		status = run(environment, operations, results, count);
		pthread_setcancelstate(cancel_state, NULL);
	}
	if (status == BE_OK)
		return BE_OK;
	for (size_t i = 0; i < count; i++) {
		memset(&results[i], 0, sizeof results[i]);
		results[i].status = status;
	}
	return status;
}
