/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1000 processes are let go at once. Each opens the environment by itself, which none has created
 * before, makes sure of the envelope, and makes one commit of 0.10 against its limit of 5.00:
 * exactly 50 are granted, all others are refused for lack of budget, and nothing else goes wrong.
 */
#include "support.h"

#include <stdio.h>

enum {
	WORKERS = 1000,
	GRANTS = 50
};

static const int64_t limit = 5 * BE_UNIT;
static const int64_t amount = BE_UNIT / 10;

/* What a worker does with its commit. Each way, the amount stays taken until the run is over. */
enum keeping {
	HOLD,
	SETTLE,
	DETACH
};

struct crowd {
	char path[PATH_MAX];
	enum keeping keeping;
	pthread_barrier_t *over;
	int64_t *finished_ns; /* when each worker had its answer */
	bool *granted;        /* one per worker */
};

static int worker(int index, void *context)
{
	struct crowd *crowd = context;
	struct be_enforcer *handle = test_open(crowd->path, BE_DURABILITY_FULL);
	enum be_status status;
	uint64_t id;

	EXPECT_OK(be_envelope_ensure(handle, "llm", limit, BE_PERIOD_TOTAL, NULL));
	status = be_commit(handle, "llm", amount, NULL, &id);
	crowd->finished_ns[index] = test_monotonic_ns();
	crowd->granted[index] = status == BE_OK;
	if (status != BE_OK)
		EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
	else if (crowd->keeping == SETTLE)
		EXPECT_OK(be_settle(handle, id, amount, NULL, NULL));

	/* The death of a worker frees what it holds, so those who hold stay until all are done. */
	if (crowd->keeping == HOLD)
		pthread_barrier_wait(crowd->over);
	be_close(handle);
	return 0;
}

static void run(enum keeping keeping, const char *description)
{
	struct crowd crowd = {.keeping = keeping};
	static pid_t workers[WORKERS];
	struct be_enforcer *handle;
	int64_t start, last = 0;
	int i, granted = 0;

	test_path(crowd.path, "crowd");
	crowd.over = barrier_make(WORKERS);
	crowd.finished_ns = shared_make(WORKERS * sizeof *crowd.finished_ns);
	crowd.granted = shared_make(WORKERS * sizeof *crowd.granted);
	children_start(workers, WORKERS, worker, &crowd);
	start = test_monotonic_ns();
	children_expect_success(workers, WORKERS);

	for (i = 0; i < WORKERS; i++) {
		granted += crowd.granted[i];
		if (crowd.finished_ns[i] > last)
			last = crowd.finished_ns[i];
	}
	EXPECT_EQUAL(granted, GRANTS);
	handle = test_open(crowd.path, BE_DURABILITY_FULL);
	EXPECT_BALANCE(handle, "llm", keeping == SETTLE ? limit : 0, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(crowd.path);
	printf("%s: exactly %d of %d granted, the last answer after %.3f s\n", description, granted,
	       WORKERS, (double)(last - start) / 1e9);
}

int main(void)
{
	test_begin(120);
	run(HOLD, "held until all are done");
	run(SETTLE, "settled at once");
	return 0;
}
