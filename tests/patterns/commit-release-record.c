/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit, release, record: reserve an estimate, make the call, give the reservation back and charge
 * what it cost. A call that failed costs nothing and is only released. Between release and record
 * another worker may take the money: be_settle() does both in one step (see commit-settle). This
 * form is for programs in which different parts release and record.
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

/* Every second call fails. */
static bool call_the_model(int request, int64_t *cost)
{
	*cost = 250000000;
	return request % 2 == 0;
}

int main(int argc, char **argv)
{
	struct be_enforcer *budget = NULL;
	struct be_envelope llm = BE_ENVELOPE_INIT;
	uint64_t id;
	int64_t cost;

	must(be_open(argc > 1 ? argv[1] : "budget", NULL, &budget));
	must(be_envelope_ensure(budget, "llm", 2 * BE_UNIT, BE_PERIOD_DAILY, NULL));

	for (int request = 0; request < 4; request++) {
		if (be_commit(budget, "llm", 400000000, "translate", &id) != BE_OK)
			break; /* refused, or a fault: either way there is no call */
		bool answered = call_the_model(request, &cost);
		must(be_release(budget, id));
		if (answered)
			must(be_record(budget, "llm", cost, "translate", NULL));
	}
	must(be_utilization(budget, "llm", &llm));
	printf("%s: spent %lld nanos, %lld still reserved\n", llm.category, (long long)llm.spent,
	       (long long)llm.committed);

	be_close(budget);
	bool as_expected = llm.spent == 500000000 && llm.committed == 0;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
