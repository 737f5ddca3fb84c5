/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks of be-group under kill -9. Processes of two threads take one and let it go as fast as
 * they can, in every manner, and are killed at random moments: while they hold it, wait for it, are
 * just being woken. Never do two hold it; one that holds it after a holder died is told so, and
 * only then; and after each kill the others go on.
 */
#include "support.h"

#include "sharing/lock.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	WORKERS = 5,
	KILLS = TEST_SANITIZED ? 100 : 400,
	TURNS = 20
};

static struct shared {
	struct lock lock, next;
	_Atomic uint32_t holder; /* thread, as the kernel numbers it; 0: none */
	_Atomic uint64_t taken, inherited;
} * shared;

static char path[PATH_MAX];
static struct lock_user user;
static struct shared_directory *directory; /* open until the process ends */

static struct owners *open_owners(void)
{
	struct owners *owners;

	EXPECT_OK(shared_directory_open(path, &directory));
	EXPECT_OK(owners_open(directory, 0600, BE_DURABILITY_PROCESS, &owners));
	if (owners_were_alone(owners))
		owners_opened(owners);
	return owners;
}

/* What the lock guards. */
static void hold(uint32_t self)
{
	uint32_t before = 0;

	if (!atomic_compare_exchange_strong(&shared->holder, &before, self)) {
		EXPECT(lock_is_left(&shared->lock)); /* else two hold it */
		EXPECT_EQUAL(atomic_exchange(&shared->holder, self), before);
	}
	if (lock_is_left(&shared->lock)) {
		atomic_fetch_add(&shared->inherited, 1);
		lock_mend(&shared->lock);
	}
	EXPECT(!lock_is_left(&shared->lock));
	atomic_fetch_add(&shared->taken, 1);
	EXPECT_EQUAL(atomic_exchange(&shared->holder, 0), self);
}

static void *take_turns(void *context)
{
	uint32_t self = (uint32_t)syscall(SYS_gettid);
	uint64_t random = self;

	for (;;) {
		bool is_first = test_random(&random) % 2 && lock_try(&shared->next, &user);

		if (!is_first && test_random(&random) % 4 == 0 &&
		    lock_inherit(&shared->next, &user)) {
			lock_mend(&shared->next);
			is_first = true;
		}
		lock_wait(&shared->lock, &user,
			  is_first                      ? LOCK_FIRST_IN_LINE
			  : lock_is_held(&shared->next) ? LOCK_POLITE
							: LOCK_EAGER);
		if (is_first)
			lock_drop(&shared->next, &user);
		hold(self);
		lock_drop(&shared->lock, &user);
	}
	return context;
}

static int work(int index, void *context)
{
	pthread_t other;

	(void)index;
	(void)context;
	user = lock_user(open_owners());
	EXPECT_EQUAL(pthread_create(&other, NULL, take_turns, NULL), 0);
	take_turns(NULL);
	return 0;
}

static void forget_dead(struct owners *owners)
{
	struct owner dead[WORKERS];
	size_t count = owners_find_dead(owners, dead, WORKERS);

	for (size_t i = 0; i < count; i++)
		owners_forget(owners, &dead[i]);
}

static void wait_for_turns(void)
{
	uint64_t until = atomic_load(&shared->taken) + TURNS;

	while (atomic_load(&shared->taken) < until)
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

int main(void)
{
	int kills = KILLS * (test_is_long() ? 50 : 1);
	pid_t workers[WORKERS];
	struct owners *owners;
	uint64_t random;

	test_begin(100);
	test_in_memory();
	random = test_seed();
	shared = shared_make(sizeof *shared);
	snprintf(path, sizeof path, "%s", test_directory());
	owners = open_owners();
	for (int i = 0; i < WORKERS; i++)
		workers[i] = child_start(work, i, NULL);
	for (int i = 0; i < kills; i++) {
		int victim = (int)(test_random(&random) % WORKERS);
		struct timespec pause = {.tv_nsec = (long)(test_random(&random) % 1000000)};

		wait_for_turns();
		nanosleep(&pause, NULL); /* a random moment; nothing depends on it */
		EXPECT(kill(workers[victim], SIGKILL) == 0);
		EXPECT_EQUAL(child_wait(workers[victim]), 128 + SIGKILL);
		forget_dead(owners);
		workers[victim] = child_start(work, victim, NULL);
	}
	wait_for_turns();
	for (int i = 0; i < WORKERS; i++) {
		EXPECT(kill(workers[i], SIGKILL) == 0);
		EXPECT_EQUAL(child_wait(workers[i]), 128 + SIGKILL);
	}
	printf("%d kills, %llu turns, %llu of them after one that died with the lock\n", kills,
	       (unsigned long long)atomic_load(&shared->taken),
	       (unsigned long long)atomic_load(&shared->inherited));
	EXPECT(atomic_load(&shared->inherited) > 0);
	owners_close(owners);
	return 0;
}
