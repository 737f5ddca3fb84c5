/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/batch.h"

#include "base/error.h"
#include "executor/attempt.h"
#include "executor/lease.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void batch_fail(struct result *result, enum be_status status)
{
	memset(result, 0, sizeof *result);
	result->status = status;
}

enum be_status batch_last(const struct be_storage *storage, uint64_t *number)
{
	struct header header = {.batch = 0};
	enum be_status status = ledger_read_header(storage, true, &header);

	*number = header.batch;
	return status;
}

/* Apart, since operations are large: at the time of the storage, which has a clock. */
static __attribute__((noinline)) enum be_status apply_timed(const struct attempt *attempt,
							    struct ledger *ledger,
							    const struct operation *operation,
							    struct result *result)
{
	struct operation timed = *operation;

	remote_retime(&timed, attempt->now_ns);
	return rules_apply(ledger, &timed, result);
}

enum be_status batch_apply(const struct attempt *attempt, struct ledger *ledger,
			   const struct operation *operation, struct result *result)
{
	struct remote *remote = attempt->remote;
	enum be_status status;

	assert(operation_is_valid(operation));
	if (__builtin_expect(!remote, true))
		return rules_apply(ledger, operation, result);
	if (attempt->is_batch && remote_has_lost(attempt->numbers, operation->heard)) {
		batch_fail(result, remote_say_lost());
		return BE_OK;
	}
	if (operation->kind == BE_OPERATION_REAP && operation->by_lease) {
		status = lease_expect_ended(ledger, attempt->watcher, operation->owner.host,
					    attempt->begun_ns, attempt->now_ns);
		if (status == BE_NO_COMMIT)
			batch_fail(result, status);
		if (status != BE_OK)
			return status == BE_NO_COMMIT ? BE_OK : status;
	}
	if (attempt->owners && lease_is_needed(operation))
		lease_begin(attempt->owners);
	status = attempt->has_clock && (!attempt->is_batch || operation->by_storage_clock)
			 ? apply_timed(attempt, ledger, operation, result)
			 : rules_apply(ledger, operation, result);
	if (status == BE_OK)
		remote_learn(remote, ledger, result);
	return status;
}

/* What the operations will read, as far as it can be known. */
static struct remote_keys *look_ahead(struct remote *remote, const struct remote_host *owners,
				      const struct operation *operations, size_t count)
{
	struct remote_keys *keys = remote ? remote_keys_make(remote, &remote->own, count) : NULL;

	if (keys && (owners || remote_group(remote)))
		remote_want_host(keys, owners ? owners->id : remote->group->id);
	for (size_t i = 0; keys && i < count; i++)
		remote_want(remote, &operations[i], keys);
	return keys;
}

/* Is a commit among them that an owner is to hold? */
static bool makes_held(const struct operation *operations, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (lease_is_needed(&operations[i]))
			return true;
	return false;
}

/* Then nobody would hear that changes were lost. */
static bool are_unasked(const struct operation *operations, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (operations[i].kind != BE_OPERATION_REAP && !operations[i].unasked)
			return false;
	return true;
}

enum be_status batch_run(const struct be_storage *storage, struct remote *remote,
			 struct remote_host *owners, struct family *family,
			 const struct operation *operations, struct result *results, size_t count)
{
	/* What is of this process alone has its lease in the record that is written anyway. */
	bool leases = owners && (owners == &remote->own || makes_held(operations, count));
	struct remote_keys *keys = look_ahead(remote, leases ? owners : NULL, operations, count);
	struct attempt attempt;
	struct ledger ledger;
	enum be_status status;

	attempt_open(&attempt, storage, remote, leases ? owners : NULL);
	if (owners)
		attempt.watcher = owners;
	attempt.keys = keys;
	attempt.is_untold = are_unasked(operations, count);
	do {
		status = attempt_begin(&attempt, &ledger);
		if (status != BE_OK)
			continue;
		ledger.family = family;
		/* Who runs nothing wants to come after all that is under way. To a server that is
		 * what changes something. */
		if (count == 0 && remote)
			ledger.changes++;
		for (size_t i = 0; status == BE_OK && i < count; i++) {
			error_clear();
			status = batch_apply(&attempt, &ledger, &operations[i], &results[i]);
		}
		status = attempt_end(&attempt, &ledger, status);
	} while (attempt_again(&attempt, &status));
	attempt_close(&attempt);
	remote_keys_free(keys);
	for (size_t i = 0; status != BE_OK && i < count; i++)
		batch_fail(&results[i], status);
	return status;
}

/* One attempt at all operations. */
static enum be_status apply_together(const struct attempt *attempt, struct ledger *ledger,
				     const struct batch_source *source, size_t count, size_t *done)
{
	struct operation operation;
	struct result result;
	enum be_status status = BE_OK;

	for (*done = 0; *done < count; ++*done) {
		status = source->make(source->context, *done, &operation);
		if (status == BE_OK)
			status = batch_apply(attempt, ledger, &operation, &result);
		if (status == BE_OK)
			status = result.status;
		if (status != BE_OK)
			return status;
		if (source->look)
			source->look(source->context, *done, &result);
	}
	return BE_OK;
}

enum be_status batch_run_together(const struct be_storage *storage, struct remote *remote,
				  const struct batch_source *source, size_t count, size_t *done)
{
	struct remote_keys *keys = look_ahead(remote, NULL, NULL, 0);
	struct attempt attempt;
	struct ledger ledger;
	enum be_status status;

	attempt_open(&attempt, storage, remote, NULL);
	attempt.keys = keys;
	do {
		*done = count;
		status = attempt_begin(&attempt, &ledger);
		if (status != BE_OK)
			continue;
		status = apply_together(&attempt, &ledger, source, count, done);
		status = attempt_end(&attempt, &ledger, status);
	} while (attempt_again(&attempt, &status));
	attempt_close(&attempt);
	remote_keys_free(keys);
	return status;
}
