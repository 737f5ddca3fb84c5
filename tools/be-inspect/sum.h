/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of any number of amounts, exact: they may be more than an amount can be. */
#ifndef SUM_H
#define SUM_H

#include <stdbool.h>
#include <stdint.h>

/* 2^64 lines of 2^63 nanos fit. */
__extension__ typedef __int128 wide;

struct total {
	wide nanos;
	uint64_t count; /* of what was added */
};

/* Bytes that hold any of these texts, with the NUL. */
#define SUM_TEXT_SIZE 48

void sum_add(struct total *sum, const struct total *more);

/* Nanos as decimal text, the shortest that is exact: "0.4". */
void sum_format(wide nanos, char text[SUM_TEXT_SIZE]);

/* What one was on average, cut to whole nanos; "" of nothing. */
void sum_mean(const struct total *sum, char text[SUM_TEXT_SIZE]);

/* How many percent a part is of the whole, with two decimals, cut; "" when the whole is nothing. */
void sum_share(wide part, wide whole, char text[SUM_TEXT_SIZE]);

#endif
