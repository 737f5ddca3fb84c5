/* SPDX-License-Identifier: Apache-2.0 */
/* Children that are run from one system call to the next, to be killed or held at a chosen one. */
#ifndef TRACED_H
#define TRACED_H

#include "support.h"

/* NULL, or the reason why tracing is not to be had. */
const char *traced_why_not(void);

/* Skips the test then. */
void traced_require(void);

/* Starts a child that is stopped at once; it goes on with traced_to_call() or traced_let_go().
 * `run` begins to be watched where it calls traced_begin(). */
pid_t traced_start(child_function *run, int index, void *context);
void traced_begin(void);

/* Lets the child run until it enters the system call `number`; false when it ended first. */
bool traced_to_call(pid_t child, long number);

/* The same, and returns how many system calls the child made before; -1 when it ended first. */
int traced_calls_before(pid_t child, long number);

/* Lets the child run to the next entry into or return from a system call; false when it ended, and
 * then *status is its exit status. */
bool traced_step(pid_t child, int *status);

/* Lets the child run on unwatched. */
void traced_let_go(pid_t child);

/* Waits until a child that is not traced sleeps in a futex. */
void wait_until_asleep(pid_t child);

#endif
