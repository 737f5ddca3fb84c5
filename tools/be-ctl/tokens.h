/* SPDX-License-Identifier: Apache-2.0 */
/* An amount that is given in tokens: --tokens and --answer, at prices of their own or those that
 * --prices has of a --model. */
#ifndef TOKENS_H
#define TOKENS_H

#include "usage.h"

#include <argp.h>
#include <budget_enforcer.h>

/* All 0 at first. */
struct tokens {
	struct be_cost cost; /* of those that came with their price */
	struct usage usage;  /* those that did not, so far */
	bool needs_prices;
	const char *prices, *answer, *model; /* as given by these options, or NULL */
};

/* Adds what --tokens says: "1200@2.50", or "1200@input". */
void tokens_take(const struct argp_state *state, const char *text, struct tokens *tokens);

/* What all of it costs, once all options are known. Both end the process where something is
 * wrong. */
int64_t tokens_total(const struct argp_state *state, struct tokens *tokens);

#endif
