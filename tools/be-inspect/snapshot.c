/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the live view shows of an environment at one moment. All is copied while the library lists
 * it, a page at a time; no read txn outlives that.
 */
#include "snapshot.h"

#include "moment.h"
#include "rows.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)
/* The holders are found by going through all pending commits. If those are many, it is done so
 * rarely that it takes one part in so many of a processor's time, but at least every minute. */
#define HOLDERS_PART 400
#define HOLDERS_MOST_NS (60 * SECOND_NS)

#define RATE(member) offsetof(struct watched, activity.member), sizeof((struct activity *)0)->member
static const struct field of_rates[] = {
	{"/MIN", "spent_per_minute", FIELD_AMOUNT, RATE(spent_per_minute), false,
	 "what is spent in a minute, as in the last seconds"},
	{"REF/S", "refused_per_second", FIELD_AMOUNT, RATE(refused_per_second), false,
	 "how often it refuses in a second, as in the last seconds"},
};
const struct fields rate_fields = {of_rates, sizeof of_rates / sizeof *of_rates};

/* ---- gathering */

static void add_holder(void *beside, const struct be_commit_info *commit)
{
	struct activity *activity = beside;
	struct holder *holder;
	size_t i;

	if (commit->state == BE_COMMIT_EXPIRED)
		field_add_amount(&activity->held_expired, commit->amount);
	else if (commit->state == BE_COMMIT_ORPHANED)
		field_add_amount(&activity->held_orphaned, commit->amount);
	for (i = 0; i < activity->holder_count; i++) {
		holder = &activity->holders[i];
		if (holder->id == commit->owner_id && holder->alive == commit->owner_alive) {
			holder->commits++;
			return;
		}
	}
	if (i == HOLDERS) {
		activity->more_holders = true;
		return;
	}
	activity->holders[i] =
		(struct holder){commit->owner_id, commit->owner_pid, commit->owner_alive, 1};
	activity->holder_count++;
}

static void keep_holders(struct activity *activity, const struct activity *before)
{
	memcpy(activity->holders, before->holders, sizeof activity->holders);
	activity->holder_count = before->holder_count;
	activity->more_holders = before->more_holders;
	activity->held_expired = before->held_expired;
	activity->held_orphaned = before->held_orphaned;
}

/* ---- rates */

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* So much of a difference falls on a minute; the library's limits keep it far from what a double
 * cannot hold. */
static double per_minute(double difference, int64_t elapsed_ns)
{
	return elapsed_ns > 0 ? difference * 60e9 / (double)elapsed_ns : 0;
}

/* Nanos of refusals in a second, to one decimal; what is not nothing is seen. */
static int64_t refusals_per_second(uint64_t refusals, int64_t elapsed_ns)
{
	double tenths = per_minute((double)refusals, elapsed_ns) / 6;

	return ((int64_t)tenths + (tenths > (double)(int64_t)tenths)) * 100000000;
}

/* A rate of spending is no exact amount: three decimals, unless that is nothing. */
static int64_t rounded(double nanos)
{
	return nanos < 1e6 ? (int64_t)nanos : (int64_t)(nanos / 1e6) * 1000000;
}

/* Takes over what was seen before (NULL: nothing), and adds what is seen now. A window that has
 * begun anew, or was reset, begins with a sample of its own. */
static void sample(struct activity *activity, const struct be_envelope *envelope,
		   const struct activity *before, int64_t now_ns)
{
	struct sample now = {now_ns, envelope->spent, envelope->commits_granted,
			     envelope->refused_exceeds_budget + envelope->refused_suspended};
	const struct sample *first = activity->samples, *last;

	activity->id = envelope->id;
	activity->period_start_ns = envelope->period_start_ns;
	activity->spent = envelope->spent;
	if (before && before->period_start_ns == envelope->period_start_ns &&
	    before->spent <= envelope->spent) {
		memcpy(activity->samples, before->samples, sizeof activity->samples);
		activity->sample_count = before->sample_count;
	}
	last = activity->sample_count > 0 ? &activity->samples[activity->sample_count - 1] : NULL;
	if (!last || now_ns - last->at_ns >= SECOND_NS) {
		if (activity->sample_count == RATE_SECONDS + 1)
			memmove(activity->samples, activity->samples + 1,
				--activity->sample_count * sizeof *activity->samples);
		activity->samples[activity->sample_count++] = now;
	}
	activity->spent_per_minute =
		rounded(per_minute((double)(now.spent - first->spent), now_ns - first->at_ns));
	activity->granted_per_minute =
		(int64_t)per_minute((double)(now.granted - first->granted), now_ns - first->at_ns);
	activity->refused_per_second =
		refusals_per_second(now.refused - first->refused, now_ns - first->at_ns);
}

/* Finds the holders, and says when to do so again. */
static enum be_status find_holders(struct snapshot *snapshot, const struct envelopes *taken,
				   struct be_enforcer *handle)
{
	int64_t took_ns = -read_clock(CLOCK_PROCESS_CPUTIME_ID);
	enum be_status status = envelopes_add_commits(taken, handle, add_holder);

	took_ns += read_clock(CLOCK_PROCESS_CPUTIME_ID);
	if (took_ns > HOLDERS_MOST_NS / HOLDERS_PART)
		took_ns = HOLDERS_MOST_NS / HOLDERS_PART;
	snapshot->holders_due_ns = read_clock(CLOCK_MONOTONIC) + took_ns * HOLDERS_PART;
	return status;
}

void snapshot_stay(struct snapshot *snapshot)
{
	int64_t now_ns = read_clock(CLOCK_MONOTONIC);

	for (size_t i = 0; i < snapshot->all.count; i++) {
		struct activity *activity = envelopes_beside(&snapshot->all, i);
		struct activity before = *activity;
		struct be_envelope envelope;

		envelopes_read(&snapshot->all, i, &envelope);
		sample(activity, &envelope, &before, now_ns);
	}
	snapshot->at_ns = moment_now_ns();
}

/* What was known of an envelope; NULL when it was not there. */
static const struct activity *activity_before(const struct snapshot *snapshot,
					      const struct be_envelope *envelope)
{
	size_t number =
		envelopes_find(&snapshot->all, envelope->namespace_name, envelope->category);
	const struct activity *activity;

	if (number == ENVELOPES_NONE)
		return NULL;
	activity = envelopes_beside(&snapshot->all, number);
	return activity->id == envelope->id ? activity : NULL;
}

enum be_status snapshot_take(struct snapshot *snapshot, struct be_enforcer *handle,
			     const struct be_filter *filter)
{
	struct envelopes taken = {.beside_size = sizeof(struct activity)};
	int64_t now_ns = read_clock(CLOCK_MONOTONIC);
	bool due = now_ns >= snapshot->holders_due_ns;
	enum be_status status = envelopes_fill(&taken, handle, filter);

	if (status == BE_OK && due)
		status = find_holders(snapshot, &taken, handle);
	if (status != BE_OK) {
		envelopes_free(&taken);
		return status;
	}
	for (size_t i = 0; i < taken.count; i++) {
		struct activity *activity = envelopes_beside(&taken, i);
		const struct activity *before;
		struct be_envelope envelope;

		envelopes_read(&taken, i, &envelope);
		before = activity_before(snapshot, &envelope);
		sample(activity, &envelope, before, now_ns);
		if (!due && before)
			keep_holders(activity, before);
	}
	envelopes_free(&snapshot->all);
	snapshot->all = taken;
	snapshot->at_ns = moment_now_ns();
	return BE_OK;
}

/* ---- order */

static bool matches(const struct be_envelope *envelope, const char *search)
{
	char name[2 * BE_NAME_SIZE + 1];

	snprintf(name, sizeof name, "%s/%s", envelope->namespace_name, envelope->category);
	return strcasestr(name, search) != NULL;
}

static void read_watched(const struct snapshot *snapshot, size_t number, struct watched *watched)
{
	envelopes_read(&snapshot->all, number, &watched->envelope);
	watched->activity = *(struct activity *)envelopes_beside(&snapshot->all, number);
	watched->row.held_expired = watched->activity.held_expired;
	watched->row.held_orphaned = watched->activity.held_orphaned;
}

void snapshot_arrange(struct snapshot *snapshot, const struct arguments *arguments,
		      const char *search)
{
	struct rows *rows = rows_create(sizeof(struct watched), arguments, true);
	const struct watched *arranged;
	struct watched watched;

	snapshot->line_count = 0;
	for (size_t i = 0; i < snapshot->all.count; i++) {
		read_watched(snapshot, i, &watched);
		if (!matches(&watched.envelope, search))
			continue;
		rows_add(rows, &watched);
		snapshot->line_count++;
	}
	rows_sort(rows);
	free(snapshot->lines);
	snapshot->lines = calloc(snapshot->line_count + 1, sizeof *snapshot->lines);
	if (!snapshot->lines)
		tool_out_of_memory();
	for (size_t i = 0; (arranged = rows_next(rows)); i++)
		snapshot->lines[i] = (struct line){*arranged, rows_depth(rows)};
	rows_free(rows);
}

bool snapshot_find(const struct snapshot *snapshot, uint64_t id, struct watched *watched)
{
	for (size_t i = 0; i < snapshot->all.count; i++) {
		const struct activity *activity = envelopes_beside(&snapshot->all, i);

		if (activity->id != id)
			continue;
		read_watched(snapshot, i, watched);
		return true;
	}
	return false;
}

/* From an envelope to its parent; false when there is none. */
static bool ascend(const struct snapshot *snapshot, struct be_envelope *envelope)
{
	size_t number = envelope->has_parent
				? envelopes_find(&snapshot->all, envelope->parent_namespace,
						 envelope->parent_category)
				: ENVELOPES_NONE;

	if (number == ENVELOPES_NONE)
		return false;
	envelopes_read(&snapshot->all, number, envelope);
	return true;
}

bool snapshot_is_suspended_above(const struct snapshot *snapshot,
				 const struct be_envelope *envelope)
{
	struct be_envelope above = *envelope;

	for (int depth = 0; depth < BE_DEPTH_MAX && ascend(snapshot, &above); depth++)
		if (above.suspended)
			return true;
	return false;
}

bool snapshot_is_within(const struct snapshot *snapshot, const char *namespace_name,
			const char *category, uint64_t id)
{
	size_t number = envelopes_find(&snapshot->all, namespace_name, category);
	struct be_envelope envelope;

	if (number == ENVELOPES_NONE)
		return false;
	envelopes_read(&snapshot->all, number, &envelope);
	for (int depth = 0; depth < BE_DEPTH_MAX; depth++)
		if (envelope.id == id || !ascend(snapshot, &envelope))
			break;
	return envelope.id == id;
}

void snapshot_free(struct snapshot *snapshot)
{
	envelopes_free(&snapshot->all);
	free(snapshot->lines);
}
