/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the rules only: thresholds, and the alerts that are given when what is spent comes to them.
 *
 * An envelope remembers the largest threshold that gave an alert in its window. So each gives one
 * at most, whatever is corrected, raised or set in between, and one that is set anew below it gives
 * none: that news would be older than what was told already.
 */
#ifndef ALERTS_H
#define ALERTS_H

#include "records/ledger.h"
#include "rules/operation.h"

/* Notes in the envelope which thresholds are passed, after what is spent, the limit or the
 * thresholds have changed. */
void alerts_pass(struct envelope *envelope);

/* Writes the alerts of what alerts_pass() has noted. `transaction` is what was charged; NULL:
 * nothing was. */
enum be_status alerts_give_now(struct ledger *ledger, const struct envelope *envelope,
			       int64_t now_ns, const struct transaction *transaction);
static inline enum be_status alerts_give(struct ledger *ledger, const struct envelope *envelope,
					 int64_t now_ns, const struct transaction *transaction)
{
	if (envelope->passed == envelope->passed_then)
		return BE_OK;
	return alerts_give_now(ledger, envelope, now_ns, transaction);
}

/* Marks one as done. */
enum be_status apply_alert_done(struct ledger *ledger, const struct operation *operation);

#endif
