/* SPDX-License-Identifier: Apache-2.0 */
/*
 * However --watch ends, by a key, a signal or a crash, the terminal is as it was; while it is
 * stopped, too, and then it comes back. The terminal is a pseudo terminal of this process. As under
 * a shell, a leader of the session starts the program in a process group of its own, is told when
 * it stops, and continues it.
 */
#include "inspects.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Of TERM=xterm. */
#define ENTER "\033[?1049h"
#define LEAVE "\033[?1049l"
#define CURSOR_SEEN "\033[?25h"
#define KEYPAD_OFF "\033[?1l"
#define KEY_LINE "q quit"

static char *program, path[PATH_MAX];
static int terminal, inside;
static struct termios before;

/* What the leader tells, and is told, by changes of these. */
static struct shared {
	volatile pid_t pid; /* of the program */
	volatile int stops;
	volatile int continues;
	volatile int status; /* as it ended; -1 before */
	volatile bool over;  /* the end of the leader takes the terminal's contents along */
} * shared;

/* What was written to the terminal since the last start_reading(). */
static char drawn[1 << 20];
static size_t drawn_size;

/* ---- the session */

static void to_foreground(pid_t group)
{
	EXPECT(tcsetpgrp(inside, group) == 0);
}

static int lead(int index, void *context)
{
	pid_t pid;
	int how;

	(void)index;
	(void)context;
	EXPECT(setsid() > 0 && ioctl(inside, TIOCSCTTY, 0) == 0);
	signal(SIGTTOU, SIG_IGN);
	pid = fork();
	EXPECT(pid >= 0);
	setpgid(pid, 0);
	if (pid == 0) {
		to_foreground(getpid());
		for (int signal_number = 1; signal_number < NSIG; signal_number++)
			signal(signal_number, SIG_DFL);
		for (int fd = 0; fd < 3; fd++)
			dup2(inside, fd);
		execl(program, program, "--watch", "--interval", "0.1", path, (char *)NULL);
		_exit(127);
	}
	shared->pid = pid;
	for (;;) {
		int before_it = shared->continues;

		EXPECT_EQUAL(waitpid(pid, &how, WUNTRACED), pid);
		if (!WIFSTOPPED(how))
			break;
		to_foreground(getpid());
		/* A shell has modes of its own. */
		EXPECT(tcsetattr(inside, TCSANOW, &before) == 0);
		shared->stops++;
		while (shared->continues == before_it)
			usleep(1000);
		to_foreground(pid);
		kill(-pid, SIGCONT);
	}
	to_foreground(getpid());
	shared->status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
	while (!shared->over)
		usleep(1000);
	return 0;
}

/* ---- looking */

static void take_drawn(int milliseconds)
{
	struct pollfd input = {.fd = terminal, .events = POLLIN};
	ssize_t got;

	if (poll(&input, 1, milliseconds) <= 0)
		return;
	EXPECT(drawn_size + 1 < sizeof drawn);
	got = read(terminal, drawn + drawn_size, sizeof drawn - 1 - drawn_size);
	if (got > 0)
		drawn_size += (size_t)got;
	drawn[drawn_size] = '\0';
}

static void start_reading(void)
{
	drawn_size = 0;
	*drawn = '\0';
}

/* The test's deadline ends it. */
static void await_drawn(const char *part)
{
	while (!strstr(drawn, part))
		take_drawn(100);
}

static bool has_modes_of_before(void)
{
	struct termios now;

	EXPECT(tcgetattr(terminal, &now) == 0);
	return now.c_iflag == before.c_iflag && now.c_oflag == before.c_oflag &&
	       now.c_lflag == before.c_lflag && now.c_cflag == before.c_cflag;
}

/* After all that was drawn. */
static void expect_restored(const char *after)
{
	const char *left;

	while (take_drawn(0), poll(&(struct pollfd){.fd = terminal, .events = POLLIN}, 1, 0) > 0)
		;
	EXPECT_CONTAINS(drawn, LEAVE);
	left = strstr(drawn, LEAVE);
	EXPECT_LACKS(left, ENTER);
	EXPECT_CONTAINS(drawn, CURSOR_SEEN);
	EXPECT_CONTAINS(drawn, KEYPAD_OFF);
	EXPECT_CONTAINS(left, after);
	EXPECT(has_modes_of_before());
}

/* ---- tests */

static pid_t start(void)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	EXPECT(openpty(&terminal, &inside, NULL, NULL, &size) == 0);
	EXPECT(fcntl(terminal, F_SETFD, FD_CLOEXEC) == 0 &&
	       fcntl(inside, F_SETFD, FD_CLOEXEC) == 0);
	EXPECT(tcgetattr(inside, &before) == 0);
	shared->status = -1;
	shared->over = false;
	start_reading();
	return child_start(lead, 0, NULL);
}

static pid_t begin(void)
{
	pid_t leader = start();

	await_drawn(KEY_LINE);
	EXPECT_CONTAINS(drawn, ENTER);
	EXPECT(!has_modes_of_before());
	return leader;
}

static void close_after(pid_t leader, int status)
{
	EXPECT_EQUAL(shared->status, status);
	shared->over = true;
	EXPECT_EQUAL(child_wait(leader), 0);
	close(terminal);
	close(inside);
}

static void expect_end(pid_t leader, int status, const char *message)
{
	while (shared->status < 0)
		take_drawn(1);
	expect_restored(message);
	close_after(leader, status);
}

/* One that writes lines only. */
static void check_no_screen(void)
{
	pid_t leader;

	setenv("TERM", "dumb", 1);
	leader = start();
	while (shared->status < 0)
		take_drawn(1);
	await_drawn("TERM=dumb) is not known, or can only print lines");
	EXPECT(has_modes_of_before());
	close_after(leader, 3);
	setenv("TERM", "xterm", 1);
}

static void press(char key)
{
	EXPECT_EQUAL(write(terminal, &key, 1), 1);
}

static void expect_end_by_key(char key, int status)
{
	pid_t leader = begin();

	press(key);
	expect_end(leader, status, "");
}

static void expect_end_by_signal(int signal_number, int status, const char *message)
{
	pid_t leader = begin();

	EXPECT(kill(shared->pid, signal_number) == 0);
	expect_end(leader, status, message);
	printf("%s: the terminal is as it was\n", strsignal(signal_number));
}

/* By the key, or by somebody else. SIGSTOP leaves no time to restore anything. */
static void expect_return(int signal_number)
{
	pid_t leader = begin();
	int stops = shared->stops;

	if (signal_number == 0)
		press('\032');
	else
		EXPECT(kill(shared->pid, signal_number) == 0);
	while (shared->stops == stops)
		take_drawn(1);
	if (signal_number != SIGSTOP)
		expect_restored("");
	EXPECT(has_modes_of_before());
	start_reading();
	shared->continues++;
	await_drawn(KEY_LINE);
	if (signal_number != SIGSTOP)
		EXPECT_CONTAINS(drawn, ENTER);
	EXPECT(!has_modes_of_before());
	press('q');
	expect_end(leader, 0, "");
	printf("stopped by %s: it came back\n",
	       signal_number == 0 ? "its key" : strsignal(signal_number));
}

int main(int argc, char **argv)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT},
			 crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;

	inspects_begin(argc, argv, 60);
	program = argv[1];
	handle = inspected_open(NULL, &now_ns, path);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	shared = shared_make(sizeof *shared);
	setenv("TERM", "xterm", 1);

	check_no_screen();
	expect_end_by_key('q', 0);
	expect_end_by_key('\003', 128 + SIGINT);
	expect_end_by_key('\034', 128 + SIGQUIT);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		expect_end_by_signal(ends[i], 128 + ends[i], "");
	for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
		expect_end_by_signal(crashes[i], 3, "be-inspect: crashed while it read");
	expect_return(0);
	expect_return(SIGTSTP);
	expect_return(SIGSTOP);
	return 0;
}
