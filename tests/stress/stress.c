/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything at once: eight threads in each of four processes do every kind of operation at random,
 * while handles are opened and closed, threads end and others begin. In two of the processes no
 * handle lasts, so that the environment itself is closed and opened again under the threads.
 *
 * An observer on every handle counts what was charged. In the end that must be what the envelopes
 * have spent, and nothing may be committed. The program is there to be run under ThreadSanitizer
 * (meson.build); without, it finds what only several threads in each of several processes bring
 * about.
 */
#include "support.h"

#include <budget_enforcer_storage.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
	PROCESSES = 4,
	THREADS = 8,
	CROWD = 100,       /* threads of one process: more than a storage keeps read txns for */
	ROUNDS = 2,        /* of threads, in each process */
	OPERATIONS = 3200, /* in each round */
	OPERATIONS_LONG = 96000,
	CHILDREN = 3, /* envelopes below the pool's */
	EXCHANGE = 64
};

static const char pool[] = "pool";
static const char *const categories[CHILDREN] = {"llm", "search", "tools"};
static const int64_t limit = 300 * BE_UNIT;

/* In the exchange, of a commit that may be reaped before somebody ends it. */
static const uint64_t may_expire = UINT64_C(1) << 63;

/* What is run: over LMDB in either durability, without group commit, with very many threads, and in
 * the memory of one process. */
struct way {
	const char *name;
	int processes;
	int threads; /* in each of them */
	uint32_t flags;
	enum be_durability durability;
	bool in_memory;
};

static const struct way ways[] = {
	{"process", PROCESSES, THREADS, 0, BE_DURABILITY_PROCESS, false},
	{"full", PROCESSES, THREADS, 0, BE_DURABILITY_FULL, false},
	{"direct", PROCESSES, THREADS, BE_OPEN_DIRECT, BE_DURABILITY_PROCESS, false},
	{"crowd", 1, CROWD, 0, BE_DURABILITY_PROCESS, false},
	{"memory", 1, THREADS, 0, BE_DURABILITY_FULL, true},
};

/* What all threads of all processes share. */
struct shared {
	_Atomic int64_t charged[CHILDREN];
	_Atomic uint64_t exchange[EXCHANGE]; /* commits that anybody may take and end; 0: none */
	_Atomic uint64_t granted, refused, ended, reaped, openings;
};

struct stress {
	const struct way *way;
	char path[PATH_MAX];
	struct be_storage *storage; /* in memory */
	struct shared *shared;
	pthread_barrier_t *over;
	uint64_t seed;
	int operations; /* by each thread of a round */
};

struct thread {
	pthread_t id;
	const struct stress *stress;
	struct be_enforcer *common;    /* of the process; NULL: none lasts */
	pthread_barrier_t *rendezvous; /* of the process's threads */
	uint64_t random;
	int number; /* over all processes */
};

/* ---- handles */

static void observe(void *context, const struct be_event *event)
{
	struct shared *shared = context;
	int i;

	if (event->status == BE_OK && event->operation == BE_OPERATION_REAP)
		atomic_fetch_add(&shared->reaped, 1);
	for (i = 0; i < CHILDREN; i++) {
		if (event->status == BE_OK && event->transaction_id != 0 &&
		    strcmp(event->category, categories[i]) == 0)
			atomic_fetch_add(&shared->charged[i], event->amount);
	}
}

static struct be_enforcer *open_handle(const struct stress *stress, const char *namespace_name,
				       uint32_t more_flags)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = stress->way->flags | more_flags;
	options.durability = stress->way->durability;
	options.namespace_name = namespace_name;
	options.observe = observe;
	options.observe_context = stress->shared;
	options.storage = stress->storage;
	EXPECT_OK(be_open(stress->storage ? NULL : stress->path, &options, &handle));
	atomic_fetch_add(&stress->shared->openings, 1);
	return handle;
}

/* ---- operations */

static uint64_t pick(struct thread *thread, uint64_t count)
{
	return test_random(&thread->random) % count;
}

static void expect_ended(enum be_status status, bool expires)
{
	EXPECT(status == BE_OK ||
	       (expires && (status == BE_ALREADY_REAPED || status == BE_ALREADY_CHARGED)));
}

/* Ends a commit that this thread alone knows of. */
static void end_commit(struct thread *thread, struct be_enforcer *handle, uint64_t taken)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	int64_t amount = (int64_t)pick(thread, BE_UNIT / 1000);
	uint64_t id = taken & ~may_expire;
	enum be_status status;

	if (pick(thread, 3) == 0) {
		expect_ended(be_release(handle, id), taken & may_expire);
	} else {
		status = be_settle(handle, id, amount, NULL, &transaction);
		expect_ended(status, taken & may_expire);
		if (status == BE_OK)
			EXPECT_EQUAL(transaction.amount, amount);
		EXPECT(be_release(handle, id) != BE_OK);
		EXPECT(be_last_error()[0] != '\0');
	}
	atomic_fetch_add(&thread->stress->shared->ended, 1);
}

/* Puts the new commit where anybody may take it, and ends the one that lay there. */
static void commit(struct thread *thread, struct be_enforcer *handle, const char *category)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_decision decision = BE_DECISION_INIT;
	struct shared *shared = thread->stress->shared;
	int64_t amount = (int64_t)pick(thread, 20 * BE_UNIT);
	enum be_status status;
	uint64_t id;

	options.reap_policy = pick(thread, 2) == 0 ? BE_REAP_RELEASE : BE_REAP_CHARGE;
	options.ttl_ms = pick(thread, 4) == 0 ? 1 + pick(thread, 20) : 0;
	options.detached = pick(thread, 4) == 0;
	if (options.ttl_ms != 0)
		amount /= 1000; /* many are charged in full, and the limit is to last */
	status = be_commit_with(handle, category, amount, "stress", &options, &id, &decision);
	if (status != BE_OK) {
		EXPECT(status == BE_EXCEEDS_BUDGET || status == BE_SUSPENDED);
		EXPECT(status != BE_EXCEEDS_BUDGET || decision.available < amount);
		atomic_fetch_add(&shared->refused, 1);
		return;
	}
	atomic_fetch_add(&shared->granted, 1);
	if (pick(thread, 4) == 0)
		expect_ended(be_extend(handle, id, amount / 2, options.ttl_ms, NULL),
			     options.ttl_ms != 0);
	if (options.ttl_ms != 0)
		id |= may_expire;
	id = atomic_exchange(&shared->exchange[pick(thread, EXCHANGE)], id);
	if (id != 0)
		end_commit(thread, handle, id);
}

static bool see_envelope(void *context, const struct be_envelope *envelope)
{
	EXPECT(envelope->spent >= 0 && envelope->committed >= 0);
	++*(int *)context;
	return true;
}

static bool see_commit(void *context, const struct be_commit_info *info)
{
	EXPECT(info->owner_alive && info->amount >= 0);
	++*(int *)context;
	return true;
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	EXPECT(transaction->amount >= 0);
	++*(int *)context;
	return true;
}

static void list(struct thread *thread, struct be_enforcer *handle)
{
	struct be_filter filter = BE_FILTER_INIT;
	int seen = 0;

	EXPECT_OK(be_envelopes_each(handle, NULL, see_envelope, &seen));
	EXPECT(seen > CHILDREN);
	filter.max_count = 20;
	filter.after_id = pick(thread, 500);
	EXPECT_OK(be_commits_each(handle, &filter, see_commit, &seen));
	EXPECT_OK(be_transactions_each(handle, &filter, see_transaction, &seen));
}

/* An envelope of this thread's own, taken through its whole life. */
static void envelope_life(struct thread *thread)
{
	char name[32];
	struct be_enforcer *handle;
	uint64_t id;

	snprintf(name, sizeof name, "thread-%d", thread->number);
	handle = open_handle(thread->stress, name, 0);
	EXPECT_OK(be_envelope_ensure(handle, "own", BE_UNIT, BE_PERIOD_HOURLY, NULL));
	EXPECT_STATUS(be_envelope_create(handle, "own", 1, BE_PERIOD_HOURLY, NULL),
		      BE_ENVELOPE_EXISTS);
	EXPECT_OK(be_envelope_set_limit(handle, "own", 2 * BE_UNIT));
	EXPECT_OK(be_commit(handle, "own", 2 * BE_UNIT, NULL, &id));
	EXPECT_STATUS(be_envelope_remove(handle, "own"), BE_HAS_COMMITS);
	EXPECT_OK(be_envelope_suspend(handle, "own"));
	EXPECT_STATUS(be_check(handle, "own", 0, NULL), BE_SUSPENDED);
	EXPECT_OK(be_settle(handle, id, BE_UNIT, NULL, NULL));
	EXPECT_OK(be_envelope_resume(handle, "own"));
	EXPECT_BALANCE(handle, "own", BE_UNIT, 0);
	EXPECT_OK(be_envelope_reset(handle, "own"));
	EXPECT_OK(be_envelope_remove(handle, "own"));
	be_close(handle);
}

static void change_envelopes(struct thread *thread, struct be_enforcer *handle,
			     const char *category)
{
	struct be_envelope_change changes[2] = {BE_ENVELOPE_CHANGE_INIT, BE_ENVELOPE_CHANGE_INIT};
	size_t failed;

	changes[0].operation = BE_OPERATION_SET_LIMIT;
	changes[0].category = category;
	changes[0].limit = limit / 2 + (int64_t)pick(thread, (uint64_t)limit);
	changes[1].operation = pick(thread, 2) == 0 ? BE_OPERATION_SUSPEND : BE_OPERATION_RESUME;
	changes[1].category = categories[0];
	EXPECT_OK(be_envelopes_apply(handle, changes, 2, &failed));
	if (changes[1].operation == BE_OPERATION_SUSPEND)
		EXPECT_OK(be_envelope_resume(handle, categories[0]));
}

static void look_only(struct thread *thread)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	struct be_enforcer *handle = open_handle(thread->stress, NULL, BE_OPEN_READ_ONLY);

	EXPECT_OK(be_utilization(handle, pool, &envelope));
	EXPECT_STATUS(be_record(handle, pool, 1, NULL, NULL), BE_READ_ONLY);
	be_close(handle);
}

static void operate(struct thread *thread, struct be_enforcer *handle)
{
	const char *category = categories[pick(thread, CHILDREN)];
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status;

	switch (pick(thread, 32)) {
	case 0:
		envelope_life(thread);
		break;
	case 1:
		list(thread, handle);
		break;
	case 2:
		EXPECT_OK(be_reap(handle, NULL));
		break;
	case 3:
		change_envelopes(thread, handle, category);
		break;
	case 4:
		/* A process that has it open read-only could not open it to write. */
		if (thread->common)
			look_only(thread);
		break;
	case 5:
	case 6:
		EXPECT_OK(be_record(handle, category, (int64_t)pick(thread, 1000003), NULL, NULL));
		break;
	case 7:
	case 8:
	case 9:
		status = be_check(handle, category, BE_UNIT, NULL);
		EXPECT(status == BE_OK || status == BE_EXCEEDS_BUDGET || status == BE_SUSPENDED);
		break;
	case 10:
	case 11:
		EXPECT_OK(be_utilization(handle, pool, &envelope));
		EXPECT(envelope.spent >= 0 && envelope.committed >= 0);
		break;
	default:
		commit(thread, handle, category);
	}
}

/* ---- threads, processes */

static void *run_thread(void *context)
{
	struct thread *thread = context;
	struct be_enforcer *own = open_handle(thread->stress, NULL, 0);
	int i;

	for (i = 0; i < thread->stress->operations; i++) {
		/* All close their handles at the same time, and open new ones. */
		if (i == thread->stress->operations / 2) {
			pthread_barrier_wait(thread->rendezvous);
			be_close(own);
			own = open_handle(thread->stress, NULL, 0);
		}
		operate(thread, i % 2 == 0 && thread->common ? thread->common : own);
	}
	if (thread->number % thread->stress->way->threads == 0)
		EXPECT_VERIFIED(own);
	be_close(own);
	return NULL;
}

static int run_process(int index, void *context)
{
	struct stress *stress = context;
	struct be_enforcer *common = index % 2 == 0 ? open_handle(stress, NULL, 0) : NULL;
	int round, i, count = stress->way->threads;
	pthread_barrier_t rendezvous;
	struct thread threads[CROWD];

	EXPECT(pthread_barrier_init(&rendezvous, NULL, (unsigned)count) == 0);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < count; i++) {
			threads[i] = (struct thread){
				.stress = stress,
				.common = common,
				.rendezvous = &rendezvous,
				.number = index * count + i,
				.random = stress->seed +
					  (uint64_t)((round * PROCESSES + index) * count + i),
			};
			EXPECT(pthread_create(&threads[i].id, NULL, run_thread, &threads[i]) == 0);
		}
		for (i = 0; i < count; i++)
			EXPECT(pthread_join(threads[i].id, NULL) == 0);
	}
	pthread_barrier_destroy(&rendezvous);

	/* The others may still take commits that this process made, and its death would reap
	 * them. */
	pthread_barrier_wait(stress->over);
	be_close(common);
	return 0;
}

static void begin(struct stress *stress, const struct way *way)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	struct be_enforcer *handle;
	int i;

	stress->way = way;
	stress->storage = NULL;
	stress->shared = shared_make(sizeof *stress->shared);
	stress->over = barrier_make((unsigned)way->processes);
	stress->operations =
		(test_is_long() ? OPERATIONS_LONG : OPERATIONS) / (way->processes * way->threads);
	test_path(stress->path, "%s", way->name);
	if (way->in_memory)
		EXPECT_OK(be_storage_memory_create(&stress->storage));
	handle = open_handle(stress, NULL, 0);
	below.parent_category = pool;
	EXPECT_OK(be_envelope_create(handle, pool, 2 * limit, BE_PERIOD_TOTAL, NULL));
	for (i = 0; i < CHILDREN; i++)
		EXPECT_OK(
			be_envelope_create(handle, categories[i], limit, BE_PERIOD_TOTAL, &below));
	be_close(handle);
}

/* What is left in the exchange died with its owners, or is ended here. */
static void expect_accounts_agree(struct stress *stress)
{
	struct be_enforcer *handle = open_handle(stress, NULL, 0);
	int64_t all = 0;
	uint64_t id;
	int i;

	for (i = 0; i < EXCHANGE; i++) {
		id = stress->shared->exchange[i] & ~may_expire;
		if (id != 0)
			expect_ended(be_release(handle, id), true);
	}
	EXPECT_OK(be_reap(handle, NULL));
	for (i = 0; i < CHILDREN; i++) {
		EXPECT_BALANCE(handle, categories[i], stress->shared->charged[i], 0);
		all += stress->shared->charged[i];
	}
	EXPECT_BALANCE(handle, pool, all, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
}

static void run(struct stress *stress, const struct way *way)
{
	pid_t processes[PROCESSES];
	int64_t start = test_monotonic_ns();
	struct shared *shared;

	begin(stress, way);
	if (way->in_memory) {
		EXPECT_EQUAL(run_process(0, stress), 0);
	} else {
		children_start(processes, way->processes, run_process, stress);
		children_expect_success(processes, way->processes);
	}
	expect_accounts_agree(stress);
	be_storage_memory_destroy(stress->storage);
	shared = stress->shared;
	printf("%s: %d processes x %d threads: %d operations in %.2f s; %" PRIu64
	       " commits granted, %" PRIu64 " refused, %" PRIu64 " ended, %" PRIu64
	       " reaped; %" PRIu64 " handles opened; the accounts agree\n",
	       way->name, way->processes, way->threads,
	       way->processes * way->threads * ROUNDS * stress->operations,
	       test_seconds_since(start), shared->granted, shared->refused, shared->ended,
	       shared->reaped, shared->openings);
	EXPECT(shared->granted > 0 && shared->ended > 0);
	EXPECT(shared->reaped > 0 ||
	       way->in_memory); /* which may be faster than any commit expires */
}

int main(void)
{
	struct stress stress;
	size_t i;

	test_begin(60);
	stress.seed = test_seed();
	for (i = 0; i < sizeof ways / sizeof *ways; i++)
		run(&stress, &ways[i]);
	return 0;
}
