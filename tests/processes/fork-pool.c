/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that opens the environment and then forks: all sides go on using the handle, and the
 * balances are exact in the end. Then who owns what after a fork: a commit belongs to the process
 * that made it, not to those that inherited the handle.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum {
	WORKERS = 8,
	ROUNDS = 50
};

static const int64_t limit = 1000000 * BE_UNIT;

struct pool {
	char path[PATH_MAX];
	struct be_enforcer *handle; /* opened before the forks */
	uint64_t *id; /* shared, as is the next: a commit handed from one side to another */
	pthread_barrier_t *barrier;
};

static struct pool make_pool(const char *name, unsigned meeting)
{
	struct pool pool;

	test_path(pool.path, "%s", name);
	pool.handle = test_open(pool.path, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(pool.handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	pool.id = shared_make(sizeof *pool.id);
	pool.barrier = barrier_make(meeting);
	return pool;
}

/* Charges 4 units a round: 3 settled of the 5 held, 1 recorded, 2 held and released. */
static void work(struct be_enforcer *handle)
{
	struct be_decision decision = BE_DECISION_INIT;
	uint64_t id;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		EXPECT_OK(be_check(handle, "llm", 5 * BE_UNIT, &decision));
		EXPECT_OK(be_commit(handle, "llm", 5 * BE_UNIT, "round", &id));
		EXPECT_OK(be_settle(handle, id, 3 * BE_UNIT, NULL, NULL));
		EXPECT_OK(be_record(handle, "llm", BE_UNIT, NULL, NULL));
		EXPECT_OK(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &id));
		EXPECT_OK(be_release(handle, id));
	}
}

static int grandchild(int index, void *context)
{
	(void)index;
	work(((struct pool *)context)->handle);
	return 0;
}

/* Every other worker forks a process of its own: some before their first call, some after. */
static int worker(int index, void *context)
{
	struct pool *pool = context;
	pid_t child = 0;

	if (index % 4 == 0)
		child = child_start(grandchild, index, pool);
	work(pool->handle);
	if (index % 4 == 2)
		child = child_start(grandchild, index, pool);
	if (child != 0)
		EXPECT_EQUAL(child_wait(child), 0);
	return 0;
}

static void test_all_sides_go_on(void)
{
	struct pool pool = make_pool("pool", 1);
	int processes = WORKERS + WORKERS / 2 + 1;
	pid_t workers[WORKERS];
	int64_t start = test_monotonic_ns();

	children_start(workers, WORKERS, worker, &pool);
	work(pool.handle);
	children_expect_success(workers, WORKERS);
	EXPECT_BALANCE(pool.handle, "llm", processes * ROUNDS * 4 * BE_UNIT, 0);
	EXPECT_VERIFIED(pool.handle);
	printf("%d processes on one handle: %d operations in %.3f s, the balance is exact\n",
	       processes, processes * ROUNDS * 6, test_seconds_since(start));
	be_close(pool.handle);
}

/* Closes the inherited handle, unused or used, and then opens one of its own. */
static int closer(int index, void *context)
{
	struct pool *pool = context;
	struct be_enforcer *second = NULL;

	if (index % 2 == 1)
		second = test_open(pool->path, BE_DURABILITY_FULL);
	if (index >= 2)
		EXPECT_OK(be_record(pool->handle, "llm", BE_UNIT, NULL, NULL));
	be_close(pool->handle);
	if (second == NULL)
		second = test_open(pool->path, BE_DURABILITY_FULL);
	EXPECT_OK(be_record(second, "llm", BE_UNIT, NULL, NULL));
	be_close(second);
	return 0;
}

static void test_children_close_the_inherited_handle(void)
{
	struct pool pool = make_pool("closed", 1);
	pid_t children[4];
	uint64_t id;

	EXPECT_OK(be_commit(pool.handle, "llm", 7 * BE_UNIT, NULL, &id));
	children_start(children, 4, closer, &pool);
	children_expect_success(children, 4);
	EXPECT_OK(be_reap(pool.handle, NULL));
	EXPECT_BALANCE(pool.handle, "llm", 6 * BE_UNIT, 7 * BE_UNIT);
	EXPECT_OK(be_settle(pool.handle, id, BE_UNIT, NULL, NULL));
	EXPECT_BALANCE(pool.handle, "llm", 7 * BE_UNIT, 0);
	EXPECT_VERIFIED(pool.handle);
	be_close(pool.handle);
	printf("4 children closed the inherited handle, and the parent's goes on\n");
}

static int settle_for_parent(int index, void *context)
{
	struct pool *pool = context;

	(void)index;
	EXPECT_OK(be_settle(pool->handle, *pool->id, 2 * BE_UNIT, NULL, NULL));
	return 0;
}

static void test_child_settles_what_the_parent_holds(void)
{
	struct pool pool = make_pool("handed", 1);

	EXPECT_OK(be_commit(pool.handle, "llm", 3 * BE_UNIT, NULL, pool.id));
	EXPECT_EQUAL(child_wait(child_start(settle_for_parent, 0, &pool)), 0);
	EXPECT_STATUS(be_release(pool.handle, *pool.id), BE_ALREADY_SETTLED);
	EXPECT_BALANCE(pool.handle, "llm", 2 * BE_UNIT, 0);
	be_close(pool.handle);
}

static int commit_and_end(int index, void *context)
{
	struct pool *pool = context;

	(void)index;
	EXPECT_OK(be_commit(pool->handle, "llm", 3 * BE_UNIT, NULL, pool->id));
	return 0;
}

static void test_dead_child_is_an_orphan_of_its_own(void)
{
	struct pool pool = make_pool("orphan", 1);
	uint64_t own, reaped;

	EXPECT_OK(be_commit(pool.handle, "llm", BE_UNIT, NULL, &own));
	EXPECT_EQUAL(child_wait(child_start(commit_and_end, 0, &pool)), 0);
	EXPECT_OK(be_reap(pool.handle, &reaped));
	EXPECT_EQUAL(reaped, 1);
	EXPECT_BALANCE(pool.handle, "llm", 0, BE_UNIT);
	EXPECT_STATUS(be_release(pool.handle, *pool.id), BE_ALREADY_REAPED);
	EXPECT_OK(be_release(pool.handle, own));
	be_close(pool.handle);
	printf("a child's commit ends with the child, not with the parent\n");
}

/* Lives on without a single call, while its parent dies. */
static int survivor(int index, void *context)
{
	struct pool *pool = context;

	(void)index;
	test_end_if_it_hangs(20);
	pthread_barrier_wait(pool->barrier);
	pthread_barrier_wait(pool->barrier);
	return 0;
}

static int commit_fork_and_die(int index, void *context)
{
	struct pool *pool = context;
	pid_t child;

	(void)index;
	EXPECT_OK(be_commit(pool->handle, "llm", 5 * BE_UNIT, NULL, pool->id));
	child = fork();
	EXPECT(child >= 0);
	if (child == 0)
		_exit(survivor(0, pool));
	raise(SIGKILL);
	return 0;
}

static void test_inherited_handle_does_not_keep_a_dead_owner_alive(void)
{
	struct pool pool = make_pool("inherited", 2);
	uint64_t reaped;

	EXPECT_EQUAL(child_wait(child_start(commit_fork_and_die, 0, &pool)), 128 + SIGKILL);
	pthread_barrier_wait(pool.barrier);
	EXPECT_OK(be_reap(pool.handle, &reaped));
	EXPECT_EQUAL(reaped, 1);
	EXPECT_BALANCE(pool.handle, "llm", 0, 0);
	pthread_barrier_wait(pool.barrier);
	be_close(pool.handle);
	printf("an owner that was killed is seen as dead while its own child lives\n");
}

int main(void)
{
	test_begin(60);
	test_all_sides_go_on();
	test_children_close_the_inherited_handle();
	test_child_settles_what_the_parent_holds();
	test_dead_child_is_an_orphan_of_its_own();
	test_inherited_handle_does_not_keep_a_dead_owner_alive();
	return 0;
}
