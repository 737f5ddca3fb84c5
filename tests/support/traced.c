/* SPDX-License-Identifier: Apache-2.0 */
#include "traced.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int ask_for_tracing(int index, void *context)
{
	(void)index;
	(void)context;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1;
}

const char *traced_why_not(void)
{
	if (TEST_SANITIZED)
		return "sanitizers change what system calls a program makes";
	if (child_wait(child_start(ask_for_tracing, 0, NULL)) != 0)
		return "this user may not trace its children";
	return NULL;
}

void traced_require(void)
{
	const char *reason = traced_why_not();

	if (reason != NULL)
		test_skip("%s", reason);
}

void traced_begin(void)
{
	EXPECT(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	raise(SIGSTOP);
}

pid_t traced_start(child_function *run, int index, void *context)
{
	pid_t child = child_start(run, index, context);
	int status;

	EXPECT(waitpid(child, &status, 0) == child);
	EXPECT(WIFSTOPPED(status));
	EXPECT(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) ==
	       0);
	return child;
}

bool traced_step(pid_t child, int *status)
{
	int how, signal = 0;

	for (;;) {
		EXPECT(ptrace(PTRACE_SYSCALL, child, NULL, (void *)(long)signal) == 0);
		EXPECT(waitpid(child, &how, 0) == child);
		if (!WIFSTOPPED(how)) {
			*status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
			return false;
		}
		if (WSTOPSIG(how) == (SIGTRAP | 0x80))
			return true;
		signal = WSTOPSIG(how) == SIGSTOP ? 0 : WSTOPSIG(how);
	}
}

static long call_of(pid_t child)
{
	struct __ptrace_syscall_info info = {0};

	EXPECT(ptrace(PTRACE_GET_SYSCALL_INFO, child, (void *)sizeof info, &info) > 0);
	return info.op == PTRACE_SYSCALL_INFO_ENTRY ? (long)info.entry.nr : -1;
}

bool traced_to_call(pid_t child, long number)
{
	int status;

	while (traced_step(child, &status))
		if (call_of(child) == number)
			return true;
	return false;
}

int traced_calls_before(pid_t child, long number)
{
	int calls = 0, status;
	long called;

	while (traced_step(child, &status)) {
		called = call_of(child);
		if (called == number)
			return calls;
		calls += called >= 0;
	}
	return -1;
}

void traced_let_go(pid_t child)
{
	EXPECT(ptrace(PTRACE_DETACH, child, NULL, NULL) == 0);
}

void wait_until_asleep(pid_t child)
{
	char path[64], text[256];
	long number = -1;

	snprintf(path, sizeof path, "/proc/%d/syscall", (int)child);
	while (number != SYS_futex) {
		int fd = open(path, O_RDONLY);
		ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

		if (fd >= 0)
			close(fd);
		EXPECT(got > 0);
		text[got] = '\0';
		/* "running" has no number, and a child that has ended fails the reading. */
		number = text[0] >= '0' && text[0] <= '9' ? strtol(text, NULL, 10) : -1;
		sched_yield();
	}
}
