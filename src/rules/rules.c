/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of budgets. They work on a chain: the envelope named and its ancestors, which change
 * together. A commit over several envelopes has all of these and all of their ancestors in its
 * chain, each once.
 *
 * Invariants kept by every operation here:
 *   committed of an envelope = the sum of the pending commits that have it in their chain;
 *   spent = folded + the sum of the transactions from window_first on that have it in their chain,
 *   where a correction counts as what it corrects;
 *   a commit is granted only if its amount was available in every envelope of its chain;
 *   every commit ends once, and a commit's or transaction's id is given out once.
 *
 * Each rule reads and checks first. Below the line "nothing may be refused from here on" it only
 * writes, and what fails there is a fault of the storage, for which the caller drops the whole txn.
 *
 * The assertions state what the rules themselves see to, on structures of this process: records
 * that are damaged or forged are refused before, by decoding them or by the sums that they do not
 * fit.
 */
#include "rules/rules.h"

#include "base/error.h"
#include "rules/alerts.h"
#include "rules/amount.h"
#include "rules/chain.h"
#include "rules/envelopes.h"
#include "rules/requests.h"

#include <assert.h>
#include <string.h>

/* ---- decisions */

static void decide_name(struct be_decision *decision, enum be_status status,
			const struct name *name)
{
	decision->status = status;
	memcpy(decision->namespace_name, name->namespace_name, name->namespace_size + 1U);
	memcpy(decision->category, name->category, name->category_size + 1U);
}

static void decide(struct be_decision *decision, enum be_status status, const struct name *name,
		   const struct envelope *envelope)
{
	decide_name(decision, status, name);
	decision->limit = envelope->limit_now;
	decision->spent = envelope->spent;
	decision->committed = envelope->committed;
	decision->window_end_ns = envelope->period_end_ns;
	decision->available =
		amount_available(envelope->limit_now, envelope->spent, envelope->committed);
}

static bool exceeds(const struct envelope *envelope, int64_t amount)
{
	return amount > amount_available(envelope->limit_now, envelope->spent, envelope->committed);
}

/* May `amount` more be committed in this envelope, whatever its ancestors say? */
static enum be_status permit(const struct envelope *envelope, int64_t amount)
{
	if (envelope->suspended)
		return BE_SUSPENDED;
	if (!exceeds(envelope, amount))
		return BE_OK;
	/* What cannot be counted cannot be let through, either. */
	if (envelope->observe_only && amount <= INT64_MAX - envelope->committed)
		return BE_OK;
	return BE_EXCEEDS_BUDGET;
}

/* Counts, before it is committed, what is granted only because nothing is refused there. */
static void chain_excuse(struct chain *chain, int64_t amount)
{
	for (uint32_t i = 0; i < chain->count; i++)
		if (exceeds(&chain->envelopes[i], amount))
			chain->envelopes[i].excused++;
}

/* A refusal carries what may still turn it into a grant: the window's end, and how many commits had
 * been reaped. The header counts those; a write txn has read it already. */
static enum be_status refuse(struct ledger *ledger, enum be_status why,
			     const struct envelope *envelope, int64_t amount,
			     struct refusal *refusal)
{
	enum be_status status = BE_OK;

	*refusal = (struct refusal){
		.tally = envelope->tally,
		.asked = amount,
		.limit = envelope->limit_now,
		.spent = envelope->spent,
		.committed = envelope->committed,
		.window_end_ns = envelope->period_end_ns,
	};
	if (why == BE_EXCEEDS_BUDGET && refusal_hinges_on_commits(refusal)) {
		status = ledger_header(ledger);
		if (status == BE_OK)
			refusal->reaped = header_reaped(&ledger->header);
	}
	return status == BE_OK ? why : status;
}

/* May `amount` more be committed in the chain? From the envelope up; the first one that refuses is
 * named. */
static enum be_status chain_decide(struct ledger *ledger, const struct chain *chain, int64_t amount,
				   struct result *result)
{
	for (uint32_t i = 0; i < chain->count; i++) {
		const struct envelope *envelope = &chain->envelopes[i];
		enum be_status status = permit(envelope, amount);

		if (status != BE_OK) {
			decide(&result->decision, status, &envelope->name, envelope);
			result->decision.asked = amount;
			return refuse(ledger, status, envelope, amount, &result->refusal);
		}
	}
	return BE_OK;
}

static int64_t now_at(struct rules_moment *moment)
{
	if (moment->read) {
		moment->now_ns = moment->read(moment->context);
		moment->read = NULL;
	}
	return moment->now_ns;
}

/* Finds a parent, under another key if it has been given another name. */
static int find_parent(struct ledger *ledger, struct record_key *key, uint64_t id,
		       struct envelope *envelope)
{
	struct name name;
	int found = ledger_envelope_find(ledger, key, envelope);

	if (found < 0 || (found == 0 && envelope->id == id))
		return found;
	if (!record_parse_envelope_key(record_key_bytes(key), &name))
		return (int)error_set(BE_DAMAGED, "a parent's name is none");
	found = ledger_envelope_known(ledger, &name, id, envelope);
	if (found == 0)
		record_key_envelope(key, &envelope->name);
	return found == LEDGER_NONE
		       ? (int)error_set(BE_DAMAGED, "the parent of an envelope is missing")
		       : found;
}

/* Finds one envelope of a chain, the first by its key, its ancestors by their ids, too. `named`:
 * with its name, since it will be shown. */
static int find_in_chain(struct ledger *ledger, const struct record_key *key,
			 struct record_key *parent, uint64_t id, bool named,
			 struct envelope *envelope)
{
	int found = id == 0 ? ledger_envelope_find(ledger, key, envelope)
			    : find_parent(ledger, parent, id, envelope);

	if (found == 0 && named &&
	    !record_parse_envelope_key(record_key_bytes(key), &envelope->name))
		return (int)error_set(BE_DAMAGED, "an envelope lies under a key that names none");
	return found;
}

static enum be_status check_no_envelope(const struct record_key *key,
					struct rules_question *question)
{
	if (!record_parse_envelope_key(record_key_bytes(key), &question->refuser))
		question->refuser.category_size = 0;
	else if (question->decision)
		decide_name(question->decision, BE_NO_ENVELOPE, &question->refuser);
	return BE_NO_ENVELOPE;
}

static __attribute__((noinline)) enum be_status
check_refused(struct ledger *ledger, enum be_status why, const struct record_key *key,
	      const struct envelope *envelope, struct rules_question *question)
{
	if (!record_parse_envelope_key(record_key_bytes(key), &question->refuser))
		return error_set(BE_DAMAGED, "an envelope lies under a key that names none");
	if (question->decision)
		decide(question->decision, why, &question->refuser, envelope);
	return refuse(ledger, why, envelope, question->amount, &question->refusal);
}

/* Shows the envelope as it is now, if that is asked for. */
static enum be_status show_after(struct ledger *ledger, struct envelope *envelope,
				 struct rules_question *question)
{
	enum be_status status;

	if (!question->after)
		return BE_OK;
	status = ledger_name_now(ledger, envelope->parent_id, &envelope->parent);
	if (status != BE_OK)
		return status;
	rules_describe_envelope(envelope, question->after);
	question->has_envelope = true;
	return BE_OK;
}

/* The same question without a reservation: one envelope at a time, without a chain, and with keys
 * in place of names until a name must be shown. */
enum be_status rules_check(struct ledger *ledger, struct rules_question *question)
{
	struct be_decision *decision = question->decision;
	const struct record_key *key = question->key;
	struct record_key parent;
	struct envelope envelope;
	uint64_t id = 0;

	if (decision)
		decision->requested = decision->asked = question->amount;
	for (int depth = 0; depth < BE_DEPTH_MAX; depth++) {
		bool named = depth == 0 && (decision || question->after);
		int found = find_in_chain(ledger, key, &parent, id, named, &envelope);
		enum be_status status;

		if (found < 0)
			return (enum be_status)found;
		if (found == LEDGER_NONE)
			return check_no_envelope(key, question);
		if ((envelope.period_end_ns | envelope.raise_until_ns) != 0) {
			status = rules_roll_over(ledger, &envelope, now_at(&question->moment), 1);
			if (status != BE_OK)
				return status;
		}
		status = depth == 0 ? show_after(ledger, &envelope, question) : BE_OK;
		if (status != BE_OK)
			return status;
		status = permit(&envelope, question->amount);
		if (status != BE_OK)
			return check_refused(ledger, status, key, &envelope, question);
		if (decision && depth == 0)
			decide(decision, BE_OK, &envelope.name, &envelope);
		id = envelope.parent_id;
		if (id == 0)
			return BE_OK;
		record_key_envelope(&parent, &envelope.parent);
		key = &parent;
	}
	return error_set(BE_DAMAGED, "an envelope has more than %d ancestors", BE_DEPTH_MAX - 1);
}

/* ---- what the rules below share */

/* Writes a transaction for the chain, whose envelopes have been charged in memory, and the alerts
 * of thresholds that it has passed. */
static enum be_status write_transaction(struct ledger *ledger, const struct chain *chain,
					struct transaction *transaction, struct result *result)
{
	enum be_status status = ledger_header(ledger);

	if (status != BE_OK)
		return status;
	transaction->id = ledger->header.next_transaction_id++;
	name_copy(&transaction->name, &chain->envelopes[0].name);
	transaction->depth = chain->depth;
	for (uint32_t i = 0; i < chain->depth; i++)
		transaction->chain[i] = chain->envelopes[i].id;
	transaction->further = (uint8_t)chain->further;
	rules_describe_transaction(transaction, &result->transaction);
	for (uint32_t i = 0; i < chain->count && status == BE_OK; i++)
		status = alerts_give(ledger, &chain->envelopes[i], transaction->at_ns, transaction);
	if (status == BE_OK)
		status = ledger_transaction_put(ledger, transaction);
	return status == BE_OK && chain->further > 0
		       ? chain_note(ledger, chain, RECORD_TRANSACTION, transaction->id)
		       : status;
}

static void take_description(char *to, uint16_t *size, const char *from, uint16_t from_size)
{
	memcpy(to, from, from_size);
	to[from_size] = '\0';
	*size = from_size;
}

/* Notes the labels of the transaction that will be written next: those of the commit or transaction
 * that it is for, and those that the operation adds. Apart, since labels are large and few have
 * any. */
static __attribute__((noinline)) enum be_status
note_labels(struct ledger *ledger, enum record_type type, uint64_t id, uint8_t count,
	    const struct operation *operation, struct transaction *transaction)
{
	struct labels labels = {.count = 0};
	enum be_status status = ledger_header(ledger);

	if (status == BE_OK && count > 0)
		status = ledger_labels_get(ledger, type, id, count, &labels);
	if (status == BE_OK && operation->label_count > 0)
		status = labels_add(&labels, operation->labels, operation->labels_size);
	transaction->labels = labels.count;
	return status == BE_OK ? ledger_labels_put(ledger, RECORD_TRANSACTION,
						   ledger->header.next_transaction_id, labels.count,
						   labels.bytes, labels.size)
			       : status;
}

/* The same for a commit, or for nothing (NULL): the last step that may be refused. */
static enum be_status label(struct ledger *ledger, const struct commit *commit,
			    const struct operation *operation, struct transaction *transaction)
{
	uint8_t count = commit ? commit->labels : 0;

	if ((count | operation->label_count) == 0)
		return BE_OK;
	return note_labels(ledger, RECORD_COMMIT, commit ? commit->id : 0, count, operation,
			   transaction);
}

enum be_status rules_commit_status(const struct commit *commit)
{
	switch (commit->state) {
	case BE_COMMIT_PENDING:
		return BE_OK;
	case BE_COMMIT_RELEASED:
		return BE_ALREADY_RELEASED;
	case BE_COMMIT_SETTLED:
		return BE_ALREADY_SETTLED;
	default:
		return commit->transaction_id != 0 ? BE_ALREADY_CHARGED : BE_ALREADY_REAPED;
	}
}

/* The envelope of an operation, and those named beside it. The decision names one that is
 * missing. */
static enum be_status load_named(struct ledger *ledger, const struct operation *operation,
				 struct chain *chain, struct result *result)
{
	enum be_status status = chain_load(ledger, &operation->name, 0, operation->now_ns, chain);
	struct name missing;

	if (status == BE_NO_ENVELOPE)
		decide_name(&result->decision, BE_NO_ENVELOPE, &operation->name);
	if (status != BE_OK || operation->further_count == 0)
		return status;
	status = chain_add_named(ledger, operation, chain, &missing);
	if (status == BE_NO_ENVELOPE)
		decide_name(&result->decision, BE_NO_ENVELOPE, &missing);
	return status;
}

/* All envelopes of a commit that hold it, or once it was reaped those that it would be held in by
 * now: BE_NO_ENVELOPE when one that it names was removed since. */
static enum be_status load_held(struct ledger *ledger, struct commit *commit, int64_t now_ns,
				struct chain *chain)
{
	enum be_status status =
		chain_load(ledger, &commit->name, commit->envelope_id, now_ns, chain);

	if (status == BE_OK && !name_equal(&commit->name, &chain->envelopes[0].name))
		name_copy(&commit->name, &chain->envelopes[0].name);
	return status == BE_OK && commit->further > 0
		       ? chain_add_noted(ledger, commit, now_ns, chain)
		       : status;
}

/* Reads a pending commit and its chain: BE_NO_COMMIT, or how it ended, when it is not pending. */
static enum be_status pending_load(struct ledger *ledger, uint64_t id, int64_t now_ns,
				   struct commit *commit, struct chain *chain)
{
	int found = ledger_commit_get(ledger, id, commit);
	enum be_status status;

	if (found == LEDGER_NONE)
		return BE_NO_COMMIT;
	if (found < 0)
		return (enum be_status)found;
	status = rules_commit_status(commit);
	if (status != BE_OK)
		return status;
	status = load_held(ledger, commit, now_ns, chain);
	if (status == BE_NO_ENVELOPE)
		return error_set(BE_DAMAGED, "an envelope of a pending commit in \"%s\" is missing",
				 commit->name.category);
	return status;
}

/* Ends a commit in storage. Of a commit that was released or settled only how it ended is kept. */
static enum be_status end_commit(struct ledger *ledger, struct commit *commit,
				 enum be_commit_state state, uint64_t transaction_id,
				 int64_t now_ns)
{
	bool was_pending = commit->state == BE_COMMIT_PENDING;
	enum be_status status = BE_OK;

	/* A commit ends once. One that was reaped may still be settled. */
	assert(state != BE_COMMIT_PENDING);
	assert(was_pending || (state == BE_COMMIT_SETTLED && commit->transaction_id == 0));
	commit->state = state;
	commit->transaction_id = transaction_id;
	commit->ended_ns = now_ns;
	if (state == BE_COMMIT_RELEASED || state == BE_COMMIT_SETTLED) {
		commit->name.namespace_size = commit->name.category_size = 0;
		commit->description_size = 0;
		if (commit->further > 0)
			status = ledger_further_del(ledger, RECORD_COMMIT, commit->id,
						    commit->further);
		if (commit->labels > 0 && status == BE_OK)
			status = ledger_labels_del(ledger, RECORD_COMMIT, commit->id);
		commit->further = commit->labels = 0;
	}
	if (status != BE_OK)
		return status;
	return was_pending ? ledger_commit_end(ledger, commit) : ledger_commit_put(ledger, commit);
}

/* As much of the amount as is available, but not less than the least that will do. */
static int64_t choose_amount(const struct chain *chain, const struct operation *operation)
{
	int64_t amount = operation->amount;

	for (uint32_t i = 0; operation->least > 0 && i < chain->count; i++) {
		const struct envelope *envelope = &chain->envelopes[i];
		int64_t available =
			amount_available(envelope->limit_now, envelope->spent, envelope->committed);

		/* What cannot be counted is not let through there, either. */
		if (envelope->observe_only)
			available = INT64_MAX - envelope->committed;
		if (available < amount)
			amount = available;
	}
	return amount < operation->least ? operation->least : amount;
}

/* ---- spending */

static enum be_status apply_commit(struct ledger *ledger, const struct operation *operation,
				   struct result *result)
{
	struct be_decision *decision = &result->decision;
	struct commit commit;
	struct chain chain;
	enum be_status status = load_named(ledger, operation, &chain, result);
	int64_t amount;

	decision->requested = decision->asked = operation->amount;
	if (status != BE_OK)
		return status;
	amount = choose_amount(&chain, operation);
	status = chain_decide(ledger, &chain, amount, result);
	if (status != BE_OK && operation->least > 0)
		decision->requested = decision->asked = result->refusal.asked = operation->least;
	if (status == BE_OK)
		status = ledger_header(ledger);
	if (status != BE_OK) {
		show_envelope(result, &chain.envelopes[0]);
		return status;
	}
	chain_excuse(&chain, amount);
	/* It was permitted in each, so this cannot overflow. */
	status = chain_commit(&chain, amount, +1);
	if (status != BE_OK)
		return status;
	assert(operation->amount == 0 || chain_covers(&chain));

	/* Nothing may be refused from here on. */
	for (uint32_t i = 0; i < chain.count; i++)
		chain.envelopes[i].granted++;
	decide(decision, BE_OK, &chain.envelopes[0].name, &chain.envelopes[0]);
	decision->requested = operation->amount;
	decision->asked = decision->granted = amount;
	if (amount < operation->amount)
		result->held = amount;
	commit.id = ledger->header.next_commit_id++;
	commit.state = BE_COMMIT_PENDING;
	commit.reap_policy = operation->reap_policy;
	commit.detached = operation->detached;
	commit.owner = operation->owner;
	name_copy(&commit.name, &operation->name);
	commit.envelope_id = chain.envelopes[0].id;
	commit.amount = amount;
	commit.created_ns = operation->now_ns;
	commit.deadline_ns = operation->deadline_ns;
	commit.ended_ns = 0;
	commit.transaction_id = 0;
	commit.checksum = 0;
	commit.further = (uint8_t)chain.further;
	commit.labels = operation->label_count;
	take_description(commit.description, &commit.description_size, operation->description,
			 operation->description_size);
	result->commit_id = commit.id;
	show_envelope(result, &chain.envelopes[0]);
	status = chain_store(ledger, &chain);
	if (status == BE_OK && chain.further > 0)
		status = chain_note(ledger, &chain, RECORD_COMMIT, commit.id);
	if (status == BE_OK && commit.labels > 0)
		status = ledger_labels_put(ledger, RECORD_COMMIT, commit.id, commit.labels,
					   operation->labels, operation->labels_size);
	return status == BE_OK ? ledger_commit_put(ledger, &commit) : status;
}

static enum be_status apply_release(struct ledger *ledger, const struct operation *operation,
				    struct result *result)
{
	struct commit commit;
	struct chain chain;
	enum be_status status =
		pending_load(ledger, operation->id, operation->now_ns, &commit, &chain);

	if (status == BE_OK)
		status = chain_commit(&chain, -commit.amount, -1);
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	result->held = commit.amount;
	show_envelope(result, &chain.envelopes[0]);
	status = chain_store(ledger, &chain);
	return status == BE_OK
		       ? end_commit(ledger, &commit, BE_COMMIT_RELEASED, 0, operation->now_ns)
		       : status;
}

static enum be_status apply_record(struct ledger *ledger, const struct operation *operation,
				   struct result *result)
{
	struct transaction transaction = {.kind = BE_TRANSACTION_RECORD};
	struct chain chain;
	enum be_status status = load_named(ledger, operation, &chain, result);

	if (status == BE_OK)
		status = chain_spend(&chain, operation->amount);
	if (status == BE_OK)
		status = label(ledger, NULL, operation, &transaction);
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	transaction.amount = operation->amount;
	transaction.at_ns = operation->now_ns;
	take_description(transaction.description, &transaction.description_size,
			 operation->description, operation->description_size);
	show_envelope(result, &chain.envelopes[0]);
	status = chain_store(ledger, &chain);
	return status == BE_OK ? write_transaction(ledger, &chain, &transaction, result) : status;
}

/* Charges a commit and ends it. `late`: it was reaped before, and nothing is committed for it any
 * more. */
static enum be_status charge_commit(struct ledger *ledger, const struct operation *operation,
				    struct commit *commit, struct chain *chain, bool late,
				    struct transaction *transaction, enum be_commit_state state,
				    struct result *result)
{
	enum be_status status = late ? BE_OK : chain_commit(chain, -commit->amount, -1);

	assert(late == (commit->state != BE_COMMIT_PENDING));
	assert(state != BE_COMMIT_PENDING && state != BE_COMMIT_RELEASED);
	if (status == BE_OK)
		status = chain_spend(chain, transaction->amount);
	if (status == BE_OK)
		status = label(ledger, commit, operation, transaction);
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	transaction->commit_id = commit->id;
	transaction->held = commit->amount;
	transaction->at_ns = operation->now_ns;
	transaction->late = late;
	if (late)
		chain_count(ledger, chain, LAPSE_SETTLED_LATE);
	else if (state == BE_COMMIT_EXPIRED)
		chain_count(ledger, chain, LAPSE_EXPIRED_CHARGED);
	else if (state == BE_COMMIT_ORPHANED)
		chain_count(ledger, chain, LAPSE_ORPHANED_CHARGED);
	show_envelope(result, &chain->envelopes[0]);
	status = chain_store(ledger, chain);
	if (status == BE_OK)
		status = write_transaction(ledger, chain, transaction, result);
	return status == BE_OK
		       ? end_commit(ledger, commit, state, transaction->id, operation->now_ns)
		       : status;
}

static enum be_status apply_settle(struct ledger *ledger, const struct operation *operation,
				   struct result *result)
{
	struct transaction transaction = {.kind = BE_TRANSACTION_SETTLE,
					  .amount = operation->amount};
	struct commit commit;
	struct chain chain;
	enum be_status status =
		pending_load(ledger, operation->id, operation->now_ns, &commit, &chain);
	bool late = status == BE_ALREADY_REAPED;

	/* The money was spent, however late we are told. */
	if (late)
		status = load_held(ledger, &commit, operation->now_ns, &chain);
	if (status != BE_OK)
		return status;
	if (operation->has_description)
		take_description(transaction.description, &transaction.description_size,
				 operation->description, operation->description_size);
	else
		take_description(transaction.description, &transaction.description_size,
				 commit.description, commit.description_size);
	return charge_commit(ledger, operation, &commit, &chain, late, &transaction,
			     BE_COMMIT_SETTLED, result);
}

/* Charges a part: what is charged of what the commit holds it holds no more. */
static enum be_status apply_charge(struct ledger *ledger, const struct operation *operation,
				   struct result *result)
{
	struct transaction transaction = {.kind = BE_TRANSACTION_CHARGE,
					  .amount = operation->amount,
					  .at_ns = operation->now_ns};
	struct commit commit;
	struct chain chain;
	enum be_status status =
		pending_load(ledger, operation->id, operation->now_ns, &commit, &chain);
	int64_t part;

	if (status != BE_OK)
		return status;
	part = operation->amount < commit.amount ? operation->amount : commit.amount;
	status = chain_commit(&chain, -part, 0);
	if (status == BE_OK)
		status = chain_spend(&chain, operation->amount);
	if (status == BE_OK)
		status = label(ledger, &commit, operation, &transaction);
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	transaction.commit_id = commit.id;
	transaction.held = commit.amount;
	commit.amount -= part;
	if (operation->has_description)
		take_description(transaction.description, &transaction.description_size,
				 operation->description, operation->description_size);
	else
		take_description(transaction.description, &transaction.description_size,
				 commit.description, commit.description_size);
	show_envelope(result, &chain.envelopes[0]);
	status = chain_store(ledger, &chain);
	if (status == BE_OK)
		status = write_transaction(ledger, &chain, &transaction, result);
	return status == BE_OK ? ledger_commit_replace(ledger, &commit, commit.deadline_ns)
			       : status;
}

/* What was given back of a transaction so far; 0 when nothing was. */
static int load_given_back(struct ledger *ledger, uint64_t id, struct given_back *given_back)
{
	int found = ledger_given_back_get(ledger, id, given_back);

	if (found == LEDGER_NONE)
		*given_back = (struct given_back){.id = id};
	return found == LEDGER_NONE ? 0 : found;
}

/* Takes an amount that `wrong` had charged from the envelopes of its chain. Only of windows that it
 * was charged to. */
static enum be_status chain_give_back(struct chain *chain, const struct transaction *wrong,
				      int64_t amount)
{
	for (uint32_t i = 0; i < chain->count; i++) {
		struct envelope *envelope = &chain->envelopes[i];

		envelope->given_back = record_add(envelope->given_back, amount);
		if (wrong->id < envelope->window_first)
			continue;
		if (amount > envelope->spent)
			return error_set(BE_DAMAGED,
					 "what is spent in \"%s\" does not add up: run "
					 "be-inspect verify",
					 envelope->name.category);
		envelope->spent -= amount;
	}
	return BE_OK;
}

static enum be_status apply_correct(struct ledger *ledger, const struct operation *operation,
				    struct result *result)
{
	struct transaction wrong, transaction = {.kind = BE_TRANSACTION_CORRECTION};
	struct given_back given_back;
	struct chain chain;
	enum be_status status;
	int found = ledger_transaction_get(ledger, operation->id, &wrong);

	if (found == 0)
		found = load_given_back(ledger, operation->id, &given_back);
	if (found != 0)
		return found == LEDGER_NONE ? BE_NO_TRANSACTION : (enum be_status)found;
	if (operation->amount > wrong.amount - given_back.amount || wrong.corrects != 0)
		return BE_EXCEEDS_CHARGE;
	status = chain_load_charged(ledger, &wrong, operation->now_ns, &chain);
	if (status == BE_OK) /* who shows it names its parent of now */
		status = ledger_name_now(ledger, chain.envelopes[0].parent_id,
					 &chain.envelopes[0].parent);
	if (status == BE_OK)
		status = chain_give_back(&chain, &wrong, operation->amount);
	if (status == BE_OK && wrong.labels > 0)
		status = note_labels(ledger, RECORD_TRANSACTION, wrong.id, wrong.labels, operation,
				     &transaction);
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	given_back.amount += operation->amount;
	transaction.corrects = wrong.id;
	transaction.amount = -operation->amount;
	transaction.at_ns = operation->now_ns;
	take_description(transaction.description, &transaction.description_size,
			 operation->description, operation->description_size);
	show_envelope(result, &chain.envelopes[0]);
	status = chain_store(ledger, &chain);
	if (status == BE_OK)
		status = ledger_given_back_put(ledger, &given_back);
	return status == BE_OK ? write_transaction(ledger, &chain, &transaction, result) : status;
}

static enum be_status apply_extend(struct ledger *ledger, const struct operation *operation,
				   struct result *result)
{
	struct be_decision *decision = &result->decision;
	struct commit commit;
	struct chain chain;
	enum be_status status =
		pending_load(ledger, operation->id, operation->now_ns, &commit, &chain);
	int64_t old_deadline_ns, amount, more;

	if (status != BE_OK)
		return status;
	old_deadline_ns = commit.deadline_ns;
	amount = operation->amount == BE_HELD_AMOUNT ? commit.amount : operation->amount;
	more = amount - commit.amount; /* both are 0 or more */
	decision->requested = amount;
	decision->asked = more > 0 ? more : 0;
	if (more > 0) {
		status = chain_decide(ledger, &chain, more, result);
		if (status != BE_OK) {
			show_envelope(result, &chain.envelopes[0]);
			return status;
		}
		chain_excuse(&chain, more);
	}
	status = chain_commit(&chain, more, 0);
	if (status != BE_OK)
		return status;
	assert(more <= 0 || chain_covers(&chain));

	/* Nothing may be refused from here on. */
	decide(decision, BE_OK, &chain.envelopes[0].name, &chain.envelopes[0]);
	decision->granted = amount;
	commit.amount = amount;
	commit.deadline_ns = operation->deadline_ns;
	result->commit_id = commit.id;
	show_envelope(result, &chain.envelopes[0]);
	status = chain_store(ledger, &chain);
	return status == BE_OK ? ledger_commit_replace(ledger, &commit, old_deadline_ns) : status;
}

/* Ends a commit that was seen to be expired or orphaned. It may have been ended or extended since,
 * so it is looked at again. */
static enum be_status apply_reap(struct ledger *ledger, const struct operation *operation,
				 struct result *result)
{
	struct transaction transaction = {0};
	struct commit commit;
	struct chain chain;
	enum be_status status =
		pending_load(ledger, operation->id, operation->now_ns, &commit, &chain);
	bool due;

	if (status != BE_OK)
		return status;
	if (operation->reap_as == BE_COMMIT_EXPIRED)
		due = commit.deadline_ns != 0 && commit.deadline_ns <= operation->now_ns;
	else
		due = !commit.detached && owner_is_same(&commit.owner, &operation->owner);
	if (!due)
		return BE_NO_COMMIT;
	result->held = commit.amount;
	if (commit.reap_policy == BE_REAP_CHARGE) {
		transaction.kind = operation->reap_as == BE_COMMIT_EXPIRED
					   ? BE_TRANSACTION_EXPIRED
					   : BE_TRANSACTION_ORPHANED;
		transaction.amount = commit.amount;
		take_description(transaction.description, &transaction.description_size,
				 commit.description, commit.description_size);
		return charge_commit(ledger, operation, &commit, &chain, false, &transaction,
				     operation->reap_as, result);
	}
	status = chain_commit(&chain, -commit.amount, -1);
	if (status != BE_OK)
		return status;

	/* Nothing may be refused from here on. */
	chain_count(ledger, &chain,
		    operation->reap_as == BE_COMMIT_EXPIRED ? LAPSE_EXPIRED_RELEASED
							    : LAPSE_ORPHANED_RELEASED);
	show_envelope(result, &chain.envelopes[0]);
	status = chain_store(ledger, &chain);
	return status == BE_OK
		       ? end_commit(ledger, &commit, operation->reap_as, 0, operation->now_ns)
		       : status;
}

/* ---- one way in */

static enum be_status apply(struct ledger *ledger, const struct operation *operation,
			    struct result *result)
{
	switch (operation->kind) {
	case BE_OPERATION_COMMIT:
		return apply_commit(ledger, operation, result);
	case BE_OPERATION_RELEASE:
		return apply_release(ledger, operation, result);
	case BE_OPERATION_RECORD:
		return apply_record(ledger, operation, result);
	case BE_OPERATION_SETTLE:
		return apply_settle(ledger, operation, result);
	case BE_OPERATION_CHARGE:
		return apply_charge(ledger, operation, result);
	case BE_OPERATION_EXTEND:
		return apply_extend(ledger, operation, result);
	case BE_OPERATION_REAP:
		return apply_reap(ledger, operation, result);
	case BE_OPERATION_CREATE:
	case BE_OPERATION_ENSURE:
		return apply_create(ledger, operation, result);
	case BE_OPERATION_SET_LIMIT:
	case BE_OPERATION_SUSPEND:
	case BE_OPERATION_RESUME:
	case BE_OPERATION_RESET:
	case BE_OPERATION_SET:
		return apply_steer(ledger, operation, result);
	case BE_OPERATION_REMOVE:
		return apply_remove(ledger, operation, result);
	case BE_OPERATION_CORRECT:
		return apply_correct(ledger, operation, result);
	case BE_OPERATION_ALERT_DONE:
		return apply_alert_done(ledger, operation);
	case BE_OPERATION_CHECK:
	case BE_OPERATION_ALERT:
		break;
	}
	return BE_INVALID_ARGUMENT;
}

/* What has a key is carried out once. */
static enum be_status apply_once(struct ledger *ledger, const struct operation *operation,
				 struct result *result)
{
	struct keyed_request known;
	enum be_status status;
	int found = requests_answer(ledger, operation, &known, result);

	if (found == 0)
		return result->status;
	if (found != LEDGER_NONE)
		return (enum be_status)found;
	status = apply(ledger, operation, result);
	return status == BE_OK ? requests_remember(ledger, operation, &known, result) : status;
}

enum be_status rules_apply(struct ledger *ledger, const struct operation *operation,
			   struct result *result)
{
	uint32_t before = ledger->changes;

	assert(ledger->write && operation_is_valid(operation));
	memset(result, 0, sizeof *result);
	result->decision.size = sizeof result->decision;
	if (operation->key_size > 0)
		result->status = apply_once(ledger, operation, result);
	else
		result->status = apply(ledger, operation, result);
	result->decision.status = result->status;
	if (ledger->has_header)
		result->next_alert_id = ledger->header.next_alert_id;
	if (result->status <= BE_NOT_FOUND)
		return result->status; /* the environment's or the machine's fault */
	if (result->status != BE_OK && ledger->changes != before)
		return result->status =
			       error_set(BE_STORAGE_FAILED, "a refused operation had written");
	return BE_OK;
}
