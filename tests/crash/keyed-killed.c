/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same requests with keys, sent a thousand times by sixteen processes that are killed all the
 * time: each is carried out once, and all who are answered get the one answer.
 *
 * Workers send a few records, over and over. Those that are killed are replaced, until many were
 * killed and a thousand answers have been noted. Each answer is noted in shared memory by its own
 * worker, so that those of the dead count, too.
 */
#include "crash.h"
#include "support.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 16
#define ANSWERS 1000
#define KEYS 4
#define KILLS 60

static char path[PATH_MAX];
static enum be_durability durability;
static struct shared {
	atomic_bool is_over;
	atomic_uint answers;
	_Atomic uint64_t transaction_ids[KEYS]; /* the first that anybody was told */
	atomic_uint other_answers;
} * shared;

static void note(int key, uint64_t id)
{
	uint64_t none = 0;

	if (!atomic_compare_exchange_strong(&shared->transaction_ids[key], &none, id) && none != id)
		shared->other_answers++;
	shared->answers++;
}

static int work(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, durability);
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	char key[BE_KEY_SIZE];

	(void)context;
	options.key = key;
	for (int i = index; !shared->is_over; i++) {
		snprintf(key, sizeof key, "record %d", i % KEYS);
		EXPECT_OK(be_record_with(handle, "llm", 100 + i % KEYS, "once", &options,
					 &transaction));
		EXPECT_EQUAL(transaction.amount, 100 + i % KEYS);
		note(i % KEYS, transaction.id);
		/* Others are charged between. */
		EXPECT_OK(be_record(handle, "other", 1, NULL, NULL));
	}
	be_close(handle);
	return 0;
}

/* Kills workers where they stand, one after the other, and starts others in their places. */
static void kill_some(pid_t *children, uint64_t *random)
{
	unsigned killed = 0;

	for (; killed < KILLS || shared->answers < ANSWERS; killed++) {
		int victim = (int)(test_random(random) % WORKERS);

		usleep((useconds_t)(test_random(random) % 5000));
		EXPECT(kill(children[victim], SIGKILL) == 0);
		EXPECT_EQUAL(child_wait(children[victim]), 128 + SIGKILL);
		children[victim] = child_start(work, victim, NULL);
	}
	shared->is_over = true;
	printf("%u killed\n", killed);
}

int main(int argc, char **argv)
{
	uint64_t random;
	pid_t children[WORKERS];
	struct be_enforcer *handle;
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	test_begin(60);
	random = test_seed();
	durability = argc > 1 && strcmp(argv[1], "full") == 0 ? BE_DURABILITY_FULL
							      : BE_DURABILITY_PROCESS;
	shared = shared_make(sizeof *shared);
	test_path(path, "environment");
	handle = test_open(path, durability);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "other", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(work, i, NULL);
	kill_some(children, &random);
	children_expect_success(children, WORKERS);
	handle = test_open(path, durability);
	EXPECT_OK(be_utilization(handle, "llm", &envelope));
	printf("%u answers, %lld charged\n", shared->answers, (long long)envelope.spent);
	EXPECT_EQUAL(shared->other_answers, 0);
	EXPECT_EQUAL(envelope.spent, 100 + 101 + 102 + 103);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}
