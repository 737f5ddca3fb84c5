/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for what comes next, until somebody ends it. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include <stdbool.h>

/* From now on SIGINT, SIGTERM and SIGHUP only end follow_wait(). */
void follow_begin(void);

/* Waits a moment. False when a signal came, or nobody reads standard output any more. */
bool follow_wait(void);

/* Ends the process as the signal would have, or as writing to nobody does. */
_Noreturn void follow_end(void);

#endif
