/* SPDX-License-Identifier: Apache-2.0 */
/*
 * be-ctl: steers the budgets of a pool, and lets shell scripts spend from them.
 *
 *   verbs.c        the verbs, and those that are one call of the library
 *   request.c      a verb's command line
 *   answer.c       output, errors, exit statuses
 *   alarm.c        check for monitoring
 *   run.c          runs a command on a reservation
 *   upkeep.c       prune, backup, restore
 *   export.c       list, show, export, copy
 *   whole.c        copy --whole
 *   verify.c       recomputes every balance
 *   apply.c        brings the environment to what a file declares; declaration.c and plan.c of
 *                  tools/common read the file and find what has to be done
 */
#include "alarm.h"
#include "answer.h"
#include "argument.h"
#include "complain.h"
#include "run.h"
#include "text.h"
#include "tool.h"
#include "verbs.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = TOOL_VERSION("be-ctl");

static const char help[] =
	"Steers the budgets in ENVIRONMENT, a directory that a pool of workers shares, and lets "
	"shell "
	"scripts "
	"spend from them."
	"\v"
	"Envelopes are named by --category and --namespace, commits by the ID that be-ctl commit "
	"prints. "
	"AMOUNT "
	"is a decimal number such as 0.40, an operand or an option. ENVIRONMENT may be left out "
	"where "
	"BUDGET_ENFORCER_DIR is set. 'be-ctl VERB --help' has the options of a verb.\n"
	"\n";

struct choice {
	const struct verb *verb;
	int index; /* in argv */
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		choice->verb = verb_find(text);
		if (!choice->verb) {
			char *safe = text_escape(text);

			argp_error(state, "'%s' is no verb; --help lists them", safe);
			free(safe);
		}
		/* What follows is the verb's. */
		choice->index = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!choice->verb)
			argp_error(state, "VERB is missing; --help lists them");
		return 0;
	default:
		return argument_help(key, state);
	}
}

static char *extend_help(int key, const char *text, void *input)
{
	char *extended;
	size_t size;
	FILE *stream;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	stream = open_memstream(&extended, &size);
	if (!stream)
		tool_out_of_memory();
	fprintf(stream, "%sVerbs:\n\n", text);
	for (unsigned i = 0; i < verb_count; i++)
		fprintf(stream, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(stream, "\n%s be-ctl run has its own.", exit_status_help);
	if (fclose(stream) != 0)
		tool_out_of_memory();
	return extended;
}

static int act(const struct request *request)
{
	struct answer answer = answer_to(request);
	struct be_enforcer *handle;
	/* What only shows what it would do ends nothing on opening either. */
	enum be_status status = answer_open(
		request, request->dry_run ? BE_OPEN_READ_ONLY : request->verb->open_flags, &handle);
	int result;

	if (status == BE_OK)
		status = request->verb->act(request, handle, &answer);
	result = answer_finish(&answer, status);
	fflush(stdout);
	if (!tool_output_is_sound() && answer.commit_id != 0 &&
	    be_release(handle, answer.commit_id) != BE_OK)
		complain(request->environment, be_last_error());
	be_close(handle);
	return result;
}

/* To monitoring 2 is CRITICAL, which a wrong command line is not. */
static bool asks_for_alarm(const struct choice *choice, int argc, char **argv)
{
	for (int i = choice->index; i < argc && strcmp(choice->verb->name, "check") == 0; i++)
		if (strncmp(argv[i], "--warn", 6) == 0 || strncmp(argv[i], "--crit", 6) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {ARGUMENT_HELP_OPTION, {0}};
	static const struct argp argp = {
		options,     parse, "VERB [OPTION...] ENVIRONMENT [ARGUMENT...]", help, NULL,
		extend_help, NULL};
	struct choice choice = {NULL, 0};
	struct request request;
	int result;

	tool_start();
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice);
	if (choice.verb->run == run_run)
		argp_err_exit_status = RUN_EXIT_FAILED;
	if (asks_for_alarm(&choice, argc, argv))
		argp_err_exit_status = ALARM_UNKNOWN;
	request_parse(choice.verb, argc - choice.index, argv + choice.index, &request);
	if (request_is_alarm(&request))
		result = alarm_run(&request);
	else
		result = choice.verb->run ? choice.verb->run(&request) : act(&request);
	tool_close_output();
	return result;
}
