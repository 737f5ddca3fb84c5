/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader that is stopped does not stop the pool. One that is stopped where readers spend their
 * time, in the callback of a listing, has no txn open: so it pins no page, and the data file does
 * not grow more than it does without it. One that is stopped at random moments may be inside a txn:
 * then the file grows until it goes on, but nobody waits.
 */
#include "crash.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum {
	WORKERS = 2,
	ROUNDS = TEST_SANITIZED ? 2000 : 10000, /* of a worker, two txns each */
	STOPS = 40,
	LINES = 2000, /* in the ledger before, so that a listing is long */
	STOP_AT = 700
};

static const int64_t limit = 1000000 * BE_UNIT;
/* While pages are pinned, each txn takes new ones, and more than one. The others may be pinned for
 * a moment by a process that the kernel lets wait, so that a few are no sign of anything. */
static const int64_t page_size = 4096;

struct scene {
	char path[PATH_MAX];
	int rounds;
	struct gate ready;
	atomic_bool *over; /* shared, for readers */
};

static struct be_enforcer *make_scene(struct scene *scene, const char *name)
{
	struct be_enforcer *handle;
	int i;

	test_path(scene->path, "%s", name);
	scene->ready = gate_make();
	scene->over = shared_make(sizeof *scene->over);
	scene->rounds = ROUNDS;
	handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	for (i = 0; i < LINES; i++)
		EXPECT_OK(be_record(handle, "llm", 1, "a line of the ledger", NULL));
	return handle;
}

static int64_t file_size(const struct scene *scene)
{
	char file[PATH_MAX + 16];
	struct stat about;

	snprintf(file, sizeof file, "%s/data.mdb", scene->path);
	EXPECT(stat(file, &about) == 0);
	return (int64_t)about.st_size;
}

/* Commits and releases: the ledger does not grow, so what the file grows by is pages that were
 * pinned, and a line for each commit that says how it ended. */
static int worker(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	uint64_t id;
	int i;

	(void)index;
	for (i = 0; i < scene->rounds; i++) {
		EXPECT_OK(be_commit(handle, "llm", 2, NULL, &id));
		EXPECT_OK(be_release(handle, id));
	}
	be_close(handle);
	return 0;
}

static void start_workers(struct scene *scene, pid_t workers[WORKERS])
{
	int i;

	for (i = 0; i < WORKERS; i++)
		workers[i] = child_start(worker, i, scene);
}

static void wait_for_workers(const pid_t workers[WORKERS])
{
	int i;

	for (i = 0; i < WORKERS; i++)
		EXPECT_EQUAL(child_wait(workers[i]), 0);
}

/* The bytes that the file grows by under the load. */
static int64_t grow(struct scene *scene, const char *what)
{
	int64_t before = file_size(scene);
	int64_t start = test_monotonic_ns();
	pid_t workers[WORKERS];
	int64_t grown;

	start_workers(scene, workers);
	wait_for_workers(workers);
	grown = file_size(scene) - before;
	printf("%s: %d txns in %.2f s, data.mdb grew by %" PRId64 " KiB\n", what,
	       WORKERS * scene->rounds * 2, test_seconds_since(start), grown / 1024);
	return grown;
}

/* ---- stopped in a callback */

static bool stop_once(void *context, const struct be_transaction *transaction)
{
	int *lines = context;

	(void)transaction;
	if (++*lines == STOP_AT)
		raise(SIGSTOP);
	return true;
}

static int stop_in_callback(int index, void *context)
{
	struct scene *scene = context;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	int lines = 0;

	(void)index;
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(scene->path, &options, &handle));
	EXPECT_OK(be_transactions_each(handle, NULL, stop_once, &lines));
	EXPECT(lines >= LINES);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static void test_reader_stopped_in_a_callback_pins_nothing(void)
{
	struct scene without, with;
	struct be_enforcer *handle = make_scene(&without, "without");
	struct be_enforcer *watched = make_scene(&with, "with");
	int64_t grown_without = grow(&without, "without a reader");
	int64_t grown_with;
	int status;
	pid_t reader = child_start(stop_in_callback, 0, &with);

	EXPECT(waitpid(reader, &status, WUNTRACED) == reader && WIFSTOPPED(status));
	grown_with = grow(&with, "with a reader that is stopped");
	EXPECT(kill(reader, SIGCONT) == 0);
	EXPECT_EQUAL(child_wait(reader), 0);
	EXPECT(grown_with - grown_without < WORKERS * ROUNDS * 2 * page_size / 4);
	EXPECT_VERIFIED(handle);
	EXPECT_VERIFIED(watched);
	be_close(handle);
	be_close(watched);
}

/* ---- stopped anywhere */

static bool look_on(void *context, const struct be_commit_info *commit)
{
	(void)commit;
	return !atomic_load((atomic_bool *)context);
}

static int look_without_pause(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, BE_DURABILITY_PROCESS);
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status;

	(void)index;
	gate_open(&scene->ready);
	while (!atomic_load(scene->over)) {
		EXPECT_OK(be_check(handle, "llm", 1, NULL));
		EXPECT_OK(be_utilization(handle, "llm", &envelope));
		EXPECT_VERIFIED(handle);
		status = be_commits_each(handle, NULL, look_on, scene->over);
		EXPECT(status == BE_OK || status == BE_STOPPED);
	}
	be_close(handle);
	return 0;
}

/* How long the longest of some operations took; in the process that stops the reader, while it is
 * stopped. */
static int64_t operate(struct be_enforcer *handle)
{
	int64_t longest_ns = 0;
	int i;

	for (i = 0; i < 100; i++) {
		int64_t start = test_monotonic_ns(), took_ns;
		uint64_t id;

		EXPECT_OK(be_commit(handle, "llm", 2, NULL, &id));
		EXPECT_OK(be_release(handle, id));
		took_ns = test_monotonic_ns() - start;
		if (took_ns > longest_ns)
			longest_ns = took_ns;
	}
	return longest_ns;
}

static void test_reader_stopped_at_random_moments_delays_nobody(void)
{
	struct scene scene;
	struct be_enforcer *handle = make_scene(&scene, "random");
	uint64_t random = test_seed();
	int64_t longest_ns[STOPS];
	pid_t reader, workers[WORKERS];
	int i;

	reader = child_start(look_without_pause, 0, &scene);
	gate_wait(&scene.ready);
	start_workers(&scene, workers);
	for (i = 0; i < STOPS; i++) {
		struct timespec pause = {.tv_nsec = (long)(test_random(&random) % 2000000)};

		/* The moment of the stop is random; nothing depends on it. */
		nanosleep(&pause, NULL);
		stop_child(reader);
		longest_ns[i] = operate(handle);
		EXPECT(kill(reader, SIGCONT) == 0);
	}
	stop_child(reader);
	wait_for_workers(workers);
	EXPECT(kill(reader, SIGCONT) == 0);
	atomic_store(scene.over, true);
	EXPECT_EQUAL(child_wait(reader), 0);
	median(longest_ns, STOPS);
	print_figures("the longest operation in each stop of a reader", longest_ns, STOPS);
	EXPECT_BALANCE(handle, "llm", LINES, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

int main(void)
{
	test_begin(60);
	test_in_memory();
	test_reader_stopped_in_a_callback_pins_nothing();
	test_reader_stopped_at_random_moments_delays_nobody();
	return 0;
}
