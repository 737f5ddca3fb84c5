/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for money. A commit that waits stands in the line of its environment, in
 * executor/group_line.h, where those who free money serve it. Here is what it looks for by itself,
 * since nobody tells: that a window has ended, a commit has expired, or a process has died.
 */
#include "api/wait.h"

#include "api/holds.h"
#include "base/error.h"
#include "base/futex.h"
#include "executor/batch.h"
#include "executor/group.h"
#include "rules/rules.h"

#include <pthread.h>

#define NS_PER_MS INT64_C(1000000)
/* A caller that wants to be asked is asked so often. */
#define ASK_NS INT64_C(1000000000)

/* What a thread looks at while it waits. */
struct outlook {
	struct be_enforcer *handle;
	struct environment *environment;
	struct operation *operation;
	const struct patience *patience;
	struct waiting waiting;
	int64_t window_end_ns; /* it waits until then; 0: no window */
	bool window_ended;     /* and it has been tried in the next one */
	enum be_status fault;  /* met while it looked */
};

/* Brings the next look forward to `due_ns` of the operations' clock. */
static void look_at(int64_t due_ns, int64_t now_ns, int64_t *again_ns)
{
	int64_t left_ns, at_ns;

	if (due_ns == 0)
		return;
	if (due_ns <= now_ns)
		left_ns = 0;
	else if (__builtin_sub_overflow(due_ns, now_ns, &left_ns))
		return;
	if (!__builtin_add_overflow(monotonic_ns(), left_ns, &at_ns) && at_ns < *again_ns)
		*again_ns = at_ns;
}

/* Would each of its envelopes grant it by itself? */
static enum be_status ask_all(struct ledger *ledger, const struct operation *operation,
			      int64_t now_ns)
{
	const uint8_t *at = operation->further, *end = at + operation->further_size;
	struct rules_question question = {
		.amount = operation->least > 0 ? operation->least : operation->amount,
		.moment = {.now_ns = now_ns},
	};
	struct record_key key;
	struct name name;
	enum be_status status;

	question.key = &key;
	record_key_envelope(&key, &operation->name);
	status = rules_check(ledger, &question);
	while (status == BE_OK && name_unpack(&at, end, &name)) {
		record_key_envelope(&key, &name);
		status = rules_check(ledger, &question);
	}
	return status;
}

/* Reads whether it would be granted, and when the next commit expires. */
static enum be_status read_state(const struct outlook *outlook, int64_t now_ns, bool *fits,
				 int64_t *deadline_ns)
{
	struct ledger ledger;
	uint64_t id = 0;
	enum be_status status =
		ledger_begin(&ledger, outlook->environment->executor.storage, false);
	int found;

	if (status != BE_OK)
		return status;
	*deadline_ns = 0;
	found = ledger_deadline_next(&ledger, deadline_ns, &id);
	if (found == LEDGER_NONE)
		*deadline_ns = 0;
	status = found < 0 && found != LEDGER_NONE ? (enum be_status)found
						   : ask_all(&ledger, outlook->operation, now_ns);
	ledger_abort(&ledger);
	/* Whatever else it is, the line gives the answer. */
	*fits = status != BE_EXCEEDS_BUDGET;
	return status == BE_OK || be_status_is_refusal(status) ? BE_OK : status;
}

static int64_t read_now(void *context)
{
	const struct outlook *outlook = context;

	return enforcer_now(outlook->handle);
}

static enum line_word look(void *context, int64_t due_ns, int64_t *again_ns)
{
	struct outlook *outlook = context;
	struct be_enforcer *handle = outlook->handle;
	int64_t now_ns, deadline_ns;
	uint64_t reaped;
	bool fits;

	if (outlook->patience->keep) {
		if (!outlook->patience->keep(outlook->patience->context))
			return LINE_GIVE_UP;
		if (*again_ns > monotonic_ns() + ASK_NS)
			*again_ns = monotonic_ns() + ASK_NS;
	}
	now_ns = outlook->waiting.now_ns = enforcer_now(handle);
	if (outlook->window_end_ns != 0 && now_ns >= outlook->window_end_ns) {
		if (outlook->window_ended)
			return LINE_GIVE_UP;
		outlook->window_ended = true;
		*again_ns = 0;
		return LINE_TRY;
	}
	outlook->fault = enforcer_reap(handle, false, &reaped);
	if (outlook->fault == BE_OK)
		outlook->fault = read_state(outlook, now_ns, &fits, &deadline_ns);
	if (outlook->fault != BE_OK)
		return LINE_GIVE_UP;
	look_at(outlook->window_end_ns, now_ns, again_ns);
	look_at(due_ns, now_ns, again_ns);
	if (deadline_ns > now_ns) /* one that is past, and still there, cannot be reaped */
		look_at(deadline_ns, now_ns, again_ns);
	return fits || (due_ns != 0 && now_ns >= due_ns) ? LINE_TRY : LINE_STAY;
}

/* The thread was cancelled: its handle holds nothing of it. */
static void hold_nothing(void *context)
{
	const struct outlook *outlook = context;

	if ((outlook->handle->settings.flags & BE_OPEN_OWNING) && !outlook->operation->detached)
		holds_add(outlook->handle, 0);
}

void wait_for_money(struct be_enforcer *handle, struct environment *environment,
		    struct operation *operation, const struct patience *patience,
		    struct result *result)
{
	struct outlook outlook = {
		.handle = handle,
		.environment = environment,
		.operation = operation,
		.patience = patience,
		.waiting = {.until_ns = INT64_MAX, .look = look, .now = read_now},
	};

	if (!refusal_may_pass(&result->refusal))
		return;
	if (patience->ms == BE_WAIT_WINDOW) {
		outlook.window_end_ns = result->refusal.window_end_ns;
		if (outlook.window_end_ns == 0)
			return;
	} else if (patience->ms < (INT64_MAX - monotonic_ns()) / NS_PER_MS) {
		outlook.waiting.until_ns = monotonic_ns() + patience->ms * NS_PER_MS;
	}
	outlook.waiting.context = &outlook;
	outlook.waiting.now_ns = operation->now_ns;
	pthread_cleanup_push(hold_nothing, &outlook);
	executor_wait(&environment->executor, operation, &outlook.waiting, result);
	pthread_cleanup_pop(0);
	/* Granted is granted, whatever went wrong beside. */
	if (result->status == BE_EXCEEDS_BUDGET && outlook.fault != BE_OK)
		batch_fail(result, outlook.fault);
	else if (result->status == BE_EXCEEDS_BUDGET)
		operation_move_to(operation, enforcer_now(handle));
}
