/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes as the library lists them, which is the order of their names, so that they are found by
 * halving.
 *
 * A listing that takes several pages sees changes made meanwhile: an ancestor may be missing, and
 * envelopes that were removed and made anew may even close a circle.
 */
#include "gathering.h"

#include "tool.h"

#include <stdlib.h>
#include <string.h>

static bool add_envelope(void *context, const struct be_envelope *envelope)
{
	struct gathering *gathering = context;

	if (gathering->count == gathering->room) {
		gathering->room = gathering->room + gathering->room / 2 + 64;
		gathering->places =
			reallocarray(gathering->places, gathering->room, sizeof *gathering->places);
		if (!gathering->places)
			tool_out_of_memory();
	}
	gathering->places[gathering->count++] = pack_add(&gathering->pack, envelope);
	return true;
}

enum be_status gathering_fill(struct gathering *gathering, struct be_enforcer *handle,
			      const struct be_filter *filter)
{
	enum be_status status;

	gathering->pack.record_size = sizeof(struct be_envelope);
	status = be_envelopes_each(handle, filter, add_envelope, gathering);
	gathering->beside = calloc(gathering->count + 1, gathering->beside_size);
	if (!gathering->beside)
		tool_out_of_memory();
	return status;
}

void gathering_read(const struct gathering *gathering, size_t number, struct be_envelope *envelope)
{
	pack_read(&gathering->pack, gathering->places[number], envelope);
}

void *gathering_beside(const struct gathering *gathering, size_t number)
{
	return gathering->beside + number * gathering->beside_size;
}

/* *envelope is then the one found. */
static size_t find(const struct gathering *gathering, const char *namespace_name,
		   const char *category, struct be_envelope *envelope)
{
	size_t low = 0, high = gathering->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int difference;

		gathering_read(gathering, middle, envelope);
		difference = strcmp(namespace_name, envelope->namespace_name);
		if (difference == 0)
			difference = strcmp(category, envelope->category);
		if (difference == 0)
			return middle;
		if (difference < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return GATHERING_NONE;
}

size_t gathering_find(const struct gathering *gathering, const char *namespace_name,
		      const char *category)
{
	struct be_envelope envelope;

	return find(gathering, namespace_name, category, &envelope);
}

struct adding {
	const struct gathering *gathering;
	void (*add)(void *beside, const struct be_commit_info *commit);
};

static bool add_commit(void *context, const struct be_commit_info *commit)
{
	const struct adding *adding = context;
	struct be_envelope envelope;
	char namespace_name[BE_NAME_SIZE], category[BE_NAME_SIZE];
	size_t number;
	int depth;

	strcpy(namespace_name, commit->namespace_name);
	strcpy(category, commit->category);
	for (depth = 0; depth < BE_DEPTH_MAX; depth++) {
		number = find(adding->gathering, namespace_name, category, &envelope);
		if (number == GATHERING_NONE)
			break;
		adding->add(gathering_beside(adding->gathering, number), commit);
		if (!envelope.has_parent)
			break;
		strcpy(namespace_name, envelope.parent_namespace);
		strcpy(category, envelope.parent_category);
	}
	return true;
}

enum be_status gathering_add_commits(const struct gathering *gathering, struct be_enforcer *handle,
				     void (*add)(void *beside, const struct be_commit_info *commit))
{
	struct adding adding = {gathering, add};

	return be_commits_each(handle, NULL, add_commit, &adding);
}

void gathering_free(struct gathering *gathering)
{
	free(gathering->pack.bytes);
	free(gathering->places);
	free(gathering->beside);
}
