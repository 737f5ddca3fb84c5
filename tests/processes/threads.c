/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight threads in each of two processes do every kind of operation at random, on a handle they
 * share and on handles of their own, and end other threads' commits as well as theirs. Each keeps
 * its own account; the accounts and the balances must agree to the last nano. A plain program, so
 * that it can run under ThreadSanitizer.
 */
#include "support.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
	PROCESSES = 2,
	THREADS = 8,
	OPERATIONS = 3000,
	OPERATIONS_LONG = 60000,
	ENVELOPES = 3,
	EXCHANGE = 64
};

static const char *const categories[ENVELOPES] = {"llm", "search", "tools"};
static const int64_t limit = 1000 * BE_UNIT;

/* What all threads of all processes share. */
struct shared {
	_Atomic int64_t charged[ENVELOPES]; /* by every charge that was acknowledged */
	_Atomic uint64_t
		exchange[EXCHANGE]; /* commit ids that anybody may take and end; 0: empty */
	_Atomic uint64_t granted, refused, ended;
};

struct stress {
	char path[PATH_MAX];
	struct shared *shared;
	pthread_barrier_t *over;
	uint64_t seed;
	int operations; /* by each thread */
};

struct thread {
	pthread_t id;
	const struct stress *stress;
	struct be_enforcer *common; /* of the process */
	uint64_t random;
	int number; /* over all processes */
};

static int envelope_of(const char *category)
{
	int i;

	for (i = 0; i < ENVELOPES; i++) {
		if (category[0] == categories[i][0])
			return i;
	}
	test_fail(__FILE__, __LINE__, "a transaction of category \"%s\"", category);
}

static void account(struct shared *shared, const struct be_transaction *transaction)
{
	atomic_fetch_add(&shared->charged[envelope_of(transaction->category)], transaction->amount);
}

/* Ends a commit that this thread alone knows of. */
static void end_commit(struct thread *thread, struct be_enforcer *handle, uint64_t id)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct shared *shared = thread->stress->shared;
	int64_t amount = (int64_t)(test_random(&thread->random) % 1000000007);

	if (test_random(&thread->random) % 3 == 0) {
		EXPECT_OK(be_release(handle, id));
		EXPECT_STATUS(be_settle(handle, id, 1, NULL, NULL), BE_ALREADY_RELEASED);
	} else {
		EXPECT_OK(be_settle(handle, id, amount, NULL, &transaction));
		EXPECT_EQUAL(transaction.amount, amount);
		EXPECT_EQUAL(transaction.commit_id, id);
		account(shared, &transaction);
		EXPECT_STATUS(be_release(handle, id), BE_ALREADY_SETTLED);
	}
	atomic_fetch_add(&shared->ended, 1);
}

/* Puts the new commit where anybody may take it, and ends the one that lay there. */
static void commit(struct thread *thread, struct be_enforcer *handle, const char *category)
{
	struct shared *shared = thread->stress->shared;
	struct be_decision decision = BE_DECISION_INIT;
	int64_t amount = (int64_t)(test_random(&thread->random) % (uint64_t)(20 * BE_UNIT));
	enum be_status status;
	uint64_t id;

	status = be_commit_with(handle, category, amount, "stress", NULL, &id, &decision);
	if (status != BE_OK) {
		EXPECT_STATUS(status, BE_EXCEEDS_BUDGET);
		EXPECT(decision.available < amount);
		atomic_fetch_add(&shared->refused, 1);
		return;
	}
	atomic_fetch_add(&shared->granted, 1);
	if (test_random(&thread->random) % 4 == 0) {
		status = be_extend(handle, id, amount / 2, 0, NULL);
		EXPECT_OK(status);
	}
	id = atomic_exchange(&shared->exchange[test_random(&thread->random) % EXCHANGE], id);
	if (id != 0)
		end_commit(thread, handle, id);
}

static bool look_at_one(void *context, const struct be_envelope *envelope)
{
	int *seen = context;

	EXPECT(envelope->spent >= 0 && envelope->committed >= 0);
	++*seen;
	return true;
}

static void listing(struct be_enforcer *handle)
{
	int seen = 0;

	EXPECT_OK(be_envelopes_each(handle, NULL, look_at_one, &seen));
	EXPECT(seen >= ENVELOPES);
}

/* An envelope of this thread's own, taken through its whole life. */
static void envelope_life(struct thread *thread, struct be_enforcer *handle)
{
	char category[32];
	uint64_t id;

	snprintf(category, sizeof category, "own-%d", thread->number);
	EXPECT_OK(be_envelope_create(handle, category, BE_UNIT, BE_PERIOD_HOURLY, NULL));
	EXPECT_STATUS(be_envelope_create(handle, category, BE_UNIT, BE_PERIOD_HOURLY, NULL),
		      BE_ENVELOPE_EXISTS);
	EXPECT_OK(be_envelope_set_limit(handle, category, 2 * BE_UNIT));
	EXPECT_OK(be_commit(handle, category, 2 * BE_UNIT, NULL, &id));
	EXPECT_STATUS(be_envelope_remove(handle, category), BE_HAS_COMMITS);
	EXPECT_OK(be_envelope_suspend(handle, category));
	EXPECT_STATUS(be_check(handle, category, 0, NULL), BE_SUSPENDED);
	EXPECT_OK(be_settle(handle, id, BE_UNIT, NULL, NULL));
	EXPECT_OK(be_envelope_resume(handle, category));
	EXPECT_BALANCE(handle, category, BE_UNIT, 0);
	EXPECT_OK(be_envelope_reset(handle, category));
	EXPECT_BALANCE(handle, category, 0, 0);
	EXPECT_OK(be_envelope_remove(handle, category));
	EXPECT_STATUS(be_check(handle, category, 0, NULL), BE_NO_ENVELOPE);
}

static void operate(struct thread *thread, struct be_enforcer *handle)
{
	const char *category = categories[test_random(&thread->random) % ENVELOPES];
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status;

	switch (test_random(&thread->random) % 32) {
	case 0:
		envelope_life(thread, handle);
		break;
	case 1:
		listing(handle);
		break;
	case 2:
		EXPECT_OK(be_reap(handle, NULL));
		break;
	case 3:
	case 4:
		EXPECT_OK(be_record(handle, category,
				    (int64_t)(test_random(&thread->random) % 1000003), NULL,
				    &transaction));
		account(thread->stress->shared, &transaction);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		status = be_check(handle, category, BE_UNIT, NULL);
		EXPECT(status == BE_OK || status == BE_EXCEEDS_BUDGET);
		break;
	case 9:
	case 10:
		EXPECT_OK(be_utilization(handle, category, &envelope));
		EXPECT(envelope.spent >= 0 && envelope.committed >= 0);
		break;
	default:
		commit(thread, handle, category);
	}
}

static void *run_thread(void *context)
{
	struct thread *thread = context;
	struct be_enforcer *own = NULL;
	int i;

	for (i = 0; i < thread->stress->operations; i++) {
		if (i % 500 == 0) {
			be_close(own);
			own = test_open(thread->stress->path, BE_DURABILITY_PROCESS);
		}
		operate(thread, i % 2 == 0 ? own : thread->common);
	}
	be_close(own);
	return NULL;
}

static int run_process(int index, void *context)
{
	struct stress *stress = context;
	struct thread threads[THREADS];
	struct be_enforcer *handle = test_open(stress->path, BE_DURABILITY_PROCESS);
	int i;

	for (i = 0; i < THREADS; i++) {
		threads[i].stress = stress;
		threads[i].common = handle;
		threads[i].number = index * THREADS + i;
		threads[i].random = stress->seed + (uint64_t)threads[i].number;
		EXPECT(pthread_create(&threads[i].id, NULL, run_thread, &threads[i]) == 0);
	}
	for (i = 0; i < THREADS; i++)
		EXPECT(pthread_join(threads[i].id, NULL) == 0);

	/* The other process may still take commits that this one made, and its death would reap
	 * them. */
	pthread_barrier_wait(stress->over);
	be_close(handle);
	return 0;
}

/* Commits left in the exchange died with their owners, so that only what was charged remains. */
static void expect_accounts_agree(struct stress *stress)
{
	struct be_enforcer *handle = test_open(stress->path, BE_DURABILITY_PROCESS);
	int i;

	for (i = 0; i < ENVELOPES; i++)
		EXPECT_BALANCE(handle, categories[i], atomic_load(&stress->shared->charged[i]), 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

int main(void)
{
	struct stress stress;
	struct be_enforcer *handle;
	pid_t processes[PROCESSES];
	int64_t start;
	int i;

	test_begin(120);
	stress.seed = test_seed();
	stress.operations = test_is_long() ? OPERATIONS_LONG : OPERATIONS;
	stress.shared = shared_make(sizeof *stress.shared);
	stress.over = barrier_make(PROCESSES);
	test_path(stress.path, "stress");
	handle = test_open(stress.path, BE_DURABILITY_PROCESS);
	for (i = 0; i < ENVELOPES; i++)
		EXPECT_OK(be_envelope_create(handle, categories[i], limit, BE_PERIOD_TOTAL, NULL));
	be_close(handle);

	start = test_monotonic_ns();
	children_start(processes, PROCESSES, run_process, &stress);
	children_expect_success(processes, PROCESSES);
	expect_accounts_agree(&stress);
	printf("%d processes x %d threads: %d operations in %.2f s; %" PRIu64
	       " commits granted, %" PRIu64 " refused, %" PRIu64
	       " ended by the threads that took them; the accounts agree\n",
	       PROCESSES, THREADS, PROCESSES * THREADS * stress.operations,
	       test_seconds_since(start), stress.shared->granted, stress.shared->refused,
	       stress.shared->ended);
	EXPECT(stress.shared->refused > 0 && stress.shared->ended > 0);
	return 0;
}
