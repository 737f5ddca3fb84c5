/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for what comes next, until somebody ends it. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT only end the functions that wait. */
void follow_begin(void);

/* Waits until there is something to read from `fd`, or for that long. False when a signal came, or
 * when the other end is closed. */
bool follow_wait_input(int fd, int milliseconds);

/* Waits a moment. False when a signal came, or nobody reads standard output any more. */
bool follow_wait(void);

/* Ends the process as the signal would have, or as SIGPIPE does. */
_Noreturn void follow_end(void);

#endif
