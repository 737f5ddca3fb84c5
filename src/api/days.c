/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Daily sums: what is left of the transactions that pruning has removed, and be_daily_sums_each().
 *
 * Nothing is lost and nothing counted twice: the txn that removes transactions is the one that adds
 * them here, and notes in the header up to which id it went. A listing reads all sums in one read
 * txn, together with that id. Sums are exact: when one would leave the range of an amount, another
 * of the same names is begun.
 */
#include "api/days.h"

#include "api/enforcer.h"
#include "api/sized.h"
#include "base/error.h"
#include "rules/amount.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define GROUPS_MIN 64

/* ---- in memory */

/* Makes room for `count` things, `more` beside those that are there. */
static void *grown(void *things, size_t count, size_t more, size_t *room, size_t size)
{
	size_t wanted = *room > 0 ? *room : GROUPS_MIN;
	void *moved;

	if (count + more <= *room)
		return things;
	while (wanted < count + more)
		wanted *= 2;
	moved = realloc(things, wanted * size);
	if (moved)
		*room = wanted;
	return moved;
}

/* The place of the group that the transaction can be added to, or where a new one belongs. */
static uint32_t *find_place(struct days *days, const struct day_group *wanted, const uint8_t *names)
{
	size_t mask = days->place_count - 1;
	size_t at = (size_t)(wanted->number ^ (uint64_t)wanted->day ^ (uint64_t)wanted->kind);

	for (;; at++) {
		uint32_t *place = &days->places[at & mask];
		const struct day_group *group = *place ? &days->groups[*place - 1] : NULL;
		int64_t sum;

		if (!group || (group->day == wanted->day && group->kind == wanted->kind &&
			       group->envelope_id == wanted->envelope_id &&
			       group->names_size == wanted->names_size &&
			       memcmp(days->names + group->names, names, wanted->names_size) == 0 &&
			       amount_add(group->amount, wanted->amount, &sum)))
			return place;
	}
}

static bool make_places(struct days *days)
{
	size_t count = days->place_count > 0 ? 2 * days->place_count : 4 * (size_t)GROUPS_MIN;
	uint32_t *places = calloc(count, sizeof *places);

	if (!places)
		return false;
	free(days->places);
	days->places = places;
	days->place_count = count;
	/* No two of them can be put together any further, so each finds a place of its own. */
	for (size_t i = 0; i < days->count; i++) {
		const struct day_group *group = &days->groups[i];
		size_t at = (size_t)(group->number ^ (uint64_t)group->day ^ (uint64_t)group->kind);

		while (places[at & (count - 1)] != 0)
			at++;
		places[at & (count - 1)] = (uint32_t)i + 1;
	}
	return true;
}

static bool make_room(struct days *days, size_t names_size)
{
	struct day_group *groups =
		grown(days->groups, days->count, 1, &days->room, sizeof *days->groups);
	uint8_t *names;

	if (!groups)
		return false;
	days->groups = groups;
	names = grown(days->names, days->names_size, names_size, &days->names_room, 1);
	if (!names)
		return false;
	days->names = names;
	return days->count < days->place_count / 2 || make_places(days);
}

static void widen(struct day_group *group, const struct day_group *more)
{
	bool is_exact = amount_add(group->amount, more->amount, &group->amount);

	assert(is_exact);
	(void)is_exact;
	group->count += more->count;
	if (more->first_ns < group->first_ns)
		group->first_ns = more->first_ns;
	if (more->last_ns > group->last_ns)
		group->last_ns = more->last_ns;
}

enum be_status days_add(struct days *days, const struct transaction *transaction,
			const uint8_t *names, size_t names_size)
{
	struct day_group one = {
		.day = day_of(transaction->at_ns),
		.kind = transaction->kind,
		.names_size = (uint16_t)names_size,
		.number = record_sum((struct be_bytes){names, names_size}),
		.amount = transaction->amount,
		.count = 1,
		.first_ns = transaction->at_ns,
		.last_ns = transaction->at_ns,
		.envelope_id = transaction->chain[0],
	};
	uint32_t *place;

	if (!make_room(days, names_size))
		return error_set(BE_NO_MEMORY, "out of memory");
	place = find_place(days, &one, names);
	if (*place != 0) {
		widen(&days->groups[*place - 1], &one);
		return BE_OK;
	}
	one.names = days->names_size;
	memcpy(days->names + one.names, names, names_size);
	days->names_size += names_size;
	days->groups[days->count++] = one;
	*place = (uint32_t)days->count;
	return BE_OK;
}

void days_clear(struct days *days)
{
	if (days->places)
		memset(days->places, 0, days->place_count * sizeof *days->places);
	days->count = days->names_size = 0;
}

void days_free(struct days *days)
{
	free(days->groups);
	free(days->places);
	free(days->names);
	*days = (struct days){0};
}

/* ---- in the storage */

static void begin_sum(struct day_sum *sum, const struct day_group *group, const uint8_t *names)
{
	sum->amount = 0;
	sum->count = 0;
	sum->first_ns = group->first_ns;
	sum->last_ns = group->last_ns;
	sum->envelope_id = group->envelope_id;
	sum->checksum = 0;
	sum->names_size = group->names_size;
	memcpy(sum->names, names, group->names_size);
}

/* Adds a group to the first sum of its names that can hold it. */
static enum be_status fold_group(struct ledger *ledger, const struct day_group *group,
				 const uint8_t *names)
{
	struct day_sum sum = {.day = group->day, .kind = group->kind, .number = group->number};
	int64_t amount;

	for (;; sum.number++) {
		int found = ledger_day_get(ledger, &sum);

		if (found < 0)
			return (enum be_status)found;
		if (found == LEDGER_NONE)
			begin_sum(&sum, group, names);
		if (sum.envelope_id == group->envelope_id && sum.names_size == group->names_size &&
		    memcmp(sum.names, names, group->names_size) == 0 &&
		    amount_add(sum.amount, group->amount, &amount))
			break;
	}
	sum.amount = amount;
	sum.count += group->count;
	if (group->first_ns < sum.first_ns)
		sum.first_ns = group->first_ns;
	if (group->last_ns > sum.last_ns)
		sum.last_ns = group->last_ns;
	return ledger_day_put(ledger, &sum);
}

enum be_status days_fold(struct ledger *ledger, const struct days *days)
{
	enum be_status status = BE_OK;

	for (size_t i = 0; i < days->count && status == BE_OK; i++)
		status = fold_group(ledger, &days->groups[i], days->names + days->groups[i].names);
	return status;
}

/* ---- the listing */

struct daily_listing {
	struct be_filter filter;
	struct days days; /* the sums that it lets through, one for each group */
	uint64_t last_id;
	/* Room for the names of one. */
	struct be_envelope_name also[BE_ENVELOPES_MAX];
	char texts[BE_ENVELOPES_MAX][2][BE_NAME_SIZE];
};

static bool matches(const struct be_filter *filter, const struct day_sum *sum)
{
	const uint8_t *at = sum->names, *end = sum->names + sum->names_size;
	struct name name;

	if ((filter->since_ns != 0 && sum->last_ns < filter->since_ns) ||
	    (filter->until_ns != 0 && sum->first_ns >= filter->until_ns))
		return false;
	while (at < end && name_unpack(&at, end, &name))
		if ((!filter->namespace_name ||
		     strcmp(filter->namespace_name, name.namespace_name) == 0) &&
		    (!filter->category || strcmp(filter->category, name.category) == 0))
			return true;
	return false;
}

static enum be_status keep(struct days *days, const struct day_sum *sum)
{
	struct day_group *group;

	if (!make_room(days, sum->names_size))
		return error_set(BE_NO_MEMORY, "out of memory");
	group = &days->groups[days->count++];
	*group = (struct day_group){
		.day = sum->day,
		.kind = sum->kind,
		.names_size = sum->names_size,
		.names = days->names_size,
		.amount = sum->amount,
		.count = sum->count,
		.first_ns = sum->first_ns,
		.last_ns = sum->last_ns,
		.envelope_id = sum->envelope_id,
	};
	memcpy(days->names + group->names, sum->names, sum->names_size);
	days->names_size += sum->names_size;
	return BE_OK;
}

static enum be_status read_once(struct daily_listing *listing, const struct be_storage *storage)
{
	const struct be_filter *filter = &listing->filter;
	struct day_sum sum, *after = NULL;
	struct ledger ledger;
	enum be_status status = ledger_begin_walk(&ledger, storage, RECORD_DAY);
	int found;

	if (status != BE_OK)
		return status;
	status = ledger_header(&ledger);
	found = (int)status;
	listing->last_id = status == BE_OK ? ledger.header.pruned : 0;
	while (found == 0 && (filter->max_count == 0 || listing->days.count < filter->max_count)) {
		found = ledger_day_next(&ledger, after, &sum);
		after = &sum;
		if (found == 0 && matches(filter, &sum))
			found = (int)keep(&listing->days, &sum);
	}
	ledger_abort(&ledger);
	return found < 0 ? (enum be_status)found : BE_OK;
}

static enum be_status read_all(struct daily_listing *listing, const struct be_storage *storage)
{
	unsigned tries = 0;
	enum be_status status;

	do {
		listing->days.count = listing->days.names_size = 0;
		status = read_once(listing, storage);
	} while (ledger_reads_again(&status, &tries));
	return status;
}

/* The first day that times can tell begins before they do. */
static int64_t day_begins(int64_t day)
{
	int64_t ns;

	return __builtin_mul_overflow(day, DAY_NS, &ns) ? INT64_MIN : ns;
}

/* Fills in the names, that of the envelope named first and the further ones. */
static void describe_names(struct daily_listing *listing, const struct day_group *group,
			   struct be_daily_sum *sum)
{
	const uint8_t *at = listing->days.names + group->names, *end = at + group->names_size;
	struct name name;

	if (name_unpack(&at, end, &name)) {
		memcpy(sum->namespace_name, name.namespace_name, name.namespace_size);
		memcpy(sum->category, name.category, name.category_size);
	}
	while (at < end && name_unpack(&at, end, &name)) {
		char(*texts)[BE_NAME_SIZE] = listing->texts[sum->also_count];

		memcpy(texts[0], name.namespace_name, name.namespace_size + 1U);
		memcpy(texts[1], name.category, name.category_size + 1U);
		listing->also[sum->also_count++] = (struct be_envelope_name){texts[0], texts[1]};
	}
	sum->also = sum->also_count > 0 ? listing->also : NULL;
}

static enum be_status show_all(struct daily_listing *listing,
			       bool (*each)(void *context, const struct be_daily_sum *sum),
			       void *context)
{
	for (size_t i = 0; i < listing->days.count; i++) {
		const struct day_group *group = &listing->days.groups[i];
		struct be_daily_sum sum = {
			.size = sizeof sum,
			.kind = group->kind,
			.day_ns = day_begins(group->day),
			.amount = group->amount,
			.count = group->count,
			.first_ns = group->first_ns,
			.last_ns = group->last_ns,
			.envelope_id = group->envelope_id,
		};

		describe_names(listing, group, &sum);
		if (!each(context, &sum))
			return error_set(BE_STOPPED, "the callback ended the listing");
	}
	return BE_OK;
}

enum be_status be_daily_sums_each(struct be_enforcer *handle, const struct be_filter *filter,
				  bool (*each)(void *context, const struct be_daily_sum *sum),
				  void *context, uint64_t *last_id)
{
	struct environment *environment;
	struct daily_listing *listing;
	enum be_status status;
	int cancel_state;

	error_clear();
	if (last_id)
		*last_id = 0;
	if (!handle || !each)
		return error_set(BE_INVALID_ARGUMENT, "no %s was given",
				 handle ? "callback" : "handle");
	listing = calloc(1, sizeof *listing);
	if (!listing)
		return error_set(BE_NO_MEMORY, "out of memory");
	status = sized_read(filter, &listing->filter);
	if (status == BE_OK && listing->filter.reserved != 0)
		status = sized_refuse_unknown();
	if (status == BE_OK)
		status = enforcer_environment(handle, &environment);
	if (status == BE_OK) {
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
		status = read_all(listing, environment->executor.storage);
		pthread_setcancelstate(cancel_state, NULL);
	}
	if (status == BE_OK && last_id)
		*last_id = listing->last_id;
	if (status == BE_OK)
		status = show_all(listing, each, context);
	days_free(&listing->days);
	free(listing);
	return error_default(status);
}
