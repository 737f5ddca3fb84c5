/* SPDX-License-Identifier: Apache-2.0 */
/* What a verb has to tell: on standard output, on standard error, and as an exit status. */
#ifndef ANSWER_H
#define ANSWER_H

#include "request.h"

#include <jansson.h>

enum {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1, /* then TOOL_EXIT_USAGE and TOOL_EXIT_FAULT */
};

/* For the help of verbs. */
extern const char exit_status_help[];

/* What is not there is zero, but for sizes. */
struct answer {
	const struct request *request;
	bool has_number; /* goes to standard output: an id, a count */
	uint64_t number;
	const char *number_name;           /* in JSON */
	struct be_decision decision;       /* shown when it names a category */
	struct be_envelope envelope;       /* shown when it has an id */
	struct be_transaction transaction; /* likewise */
	int64_t granted;                   /* printed behind the number; 0: it is not */
	uint64_t commit_id; /* of no use to anybody if the answer cannot be written; 0: none */
	json_t *more;       /* further members of the JSON document */
	const char *error;  /* the library's sentence; NULL: be_last_error() has it */
	bool told;          /* the verb has said itself what is wrong, or printed its text */
};

/* Begins one. */
struct answer answer_to(const struct request *request);

/* Prints it, and frees `more`. Right after the call that gave `status`, while be_last_error() is
 * its. Returns the exit status. */
int answer_finish(struct answer *answer, enum be_status status);

/* The exit status that goes with a status. */
int answer_exit_status(enum be_status status);

/* A sentence about the last failure that says what to do. `decision` may be NULL. To be freed. */
char *answer_sentence(const struct request *request, enum be_status status,
		      const struct be_decision *decision);

/* Text that might not be UTF-8, and an amount, as JSON. New references. */
json_t *answer_json_text(const char *text);
json_t *answer_json_amount(int64_t amount);
json_t *answer_json_envelope(const struct be_envelope *envelope);

/* Adds to an object, and takes over the value. Ends the process when memory has run out. */
void answer_add(json_t *object, const char *key, json_t *value);

/* Opens the request's environment. On failure nothing is printed yet. */
enum be_status answer_open(const struct request *request, uint32_t flags,
			   struct be_enforcer **handle);

#endif
