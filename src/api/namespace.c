/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a namespace, made of the calls that everybody has. All its envelopes are removed in
 * one txn, children before their parents, so that a refusal changes nothing and a kill leaves all
 * or none. Only for those who have its commits released it needs more txns: first all envelopes are
 * suspended, in one, then the commits end one by one, and then the envelopes are removed. A process
 * that is killed between these has suspended a namespace, and the next call ends it.
 *
 * Others may commit, and make and remove envelopes, at the same time. What they did is seen by the
 * txn that removes, which then refuses as a whole, and the namespace is looked at again.
 */
#include "api/enforcer.h"
#include "base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* How often a namespace is looked at anew that others change. */
#define TRIES 16

/* An envelope of the namespace. They are in the order of their names. */
struct member {
	char category[BE_NAME_SIZE];
	char parent[BE_NAME_SIZE]; /* empty: none, or one in another namespace */
	size_t depth;              /* below members */
	uint64_t strangers;        /* children in other namespaces */
	bool suspended;
};

struct ending {
	struct be_enforcer *handle;
	struct member *members;
	struct be_envelope_change *changes;
	size_t count, room;
	uint64_t removed, released;
	enum be_status status; /* of what a listing's function could not do */
};

/* ---- what there is */

static bool add_member(void *context, const struct be_envelope *envelope)
{
	struct ending *ending = context;
	struct member *member;

	if (ending->count == ending->room) {
		size_t room = 2 * ending->room + 64;
		struct member *members = reallocarray(ending->members, room, sizeof *members);

		if (!members) {
			ending->status = error_set(BE_NO_MEMORY, "out of memory");
			return false;
		}
		ending->members = members;
		ending->room = room;
	}
	member = &ending->members[ending->count++];
	memset(member, 0, sizeof *member);
	strcpy(member->category, envelope->category);
	if (strcmp(envelope->parent_namespace, envelope->namespace_name) == 0)
		strcpy(member->parent, envelope->parent_category);
	member->strangers = envelope->children;
	member->suspended = envelope->suspended;
	return true;
}

static int compare(const void *category, const void *member)
{
	return strcmp(category, ((const struct member *)member)->category);
}

static struct member *parent_of(const struct ending *ending, const struct member *member)
{
	if (!*member->parent)
		return NULL;
	return bsearch(member->parent, ending->members, ending->count, sizeof *ending->members,
		       compare);
}

/* Counts who is above and below whom. */
static void connect(struct ending *ending)
{
	for (size_t i = 0; i < ending->count; i++) {
		struct member *member = &ending->members[i], *above = parent_of(ending, member);

		if (above && above->strangers > 0)
			above->strangers--;
		for (; above && member->depth < BE_DEPTH_MAX; above = parent_of(ending, above))
			member->depth++;
	}
}

static enum be_status look(struct ending *ending)
{
	struct be_filter filter = BE_FILTER_INIT;
	enum be_status status;

	filter.namespace_name = ending->handle->name.namespace_name;
	ending->count = 0;
	ending->status = BE_OK;
	status = be_envelopes_each(ending->handle, &filter, add_member, ending);
	if (status == BE_STOPPED)
		status = ending->status;
	if (status == BE_OK)
		connect(ending);
	for (size_t i = 0; i < ending->count && status == BE_OK; i++)
		if (ending->members[i].strangers > 0)
			status = error_set(BE_HAS_CHILDREN,
					   "the namespace cannot end: \"%s\" is the parent of an "
					   "envelope in another one",
					   ending->members[i].category);
	return status;
}

/* ---- what is done */

static enum be_status apply(struct ending *ending, size_t count)
{
	enum be_status status =
		count > 0 ? be_envelopes_apply(ending->handle, ending->changes, count, NULL)
			  : BE_OK;

	free(ending->changes);
	ending->changes = NULL;
	return status;
}

static enum be_status make_room(struct ending *ending)
{
	ending->changes = calloc(ending->count + 1, sizeof *ending->changes);
	return ending->changes ? BE_OK : error_set(BE_NO_MEMORY, "out of memory");
}

static struct be_envelope_change change(const struct member *member, enum be_operation operation)
{
	struct be_envelope_change made = BE_ENVELOPE_CHANGE_INIT;

	made.operation = operation;
	made.category = member->category;
	return made;
}

static enum be_status suspend_all(struct ending *ending)
{
	enum be_status status = make_room(ending);
	size_t count = 0;

	for (size_t i = 0; i < ending->count && status == BE_OK; i++)
		if (!ending->members[i].suspended)
			ending->changes[count++] =
				change(&ending->members[i], BE_OPERATION_SUSPEND);
	return status == BE_OK ? apply(ending, count) : status;
}

static enum be_status remove_all(struct ending *ending)
{
	enum be_status status = make_room(ending);
	size_t count = 0;

	if (status != BE_OK)
		return status;
	for (size_t depth = BE_DEPTH_MAX + 1; depth-- > 0;)
		for (size_t i = 0; i < ending->count; i++)
			if (ending->members[i].depth == depth)
				ending->changes[count++] =
					change(&ending->members[i], BE_OPERATION_REMOVE);
	status = apply(ending, count);
	if (status == BE_OK)
		ending->removed += count;
	return status;
}

/* What somebody else has ended meanwhile is well, too. */
static bool release(void *context, const struct be_commit_info *commit)
{
	struct ending *ending = context;

	ending->status = be_release(ending->handle, commit->id);
	if (ending->status == BE_OK)
		ending->released++;
	else if (be_status_is_refusal(ending->status))
		ending->status = BE_OK;
	return ending->status == BE_OK;
}

static enum be_status release_all(struct ending *ending)
{
	struct be_filter filter = BE_FILTER_INIT;
	enum be_status status;

	filter.namespace_name = ending->handle->name.namespace_name;
	status = be_commits_each(ending->handle, &filter, release, ending);
	return status == BE_STOPPED ? ending->status : status;
}

/* Until nothing is there any more. *again: others have changed the namespace meanwhile. */
static enum be_status try_to_end(struct ending *ending, uint32_t flags, bool *again)
{
	enum be_status status = look(ending);

	/* A listing of several pages may show a child and not its parent's count of it. */
	*again = status == BE_HAS_CHILDREN;
	if (status != BE_OK || ending->count == 0)
		return status;
	if (flags & BE_END_RELEASE) {
		status = suspend_all(ending);
		if (status == BE_OK)
			status = release_all(ending);
	}
	if (status == BE_OK)
		status = remove_all(ending);
	*again = status == BE_OK || status == BE_NO_ENVELOPE || status == BE_HAS_CHILDREN ||
		 (status == BE_HAS_COMMITS && flags & BE_END_RELEASE);
	return status;
}

enum be_status be_namespace_end(struct be_enforcer *handle, uint32_t flags, uint64_t *removed,
				uint64_t *released)
{
	struct ending ending = {.handle = handle};
	enum be_status status = BE_OK;
	bool again = true;
	int cancel_state;

	error_clear();
	if (removed)
		*removed = 0;
	if (released)
		*released = 0;
	if (!handle)
		return error_set(BE_INVALID_ARGUMENT, "no handle was given");
	if (flags & ~(uint32_t)BE_END_RELEASE)
		return error_set(BE_INVALID_ARGUMENT, "flags has an unknown bit");
	if (enforcer_is_read_only(handle))
		return error_set(BE_READ_ONLY, "the handle was opened read-only");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	for (int i = 0; again && i < TRIES; i++)
		status = try_to_end(&ending, flags, &again);
	free(ending.members);
	pthread_setcancelstate(cancel_state, NULL);
	if (removed)
		*removed = ending.removed;
	if (released)
		*released = ending.released;
	return error_default(status);
}
