/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB follows the pointers in its pages without doubting them, so a damaged page can crash the
 * process that reads it. Therefore a child opens the environment and reads, and reports through a
 * pipe: sentences first, each a MESSAGE_DIFFERENCE and a text with its NUL, then a MESSAGE_OUTCOME
 * and a struct verified. When the child crashes before that, this is an answer, too.
 */
#include "verifying.h"

#include "opening.h"
#include "tool.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
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

bool verified_is_finding(enum be_status status)
{
	return status == BE_UNBALANCED || status == BE_DAMAGED;
}

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
	struct verified verified = {.found = BE_VERIFICATION_INIT};
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	verified.status = tool_open(environment, &options, &handle);
	if (verified.status == BE_OK) {
		verified.status = be_verify(handle, send_difference, pipe, &verified.found);
		verified.counted = verified.status == BE_OK || verified_is_finding(verified.status);
	}
	snprintf(verified.error, sizeof verified.error, "%s", be_last_error());
	fputc(MESSAGE_OUTCOME, pipe);
	fwrite(&verified, sizeof verified, 1, pipe);
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
		/* A damaged tree may have no end: the child ends with its parent. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(TOOL_EXIT_FAULT);
		verify_and_send(environment, pipe);
	}
	return pipe;
}

/* ---- in the parent */

/* Hands the differences on as they come. False when the child ended before its outcome. */
static bool receive(FILE *pipe, void (*each)(void *context, const char *sentence), void *context,
		    uint64_t *differences, struct verified *verified)
{
	char *sentence = NULL;
	size_t room = 0;
	int message;

	while ((message = getc(pipe)) == MESSAGE_DIFFERENCE &&
	       getdelim(&sentence, &room, '\0', pipe) > 0) {
		each(context, sentence);
		(*differences)++;
	}
	free(sentence);
	return message == MESSAGE_OUTCOME && fread(verified, sizeof *verified, 1, pipe) == 1;
}

/* What it means that the child ended without an outcome. */
static void judge_end(int how, struct verified *verified)
{
	int cause = WIFSIGNALED(how) ? WTERMSIG(how) : 0;

	memset(verified, 0, sizeof *verified);
	switch (cause) {
	case SIGSEGV:
	case SIGBUS:
	case SIGABRT:
	case SIGFPE:
	case SIGILL:
		verified->status = BE_DAMAGED;
		snprintf(verified->error, sizeof verified->error,
			 "the data file is damaged: reading it crashed (%s); restore a backup",
			 strsignal(cause));
		break;
	case 0:
		verified->status = BE_IO_ERROR;
		snprintf(verified->error, sizeof verified->error,
			 "verifying ended without an answer");
		break;
	default:
		verified->status = BE_IO_ERROR;
		snprintf(verified->error, sizeof verified->error,
			 "verifying was ended by a signal (%s)", strsignal(cause));
	}
}

void verify_environment(const char *environment, void (*each)(void *context, const char *sentence),
			void *context, struct verified *verified)
{
	uint64_t differences = 0;
	bool answered;
	pid_t child;
	FILE *pipe = start(environment, &child);
	int how;

	answered = receive(pipe, each, context, &differences, verified);
	fclose(pipe);
	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		continue;
	if (!answered)
		judge_end(how, verified);
	/* Damage that ended it, rather than a record found damaged on the way, has no sentence
	 * yet. */
	if (verified_is_finding(verified->status) && (!verified->counted || differences == 0))
		each(context, verified->error);
}
