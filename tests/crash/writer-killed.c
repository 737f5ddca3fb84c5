/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of a process that is inside a write txn, 300 times (in the long mode 3000), while another
 * works on. After each death the other's operations go on to their ends, and in the end everything
 * adds up: what was acknowledged to the killed is in the ledger, and of what was not, only the
 * operation that each was killed in may be.
 *
 * The victims commit and settle without pause and are killed at random moments, which fall inside a
 * txn more often than not; that is told by inside.h and counted. How long the other's longest
 * operation took is told, too; bench/deaths compares what a death costs.
 */
#include "crash.h"
#include "inside.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum {
	KILLS = TEST_SANITIZED ? 100 : 300 /* inside a write txn */
};

static const int64_t limit = 1000000 * BE_UNIT;

/* In shared memory. */
struct shared {
	struct inside victim;
	_Atomic int64_t
		begun; /* settles that victims have called for, and of which they were told */
	_Atomic int64_t told;
	_Atomic int64_t worked; /* settles of the worker that goes on */
	_Atomic int64_t longest_ns;
	atomic_bool over;
};

struct scene {
	char path[PATH_MAX];
	enum be_durability durability;
	struct gate ready;
	struct shared *shared;
};

static _Noreturn void settle_without_pause(struct be_enforcer *handle, struct shared *shared)
{
	uint64_t id;

	for (;;) {
		EXPECT_OK(be_commit(handle, "victims", 3, "victim", &id));
		atomic_fetch_add(&shared->begun, 1);
		EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
		atomic_fetch_add(&shared->told, 1);
	}
}

static int victim(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, scene->durability);

	(void)index;
	inside = &scene->shared->victim;
	gate_open(&scene->ready);
	settle_without_pause(handle, scene->shared);
}

static void note_duration(struct shared *shared, int64_t start_ns)
{
	int64_t took_ns = test_monotonic_ns() - start_ns;

	if (took_ns > atomic_load(&shared->longest_ns))
		atomic_store(&shared->longest_ns, took_ns);
}

static int worker(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, scene->durability);
	uint64_t id;

	(void)index;
	gate_open(&scene->ready);
	while (!atomic_load(&scene->shared->over)) {
		int64_t start_ns = test_monotonic_ns();

		EXPECT_OK(be_commit(handle, "worker", 3, "worker", &id));
		note_duration(scene->shared, start_ns);
		start_ns = test_monotonic_ns();
		EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
		note_duration(scene->shared, start_ns);
		atomic_fetch_add(&scene->shared->worked, 1);
	}
	return 0;
}

/* Until the other has ended an operation that it began after now. */
static void await_progress(struct shared *shared)
{
	const struct timespec moment = {.tv_nsec = 50000};
	int64_t seen = atomic_load(&shared->worked);

	while (atomic_load(&shared->worked) < seen + 2)
		nanosleep(&moment, NULL);
}

/* Kills one victim. Was it inside a write txn? */
static bool kill_one(struct scene *scene, uint64_t *random)
{
	struct timespec pause = {.tv_nsec = (long)(test_random(random) % 1000000)};
	pid_t child;

	atomic_store(&scene->shared->victim.in_txn, 0);
	child = child_start(victim, 0, scene);
	gate_wait(&scene->ready);
	/* The moment of the kill is random; nothing depends on it. */
	nanosleep(&pause, NULL);
	kill_child(child);
	await_progress(scene->shared);
	return atomic_load(&scene->shared->victim.in_txn) != 0;
}

static void expect_exact(struct scene *scene, int kills)
{
	struct shared *shared = scene->shared;
	struct be_enforcer *handle = test_open(scene->path, scene->durability);
	struct be_envelope victims = BE_ENVELOPE_INIT;

	EXPECT_OK(be_reap(handle, NULL));
	EXPECT_BALANCE(handle, "worker", shared->worked, 0);
	EXPECT_OK(be_utilization(handle, "victims", &victims));
	EXPECT_EQUAL(victims.committed, 0);
	EXPECT_EQUAL(victims.pending_commits, 0);
	EXPECT(victims.spent >= shared->told && victims.spent <= shared->begun);
	EXPECT(shared->begun - shared->told <= kills);
	EXPECT_EQUAL(count_transactions(handle), victims.spent + shared->worked);
	EXPECT_EQUAL(count_commits(handle), 0);
	EXPECT_VERIFIED(handle);
	printf("%" PRId64 " settles acknowledged to victims, %" PRId64
	       " more were begun, of which %" PRId64 " are in the ledger\n",
	       shared->told, shared->begun - shared->told, victims.spent - shared->told);
	be_close(handle);
}

int main(int argc, char **argv)
{
	struct scene scene = {.ready = gate_make()};
	int kills = 0, inside_txn = 0, in_all;
	struct be_enforcer *handle;
	int64_t start;
	uint64_t random;
	pid_t other;

	test_begin(200);
	scene.durability = crash_durability(argc, argv);
	in_all = test_is_long() ? 10 * KILLS : KILLS;
	scene.shared = shared_make(sizeof *scene.shared);
	random = test_seed();
	test_path(scene.path, "environment");
	handle = test_open(scene.path, scene.durability);
	EXPECT_OK(be_envelope_create(handle, "victims", limit, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "worker", limit, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	other = child_start(worker, 0, &scene);
	gate_wait(&scene.ready);

	start = test_monotonic_ns();
	for (; inside_txn < in_all; kills++)
		inside_txn += kill_one(&scene, &random);
	atomic_store(&scene.shared->over, true);
	EXPECT_EQUAL(child_wait(other), 0);
	printf("%s durability: %d killed in %.1f s, %d of them inside a write txn; the other "
	       "process settled "
	       "%" PRId64 " times meanwhile, its longest operation took %.2f ms\n",
	       crash_durability_name(scene.durability), kills, test_seconds_since(start),
	       inside_txn, scene.shared->worked, (double)scene.shared->longest_ns / 1e6);
	expect_exact(&scene, kills);
	return 0;
}
