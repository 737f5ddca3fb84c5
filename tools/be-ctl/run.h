/* SPDX-License-Identifier: Apache-2.0 */
/* The verb that runs a command on a reservation. */
#ifndef RUN_H
#define RUN_H

#include "request.h"

/* Exit statuses besides the command's own. EX_TEMPFAIL of <sysexits.h>, two of our own, and those
 * of env and timeout. */
enum {
	RUN_EXIT_REFUSED = 75,
	RUN_EXIT_UNREADABLE = 122,
	RUN_EXIT_UNCHARGED = 123,
	RUN_EXIT_TIMED_OUT = 124,
	RUN_EXIT_FAILED = 125,
	RUN_EXIT_NOT_RUN = 126,
	RUN_EXIT_NOT_FOUND = 127,
	RUN_EXIT_SIGNAL = 128,
};

extern const char run_help[];

int run_run(const struct request *request);

#endif
