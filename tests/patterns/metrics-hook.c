/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A metrics hook: the observer given at opening receives one event for each operation of the
 * handle, whatever its outcome. It runs in the thread that called, after all is done and outside
 * every lock, so counters shared by threads are atomic and a slow observer delays only its own
 * thread.
 */
#include <budget_enforcer.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	exit(EXIT_FAILURE);
}

struct metrics {
	atomic_int granted, refused, failed;
	atomic_llong charged_nanos, available_nanos;
};

static void count(void *context, const struct be_event *event)
{
	struct metrics *metrics = context;

	if (event->status == BE_OK && event->operation == BE_OPERATION_COMMIT)
		metrics->granted++;
	else if (be_status_is_refusal(event->status))
		metrics->refused++;
	else if (event->status != BE_OK)
		metrics->failed++;
	if (event->transaction_id != 0)
		metrics->charged_nanos += event->amount;
	if (event->envelope != NULL)
		metrics->available_nanos = event->envelope->available;
}

int main(int argc, char **argv)
{
	struct metrics metrics = {0};
	struct be_enforcer *budget = NULL;
	struct be_options options = BE_OPTIONS_INIT;
	enum be_status third;
	uint64_t first, second, none;

	options.observe = count;
	options.observe_context = &metrics;
	must(be_open(argc > 1 ? argv[1] : "budget", &options, &budget));
	must(be_envelope_ensure(budget, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
	must(be_commit(budget, "llm", 400000000, "first", &first));
	must(be_commit(budget, "llm", 400000000, "second", &second));
	third = be_commit(budget, "llm", 400000000, "third", &none);
	must(be_settle(budget, first, 300000000, NULL, NULL));
	must(be_release(budget, second));
	be_close(budget);

	printf("granted %d, refused %d, failed %d, charged %lld nanos, %lld available\n",
	       metrics.granted, metrics.refused, metrics.failed, metrics.charged_nanos,
	       metrics.available_nanos);
	bool as_expected = third == BE_EXCEEDS_BUDGET && metrics.granted == 2 &&
			   metrics.refused == 1 && metrics.failed == 0 &&
			   metrics.charged_nanos == 300000000 &&
			   metrics.available_nanos == 700000000;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
