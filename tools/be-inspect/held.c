/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be reaped, by envelope. Normally that is nothing, or little. So one pass over the
 * pending commits finds it first, and only then the parents of those envelopes are looked up. An
 * envelope or a parent may have been removed since.
 */
#include "held.h"

#include "complain.h"
#include "opening.h"
#include "tool.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct amounts {
	int64_t expired;
	int64_t orphaned;
};

struct holding {
	char namespace_name[BE_NAME_SIZE];
	char category[BE_NAME_SIZE];
	struct amounts own;
	struct amounts all; /* and below it */
};

struct held {
	void *tree; /* of struct holding, as tsearch() has it */
	struct amounts total;
	uint64_t commits;

	/* While the parents are asked for: */
	struct holding **holdings;
	size_t count, room;
	const char *environment;
	struct be_enforcer *handle; /* NULL: none yet; in the namespace */
	char namespace_name[BE_NAME_SIZE];
};

static int compare_holdings(const void *a, const void *b)
{
	const struct holding *first = a, *second = b;
	int difference = strcmp(first->namespace_name, second->namespace_name);

	return difference ? difference : strcmp(first->category, second->category);
}

static struct holding *find_or_add(struct held *held, const char *namespace_name,
				   const char *category)
{
	struct holding *holding = calloc(1, sizeof *holding), **found;

	if (!holding)
		tool_out_of_memory();
	strcpy(holding->namespace_name, namespace_name);
	strcpy(holding->category, category);
	found = tsearch(holding, &held->tree, compare_holdings);
	if (!found)
		tool_out_of_memory();
	if (*found != holding) {
		free(holding);
		return *found;
	}
	held->holdings =
		tool_grow(held->holdings, held->count, &held->room, sizeof(struct holding *));
	held->holdings[held->count++] = holding;
	return holding;
}

static void add_amounts(struct amounts *sum, const struct amounts *more)
{
	field_add_amount(&sum->expired, more->expired);
	field_add_amount(&sum->orphaned, more->orphaned);
}

static bool add_commit(void *context, const struct be_commit_info *commit)
{
	struct amounts amounts = {
		.expired = commit->state == BE_COMMIT_EXPIRED ? commit->amount : 0,
		.orphaned = commit->state == BE_COMMIT_ORPHANED ? commit->amount : 0,
	};
	struct held *held = context;

	if (commit->state == BE_COMMIT_PENDING)
		return true;
	held->commits++;
	add_amounts(&held->total, &amounts);
	add_amounts(&find_or_add(held, commit->namespace_name, commit->category)->own, &amounts);
	return true;
}

/* A handle in another namespace: this process has the environment open already. */
static enum be_status enter(struct held *held, const char *namespace_name)
{
	struct be_options options = BE_OPTIONS_INIT;

	if (held->handle && strcmp(held->namespace_name, namespace_name) == 0)
		return BE_OK;
	be_close(held->handle);
	held->handle = NULL;
	strcpy(held->namespace_name, namespace_name);
	options.flags = BE_OPEN_READ_ONLY;
	options.namespace_name = namespace_name;
	return tool_open(held->environment, &options, &held->handle);
}

/* Adds what an envelope holds itself to it and to those above it. */
static enum be_status add_upwards(struct held *held, struct holding *holding)
{
	const struct amounts own = holding->own;
	enum be_status status;

	for (int depth = 0; depth < BE_DEPTH_MAX; depth++) {
		struct be_envelope envelope = BE_ENVELOPE_INIT;

		add_amounts(&holding->all, &own);
		status = enter(held, holding->namespace_name);
		if (status == BE_OK)
			status = be_utilization(held->handle, holding->category, &envelope);
		if (status == BE_NO_ENVELOPE || (status == BE_OK && !envelope.has_parent))
			return BE_OK;
		if (status != BE_OK)
			return status;
		holding = find_or_add(held, envelope.parent_namespace, envelope.parent_category);
	}
	return BE_OK;
}

enum be_status held_gather(struct be_enforcer *handle, const char *environment, struct held **held)
{
	struct held *made = calloc(1, sizeof *made);
	enum be_status status;
	size_t count;

	if (!made)
		tool_out_of_memory();
	*held = made;
	made->environment = environment;
	status = be_commits_each(handle, NULL, add_commit, made);
	count = made->count;
	for (size_t i = 0; i < count && status == BE_OK; i++)
		status = add_upwards(made, made->holdings[i]);
	return status;
}

void held_show(const struct held *held, struct envelope_row *row)
{
	struct holding key, **found = NULL;

	row->held_expired = row->held_orphaned = 0;
	if (!held || held->count == 0)
		return;
	strcpy(key.namespace_name, row->envelope.namespace_name);
	strcpy(key.category, row->envelope.category);
	found = tfind(&key, &held->tree, compare_holdings);
	if (!found)
		return;
	row->held_expired = (*found)->all.expired;
	row->held_orphaned = (*found)->all.orphaned;
}

void held_tell(const struct held *held, const char *environment)
{
	char expired[BE_AMOUNT_TEXT_SIZE], orphaned[BE_AMOUNT_TEXT_SIZE], sentence[256];

	if (!held || held->commits == 0 ||
	    be_amount_format(held->total.expired, expired, sizeof expired) != BE_OK ||
	    be_amount_format(held->total.orphaned, orphaned, sizeof orphaned) != BE_OK)
		return;
	snprintf(sentence, sizeof sentence,
		 "of what is committed, %s is held by dead owners and %s by commits past their "
		 "deadline, until somebody needs the money, or be-ctl reap ends them",
		 orphaned, expired);
	complain(environment, sentence);
}

void held_free(struct held *held)
{
	if (!held)
		return;
	for (size_t i = 0; i < held->count; i++) {
		tdelete(held->holdings[i], &held->tree, compare_holdings);
		free(held->holdings[i]);
	}
	free(held->holdings);
	be_close(held->handle);
	free(held);
}
