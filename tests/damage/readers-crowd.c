/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More threads read at the same time, in many processes, than LMDB's reader table has slots. Each
 * process keeps the slots that it can have and gives the others back, so that no check fails for
 * want of one, in whatever thread, and newcomers find one, too.
 */
#include "support.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than 4096 together. */
#define PROCESSES 68
#define THREADS 64
#define NEWCOMERS 40
#define CHECKS (test_is_long() ? 2000 : 20)
#define STACK_BYTES (128 << 10)

static char environment[PATH_MAX];
static struct scene {
	atomic_int ready; /* processes in which each thread has read */
	atomic_int newcomers;
} * scene;

static int over[2]; /* a pipe that ends when all is over */

struct process {
	struct be_enforcer *handle;
	pthread_barrier_t together;
};

static void check(struct be_enforcer *handle, int times)
{
	for (int i = 0; i < times; i++)
		EXPECT_OK(be_check(handle, "llm", 1, NULL));
}

static void *run_thread(void *context)
{
	struct process *process = context;
	char byte;

	check(process->handle, CHECKS);
	pthread_barrier_wait(&process->together);
	check(process->handle, CHECKS);
	/* And stays, as a worker's threads do. */
	EXPECT(read(over[0], &byte, 1) == 0);
	check(process->handle, CHECKS);
	return NULL;
}

static int run_process(int index, void *context)
{
	struct process process = {.handle = test_open(environment, BE_DURABILITY_PROCESS)};
	pthread_t threads[THREADS];
	pthread_attr_t attributes;

	(void)index;
	(void)context;
	EXPECT(close(over[1]) == 0);
	EXPECT(pthread_attr_init(&attributes) == 0);
	EXPECT(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
	EXPECT(pthread_barrier_init(&process.together, NULL, THREADS + 1) == 0);
	for (int i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&threads[i], &attributes, run_thread, &process) == 0);
	pthread_barrier_wait(&process.together);
	atomic_fetch_add(&scene->ready, 1);
	for (int i = 0; i < THREADS; i++)
		EXPECT(pthread_join(threads[i], NULL) == 0);
	be_close(process.handle);
	return 0;
}

static int come_later(int index, void *context)
{
	struct be_enforcer *handle = test_open(environment, BE_DURABILITY_PROCESS);

	(void)index;
	(void)context;
	EXPECT(close(over[1]) == 0);
	check(handle, CHECKS);
	EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	EXPECT_VERIFIED(handle);
	be_close(handle);
	atomic_fetch_add(&scene->newcomers, 1);
	return 0;
}

int main(void)
{
	struct be_statistics figures = BE_STATISTICS_INIT;
	pid_t children[PROCESSES + NEWCOMERS];
	struct be_enforcer *handle;

	test_begin(120);
	if (TEST_SANITIZED)
		test_skip("so many threads are too much for sanitizers");
	EXPECT(pipe(over) == 0);
	scene = shared_make(sizeof *scene);
	test_path(environment, "environment");
	handle = test_open(environment, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		children[i] = child_start(run_process, i, NULL);
		while (atomic_load(&scene->ready) <= i) {
			if (waitpid(children[i], &status, WNOHANG) != 0)
				test_fail(__FILE__, __LINE__, "process %d of %d threads failed", i,
					  THREADS);
			usleep(1000);
		}
	}
	EXPECT_OK(be_stats(handle, &figures));
	printf("%d threads, %d readers of %d\n", PROCESSES * THREADS, (int)figures.readers,
	       (int)figures.readers_max);
	EXPECT(figures.readers < figures.readers_max && figures.readers >= PROCESSES);
	for (int i = 0; i < NEWCOMERS; i++)
		children[PROCESSES + i] = child_start(come_later, i, NULL);
	while (atomic_load(&scene->newcomers) < NEWCOMERS) {
		int status;

		for (int i = 0; i < NEWCOMERS; i++)
			if (children[PROCESSES + i] != 0 &&
			    waitpid(children[PROCESSES + i], &status, WNOHANG) != 0) {
				EXPECT_EQUAL(status, 0);
				children[PROCESSES + i] = 0;
			}
		usleep(1000);
	}
	EXPECT(close(over[1]) == 0);
	for (int i = 0; i < PROCESSES; i++)
		EXPECT_EQUAL(child_wait(children[i]), 0);
	EXPECT_BALANCE(handle, "llm", NEWCOMERS, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
