/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check, then record: ask whether the money is there, make the call, charge what it cost. Nothing
 * is reserved in between, so this suits a single worker, or a pool that can bear to overshoot the
 * limit by one call of each worker. Where it must not, see commit-settle.
 */
#include <budget_enforcer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	exit(EXIT_FAILURE);
}

static int64_t search_the_web(void)
{
	return 300000000; /* 0.30 a query */
}

int main(int argc, char **argv)
{
	struct be_enforcer *budget = NULL;
	struct be_decision decision = BE_DECISION_INIT;
	enum be_status status;
	int queries = 0;

	must(be_open(argc > 1 ? argv[1] : "budget", NULL, &budget));
	must(be_envelope_ensure(budget, "search", BE_UNIT, BE_PERIOD_DAILY, NULL));

	while ((status = be_check(budget, "search", 300000000, &decision)) == BE_OK) {
		must(be_record(budget, "search", search_the_web(), "weather in Oslo", NULL));
		queries++;
	}
	printf("%d queries, then %s: asked for %" PRId64 " nanos, %" PRId64 " are available\n",
	       queries, be_status_name(status), decision.requested, decision.available);

	be_close(budget);
	bool as_expected =
		status == BE_EXCEEDS_BUDGET && queries == 3 && decision.available == 100000000;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
