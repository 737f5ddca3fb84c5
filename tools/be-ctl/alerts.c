/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command for each alert, once for all who do so.
 *
 * One be-ctl at a time works: it holds a lock on the environment's directory (flock), which ends
 * with it; the others wait, and take over. For each alert it makes a child, the runner, which runs
 * the command and marks the alert as done when it succeeds. The runner has the lock, too. So when
 * be-ctl is killed while the command runs, the runner sees to the end of it, and only then the next
 * be-ctl begins, which finds the alert done. Only when the runner is killed as well, as when a
 * machine goes down, can a command be run again that had ended; it can tell by the alert's id.
 *
 * A command that fails is run again after a pause, which becomes longer as long as any fails. The
 * others are not held up by it.
 */
#include "alerts.h"

#include "answer.h"
#include "complain.h"
#include "fields.h"
#include "moment.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 200
#define PAUSE_MAX_MS 60000

const char alerts_help[] =
	"Each time what is spent in an envelope comes to one of its --thresholds (be-ctl set), "
	"COMMAND is run by sh with one line of JSON on standard input: id, at, namespace, "
	"category, "
	"percent, spent, limit, who spent it, and the window. When it fails it is run again, after "
	"pauses of up to a minute, until it succeeds. Any number of these may run: one of them "
	"works, "
	"and another takes over when it ends, so that COMMAND succeeds once for each alert, those "
	"included that were given while none ran. Without --once it goes on until it is ended.\n"
	"\n"
	"  be-ctl alerts --exec 'mail -s \"budget alert\" root' DIR\n";

/* What is left to be done. */
struct alerts {
	struct be_alert *alerts;
	size_t count, room;
};

static bool note(void *context, const struct be_alert *alert)
{
	struct alerts *left = context;

	if (alert->done_ns != 0)
		return true;
	left->alerts = tool_grow(left->alerts, left->count, &left->room, sizeof *left->alerts);
	left->alerts[left->count++] = *alert;
	return true;
}

/* ---- the runner */

/* One line, in a file without a name, which is standard input from then on. */
static bool put_on_input(const struct be_alert *alert)
{
	int64_t now_ns = moment_now_ns();
	json_t *json = json_object();
	int fd = memfd_create("be-ctl alert", MFD_CLOEXEC);
	bool good;

	for (size_t i = 0; i < alert_fields.count; i++) {
		const struct field *field = &alert_fields.first[i];

		answer_add(json, field->key, field_json(field, alert, now_ns));
	}
	good = fd >= 0 && json_dumpfd(json, fd, JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER) == 0 &&
	       write(fd, "\n", 1) == 1 && lseek(fd, 0, SEEK_SET) == 0 &&
	       dup2(fd, STDIN_FILENO) == STDIN_FILENO;
	json_decref(json);
	return good;
}

/* The command's exit status, 128 and the number of the signal that ended it, or -1. */
static int run_command(const struct request *request, const struct be_alert *alert)
{
	pid_t child = fork();
	int how;

	if (child == 0) {
		if (put_on_input(alert))
			execl("/bin/sh", "sh", "-c", request->exec, (char *)NULL);
		complain("sh", strerror(errno));
		_exit(127);
	}
	while (child > 0 && waitpid(child, &how, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (child < 0)
		return -1;
	return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

/* Runs the command and marks the alert as done. The handle is opened anew by its first call. */
static int run(const struct request *request, struct be_enforcer *handle,
	       const struct be_alert *alert)
{
	int exit_status = run_command(request, alert);
	enum be_status status;
	char sentence[128];

	if (exit_status != 0) {
		snprintf(sentence, sizeof sentence,
			 "alert %" PRIu64 ": the command failed with status %d and is run again",
			 alert->id, exit_status);
		complain(request->environment, sentence);
		return EXIT_REFUSED;
	}
	status = be_alert_done(handle, alert->id);
	if (status == BE_OK || be_status_is_refusal(status))
		return EXIT_DONE;
	complain(request->environment, be_last_error());
	return TOOL_EXIT_FAULT;
}

/* True when it is done. */
static bool let_run(const struct request *request, struct be_enforcer *handle,
		    const struct be_alert *alert)
{
	pid_t runner = fork();
	int how;

	if (runner == 0)
		_exit(run(request, handle, alert));
	if (runner < 0) {
		complain(request->environment, strerror(errno));
		return false;
	}
	while (waitpid(runner, &how, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(how) && WEXITSTATUS(how) == EXIT_DONE;
}

/* ---- all of them */

/* Waits for the lock. The descriptor stays open, also in the command, which then has the lock, too.
 * False, with a complaint if it is a fault: it was not to be had. */
static bool lock(const struct request *request, int *result)
{
	int fd = open(request->environment, O_RDONLY | O_DIRECTORY);

	while (fd >= 0 && flock(fd, request->once ? LOCK_EX | LOCK_NB : LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		if (errno == EWOULDBLOCK) {
			*result = EXIT_DONE;
			return false;
		}
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		complain_of_file(request->environment, false);
	return fd >= 0;
}

static void pause_ms(int64_t ms)
{
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

/* Goes through what is left. *all: every command succeeded. */
static enum be_status do_round(const struct request *request, struct be_enforcer *handle,
			       struct be_filter *filter, bool *all)
{
	struct alerts left = {NULL, 0, 0};
	enum be_status status = be_alerts_each(handle, filter, note, &left);

	*all = true;
	for (size_t i = 0; status == BE_OK && i < left.count; i++) {
		bool done = let_run(request, handle, &left.alerts[i]);

		/* What is done need not be looked at again. */
		if (*all && done)
			filter->after_id = left.alerts[i].id;
		*all = *all && done;
	}
	free(left.alerts);
	return status;
}

/* Goes on until something is wrong, or for --once until all are done. */
static enum be_status attend(const struct request *request, struct be_enforcer *handle)
{
	struct be_filter filter = BE_FILTER_INIT;
	int64_t pause = LOOK_MS;
	enum be_status status;
	bool all;

	while ((status = do_round(request, handle, &filter, &all)) == BE_OK) {
		if (request->once && all)
			break;
		pause = all ? LOOK_MS : pause < PAUSE_MAX_MS / 2 ? 2 * pause : PAUSE_MAX_MS;
		pause_ms(pause);
	}
	return status;
}

int alerts_run(const struct request *request)
{
	int result = TOOL_EXIT_FAULT;
	struct be_enforcer *handle;
	enum be_status status = answer_open(request, BE_OPEN_EXISTING, &handle);

	if (status == BE_OK && lock(request, &result)) {
		status = attend(request, handle);
		if (status == BE_OK)
			result = EXIT_DONE;
	}
	if (status != BE_OK)
		complain(request->environment, be_last_error());
	be_close(handle);
	return result;
}
