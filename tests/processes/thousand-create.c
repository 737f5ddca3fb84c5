/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many processes at once open a directory that does not exist and make sure of the same envelopes:
 * all succeed, the environment is made once, and each envelope exists once. Rounds of 200 processes
 * find the narrow races, one of 1000 the limits.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

enum {
	MOST = 1000,
	ENVELOPES = 4
};

struct crowd {
	char path[PATH_MAX];
	uint64_t *ids; /* of the envelopes, as each worker saw them */
	int64_t *waited_ns;
};

static int worker(int index, void *context)
{
	static const char *const categories[ENVELOPES] = {"llm", "search", "tools", "embeddings"};
	struct crowd *crowd = context;
	int64_t start = test_monotonic_ns();
	struct be_enforcer *handle = test_open(crowd->path, BE_DURABILITY_FULL);
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	int i, which;

	crowd->waited_ns[index] = test_monotonic_ns() - start;
	for (i = 0; i < ENVELOPES; i++) {
		which = (index + i) % ENVELOPES;
		EXPECT_OK(be_envelope_ensure(handle, categories[which], BE_UNIT * (which + 1),
					     BE_PERIOD_DAILY, NULL));
		EXPECT_OK(be_utilization(handle, categories[which], &envelope));
		EXPECT_EQUAL(envelope.limit, BE_UNIT * (which + 1));
		crowd->ids[index * ENVELOPES + which] = envelope.id;
	}
	be_close(handle);
	return 0;
}

static bool count_one(void *context, const struct be_envelope *envelope)
{
	int *count = context;

	(void)envelope;
	++*count;
	return true;
}

/* Returns the longest that a worker waited to have the environment open. */
static double run(int workers)
{
	static pid_t children[MOST];
	struct crowd crowd;
	struct be_enforcer *handle;
	int64_t longest = 0;
	int i, count = 0;

	test_path(crowd.path, "new");
	crowd.ids = shared_make(MOST * ENVELOPES * sizeof *crowd.ids);
	crowd.waited_ns = shared_make(MOST * sizeof *crowd.waited_ns);
	children_start(children, workers, worker, &crowd);
	children_expect_success(children, workers);

	for (i = 0; i < workers; i++) {
		EXPECT(memcmp(&crowd.ids[i * ENVELOPES], crowd.ids,
			      ENVELOPES * sizeof *crowd.ids) == 0);
		if (crowd.waited_ns[i] > longest)
			longest = crowd.waited_ns[i];
	}
	handle = test_open(crowd.path, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelopes_each(handle, NULL, count_one, &count));
	EXPECT_EQUAL(count, ENVELOPES);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	test_remove(crowd.path);
	return (double)longest / 1e9;
}

int main(void)
{
	double longest = 0, waited;
	int round;

	test_begin(120);
	for (round = 0; round < 5; round++) {
		waited = run(200);
		if (waited > longest)
			longest = waited;
	}
	printf("5 x 200 processes: all opened, none waited more than %.3f s\n", longest);
	printf("%d processes: all opened, none waited more than %.3f s\n", MOST, run(MOST));
	return 0;
}
