/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process is killed at a random moment while it opens a new directory, or several at once do.
 * Whatever it left half made, the next be_open() makes whole, without being blocked, and the
 * environment works. A reader that comes in between is told that nothing is there yet, or reads it.
 */
#include "crash.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	ROUNDS = TEST_SANITIZED ? 40 : 200,
	CROWD = 4
};

struct scene {
	char path[PATH_MAX];
	enum be_durability durability;
	struct gate ready;
	int *opened; /* shared: how many openings were over before the kill */
};

static int open_then_wait(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle;

	(void)index;
	gate_open(&scene->ready);
	handle = test_open(scene->path, scene->durability);
	__atomic_fetch_add(scene->opened, 1, __ATOMIC_SEQ_CST);
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	wait_for_death();
}

static void kill_openers(struct scene *scene, int count, int64_t after_ns)
{
	struct timespec pause = {after_ns / 1000000000, (long)(after_ns % 1000000000)};
	pid_t openers[CROWD];
	int i;

	for (i = 0; i < count; i++)
		openers[i] = child_start(open_then_wait, i, scene);
	for (i = 0; i < count; i++)
		gate_wait(&scene->ready);
	/* The moment of the kill is random; nothing depends on it. */
	nanosleep(&pause, NULL);
	for (i = 0; i < count; i++)
		EXPECT(kill(openers[i], SIGKILL) == 0);
	for (i = 0; i < count; i++)
		EXPECT_EQUAL(child_wait(openers[i]), 128 + SIGKILL);
}

static void look(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;

	options.flags = BE_OPEN_READ_ONLY;
	status = be_open(path, &options, &handle);
	if (status == BE_OK)
		EXPECT_VERIFIED(handle);
	else if (status != BE_NOT_AN_ENVIRONMENT)
		EXPECT_STATUS(status, BE_NOT_FOUND);
	be_close(handle);
}

/* How long the next opening took. */
static int64_t open_after(const struct scene *scene)
{
	int64_t start = test_monotonic_ns();
	struct be_enforcer *handle = test_open(scene->path, scene->durability);
	int64_t took_ns = test_monotonic_ns() - start;
	uint64_t id;

	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	EXPECT_OK(be_settle(handle, id, BE_UNIT, NULL, NULL));
	EXPECT_BALANCE(handle, "llm", BE_UNIT, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return took_ns;
}

/* So that the moments of the kills spread over an opening as long as it is on this machine. */
static int64_t time_opening(struct scene *scene)
{
	int64_t took_ns[5];
	int i;

	for (i = 0; i < 5; i++) {
		test_path(scene->path, "timed-%d", i);
		took_ns[i] = open_after(scene);
		test_remove(scene->path);
	}
	return median(took_ns, 5);
}

int main(int argc, char **argv)
{
	struct scene scene = {.ready = gate_make()};
	static int64_t took_ns[ROUNDS];
	int64_t opening_ns;
	uint64_t random;
	int round, survived = 0, openers = 0;

	test_begin(60);
	scene.durability = crash_durability(argc, argv);
	scene.opened = shared_make(sizeof *scene.opened);
	random = test_seed();
	opening_ns = time_opening(&scene);
	for (round = 0; round < ROUNDS; round++) {
		int count = round % 2 == 0 ? 1 : CROWD;

		test_path(scene.path, "environment-%d", round);
		*scene.opened = 0;
		kill_openers(&scene, count,
			     (int64_t)(test_random(&random) % (uint64_t)(3 * opening_ns)));
		survived += *scene.opened;
		openers += count;
		look(scene.path);
		took_ns[round] = open_after(&scene);
		test_remove(scene.path);
	}
	median(took_ns, ROUNDS);
	EXPECT(survived < openers);
	printf("%s durability, an opening takes %.0f us: %d of %d processes were killed before "
	       "theirs was "
	       "over\n",
	       crash_durability_name(scene.durability), (double)opening_ns / 1e3,
	       openers - survived, openers);
	print_figures("the next opening", took_ns, ROUNDS);
	return 0;
}
