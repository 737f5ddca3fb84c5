/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crowds that commit and release as fast as they can: threads, more than a batch carries and more
 * than there are slots, and processes. Each member must have its turn: neither may those whose
 * slots are looked at first push out the others, nor may a leader go on for others for ever and
 * keep its own caller waiting, nor may those without a slot be forgotten.
 *
 * How often a member is woken for each of its operations is bounded, however many wait: the kernel
 * counts that as how often it gave up its processor by itself.
 */
#include "crash.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
	MOST = 1000,
	OPERATIONS = 40000, /* commits and releases, of all together */
	SWITCHES = 6,       /* for a commit and its release: two to sleep, and some to spare */
};

struct crowd {
	int members;
	atomic_int ready, left, done[MOST];
	atomic_long switches;
};

static struct crowd *crowd;
static char path[PATH_MAX];

static void wait_for_all(void)
{
	atomic_fetch_add(&crowd->ready, 1);
	while (atomic_load(&crowd->ready) < crowd->members)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static long switches(int who)
{
	struct rusage usage;

	EXPECT(getrusage(who, &usage) == 0);
	return usage.ru_nvcsw;
}

static void work(struct be_enforcer *handle, int index, int who)
{
	uint64_t id;
	long before;

	wait_for_all();
	before = switches(who);
	while (atomic_fetch_sub(&crowd->left, 1) > 0) {
		EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
		EXPECT_OK(be_release(handle, id));
		atomic_fetch_add(&crowd->done[index], 1);
	}
	atomic_fetch_add(&crowd->switches, switches(who) - before);
}

struct member {
	struct be_enforcer *handle;
	int index;
};

static void *work_in_thread(void *context)
{
	struct member *member = context;

	work(member->handle, member->index, RUSAGE_THREAD);
	return NULL;
}

static int work_in_process(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);

	(void)context;
	work(handle, index, RUSAGE_SELF);
	be_close(handle);
	return 0;
}

static void run_threads(struct be_enforcer *handle)
{
	static struct member members[MOST];
	static pthread_t threads[MOST];

	for (int i = 0; i < crowd->members; i++) {
		members[i] = (struct member){handle, i};
		EXPECT_EQUAL(pthread_create(&threads[i], NULL, work_in_thread, &members[i]), 0);
	}
	for (int i = 0; i < crowd->members; i++)
		EXPECT_EQUAL(pthread_join(threads[i], NULL), 0);
}

static void run_processes(void)
{
	static pid_t children[MOST];

	children_start(children, crowd->members, work_in_process, NULL);
	children_expect_success(children, crowd->members);
}

/* Members that had less than a tenth of their share. The machine itself may forget a few. */
static int count_left_behind(void)
{
	int behind = 0;

	for (int i = 0; i < crowd->members; i++)
		behind += atomic_load(&crowd->done[i]) < OPERATIONS / crowd->members / 10;
	return behind;
}

int main(int argc, char **argv)
{
	struct be_enforcer *handle;
	int behind;

	EXPECT(argc == 3);
	test_begin(120);
	test_in_memory();
	crowd = shared_make(sizeof *crowd);
	crowd->members = atoi(argv[2]);
	EXPECT(crowd->members > 0 && crowd->members <= MOST);
	atomic_store(&crowd->left, OPERATIONS);
	test_path(path, "environment");
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	if (strcmp(argv[1], "threads") == 0)
		run_threads(handle);
	else
		run_processes();
	behind = count_left_behind();
	printf("%d %s: %d operations each on average, %d members had less than a tenth of that; "
	       "%.1f switches for each\n",
	       crowd->members, argv[1], OPERATIONS / crowd->members, behind,
	       (double)atomic_load(&crowd->switches) / OPERATIONS);
	EXPECT(behind <= crowd->members / 20);
	EXPECT(atomic_load(&crowd->switches) <= (long)SWITCHES * OPERATIONS);
	EXPECT_BALANCE(handle, "llm", 0, 0);
	be_close(handle);
	return 0;
}
