/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/requests.h"

#include "base/error.h"
#include "rules/rules.h"

#include <string.h>

/* More than one, so that what has piled up while nobody used keys goes away in the end. */
#define FORGOTTEN_EACH 2

static void name_request(const struct operation *operation, struct request_name *name)
{
	name->namespace_size = operation->name.namespace_size;
	memcpy(name->namespace_name, operation->name.namespace_name, name->namespace_size + 1U);
	name->key_size = operation->key_size;
	memcpy(name->key, operation->key, name->key_size + 1U);
}

/* The decision of the first time. Its names are those that were asked for. */
static void show_decision(const struct keyed_request *request, const struct operation *operation,
			  struct be_decision *decision)
{
	decision->requested = request->requested;
	decision->asked = request->asked;
	decision->granted = request->granted;
	decision->available = request->available;
	decision->limit = request->limit;
	decision->spent = request->spent;
	decision->committed = request->committed;
	decision->window_end_ns = request->window_end_ns;
	memcpy(decision->namespace_name, operation->name.namespace_name,
	       operation->name.namespace_size + 1U);
	memcpy(decision->category, operation->name.category, operation->name.category_size + 1U);
}

/* Only who holds the money may go on. */
static enum be_status answer_commit(struct ledger *ledger, const struct operation *operation,
				    const struct keyed_request *request, struct result *result)
{
	struct commit commit;
	enum be_status status;
	int found = ledger_commit_get(ledger, request->commit_id, &commit);

	if (found < 0)
		return (enum be_status)found;
	status = found == LEDGER_NONE ? BE_NO_COMMIT : rules_commit_status(&commit);
	if (status != BE_OK)
		return status;
	show_decision(request, operation, &result->decision);
	result->commit_id = request->commit_id;
	if (request->granted < request->requested)
		result->held = request->granted;
	return BE_OK;
}

int requests_answer(struct ledger *ledger, const struct operation *operation,
		    struct keyed_request *known, struct result *result)
{
	int found;

	name_request(operation, &known->name);
	found = ledger_request_get(ledger, &known->name, known);
	if (found == LEDGER_NONE)
		known->checksum = 0;
	if (found != 0)
		return found;
	if (known->until_ns <= operation->now_ns)
		return LEDGER_NONE;
	if (known->kind != operation->kind || known->sum != operation->request_sum) {
		result->status = BE_KEY_REUSED;
		return 0;
	}
	result->repeated = true;
	result->status = BE_OK;
	if (known->kind == BE_OPERATION_COMMIT)
		result->status = answer_commit(ledger, operation, known, result);
	else
		rules_describe_transaction(&known->transaction, &result->transaction);
	return 0;
}

/* The transaction, as it was written just before. */
static enum be_status read_back(struct ledger *ledger, uint64_t id, struct transaction *transaction)
{
	int found = ledger_transaction_next(ledger, id, transaction);

	if (found == LEDGER_NONE || (found == 0 && transaction->id != id))
		return error_set(BE_DAMAGED, "a transaction that was just written is missing");
	return (enum be_status)found;
}

enum be_status requests_remember(struct ledger *ledger, const struct operation *operation,
				 struct keyed_request *known, const struct result *result)
{
	const struct be_decision *decision = &result->decision;
	enum be_status status = BE_OK;
	uint32_t count;

	if (known->checksum != 0) /* another, whose time is over */
		status = ledger_request_del(ledger, known);
	if (status == BE_OK)
		status = requests_forget(ledger, operation->now_ns, FORGOTTEN_EACH, &count);
	known->transaction.id = 0;
	if (status == BE_OK && operation->kind != BE_OPERATION_COMMIT)
		status = read_back(ledger, result->transaction.id, &known->transaction);
	if (status != BE_OK)
		return status;
	known->kind = operation->kind;
	known->sum = operation->request_sum;
	known->until_ns = operation->key_until_ns;
	known->checksum = 0;
	known->commit_id = result->commit_id;
	known->requested = decision->requested;
	known->asked = decision->asked;
	known->granted = decision->granted;
	known->available = decision->available;
	known->limit = decision->limit;
	known->spent = decision->spent;
	known->committed = decision->committed;
	known->window_end_ns = decision->window_end_ns;
	return ledger_request_put(ledger, known);
}

enum be_status requests_forget(struct ledger *ledger, int64_t now_ns, uint32_t most,
			       uint32_t *count)
{
	struct keyed_request request;

	for (*count = 0; *count < most; ++*count) {
		enum be_status status;
		int64_t until_ns;
		int found = ledger_request_first(ledger, &until_ns, &request.name);

		if (found != 0 || until_ns > now_ns)
			return found == LEDGER_NONE || found == 0 ? BE_OK : (enum be_status)found;
		found = ledger_request_get(ledger, &request.name, &request);
		if (found == LEDGER_NONE || (found == 0 && request.until_ns != until_ns))
			return error_set(BE_DAMAGED,
					 "a key that is to be forgotten is missing: run "
					 "be-inspect verify");
		if (found < 0)
			return (enum be_status)found;
		status = ledger_request_del(ledger, &request);
		if (status != BE_OK)
			return status;
	}
	return BE_OK;
}
