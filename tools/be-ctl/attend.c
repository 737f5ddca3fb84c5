/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a command's end, with all that comes before. Times are of a clock that nobody
 * sets. */
#include "attend.h"

#include "run.h"

#include <sys/wait.h>
#include <time.h>

#define MS_NS INT64_C(1000000)
#define SECOND_NS INT64_C(1000000000)
/* From SIGTERM to SIGKILL. */
#define GRACE_NS (10 * SECOND_NS)
#define NEVER INT64_MAX

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int64_t after(int64_t from_ns, uint64_t milliseconds)
{
	int64_t at_ns;

	if (milliseconds == 0 || milliseconds > (uint64_t)(INT64_MAX / MS_NS) ||
	    __builtin_add_overflow(from_ns, (int64_t)milliseconds * MS_NS, &at_ns))
		return NEVER;
	return at_ns;
}

/* The next of the signals, or an error when the time comes first. */
static int wait_until(const sigset_t *signals, int64_t at_ns, siginfo_t *came)
{
	int64_t left_ns = at_ns - now_ns();
	struct timespec timeout;

	if (at_ns == NEVER)
		return sigwaitinfo(signals, came);
	left_ns = left_ns > 0 ? left_ns : 0;
	timeout = (struct timespec){left_ns / SECOND_NS, left_ns % SECOND_NS};
	return sigtimedwait(signals, came, &timeout);
}

int attend(pid_t child, struct attending *attending)
{
	int64_t beat_ns = after(now_ns(), attending->beat_ms);
	int64_t end_ns = after(now_ns(), attending->timeout_ms);
	siginfo_t came;
	int how;

	for (;;) {
		int number =
			wait_until(attending->signals, beat_ns < end_ns ? beat_ns : end_ns, &came);

		/* The terminal's own signals have reached the command, which is in the same process
		 * group. */
		if (number > 0 && number != SIGCHLD && came.si_code != SI_KERNEL)
			kill(child, number);
		if (number == SIGCHLD && waitpid(child, &how, WNOHANG) == child)
			return WIFEXITED(how) ? WEXITSTATUS(how) : RUN_EXIT_SIGNAL + WTERMSIG(how);
		if (now_ns() >= end_ns) {
			kill(child, attending->timed_out ? SIGKILL : SIGTERM);
			end_ns = attending->timed_out ? NEVER : now_ns() + GRACE_NS;
			attending->timed_out = true;
		}
		if (now_ns() >= beat_ns) {
			attending->beat(attending->context);
			beat_ns = after(now_ns(), attending->beat_ms);
		}
	}
}
