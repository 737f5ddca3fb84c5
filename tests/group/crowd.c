/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More threads than a batch carries commit and release as fast as they can. Each must have its
 * turn: neither may those whose slots are looked at first push out the others, nor may a leader go
 * on for others for ever and keep its own caller waiting.
 */
#include "crash.h"

#include <stdatomic.h>
#include <stdio.h>

enum {
	THREADS = 320,
	OPERATIONS = 80000,
};

struct crowd {
	struct be_enforcer *handle;
	pthread_barrier_t begin;
	atomic_int left;
	int done[THREADS];
	int64_t longest_ns[THREADS];
};

struct member {
	struct crowd *crowd;
	int index;
};

static void *work(void *context)
{
	struct member *member = context;
	struct crowd *crowd = member->crowd;
	uint64_t id;

	pthread_barrier_wait(&crowd->begin);
	while (atomic_fetch_sub(&crowd->left, 1) > 0) {
		int64_t began_ns = test_monotonic_ns();

		EXPECT_OK(be_commit(crowd->handle, "llm", 1, NULL, &id));
		EXPECT_OK(be_release(crowd->handle, id));
		began_ns = test_monotonic_ns() - began_ns;
		if (began_ns > crowd->longest_ns[member->index])
			crowd->longest_ns[member->index] = began_ns;
		crowd->done[member->index]++;
	}
	return NULL;
}

int main(void)
{
	static struct crowd crowd;
	static struct member members[THREADS];
	static pthread_t threads[THREADS];
	char path[PATH_MAX];
	int fewest = OPERATIONS;

	test_begin(60);
	test_in_memory();
	test_path(path, "environment");
	crowd.handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(crowd.handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	atomic_store(&crowd.left, OPERATIONS);
	EXPECT_EQUAL(pthread_barrier_init(&crowd.begin, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		members[i] = (struct member){&crowd, i};
		EXPECT_EQUAL(pthread_create(&threads[i], NULL, work, &members[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQUAL(pthread_join(threads[i], NULL), 0);
		if (crowd.done[i] < fewest)
			fewest = crowd.done[i];
	}
	median(crowd.longest_ns, THREADS);
	print_figures("longest wait of each thread", crowd.longest_ns, THREADS);
	printf("%d threads: %d operations each on average, %d at least\n", THREADS,
	       OPERATIONS / THREADS, fewest);
	EXPECT(fewest >= OPERATIONS / THREADS / 10);
	EXPECT_BALANCE(crowd.handle, "llm", 0, 0);
	be_close(crowd.handle);
	return 0;
}
