/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In fork children, eight threads at once make the first call on an inherited handle: one of them
 * opens the environment anew, and all go on with that.
 */
#include "support.h"

#include <stdio.h>

enum {
	CHILDREN = 100,
	THREADS = 8,
	CALLS = 10,
};

struct inherited {
	struct be_enforcer *handle;
	pthread_barrier_t begin;
};

static void *call(void *context)
{
	struct inherited *inherited = context;

	pthread_barrier_wait(&inherited->begin);
	for (int i = 0; i < CALLS; i++) {
		EXPECT_OK(be_check(inherited->handle, "llm", 1, NULL));
		if (i == 0)
			EXPECT_OK(be_record(inherited->handle, "llm", 1, NULL, NULL));
	}
	return NULL;
}

static int child(int index, void *context)
{
	struct inherited *inherited = context;
	pthread_t threads[THREADS];

	(void)index;
	EXPECT_EQUAL(pthread_barrier_init(&inherited->begin, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQUAL(pthread_create(&threads[i], NULL, call, inherited), 0);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQUAL(pthread_join(threads[i], NULL), 0);
	be_close(inherited->handle);
	return 0;
}

int main(void)
{
	struct inherited inherited;
	char path[PATH_MAX];

	test_begin(60);
	test_path(path, "environment");
	inherited.handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_ensure(inherited.handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < CHILDREN; i++)
		EXPECT_EQUAL(child_wait(child_start(child, 0, &inherited)), 0);
	EXPECT_BALANCE(inherited.handle, "llm", CHILDREN * THREADS, 0);
	EXPECT_VERIFIED(inherited.handle);
	be_close(inherited.handle);
	printf("%d children, in each of them %d threads\n", CHILDREN, THREADS);
	return 0;
}
