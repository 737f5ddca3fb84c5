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
#include "executor/attempt.h"
#include "executor/batch.h"
#include "executor/group.h"
#include "executor/lease.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct remote_host *executor_host(struct executor *executor, struct remote *remote)
{
	if (!remote || remote->lease_ns == 0)
		return NULL;
	return executor->direct ? &remote->own : group_host(executor->group);
}

/* Of a process that is a host by itself: its id is as good as a generation. */
static void name_alone(struct owner *owner)
{
	memcpy(&owner->generation, owner->host, sizeof owner->generation);
	owner->generation |= 1;
	owner->pid = (uint32_t)getpid();
}

enum be_status executor_owner(struct executor *executor, bool holds, struct owner *owner)
{
	struct owners *owners = executor->owners;
	struct remote *remote;
	struct remote_host *host;
	enum be_status status = remote_find(&executor->remote, &remote);

	memset(owner, 0, sizeof *owner);
	if (owners)
		*owner = owners_self(owners);
	host = status == BE_OK ? executor_host(executor, remote) : NULL;
	if (!host)
		return status;
	memcpy(owner->host, host->id, sizeof owner->host);
	if (!owners)
		name_alone(owner);
	if (!holds)
		return BE_OK;
	lease_ask(host, remote->lease_ns);
	return lease_hold(executor);
}

enum be_status executor_lock(struct executor *executor, struct group **group,
			     struct remote **remote)
{
	enum be_status status = remote_find(&executor->remote, remote);

	*group = executor->group;
	return status == BE_OK ? group_lock(*group, executor->storage) : status;
}

/* After operations that were carried out, or may have been. */
static void have_changed(const struct remote *remote)
{
	if (remote && remote->checks)
		checks_outdate(remote->checks);
}

/* May there be more money now? */
static bool have_freed(const struct operation *operations, const struct result *results,
		       size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (results[i].status == BE_OK && operation_frees(&operations[i]))
			return true;
	return false;
}

static enum be_status run_directly(struct executor *executor, struct family *family,
				   const struct operation *operations, struct result *results,
				   size_t count)
{
	struct group *group = executor->group; /* one that is made now is the next call's */
	struct remote *remote;
	enum be_status status;
	int cancel_state;

	assert(!executor->read_only);
	assert(count <= EXECUTOR_DIRECT_MAX);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = remote_find(&executor->remote, &remote);
	if (status == BE_OK && count > 0)
		status = group_lock_behind_line(group, executor->storage, operations[0].now_ns);
	else if (status == BE_OK)
		status = group_lock(group, executor->storage);
	if (status == BE_OK) {
		status = batch_run(executor->storage, remote, executor_host(executor, remote),
				   family, operations, results, count);
		if (have_freed(operations, results, count))
			group_unlock_freed(group, executor->storage, status, operations[0].now_ns);
		else
			group_unlock(group, status);
	} else {
		for (size_t i = 0; i < count; i++)
			batch_fail(&results[i], status);
	}
	have_changed(remote);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

enum be_status executor_direct(struct executor *executor, const struct operation *operations,
			       struct result *results, size_t count)
{
	return run_directly(executor, NULL, operations, results, count);
}

enum be_status executor_move(struct executor *executor, const struct operation *operation,
			     struct family *family, struct result *result)
{
	return run_directly(executor, family, operation, result, 1);
}

enum be_status executor_fetch(struct executor *executor, const struct ledger *ledger,
			      const struct record_key *key)
{
	struct remote_keys *keys;
	struct remote *remote;
	struct name name;
	enum be_status status = remote_find(&executor->remote, &remote);

	if (status != BE_OK || !remote->hints ||
	    !record_parse_envelope_key(record_key_bytes(key), &name))
		return status;
	keys = remote_keys_make(remote, &remote->own, 1);
	if (!keys)
		return BE_OK;
	remote_want_chain(remote, &name, keys);
	status = remote_fetch(ledger, keys);
	remote_keys_free(keys);
	return status;
}

enum be_status executor_together(struct executor *executor, const struct batch_source *source,
				 size_t count, size_t *done)
{
	struct group *group;
	struct remote *remote;
	enum be_status status;
	int cancel_state;

	assert(!executor->read_only);
	*done = count;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = executor_lock(executor, &group, &remote);
	if (status == BE_OK) {
		status = batch_run_together(executor->storage, remote, source, count, done);
		group_unlock_freed(group, executor->storage, status, source->now_ns);
	}
	have_changed(remote);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

/* Where nobody else can know that this process has lost something. */
static bool tells_alone(struct executor *executor, struct remote *remote, struct result *result)
{
	if (!remote_must_look(remote) || !attempt_tells_alone(executor->storage, remote))
		return false;
	batch_fail(result, BE_CHANGES_LOST);
	return true;
}

/* Together with others; false: the caller is to carry it out. */
static bool run_in_group(struct executor *executor, struct operation *operation,
			 struct result *result)
{
	struct remote *remote;
	int cancel_state;
	bool answered = false;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (remote_find(&executor->remote, &remote) == BE_OK) {
		if (remote)
			remote_help(remote, operation);
		answered = remote && tells_alone(executor, remote, result);
		if (!answered)
			answered = group_run(executor->group, executor->storage, remote, operation,
					     result);
		if (remote && answered)
			remote_note(remote, result);
		have_changed(remote);
	}
	pthread_setcancelstate(cancel_state, NULL);
	return answered;
}

enum be_status executor_run(struct executor *executor, struct operation *operation,
			    struct result *result)
{
	bool answered = false;

	assert(!executor->read_only);
	if (executor->group && !executor->direct)
		answered = run_in_group(executor, operation, result);
	if (!answered)
		return executor_direct(executor, operation, result, 1);
	return batch_is_fault(result->status) ? result->status : BE_OK;
}

/* ---- waiting for money */

/* Makes a line where there is none, for the threads of this process. */
static enum be_status have_line(struct executor *executor)
{
	struct group *made, *none = NULL;
	enum be_status status;

	if (executor->group)
		return BE_OK;
	status = group_open_private(!executor->remote, &made);
	if (status != BE_OK)
		return status;
	if (!atomic_compare_exchange_strong(&executor->group, &none, made))
		group_close(made);
	return BE_OK;
}

struct waiter {
	struct executor *executor;
	struct operation *operation;
	struct waiting *waiting;
	struct result *result;
};

/* Its thread was cancelled: nobody would know of the commit. */
static void give_back(void *context)
{
	struct waiter *waiter = context;
	struct operation operation = {.kind = BE_OPERATION_RELEASE,
				      .unasked = true,
				      .now_ns = waiter->waiting->now(waiter->waiting->context),
				      .id = waiter->result->commit_id};

	/* One that was made before, under the same key, is another's. */
	if (waiter->result->status == BE_OK && !waiter->result->repeated && operation.id != 0)
		(void)executor_direct(waiter->executor, &operation, waiter->result, 1);
}

/* There is a line, and room in it. */
static enum be_status may_wait(struct executor *executor)
{
	enum be_status status = have_line(executor);

	if (status == BE_OK && group_waiting(executor->group) >= WAITING_MAX)
		status = error_set(BE_TOO_MANY_WAITING,
				   "%d commits wait in this environment already", WAITING_MAX);
	return status;
}

/* Waits, and when the operation comes back undone, carries it out; until it is decided. */
static void wait_until_decided(struct waiter *waiter)
{
	struct executor *executor = waiter->executor;
	struct waiting *waiting = waiter->waiting;

	while (!group_wait(executor->group, executor->storage, executor->remote, waiter->operation,
			   waiting, waiter->result)) {
		operation_move_to(waiter->operation, waiting->now(waiting->context));
		(void)executor_direct(executor, waiter->operation, waiter->result, 1);
		if (waiter->result->status != BE_EXCEEDS_BUDGET ||
		    !refusal_may_pass(&waiter->result->refusal))
			return;
	}
}

enum be_status executor_wait(struct executor *executor, struct operation *operation,
			     struct waiting *waiting, struct result *result)
{
	struct waiter waiter = {executor, operation, waiting, result};
	enum be_status status = may_wait(executor);
	int unused;

	assert(result->status == BE_EXCEEDS_BUDGET);
	if (status != BE_OK) {
		batch_fail(result, status);
		return batch_is_fault(status) ? status : BE_OK;
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &waiting->cancel_state);
	pthread_cleanup_push(give_back, &waiter);
	wait_until_decided(&waiter);
	have_changed(executor->remote);
	pthread_cleanup_pop(0);
	pthread_setcancelstate(waiting->cancel_state, &unused);
	return batch_is_fault(result->status) ? result->status : BE_OK;
}
