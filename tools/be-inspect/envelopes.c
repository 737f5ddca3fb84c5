/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes as the library lists them, which is the order of their names, so that they are found by
 * halving.
 *
 * A listing that takes several pages sees changes made meanwhile: an ancestor may be missing, and
 * envelopes that were removed and made anew may even close a circle.
 */
#include "envelopes.h"

#include "complain.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_envelope(void *context, const struct be_envelope *envelope)
{
	struct envelopes *envelopes = context;

	envelopes->places = tool_grow(envelopes->places, envelopes->count, &envelopes->room,
				      sizeof *envelopes->places);
	envelopes->places[envelopes->count++] = pack_add(&envelopes->pack, envelope);
	return true;
}

enum be_status envelopes_fill(struct envelopes *envelopes, struct be_enforcer *handle,
			      const struct be_filter *filter)
{
	enum be_status status;

	envelopes->pack.record_size = sizeof(struct be_envelope);
	status = be_envelopes_each(handle, filter, add_envelope, envelopes);
	envelopes->beside = calloc(envelopes->count + 1, envelopes->beside_size);
	if (!envelopes->beside)
		tool_out_of_memory();
	return status;
}

void envelopes_read(const struct envelopes *envelopes, size_t number, struct be_envelope *envelope)
{
	pack_read(&envelopes->pack, envelopes->places[number], envelope);
}

void *envelopes_beside(const struct envelopes *envelopes, size_t number)
{
	return envelopes->beside + number * envelopes->beside_size;
}

/* *envelope is then the one found. */
static size_t find(const struct envelopes *envelopes, const char *namespace_name,
		   const char *category, struct be_envelope *envelope)
{
	size_t low = 0, high = envelopes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int difference;

		envelopes_read(envelopes, middle, envelope);
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
	return ENVELOPES_NONE;
}

size_t envelopes_find(const struct envelopes *envelopes, const char *namespace_name,
		      const char *category)
{
	struct be_envelope envelope;

	return find(envelopes, namespace_name, category, &envelope);
}

struct numbered {
	uint64_t id;
	size_t number;
};

static int compare_ids(const void *a, const void *b)
{
	const struct numbered *one = a, *other = b;

	return one->id < other->id ? -1 : one->id > other->id;
}

static void sort_numbered(struct envelopes *envelopes)
{
	struct be_envelope envelope;

	envelopes->numbered = calloc(envelopes->count + 1, sizeof *envelopes->numbered);
	if (!envelopes->numbered)
		tool_out_of_memory();
	for (size_t i = 0; i < envelopes->count; i++) {
		envelopes_read(envelopes, i, &envelope);
		envelopes->numbered[i] = (struct numbered){envelope.id, i};
	}
	qsort(envelopes->numbered, envelopes->count, sizeof *envelopes->numbered, compare_ids);
}

size_t envelopes_find_id(struct envelopes *envelopes, uint64_t id)
{
	const struct numbered wanted = {.id = id}, *found;

	if (!envelopes->numbered)
		sort_numbered(envelopes);
	found = bsearch(&wanted, envelopes->numbered, envelopes->count, sizeof wanted, compare_ids);
	return found ? found->number : ENVELOPES_NONE;
}

size_t envelopes_parent(const struct envelopes *envelopes, size_t number)
{
	struct be_envelope envelope;

	envelopes_read(envelopes, number, &envelope);
	return !envelope.has_parent ? ENVELOPES_NONE
				    : envelopes_find(envelopes, envelope.parent_namespace,
						     envelope.parent_category);
}

bool envelopes_is_below(const struct envelopes *envelopes, size_t number,
			const char *namespace_name, const char *category)
{
	size_t above = envelopes_find(envelopes, namespace_name, category);

	for (int depth = 0; number != ENVELOPES_NONE && depth < BE_DEPTH_MAX; depth++) {
		if (number == above)
			return true;
		number = envelopes_parent(envelopes, number);
	}
	return false;
}

bool envelopes_has(const struct envelopes *envelopes, const struct arguments *arguments)
{
	const char *category = arguments->report.below;
	const char *namespace_name = arguments->report.below_namespace;
	char sentence[3 * BE_NAME_SIZE];

	if (!category || envelopes_find(envelopes, namespace_name, category) != ENVELOPES_NONE)
		return true;
	snprintf(sentence, sizeof sentence, "--below: there is no envelope '%.*s'%s%.*s%s",
		 BE_NAME_SIZE, category, *namespace_name ? " in namespace '" : "", BE_NAME_SIZE,
		 namespace_name, *namespace_name ? "'" : "");
	complain(arguments->environment, sentence);
	return false;
}

struct adding {
	const struct envelopes *envelopes;
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
		number = find(adding->envelopes, namespace_name, category, &envelope);
		if (number == ENVELOPES_NONE)
			break;
		adding->add(envelopes_beside(adding->envelopes, number), commit);
		if (!envelope.has_parent)
			break;
		strcpy(namespace_name, envelope.parent_namespace);
		strcpy(category, envelope.parent_category);
	}
	return true;
}

enum be_status envelopes_add_commits(const struct envelopes *envelopes, struct be_enforcer *handle,
				     void (*add)(void *beside, const struct be_commit_info *commit))
{
	struct adding adding = {envelopes, add};

	return be_commits_each(handle, NULL, add_commit, &adding);
}

void envelopes_free(struct envelopes *envelopes)
{
	free(envelopes->pack.bytes);
	free(envelopes->places);
	free(envelopes->beside);
	free(envelopes->numbered);
}
