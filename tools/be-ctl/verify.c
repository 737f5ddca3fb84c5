/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recomputes every balance. LMDB follows the pointers in its pages without doubting them, so a
 * damaged page can crash whoever reads it: a child process does the work and writes the answer, and
 * when it crashes, that is an answer too.
 */
#include "verify.h"

#include "answer.h"
#include "complain.h"
#include "text.h"
#include "tool.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct report {
	const struct request *request;
	uint64_t count;
	json_t *differences;
};

static void note_difference(void *context, const char *sentence)
{
	struct report *report = context;

	report->count++;
	if (report->request->json) {
		if (json_array_append_new(report->differences, answer_json_text(sentence)) != 0)
			tool_out_of_memory();
	} else {
		char *safe = text_escape(sentence);

		puts(safe);
		/* Flushed, so that a crash later on does not take it along. */
		fflush(stdout);
		free(safe);
	}
}

static void print_counts(const struct be_verification *found)
{
	printf("%s: %" PRIu64 " envelopes, %" PRIu64 " pending commits, %" PRIu64 " transactions\n",
	       found->differences == 0 ? "all balances add up" : "balances differ",
	       found->envelopes, found->commits, found->transactions);
}

/* BE_UNBALANCED and BE_DAMAGED are what verify is there to find, and no faults of its own. */
static bool is_finding(enum be_status status)
{
	return status == BE_UNBALANCED || status == BE_DAMAGED;
}

static int verify(const struct request *request)
{
	struct report report = {.request = request, .differences = json_array()};
	struct be_verification found = BE_VERIFICATION_INIT;
	struct answer answer = answer_to(request);
	struct be_enforcer *handle;
	enum be_status status = answer_open(request, BE_OPEN_READ_ONLY, &handle);
	bool looked = status == BE_OK;
	int result;

	if (looked)
		status = be_verify(handle, note_difference, &report, &found);
	/* Damage that ended it, rather than a record found damaged on the way, has no sentence
	 * yet. */
	if (is_finding(status) && report.count == 0)
		note_difference(&report, be_last_error());
	looked = looked && (status == BE_OK || is_finding(status));
	if (looked && !request->json)
		print_counts(&found);
	answer.told = is_finding(status);
	answer.more = json_object();
	answer_add(answer.more, "differences", report.differences);
	answer_add(answer.more, "envelopes",
		   looked ? json_integer((json_int_t)found.envelopes) : json_null());
	answer_add(answer.more, "commits",
		   looked ? json_integer((json_int_t)found.commits) : json_null());
	answer_add(answer.more, "transactions",
		   looked ? json_integer((json_int_t)found.transactions) : json_null());
	result = answer_finish(&answer, status);
	be_close(handle);
	return is_finding(status) ? EXIT_REFUSED : result;
}

int verify_run(const struct request *request)
{
	pid_t parent = getpid(), child = fork();
	int how, result;

	if (child < 0)
		err(TOOL_EXIT_FAULT, "cannot start a process to verify in");
	if (child == 0) {
		/* A damaged tree may have no end: whoever ends the parent ends the child. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(TOOL_EXIT_FAULT);
		result = verify(request);
		tool_close_output();
		_exit(result);
	}
	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		continue;
	if (WIFEXITED(how))
		return WEXITSTATUS(how);
	/* The child of a reader who went away ends quietly; anything else is told. */
	if (WTERMSIG(how) != SIGPIPE) {
		complain(request->environment,
			 "the data file is damaged: reading it crashed; restore a backup");
		return EXIT_REFUSED;
	}
	return TOOL_EXIT_FAULT;
}
