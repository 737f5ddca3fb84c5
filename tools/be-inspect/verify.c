/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view that recomputes every balance.
 *
 * LMDB follows the pointers in its pages without doubting them, so a damaged page can crash whoever
 * reads it. Therefore a child process opens the environment and reads, and reports through a pipe:
 * sentences first, each a MESSAGE_DIFFERENCE and a text with its NUL, then a MESSAGE_OUTCOME and a
 * struct outcome. When it crashes without an outcome, that is an answer too.
 */
#include "verify.h"

#include "complain.h"
#include "json.h"
#include "text.h"
#include "tool.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum message {
	MESSAGE_DIFFERENCE = 'D',
	MESSAGE_OUTCOME = 'O',
};

struct outcome {
	enum be_status status;
	bool counted; /* `found` tells something */
	struct be_verification found;
	char error[1024];
};

/* ---- in the child */

static void send_difference(void *context, const char *sentence)
{
	FILE *pipe = context;

	/* Flushed, so that a crash later on does not take it along. */
	fputc(MESSAGE_DIFFERENCE, pipe);
	fwrite(sentence, 1, strlen(sentence) + 1, pipe);
	fflush(pipe);
}

static _Noreturn void verify_and_send(const char *environment, FILE *pipe)
{
	struct outcome outcome = {.found = BE_VERIFICATION_INIT};
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	outcome.status = be_open(environment, &options, &handle);
	if (outcome.status == BE_OK) {
		outcome.status = be_verify(handle, send_difference, pipe, &outcome.found);
		outcome.counted = outcome.status == BE_OK || outcome.status == BE_UNBALANCED ||
				  outcome.status == BE_DAMAGED;
	}
	snprintf(outcome.error, sizeof outcome.error, "%s", be_last_error());
	fputc(MESSAGE_OUTCOME, pipe);
	fwrite(&outcome, sizeof outcome, 1, pipe);
	_exit(fflush(pipe) == 0 ? EXIT_SUCCESS : TOOL_EXIT_FAULT);
}

/* Starts the child. The pipe that it reports through is the caller's. */
static FILE *start(const char *environment, pid_t *child)
{
	pid_t parent = getpid();
	int ends[2];
	FILE *pipe;

	if (pipe2(ends, O_CLOEXEC) != 0)
		err(TOOL_EXIT_FAULT, "cannot make a pipe");
	*child = fork();
	if (*child < 0)
		err(TOOL_EXIT_FAULT, "cannot start a process to verify in");
	pipe = fdopen(*child == 0 ? ends[1] : ends[0], *child == 0 ? "w" : "r");
	if (!pipe)
		tool_out_of_memory();
	close(*child == 0 ? ends[0] : ends[1]);
	if (*child == 0) {
		/* A damaged tree may have no end: whoever ends the parent ends the child. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(TOOL_EXIT_FAULT);
		verify_and_send(environment, pipe);
	}
	return pipe;
}

/* ---- in the parent */

struct report {
	const struct arguments *arguments;
	uint64_t differences; /* printed so far */
};

static void print_difference(struct report *report, const char *sentence)
{
	char *safe = text_escape(sentence);

	if (report->arguments->form != FORM_JSON) {
		puts(safe);
		report->differences++;
	} else {
		if (report->differences == 0)
			json_begin(report->arguments, "{\"differences\": [");
		json_element(json_string(safe), &report->differences);
	}
	free(safe);
}

/* Prints the differences as they come. False when the child ended before its outcome. */
static bool receive(FILE *pipe, struct report *report, struct outcome *outcome)
{
	char *sentence = NULL;
	size_t room = 0;
	int message;

	while ((message = getc(pipe)) == MESSAGE_DIFFERENCE &&
	       getdelim(&sentence, &room, '\0', pipe) > 0)
		print_difference(report, sentence);
	free(sentence);
	return message == MESSAGE_OUTCOME && fread(outcome, sizeof *outcome, 1, pipe) == 1;
}

/* What it means that the child ended without an outcome. */
static void judge_end(int how, struct outcome *outcome)
{
	int cause = WIFSIGNALED(how) ? WTERMSIG(how) : 0;

	memset(outcome, 0, sizeof *outcome);
	switch (cause) {
	case SIGSEGV:
	case SIGBUS:
	case SIGABRT:
	case SIGFPE:
	case SIGILL:
		outcome->status = BE_DAMAGED;
		snprintf(outcome->error, sizeof outcome->error,
			 "the data file is damaged: reading it crashed (%s); restore a backup",
			 strsignal(cause));
		break;
	case 0:
		outcome->status = BE_IO_ERROR;
		snprintf(outcome->error, sizeof outcome->error,
			 "verifying ended without an answer");
		break;
	default:
		outcome->status = BE_IO_ERROR;
		snprintf(outcome->error, sizeof outcome->error,
			 "verifying was ended by a signal (%s)", strsignal(cause));
	}
}

static void count_text(char *text, size_t size, const struct outcome *outcome, uint64_t count)
{
	if (outcome->counted)
		snprintf(text, size, "%" PRIu64, count);
	else
		snprintf(text, size, "null");
}

static void print_json_end(struct report *report, const struct outcome *outcome)
{
	char envelopes[24], commits[24], transactions[24], closing[160];

	if (report->differences == 0)
		json_begin(report->arguments, "{\"differences\": [");
	count_text(envelopes, sizeof envelopes, outcome, outcome->found.envelopes);
	count_text(commits, sizeof commits, outcome, outcome->found.commits);
	count_text(transactions, sizeof transactions, outcome, outcome->found.transactions);
	snprintf(closing, sizeof closing,
		 "], \"ok\": %s, \"envelopes\": %s, \"commits\": %s, \"transactions\": %s}",
		 outcome->status == BE_OK ? "true" : "false", envelopes, commits, transactions);
	json_end(closing);
}

static void print_count(const char *before, uint64_t count, const char *noun)
{
	printf("%s%" PRIu64 " %s%s", before, count, noun, count == 1 ? "" : "s");
}

static void print_text_end(const struct report *report, const struct outcome *outcome)
{
	if (outcome->status == BE_OK)
		printf("all balances add up");
	else
		print_count("", report->differences, "difference");
	if (outcome->counted) {
		print_count(": ", outcome->found.envelopes, "envelope");
		print_count(", ", outcome->found.commits, "pending commit");
		print_count(", ", outcome->found.transactions, "transaction");
	}
	putchar('\n');
}

int verify_run(const struct arguments *arguments)
{
	struct report report = {.arguments = arguments};
	struct outcome outcome;
	bool answered;
	pid_t child;
	FILE *pipe;
	int how;

	pipe = start(arguments->environment, &child);
	answered = receive(pipe, &report, &outcome);
	fclose(pipe);
	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		continue;
	if (!answered)
		judge_end(how, &outcome);
	if (outcome.status != BE_OK && outcome.status != BE_UNBALANCED &&
	    outcome.status != BE_DAMAGED) {
		complain(arguments->environment, outcome.error);
		return TOOL_EXIT_FAULT;
	}
	/* Damage that ended it, rather than a record found damaged on the way, has no sentence
	 * yet. */
	if (outcome.status != BE_OK && (!outcome.counted || report.differences == 0))
		print_difference(&report, outcome.error);
	if (arguments->form == FORM_JSON)
		print_json_end(&report, &outcome);
	else
		print_text_end(&report, &outcome);
	return outcome.status == BE_OK ? EXIT_SUCCESS : VERIFY_EXIT_DIFFERENCES;
}
