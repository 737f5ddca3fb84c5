/* SPDX-License-Identifier: Apache-2.0 */
/* Exact money: checked arithmetic on nanos. Parsing and formatting are public
 * (budget_enforcer.h). */
#ifndef AMOUNT_H
#define AMOUNT_H

#include <budget_enforcer.h>

/* *sum = a + b; false when that leaves the range of int64_t, and then *sum is untouched. */
bool amount_add(int64_t a, int64_t b, int64_t *sum);

/* max(0, limit - spent - committed), for any three numbers not below zero, without overflow. */
static inline int64_t amount_available(int64_t limit, int64_t spent, int64_t committed)
{
	/* What is spent and committed may each reach INT64_MAX, so they are taken off one after the
	 * other. */
	int64_t left = limit - spent;

	return left > committed ? left - committed : 0;
}

/* (spent + committed) / limit in millionths, rounded down, INT64_MAX when it would be more. limit >
 * 0. */
int64_t amount_utilization_ppm(int64_t limit, int64_t spent, int64_t committed);

#endif
