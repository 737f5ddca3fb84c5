/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chaos (tests/crash/chaos.h) over eight containers of two workers each, whose pids are the
 * same in all: so a worker that waits for a lock and is killed has, elsewhere, a live namesake that
 * holds it. Random workers are killed, and whole containers, and others started in their places,
 * while the host looks on. Afterwards nothing acknowledged is lost or doubled, and nothing is held.
 *
 * usage: containers-chaos process|full [--seconds N]
 */
#include "chaos.h"
#include "containers.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	CONTAINERS = 8,
	WORKERS = PLACES / CONTAINERS,
	WHOLE = 20, /* one kill of so many is that of a container */
	PAGES_MAX =
		40000, /* of the data file, that a dead reader's pinned ones would soon exceed */
	PAGES_EACH = 8 /* that a call may add while somebody reads */
};

/* In shared memory. */
static _Atomic int (*doomed)[WORKERS]; /* workers that the first process is to kill */

/* The first process of a container: starts workers, kills them when told, and starts others. */
static int keep_workers(int index, void *context)
{
	pid_t workers[WORKERS] = {0};

	for (;;) {
		for (int i = 0; i < WORKERS; i++) {
			if (workers[i] != 0 && atomic_exchange(&doomed[index][i], 0)) {
				EXPECT(kill(workers[i], SIGKILL) == 0);
				EXPECT_EQUAL(child_wait(workers[i]), 128 + SIGKILL);
				workers[i] = 0;
			}
			/* One that failed has said why. */
			if (workers[i] != 0 && waitpid(workers[i], NULL, WNOHANG) == workers[i])
				return 1;
			if (workers[i] == 0)
				container_fork(&workers[i], 1, index * WORKERS + i,
					       chaos_run_worker, context);
		}
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
}

static struct container *start(struct chaos *chaos, int index)
{
	return container_start(test_directory(), false, keep_workers, index, chaos);
}

/* The longest look may have pinned pages itself. *longest is in calls that were answered meanwhile,
 * not in time: how fast the file grows, and how long a look takes, is the machine's affair. */
static void look_on(const struct chaos *chaos, struct be_enforcer *looking, uint64_t *longest)
{
	struct be_statistics stats = BE_STATISTICS_INIT;
	uint64_t before, meanwhile;

	EXPECT_OK(be_stats(looking, &stats));
	EXPECT(stats.file_size / 4096 < PAGES_MAX + PAGES_EACH * *longest);
	before = atomic_load(&chaos->shared->answers);
	EXPECT_VERIFIED(looking);
	meanwhile = atomic_load(&chaos->shared->answers) - before;
	if (*longest < meanwhile)
		*longest = meanwhile;
}

static void kill_and_replace(struct chaos *chaos, struct be_enforcer *looking)
{
	struct container *containers[CONTAINERS];
	int64_t start_ns = test_monotonic_ns();
	uint64_t random = chaos->seed, longest = 0;
	int kills, whole = 0;

	for (int i = 0; i < CONTAINERS; i++)
		containers[i] = start(chaos, i);
	for (kills = 0; test_seconds_since(start_ns) < chaos->seconds; kills++) {
		struct timespec pause = {.tv_nsec = (long)(test_random(&random) % 8000000)};
		int index = (int)(test_random(&random) % CONTAINERS);

		/* The moment of the kill is random; nothing depends on it. */
		nanosleep(&pause, NULL);
		if (test_random(&random) % WHOLE == 0) {
			container_kill(containers[index]);
			containers[index] = start(chaos, index);
			whole++;
		} else {
			atomic_store(&doomed[index][test_random(&random) % WORKERS], 1);
		}
		if (kills % 64 == 0)
			look_on(chaos, looking, &longest);
	}
	for (int i = 0; i < CONTAINERS; i++)
		container_kill(containers[i]);
	printf("%s durability: %d kills, %d of them of whole containers; %" PRIu64
	       " calls were answered, the slowest after %.0f ms\n",
	       crash_durability_name(chaos->durability), kills, whole,
	       atomic_load(&chaos->shared->answers),
	       (double)atomic_load(&chaos->shared->slowest_ns) / 1e6);
}

static struct be_enforcer *look(const struct chaos *chaos)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(chaos->path, &options, &handle));
	return handle;
}

int main(int argc, char **argv)
{
	static struct chaos chaos;
	struct be_enforcer *handle;

	EXPECT(argc == 2 || (argc == 4 && strcmp(argv[2], "--seconds") == 0));
	chaos.seconds = argc == 4 ? atoi(argv[3]) : test_is_long() ? 300 : 8;
	test_begin(60 + (unsigned)chaos.seconds * 2);
	chaos.durability = crash_durability(argc, argv);
	containers_must_be_possible();
	chaos.seed = test_seed();
	chaos.shared = shared_make(sizeof *chaos.shared);
	doomed = shared_make(sizeof *doomed * CONTAINERS);
	test_path(chaos.path, "environment");
	handle = test_open(chaos.path, chaos.durability);
	chaos_create_envelopes(handle);
	be_close(handle);
	handle = look(&chaos);
	kill_and_replace(&chaos, handle);
	be_close(handle);
	chaos_expect_nothing_held(&chaos);
	handle = test_open(chaos.path, chaos.durability);
	EXPECT_VERIFIED(handle);
	chaos_audit(handle);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
