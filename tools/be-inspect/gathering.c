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
	char *element;

	if (gathering->count == gathering->room) {
		gathering->room = gathering->room > 0 ? 2 * gathering->room : 64;
		gathering->elements =
			reallocarray(gathering->elements, gathering->room, gathering->size);
		if (!gathering->elements)
			tool_out_of_memory();
	}
	element = gathering->elements + gathering->count++ * gathering->size;
	memset(element, 0, gathering->size);
	memcpy(element, envelope, sizeof *envelope);
	return true;
}

enum be_status gathering_fill(struct gathering *gathering, struct be_enforcer *handle,
			      const struct be_filter *filter)
{
	return be_envelopes_each(handle, filter, add_envelope, gathering);
}

struct name {
	const char *namespace_name;
	const char *category;
};

static int compare_name(const void *key, const void *element)
{
	const struct be_envelope *envelope = element;
	const struct name *name = key;
	int difference = strcmp(name->namespace_name, envelope->namespace_name);

	return difference ? difference : strcmp(name->category, envelope->category);
}

void *gathering_find(const struct gathering *gathering, const char *namespace_name,
		     const char *category)
{
	struct name name = {namespace_name, category};

	if (gathering->count == 0)
		return NULL;
	return bsearch(&name, gathering->elements, gathering->count, gathering->size, compare_name);
}

struct adding {
	const struct gathering *gathering;
	void (*add)(void *element, const struct be_commit_info *commit);
};

static bool add_commit(void *context, const struct be_commit_info *commit)
{
	const struct adding *adding = context;
	struct be_envelope *envelope =
		gathering_find(adding->gathering, commit->namespace_name, commit->category);
	int depth;

	for (depth = 0; envelope && depth < BE_DEPTH_MAX; depth++) {
		adding->add(envelope, commit);
		envelope = envelope->has_parent
				   ? gathering_find(adding->gathering, envelope->parent_namespace,
						    envelope->parent_category)
				   : NULL;
	}
	return true;
}

enum be_status gathering_add_commits(const struct gathering *gathering, struct be_enforcer *handle,
				     void (*add)(void *element,
						 const struct be_commit_info *commit))
{
	struct adding adding = {gathering, add};

	return be_commits_each(handle, NULL, add_commit, &adding);
}
