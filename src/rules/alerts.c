/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/alerts.h"

#include <assert.h>

/* Is what is spent `percent` of the limit, or more? Rounded up to whole nanos, so that it never
 * comes early. What cannot be counted is never reached. */
static bool comes_to(const struct envelope *envelope, uint16_t percent)
{
	int64_t hundredths = envelope->limit_now / 100, rest = envelope->limit_now % 100, amount;

	if (__builtin_mul_overflow(hundredths, (int64_t)percent, &amount) ||
	    __builtin_add_overflow(amount, (rest * percent + 99) / 100, &amount))
		return false;
	return envelope->spent >= amount;
}

void alerts_pass(struct envelope *envelope)
{
	for (unsigned i = envelope->threshold_count; i > 0; i--) {
		uint16_t percent = envelope->thresholds[i - 1];

		if (percent <= envelope->passed)
			return;
		if (comes_to(envelope, percent)) {
			envelope->passed = percent;
			return;
		}
	}
}

enum be_status alerts_give_now(struct ledger *ledger, const struct envelope *envelope,
			       int64_t now_ns, const struct transaction *transaction)
{
	struct alert alert = {
		.envelope_id = envelope->id,
		.limit = envelope->limit_now,
		.spent = envelope->spent,
		.at_ns = now_ns,
		.period_start_ns = envelope->period_start_ns,
		.period_end_ns = envelope->period_end_ns,
	};
	enum be_status status = ledger_header(ledger);

	name_copy(&alert.name, &envelope->name);
	if (transaction) {
		alert.transaction_id = transaction->id;
		name_copy(&alert.spender, &transaction->name);
	}
	for (unsigned i = 0; status == BE_OK && i < envelope->threshold_count; i++) {
		alert.percent = envelope->thresholds[i];
		if (alert.percent <= envelope->passed_then || alert.percent > envelope->passed)
			continue;
		assert(comes_to(envelope, envelope->thresholds[i]));
		alert.id = ledger->header.next_alert_id++;
		alert.checksum = 0;
		status = ledger_alert_put(ledger, &alert);
	}
	return status;
}

enum be_status apply_alert_done(struct ledger *ledger, const struct operation *operation)
{
	struct alert alert;
	int found = ledger_alert_get(ledger, operation->id, &alert);

	if (found != 0)
		return found == LEDGER_NONE ? BE_NO_ALERT : (enum be_status)found;
	if (alert.done_ns != 0)
		return BE_ALREADY_DONE;

	/* Nothing may be refused from here on. */
	alert.done_ns = operation->now_ns > 0 ? operation->now_ns : 1;
	return ledger_alert_put(ledger, &alert);
}
