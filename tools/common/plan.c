/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares what is declared with what is there.
 *
 * The plan is made while the envelopes are listed, before the txn that carries it out. Where the
 * planner can tell, it finds what the library's rules would refuse, because it knows the place in
 * the file, and because --dry-run ends here. The library has the last word.
 *
 * Nothing is kept of envelopes that are as declared, and little of the others.
 */
#include "plan.h"

#include "text.h"
#include "texts.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOO_DEEP (BE_DEPTH_MAX + 1)

struct planner {
	struct plan *plan;
	struct declaration *declaration;
};

/* Room doubles whenever the count is a power of two. */
static void *grow(void *array, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return array;
	array = reallocarray(array, count ? 2 * count : 1, size);
	if (!array)
		tool_out_of_memory();
	return array;
}

/* ---- steps */

static struct be_envelope_change *add(struct plan *plan, enum be_operation operation,
				      const struct plan_step *step)
{
	struct be_envelope_change *change;

	plan->steps = grow(plan->steps, plan->count, sizeof *plan->steps);
	plan->changes = grow(plan->changes, plan->count, sizeof *plan->changes);
	plan->steps[plan->count] = *step;
	change = &plan->changes[plan->count++];
	*change = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
	change->operation = operation;
	if (step->declared) {
		change->namespace_name = step->declared->namespace_name;
		change->category = step->declared->category;
		change->limit = step->declared->limit;
	}
	return change;
}

static struct note *add_note(struct plan *plan, enum note_kind kind, const char *namespace_name,
			     const char *category)
{
	plan->notes = grow(plan->notes, plan->note_count, sizeof *plan->notes);
	plan->notes[plan->note_count] =
		(struct note){.kind = kind, .namespace_name = namespace_name, .category = category};
	return &plan->notes[plan->note_count++];
}

/* Changes point to options, which must not move. */
#define OPTIONS_BLOCK 1024
struct options_block {
	struct options_block *before;
	size_t count;
	struct be_envelope_options options[OPTIONS_BLOCK];
};

static bool are_equal(const struct be_envelope_options *a, const struct be_envelope_options *b)
{
	return a->suspended == b->suspended && a->parent_namespace == b->parent_namespace &&
	       a->parent_category == b->parent_category &&
	       a->period_start_ns == b->period_start_ns && a->zone == b->zone &&
	       a->begins_on == b->begins_on;
}

/* The same ones as last time, if they are. */
static const struct be_envelope_options *keep_options(struct plan *plan,
						      const struct be_envelope_options *options)
{
	struct options_block *block = plan->options;

	if (block && are_equal(&block->options[block->count - 1], options))
		return &block->options[block->count - 1];
	if (!block || block->count == OPTIONS_BLOCK) {
		block = malloc(sizeof *block);
		if (!block)
			tool_out_of_memory();
		block->before = plan->options;
		block->count = 0;
		plan->options = block;
	}
	block->options[block->count] = *options;
	return &block->options[block->count++];
}

/* Another parent: another list of what must not move. */
struct new_parent {
	struct new_parent *before;
	struct be_settings settings;
};

static const struct be_settings no_parent = {.size = sizeof no_parent, .mask = BE_SET_PARENT};

/* ---- what is there */

static bool has_same_parent(const struct declared *declared, const struct be_envelope *envelope)
{
	if (!declared->parent_category || !envelope->has_parent)
		return !declared->parent_category && !envelope->has_parent;
	return strcmp(declared->parent_namespace, envelope->parent_namespace) == 0 &&
	       strcmp(declared->parent_category, envelope->parent_category) == 0;
}

/* Quarters and years are those of UTC where no zone is declared. */
static bool has_same_calendar(const struct declared *declared, const struct be_envelope *envelope)
{
	const char *zone = declared->zone                         ? declared->zone
			   : declared->period > BE_PERIOD_MONTHLY ? "UTC"
								  : "";

	return strcmp(zone, envelope->zone) == 0 && declared->begins_on == envelope->begins_on;
}

static void complain_of_difference(struct declaration *declaration, const struct declared *declared,
				   const struct be_envelope *envelope)
{
	if (declared->period != envelope->period || !has_same_calendar(declared, envelope))
		declaration_complain(
			declaration, declared->period_at,
			"'%s' is %s%s%s, which be-ctl set changes; declare it so, or set it before",
			declared->category, be_period_name(envelope->period),
			*envelope->zone ? " in the zone " : "", envelope->zone);
}

/* All that move leave their parents first, and get the new ones when all is created: so no chain is
 * a loop, or longer than in the end, in between. */
static void plan_leaving(struct planner *planner, struct declared *declared,
			 const struct be_envelope *envelope)
{
	struct plan *plan = planner->plan;
	struct plan_step step = {.declared = declared, .is_half = declared->parent_category};

	declared->is_moved = true;
	if (envelope->pending_commits > 0)
		declaration_complain(planner->declaration, declared->parent_at,
				     "'%s' cannot get another parent while commits are pending "
				     "there or below it: %" PRIu64,
				     declared->category, envelope->pending_commits);
	if (!envelope->has_parent)
		return;
	step.from_namespace = texts_keep(plan->texts, envelope->parent_namespace);
	step.from_category = texts_keep(plan->texts, envelope->parent_category);
	declared->from_namespace = step.from_namespace;
	declared->from_category = step.from_category;
	add(plan, BE_OPERATION_SET, &step)->settings = &no_parent;
}

/* Does a window begin where it is declared to? */
static bool has_same_start(const struct declared *declared, const struct be_envelope *envelope)
{
	int64_t period_s = *envelope->zone ? 0 : be_period_seconds(envelope->period);
	int64_t between_ns = envelope->period_start_ns - declared->start_ns;

	return declared->start_ns == 0 ||
	       (period_s > 0 ? between_ns % (period_s * BE_UNIT) == 0 : between_ns == 0);
}

static void plan_existing(struct planner *planner, struct declared *declared,
			  const struct be_envelope *envelope)
{
	struct plan_step step = {
		.declared = declared, .limit = envelope->limit, .spent = envelope->spent};
	struct plan *plan = planner->plan;

	declared->is_there = true;
	complain_of_difference(planner->declaration, declared, envelope);
	if (!has_same_parent(declared, envelope))
		plan_leaving(planner, declared, envelope);
	if (declared->limit != envelope->limit)
		add(plan, BE_OPERATION_SET_LIMIT, &step);
	if (declared->says_suspended && declared->suspended != envelope->suspended)
		add(plan, declared->suspended ? BE_OPERATION_SUSPEND : BE_OPERATION_RESUME, &step);
	if (!has_same_start(declared, envelope)) {
		struct note *note =
			add_note(plan, NOTE_START, declared->namespace_name, declared->category);

		note->start_ns = envelope->period_start_ns;
		note->declared_ns = declared->start_ns;
	}
}

static void keep_other(struct plan *plan, const struct be_envelope *envelope)
{
	struct other *other;

	plan->others = grow(plan->others, plan->other_count, sizeof *plan->others);
	other = &plan->others[plan->other_count++];
	*other = (struct other){
		.namespace_name = texts_keep(plan->texts, envelope->namespace_name),
		.category = texts_keep(plan->texts, envelope->category),
		.limit = envelope->limit,
		.spent = envelope->spent,
		.committed = envelope->committed,
		.has_commits = envelope->pending_commits > 0,
	};
	if (envelope->has_parent) {
		other->parent_namespace = texts_keep(plan->texts, envelope->parent_namespace);
		other->parent_category = texts_keep(plan->texts, envelope->parent_category);
	}
}

static bool take_envelope(void *context, const struct be_envelope *envelope)
{
	struct planner *planner = context;
	struct declared *declared = declaration_find(planner->declaration, envelope->namespace_name,
						     envelope->category);

	if (declared)
		plan_existing(planner, declared, envelope);
	else
		keep_other(planner->plan, envelope);
	return true;
}

static struct other *find_other(const struct plan *plan, const char *namespace_name,
				const char *category)
{
	size_t low = 0, high = plan->other_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct other *other = &plan->others[middle];
		int order = strcmp(other->namespace_name, namespace_name);

		if (order == 0)
			order = strcmp(other->category, category);
		if (order == 0)
			return other;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* ---- what is missing */

/* How many envelopes are in the chain of this one, which are all there or planned; TOO_DEEP when
 * there are more than a chain may have. */
static unsigned depth(const struct planner *planner, const char *namespace_name,
		      const char *category)
{
	unsigned count = 0;

	while (category && count < TOO_DEEP) {
		const struct declared *declared =
			declaration_find(planner->declaration, namespace_name, category);
		const struct other *other =
			declared ? NULL : find_other(planner->plan, namespace_name, category);

		count++;
		if (!declared && !other)
			break;
		namespace_name = declared ? declared->parent_namespace : other->parent_namespace;
		category = declared ? declared->parent_category : other->parent_category;
	}
	return count;
}

static void add_creation(struct planner *planner, struct declared *declared)
{
	struct plan_step step = {.declared = declared};
	struct be_envelope_change *change = add(planner->plan, BE_OPERATION_CREATE, &step);
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.suspended = declared->suspended;
	options.parent_namespace = declared->parent_namespace;
	options.parent_category = declared->parent_category;
	options.period_start_ns = declared->start_ns;
	options.zone = declared->zone;
	options.begins_on = declared->begins_on;
	change->period = (enum be_period)declared->period;
	change->options = keep_options(planner->plan, &options);
	declared->is_created = true;
	declaration_find_namespace(planner->declaration, declared->namespace_name)->makes_new =
		true;
	if (depth(planner, declared->namespace_name, declared->category) > BE_DEPTH_MAX)
		declaration_complain(planner->declaration, declared->parent_at,
				     "'%s' would be in a chain of more than %d envelopes",
				     declared->category, BE_DEPTH_MAX);
}

/* The parent of a missing envelope, if the parent is missing, too, and declared. *is_lost: the
 * parent is neither there nor declared. */
static struct declared *missing_parent(const struct planner *planner,
				       const struct declared *declared, bool *is_lost)
{
	struct declared *parent;

	*is_lost = false;
	if (!declared->parent_category)
		return NULL;
	parent = declaration_find(planner->declaration, declared->parent_namespace,
				  declared->parent_category);
	if (parent)
		return parent->is_there || parent->is_created ? NULL : parent;
	*is_lost =
		!find_other(planner->plan, declared->parent_namespace, declared->parent_category);
	return NULL;
}

/* Creates a missing envelope, its ancestors first. An envelope whose chain is a loop, or leads to
 * nothing, is left out with a complaint. */
static void plan_missing_one(struct planner *planner, struct declared *declared)
{
	struct declaration *declaration = planner->declaration;
	struct declared **chain = NULL, *up = declared;
	size_t count = 0;
	bool is_lost = false;

	while (up && !up->is_looked_at) {
		chain = grow(chain, count, sizeof(struct declared *));
		chain[count++] = up;
		up->is_looked_at = true;
		up = missing_parent(planner, up, &is_lost);
	}
	if (is_lost)
		declaration_complain(declaration, chain[count - 1]->parent_at,
				     "the parent of '%s' is neither there nor declared",
				     chain[count - 1]->category);
	/* It was met before: in this chain, or in one that was left out. */
	for (size_t i = 0; up && i < count; i++)
		if (chain[i] == up)
			for (size_t j = i; j < count; j++)
				declaration_complain(declaration, chain[j]->parent_at,
						     "'%s' would be its own ancestor",
						     chain[j]->category);
	for (size_t i = count; !is_lost && !up && i > 0; i--)
		add_creation(planner, chain[i - 1]);
	free(chain);
}

static void plan_missing(struct planner *planner)
{
	for (size_t i = 0; i < planner->declaration->count; i++) {
		struct declared *declared = &planner->declaration->envelopes[i];

		if (!declared->is_there && !declared->is_looked_at)
			plan_missing_one(planner, declared);
	}
}

/* ---- other parents */

/* Where the parent of an envelope is declared, or is, and where the chain from it up ends, and not
 * in this envelope: else there is a complaint. */
static bool may_be_below(const struct planner *planner, const struct declared *declared)
{
	const char *namespace_name = declared->parent_namespace;
	const char *category = declared->parent_category;

	for (unsigned i = 0; category && i < TOO_DEEP; i++) {
		const struct declared *up =
			declaration_find(planner->declaration, namespace_name, category);
		const struct other *other =
			up ? NULL : find_other(planner->plan, namespace_name, category);

		if (!up && !other) {
			declaration_complain(planner->declaration, declared->parent_at,
					     "the parent of '%s' is neither there nor declared",
					     declared->category);
			return false;
		}
		if (up == declared) {
			declaration_complain(planner->declaration, declared->parent_at,
					     "'%s' would be its own ancestor", declared->category);
			return false;
		}
		namespace_name = up ? up->parent_namespace : other->parent_namespace;
		category = up ? up->parent_category : other->parent_category;
	}
	return true;
}

static void plan_arriving(struct planner *planner, const struct declared *declared)
{
	struct plan *plan = planner->plan;
	struct plan_step step = {.declared = declared,
				 .from_namespace = declared->from_namespace,
				 .from_category = declared->from_category};
	struct new_parent *move = malloc(sizeof *move);

	if (!move)
		tool_out_of_memory();
	move->before = plan->moves;
	plan->moves = move;
	move->settings = no_parent;
	move->settings.parent_namespace = declared->parent_namespace;
	move->settings.parent_category = declared->parent_category;
	add(plan, BE_OPERATION_SET, &step)->settings = &move->settings;
}

/* What was there and is below one that moves comes to lie deeper, too. */
static void check_depths(struct planner *planner, struct yaml_mark at)
{
	const struct declaration *declaration = planner->declaration;

	for (size_t i = 0; i < declaration->count; i++) {
		const struct declared *declared = &declaration->envelopes[i];

		if (declared->is_there &&
		    depth(planner, declared->namespace_name, declared->category) > BE_DEPTH_MAX)
			declaration_complain(planner->declaration, declared->parent_at,
					     "'%s' would be in a chain of more than %d envelopes",
					     declared->category, BE_DEPTH_MAX);
	}
	for (size_t i = 0; i < planner->plan->other_count; i++) {
		const struct other *other = &planner->plan->others[i];

		if (depth(planner, other->namespace_name, other->category) > BE_DEPTH_MAX)
			declaration_complain(planner->declaration, at,
					     "'%s', which is not declared, would be in a chain of "
					     "more than %d envelopes",
					     other->category, BE_DEPTH_MAX);
	}
}

static void plan_moves(struct planner *planner)
{
	const struct declared *last = NULL;
	size_t errors = planner->declaration->errors;

	for (size_t i = 0; i < planner->declaration->count; i++) {
		const struct declared *declared = &planner->declaration->envelopes[i];

		if (!declared->is_moved || !declared->parent_category)
			continue;
		last = declared;
		if (may_be_below(planner, declared))
			plan_arriving(planner, declared);
	}
	if (last && planner->declaration->errors == errors)
		check_depths(planner, last->parent_at);
}

/* ---- removal */

/* Complains when an envelope below this one will stay, or a commit holds money in it. */
static void check_removal(struct planner *planner, const struct other *other)
{
	char *label = text_label(other->namespace_name, other->category);

	if (other->stays_below)
		declaration_complain(
			planner->declaration, (struct yaml_mark){1, 1},
			"'%s' is not declared, but cannot be removed: '%s' stays below it", label,
			other->stays_below);
	else if (other->has_commits)
		declaration_complain(planner->declaration, (struct yaml_mark){1, 1},
				     "'%s' is not declared, but cannot be removed: commits are "
				     "pending against it",
				     label);
	free(label);
}

static void keep_parent(struct plan *plan, const char *parent_namespace,
			const char *parent_category, const char *child)
{
	struct other *parent =
		parent_category ? find_other(plan, parent_namespace, parent_category) : NULL;

	if (parent && !parent->stays_below)
		parent->stays_below = child;
}

/* Removes what is not declared, children before their parents. */
static void plan_removal(struct planner *planner)
{
	const struct declaration *declaration = planner->declaration;
	struct plan *plan = planner->plan;

	for (size_t i = 0; i < plan->other_count; i++) {
		struct other *other = &plan->others[i];

		other->is_removed =
			declaration_find_namespace(declaration, other->namespace_name) != NULL;
		other->depth = (uint8_t)depth(planner, other->namespace_name, other->category);
	}
	for (size_t i = 0; i < plan->other_count; i++)
		if (!plan->others[i].is_removed)
			keep_parent(plan, plan->others[i].parent_namespace,
				    plan->others[i].parent_category, plan->others[i].category);
	for (size_t i = 0; i < declaration->count; i++)
		keep_parent(plan, declaration->envelopes[i].parent_namespace,
			    declaration->envelopes[i].parent_category,
			    declaration->envelopes[i].category);
	for (unsigned level = BE_DEPTH_MAX; level > 0; level--)
		for (size_t i = 0; i < plan->other_count; i++) {
			const struct other *other = &plan->others[i];
			struct plan_step step = {.limit = other->limit, .spent = other->spent};
			struct be_envelope_change *change;

			if (!other->is_removed || other->depth != level)
				continue;
			check_removal(planner, other);
			change = add(plan, BE_OPERATION_REMOVE, &step);
			change->namespace_name = other->namespace_name;
			change->category = other->category;
		}
}

/* An envelope that was given another name in the file begins anew, and what was spent under the old
 * one stays there. */
static void note_what_is_left(struct planner *planner)
{
	struct plan *plan = planner->plan;

	for (size_t i = 0; i < plan->other_count; i++) {
		const struct other *other = &plan->others[i];
		const struct declared *first =
			declaration_find_namespace(planner->declaration, other->namespace_name);
		struct note *note;

		if (!first || !first->makes_new || other->is_removed ||
		    (other->spent == 0 && other->committed == 0))
			continue;
		note = add_note(plan, NOTE_LEFT, other->namespace_name, other->category);
		note->limit = other->limit;
		note->spent = other->spent;
		note->committed = other->committed;
	}
}

/* ---- all together */

/* Forgets the comparison. */
static void forget(struct declaration *declaration)
{
	for (size_t i = 0; i < declaration->count; i++) {
		struct declared *declared = &declaration->envelopes[i];

		declared->is_there = declared->is_created = declared->is_looked_at =
			declared->is_moved = declared->makes_new = false;
		declared->from_namespace = declared->from_category = NULL;
	}
}

enum be_status plan_make(struct plan *plan, struct declaration *declaration,
			 struct be_enforcer *handle, bool prune)
{
	struct planner planner = {.plan = plan, .declaration = declaration};
	enum be_status status = BE_OK;

	*plan = (struct plan){.texts = texts_make()};
	forget(declaration);
	if (handle)
		status = be_envelopes_each(handle, NULL, take_envelope, &planner);
	if (status != BE_OK)
		return status;
	plan_missing(&planner);
	plan_moves(&planner);
	if (prune)
		plan_removal(&planner);
	note_what_is_left(&planner);
	return BE_OK;
}

void plan_free(struct plan *plan)
{
	while (plan->options) {
		struct options_block *before = plan->options->before;

		free(plan->options);
		plan->options = before;
	}
	while (plan->moves) {
		struct new_parent *before = plan->moves->before;

		free(plan->moves);
		plan->moves = before;
	}
	free(plan->changes);
	free(plan->steps);
	free(plan->notes);
	free(plan->others);
	texts_free(plan->texts);
}
