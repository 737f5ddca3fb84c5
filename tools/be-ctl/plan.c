/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares what is declared with what is there.
 *
 * The plan is made from a listing, before the txn that carries it out. What the rules of the
 * library would refuse is found here already where it can be, because here the place in the file is
 * known and --dry-run ends here; the library has the last word.
 */
#include "plan.h"

#include "answer.h"
#include "tool.h"

#include <stdlib.h>
#include <string.h>

struct planner {
	struct plan *plan;
	struct declaration *declaration;
	bool *created; /* for each that is declared: is it in the plan to be created? */
};

/* ---- what is there */

static bool copy_envelope(void *context, const struct be_envelope *envelope)
{
	struct plan *plan = context;

	/* Room doubles whenever the count is a power of two. */
	if ((plan->current_count & (plan->current_count - 1)) == 0) {
		plan->current = reallocarray(plan->current,
					     plan->current_count ? 2 * plan->current_count : 1,
					     sizeof *plan->current);
		if (!plan->current)
			tool_out_of_memory();
	}
	plan->current[plan->current_count++] = *envelope;
	return true;
}

static const struct be_envelope *find_current(const struct plan *plan, const char *namespace_name,
					      const char *category)
{
	size_t low = 0, high = plan->current_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct be_envelope *envelope = &plan->current[middle];
		int order = strcmp(envelope->namespace_name, namespace_name);

		if (order == 0)
			order = strcmp(envelope->category, category);
		if (order == 0)
			return envelope;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const struct declared *find_declared(const struct declaration *declaration,
					    const char *namespace_name, const char *category)
{
	for (size_t i = 0; i < declaration->count; i++) {
		const struct declared *declared = &declaration->envelopes[i];

		if (strcmp(declared->namespace_name, namespace_name) == 0 &&
		    strcmp(declared->category, category) == 0)
			return declared;
	}
	return NULL;
}

/* ---- steps */

/* Adds a step of one change. At most two for each that is declared and one for each that is
 * there. */
static struct be_envelope_change *add(struct plan *plan, enum be_operation operation,
				      const struct declared *declared,
				      const struct be_envelope *before)
{
	struct be_envelope_change *change = &plan->changes[plan->count];

	plan->steps[plan->count] = (struct step){declared, before, BE_ENVELOPE_OPTIONS_INIT};
	*change = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
	change->operation = operation;
	change->namespace_name = declared ? declared->namespace_name : before->namespace_name;
	change->category = declared ? declared->category : before->category;
	change->limit = declared ? declared->limit : 0;
	plan->count++;
	return change;
}

static void add_creation(struct plan *plan, const struct declared *declared)
{
	struct be_envelope_change *change = add(plan, BE_OPERATION_CREATE, declared, NULL);
	struct be_envelope_options *options = &plan->steps[plan->count - 1].options;

	options->suspended = declared->suspended;
	options->parent_namespace = declared->parent_namespace;
	options->parent_category = declared->parent_category;
	options->period_start_ns = declared->start_ns;
	change->period = declared->period;
	change->options = options;
}

static bool has_same_parent(const struct declared *declared, const struct be_envelope *envelope)
{
	if (!declared->parent_category || !envelope->has_parent)
		return !declared->parent_category && !envelope->has_parent;
	return strcmp(declared->parent_namespace, envelope->parent_namespace) == 0 &&
	       strcmp(declared->parent_category, envelope->parent_category) == 0;
}

static void plan_existing(struct planner *planner, const struct declared *declared,
			  const struct be_envelope *envelope)
{
	if (declared->period != envelope->period)
		declaration_complain(
			planner->declaration, declared->period_at,
			"'%s' is %s, and a period cannot be changed; remove the envelope first, or "
			"declare it %s",
			declared->category, be_period_name(envelope->period),
			be_period_name(envelope->period));
	if (!has_same_parent(declared, envelope)) {
		char *label = envelope->has_parent ? answer_label(envelope->parent_namespace,
								  envelope->parent_category)
						   : NULL;

		declaration_complain(planner->declaration, declared->parent_at,
				     "the parent of '%s' is %s, and a parent cannot be changed; "
				     "remove the envelope "
				     "first, or declare that",
				     declared->category, label ? label : "none");
		free(label);
	}
	if (declared->limit != envelope->limit)
		add(planner->plan, BE_OPERATION_SET_LIMIT, declared, envelope);
	if (declared->says_suspended && declared->suspended != envelope->suspended)
		add(planner->plan, declared->suspended ? BE_OPERATION_SUSPEND : BE_OPERATION_RESUME,
		    declared, envelope);
}

/* ---- parents */

/* How many envelopes are in the chain of this one; 0: it does not end, or a parent is missing. */
static unsigned depth(const struct planner *planner, const char *namespace_name,
		      const char *category)
{
	unsigned count = 0;

	/* Longer than any that is possible, so that the library's own limit is found to be
	 * exceeded. */
	while (category && count <= planner->declaration->count + BE_DEPTH_MAX) {
		const struct be_envelope *there =
			find_current(planner->plan, namespace_name, category);
		const struct declared *declared =
			there ? NULL
			      : find_declared(planner->declaration, namespace_name, category);

		if (!there && !declared)
			return 0;
		count++;
		namespace_name = there ? there->parent_namespace : declared->parent_namespace;
		category = there ? (there->has_parent ? there->parent_category : NULL)
				 : declared->parent_category;
	}
	return category ? 0 : count;
}

static bool parent_is_ready(const struct planner *planner, const struct declared *declared)
{
	const struct declared *parent;

	if (!declared->parent_category ||
	    find_current(planner->plan, declared->parent_namespace, declared->parent_category))
		return true;
	parent = find_declared(planner->declaration, declared->parent_namespace,
			       declared->parent_category);
	return parent && planner->created[parent - planner->declaration->envelopes];
}

/* Says why this one's parent never became ready; nothing where that is the fault of an ancestor. */
static void complain_of_parent(struct planner *planner, const struct declared *declared)
{
	const struct declared *up = declared;

	if (!find_declared(planner->declaration, declared->parent_namespace,
			   declared->parent_category)) {
		declaration_complain(planner->declaration, declared->parent_at,
				     "the parent of '%s' is neither there nor declared",
				     declared->category);
		return;
	}
	for (size_t steps = 0; up && up->parent_category && steps < planner->declaration->count;
	     steps++) {
		up = find_declared(planner->declaration, up->parent_namespace, up->parent_category);
		if (up == declared) {
			declaration_complain(planner->declaration, declared->parent_at,
					     "'%s' would be its own ancestor", declared->category);
			return;
		}
	}
}

/* Creates what is missing, parents before their children. */
static void plan_missing(struct planner *planner)
{
	struct declaration *declaration = planner->declaration;
	bool progress = true;

	while (progress) {
		progress = false;
		for (size_t i = 0; i < declaration->count; i++) {
			const struct declared *declared = &declaration->envelopes[i];

			if (planner->created[i] ||
			    find_current(planner->plan, declared->namespace_name,
					 declared->category) ||
			    !parent_is_ready(planner, declared))
				continue;
			if (depth(planner, declared->namespace_name, declared->category) >
			    BE_DEPTH_MAX)
				declaration_complain(
					declaration, declared->parent_at,
					"'%s' would be in a chain of more than %d envelopes",
					declared->category, BE_DEPTH_MAX);
			add_creation(planner->plan, declared);
			planner->created[i] = progress = true;
		}
	}
	for (size_t i = 0; i < declaration->count; i++) {
		const struct declared *declared = &declaration->envelopes[i];

		if (!planner->created[i] &&
		    !find_current(planner->plan, declared->namespace_name, declared->category))
			complain_of_parent(planner, declared);
	}
}

/* ---- removal */

static bool is_to_be_removed(const struct planner *planner, const struct be_envelope *envelope)
{
	bool declares_some = false;

	for (size_t i = 0; i < planner->declaration->count; i++) {
		const struct declared *declared = &planner->declaration->envelopes[i];

		if (strcmp(declared->namespace_name, envelope->namespace_name) != 0)
			continue;
		if (strcmp(declared->category, envelope->category) == 0)
			return false;
		declares_some = true;
	}
	return declares_some;
}

static bool is_parent(const struct be_envelope *envelope, const char *namespace_name,
		      const char *category)
{
	return category && strcmp(envelope->namespace_name, namespace_name) == 0 &&
	       strcmp(envelope->category, category) == 0;
}

/* Complains when something will stay that is below this one, or holds money in it. */
static void check_removal(struct planner *planner, const struct be_envelope *envelope,
			  const bool *removed)
{
	const struct plan *plan = planner->plan;
	const struct declaration *declaration = planner->declaration;
	char *label = answer_label(envelope->namespace_name, envelope->category);
	const char *child = NULL;

	for (size_t i = 0; i < plan->current_count && !child; i++)
		if (!removed[i] && plan->current[i].has_parent &&
		    is_parent(envelope, plan->current[i].parent_namespace,
			      plan->current[i].parent_category))
			child = plan->current[i].category;
	for (size_t i = 0; i < declaration->count && !child; i++)
		if (is_parent(envelope, declaration->envelopes[i].parent_namespace,
			      declaration->envelopes[i].parent_category))
			child = declaration->envelopes[i].category;
	if (child)
		declaration_complain(
			planner->declaration, (struct mark){1, 1},
			"'%s' is not declared, but cannot be removed: '%s' stays below it", label,
			child);
	else if (envelope->pending_commits > 0)
		declaration_complain(planner->declaration, (struct mark){1, 1},
				     "'%s' is not declared, but cannot be removed: commits are "
				     "pending against it",
				     label);
	free(label);
}

/* Removes what is not declared, children before their parents. */
static void plan_removal(struct planner *planner)
{
	struct plan *plan = planner->plan;
	bool *removed = calloc(plan->current_count + 1, sizeof *removed);

	if (!removed)
		tool_out_of_memory();
	for (size_t i = 0; i < plan->current_count; i++)
		removed[i] = is_to_be_removed(planner, &plan->current[i]);
	for (unsigned level = BE_DEPTH_MAX; level > 0; level--)
		for (size_t i = 0; i < plan->current_count; i++) {
			const struct be_envelope *envelope = &plan->current[i];

			if (!removed[i] ||
			    depth(planner, envelope->namespace_name, envelope->category) != level)
				continue;
			check_removal(planner, envelope, removed);
			add(plan, BE_OPERATION_REMOVE, NULL, envelope);
		}
	free(removed);
}

/* ---- all together */

enum be_status plan_make(struct plan *plan, struct declaration *declaration,
			 struct be_enforcer *handle, bool prune)
{
	struct planner planner = {.plan = plan, .declaration = declaration};
	enum be_status status = BE_OK;
	size_t most;

	*plan = (struct plan){.count = 0};
	if (handle)
		status = be_envelopes_each(handle, NULL, copy_envelope, plan);
	if (status != BE_OK)
		return status;
	most = 2 * declaration->count + plan->current_count + 1;
	plan->steps = calloc(most, sizeof *plan->steps);
	plan->changes = calloc(most, sizeof *plan->changes);
	planner.created = calloc(declaration->count + 1, sizeof *planner.created);
	if (!plan->steps || !plan->changes || !planner.created)
		tool_out_of_memory();
	for (size_t i = 0; i < declaration->count; i++) {
		const struct declared *declared = &declaration->envelopes[i];
		const struct be_envelope *envelope =
			find_current(plan, declared->namespace_name, declared->category);

		if (envelope)
			plan_existing(&planner, declared, envelope);
	}
	plan_missing(&planner);
	if (prune)
		plan_removal(&planner);
	free(planner.created);
	return BE_OK;
}

void plan_free(struct plan *plan)
{
	free(plan->current);
	free(plan->steps);
	free(plan->changes);
}
