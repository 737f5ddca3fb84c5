/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command on a reservation.
 *
 * The commit belongs to this process: when it is killed, the kernel ends its lock, and the commit
 * is reaped. Every other signal that would end it is blocked while there is a reservation, and
 * taken one at a time: the command gets it, and what the command does about it decides. Signals of
 * the terminal reach the command without us.
 *
 * What the command writes as its cost goes into a file that has no name rather than into a pipe: it
 * is read when the command has ended, and no grandchild that keeps it open can hold that up.
 */
#include "run.h"

#include "answer.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

const char run_help[] =
	"The estimate is reserved, the command is run, and its cost is charged: what it writes to "
	"--cost-fd "
	"or "
	"--cost-file as one amount such as 0.31, or the estimate when it writes nothing. A command "
	"that "
	"fails, by "
	"exit status or by signal, is charged nothing, unless --charge-on-failure is given.\n"
	"\n"
	"  be-ctl run --category llm --estimate 0.40 --cost-fd 3 DIR -- ask-model\n"
	"\n"
	"SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the command. The "
	"reservation "
	"is "
	"tied to this process and ends with it, whatever ends it.\n"
	"\n"
	"Exit status: the command's own, and 128 + N when signal N ended it. 75: refused, and the "
	"command "
	"was not "
	"run. 125: be-ctl itself failed; the command was not run, or it succeeded and could not be "
	"charged. "
	"126: the command cannot be run. 127: there is no such command.";

/* ---- the actual cost */

/* Where the command is to write it; -1: nowhere. */
static int open_cost(const struct request *request)
{
	int fd = -1;

	if (request->cost_fd >= 0)
		fd = memfd_create("be-ctl cost", MFD_CLOEXEC);
	else if (request->cost_file)
		fd = open(request->cost_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	else
		return -1;
	if (fd < 0 && request->cost_file)
		tool_complain_of_file(request->cost_file, true);
	else if (fd < 0)
		tool_complain("--cost-fd", strerror(errno));
	return fd;
}

/* The text of the cost without its newline. False: it cannot be read, or is longer than any
 * amount. */
static bool read_cost(const struct request *request, int cost, char text[2 * BE_AMOUNT_TEXT_SIZE])
{
	/* The command may have put another file in the place of ours. */
	int fd = request->cost_file ? open(request->cost_file, O_RDONLY | O_CLOEXEC) : cost;
	ssize_t size = fd < 0 ? -1 : pread(fd, text, 2 * BE_AMOUNT_TEXT_SIZE - 1, 0);

	if (fd >= 0 && fd != cost)
		close(fd);
	if (size < 0)
		return false;
	if (size > 0 && text[size - 1] == '\n')
		size--;
	text[size] = '\0';
	return strlen(text) == (size_t)size;
}

/* What to charge. What cannot be understood was spent all the same: then it is the estimate. */
static int64_t actual_cost(const struct request *request, int cost)
{
	char text[2 * BE_AMOUNT_TEXT_SIZE] = "";
	int64_t amount;

	if (cost < 0)
		return request->amount;
	if (read_cost(request, cost, text)) {
		if (text[0] == '\0')
			return request->amount;
		if (be_amount_parse(text, &amount) == BE_OK)
			return amount;
	}
	tool_complain(
		request->cost_file ? request->cost_file : "--cost-fd",
		"the command has not written one amount such as 0.31; its estimate is charged");
	return request->amount;
}

/* ---- the command */

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

/* Blocks what is to be passed on, and the news of the command's end. */
static void block_signals(sigset_t *blocked, sigset_t *before)
{
	sigemptyset(blocked);
	sigaddset(blocked, SIGCHLD);
	for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++)
		sigaddset(blocked, passed_on[i]);
	/* A parent that ignores it hands that down, and then nobody would hear of the command's
	 * end. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, blocked, before);
}

/* Starts the command with the signals as they were. 0, or an errno. */
static int start(const struct request *request, int cost, const sigset_t *mask, pid_t *child)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int code = posix_spawn_file_actions_init(&actions);

	if (code != 0)
		return code;
	code = posix_spawnattr_init(&attributes);
	if (code == 0) {
		code = posix_spawnattr_setsigmask(&attributes, mask);
		if (code == 0)
			code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
		if (code == 0 && request->cost_fd >= 0)
			code = posix_spawn_file_actions_adddup2(&actions, cost, request->cost_fd);
		if (code == 0)
			code = posix_spawnp(child, request->command[0], &actions, &attributes,
					    request->command, environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return code;
}

/* Waits until the command has ended, and passes signals on to it. Returns its exit status. */
static int attend(pid_t child, const sigset_t *signals)
{
	siginfo_t came;
	int how;

	for (;;) {
		int number = sigwaitinfo(signals, &came);

		/* The terminal's own signals have reached the command, which is in the same process
		 * group. */
		if (number > 0 && number != SIGCHLD && came.si_code != SI_KERNEL)
			kill(child, number);
		if (number == SIGCHLD && waitpid(child, &how, WNOHANG) == child)
			return WIFEXITED(how) ? WEXITSTATUS(how) : RUN_EXIT_SIGNAL + WTERMSIG(how);
	}
}

/* ---- all together */

static int give_up(const struct request *request, enum be_status status,
		   const struct be_decision *decision)
{
	char *sentence = answer_sentence(request, status, decision);
	char *label = decision && decision->category[0]
			      ? answer_label(decision->namespace_name, decision->category)
			      : answer_label(request->namespace_name, request->category);

	tool_complain(be_status_is_refusal(status) ? label : request->environment, sentence);
	free(sentence);
	free(label);
	return be_status_is_refusal(status) ? RUN_EXIT_REFUSED : RUN_EXIT_FAILED;
}

/* Ends the commit as the command has ended. Returns the exit status. */
static int end_commit(const struct request *request, struct be_enforcer *handle, uint64_t id,
		      int cost, int result)
{
	enum be_status status;

	if (result == 0 || request->charge_on_failure)
		status = be_settle(handle, id, actual_cost(request, cost), NULL, NULL);
	else
		status = be_release(handle, id);
	if (status == BE_OK)
		return result;
	give_up(request, status, NULL);
	return result == 0 ? RUN_EXIT_FAILED : result;
}

static int run_command(const struct request *request, struct be_enforcer *handle, uint64_t id)
{
	sigset_t blocked, before;
	int cost, code, result = RUN_EXIT_FAILED;
	pid_t child;

	block_signals(&blocked, &before);
	cost = open_cost(request);
	if (cost < 0 && (request->cost_fd >= 0 || request->cost_file))
		code = -1;
	else
		code = start(request, cost, &before, &child);
	if (code == 0) {
		result = end_commit(request, handle, id, cost, attend(child, &blocked));
	} else {
		if (code > 0) {
			tool_complain(request->command[0], strerror(code));
			result = code == ENOENT ? RUN_EXIT_NOT_FOUND : RUN_EXIT_NOT_RUN;
		}
		if (be_release(handle, id) != BE_OK)
			tool_complain(request->environment, be_last_error());
	}
	if (cost >= 0)
		close(cost);
	return result;
}

int run_run(const struct request *request)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	struct be_enforcer *handle;
	enum be_status status = answer_open(request, BE_OPEN_EXISTING, &handle);
	uint64_t id;
	int result;

	options.reap_policy = request->charge_on_failure ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	if (status == BE_OK)
		status = be_commit_with(handle, request->category, request->amount,
					request->description, &options, &id, &decision);
	if (status == BE_OK)
		result = run_command(request, handle, id);
	else
		result = give_up(request, status, &decision);
	be_close(handle);
	return result;
}
