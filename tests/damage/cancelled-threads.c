/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that work on an environment are cancelled, 1 000 of them, wherever they are. No call is
 * left half done, LMDB does not refuse further work, no lock stays held, and the balances are
 * exact: each thread counts what it has been told was recorded, and the one call it was in when it
 * was cancelled may have been, too.
 */
#include "support.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define THREADS 4
#define CANCELLATIONS 1000

struct worker {
	struct be_enforcer *handle;
	atomic_uint calls;    /* begun */
	atomic_uint recorded; /* returned */
};

static void *work(void *context)
{
	struct worker *worker = context;

	for (;;) {
		uint64_t id;

		atomic_fetch_add(&worker->calls, 1);
		if (be_record(worker->handle, "llm", 1, "", NULL) != BE_OK)
			return worker;
		atomic_fetch_add(&worker->recorded, 1);
		if (be_check(worker->handle, "llm", 1, NULL) != BE_OK)
			return worker;
		/* Its amount is 0: cancelled before its release it stays pending, and changes no
		 * balance. */
		if (be_commit(worker->handle, "llm", 0, "", &id) != BE_OK ||
		    be_release(worker->handle, id) != BE_OK)
			return worker;
		pthread_testcancel();
	}
}

static void cancel_some(struct be_enforcer *handle, uint64_t *random, uint64_t *called,
			uint64_t *recorded)
{
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		workers[i].handle = handle;
		atomic_init(&workers[i].calls, 0);
		atomic_init(&workers[i].recorded, 0);
		EXPECT(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++) {
		unsigned calls = (unsigned)(test_random(random) % 4);

		while (atomic_load(&workers[i].calls) < calls)
			sched_yield();
		for (uint64_t spin = test_random(random) % 20000; spin > 0; spin--)
			atomic_signal_fence(memory_order_seq_cst);
		EXPECT(pthread_cancel(threads[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *result;

		EXPECT(pthread_join(threads[i], &result) == 0);
		if (result != PTHREAD_CANCELED)
			test_fail(__FILE__, __LINE__, "a call failed beside a cancelled one");
		*called += atomic_load(&workers[i].calls);
		*recorded += atomic_load(&workers[i].recorded);
	}
}

static void cancel_often(enum be_durability durability, uint64_t *random, int cancellations)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	uint64_t called = 0, recorded = 0;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	test_path(path, "environment-%d", durability);
	handle = test_open(path, durability);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < cancellations; i += THREADS)
		cancel_some(handle, random, &called, &recorded);
	EXPECT_OK(be_utilization(handle, "llm", &envelope));
	EXPECT((uint64_t)envelope.spent >= recorded && (uint64_t)envelope.spent <= called);
	EXPECT_EQUAL(envelope.committed, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("%d threads cancelled: %llu records returned, %lld were made\n", cancellations,
	       (unsigned long long)recorded, (long long)envelope.spent);
}

int main(void)
{
	uint64_t random;

	test_begin(60);
	if (TEST_SANITIZED)
		test_skip("sanitizers do not bear cancelled threads");
	random = test_seed();
	cancel_often(BE_DURABILITY_PROCESS, &random, CANCELLATIONS / 2);
	cancel_often(BE_DURABILITY_FULL, &random, CANCELLATIONS / 2);
	return 0;
}
