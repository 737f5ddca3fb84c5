/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bytes are an operation, and which a result. Both pass through memory that other processes
 * may write: what is here neither believes a size nor reads a bool before it has looked at it.
 */
#include "rules/operation.h"

#include "records/name.h"
#include "records/record.h"
#include "rules/calendar.h"
#include "rules/period.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define STATUS_LEAST (-199)

/* A bool is read as one only when its byte is 0 or 1. */
static bool is_bool(const bool *flag)
{
	uint8_t byte;

	memcpy(&byte, flag, sizeof byte);
	return byte <= 1;
}

static bool is_text(const char *text, size_t size, size_t room)
{
	return size < room && text[size] == '\0' && name_text_is_valid(text, size);
}

static bool is_name(const struct name *name)
{
	return is_text(name->namespace_name, name->namespace_size, sizeof name->namespace_name) &&
	       is_text(name->category, name->category_size, sizeof name->category);
}

/* A text in a result: it ends. Nothing but people reads it. */
static bool ends(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

/* Zone and packed zone come together; whether that is one, the rules look. */
static bool window_is_valid(const struct operation *operation)
{
	if (!period_is_known(operation->period) || operation->description_size > ZONE_PACKED_MAX ||
	    operation->zone_size >= sizeof operation->zone ||
	    operation->zone[operation->zone_size] != '\0')
		return false;
	if (operation->zone_size == 0)
		return operation->period <= BE_PERIOD_MONTHLY && operation->begins_on == 0 &&
		       operation->description_size == 0;
	return operation->period != BE_PERIOD_TOTAL && operation->period_start_ns == 0 &&
	       record_is_zone_name(operation->zone, operation->zone_size) &&
	       calendar_may_begin_on(operation->period, operation->begins_on);
}

/* The names of further envelopes: as many as it says, and nothing behind them. */
static bool further_is_valid(const struct operation *operation)
{
	const uint8_t *at = operation->further;
	const uint8_t *end = at + operation->further_size;
	struct name name;

	if (operation->further_count > BE_ENVELOPES_MAX - 1 ||
	    operation->further_size > sizeof operation->further)
		return false;
	for (uint32_t i = 0; i < operation->further_count; i++)
		if (!name_unpack(&at, end, &name))
			return false;
	return at == end;
}

static bool parent_is_valid(const struct name *parent)
{
	return is_name(parent) && (parent->category_size > 0 || parent->namespace_size == 0);
}

static bool settings_are_valid(const struct operation *operation)
{
	uint32_t new_names = operation->mask & BE_SET_NAME ? 1 : 0;

	return operation->mask != 0 && operation->mask < 2 * BE_SET_PARENT &&
	       operation->further_count == new_names && further_is_valid(operation) &&
	       parent_is_valid(&operation->parent) &&
	       (operation->amount > 0 || !(operation->mask & BE_SET_LIMIT)) &&
	       is_bool(&operation->suspended) && is_bool(&operation->observe_only) &&
	       operation->raise >= 0 && operation->raise_until_ns >= 0 &&
	       (operation->raise > 0) == (operation->raise_until_ns > 0) &&
	       operation->roll_over >= 0 && window_is_valid(operation) &&
	       record_thresholds_are_valid(operation->thresholds, operation->threshold_count);
}

static bool new_envelope_is_valid(const struct operation *operation)
{
	return operation->amount > 0 && window_is_valid(operation) &&
	       is_bool(&operation->observe_only) && operation->roll_over >= 0 &&
	       is_bool(&operation->suspended) && operation->period_start_ns >= 0 &&
	       (operation->period_start_ns == 0 ||
		operation->period_start_ns <= operation->now_ns) &&
	       parent_is_valid(&operation->parent);
}

/* The key, where there is one, and what comes with it. */
static bool key_is_valid(const struct operation *operation)
{
	bool may_have_one =
		operation->kind == BE_OPERATION_COMMIT || operation->kind == BE_OPERATION_RECORD ||
		operation->kind == BE_OPERATION_SETTLE || operation->kind == BE_OPERATION_CHARGE ||
		operation->kind == BE_OPERATION_CORRECT;

	return operation->key_size == 0 ||
	       (may_have_one &&
		is_text(operation->key, operation->key_size, sizeof operation->key) &&
		operation->key_until_ns > 0 && is_name(&operation->name));
}

/* None, as a rule. */
static bool has_valid_labels(const struct operation *operation)
{
	return (operation->label_count | operation->labels_size) == 0 ||
	       labels_are_valid(operation->labels, operation->labels_size, operation->label_count);
}

/* The same, where there is none as a rule. */
static bool names_are_valid(const struct operation *operation)
{
	return is_name(&operation->name) && operation->name.category_size > 0 &&
	       ((operation->further_count | operation->further_size) == 0 ||
		further_is_valid(operation));
}

bool operation_is_valid(const struct operation *operation)
{
	bool is_named = is_name(&operation->name) && operation->name.category_size > 0;
	bool is_described =
		is_text(operation->description, operation->description_size, BE_DESCRIPTION_SIZE) &&
		has_valid_labels(operation);

	if (!key_is_valid(operation))
		return false;
	switch (operation->kind) {
	case BE_OPERATION_COMMIT:
		return names_are_valid(operation) && is_described && operation->least >= 0 &&
		       operation->amount >= operation->least && operation->deadline_ns >= 0 &&
		       is_bool(&operation->detached) && operation->owner.slot < OWNER_SLOTS &&
		       (operation->reap_policy == BE_REAP_RELEASE ||
			operation->reap_policy == BE_REAP_CHARGE);
	case BE_OPERATION_EXTEND:
		return (operation->amount >= 0 || operation->amount == BE_HELD_AMOUNT) &&
		       operation->deadline_ns >= 0;
	case BE_OPERATION_RECORD:
		return names_are_valid(operation) && is_described && operation->amount >= 0;
	case BE_OPERATION_CORRECT:
		return is_described && operation->label_count == 0 && operation->amount >= 0;
	case BE_OPERATION_SETTLE:
	case BE_OPERATION_CHARGE:
		return is_described && operation->amount >= 0 &&
		       is_bool(&operation->has_description);
	case BE_OPERATION_RELEASE:
	case BE_OPERATION_ALERT_DONE:
		return true;
	case BE_OPERATION_REAP:
		return (operation->label_count | operation->labels_size) == 0 &&
		       (operation->reap_as == BE_COMMIT_EXPIRED ||
			operation->reap_as == BE_COMMIT_ORPHANED);
	case BE_OPERATION_CREATE:
	case BE_OPERATION_ENSURE:
		return is_named && new_envelope_is_valid(operation);
	case BE_OPERATION_SET_LIMIT:
		return is_named && operation->amount > 0;
	case BE_OPERATION_SET:
		return is_named && settings_are_valid(operation);
	case BE_OPERATION_SUSPEND:
	case BE_OPERATION_RESUME:
	case BE_OPERATION_RESET:
	case BE_OPERATION_REMOVE:
		return is_named;
	case BE_OPERATION_CHECK:
	case BE_OPERATION_ALERT:
		break;
	}
	return false;
}

struct summary {
	uint16_t size;
	uint8_t bytes[1024];
};

static void add(struct summary *summary, const void *bytes, size_t size)
{
	assert(size <= sizeof summary->bytes - summary->size);
	memcpy(summary->bytes + summary->size, bytes, size);
	summary->size = (uint16_t)(summary->size + size);
}

uint64_t operation_sum(const struct operation *operation)
{
	const struct name *name = &operation->name;
	bool has_ttl = operation->deadline_ns != 0;
	int64_t ttl_ns = has_ttl ? operation->deadline_ns - operation->now_ns : 0;
	uint8_t flags[] = {operation->kind,
			   operation->reap_policy,
			   operation->detached,
			   operation->has_description,
			   has_ttl,
			   name->namespace_size,
			   name->category_size};
	struct summary summary = {0};
	uint64_t further, labels;

	add(&summary, flags, sizeof flags);
	add(&summary, &operation->amount, sizeof operation->amount);
	add(&summary, &operation->least, sizeof operation->least);
	add(&summary, &operation->id, sizeof operation->id);
	add(&summary, &ttl_ns, sizeof ttl_ns);
	add(&summary, name->namespace_name, name->namespace_size);
	add(&summary, name->category, name->category_size);
	add(&summary, operation->description, operation->description_size);
	further = record_sum((struct be_bytes){operation->further, operation->further_size});
	add(&summary, &further, sizeof further);
	labels = record_sum((struct be_bytes){operation->labels, operation->labels_size});
	add(&summary, &labels, sizeof labels);
	return record_sum((struct be_bytes){summary.bytes, summary.size});
}

void operation_move_to(struct operation *operation, int64_t now_ns)
{
	int64_t later_ns;

	if (now_ns <= operation->now_ns)
		return;
	if (operation->deadline_ns != 0 &&
	    (__builtin_sub_overflow(now_ns, operation->now_ns, &later_ns) ||
	     __builtin_add_overflow(operation->deadline_ns, later_ns, &operation->deadline_ns)))
		operation->deadline_ns = INT64_MAX;
	if (operation->key_size > 0 &&
	    (__builtin_sub_overflow(now_ns, operation->now_ns, &later_ns) ||
	     __builtin_add_overflow(operation->key_until_ns, later_ns, &operation->key_until_ns)))
		operation->key_until_ns = INT64_MAX;
	operation->now_ns = now_ns;
}

/* The sizes are those of `own`, the one of the two that nobody else writes. */
static void copy_texts(struct operation *copy, const struct operation *from,
		       const struct operation *own)
{
	memcpy(copy->description, from->description, own->description_size);
	copy->description[own->description_size] = '\0';
	if ((own->key_size | own->further_size | own->labels_size) == 0)
		return;
	memcpy(copy->key, from->key, own->key_size);
	copy->key[own->key_size] = '\0';
	memcpy(copy->further, from->further, own->further_size);
	memcpy(copy->labels, from->labels, own->labels_size);
}

void operation_post(struct operation *shared, const struct operation *operation)
{
	memcpy(shared, operation, offsetof(struct operation, description));
	copy_texts(shared, operation, operation);
}

bool operation_take(struct operation *copy, const struct operation *shared)
{
	memcpy(copy, shared, offsetof(struct operation, description));
	if (copy->description_size >= BE_DESCRIPTION_SIZE || copy->key_size >= BE_KEY_SIZE ||
	    copy->further_size > sizeof copy->further || copy->labels_size > sizeof copy->labels)
		return false;
	copy_texts(copy, shared, copy);
	return operation_is_valid(copy);
}

static bool envelope_is_valid(const struct be_envelope *envelope)
{
	return period_is_known(envelope->period) && is_bool(&envelope->suspended) &&
	       is_bool(&envelope->has_parent) && is_bool(&envelope->observe_only) &&
	       ends(envelope->zone, sizeof envelope->zone) &&
	       ends(envelope->namespace_name, sizeof envelope->namespace_name) &&
	       ends(envelope->category, sizeof envelope->category) &&
	       ends(envelope->parent_namespace, sizeof envelope->parent_namespace) &&
	       ends(envelope->parent_category, sizeof envelope->parent_category);
}

static bool transaction_is_valid(const struct be_transaction *transaction)
{
	return transaction->kind >= BE_TRANSACTION_RECORD &&
	       transaction->kind <= BE_TRANSACTION_CORRECTION && is_bool(&transaction->late) &&
	       !transaction->also && transaction->also_count < BE_ENVELOPES_MAX &&
	       !transaction->labels && transaction->label_count == 0 &&
	       ends(transaction->namespace_name, sizeof transaction->namespace_name) &&
	       ends(transaction->category, sizeof transaction->category) &&
	       ends(transaction->description, sizeof transaction->description);
}

/* Its sums are amounts, so that no difference of two leaves their range. */
static bool refusal_is_valid(const struct refusal *refusal)
{
	return refusal->asked >= 0 && refusal->limit >= 0 && refusal->spent >= 0 &&
	       refusal->committed >= 0;
}

bool result_is_valid(const struct result *result)
{
	const struct be_decision *decision = &result->decision;

	if (result->status > BE_OK || result->status < STATUS_LEAST ||
	    !is_bool(&result->has_envelope) || !is_bool(&result->made) ||
	    !is_bool(&result->repeated) || !refusal_is_valid(&result->refusal) ||
	    !ends(decision->namespace_name, sizeof decision->namespace_name) ||
	    !ends(decision->category, sizeof decision->category))
		return false;
	if (decision->size != 0 &&
	    (decision->size != sizeof *decision || decision->status != result->status))
		return false;
	if (result->has_envelope && (result->envelope.size != sizeof result->envelope ||
				     !envelope_is_valid(&result->envelope)))
		return false;
	return result->transaction.id == 0 ||
	       (result->transaction.size == sizeof result->transaction &&
		transaction_is_valid(&result->transaction));
}

void result_copy(struct result *to, const struct result *from)
{
	memcpy(to, from, offsetof(struct result, transaction.commit_id));
	if (to->transaction.id != 0)
		memcpy(&to->transaction.commit_id, &from->transaction.commit_id,
		       sizeof to->transaction - offsetof(struct be_transaction, commit_id));
	else
		memset(&to->transaction, 0, sizeof to->transaction);
}
