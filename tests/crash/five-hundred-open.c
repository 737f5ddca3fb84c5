/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 500 processes open one environment at once: one that none has made before, and one in use. None fails, and
 * none waits more than 2 s. The processes are let go when all have been made, and each measures its own
 * be_open(). Where that takes longer because others keep the processors busy, it is tried again, and judged by
 * how long a crowd of the same size takes that computes for a moment, one after the other.
 */
#include "crash.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
	OPENERS = TEST_SANITIZED ? 150 : 500,
	TRIES = 4
};

static const int64_t most_ns = 2000000000;
static const int64_t most_times = 4;
static const int64_t compute_ns = 500000;

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

static int compute_in_turn(int index, void *context)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct crowd *crowd = context;
	int64_t start = test_monotonic_ns();
	struct timespec used, begun;
	char path[PATH_MAX];
	int fd;

	test_path(path, "turn");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	EXPECT(fd >= 0 && fcntl(fd, F_OFD_SETLKW, &lock) == 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	while ((used.tv_sec - begun.tv_sec) * BE_UNIT + used.tv_nsec - begun.tv_nsec < compute_ns);
	close(fd);
	crowd->took_ns[index] = test_monotonic_ns() - start;
	return 0;
}

/* The longest wait of all. */
static int64_t let_go(struct crowd *crowd, child_function *one, const char *what)
{
	static pid_t openers[OPENERS];

	crowd->over = barrier_make(OPENERS);
	crowd->took_ns = shared_make(OPENERS * sizeof *crowd->took_ns);
	children_start(openers, OPENERS, one, crowd);
	children_expect_success(openers, OPENERS);
	median(crowd->took_ns, OPENERS);
	print_figures(what, crowd->took_ns, OPENERS);
	return crowd->took_ns[OPENERS - 1];
}

static bool is_soon(struct crowd *crowd, int64_t longest_ns)
{
	return longest_ns <= most_ns ||
	       longest_ns <= most_times * let_go(crowd, compute_in_turn, "a crowd that computes in turn");
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
	bool soon = false;
	int try;

	for (try = 0; try < TRIES && !soon; try++) {
		test_path(crowd.path, "new");
		soon = is_soon(&crowd, let_go(&crowd, open_once, "a new environment"));
		expect_exact(&crowd);
	}
	EXPECT(soon);
}

static void test_environment_in_use(enum be_durability durability)
{
	struct crowd crowd = {.durability = durability};
	struct be_enforcer *handle;
	bool soon = false;
	uint64_t id;
	int try;

	for (try = 0; try < TRIES && !soon; try++) {
		test_path(crowd.path, "used");
		handle = test_open(crowd.path, durability);
		EXPECT_OK(be_envelope_create(handle, "own", 1, BE_PERIOD_TOTAL, NULL));
		EXPECT_OK(be_commit(handle, "own", 1, NULL, &id));
		soon = is_soon(&crowd, let_go(&crowd, open_once, "an environment in use"));
		EXPECT_BALANCE(handle, "own", 0, 1);
		be_close(handle);
		expect_exact(&crowd);
	}
	EXPECT(soon);
}

int main(int argc, char **argv)
{
	enum be_durability durability;

	test_begin(100);
	durability = crash_durability(argc, argv);
	printf("%d processes, %s durability\n", OPENERS, crash_durability_name(durability));
	test_new_environment(durability);
	test_environment_in_use(durability);
	return 0;
}
