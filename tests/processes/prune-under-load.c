/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four workers charge and commit, two processes prune all the time, and one verifies all the time:
 * every verification must find that all adds up, and in the end nothing is lost.
 */
#include "support.h"

#include <stdatomic.h>
#include <stdio.h>

#define WORKERS 4
#define PRUNERS 2
#define ROUNDS 4000

static char path[PATH_MAX];
static struct progress {
	atomic_int working;
	atomic_int prunings;
	atomic_int verifications;
	atomic_llong pruned;
} * progress;

static void charge(struct be_enforcer *handle)
{
	uint64_t id;

	for (int i = 0; i < ROUNDS; i++) {
		EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
		EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
		EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	}
	progress->working--;
}

static void prune(struct be_enforcer *handle)
{
	struct be_pruning pruning = BE_PRUNING_INIT;

	while (progress->working > 0) {
		EXPECT_OK(be_prune(handle, INT64_MAX, NULL, NULL, &pruning));
		progress->pruned += (long long)pruning.transactions;
		progress->prunings++;
	}
}

static void verify(struct be_enforcer *handle)
{
	while (progress->working > 0) {
		EXPECT_VERIFIED(handle);
		progress->verifications++;
	}
}

static int work(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);

	(void)context;
	if (index < WORKERS)
		charge(handle);
	else if (index < WORKERS + PRUNERS)
		prune(handle);
	else
		verify(handle);
	be_close(handle);
	return 0;
}

int main(void)
{
	struct be_enforcer *handle;
	pid_t children[WORKERS + PRUNERS + 1];

	test_begin(120);
	progress = shared_make(sizeof *progress);
	progress->working = WORKERS;
	test_path(path, "environment");
	handle = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "all", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	below.parent_category = "all";
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, &below));
	children_start(children, WORKERS + PRUNERS + 1, work, NULL);
	children_expect_success(children, WORKERS + PRUNERS + 1);
	printf("%d prunings removed %lld transactions, and %d verifications found nothing\n",
	       progress->prunings, progress->pruned, progress->verifications);
	EXPECT(progress->pruned > 0 && progress->verifications > 0);
	EXPECT_BALANCE(handle, "all", 2 * WORKERS * ROUNDS, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
