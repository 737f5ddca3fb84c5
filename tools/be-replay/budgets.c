/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes that a file declares. The file is judged as a whole before the environment is touched:
 * as be-ctl apply would judge it for an environment in which nothing is, so that a chain of parents
 * never leads to an envelope of which the replay knows nothing.
 */
#include "budgets.h"

#include "complain.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_YAML
#include "declaration.h"
#include "plan.h"
#include "text.h"

uint32_t budgets_find(const struct budgets *budgets, const char *namespace_name,
		      const char *category)
{
	const struct declared *declared =
		budgets->declaration
			? declaration_find(budgets->declaration, namespace_name, category)
			: NULL;

	return declared ? (uint32_t)(declared - budgets->declaration->envelopes) : BUDGET_NONE;
}

static void take_declared(struct budgets *budgets)
{
	const struct declaration *declaration = budgets->declaration;

	budgets->count = (uint32_t)declaration->count;
	budgets->of = calloc(declaration->count, sizeof *budgets->of);
	if (!budgets->of)
		tool_out_of_memory();
	for (uint32_t i = 0; i < budgets->count; i++) {
		const struct declared *declared = &declaration->envelopes[i];

		budgets->of[i] = (struct budget){
			.namespace_name = declared->namespace_name,
			.category = declared->category,
			.parent = declared->parent_category
					  ? budgets_find(budgets, declared->parent_namespace,
							 declared->parent_category)
					  : BUDGET_NONE,
			.period = (enum be_period)declared->period,
			.limit = declared->limit,
		};
	}
}

int budgets_read(struct budgets *budgets)
{
	static struct declaration declaration;
	struct plan plan;
	int result = declaration_read(&declaration, budgets->file);

	if (result != 0)
		return result;
	if (declaration.count == 0) {
		complain(declaration.file, "it declares no envelope");
		return TOOL_EXIT_USAGE;
	}
	/* Without an environment there is nothing that could fail but what is complained of. */
	if (plan_make(&plan, &declaration, NULL, false) != BE_OK || declaration.errors > 0)
		result = TOOL_EXIT_USAGE;
	plan_free(&plan);
	budgets->file = declaration.file;
	budgets->declaration = &declaration;
	if (result == 0)
		take_declared(budgets);
	return result;
}

/* ---- making them */

/* Moves the start of windows back, by whole windows, to where the replay begins or before: a file
 * of today names today's windows, and the log is one of yesterday. */
static void move_start(struct declared *declared, int64_t begin_ns)
{
	int64_t length_ns = be_period_seconds((enum be_period)declared->period) * BE_UNIT;
	int64_t late_ns = declared->start_ns - begin_ns;

	if (declared->start_ns == 0 || late_ns <= 0)
		return;
	if (length_ns > 0)
		declared->start_ns -= (late_ns + length_ns - 1) / length_ns * length_ns;
	/* Windows that never end begin with the replay. */
	if (length_ns == 0 || declared->start_ns < 0)
		declared->start_ns = 0;
}

/* Complains of envelopes that are there, and otherwise than declared. */
static void refuse_changes(struct declaration *declaration, const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct declared *declared = plan->steps[i].declared;

		if (plan->changes[i].operation != BE_OPERATION_CREATE && !plan->steps[i].is_half)
			declaration_complain(
				declaration, declared->at,
				"'%s' exists, and not as it is declared here; be-replay "
				"never changes it: name another DIR",
				declared->category);
	}
}

static bool take_spent(void *context, const struct be_envelope *envelope)
{
	const struct budgets *budgets = context;
	uint32_t number = budgets_find(budgets, envelope->namespace_name, envelope->category);

	if (number != BUDGET_NONE)
		budgets->of[number].spent_before = envelope->spent;
	return true;
}

static bool fault(const char *directory, enum be_status status)
{
	const char *details = be_last_error();

	complain(directory, *details ? details : be_status_text(status));
	return false;
}

static bool make(struct declaration *declaration, struct be_enforcer *handle, const char *directory,
		 const struct plan *plan)
{
	size_t failed = plan->count;
	enum be_status status = BE_OK;

	if (plan->count > 0)
		status = be_envelopes_apply(handle, plan->changes, plan->count, &failed);
	if (status == BE_OK || failed == plan->count)
		return status == BE_OK || fault(directory, status);
	declaration_complain(declaration, plan->steps[failed].declared->at, "'%s': %s",
			     plan->changes[failed].category,
			     *be_last_error() ? be_last_error() : be_status_text(status));
	return false;
}

bool budgets_make(struct budgets *budgets, struct be_enforcer *handle, const char *directory,
		  int64_t begin_ns)
{
	struct declaration *declaration = budgets->declaration;
	enum be_status status;
	struct plan plan;
	bool made = false;

	for (size_t i = 0; i < declaration->count; i++)
		move_start(&declaration->envelopes[i], begin_ns);
	status = plan_make(&plan, declaration, handle, false);
	if (status != BE_OK) {
		fault(directory, status);
		goto out;
	}
	refuse_changes(declaration, &plan);
	if (declaration->errors > 0 || !make(declaration, handle, directory, &plan))
		goto out;
	status = be_envelopes_each(handle, NULL, take_spent, budgets);
	made = status == BE_OK || fault(directory, status);
out:
	plan_free(&plan);
	return made;
}

/* ---- choosing one */

bool budgets_choose(void *context, const char *namespace_name, const char *category,
		    uint32_t *envelope, char why[LOG_WHY_SIZE])
{
	const struct budgets *budgets = context;
	const char *usual = budgets->namespace_name ? budgets->namespace_name : "";
	const char *others = budgets->category;
	char *label;

	if (!namespace_name)
		namespace_name = usual;
	if (!category && !others)
		others = "llm";
	*envelope = category ? budgets_find(budgets, namespace_name, category) : BUDGET_NONE;
	if (*envelope == BUDGET_NONE && others)
		*envelope = budgets_find(budgets, namespace_name, others);
	if (*envelope == BUDGET_NONE && others)
		*envelope = budgets_find(budgets, usual, others);
	if (*envelope != BUDGET_NONE)
		return true;
	label = text_label(namespace_name, others ? others : category);
	snprintf(why, LOG_WHY_SIZE, "no envelope '%.160s' is declared%s", label,
		 others ? "" : "; --category names the one for such requests");
	free(label);
	return false;
}

#else

int budgets_read(struct budgets *budgets)
{
	complain(budgets->file, "this be-replay was built without libyaml, and reads no such file");
	return TOOL_EXIT_USAGE;
}

bool budgets_choose(void *context, const char *namespace_name, const char *category,
		    uint32_t *envelope, char why[LOG_WHY_SIZE])
{
	(void)context;
	(void)namespace_name;
	(void)category;
	(void)envelope;
	*why = '\0';
	return false;
}

uint32_t budgets_find(const struct budgets *budgets, const char *namespace_name,
		      const char *category)
{
	(void)budgets;
	(void)namespace_name;
	(void)category;
	return BUDGET_NONE;
}

bool budgets_make(struct budgets *budgets, struct be_enforcer *handle, const char *directory,
		  int64_t begin_ns)
{
	(void)budgets;
	(void)handle;
	(void)directory;
	(void)begin_ns;
	return false;
}

#endif
