/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several changes of envelopes in one txn: all of them or none.
 *
 * Everything that can be checked without the storage is checked before the txn begins, so that the
 * writer's lock is held for the changes alone.
 */
#include "api/enforcer.h"
#include "api/envelopes.h"
#include "api/sized.h"
#include "base/error.h"
#include "executor/executor.h"

#include <stdlib.h>

/* The changes on their way. */
struct batch {
	size_t count;
	size_t done; /* how many went well: the index of the one that did not */
	struct operation *operations;
	struct result *results;
};

/* The array is one of structures that may be smaller or larger than ours: the first one says. */
static enum be_status prepare(const struct be_enforcer *handle,
			      const struct be_envelope_change *changes, struct batch *batch)
{
	const unsigned char *at = (const unsigned char *)changes;
	enum be_status status = BE_OK;

	for (batch->done = 0; batch->done < batch->count; batch->done++, at += changes->size) {
		struct be_envelope_change change = BE_ENVELOPE_CHANGE_INIT;

		status = sized_read(at, &change, sizeof change);
		if (status == BE_OK && change.size != changes->size)
			status = sized_refuse();
		if (status == BE_OK)
			status =
				envelopes_prepare(handle, &change, &batch->operations[batch->done]);
		if (status != BE_OK)
			break;
	}
	return status;
}

static enum be_status run(struct be_enforcer *handle, struct batch *batch)
{
	struct environment *environment;
	enum be_status status = enforcer_environment(handle, &environment);
	size_t done;

	if (status == BE_OK &&
	    (environment->read_only || handle->settings.flags & BE_OPEN_READ_ONLY))
		status = error_set(BE_READ_ONLY, "the handle was opened read-only");
	if (status != BE_OK)
		return status;
	status = executor_together(environment, batch->operations, batch->results, batch->count,
				   &done);
	batch->done = done;
	return status;
}

/* The observer is told of what was done, or of the one change that could not be. */
static void observe(struct be_enforcer *handle, const struct batch *batch, enum be_status status)
{
	if (status != BE_OK && batch->done < batch->count) {
		struct result *result = &batch->results[batch->done];

		memset(result, 0, sizeof *result);
		result->status = status;
		enforcer_observe(handle, &batch->operations[batch->done], result);
	}
	for (size_t i = 0; status == BE_OK && i < batch->count; i++)
		enforcer_observe(handle, &batch->operations[i], &batch->results[i]);
}

enum be_status be_envelopes_apply(struct be_enforcer *handle,
				  const struct be_envelope_change *changes, size_t count,
				  size_t *failed)
{
	struct batch batch = {.count = count, .done = count};
	size_t room = count > 0 ? count : 1;
	enum be_status status;

	error_clear();
	if (failed)
		*failed = count;
	if (!handle || (!changes && count > 0))
		return error_set(BE_INVALID_ARGUMENT, "no %s were given",
				 handle ? "changes" : "handle");
	batch.operations = calloc(room, sizeof *batch.operations);
	batch.results = calloc(room, sizeof *batch.results);
	if (!batch.operations || !batch.results)
		status = error_set(BE_NO_MEMORY, "out of memory");
	else
		status = prepare(handle, changes, &batch);
	if (status == BE_OK) {
		status = run(handle, &batch);
		observe(handle, &batch, status);
	}
	if (failed)
		*failed = batch.done;
	free(batch.operations);
	free(batch.results);
	return error_default(status);
}
