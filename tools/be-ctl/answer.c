/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers. Errors go to standard error as one sentence, whatever the format. With --json there is
 * also one document on standard output, where a script finds the status and the figures. There is
 * none only when a command line or a file could not be understood.
 */
#include "answer.h"

#include "complain.h"
#include "fields.h"
#include "moment.h"
#include "opening.h"
#include "text.h"
#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char exit_status_help[] =
	"Exit status: 0 permitted or done; 1 refused, nothing has changed; 2 the command "
	"line is wrong; 3 a fault of the environment or the machine. Errors go to "
	"standard error.";

struct answer answer_to(const struct request *request)
{
	return (struct answer){
		.request = request,
		.decision = BE_DECISION_INIT,
		.envelope = BE_ENVELOPE_INIT,
		.transaction = BE_TRANSACTION_INIT,
	};
}

int answer_exit_status(enum be_status status)
{
	if (status == BE_OK)
		return EXIT_DONE;
	/* To the library this is a fault of the caller, but here it means that what is there is
	 * well. */
	if (be_status_is_refusal(status) || status == BE_ALREADY_THERE)
		return EXIT_REFUSED;
	return (status <= BE_INVALID_ARGUMENT && status > BE_OVERFLOW) ||
			       status == BE_INVALID_ZONE || status == BE_INVALID_KEY ||
			       status == BE_INVALID_LABEL
		       ? TOOL_EXIT_USAGE
		       : TOOL_EXIT_FAULT;
}

/* ---- sentences */

/* Advice for operators, where the library's own sentence is for programmers, or says nothing. */
static const char *advice(const struct request *request, enum be_status status)
{
	switch (status) {
	case BE_ENVELOPE_EXISTS:
		return request->new_category || request->new_namespace
			       ? "another envelope has that name; be-inspect shows it"
			       : "the envelope exists; be-ctl ensure accepts that, be-ctl "
				 "set-limit changes "
				 "its limit";
	case BE_HAS_CHILDREN:
		return "other envelopes name it as their parent; remove those first (be-inspect "
		       "shows them)";
	case BE_HAS_COMMITS:
		if (request->verb->takes & UINT64_C(1) << OPTION_NO_PARENT)
			return NULL;
		return "commits are pending against it; end them first (be-inspect ENVIRONMENT "
		       "commits shows "
		       "them)";
	case BE_NO_PARENT:
		return "the parent does not exist; create it first";
	case BE_NO_COMMIT:
		return "there was never a commit of this id; be-inspect ENVIRONMENT commits lists "
		       "those "
		       "pending";
	case BE_NOT_FOUND:
		/* Where a file is named too, it may be the one that is missing. */
		return request->file ? NULL
				     : "there is no environment here; be-ctl create makes it, in a "
				       "directory that "
				       "exists";
	case BE_OTHER_DURABILITY:
		return request->durability == BE_DURABILITY_PROCESS
			       ? "the environment is in use with full durability: leave "
				 "--durability process out"
			       : "the environment is in use with the other durability: use "
				 "--durability process";
	default:
		return NULL;
	}
}

/* The library's sentence without the envelope that it begins with: that is the subject here. */
static const char *after_label(const char *text, const char *label)
{
	size_t size = strlen(label);

	return strncmp(text, label, size) == 0 && strncmp(text + size, ": ", 2) == 0
		       ? text + size + 2
		       : text;
}

/* `error` is what the library says. */
static char *make_sentence(const struct request *request, enum be_status status,
			   const struct be_decision *decision, const char *error)
{
	const char *advised = advice(request, status);
	char *label = NULL, *sentence;

	if (decision && decision->category[0] != '\0')
		label = text_label(decision->namespace_name, decision->category);
	else if (request->category)
		label = text_label(request->namespace_name, request->category);
	if (!advised)
		advised = label ? after_label(error, label) : error;
	sentence = strdup(advised);
	if (!sentence)
		tool_out_of_memory();
	free(label);
	return sentence;
}

char *answer_sentence(const struct request *request, enum be_status status,
		      const struct be_decision *decision)
{
	return make_sentence(request, status, decision, be_last_error());
}

/* What the sentence is about: the envelope that refused, the commit, the namespace that is to end,
 * or the environment. */
static char *make_subject(const struct answer *answer, enum be_status status, const char *error)
{
	const struct request *request = answer->request;
	char *subject;

	if (!be_status_is_refusal(status)) {
		bool is_file =
			request->file && strncmp(error, request->file, strlen(request->file)) == 0;

		subject = strdup(is_file ? request->file : request->environment);
	} else if (request->id != 0 && answer->decision.category[0] == '\0') {
		if (asprintf(&subject, "commit %" PRIu64, request->id) < 0)
			subject = NULL;
	} else if (answer->decision.category[0] != '\0') {
		subject = text_label(answer->decision.namespace_name, answer->decision.category);
	} else if (request->category) {
		subject = text_label(request->namespace_name, request->category);
	} else if (asprintf(&subject, "namespace %s", request->namespace_name) < 0) {
		subject = NULL;
	}
	if (!subject)
		tool_out_of_memory();
	return subject;
}

/* ---- JSON */

void answer_add(json_t *object, const char *key, json_t *value)
{
	if (!value || json_object_set_new(object, key, value) != 0)
		tool_out_of_memory();
}

json_t *answer_json_text(const char *text)
{
	static const struct field whole = {.kind = FIELD_TEXT};

	return field_json(&whole, text, 0);
}

json_t *answer_json_amount(int64_t amount)
{
	static const struct field whole = {.kind = FIELD_AMOUNT};

	return field_json(&whole, &amount, 0);
}

static json_t *json_of_fields(const struct fields *fields, const void *record)
{
	int64_t now_ns = moment_now_ns();
	json_t *object = json_object();

	for (size_t i = 0; i < fields->count; i++)
		answer_add(object, fields->first[i].key,
			   field_json(&fields->first[i], record, now_ns));
	return object;
}

/* Of a moment, or of 0, which is never. */
static json_t *json_of_end(int64_t end_ns)
{
	char text[MOMENT_TEXT_SIZE];

	if (end_ns == 0)
		return json_null();
	moment_format(end_ns, 9, text);
	return json_string(text);
}

json_t *answer_json_envelope(const struct be_envelope *envelope)
{
	return json_of_fields(&envelope_fields, envelope);
}

static json_t *json_of_decision(const struct be_decision *decision)
{
	json_t *object = json_object();

	answer_add(object, "namespace", answer_json_text(decision->namespace_name));
	answer_add(object, "category", answer_json_text(decision->category));
	answer_add(object, "requested", answer_json_amount(decision->requested));
	answer_add(object, "available", answer_json_amount(decision->available));
	answer_add(object, "limit", answer_json_amount(decision->limit));
	answer_add(object, "spent", answer_json_amount(decision->spent));
	answer_add(object, "committed", answer_json_amount(decision->committed));
	answer_add(object, "granted", answer_json_amount(decision->granted));
	answer_add(object, "window_end", json_of_end(decision->window_end_ns));
	return object;
}

static void print_number(const struct answer *answer)
{
	char granted[BE_AMOUNT_TEXT_SIZE];

	if (answer->granted > 0 &&
	    be_amount_format(answer->granted, granted, sizeof granted) == BE_OK)
		printf("%" PRIu64 " %s\n", answer->number, granted);
	else
		printf("%" PRIu64 "\n", answer->number);
}

static void print_json(struct answer *answer, enum be_status status, const char *sentence)
{
	json_t *document = json_object();

	answer_add(document, "version", json_integer(1));
	answer_add(document, "verb", json_string(answer->request->verb->name));
	answer_add(document, "status", json_string(be_status_name(status)));
	if (sentence)
		answer_add(document, "error", answer_json_text(sentence));
	if (answer->has_number)
		answer_add(document, answer->number_name, json_integer((json_int_t)answer->number));
	if (answer->decision.category[0] != '\0')
		answer_add(document, "decision", json_of_decision(&answer->decision));
	if (answer->envelope.id != 0)
		answer_add(document, "envelope", answer_json_envelope(&answer->envelope));
	if (answer->transaction.id != 0)
		answer_add(document, "transaction",
			   json_of_fields(&transaction_fields, &answer->transaction));
	if (answer->more && json_object_update(document, answer->more) != 0)
		tool_out_of_memory();
	if (json_dumpf(document, stdout, JSON_ENSURE_ASCII) == 0)
		putchar('\n');
	json_decref(document);
}

/* ---- all together */

int answer_finish(struct answer *answer, enum be_status status)
{
	const char *error = answer->error ? answer->error : be_last_error();
	char *sentence = NULL;

	if (status != BE_OK && !answer->told) {
		char *subject = make_subject(answer, status, error);

		sentence = make_sentence(answer->request, status, &answer->decision, error);
		complain(subject, sentence);
		free(subject);
	}
	if (answer->request->json)
		print_json(answer, status, sentence);
	else if (answer->has_number)
		print_number(answer);
	free(sentence);
	json_decref(answer->more);
	return answer_exit_status(status);
}

enum be_status answer_open(const struct request *request, uint32_t flags,
			   struct be_enforcer **handle)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.flags = flags;
	options.namespace_name = request->namespace_name;
	options.durability = request->durability;
	options.mode = request->mode;
	return tool_open(request->environment, &options, handle);
}
