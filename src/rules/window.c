/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows of time. An envelope's record has the beginning and the end of its window; a zone, and
 * what the calendar says, is looked at only when a window has ended, so that all processes agree on
 * the one that runs. The zone is the one that the environment keeps.
 */
#include "rules/window.h"

#include "base/error.h"
#include "rules/calendar.h"
#include "rules/period.h"
#include "rules/rules.h"

#include <string.h>

static bool is_utc(const char *zone, size_t size)
{
	return size == 3 && memcmp(zone, "UTC", 3) == 0;
}

static enum be_status load_zone(struct ledger *ledger, const struct envelope *envelope,
				struct zone *zone)
{
	uint8_t packed[ZONE_PACKED_MAX];
	size_t size;
	int found;

	zone_make_utc(zone);
	if (is_utc(envelope->zone, envelope->zone_size))
		return BE_OK;
	found = ledger_zone_get(ledger, envelope->zone, envelope->zone_size, packed, &size);
	if (found < 0)
		return (enum be_status)found;
	if (found == LEDGER_NONE || !zone_unpack(packed, size, zone))
		return error_set(BE_DAMAGED, "the record of the time zone \"%s\" is %s",
				 envelope->zone, found == LEDGER_NONE ? "missing" : "damaged");
	return BE_OK;
}

/* What the window that has ended left over, and each that passed since. */
static void carry(struct envelope *envelope, int64_t passed)
{
	/* Of limit and spent only one is taken from the other, so that nothing overflows. */
	int64_t left = envelope->limit - envelope->spent, more;

	left = left < 0 ? left + envelope->carried : record_add(left, envelope->carried);
	if (left < 0)
		left = 0;
	if (passed > 0) {
		if (__builtin_mul_overflow(passed, envelope->limit, &more))
			more = INT64_MAX;
		if (left > envelope->roll_over)
			left = envelope->roll_over;
		left = record_add(left, more);
	}
	envelope->carried = left < envelope->roll_over ? left : envelope->roll_over;
}

/* The window that `now_ns` lies in; the one before has ended. *passed is how many lie between. */
static enum be_status next_window(struct ledger *ledger, struct envelope *envelope, int64_t now_ns,
				  int64_t *passed)
{
	int64_t end_ns = envelope->period_end_ns, start_ns;
	struct zone zone;
	enum be_status status;

	if (envelope->zone_size == 0) {
		start_ns = period_start_at(envelope->period, end_ns, now_ns);
		*passed = period_windows_between(envelope->period, end_ns, start_ns);
		envelope->period_end_ns = period_end(envelope->period, start_ns);
	} else {
		status = load_zone(ledger, envelope, &zone);
		if (status != BE_OK)
			return status;
		calendar_window(envelope->period, envelope->begins_on, &zone, now_ns, &start_ns,
				&envelope->period_end_ns);
		/* Another zone of the same name does not give a moment to two windows. */
		if (start_ns < end_ns)
			start_ns = end_ns;
		*passed = calendar_windows_between(envelope->period, &zone, end_ns, start_ns);
	}
	envelope->period_start_ns = start_ns;
	return BE_OK;
}

enum be_status rules_roll_over_now(struct ledger *ledger, struct envelope *envelope, int64_t now_ns,
				   uint64_t next_transaction_id)
{
	enum be_status status;
	int64_t passed;

	if (envelope->raise_until_ns != 0 && now_ns >= envelope->raise_until_ns)
		envelope->raise = envelope->raise_until_ns = 0;
	/* One whose end cannot be told does not end. */
	if (envelope->period_end_ns != 0 && now_ns >= envelope->period_end_ns &&
	    envelope->period_end_ns != INT64_MAX) {
		status = next_window(ledger, envelope, now_ns, &passed);
		if (status != BE_OK)
			return status;
		carry(envelope, passed);
		envelope->window_first = next_transaction_id;
		envelope->spent = 0;
		envelope->folded = 0;
		envelope->passed = envelope->passed_then = 0;
		/* What is committed stays: it will be charged in the new window. */
	}
	envelope->limit_now = envelope_limit_now(envelope);
	return BE_OK;
}

/* ---- windows that are set */

/* Period and zone of the operation; what it brings of the zone was checked before. */
static enum be_status take_period(const struct operation *operation, struct envelope *envelope,
				  struct zone *zone)
{
	envelope->period = operation->period;
	envelope->begins_on = operation->begins_on;
	envelope->zone_size = operation->zone_size;
	memcpy(envelope->zone, operation->zone, operation->zone_size + 1U);
	zone_make_utc(zone);
	if (operation->description_size > 0 &&
	    !zone_unpack(operation->description, operation->description_size, zone))
		return error_set(BE_INVALID_ZONE, "the time zone \"%s\" is none", operation->zone);
	return BE_OK;
}

enum be_status window_begin(const struct operation *operation, struct envelope *envelope)
{
	int64_t start_ns = operation->now_ns;
	struct zone zone;
	enum be_status status = take_period(operation, envelope, &zone);

	if (status != BE_OK)
		return status;
	if (operation->period_start_ns != 0)
		start_ns = period_start_at(operation->period, operation->period_start_ns, start_ns);
	envelope->period_start_ns = start_ns;
	envelope->period_end_ns = period_end(envelope->period, start_ns);
	if (envelope->zone_size > 0)
		calendar_window(envelope->period, envelope->begins_on, &zone, operation->now_ns,
				&envelope->period_start_ns, &envelope->period_end_ns);
	return BE_OK;
}

enum be_status window_change(const struct operation *operation, struct envelope *envelope)
{
	int64_t start_ns = envelope->period_start_ns;
	enum be_status status = window_begin(operation, envelope);

	if (status != BE_OK || envelope->zone_size > 0)
		return status;
	/* It goes on, unless it would be over. */
	if (envelope->period == BE_PERIOD_TOTAL ||
	    period_end(envelope->period, start_ns) > operation->now_ns) {
		envelope->period_start_ns = start_ns;
		envelope->period_end_ns = period_end(envelope->period, start_ns);
	}
	return BE_OK;
}

void window_restart(struct envelope *envelope, int64_t now_ns)
{
	envelope->period_start_ns = now_ns;
	if (envelope->zone_size == 0)
		envelope->period_end_ns = period_end(envelope->period, now_ns);
}
