/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the requests of a trace. The costs of a whole trace are an amount, so all sums of
 * some of them are, too. */
#include "hours.h"

#include <stdlib.h>

#define HOUR_NS (3600 * INT64_C(1000000000))

static int compare_times(const void *a, const void *b)
{
	const struct hour *first = a, *second = b;

	return first->at_ns < second->at_ns ? -1 : first->at_ns > second->at_ns;
}

static int64_t begin_of_hour(const struct trace_request *request)
{
	return request->at_ns - request->at_ns % HOUR_NS;
}

static struct hour hour_of(const struct trace_request *request, const struct cost *cost,
			   unsigned char outcome)
{
	struct hour hour = {.at_ns = begin_of_hour(request)};

	if (outcome == OUTCOME_PERMITTED) {
		hour.permitted = 1;
		hour.spent = cost->actual;
	} else if (outcome == OUTCOME_REFUSED) {
		hour.refused = 1;
		hour.refused_cost = cost->actual;
	}
	return hour;
}

static void add(struct hour *to, const struct hour *hour)
{
	to->permitted += hour->permitted;
	to->refused += hour->refused;
	to->spent += hour->spent;
	to->refused_cost += hour->refused_cost;
}

struct hour *hours_of(const struct trace *trace, const struct costs *costs,
		      const struct verdict *verdicts, size_t *count)
{
	struct hour *hours = calloc(trace->count, sizeof *hours);

	*count = 0;
	if (!hours)
		return NULL;
	for (size_t i = 0; i < trace->count; i++)
		hours[i] = hour_of(&trace->requests[i], &costs->of[i], verdicts[i].outcome);
	qsort(hours, trace->count, sizeof *hours, compare_times);
	for (size_t i = 0; i < trace->count; i++) {
		if (*count > 0 && hours[*count - 1].at_ns == hours[i].at_ns)
			add(&hours[*count - 1], &hours[i]);
		else
			hours[(*count)++] = hours[i];
	}
	return hours;
}

struct share *shares_of(const struct trace *trace, const struct costs *costs,
			const struct verdict *verdicts, const struct budgets *budgets)
{
	struct share *shares = calloc(budgets->count, sizeof *shares);

	for (size_t i = 0; shares && i < trace->count; i++) {
		const struct verdict *verdict = &verdicts[i];
		uint32_t at = trace->requests[i].envelope;

		if (verdict->outcome == OUTCOME_NONE)
			continue;
		for (; at != BUDGET_NONE; at = budgets->of[at].parent) {
			shares[at].requests++;
			if (verdict->outcome == OUTCOME_PERMITTED)
				shares[at].spent += costs->of[i].actual;
		}
		if (verdict->outcome == OUTCOME_REFUSED) {
			shares[verdict->envelope].refused++;
			shares[verdict->envelope].refused_cost += costs->of[i].actual;
		}
	}
	return shares;
}

static int compare_refusals(const void *a, const void *b)
{
	const struct hour_refusal *first = a, *second = b;

	if (first->at_ns != second->at_ns)
		return first->at_ns < second->at_ns ? -1 : 1;
	return first->envelope < second->envelope ? -1 : first->envelope > second->envelope;
}

struct hour_refusal *refusals_of(const struct trace *trace, const struct costs *costs,
				 const struct verdict *verdicts, size_t *count)
{
	struct hour_refusal *refusals = calloc(trace->count, sizeof *refusals);
	size_t all = 0;

	*count = 0;
	if (!refusals)
		return NULL;
	for (size_t i = 0; i < trace->count; i++)
		if (verdicts[i].outcome == OUTCOME_REFUSED)
			refusals[all++] = (struct hour_refusal){
				.at_ns = begin_of_hour(&trace->requests[i]),
				.envelope = verdicts[i].envelope,
				.refused = 1,
				.refused_cost = costs->of[i].actual,
			};
	qsort(refusals, all, sizeof *refusals, compare_refusals);
	for (size_t i = 0; i < all; i++) {
		struct hour_refusal *last = *count > 0 ? &refusals[*count - 1] : NULL;

		if (last && compare_refusals(last, &refusals[i]) == 0) {
			last->refused++;
			last->refused_cost += refusals[i].refused_cost;
		} else {
			refusals[(*count)++] = refusals[i];
		}
	}
	return refusals;
}
