/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program in C++ uses the public header as C++ users do: initialisers, callbacks, namespaces and
 * every kind of operation, compiled with warnings as errors.
 */
#include <budget_enforcer.h>
#include <budget_enforcer_storage.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			std::fprintf(stderr, "%s:%d: FAILED: %s (%s)\n", __FILE__, __LINE__,       \
				     #condition, be_last_error());                                 \
			std::exit(1);                                                              \
		}                                                                                  \
	} while (0)

namespace
{

void observe(void *context, const be_event *event)
{
	static_cast<std::vector<std::string> *>(context)->push_back(
		be_operation_name(event->operation));
}

bool collect(void *context, const be_transaction *transaction)
{
	static_cast<std::vector<be_transaction> *>(context)->push_back(*transaction);
	return true;
}

void spend(be_enforcer *handle)
{
	be_decision decision = BE_DECISION_INIT;
	be_commit_options held = BE_COMMIT_OPTIONS_INIT;
	be_transaction charged = BE_TRANSACTION_INIT;
	int64_t estimate = 0;
	uint64_t id = 0;

	REQUIRE(be_amount_parse("0.40", &estimate) == BE_OK);
	held.ttl_ms = 60000;
	REQUIRE(be_commit_with(handle, "llm", estimate, "a call", &held, &id, &decision) == BE_OK);
	REQUIRE(be_settle(handle, id, estimate / 2, nullptr, &charged) == BE_OK);
	REQUIRE(charged.held == estimate && charged.amount == estimate / 2);
	REQUIRE(std::string(charged.description) == "a call");
	REQUIRE(be_check(handle, "llm", BE_UNIT, &decision) == BE_EXCEEDS_BUDGET);
	REQUIRE(be_status_is_refusal(decision.status));
	REQUIRE(decision.available == BE_UNIT - estimate / 2);
}

} // namespace

int main()
{
	be_storage *storage = nullptr;
	be_options options = BE_OPTIONS_INIT;
	be_envelope_options details = BE_ENVELOPE_OPTIONS_INIT;
	be_envelope envelope = BE_ENVELOPE_INIT;
	be_filter filter = BE_FILTER_INIT;
	be_verification verification = BE_VERIFICATION_INIT;
	std::vector<std::string> operations;
	std::vector<be_transaction> transactions;
	be_enforcer *handle = nullptr;

	REQUIRE(be_storage_memory_create(&storage) == BE_OK);
	options.storage = storage;
	options.observe = observe;
	options.observe_context = &operations;
	REQUIRE(be_open(nullptr, &options, &handle) == BE_OK);
	REQUIRE(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_DAILY, &details) == BE_OK);
	spend(handle);
	REQUIRE(be_utilization(handle, "llm", &envelope) == BE_OK);
	REQUIRE(envelope.spent == 200000000 && envelope.committed == 0);
	filter.category = "llm";
	REQUIRE(be_transactions_each(handle, &filter, collect, &transactions) == BE_OK);
	REQUIRE(transactions.size() == 1 && transactions[0].kind == BE_TRANSACTION_SETTLE);
	REQUIRE(be_verify(handle, nullptr, nullptr, &verification) == BE_OK);
	REQUIRE(verification.transactions == 1 && verification.differences == 0);
	be_close(handle);
	be_storage_memory_destroy(storage);
	for (const std::string &operation : operations)
		std::printf("%s ", operation.c_str());
	std::printf("\n");
	REQUIRE((operations == std::vector<std::string>{"create", "commit", "settle", "check"}));
	return 0;
}
