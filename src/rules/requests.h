/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests with keys: each is carried out once, and answered alike from then on.
 *
 * The answer is written in the txn that carries the request out, so that no death can part the two.
 * A request that is refused leaves nothing. Who makes one that is remembered also forgets a few of
 * those whose time is over, so that there are never many more of them than are kept.
 */
#ifndef REQUESTS_H
#define REQUESTS_H

#include "records/ledger.h"
#include "rules/operation.h"

/* Is the operation's request remembered? 0: it is, and `result` has the answer, as its status says.
 * LEDGER_NONE: it is not, and `known` has what requests_remember() needs. Below: a fault. */
int requests_answer(struct ledger *ledger, const struct operation *operation,
		    struct keyed_request *known, struct result *result);

/* Remembers the answer to an operation that was carried out. */
enum be_status requests_remember(struct ledger *ledger, const struct operation *operation,
				 struct keyed_request *known, const struct result *result);

/* Forgets up to `most` of those whose time is over, the oldest first. *count is how many. */
enum be_status requests_forget(struct ledger *ledger, int64_t now_ns, uint32_t most,
			       uint32_t *count);

#endif
