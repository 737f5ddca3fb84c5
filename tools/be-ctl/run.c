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
#include "attend.h"
#include "charge.h"
#include "complain.h"
#include "opening.h"
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Times in a --ttl that a reservation is extended, so that one may be missed. */
#define BEATS 3

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
	"With --key a command is run once under it: again within a day it is refused, whether the "
	"first is running or has ended. One that is not there, or may not be executed, leaves the "
	"key free.\n"
	"\n"
	"With --ttl the reservation ends after that time, also when be-ctl is stopped or hangs; "
	"with --heartbeat it is extended by --ttl again and again while the command runs. With "
	"--json the answer is the last line of standard output, behind what the command prints.\n"
	"\n"
	"Exit status: the command's own, and 128 + N when signal N ended it. 75: refused, and the "
	"command was not run. 124: it was ended by --timeout, and counts as failed. 122: the "
	"command succeeded, but told a cost that cannot be read; it "
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

/* ---- all together */

/* What is known of a run, from the reservation on. */
struct running {
	const struct request *request;
	struct be_enforcer *handle;
	uint64_t id; /* of the commit */
	struct answer answer;
	enum be_status status; /* of what was asked of the library last */
	bool was_run;
	bool timed_out;
	bool is_repeated; /* the key was given before */
};

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
/* An option whose value has two parts; the first may be NULL, and is left out then. */
static void put_option(FILE *stream, const char *option, const char *first, const char *between,
		       const char *second)
{
	char *value;

	if (asprintf(&value, "%s%s%s", first ? first : "", first ? between : "", second) < 0)
		tool_out_of_memory();
	fprintf(stream, " %s ", option);
	put_word(stream, value);
	free(value);
}

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
	for (uint32_t i = 0; i < request->also_count; i++)
		put_option(stream, "--also", request->also[i].namespace_name, "/",
			   request->also[i].category);
	for (uint32_t i = 0; i < request->label_count; i++)
		put_option(stream, "--label", request->labels[i].key, "=",
			   request->labels[i].value);
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

static int settle(struct running *running, const struct bill *bill, int result)
{
	const struct request *request = running->request;
	struct be_transaction *transaction = &running->answer.transaction;
	const struct be_charge_options options = {.size = sizeof options,
						  .also = request->also,
						  .also_count = request->also_count,
						  .labels = request->labels,
						  .label_count = request->label_count};
	enum be_status status =
		be_settle(running->handle, running->id, bill->amount, NULL, transaction);

	/* An operator gave it back while the command ran; the money is gone all the same. */
	if (status == BE_ALREADY_RELEASED)
		status = be_record_with(running->handle, request->category, bill->amount,
					request->description, &options, transaction);
	/* The command has settled it by itself. */
	if (status == BE_ALREADY_SETTLED && !bill->is_told)
		status = BE_OK;
	running->status = status;
	if (status != BE_OK)
		return say_uncharged(request, running->id, status, bill->amount);
	return result == 0 && !bill->is_readable ? RUN_EXIT_UNREADABLE : result;
}

/* Ends the commit as the command has ended. Returns the exit status. */
static int end_commit(struct running *running, int cost, int result)
{
	struct bill bill = make_bill(running->request, cost, result);
	enum be_status status;

	if (bill.is_due)
		return settle(running, &bill, result);
	status = be_release(running->handle, running->id);
	/* Nothing is owed; what is still held is freed when this process has ended. */
	if (status != BE_OK && !be_status_is_refusal(status))
		complain(running->request->environment, be_last_error());
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

/* Holds what is held for another --ttl. One that has ended stays so; what else may be wrong is
 * told when the command has ended and is to be charged. */
static void extend(void *context)
{
	const struct running *running = context;

	(void)!be_extend(running->handle, running->id, BE_HELD_AMOUNT, running->request->ttl_ms,
			 NULL);
}

static int attend_command(struct running *running, pid_t child, const sigset_t *signals)
{
	const struct request *request = running->request;
	struct attending attending = {.signals = signals,
				      .beat_ms = request->heartbeat ? request->ttl_ms / BEATS : 0,
				      .beat = extend,
				      .context = running,
				      .timeout_ms = request->timeout_ms};
	int result = attend(child, &attending);

	running->timed_out = attending.timed_out;
	return running->timed_out ? RUN_EXIT_TIMED_OUT : result;
}

static int run_command(struct running *running)
{
	const struct request *request = running->request;
	sigset_t blocked, before;
	int cost, code, result = RUN_EXIT_FAILED;
	pid_t child = -1;

	block_signals(&blocked, &before);
	set_variables(request, running->id);
	cost = open_cost(request);
	if (cost < 0 && (request->cost_fd >= 0 || request->cost_file))
		code = -1;
	else
		code = start(request, cost, &before, &child);
	if (code == 0) {
		/* Where files may not grow, the charge fails and is told of. */
		signal(SIGXFSZ, SIG_IGN);
		running->was_run = true;
		result = end_commit(running, cost, attend_command(running, child, &blocked));
	} else {
		if (code > 0) {
			complain(request->command[0], strerror(code));
			result = code == ENOENT ? RUN_EXIT_NOT_FOUND : RUN_EXIT_NOT_RUN;
		}
		if (be_release(running->handle, running->id) != BE_OK)
			complain(request->environment, be_last_error());
	}
	if (cost >= 0)
		close(cost);
	return result;
}

/* The answer as a document, on a line of its own behind what the command has printed, which may not
 * have ended its last line. */
static void tell(struct running *running, int result)
{
	struct answer *answer = &running->answer;

	if (running->was_run)
		putchar('\n');
	answer->more = json_object();
	answer_add(answer->more, "was_run", json_boolean(running->was_run));
	answer_add(answer->more, "exit_status", json_integer(result));
	answer_add(answer->more, "timed_out", json_boolean(running->timed_out));
	answer->has_number = running->id != 0;
	answer->number_name = "id";
	answer->number = running->id;
	answer_finish(answer, running->status);
}

/* Notes whether the commit was made by this call, or under its key before. */
static void see_repeat(void *context, const struct be_event *event)
{
	struct running *running = context;

	if (event->operation == BE_OPERATION_COMMIT)
		running->is_repeated = event->repeated;
}

static enum be_status open_watched(struct running *running)
{
	const struct request *request = running->request;
	struct be_options options = BE_OPTIONS_INIT;

	options.flags = BE_OPEN_EXISTING;
	options.namespace_name = request->namespace_name;
	options.durability = request->durability;
	options.mode = request->mode;
	options.observe = see_repeat;
	options.observe_context = running;
	return tool_open(request->environment, &options, &running->handle);
}

/* A command is run once under a key: one that holds its reservation is at it now. */
static int leave_to_other(struct running *running)
{
	char sentence[128];

	snprintf(sentence, sizeof sentence,
		 "commit %" PRIu64 " was made under that key, and is pending: not run again",
		 running->id);
	complain("--key", sentence);
	running->answer.told = true;
	if (running->request->json)
		tell(running, RUN_EXIT_REFUSED);
	return RUN_EXIT_REFUSED;
}

static int judge_file(const char *path)
{
	struct stat about;

	if (stat(path, &about) != 0)
		return errno;
	if (!S_ISREG(about.st_mode))
		return EACCES;
	return access(path, X_OK) == 0 ? 0 : errno;
}

/* Can it be started, as far as is seen beforehand? It is looked for as execvp() does. 0, or an
 * errno. What cannot be started needs no reservation, and uses up no key. */
static int judge_command(const char *name)
{
	const char *at = getenv("PATH");
	int code = ENOENT;

	if (strchr(name, '/') || !*name)
		return judge_file(name);
	/* Without it there is a usual one, which the system knows. */
	while (at) {
		size_t size = strcspn(at, ":");
		char *path;
		int found;

		if (asprintf(&path, "%.*s%s%s", (int)size, at, size > 0 ? "/" : "", name) < 0)
			tool_out_of_memory();
		found = judge_file(path);
		free(path);
		if (found == 0)
			return 0;
		if (found == EACCES)
			code = EACCES;
		if (at[size] == '\0')
			return code;
		at += size + 1;
	}
	return 0;
}

static int refuse_command(struct running *running, int code)
{
	const struct request *request = running->request;
	int result = code == ENOENT ? RUN_EXIT_NOT_FOUND : RUN_EXIT_NOT_RUN;

	complain(request->command[0], strerror(code));
	running->answer.told = true;
	if (request->json)
		tell(running, result);
	return result;
}

int run_run(const struct request *request)
{
	struct running running = {.request = request, .answer = answer_to(request)};
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	enum be_status status = open_watched(&running);
	int code = judge_command(request->command[0]), result;

	options.key = request->key;
	options.labels = request->labels;
	options.label_count = request->label_count;
	options.wait_ms = request->wait_ms;
	options.also = request->also;
	options.also_count = request->also_count;
	options.reap_policy = request->charge_on_failure ? BE_REAP_CHARGE : BE_REAP_RELEASE;
	options.ttl_ms = request->given & UINT64_C(1) << OPTION_TTL ? request->ttl_ms : 0;
	if (status == BE_OK && code == 0)
		status = be_commit_with(running.handle, request->category, request->amount,
					request->description, &options, &running.id,
					&running.answer.decision);
	running.status = status;
	if (status == BE_OK && code != 0) {
		result = refuse_command(&running, code);
	} else if (status == BE_OK && running.is_repeated) {
		result = leave_to_other(&running);
	} else if (status == BE_OK) {
		result = run_command(&running);
		running.answer.told = true;
		if (request->json)
			tell(&running, result);
	} else {
		result = be_status_is_refusal(status) ? RUN_EXIT_REFUSED : RUN_EXIT_FAILED;
		if (request->json)
			tell(&running, result);
		else
			answer_finish(&running.answer, status);
	}
	be_close(running.handle);
	return result;
}
