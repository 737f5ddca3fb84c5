/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graceful degradation: when the budget does not allow the large model any more, a cheaper one
 * answers, and only when not even that is allowed is the request refused. Each step down is one
 * more commit, and each commit is decided on what is available at that moment.
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

static const struct model {
	const char *name;
	int64_t price; /* nanos per call */
} models[] = {{"large", 400000000}, {"medium", 150000000}, {"small", 20000000}};
#define MODELS (sizeof models / sizeof models[0])

/* The best model that the budget allows, its price reserved under *id. MODELS: it allows none. */
static size_t reserve_best(struct be_enforcer *budget, uint64_t *id)
{
	size_t best;

	for (best = 0; best < MODELS; best++) {
		const struct model *model = &models[best];
		enum be_status status = be_commit(budget, "llm", model->price, model->name, id);
		if (status == BE_OK)
			break;
		if (status != BE_EXCEEDS_BUDGET)
			must(status); /* suspended or a fault: a cheaper model would not help */
	}
	return best;
}

int main(int argc, char **argv)
{
	struct be_enforcer *budget = NULL;
	int calls[MODELS + 1] = {0};
	uint64_t id;

	must(be_open(argc > 1 ? argv[1] : "budget", NULL, &budget));
	must(be_envelope_ensure(budget, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));

	for (int request = 0; request < 6; request++) {
		size_t best = reserve_best(budget, &id);
		calls[best]++;
		if (best < MODELS)
			must(be_settle(budget, id, models[best].price, NULL, NULL));
	}
	printf("large %d, medium %d, small %d, refused %d\n", calls[0], calls[1], calls[2],
	       calls[3]);

	be_close(budget);
	bool as_expected = calls[0] == 2 && calls[1] == 1 && calls[2] == 2 && calls[3] == 1;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
