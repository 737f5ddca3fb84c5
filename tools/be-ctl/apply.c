/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the envelopes to what a file declares: reads it, plans, and carries the plan out in one
 * txn.
 *
 * Between the plan and the txn another process may have made or removed an envelope. The txn is
 * refused then, and a new plan is made.
 */
#include "apply.h"

#include "answer.h"
#include "plan.h"
#include "text.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS 8

const char apply_help[] =
	"FILE is YAML; - is standard input:\n"
	"\n"
	"  envelopes:\n"
	"    - category: llm          # needed, as is the limit\n"
	"      limit: 100\n"
	"      period: daily          # hourly, daily, weekly, monthly, total (default)\n"
	"      start: 2023-11-16      # when a window began; only for a new one\n"
	"    - category: llm\n"
	"      namespace: task-42     # default: the empty one\n"
	"      limit: 2.50\n"
	"      parent: {category: llm, namespace: \"\"}    # or 'parent: CATEGORY'\n"
	"      suspended: false       # when left out, it stays as it is\n"
	"\n"
	"What is missing is created, limits are changed keeping what was spent, envelopes are "
	"suspended or "
	"resumed. A parent without a namespace is in its child's. Nothing is removed without "
	"--prune. What "
	"was done is printed, one line for each change. "
	"Periods "
	"and parents cannot be changed: a FILE that wants to is refused as a whole, with line and "
	"column.\n"
	"\n";

/* ---- showing a plan */

static void print_amount(const char *before, int64_t amount)
{
	char text[BE_AMOUNT_TEXT_SIZE];

	if (be_amount_format(amount, text, sizeof text) == BE_OK)
		printf("%s%s", before, text);
}

static void print_creation(const struct declared *declared)
{
	print_amount(": limit ", declared->limit);
	printf(", %s", be_period_name(declared->period));
	if (declared->parent_category) {
		char *label = answer_label(declared->parent_namespace, declared->parent_category);
		char *safe = text_escape(label);

		printf(", below %s", safe);
		free(safe);
		free(label);
	}
	printf("%s\n", declared->suspended ? ", suspended" : "");
}

static void print_step(const struct step *step, const struct be_envelope_change *change)
{
	char *label = answer_label(change->namespace_name, change->category);
	char *safe = text_escape(label);

	printf("%s %s",
	       change->operation == BE_OPERATION_SET_LIMIT ? "set-limit"
							   : be_operation_name(change->operation),
	       safe);
	free(safe);
	free(label);
	if (change->operation == BE_OPERATION_CREATE) {
		print_creation(step->declared);
	} else if (change->operation == BE_OPERATION_SET_LIMIT) {
		print_amount(": from ", step->before->limit);
		print_amount(" to ", change->limit);
		print_amount(", keeping ", step->before->spent);
		puts(" spent");
	} else {
		putchar('\n');
	}
}

static json_t *json_of_step(const struct step *step, const struct be_envelope_change *change)
{
	const struct declared *declared = step->declared;
	json_t *object = json_object();

	answer_add(object, "change", json_string(be_operation_name(change->operation)));
	answer_add(object, "namespace", answer_json_text(change->namespace_name));
	answer_add(object, "category", answer_json_text(change->category));
	if (change->operation == BE_OPERATION_CREATE) {
		json_t *parent = json_null();

		if (declared->parent_category) {
			parent = json_object();
			answer_add(parent, "namespace",
				   answer_json_text(declared->parent_namespace));
			answer_add(parent, "category", answer_json_text(declared->parent_category));
		}
		answer_add(object, "limit", answer_json_amount(declared->limit));
		answer_add(object, "period", json_string(be_period_name(declared->period)));
		answer_add(object, "parent", parent);
		answer_add(object, "suspended", json_boolean(declared->suspended));
	} else if (change->operation == BE_OPERATION_SET_LIMIT) {
		answer_add(object, "from", answer_json_amount(step->before->limit));
		answer_add(object, "to", answer_json_amount(change->limit));
		answer_add(object, "spent", answer_json_amount(step->before->spent));
	}
	return object;
}

/* Tells what was done, or would be. */
static void show(const struct plan *plan, struct answer *answer)
{
	json_t *changes = json_array();

	for (size_t i = 0; i < plan->count; i++) {
		if (!answer->request->json)
			print_step(&plan->steps[i], &plan->changes[i]);
		else if (json_array_append_new(
				 changes, json_of_step(&plan->steps[i], &plan->changes[i])) != 0)
			tool_out_of_memory();
	}
	if (!answer->request->json && plan->count == 0)
		puts("nothing to change");
	answer->more = json_object();
	answer_add(answer->more, "dry_run", json_boolean(answer->request->dry_run));
	answer_add(answer->more, "changes", changes);
}

/* ---- carrying it out */

/* Where in the file the change that was refused was asked for. */
static void complain_of_change(const struct request *request, struct declaration *declaration,
			       const struct plan *plan, size_t failed, enum be_status status)
{
	const struct declared *declared = plan->steps[failed].declared;
	char *sentence = answer_sentence(request, status, NULL);

	declaration_complain(declaration, declared ? declared->at : (struct mark){1, 1}, "'%s': %s",
			     plan->changes[failed].category, sentence);
	free(sentence);
}

/* Plans and applies. `handle` NULL: there is nothing yet, and --dry-run. */
static int apply(const struct request *request, struct declaration *declaration,
		 struct be_enforcer *handle)
{
	struct answer answer = answer_to(request);
	enum be_status status = BE_OK;
	struct plan plan;
	size_t failed;
	int result;

	for (int attempt = 1;; attempt++) {
		status = plan_make(&plan, declaration, handle, request->prune);
		if (status != BE_OK || declaration->errors > 0 || request->dry_run)
			break;
		status = be_envelopes_apply(handle, plan.changes, plan.count, &failed);
		if (!be_status_is_refusal(status))
			break;
		if (attempt == ATTEMPTS) {
			complain_of_change(request, declaration, &plan, failed, status);
			break;
		}
		plan_free(&plan);
	}
	if (status == BE_OK && declaration->errors == 0)
		show(&plan, &answer);
	/* What the planner refuses has no status of the library's. */
	answer.told = declaration->errors > 0;
	if (status == BE_OK && answer.told) {
		answer.more = json_object();
		answer_add(answer.more, "status", json_string("refused"));
	}
	result = answer_finish(&answer, status);
	plan_free(&plan);
	return answer.told ? EXIT_REFUSED : result;
}

int apply_run(const struct request *request)
{
	struct declaration declaration;
	struct be_enforcer *handle = NULL;
	enum be_status status = BE_OK;
	int result = declaration_read(&declaration, request->file);

	if (result == 0) {
		status = answer_open(request, request->dry_run ? BE_OPEN_READ_ONLY : 0, &handle);
		if (status == BE_NOT_FOUND && request->dry_run)
			status = BE_OK;
		if (status == BE_OK) {
			result = apply(request, &declaration, handle);
		} else {
			struct answer answer = answer_to(request);

			result = answer_finish(&answer, status);
		}
	}
	be_close(handle);
	declaration_free(&declaration);
	return result;
}
