/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of deaths share: gates, which order parent and children without sleeping, killing
 * and stopping for certain, and figures that noise does not spoil.
 */
#ifndef CRASH_H
#define CRASH_H

#include "support.h"

/* Reads "process" or "full" from the command line. In process durability the directory lies in
 * memory. */
enum be_durability crash_durability(int argc, char **argv);

const char *crash_durability_name(enum be_durability durability);

/* A gate lets through as many waits as it was opened times, in whatever process. Made before the
 * forks. */
struct gate {
	int ends[2];
};

struct gate gate_make(void);
void gate_open(const struct gate *gate);
void gate_wait(const struct gate *gate);

/* Waits for ever: until this process is killed, or dies with its parent. */
_Noreturn void wait_for_death(void);

/* Kills a child, and returns when the kernel has let go of all that it held. */
void kill_child(pid_t child);

/* Stops a child, and returns when it has stopped. */
void stop_child(pid_t child);

/* Sorts the figures, and returns the one in the middle. */
int64_t median(int64_t *figures, int count);

/* Prints a line of sorted figures in microseconds: least, median, most. */
void print_figures(const char *what, const int64_t *figures, int count);

/* The number of pending commits in an environment, and of transactions. */
uint64_t count_commits(struct be_enforcer *handle);
uint64_t count_transactions(struct be_enforcer *handle);

#endif
