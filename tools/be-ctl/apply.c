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
#include "moment.h"
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
	"resumed, and move below the parent that is declared, for what is spent from then on. A "
	"parent without a namespace is in its child's. Nothing is removed without "
	"--prune. What "
	"was done is printed, one line for each change, and what differs and is not changed as a "
	"note: "
	"the start of a window, and what was spent in an envelope that FILE does not declare any "
	"more. "
	"To rename an envelope here is to create another, in which nothing is spent: be-ctl rename "
	"keeps it. "
	"Periods "
	"are not changed, nor do envelopes move in which commits are pending: a FILE that wants "
	"to is refused as a whole, with line and column.\n"
	"\n";

/* ---- showing a plan */

static void print_amount(const char *before, int64_t amount)
{
	char text[BE_AMOUNT_TEXT_SIZE];

	if (be_amount_format(amount, text, sizeof text) == BE_OK)
		printf("%s%s", before, text);
}

/* Where an envelope is: below which one. */
static void print_place(const char *before, const char *namespace_name, const char *category)
{
	char *label, *safe;

	if (!category) {
		printf("%sno parent", before);
		return;
	}
	label = text_label(namespace_name, category);
	safe = text_escape(label);
	printf("%sbelow %s", before, safe);
	free(safe);
	free(label);
}

static void print_creation(const struct declared *declared)
{
	print_amount(": limit ", declared->limit);
	printf(", %s", be_period_name((enum be_period)declared->period));
	if (declared->parent_category)
		print_place(", ", declared->parent_namespace, declared->parent_category);
	printf("%s\n", declared->suspended ? ", suspended" : "");
}

static void print_label(const char *before, const char *namespace_name, const char *category)
{
	char *label = text_label(namespace_name, category);
	char *safe = text_escape(label);

	printf("%s %s", before, safe);
	free(safe);
	free(label);
}

static const char *name_of(enum be_operation operation)
{
	return operation == BE_OPERATION_SET_LIMIT ? "set-limit"
	       : operation == BE_OPERATION_SET     ? "move"
						   : be_operation_name(operation);
}

static void print_step(const struct plan_step *step, const struct be_envelope_change *change)
{
	print_label(name_of(change->operation), change->namespace_name, change->category);
	if (change->operation == BE_OPERATION_CREATE) {
		print_creation(step->declared);
	} else if (change->operation == BE_OPERATION_SET_LIMIT) {
		print_amount(": from ", step->limit);
		print_amount(" to ", change->limit);
		print_amount(", keeping ", step->spent);
		puts(" spent");
	} else if (change->operation == BE_OPERATION_SET) {
		print_place(": from ", step->from_namespace, step->from_category);
		print_place(" to ", step->declared->parent_namespace,
			    step->declared->parent_category);
		puts(", what was spent stays where it is");
	} else if (change->operation == BE_OPERATION_REMOVE && step->spent > 0) {
		print_amount(": limit ", step->limit);
		print_amount(", dropping ", step->spent);
		puts(" spent");
	} else {
		putchar('\n');
	}
}

static void print_note(const struct note *note)
{
	char start[MOMENT_TEXT_SIZE], declared[MOMENT_TEXT_SIZE];

	print_label("note:", note->namespace_name, note->category);
	if (note->kind == NOTE_START) {
		moment_format(note->start_ns, 0, start);
		moment_format(note->declared_ns, 0, declared);
		printf(" keeps its windows: this one began %s, which is not a start of %s; a start "
		       "is "
		       "for a new envelope only\n",
		       start, declared);
		return;
	}
	print_amount(" is not declared and stays: limit ", note->limit);
	print_amount(", spent ", note->spent);
	print_amount(", committed ", note->committed);
	puts("; an envelope created in its place begins with nothing spent");
}

static json_t *json_of_place(const char *namespace_name, const char *category)
{
	json_t *place = json_null();

	if (!category)
		return place;
	place = json_object();
	answer_add(place, "namespace", answer_json_text(namespace_name));
	answer_add(place, "category", answer_json_text(category));
	return place;
}

static json_t *json_of_step(const struct plan_step *step, const struct be_envelope_change *change)
{
	const struct declared *declared = step->declared;
	json_t *object = json_object();

	answer_add(object, "change",
		   json_string(change->operation == BE_OPERATION_SET
				       ? "move"
				       : be_operation_name(change->operation)));
	answer_add(object, "namespace", answer_json_text(change->namespace_name));
	answer_add(object, "category", answer_json_text(change->category));
	if (change->operation == BE_OPERATION_CREATE) {
		answer_add(object, "limit", answer_json_amount(declared->limit));
		answer_add(object, "period",
			   json_string(be_period_name((enum be_period)declared->period)));
		answer_add(object, "parent",
			   json_of_place(declared->parent_namespace, declared->parent_category));
		answer_add(object, "suspended", json_boolean(declared->suspended));
	} else if (change->operation == BE_OPERATION_SET_LIMIT) {
		answer_add(object, "from", answer_json_amount(step->limit));
		answer_add(object, "to", answer_json_amount(change->limit));
		answer_add(object, "spent", answer_json_amount(step->spent));
	} else if (change->operation == BE_OPERATION_SET) {
		answer_add(object, "from",
			   json_of_place(step->from_namespace, step->from_category));
		answer_add(object, "to",
			   json_of_place(declared->parent_namespace, declared->parent_category));
	} else if (change->operation == BE_OPERATION_REMOVE) {
		answer_add(object, "limit", answer_json_amount(step->limit));
		answer_add(object, "spent", answer_json_amount(step->spent));
	}
	return object;
}

static json_t *json_of_moment(int64_t moment_ns)
{
	char text[MOMENT_TEXT_SIZE];

	moment_format(moment_ns, 9, text);
	return json_string(text);
}

static json_t *json_of_note(const struct note *note)
{
	json_t *object = json_object();

	answer_add(object, "note", json_string(note->kind == NOTE_START ? "start" : "left"));
	answer_add(object, "namespace", answer_json_text(note->namespace_name));
	answer_add(object, "category", answer_json_text(note->category));
	if (note->kind == NOTE_START) {
		answer_add(object, "period_start", json_of_moment(note->start_ns));
		answer_add(object, "declared_start", json_of_moment(note->declared_ns));
	} else {
		answer_add(object, "limit", answer_json_amount(note->limit));
		answer_add(object, "spent", answer_json_amount(note->spent));
		answer_add(object, "committed", answer_json_amount(note->committed));
	}
	return object;
}

/* Prints one member of the array `key` at a time, since there may be a million. */
static void print_member(const char *key, size_t i, json_t *object)
{
	if (i == 0)
		printf(", \"%s\": [", key);
	else
		fputs(", ", stdout);
	json_dumpf(object, stdout, JSON_ENSURE_ASCII);
	json_decref(object);
}

static void print_plan_json(const struct plan *plan, const struct request *request)
{
	size_t shown = 0;

	printf("{\"version\": 1, \"verb\": \"apply\", \"status\": \"ok\", \"dry_run\": %s",
	       request->dry_run ? "true" : "false");
	for (size_t i = 0; i < plan->count; i++)
		if (!plan->steps[i].is_half)
			print_member("changes", shown++,
				     json_of_step(&plan->steps[i], &plan->changes[i]));
	fputs(shown == 0 ? ", \"changes\": []" : "]", stdout);
	for (size_t i = 0; i < plan->note_count; i++)
		print_member("notes", i, json_of_note(&plan->notes[i]));
	puts(plan->note_count == 0 ? "}" : "]}");
}

/* Tells what was done, or would be. */
static void show(const struct plan *plan, const struct request *request)
{
	if (request->json) {
		print_plan_json(plan, request);
		return;
	}
	for (size_t i = 0; i < plan->count; i++)
		if (!plan->steps[i].is_half)
			print_step(&plan->steps[i], &plan->changes[i]);
	if (plan->count == 0)
		puts("nothing to change");
	for (size_t i = 0; i < plan->note_count; i++)
		print_note(&plan->notes[i]);
}

/* A complaint about the file, or of the planner, has no status of the library's. */
static json_t *json_of_complaints(const struct declaration *declaration, const char *status)
{
	json_t *more = json_object(), *errors = json_array();

	for (size_t i = 0; i < declaration->errors && i < DECLARATION_COMPLAINTS_MAX; i++) {
		const struct complaint *complaint = &declaration->complaints[i];
		json_t *error = json_object();

		answer_add(error, "line", json_integer(complaint->at.line));
		answer_add(error, "column", json_integer(complaint->at.column));
		answer_add(error, "error", answer_json_text(complaint->sentence));
		if (json_array_append_new(errors, error) != 0)
			tool_out_of_memory();
	}
	answer_add(more, "status", json_string(status));
	answer_add(more, "errors", errors);
	return more;
}

/* ---- carrying it out */

/* Where in the file the change that was refused was asked for. */
static void complain_of_change(const struct request *request, struct declaration *declaration,
			       const struct plan *plan, size_t failed, enum be_status status)
{
	const struct declared *declared = plan->steps[failed].declared;
	char *sentence = answer_sentence(request, status, NULL);

	declaration_complain(declaration, declared ? declared->at : (struct yaml_mark){1, 1},
			     "'%s': %s", plan->changes[failed].category, sentence);
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
	int result = EXIT_DONE;

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
	answer.told = declaration->errors > 0;
	if (status == BE_OK && !answer.told) {
		show(&plan, request);
	} else {
		if (answer.told)
			answer.more = json_of_complaints(
				declaration, status == BE_OK ? "refused" : be_status_name(status));
		result = answer_finish(&answer, status);
	}
	plan_free(&plan);
	return answer.told ? EXIT_REFUSED : result;
}

/* A file that is empty, or cannot be understood, was complained of. */
static void answer_bad_file(const struct request *request, const struct declaration *declaration)
{
	struct answer answer = answer_to(request);

	answer.told = true;
	answer.more = json_of_complaints(declaration,
					 declaration->errors > 0 ? "bad_file" : "unreadable_file");
	answer_finish(&answer, BE_OK);
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
	} else {
		answer_bad_file(request, &declaration);
	}
	be_close(handle);
	declaration_free(&declaration);
	return result;
}
