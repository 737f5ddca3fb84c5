/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two answers to a category for which nobody made an envelope. The first is to fail closed:
 * what has no budget may not spend, and BE_NO_ENVELOPE is a refusal like any other. The second is
 * to create it on demand with a default limit; be_envelope_ensure() makes that safe where many
 * workers meet the same new category at once, since the first one creates it and all others leave
 * it alone.
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

static enum be_status commit_on_demand(struct be_enforcer *budget, const char *category,
				       int64_t amount, uint64_t *id)
{
	enum be_status status = be_commit(budget, category, amount, NULL, id);

	if (status != BE_NO_ENVELOPE)
		return status;
	status = be_envelope_ensure(budget, category, BE_UNIT, BE_PERIOD_DAILY, NULL);
	return status != BE_OK ? status : be_commit(budget, category, amount, NULL, id);
}

int main(int argc, char **argv)
{
	struct be_enforcer *budget = NULL;
	uint64_t id;

	must(be_open(argc > 1 ? argv[1] : "budget", NULL, &budget));

	enum be_status closed = be_commit(budget, "images", 600000000, NULL, &id);
	printf("fail closed: %s\n", be_status_name(closed));

	enum be_status created = commit_on_demand(budget, "images", 600000000, &id);
	printf("on demand: %s\n", be_status_name(created));

	enum be_status again = commit_on_demand(budget, "images", 600000000, &id);
	printf("on demand, once more: %s\n", be_status_name(again));

	be_close(budget);
	bool as_expected =
		closed == BE_NO_ENVELOPE && created == BE_OK && again == BE_EXCEEDS_BUDGET;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
