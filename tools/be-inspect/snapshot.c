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
/* Who holds what is pending is found by going through all that is pending. Where that is much, it
 * is done so rarely that it takes one part in so many of a processor's time, but at least every
 * minute. */
#define HOLDERS_PART 400
#define HOLDERS_MOST_NS (60 * SECOND_NS)

static const struct field of_rates[] = {
	{"/MIN", "spent_per_minute", FIELD_AMOUNT, offsetof(struct watched, spent_per_minute),
	 false, "what is spent in a minute, as in the last seconds"},
	{"REF/S", "refused_per_second", FIELD_AMOUNT, offsetof(struct watched, refused_per_second),
	 false, "how often it refuses in a second, as in the last seconds"},
};
const struct fields rate_fields = {of_rates, sizeof of_rates / sizeof *of_rates};

/* ---- gathering */

static void add_holder(void *element, const struct be_commit_info *commit)
{
	struct watched *watched = element;
	struct holder *holder;
	size_t i;

	for (i = 0; i < watched->holder_count; i++) {
		holder = &watched->holders[i];
		if (holder->pid == commit->owner_pid && holder->alive == commit->owner_alive) {
			holder->commits++;
			return;
		}
	}
	if (i == HOLDERS) {
		watched->more_holders = true;
		return;
	}
	watched->holders[i] = (struct holder){commit->owner_pid, commit->owner_alive, 1};
	watched->holder_count++;
}

static void keep_holders(struct watched *watched, const struct watched *before)
{
	if (!before || before->envelope.id != watched->envelope.id)
		return;
	memcpy(watched->holders, before->holders, sizeof watched->holders);
	watched->holder_count = before->holder_count;
	watched->more_holders = before->more_holders;
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

/* Takes over what was seen before, and adds what is seen now. A window that began anew, be it that
 * it was reset, begins with a sample of its own. */
static void sample(struct watched *watched, const struct watched *before, int64_t now_ns)
{
	struct sample now = {now_ns, watched->envelope.spent, watched->envelope.commits_granted,
			     watched->envelope.refused_exceeds_budget +
				     watched->envelope.refused_suspended};
	const struct sample *first = watched->samples, *last;

	if (before && before->envelope.id == watched->envelope.id &&
	    before->envelope.period_start_ns == watched->envelope.period_start_ns &&
	    before->envelope.spent <= watched->envelope.spent) {
		memcpy(watched->samples, before->samples, sizeof watched->samples);
		watched->sample_count = before->sample_count;
	}
	last = watched->sample_count > 0 ? &watched->samples[watched->sample_count - 1] : NULL;
	if (!last || now_ns - last->at_ns >= SECOND_NS) {
		if (watched->sample_count == RATE_SECONDS + 1)
			memmove(watched->samples, watched->samples + 1,
				--watched->sample_count * sizeof *watched->samples);
		watched->samples[watched->sample_count++] = now;
	}
	watched->spent_per_minute =
		rounded(per_minute((double)(now.spent - first->spent), now_ns - first->at_ns));
	watched->granted_per_minute =
		(int64_t)per_minute((double)(now.granted - first->granted), now_ns - first->at_ns);
	watched->refused_per_second =
		refusals_per_second(now.refused - first->refused, now_ns - first->at_ns);
}

/* Finds the holders, and says when to do so again. */
static enum be_status find_holders(struct snapshot *snapshot, const struct gathering *taken,
				   struct be_enforcer *handle)
{
	int64_t took_ns = -read_clock(CLOCK_PROCESS_CPUTIME_ID);
	enum be_status status = gathering_add_commits(taken, handle, add_holder);

	took_ns += read_clock(CLOCK_PROCESS_CPUTIME_ID);
	if (took_ns > HOLDERS_MOST_NS / HOLDERS_PART)
		took_ns = HOLDERS_MOST_NS / HOLDERS_PART;
	snapshot->holders_due_ns = read_clock(CLOCK_MONOTONIC) + took_ns * HOLDERS_PART;
	return status;
}

enum be_status snapshot_take(struct snapshot *snapshot, struct be_enforcer *handle,
			     const struct be_filter *filter)
{
	struct gathering taken = {.size = sizeof(struct watched)};
	int64_t now_ns = read_clock(CLOCK_MONOTONIC);
	bool due = now_ns >= snapshot->holders_due_ns;
	enum be_status status = gathering_fill(&taken, handle, filter);
	struct watched *all;
	size_t i;

	if (status == BE_OK && due)
		status = find_holders(snapshot, &taken, handle);
	if (status != BE_OK) {
		free(taken.elements);
		return status;
	}
	all = (struct watched *)taken.elements;
	for (i = 0; i < taken.count; i++) {
		const struct watched *before = gathering_find(
			&snapshot->all, all[i].envelope.namespace_name, all[i].envelope.category);

		sample(&all[i], before, now_ns);
		if (!due)
			keep_holders(&all[i], before);
	}
	free(snapshot->all.elements);
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

void snapshot_arrange(struct snapshot *snapshot, const struct arguments *arguments,
		      const char *search)
{
	const struct watched *all = (const struct watched *)snapshot->all.elements;
	struct rows *rows = rows_create(sizeof(struct watched));
	struct row *row;
	size_t i;

	for (i = 0; i < snapshot->all.count; i++)
		if (matches(&all[i].envelope, search))
			rows_add(rows, &all[i]);
	rows_link(rows);
	rows_sort(rows, arguments);
	free(snapshot->lines);
	snapshot->lines = calloc(snapshot->all.count + 1, sizeof *snapshot->lines);
	if (!snapshot->lines)
		tool_out_of_memory();
	snapshot->line_count = 0;
	for (row = rows_next(rows, NULL); row; row = rows_next(rows, row)) {
		struct line *line = &snapshot->lines[snapshot->line_count++];
		const struct row *above;

		memcpy(&line->watched, row->record, sizeof line->watched);
		for (above = row->parent; above; above = above->parent)
			line->depth++;
	}
	rows_free(rows);
}

const struct watched *snapshot_find(const struct snapshot *snapshot, uint64_t id)
{
	const struct watched *all = (const struct watched *)snapshot->all.elements;
	size_t i;

	for (i = 0; i < snapshot->all.count; i++)
		if (all[i].envelope.id == id)
			return &all[i];
	return NULL;
}

void snapshot_free(struct snapshot *snapshot)
{
	free(snapshot->all.elements);
	free(snapshot->lines);
}
