/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes, transactions and alerts as callers see them. */
#include "rules/amount.h"
#include "rules/rules.h"

#include <string.h>

void rules_describe_envelope(const struct envelope *envelope, struct be_envelope *description)
{
	uint32_t size = description->size;

	*description = (struct be_envelope){
		.size = size,
		.period = envelope->period,
		.id = envelope->id,
		.limit = envelope->limit,
		.spent = envelope->spent,
		.committed = envelope->committed,
		.available =
			amount_available(envelope->limit_now, envelope->spent, envelope->committed),
		.utilization_ppm = amount_utilization_ppm(envelope->limit_now, envelope->spent,
							  envelope->committed),
		.period_start_ns = envelope->period_start_ns,
		.period_end_ns = envelope->period_end_ns,
		.created_ns = envelope->created_ns,
		.pending_commits = envelope->pending,
		.children = envelope->children,
		.commits_granted = envelope->granted,
		.expired_released = envelope->lapses[LAPSE_EXPIRED_RELEASED],
		.expired_charged = envelope->lapses[LAPSE_EXPIRED_CHARGED],
		.orphaned_released = envelope->lapses[LAPSE_ORPHANED_RELEASED],
		.orphaned_charged = envelope->lapses[LAPSE_ORPHANED_CHARGED],
		.settled_late = envelope->lapses[LAPSE_SETTLED_LATE],
		.suspended = envelope->suspended,
		.has_parent = envelope->parent.category_size > 0,
		.limit_now = envelope->limit_now,
		.raise = envelope->raise,
		.raise_until_ns = envelope->raise_until_ns,
		.roll_over = envelope->roll_over,
		.carried = envelope->carried,
		.charged = envelope->charged,
		.excused = envelope->excused,
		.given_back = envelope->given_back,
		.begins_on = envelope->begins_on,
		.observe_only = envelope->observe_only,
		.passed = envelope->passed,
	};
	memcpy(description->namespace_name, envelope->name.namespace_name,
	       envelope->name.namespace_size);
	memcpy(description->category, envelope->name.category, envelope->name.category_size);
	memcpy(description->parent_namespace, envelope->parent.namespace_name,
	       envelope->parent.namespace_size);
	memcpy(description->parent_category, envelope->parent.category,
	       envelope->parent.category_size);
	memcpy(description->zone, envelope->zone, envelope->zone_size);
	memcpy(description->thresholds, envelope->thresholds,
	       envelope->threshold_count * sizeof envelope->thresholds[0]);
}

void rules_describe_alert(const struct alert *alert, struct be_alert *description)
{
	*description = (struct be_alert){
		.size = sizeof *description,
		.percent = alert->percent,
		.id = alert->id,
		.envelope_id = alert->envelope_id,
		.transaction_id = alert->transaction_id,
		.limit = alert->limit,
		.spent = alert->spent,
		.at_ns = alert->at_ns,
		.period_start_ns = alert->period_start_ns,
		.period_end_ns = alert->period_end_ns,
		.done_ns = alert->done_ns,
	};
	memcpy(description->namespace_name, alert->name.namespace_name, alert->name.namespace_size);
	memcpy(description->category, alert->name.category, alert->name.category_size);
	memcpy(description->spender_namespace, alert->spender.namespace_name,
	       alert->spender.namespace_size);
	memcpy(description->spender_category, alert->spender.category,
	       alert->spender.category_size);
}

void rules_describe_transaction(const struct transaction *transaction,
				struct be_transaction *description)
{
	*description = (struct be_transaction){
		.size = sizeof *description,
		.kind = transaction->kind,
		.id = transaction->id,
		.commit_id = transaction->commit_id,
		.amount = transaction->amount,
		.held = transaction->held,
		.at_ns = transaction->at_ns,
		.late = transaction->late,
		.corrects = transaction->corrects,
		.also_count = transaction->further,
		.envelope_id = transaction->chain[0],
		.label_count = transaction->labels,
	};
	memcpy(description->namespace_name, transaction->name.namespace_name,
	       transaction->name.namespace_size);
	memcpy(description->category, transaction->name.category, transaction->name.category_size);
	memcpy(description->description, transaction->description, transaction->description_size);
}
