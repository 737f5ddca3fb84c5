/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chaos: 16 workers do everything there is to do on 8 envelopes, most of them in trees, and end
 * each other's commits, while the main process kills a random one every few milliseconds and starts
 * another in its place. Each worker writes down what it is about to do and what it was told
 * (chaos.h). When all are dead, the audit finds every acknowledged operation exactly once, none
 * twice, every balance right and nothing held.
 *
 * usage: chaos process|full [--seconds N]
 */
#include "chaos.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	KILLS = TEST_SANITIZED ? 200 : 1000
};

/* ---- the killer */

static void start_worker(struct chaos *chaos, int place)
{
	chaos->workers[place] = child_start(chaos_run_worker, place, chaos);
}

static bool is_over(const struct chaos *chaos, int kills, int64_t start)
{
	return chaos->seconds > 0 ? test_seconds_since(start) >= chaos->seconds
				  : kills >= chaos->kills;
}

static void kill_and_replace(struct chaos *chaos)
{
	int64_t start = test_monotonic_ns();
	uint64_t random = chaos->seed;
	int kills, place;

	for (place = 0; place < PLACES; place++)
		start_worker(chaos, place);
	for (kills = 0; !is_over(chaos, kills, start); kills++) {
		struct timespec pause = {.tv_nsec = (long)(test_random(&random) % 8000000)};

		/* The moment of the kill is random; nothing depends on it. */
		nanosleep(&pause, NULL);
		place = (int)(test_random(&random) % PLACES);
		kill_child(chaos->workers[place]);
		start_worker(chaos, place);
	}
	for (place = 0; place < PLACES; place++)
		kill_child(chaos->workers[place]);
	printf("%s durability: %d workers killed in %.1f s, and the last %d; %" PRIu64
	       " calls were answered\n",
	       crash_durability_name(chaos->durability), kills, test_seconds_since(start), PLACES,
	       atomic_load(&chaos->shared->answers));
}

static void read_arguments(struct chaos *chaos, int argc, char **argv)
{
	EXPECT(argc == 2 || (argc == 4 && strcmp(argv[2], "--seconds") == 0));
	if (argc == 4)
		chaos->seconds = atoi(argv[3]);
	test_begin(100 + (unsigned)chaos->seconds * 2);
	chaos->durability = crash_durability(argc, argv);
	chaos->kills = test_is_long() ? 10 * KILLS : KILLS;
}

int main(int argc, char **argv)
{
	static struct chaos chaos;
	struct be_enforcer *handle;

	read_arguments(&chaos, argc, argv);
	chaos.seed = test_seed();
	chaos.shared = shared_make(sizeof *chaos.shared);
	test_path(chaos.path, "environment");
	handle = test_open(chaos.path, chaos.durability);
	chaos_create_envelopes(handle);
	kill_and_replace(&chaos);
	chaos_expect_nothing_held(&chaos);
	EXPECT_VERIFIED(handle);
	chaos_audit(handle);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
