/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several changes of envelopes in one txn: all of them or none.
 *
 * All are checked before the txn begins, so that what a caller got wrong holds up nobody. In the
 * txn each is made into an operation again when it is its turn: that is cheaper than to fill memory
 * with a million of them, and with their results, while everybody waits. Only for an observer the
 * envelopes are kept, in memory that is touched before.
 */
#include "api/enforcer.h"
#include "api/envelopes.h"
#include "api/sized.h"
#include "base/error.h"
#include "executor/executor.h"

#include <stdlib.h>

/* What an observer is told of a change. */
struct seen {
	bool has_envelope;
	struct be_envelope envelope;
};

/* The changes on their way. */
struct batch {
	struct be_enforcer *handle;
	const struct be_envelope_change *changes;
	size_t count;
	size_t done;       /* how many went well: the index of the one that did not */
	int64_t now_ns;    /* of all */
	struct seen *seen; /* NULL: nobody observes */
};

/* The array is one of structures that may be smaller or larger than ours: the first one says. */
static enum be_status make(void *context, size_t i, struct operation *operation)
{
	const struct batch *batch = context;
	const unsigned char *at = (const unsigned char *)batch->changes + i * batch->changes->size;
	struct be_envelope_change change = BE_ENVELOPE_CHANGE_INIT;
	enum be_status status = sized_read(at, &change);

	if (status == BE_OK && change.size != batch->changes->size)
		status = sized_refuse();
	return status == BE_OK ? envelopes_prepare(batch->handle, &change, batch->now_ns, operation)
			       : status;
}

static void look(void *context, size_t i, const struct result *result)
{
	struct batch *batch = context;

	batch->seen[i].has_envelope = result->has_envelope;
	batch->seen[i].envelope = result->envelope;
}

/* Checks all, and finds the memory for what is to be seen. */
static enum be_status prepare(struct batch *batch)
{
	struct operation operation;
	enum be_status status = BE_OK;

	batch->now_ns = enforcer_now(batch->handle);
	for (batch->done = 0; status == BE_OK && batch->done < batch->count; batch->done++)
		status = make(batch, batch->done, &operation);
	if (status != BE_OK) {
		batch->done--;
		return status;
	}
	if (!batch->handle->observe || batch->count == 0)
		return BE_OK;
	batch->seen = reallocarray(NULL, batch->count, sizeof *batch->seen);
	if (!batch->seen)
		return error_set(BE_NO_MEMORY, "out of memory");
	memset(batch->seen, 0xff, batch->count * sizeof *batch->seen);
	return BE_OK;
}

static enum be_status run(struct batch *batch)
{
	struct batch_source source = {make, batch->seen ? look : NULL, batch};
	struct environment *environment;
	enum be_status status = enforcer_environment_to_write(batch->handle, &environment);

	if (status != BE_OK)
		return status;
	return executor_together(&environment->executor, &source, batch->count, &batch->done);
}

static void observe_one(struct batch *batch, size_t i, enum be_status status,
			const struct seen *seen)
{
	struct operation operation;
	struct result result;

	if (make(batch, i, &operation) != BE_OK)
		return; /* it was right before */
	memset(&result, 0, sizeof result);
	result.status = status;
	if (seen) {
		result.has_envelope = seen->has_envelope;
		result.envelope = seen->envelope;
	}
	enforcer_observe(batch->handle, &operation, &result);
}

/* The observer is told of what was done, or of the one change that could not be. */
static void observe(struct batch *batch, enum be_status status)
{
	char saved[ERROR_TEXT_SIZE];

	if (!batch->handle->observe)
		return;
	error_save(saved);
	if (status != BE_OK && batch->done < batch->count)
		observe_one(batch, batch->done, status, NULL);
	for (size_t i = 0; status == BE_OK && i < batch->count; i++)
		observe_one(batch, i, BE_OK, &batch->seen[i]);
	error_restore(saved);
}

enum be_status be_envelopes_apply(struct be_enforcer *handle,
				  const struct be_envelope_change *changes, size_t count,
				  size_t *failed)
{
	struct batch batch = {.handle = handle, .changes = changes, .count = count, .done = count};
	enum be_status status;

	error_clear();
	if (failed)
		*failed = count;
	if (!handle || (!changes && count > 0))
		return error_set(BE_INVALID_ARGUMENT, "no %s were given",
				 handle ? "changes" : "handle");
	status = prepare(&batch);
	if (status == BE_OK) {
		status = run(&batch);
		observe(&batch, status);
	}
	if (failed)
		*failed = batch.done;
	free(batch.seen);
	return error_default(status);
}
