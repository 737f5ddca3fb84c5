/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public calls that ask, reserve and charge. Each checks its arguments in the order that the
 * header gives, makes an operation of them and runs it; be_check() alone reads, without a system
 * call, a lock or an allocation.
 */
#include "api/enforcer.h"
#include "api/holds.h"
#include "api/refusal.h"
#include "api/sized.h"
#include "api/wait.h"
#include "base/error.h"
#include "rules/rules.h"

#include <inttypes.h>

#define NS_PER_MS INT64_C(1000000)
#define DAY_MS UINT64_C(86400000)

static enum be_status missing(const char *what)
{
	return error_set(BE_INVALID_ARGUMENT, "no %s was given", what);
}

static enum be_status check_least(int64_t least, int64_t amount)
{
	if (least < 0)
		return error_set(BE_AMOUNT_NEGATIVE, "options.least is below zero");
	if (least > amount)
		return error_set(BE_INVALID_ARGUMENT, "options.least is more than the amount");
	return BE_OK;
}

/* Sets the key of a request, if there is one, and sums up what is asked for: all else must be in
 * place. */
static enum be_status set_key(const struct be_enforcer *handle, const char *key, uint64_t key_ms,
			      struct operation *operation)
{
	enum be_status status;

	if (!key)
		return BE_OK;
	status = name_set_key(operation->key, &operation->key_size, key);
	if (status != BE_OK)
		return status;
	if (key_ms == 0)
		key_ms = DAY_MS;
	if (key_ms > (uint64_t)(INT64_MAX / NS_PER_MS) ||
	    __builtin_add_overflow(operation->now_ns, (int64_t)key_ms * NS_PER_MS,
				   &operation->key_until_ns))
		operation->key_until_ns = INT64_MAX;
	if (operation->key_until_ns <= 0)
		return error_set(BE_INVALID_ARGUMENT,
				 "the clock says that the key is kept until before 1970");
	if (operation->name.category_size == 0)
		name_copy(&operation->name, &handle->name);
	operation->request_sum = operation_sum(operation);
	return BE_OK;
}

/* Takes the names of further envelopes. */
static enum be_status set_further(const struct be_enforcer *handle,
				  const struct be_envelope_name *also, uint32_t count,
				  struct operation *operation)
{
	uint8_t *at = operation->further;
	enum be_status status = BE_OK;

	if (count >= BE_ENVELOPES_MAX)
		return error_set(BE_INVALID_ARGUMENT,
				 "options.also_count is %" PRIu32 ", and %d is the most", count,
				 BE_ENVELOPES_MAX - 1);
	if (count > 0 && !also)
		return missing("options.also");
	for (uint32_t i = 0; i < count && status == BE_OK; i++) {
		struct name name;

		if (!also[i].category)
			return missing("category in options.also");
		name_copy(&name, &handle->name);
		if (also[i].namespace_name)
			status = name_set_namespace(&name, also[i].namespace_name);
		if (status == BE_OK)
			status = name_set_category(&name, also[i].category);
		if (status == BE_OK)
			at = name_pack(at, &name);
	}
	operation->further_count = (uint8_t)count;
	operation->further_size = (uint16_t)(at - operation->further);
	return status;
}

static enum be_status set_labels(const struct be_label *given, uint32_t count,
				 struct operation *operation)
{
	struct labels labels;
	enum be_status status = labels_pack(given, count, &labels);

	if (status != BE_OK)
		return status;
	operation->label_count = labels.count;
	operation->labels_size = labels.size;
	memcpy(operation->labels, labels.bytes, labels.size);
	return BE_OK;
}

/* In the handle's namespace, unless another one is named. */
static enum be_status set_name(const struct be_enforcer *handle, const char *namespace_name,
			       const char *category, struct name *name)
{
	enum be_status status;

	if (!namespace_name)
		return enforcer_name(handle, category, name);
	status = name_set_namespace(name, namespace_name);
	return status == BE_OK ? name_set_category(name, category) : status;
}

static enum be_status check_amount(int64_t amount)
{
	if (amount < 0)
		return error_set(BE_AMOUNT_NEGATIVE, "an amount below zero was given");
	return BE_OK;
}

/* ---- check
 *
 * Most checks are of an envelope that is there. So a category goes into the key as it is given, and
 * whether it is a valid one is looked at when there is no such envelope, or when an observer is to
 * be told of it.
 * */

static __attribute__((noinline)) enum be_status
check_arguments(const struct be_enforcer *handle, const char *category, int64_t amount)
{
	struct name name;
	enum be_status status = enforcer_name(handle, category, &name);

	return status == BE_OK ? check_amount(amount) : status;
}

/* Tells the observer, who is shown the envelope. */
static __attribute__((noinline)) void observe_check(struct be_enforcer *handle,
						    const struct rules_question *question,
						    enum be_status status)
{
	struct operation operation;
	struct result result;

	memset(&operation, 0, offsetof(struct operation, description));
	operation.kind = BE_OPERATION_CHECK;
	operation.now_ns = question->moment.now_ns;
	operation.amount = question->amount;
	/* It has been looked at. */
	(void)record_parse_envelope_key(record_key_bytes(question->key), &operation.name);
	memset(&result, 0, sizeof result);
	result.status = status;
	result.has_envelope = question->has_envelope;
	if (result.has_envelope)
		result.envelope = *question->after;
	enforcer_observe(handle, &operation, &result);
}

static int64_t read_clock(const void *handle)
{
	return enforcer_now_coarse(handle);
}

/* In the midst of a read, too, a storage may say that others came first. */
#define CHECKS_MAX 16

static enum be_status check_by_trip(struct executor *executor, const struct be_storage *storage,
				    struct rules_question *question)
{
	struct ledger ledger;
	enum be_status status = ledger_begin(&ledger, storage, false);

	if (status != BE_OK)
		return status;
	status = executor_fetch(executor, &ledger, question->key);
	if (status == BE_OK)
		status = rules_check(&ledger, question);
	ledger_abort(&ledger);
	return status;
}

/* Of a storage that lies elsewhere: what was read a moment ago may do, if the caller says so. */
static __attribute__((noinline)) enum be_status check_afar(struct executor *executor,
							   struct rules_question *question)
{
	struct checks_reading reading;
	struct remote *remote;
	enum be_status status = remote_find(&executor->remote, &remote);

	if (status != BE_OK)
		return status;
	if (!remote->checks)
		return check_by_trip(executor, executor->storage, question);
	if (checks_permit(remote->checks, question))
		return BE_OK;
	(void)sized_clear(question->decision);
	question->has_envelope = false;
	question->refusal.tally = 0;
	checks_begin(remote->checks, executor->storage, &reading);
	status = check_by_trip(executor, &reading.storage, question);
	checks_end(remote->checks, question->key, status, &reading);
	return status;
}

static inline enum be_status check_once(struct environment *environment,
					struct rules_question *question)
{
	struct ledger ledger;
	enum be_status status;

	if (__builtin_expect(environment->executor.remote != NULL, false))
		return check_afar(&environment->executor, question);
	status = ledger_begin(&ledger, environment->executor.storage, false);
	if (status != BE_OK)
		return status;
	status = rules_check(&ledger, question);
	ledger_abort(&ledger);
	return status;
}

static inline enum be_status check_now(struct environment *environment,
				       struct rules_question *question)
{
	for (int i = 1;; i++) {
		enum be_status status = check_once(environment, question);

		if (__builtin_expect(status != BE_CONFLICT, true) || i == CHECKS_MAX)
			return status;
	}
}

/* A check that was refused for lack of budget by the coarse clock. */
static __attribute__((noinline)) enum be_status check_again(struct be_enforcer *handle,
							    struct environment *environment,
							    struct rules_question *question)
{
	int64_t now_ns;
	bool again;
	enum be_status status = enforcer_doubt(handle, &question->refusal, &now_ns, &again);

	if (status == BE_OK && !again)
		return BE_EXCEEDS_BUDGET;
	if (status != BE_OK)
		return status;
	(void)sized_clear(question->decision);
	question->moment = (struct rules_moment){.now_ns = now_ns};
	return check_now(environment, question);
}

/* What is to be done when a check was not simply permitted. */
static __attribute__((noinline)) enum be_status check_ended(struct be_enforcer *handle,
							    const struct rules_question *question,
							    enum be_status status)
{
	enforcer_count(handle, status, question->refusal.tally);
	if (handle->observe)
		observe_check(handle, question, status);
	if (status == BE_NO_ENVELOPE)
		refusal_explain_no_envelope(question->refuser.namespace_name,
					    question->refuser.category);
	else if (be_status_is_refusal(status))
		refusal_explain(status, question->refuser.namespace_name,
				question->refuser.category, question->amount, &question->refusal);
	return status;
}

static enum be_status check(struct be_enforcer *handle, const char *category,
			    const struct record_key *key, int64_t amount,
			    struct be_decision *decision)
{
	struct environment *environment;
	struct rules_question question;
	struct be_envelope after;
	enum be_status status = enforcer_environment(handle, &environment);

	if (status != BE_OK)
		return status;
	question.key = key;
	question.amount = amount;
	question.decision = decision;
	question.after = handle->observe ? &after : NULL;
	question.has_envelope = false;
	question.refusal.tally = 0;
	question.moment = (struct rules_moment){.read = read_clock, .context = handle};
	if (handle->now || handle->observe) /* the caller's clock is no business of a txn's */
		question.moment = (struct rules_moment){.now_ns = enforcer_now_coarse(handle)};
	after.size = sizeof after;
	status = check_now(environment, &question);
	if (status == BE_OK && !handle->observe)
		return BE_OK;
	if (status == BE_NO_ENVELOPE) {
		enum be_status wrong = check_arguments(handle, category, amount);

		if (wrong != BE_OK)
			return wrong;
	}
	if (status == BE_EXCEEDS_BUDGET)
		status = check_again(handle, environment, &question);
	return check_ended(handle, &question, status);
}

enum be_status(be_check)(struct be_enforcer *handle, const char *category, int64_t amount,
			 struct be_decision *decision)
{
	struct be_decision own;
	struct be_decision *filled = decision;
	struct record_key key;
	enum be_status status;

	error_clear();
	status = sized_clear(decision);
	if (!handle || !category)
		return missing(handle ? "category" : "handle");
	if (status == BE_OK &&
	    (!enforcer_key(handle, category, &key) || amount < 0 || handle->observe))
		status = check_arguments(handle, category, amount);
	if (status != BE_OK)
		return status;
	/* A structure of another version's size is filled through one of ours. */
	if (decision && decision->size != sizeof own) {
		own = (struct be_decision)BE_DECISION_INIT;
		filled = &own;
	}
	status = check(handle, category, &key, amount, filled);
	if (filled != decision && (status == BE_OK || be_status_is_refusal(status)))
		sized_write(decision, &own);
	else if (status != BE_OK && !be_status_is_refusal(status))
		(void)sized_clear(decision);
	return error_default(status);
}

/* ---- commit, extend */

static enum be_status deadline(int64_t now_ns, uint64_t ttl_ms, int64_t *deadline_ns)
{
	*deadline_ns = 0;
	if (ttl_ms == 0)
		return BE_OK;
	if (ttl_ms > (uint64_t)(INT64_MAX / NS_PER_MS) ||
	    __builtin_add_overflow(now_ns, (int64_t)ttl_ms * NS_PER_MS, deadline_ns)) {
		*deadline_ns = 0;
		return error_set(BE_INVALID_ARGUMENT, "a ttl of %llu ms ends after the year 2262",
				 (unsigned long long)ttl_ms);
	}
	if (*deadline_ns <= 0) { /* such a record would be none, or damaged */
		*deadline_ns = 0;
		return error_set(BE_INVALID_ARGUMENT,
				 "the clock says that the ttl ends before 1970");
	}
	return BE_OK;
}

static enum be_status read_commit_options(const struct be_commit_options *given,
					  struct be_commit_options *options,
					  struct operation *operation)
{
	enum be_status status = sized_read(given, options);

	if (status != BE_OK)
		return status;
	if (!sized_is_zero(options->reserved, sizeof options->reserved) ||
	    (options->reserved_too | options->reserved_three) != 0)
		return sized_refuse_unknown();
	if (options->wait_ms < BE_WAIT_WINDOW)
		return error_set(BE_INVALID_ARGUMENT, "options.wait_ms is below zero");
	if (options->reap_policy != BE_REAP_RELEASE && options->reap_policy != BE_REAP_CHARGE)
		return error_set(BE_INVALID_ARGUMENT,
				 "options.reap_policy is neither release nor charge");
	operation->reap_policy = options->reap_policy;
	operation->detached = options->detached;
	operation->least = options->least;
	return deadline(operation->now_ns, options->ttl_ms, &operation->deadline_ns);
}

/* Notes the next commit's id: when this process is dead, its commits are looked for from there on.
 * A reader may see an older id, which is lower, so that no commit is missed. */
static enum be_status note_first_commit(struct environment *environment)
{
	struct header header;
	enum be_status status = ledger_read_header(environment->executor.storage, false, &header);

	if (status == BE_OK)
		owners_commits_from(environment->executor.owners, header.next_commit_id);
	return status;
}

/* Says who holds the commit, where owners are known. */
static enum be_status name_owner(struct be_enforcer *handle, struct operation *operation)
{
	struct environment *environment;
	struct owners *owners;
	enum be_status status = enforcer_environment(handle, &environment);

	/* A handle that is read-only is refused when the operation is run. */
	if (status != BE_OK || enforcer_is_read_only(handle))
		return status;
	owners = environment->executor.owners;
	/* Of a process that is a host by itself nothing is known but its lease. */
	if (operation->detached && !owners)
		return BE_OK;
	status = executor_owner(&environment->executor, !operation->detached, &operation->owner);
	if (status == BE_OK && owners && owners_first_commit(owners, &operation->owner) == 0)
		status = note_first_commit(environment);
	return status;
}

static void show_decision(struct be_decision *decision, const struct result *result)
{
	if (result->status == BE_OK || be_status_is_refusal(result->status))
		sized_write(decision, &result->decision);
}

/* Runs it, and notes what the handle then holds, if it is to end that. */
static enum be_status run_commit(struct be_enforcer *handle, struct operation *operation,
				 const struct patience *patience, struct result *result)
{
	bool owning = (handle->settings.flags & BE_OPEN_OWNING) && !operation->detached;
	enum be_status status = owning ? holds_expect(handle) : BE_OK;

	if (status != BE_OK) {
		memset(result, 0, sizeof *result);
		return result->status = status;
	}
	status = enforcer_run_patiently(handle, operation, patience, result);
	/* One that was made before is held by the handle that made it. */
	if (owning)
		holds_add(handle, result->repeated ? 0 : result->commit_id);
	return status;
}

enum be_status(be_commit_with)(struct be_enforcer *handle, const char *category, int64_t amount,
			       const char *description, const struct be_commit_options *options,
			       uint64_t *id, struct be_decision *decision)
{
	struct be_commit_options chosen = BE_COMMIT_OPTIONS_INIT;
	struct patience patience;
	struct operation operation;
	struct result result;
	enum be_status status;

	error_clear();
	if (id)
		*id = 0;
	status = sized_clear(decision);
	if (!handle || !category || !id)
		return missing(!handle ? "handle" : !category ? "category" : "place for the id");
	if (status != BE_OK)
		return status;
	enforcer_prepare(handle, &operation, BE_OPERATION_COMMIT);
	operation.amount = amount;
	status = read_commit_options(options, &chosen, &operation);
	if (status == BE_OK)
		status = set_name(handle, chosen.namespace_name, category, &operation.name);
	if (status == BE_OK && chosen.also_count > 0)
		status = set_further(handle, chosen.also, chosen.also_count, &operation);
	if (status == BE_OK)
		status = check_amount(amount);
	if (status == BE_OK)
		status = check_least(operation.least, amount);
	if (status == BE_OK)
		status = name_set_description(operation.description, &operation.description_size,
					      description);
	if (status == BE_OK && chosen.label_count > 0)
		status = set_labels(chosen.labels, chosen.label_count, &operation);
	if (status == BE_OK)
		status = set_key(handle, chosen.key, chosen.key_ms, &operation);
	if (status == BE_OK)
		status = name_owner(handle, &operation);
	if (status != BE_OK)
		return error_default(status);
	patience = (struct patience){chosen.wait_ms, chosen.keep_waiting, chosen.wait_context};
	status = run_commit(handle, &operation, &patience, &result);
	show_decision(decision, &result);
	*id = result.commit_id;
	return status;
}

enum be_status(be_commit)(struct be_enforcer *handle, const char *category, int64_t amount,
			  const char *description, uint64_t *id)
{
	return be_commit_with(handle, category, amount, description, NULL, id, NULL);
}

enum be_status(be_extend)(struct be_enforcer *handle, uint64_t id, int64_t amount, uint64_t ttl_ms,
			  struct be_decision *decision)
{
	struct operation operation;
	struct result result;
	enum be_status status;

	error_clear();
	status = sized_clear(decision);
	if (!handle)
		return missing("handle");
	if (status != BE_OK)
		return status;
	enforcer_prepare(handle, &operation, BE_OPERATION_EXTEND);
	operation.id = id;
	operation.amount = amount;
	status = deadline(operation.now_ns, ttl_ms, &operation.deadline_ns);
	if (status == BE_OK && amount != BE_HELD_AMOUNT)
		status = check_amount(amount);
	if (status != BE_OK)
		return status;
	status = enforcer_run(handle, &operation, &result);
	show_decision(decision, &result);
	return status;
}

/* ---- release, record, settle */

/* After a call that ends a commit: has it ended, now or before? */
static void forget_if_ended(struct be_enforcer *handle, uint64_t id, enum be_status status)
{
	if ((handle->settings.flags & BE_OPEN_OWNING) &&
	    (status == BE_OK || be_status_is_refusal(status)))
		holds_remove(handle, id);
}

enum be_status be_release(struct be_enforcer *handle, uint64_t id)
{
	struct operation operation;
	struct result result;
	enum be_status status;

	error_clear();
	if (!handle)
		return missing("handle");
	enforcer_prepare(handle, &operation, BE_OPERATION_RELEASE);
	operation.id = id;
	status = enforcer_run(handle, &operation, &result);
	forget_if_ended(handle, id, status);
	return status;
}

/* What record and settle share: run, and show the transaction. */
static enum be_status charge(struct be_enforcer *handle, struct operation *operation,
			     struct be_transaction *transaction)
{
	struct result result;
	enum be_status status = enforcer_run(handle, operation, &result);

	if (status == BE_OK)
		sized_write(transaction, &result.transaction);
	return status;
}

static enum be_status read_charge_options(const struct be_charge_options *given,
					  struct be_charge_options *options)
{
	enum be_status status = sized_read(given, options);

	return status == BE_OK && (options->reserved | options->reserved_too |
				   options->reserved_three) != 0
		       ? sized_refuse_unknown()
		       : status;
}

enum be_status(be_record_with)(struct be_enforcer *handle, const char *category, int64_t amount,
			       const char *description, const struct be_charge_options *options,
			       struct be_transaction *transaction)
{
	struct be_charge_options chosen = BE_CHARGE_OPTIONS_INIT;
	struct operation operation;
	enum be_status status;

	error_clear();
	status = sized_clear(transaction);
	if (!handle || !category)
		return missing(handle ? "category" : "handle");
	if (status == BE_OK)
		status = read_charge_options(options, &chosen);
	if (status != BE_OK)
		return status;
	enforcer_prepare(handle, &operation, BE_OPERATION_RECORD);
	operation.amount = amount;
	status = set_name(handle, chosen.namespace_name, category, &operation.name);
	if (status == BE_OK && chosen.also_count > 0)
		status = set_further(handle, chosen.also, chosen.also_count, &operation);
	if (status == BE_OK)
		status = check_amount(amount);
	if (status == BE_OK)
		status = name_set_description(operation.description, &operation.description_size,
					      description);
	if (status == BE_OK && chosen.label_count > 0)
		status = set_labels(chosen.labels, chosen.label_count, &operation);
	if (status == BE_OK)
		status = set_key(handle, chosen.key, chosen.key_ms, &operation);
	return status == BE_OK ? charge(handle, &operation, transaction) : error_default(status);
}

enum be_status(be_record)(struct be_enforcer *handle, const char *category, int64_t amount,
			  const char *description, struct be_transaction *transaction)
{
	return be_record_with(handle, category, amount, description, NULL, transaction);
}

/* Settle and charge: what a commit has cost, all or in part. Correct: what a transaction has
 * charged too much. */
static enum be_status charge_by_id(struct be_enforcer *handle, enum be_operation kind, uint64_t id,
				   int64_t amount, const char *description,
				   const struct be_charge_options *options,
				   struct be_transaction *transaction)
{
	struct be_charge_options chosen = BE_CHARGE_OPTIONS_INIT;
	struct operation operation;
	enum be_status status;

	error_clear();
	status = sized_clear(transaction);
	if (!handle)
		return missing("handle");
	if (status == BE_OK)
		status = read_charge_options(options, &chosen);
	if (status == BE_OK && chosen.also_count > 0)
		status = error_set(BE_INVALID_ARGUMENT,
				   "options.also was given: a commit has its own envelopes");
	if (status == BE_OK && chosen.namespace_name)
		status = error_set(BE_INVALID_ARGUMENT,
				   "options.namespace_name was given: an id is of one envelope");
	if (status == BE_OK && chosen.label_count > 0 && kind == BE_OPERATION_CORRECT)
		status = error_set(BE_INVALID_ARGUMENT,
				   "options.labels was given: a correction has those of what it "
				   "corrects");
	if (status == BE_OK)
		status = check_amount(amount);
	if (status != BE_OK)
		return status;
	enforcer_prepare(handle, &operation, kind);
	operation.id = id;
	operation.amount = amount;
	operation.has_description = description != NULL;
	status = name_set_description(operation.description, &operation.description_size,
				      description);
	if (status == BE_OK && chosen.label_count > 0)
		status = set_labels(chosen.labels, chosen.label_count, &operation);
	if (status == BE_OK)
		status = set_key(handle, chosen.key, chosen.key_ms, &operation);
	if (status != BE_OK)
		return error_default(status);
	status = charge(handle, &operation, transaction);
	/* NO_ENVELOPE and OVERFLOW leave it as it was, as a part that is charged leaves it pending,
	 * and KEY_REUSED does not look at it. */
	if (kind == BE_OPERATION_SETTLE || (kind == BE_OPERATION_CHARGE && status != BE_OK))
		if (status != BE_NO_ENVELOPE && status != BE_KEY_REUSED)
			forget_if_ended(handle, id, status);
	return status;
}

enum be_status(be_settle_with)(struct be_enforcer *handle, uint64_t id, int64_t amount,
			       const char *description, const struct be_charge_options *options,
			       struct be_transaction *transaction)
{
	return charge_by_id(handle, BE_OPERATION_SETTLE, id, amount, description, options,
			    transaction);
}

enum be_status(be_settle)(struct be_enforcer *handle, uint64_t id, int64_t amount,
			  const char *description, struct be_transaction *transaction)
{
	return be_settle_with(handle, id, amount, description, NULL, transaction);
}

enum be_status(be_charge_with)(struct be_enforcer *handle, uint64_t id, int64_t amount,
			       const char *description, const struct be_charge_options *options,
			       struct be_transaction *transaction)
{
	return charge_by_id(handle, BE_OPERATION_CHARGE, id, amount, description, options,
			    transaction);
}

enum be_status(be_charge)(struct be_enforcer *handle, uint64_t id, int64_t amount,
			  const char *description, struct be_transaction *transaction)
{
	return be_charge_with(handle, id, amount, description, NULL, transaction);
}

enum be_status(be_correct_with)(struct be_enforcer *handle, uint64_t id, int64_t amount,
				const char *description, const struct be_charge_options *options,
				struct be_transaction *transaction)
{
	return charge_by_id(handle, BE_OPERATION_CORRECT, id, amount, description, options,
			    transaction);
}

enum be_status(be_correct)(struct be_enforcer *handle, uint64_t id, int64_t amount,
			   const char *description, struct be_transaction *transaction)
{
	return be_correct_with(handle, id, amount, description, NULL, transaction);
}

enum be_status be_reap(struct be_enforcer *handle, uint64_t *reaped)
{
	uint64_t count;
	enum be_status status;

	error_clear();
	if (reaped)
		*reaped = 0;
	if (!handle)
		return missing("handle");
	status = enforcer_reap(handle, true, &count);
	if (status == BE_OK && reaped)
		*reaped = count;
	return error_default(status);
}
