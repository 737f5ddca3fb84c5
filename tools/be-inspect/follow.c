/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for what comes next. The signals that end it are blocked except while it waits, so that
 * the environment is closed in order, and its reader slot with it, before the process ends.
 */
#include "follow.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS 200000000

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define ENDING_SIGNALS (sizeof ending_signals / sizeof ending_signals[0])

static volatile sig_atomic_t received;
static sigset_t waiting_mask;

static void receive(int signal_number)
{
	received = signal_number;
}

void follow_begin(void)
{
	struct sigaction action = {.sa_handler = receive}, before;
	sigset_t blocked;
	size_t i;

	sigemptyset(&blocked);
	for (i = 0; i < ENDING_SIGNALS; i++) {
		sigaction(ending_signals[i], NULL, &before);
		/* As under nohup. */
		if (before.sa_handler == SIG_IGN)
			continue;
		sigaddset(&blocked, ending_signals[i]);
		sigaction(ending_signals[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &blocked, &waiting_mask);
}

bool follow_wait(void)
{
	/* Errors, such as that of a pipe without a reader, are told without being asked for. */
	struct pollfd output = {.fd = STDOUT_FILENO};
	struct timespec timeout = {.tv_nsec = POLL_NS};

	if (ppoll(&output, 1, &timeout, &waiting_mask) > 0)
		received = SIGPIPE;
	return received == 0;
}

bool follow_wait_input(int fd, int milliseconds)
{
	struct pollfd input = {.fd = fd, .events = POLLIN};
	struct timespec timeout = {.tv_sec = milliseconds / 1000,
				   .tv_nsec = milliseconds % 1000 * 1000000L};

	if (ppoll(&input, 1, &timeout, &waiting_mask) > 0 && (input.revents & (POLLERR | POLLHUP)))
		received = SIGHUP;
	return received == 0;
}

void follow_end(void)
{
	int signal_number = received ? received : SIGPIPE;
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, signal_number);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
	sigprocmask(SIG_UNBLOCK, &ending, NULL);
	_Exit(EXIT_FAILURE);
}
