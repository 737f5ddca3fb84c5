/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 500 processes open one environment at once: one that none has made before, and one in use. None
 * fails, and all have it open at the same time. The processes are let go when all have been made.
 * How long each waits is told; bench/deaths compares it.
 */
#include "crash.h"

#include <stdio.h>

enum {
	OPENERS = TEST_SANITIZED ? 150 : 500
};

struct crowd {
	char path[PATH_MAX];
	enum be_durability durability;
	pthread_barrier_t *over;
	int64_t *took_ns; /* shared, one for each */
};

static int open_once(int index, void *context)
{
	struct crowd *crowd = context;
	int64_t start = test_monotonic_ns();
	struct be_enforcer *handle = test_open(crowd->path, crowd->durability);
	uint64_t id;

	crowd->took_ns[index] = test_monotonic_ns() - start;
	EXPECT_OK(be_envelope_ensure(handle, "llm", OPENERS, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	/* All have it open at the same time. */
	pthread_barrier_wait(crowd->over);
	EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	be_close(handle);
	return 0;
}

static void open_all(struct crowd *crowd, const char *what)
{
	static pid_t openers[OPENERS];

	crowd->over = barrier_make(OPENERS);
	crowd->took_ns = shared_make(OPENERS * sizeof *crowd->took_ns);
	children_start(openers, OPENERS, open_once, crowd);
	children_expect_success(openers, OPENERS);
	median(crowd->took_ns, OPENERS);
	print_figures(what, crowd->took_ns, OPENERS);
}

static void expect_exact(const struct crowd *crowd)
{
	struct be_enforcer *handle = test_open(crowd->path, crowd->durability);

	EXPECT_BALANCE(handle, "llm", OPENERS, 0);
	EXPECT_EQUAL(count_transactions(handle), OPENERS);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(crowd->path);
}

static void test_new_environment(enum be_durability durability)
{
	struct crowd crowd = {.durability = durability};

	test_path(crowd.path, "new");
	open_all(&crowd, "a new environment");
	expect_exact(&crowd);
}

static void test_environment_in_use(enum be_durability durability)
{
	struct crowd crowd = {.durability = durability};
	struct be_enforcer *handle;
	uint64_t id;

	test_path(crowd.path, "used");
	handle = test_open(crowd.path, durability);
	EXPECT_OK(be_envelope_create(handle, "own", 1, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "own", 1, NULL, &id));
	open_all(&crowd, "an environment in use");
	EXPECT_BALANCE(handle, "own", 0, 1);
	be_close(handle);
	expect_exact(&crowd);
}

int main(int argc, char **argv)
{
	enum be_durability durability;

	test_begin(200);
	durability = crash_durability(argc, argv);
	printf("%d processes, %s durability\n", OPENERS, crash_durability_name(durability));
	test_new_environment(durability);
	test_environment_in_use(durability);
	return 0;
}
