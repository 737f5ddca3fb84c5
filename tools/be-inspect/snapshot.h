/* SPDX-License-Identifier: Apache-2.0 */
/* What the live view shows of an environment at one moment, and how fast it changes. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "arguments.h"
#include "envelopes.h"

/* Rates are over as many seconds, or as many as there have been. */
#define RATE_SECONDS 10
/* Owners of an envelope's pending commits that are told apart. */
#define HOLDERS 8

struct sample {
	int64_t at_ns; /* of a clock that never steps back */
	int64_t spent;
	uint64_t granted;
	uint64_t refused;
};

struct holder {
	uint64_t id; /* the owner's */
	uint32_t pid;
	bool alive;
	uint64_t commits;
};

/* What is known of an envelope from one refresh to the next. */
struct activity {
	uint64_t id; /* the envelope's, as are the next two */
	int64_t period_start_ns;
	int64_t spent;
	int64_t spent_per_minute; /* nanos */
	int64_t granted_per_minute;
	int64_t refused_per_second; /* nanos: 500000000 is one in two seconds */
	int64_t held_expired;       /* nanos that wait to be reaped, here and below */
	int64_t held_orphaned;
	struct holder holders[HOLDERS]; /* of what is pending here and below */
	size_t holder_count;
	bool more_holders;
	struct sample samples[RATE_SECONDS + 1]; /* the oldest first, a second apart or more */
	size_t sample_count;
};

/* First its row, so that fields of rows are found, and of envelopes. */
struct watched {
	union {
		struct envelope_row row;
		struct be_envelope envelope;
	};
	struct activity activity;
};

/* An envelope and its place. */
struct line {
	struct watched watched;
	int depth; /* in its tree */
};

struct snapshot {
	struct envelopes all; /* struct activity beside them */
	struct line *lines;   /* those that pass the search, in the order asked for */
	size_t line_count;
	int64_t at_ns; /* 0: never taken */
	int64_t holders_due_ns;
};

/* Columns of the live view only. */
extern const struct fields rate_fields;

/* Reads the environment anew. On failure the snapshot stays as it was. */
enum be_status snapshot_take(struct snapshot *snapshot, struct be_enforcer *handle,
			     const struct be_filter *filter);

/* Nothing has changed since it was taken, but that time has passed. */
void snapshot_stay(struct snapshot *snapshot);

/* Makes the lines: those whose name contains `search`, sorted as the arguments say. */
void snapshot_arrange(struct snapshot *snapshot, const struct arguments *arguments,
		      const char *search);

/* The envelope of an id; false when there is none. */
bool snapshot_find(const struct snapshot *snapshot, uint64_t id, struct watched *watched);

/* Whether an envelope above this one, as far as the snapshot has those, is suspended. */
bool snapshot_is_suspended_above(const struct snapshot *snapshot,
				 const struct be_envelope *envelope);

/* Whether the envelope of these names is the one of that id, or below it. */
bool snapshot_is_within(const struct snapshot *snapshot, const char *namespace_name,
			const char *category, uint64_t id);

void snapshot_free(struct snapshot *snapshot);

#endif
