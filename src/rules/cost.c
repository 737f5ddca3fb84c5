/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tokens cost. A price is for a million tokens, so a product of both is a number of millionths
 * of a nano, below 2^127. Such products are added up in 128 bits, and what is no whole nano is
 * rounded up when the sum is asked for, once, and not with each kind of token.
 */
#include "base/error.h"

__extension__ typedef unsigned __int128 wide;

#define MILLION 1000000

static wide number_of(const struct be_cost *cost)
{
	return (wide)cost->high << 64 | cost->low;
}

enum be_status(be_cost_add)(struct be_cost *cost, uint64_t tokens, int64_t price_per_million)
{
	wide number;

	error_clear();
	if (!cost)
		return error_set(BE_INVALID_ARGUMENT, "no cost was given");
	if (price_per_million < 0)
		return error_set(BE_AMOUNT_NEGATIVE, "a price below zero was given");
	if (__builtin_add_overflow(number_of(cost), (wide)tokens * (wide)price_per_million,
				   &number))
		return error_set(BE_OVERFLOW, "the cost would be more than can be counted");
	cost->low = (uint64_t)number;
	cost->high = (uint64_t)(number >> 64);
	return BE_OK;
}

enum be_status be_cost_total(const struct be_cost *cost, int64_t *amount)
{
	wide number, nanos;

	error_clear();
	if (amount)
		*amount = 0;
	if (!cost || !amount)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 cost ? "place for the amount" : "cost");
	number = number_of(cost);
	nanos = number / MILLION + (number % MILLION != 0);
	if (nanos > INT64_MAX)
		return error_set(BE_OVERFLOW, "the cost is more than 9223372036.854775807");
	*amount = (int64_t)nanos;
	return BE_OK;
}
