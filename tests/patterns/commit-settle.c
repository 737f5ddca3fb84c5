/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit, then settle: the pattern to begin with. The estimate is held while the call runs, and
 * settling charges the real cost and frees the rest in one step, so that no other worker ever sees
 * money that is not there. A call that failed is released.
 */
#include <budget_enforcer.h>
#include <stdio.h>
#include <stdlib.h>

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	exit(EXIT_FAILURE);
}

/* Zero: the call failed. */
static int64_t call_the_model(int request)
{
	return request == 2 ? 0 : 350000000;
}

int main(int argc, char **argv)
{
	struct be_enforcer *budget = NULL;
	struct be_transaction charged = BE_TRANSACTION_INIT;
	int answered = 0;
	int64_t spent = 0;
	uint64_t id;

	must(be_open(argc > 1 ? argv[1] : "budget", NULL, &budget));
	must(be_envelope_ensure(budget, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));

	for (int request = 0; request < 5; request++) {
		if (be_commit(budget, "llm", 400000000, "answer a letter", &id) != BE_OK) {
			printf("request %d: %s\n", request, be_last_error());
			continue;
		}
		int64_t cost = call_the_model(request);
		if (cost == 0) {
			must(be_release(budget, id));
			continue;
		}
		must(be_settle(budget, id, cost, NULL, &charged));
		printf("request %d: held %lld, charged %lld nanos\n", request,
		       (long long)charged.held, (long long)charged.amount);
		spent += charged.amount;
		answered++;
	}
	be_close(budget);
	bool as_expected = answered == 2 && spent == 700000000;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
