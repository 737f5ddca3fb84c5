/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a command's end. */
#ifndef ATTEND_H
#define ATTEND_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct attending {
	const sigset_t *signals; /* blocked: those to be passed on, and SIGCHLD */
	uint64_t beat_ms;        /* how often `beat` is called; 0: never */
	void (*beat)(void *context);
	void *context;
	uint64_t timeout_ms; /* 0: as long as it takes */
	bool timed_out;      /* filled in: it was ended because of that */
};

/* Waits until the command has ended, and passes signals on to it. When the time is over it gets
 * SIGTERM, and SIGKILL if that has not ended it in some seconds. Returns its exit status, or 128
 * and the number of the signal that ended it. */
int attend(pid_t child, struct attending *attending);

#endif
