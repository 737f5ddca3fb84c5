/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several changes of envelopes in one txn: all of them or none.
 *
 * All changes are checked before the txn begins, so that a caller's mistake holds up no other
 * process. In the txn each change is made into an operation again when its turn comes: other
 * writers wait meanwhile, and this is cheaper than to fill memory with a million operations and
 * results. Envelopes are kept only for an observer, in memory that is touched before the txn.
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
	uint64_t next_alert_id;
	struct be_envelope envelope;
};

/* The changes on their way. */
struct change_set {
	struct be_enforcer *handle;
	const struct be_envelope_change *changes;
	size_t count;
	size_t done;                /* how many went well: the index of the one that did not */
	int64_t now_ns;             /* of all */
	struct zones *zones;        /* read so far */
	struct seen *seen;          /* NULL: nobody observes */
	struct operation operation; /* what a change is made into outside the txn */
};

/* The structures in the array may be smaller or larger than ours. The first one tells their size.
 * */
static enum be_status make(void *context, size_t i, struct operation *operation)
{
	struct change_set *set = context;
	const unsigned char *at = (const unsigned char *)set->changes + i * set->changes->size;
	struct be_envelope_change change = BE_ENVELOPE_CHANGE_INIT;
	enum be_status status = sized_read(at, &change);

	if (status == BE_OK && change.size != set->changes->size)
		status = sized_refuse();
	return status == BE_OK ? envelopes_prepare(set->handle, &change, set->now_ns, &set->zones,
						   operation)
			       : status;
}

static void look(void *context, size_t i, const struct result *result)
{
	struct change_set *set = context;

	set->seen[i].has_envelope = result->has_envelope;
	set->seen[i].next_alert_id = result->next_alert_id;
	set->seen[i].envelope = result->envelope;
}

/* Checks all changes, and allocates what the observer will be shown. */
static enum be_status prepare(struct change_set *set)
{
	enum be_status status = BE_OK;

	set->now_ns = enforcer_now(set->handle);
	for (set->done = 0; status == BE_OK && set->done < set->count; set->done++)
		status = make(set, set->done, &set->operation);
	if (status != BE_OK) {
		set->done--;
		return status;
	}
	if (!set->handle->observe || set->count == 0)
		return BE_OK;
	set->seen = reallocarray(NULL, set->count, sizeof *set->seen);
	if (!set->seen)
		return error_set(BE_NO_MEMORY, "out of memory");
	memset(set->seen, 0xff, set->count * sizeof *set->seen);
	return BE_OK;
}

static enum be_status run(struct change_set *set)
{
	struct batch_source source = {make, set->seen ? look : NULL, set, set->now_ns};
	struct environment *environment;
	enum be_status status = enforcer_environment_to_write(set->handle, &environment);

	if (status != BE_OK)
		return status;
	return executor_together(&environment->executor, &source, set->count, &set->done);
}

static void observe_one(struct change_set *set, size_t i, enum be_status status,
			const struct seen *seen)
{
	struct result result;

	if (make(set, i, &set->operation) != BE_OK)
		return; /* it was right before */
	memset(&result, 0, sizeof result);
	result.status = status;
	if (seen) {
		result.has_envelope = seen->has_envelope;
		result.next_alert_id = seen->next_alert_id;
		result.envelope = seen->envelope;
	}
	enforcer_observe(set->handle, &set->operation, &result);
}

/* The observer is told of what was done, or of the one change that could not be. */
static void observe(struct change_set *set, enum be_status status)
{
	char saved[ERROR_TEXT_SIZE];

	if (!set->handle->observe)
		return;
	error_save(saved);
	if (status != BE_OK && set->done < set->count)
		observe_one(set, set->done, status, NULL);
	for (size_t i = 0; status == BE_OK && i < set->count; i++)
		observe_one(set, i, BE_OK, &set->seen[i]);
	error_restore(saved);
}

static enum be_status apply(struct change_set *set)
{
	enum be_status status = prepare(set);

	if (status == BE_OK) {
		status = run(set);
		observe(set, status);
	}
	zones_free(set->zones);
	free(set->seen);
	return error_default(status);
}

enum be_status be_envelopes_apply(struct be_enforcer *handle,
				  const struct be_envelope_change *changes, size_t count,
				  size_t *failed)
{
	struct change_set *set;
	enum be_status status;

	error_clear();
	if (failed)
		*failed = count;
	if (!handle || (!changes && count > 0))
		return error_set(BE_INVALID_ARGUMENT, "no %s were given",
				 handle ? "changes" : "handle");
	set = calloc(1, sizeof *set);
	if (!set)
		return error_set(BE_NO_MEMORY, "out of memory");
	set->handle = handle;
	set->changes = changes;
	set->count = count;
	set->done = count;
	status = apply(set);
	if (failed)
		*failed = set->done;
	free(set);
	return status;
}
