/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command on a reservation.
 *
 * The commit belongs to this process. When this process is killed, the kernel ends its lock, and
 * the commit is reaped. A command that went on would spend money that is no longer reserved, so the
 * kernel sends it a signal at that moment. All other signals that would end this process are
 * blocked while there is a reservation, and are passed on to the command, one at a time; the
 * command decides what happens. Signals of the terminal reach the command by themselves.
 *
 * The command writes its cost into a file that has no name, not into a pipe: the file is read when
 * the command has ended, and a grandchild that keeps it open cannot hold that up.
 *
 * The cost that the command has told is charged, however the command ended. If it told none, or
 * none that can be read, the estimate is charged. If charging fails, the error says so, with the
 * command line that makes up for it.
 */
#include "run.h"

#include "answer.h"
#include "charge.h"
#include "complain.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const char run_help[] =
	"The estimate is reserved, the command is run, and its cost is charged: what it writes to "
	"--cost-fd or --cost-file, one number a line, which are added up. .5, 5e-05 and any number "
	"of digits will do; what is finer than 0.000000001 is rounded up. When it writes nothing, "
	"the "
	"estimate is charged if it succeeds; if it fails, by exit status or by signal, only with "
	"--charge-on-failure. Lines that cannot be read are shown: what could be read is charged, "
	"or "
	"the estimate where that is more and would be charged.\n"
	"\n"
	"  be-ctl run --category llm --estimate 0.40 --cost-fd 3 DIR -- ask-model\n"
	"\n"
	"SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the command. The "
	"reservation is tied to be-ctl and ends with it, whatever ends it; when be-ctl is killed, "
	"the command gets SIGTERM, or what --death-signal says. A command may hold more or less as "
	"it goes:\n"
	"\n"
	"  be-ctl extend --ttl none \"$BE_ENVIRONMENT\" \"$BE_COMMIT_ID\" 0.80\n"
	"\n"
	"Exit status: the command's own, and 128 + N when signal N ended it. 75: refused, and the "
	"command was not run. 122: the command succeeded, but told a cost that cannot be read; it "
	"is "
	"charged as said above. 123: the command was run, and its cost could NOT be charged; "
	"standard "
	"error says how much, of which commit, and what charges it. Do not run it again for that. "
	"125: be-ctl itself failed, and the command was not run. 126: the command cannot be run. "
	"127: there is no such command.";

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
		complain_of_file(request->cost_file, true);
	else if (fd < 0)
		complain("--cost-fd", strerror(errno));
	return fd;
}

/* What the command has told. False, with a complaint: not all of it can be read. */
static bool read_cost(const struct request *request, int cost, struct charge *charge)
{
	const char *where = request->cost_file ? request->cost_file : "--cost-fd";
	/* The command may have put another file in the place of ours. */
	int fd = request->cost_file ? open(request->cost_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
				    : cost;
	bool is_read;

	*charge = (struct charge){0};
	is_read = fd >= 0 && charge_read(fd, charge);
	if (!is_read)
		complain_of_file(where, false);
	if (charge->bad > 0) {
		char *sentence;

		if (asprintf(&sentence, "line %zu: '%s': %s%s", charge->bad_line, charge->text,
			     charge->why, charge->bad > 1 ? "; others are like that, too" : "") < 0)
			tool_out_of_memory();
		complain(where, sentence);
		free(sentence);
	}
	if (fd >= 0 && fd != cost)
		close(fd);
	return is_read && charge->bad == 0;
}

/* The cost of a command that ended in this way. */
struct bill {
	bool is_due; /* something is to be charged */
	bool is_told;
	bool is_readable;
	int64_t amount;
};

static struct bill make_bill(const struct request *request, int cost, int result)
{
	bool estimate_is_due = result == 0 || request->charge_on_failure;
	struct charge charge = {0};
	struct bill bill = {.is_readable = true};

	if (cost >= 0)
		bill.is_readable = read_cost(request, cost, &charge);
	bill.is_told = charge.told > 0;
	bill.amount = charge.amount;
	bill.is_due = bill.is_told || estimate_is_due;
	/* A cost that cannot be read was spent all the same. */
	if (estimate_is_due && (!bill.is_told || !bill.is_readable) &&
	    bill.amount < request->amount)
		bill.amount = request->amount;
	return bill;
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
	/* A parent may have SIGCHLD ignored, and this process inherits that; it would then not
	 * learn that the command has ended. */
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, blocked, before);
}

/* Open under this number, also after exec. */
static bool give_descriptor(int fd, int number)
{
	return fd == number ? fcntl(fd, F_SETFD, 0) == 0 : dup2(fd, number) == number;
}

/* Becomes the command, in the child. The parent may have been killed before the kernel was asked to
 * signal its death. */
static _Noreturn void become(const struct request *request, int cost, const sigset_t *mask,
			     pid_t parent, int failed)
{
	int code = 0;

	if (request->death_signal != 0 && prctl(PR_SET_PDEATHSIG, request->death_signal) != 0)
		code = errno;
	if (code == 0 && request->death_signal != 0 && getppid() != parent)
		_exit(RUN_EXIT_FAILED);
	if (code == 0 && request->cost_fd >= 0 && !give_descriptor(cost, request->cost_fd))
		code = errno;
	if (code == 0) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execvp(request->command[0], request->command);
		code = errno;
	}
	if (write(failed, &code, sizeof code) < 0)
		_exit(RUN_EXIT_FAILED);
	_exit(RUN_EXIT_NOT_RUN);
}

/* Starts the command with the signals as they were. 0, or an errno. */
static int start(const struct request *request, int cost, const sigset_t *mask, pid_t *child)
{
	pid_t parent = getpid();
	int failed[2], code = 0;
	ssize_t got;

	/* It is closed by exec; what the child writes into it before is why there was none. */
	if (pipe2(failed, O_CLOEXEC) < 0)
		return errno;
	/* --cost-fd may be the number that it has. */
	if (request->cost_fd == failed[1]) {
		int other = fcntl(failed[1], F_DUPFD_CLOEXEC, failed[1] + 1);

		code = other < 0 ? errno : 0;
		close(failed[1]);
		failed[1] = other;
	}
	*child = code == 0 ? fork() : -1;
	if (*child == 0)
		become(request, cost, mask, parent, failed[1]);
	if (*child < 0 && code == 0)
		code = errno;
	if (failed[1] >= 0)
		close(failed[1]);
	if (*child > 0) {
		do
			got = read(failed[0], &code, sizeof code);
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			code = 0;
		else
			waitpid(*child, NULL, 0);
	}
	close(failed[0]);
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

	complain(be_status_is_refusal(status) ? label : request->environment, sentence);
	free(sentence);
	free(label);
	return be_status_is_refusal(status) ? RUN_EXIT_REFUSED : RUN_EXIT_FAILED;
}

/* Text as one word of a command line. */
static void put_word(FILE *stream, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_./:=@%+-";

	if (*text != '\0' && text[strspn(text, plain)] == '\0') {
		fputs(text, stream);
		return;
	}
	putc('\'', stream);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", stream);
		putc(*text, stream);
	}
	putc('\'', stream);
}

static void put_amount(FILE *stream, int64_t amount)
{
	char text[BE_AMOUNT_TEXT_SIZE];

	fputs(be_amount_format(amount, text, sizeof text) == BE_OK ? text : "?", stream);
}

/* "be-ctl record --category llm --amount 0.25 DIR" */
static void put_record(FILE *stream, const struct request *request, int64_t amount)
{
	fputs("be-ctl record", stream);
	if (request->durability == BE_DURABILITY_PROCESS)
		fputs(" --durability process", stream);
	if (request->namespace_name) {
		fputs(" --namespace ", stream);
		put_word(stream, request->namespace_name);
	}
	fputs(" --category ", stream);
	put_word(stream, request->category);
	fputs(" --amount ", stream);
	put_amount(stream, amount);
	putc(' ', stream);
	put_word(stream, request->environment);
}

static void put_settle(FILE *stream, const struct request *request, uint64_t id, int64_t amount)
{
	fputs("be-ctl settle", stream);
	if (request->durability == BE_DURABILITY_PROCESS)
		fputs(" --durability process", stream);
	putc(' ', stream);
	put_word(stream, request->environment);
	fprintf(stream, " %" PRIu64 " ", id);
	put_amount(stream, amount);
}

/* Says what is not charged and what would charge it. The commit is still pending, but ends with
 * this process, and then as it was made: freed, so that it can be settled late, or charged. */
static void put_remedy(FILE *stream, const struct request *request, uint64_t id,
		       enum be_status status, int64_t amount)
{
	bool is_charged = status == BE_ALREADY_CHARGED ||
			  (request->charge_on_failure && !be_status_is_refusal(status));

	put_amount(stream, amount);
	if (is_charged) {
		fputs(status == BE_ALREADY_CHARGED
			      ? " is not charged, but the estimate of "
			      : " is not charged; the next process that opens the environment to "
				"change it will charge, instead, the estimate of ",
		      stream);
		put_amount(stream, request->amount);
		if (amount > request->amount) {
			fputs("; charge the rest with: ", stream);
			put_record(stream, request, amount - request->amount);
		}
	} else if (be_status_is_refusal(status)) {
		fputs(" is not charged by this; if nobody else has charged it: ", stream);
		put_record(stream, request, amount);
	} else {
		fputs(" is NOT charged; when that is mended, charge it with: ", stream);
		put_settle(stream, request, id, amount);
	}
}

static int say_uncharged(const struct request *request, uint64_t id, enum be_status status,
			 int64_t amount)
{
	char *sentence, *subject;
	size_t size;
	FILE *stream;

	if (asprintf(&subject, "commit %" PRIu64, id) < 0)
		tool_out_of_memory();
	complain(be_status_is_refusal(status) ? subject : request->environment, be_last_error());
	stream = open_memstream(&sentence, &size);
	if (!stream)
		tool_out_of_memory();
	put_remedy(stream, request, id, status, amount);
	if (fclose(stream) != 0)
		tool_out_of_memory();
	complain(subject, sentence);
	free(sentence);
	free(subject);
	return RUN_EXIT_UNCHARGED;
}

static int settle(const struct request *request, struct be_enforcer *handle, uint64_t id,
		  const struct bill *bill, int result)
{
	enum be_status status = be_settle(handle, id, bill->amount, NULL, NULL);

	/* An operator gave it back while the command ran; the money is gone all the same. */
	if (status == BE_ALREADY_RELEASED)
		status = be_record(handle, request->category, bill->amount, request->description,
				   NULL);
	/* The command has settled it by itself. */
	if (status == BE_ALREADY_SETTLED && !bill->is_told)
		status = BE_OK;
	if (status != BE_OK)
		return say_uncharged(request, id, status, bill->amount);
	return result == 0 && !bill->is_readable ? RUN_EXIT_UNREADABLE : result;
}

/* Ends the commit as the command has ended. Returns the exit status. */
static int end_commit(const struct request *request, struct be_enforcer *handle, uint64_t id,
		      int cost, int result)
{
	struct bill bill = make_bill(request, cost, result);
	enum be_status status;

	if (bill.is_due)
		return settle(request, handle, id, &bill, result);
	status = be_release(handle, id);
	/* Nothing is owed; what is still held is freed when this process has ended. */
	if (status != BE_OK && !be_status_is_refusal(status))
		complain(request->environment, be_last_error());
	return result;
}

/* For the command: it may extend the commit. */
static void set_variables(const struct request *request, uint64_t id)
{
	char *path = realpath(request->environment, NULL);
	char number[24];

	snprintf(number, sizeof number, "%" PRIu64, id);
	if (setenv("BE_COMMIT_ID", number, 1) != 0 ||
	    setenv("BE_ENVIRONMENT", path ? path : request->environment, 1) != 0)
		tool_out_of_memory();
	free(path);
}

static int run_command(const struct request *request, struct be_enforcer *handle, uint64_t id)
{
	sigset_t blocked, before;
	int cost, code, result = RUN_EXIT_FAILED;
	pid_t child = -1;

	block_signals(&blocked, &before);
	set_variables(request, id);
	cost = open_cost(request);
	if (cost < 0 && (request->cost_fd >= 0 || request->cost_file))
		code = -1;
	else
		code = start(request, cost, &before, &child);
	if (code == 0) {
		/* Where files may not grow, the charge fails and is told of. */
		signal(SIGXFSZ, SIG_IGN);
		result = end_commit(request, handle, id, cost, attend(child, &blocked));
	} else {
		if (code > 0) {
			complain(request->command[0], strerror(code));
			result = code == ENOENT ? RUN_EXIT_NOT_FOUND : RUN_EXIT_NOT_RUN;
		}
		if (be_release(handle, id) != BE_OK)
			complain(request->environment, be_last_error());
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
