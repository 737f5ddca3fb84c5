/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of a process that is inside a write txn, 1000 times (300 where each waits for the disk),
 * while another works on. Nothing hangs, no operation of the other is slow afterwards, and in the
 * end everything adds up: what was acknowledged to the killed is in the ledger, and of what was
 * not, only the operation that each was killed in may be.
 *
 * The victims commit and settle without pause and are killed at random moments, which fall inside a
 * txn more often than not; that is told by inside.h and counted. Slow are 100 ms, beyond what the
 * operation waited for a processor, and for the disk: its own writes and those of whoever was
 * before it. Where other programs have the processors, one that holds a lock waits for them as
 * well; so these processes go before others, if they may.
 */
#include "crash.h"
#include "inside.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	/* Inside a write txn. */
	KILLS = TEST_SANITIZED ? 100 : 1000,
	KILLS_FULL = TEST_SANITIZED ? 100 : 300 /* where each txn waits for the disk */
};

static const int64_t slow_ns = 100000000;
static const int64_t slow_where_others_go_first_ns = 1000000000;
static const int64_t limit = 1000000 * BE_UNIT;

/* In shared memory. */
struct shared {
	struct inside victim, worker;
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

/* How long this thread has waited for a processor, in all its life. */
static int64_t waited_ns(int schedstat)
{
	char text[128] = "";
	long long ran, waited;

	if (schedstat < 0 || pread(schedstat, text, sizeof text - 1, 0) <= 0 ||
	    sscanf(text, "%lld %lld", &ran, &waited) != 2)
		return 0;
	return waited;
}

/* Nobody can say that these were lost by a lock. */
static int64_t excused_ns(struct shared *shared, int schedstat)
{
	return waited_ns(schedstat) + inside_disk_ns(&shared->worker) +
	       inside_disk_ns(&shared->victim);
}

struct operation_timer {
	struct shared *shared;
	int schedstat;
	int64_t start_ns, excused_ns;
};

static void timer_start(struct operation_timer *timer)
{
	timer->excused_ns = excused_ns(timer->shared, timer->schedstat);
	timer->start_ns = test_monotonic_ns();
}

static void timer_stop(const struct operation_timer *timer)
{
	int64_t took_ns = test_monotonic_ns() - timer->start_ns;

	took_ns -= excused_ns(timer->shared, timer->schedstat) - timer->excused_ns;
	if (took_ns > atomic_load(&timer->shared->longest_ns))
		atomic_store(&timer->shared->longest_ns, took_ns);
}

static int worker(int index, void *context)
{
	struct scene *scene = context;
	struct be_enforcer *handle = test_open(scene->path, scene->durability);
	struct operation_timer timer = {scene->shared,
					open("/proc/thread-self/schedstat", O_RDONLY), 0, 0};
	uint64_t id;

	(void)index;
	inside = &scene->shared->worker;
	gate_open(&scene->ready);
	while (!atomic_load(&scene->shared->over)) {
		timer_start(&timer);
		EXPECT_OK(be_commit(handle, "worker", 3, "worker", &id));
		timer_stop(&timer);
		timer_start(&timer);
		EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
		timer_stop(&timer);
		atomic_fetch_add(&scene->shared->worked, 1);
	}
	return 0;
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
	inside_died(&scene->shared->victim);
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
	bool go_first = setpriority(PRIO_PROCESS, 0, -20) == 0;
	int kills = 0, inside_txn = 0, in_all;
	struct be_enforcer *handle;
	double longest_ms;
	int64_t start;
	uint64_t random;
	pid_t other;

	test_begin(200);
	scene.durability = crash_durability(argc, argv);
	in_all = scene.durability == BE_DURABILITY_FULL ? KILLS_FULL : KILLS;
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
	longest_ms = (double)atomic_load(&scene.shared->longest_ns) / 1e6;
	printf("%s durability: %d killed in %.1f s, %d of them inside a write txn; the other "
	       "process settled "
	       "%" PRId64 " times meanwhile, its longest operation took %.2f ms%s\n",
	       crash_durability_name(scene.durability), kills, test_seconds_since(start),
	       inside_txn, scene.shared->worked, longest_ms,
	       go_first ? "" : ", where others go first");
	expect_exact(&scene, kills);
	EXPECT(scene.shared->longest_ns <= (go_first ? slow_ns : slow_where_others_go_first_ns));
	return 0;
}
