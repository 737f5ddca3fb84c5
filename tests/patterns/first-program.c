/* SPDX-License-Identifier: Apache-2.0 */
/* The shortest useful program: it reserves an estimate, calls a model and charges the real cost. */
#include <budget_enforcer.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct be_enforcer *budget = NULL;
	struct be_envelope today = BE_ENVELOPE_INIT;
	char left[BE_AMOUNT_TEXT_SIZE];
	uint64_t id;

	if (be_open(argc > 1 ? argv[1] : "budget", NULL, &budget) != BE_OK ||
	    be_envelope_ensure(budget, "llm", 5 * BE_UNIT, BE_PERIOD_DAILY, NULL) != BE_OK ||
	    /* 0.40 at most */
	    be_commit(budget, "llm", 400000000, "summarise a page", &id) != BE_OK) {
		fprintf(stderr, "no call: %s\n", be_last_error());
		return 1;
	}
	int64_t cost = 310000000; /* here the model is called; it cost 0.31 */
	if (be_settle(budget, id, cost, NULL, NULL) != BE_OK ||
	    be_utilization(budget, "llm", &today) != BE_OK ||
	    be_amount_format(today.available, left, sizeof left) != BE_OK) {
		fprintf(stderr, "not charged: %s\n", be_last_error());
		return 1;
	}
	printf("%s left for today\n", left);
	be_close(budget);
	return 0;
}
