/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers for tests, made as a container runtime makes them: pid, mount, ipc and uts namespaces
 * of their own, an overlay for a root, /proc and /dev/shm of their own, and one directory of the
 * host in common, mounted at CONTAINER_BUDGET, and where it may be written also at its own path.
 * The first process of each has the pid 1, and those that it forks have the same pids as those of
 * all others.
 */
#ifndef CONTAINERS_H
#define CONTAINERS_H

#include "crash.h"

#define CONTAINER_BUDGET "/budget"

struct container;

/* Ends the program as skipped where this process may not make containers. */
void containers_must_be_possible(void);

/* Makes a container whose first process calls `run` and ends with the status that it returns. The
 * host's `directory` is mounted in it, read-only if asked to. */
struct container *container_start(const char *directory, bool read_only, child_function *run,
				  int index, void *context);

/* Waits for its end: exit status, or 128 and a signal. */
int container_wait(struct container *container);

/* Kills all processes of it, as a runtime does, and waits until they are gone. */
void container_kill(struct container *container);

/* The host's pid of its first process. */
pid_t container_pid(const struct container *container);

/* Starts so many, waits for all, and fails when one of them has failed. */
void containers_run(const char *directory, int count, child_function *run, void *context);

/* In a container: forks so many children that call `run` with numbers from `first` on. */
void container_fork(pid_t *children, int count, int first, child_function *run, void *context);

/* In a container: waits for its children; the worst of their statuses. */
int container_join(const pid_t *children, int count);

#endif
