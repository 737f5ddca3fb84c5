/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that look at an environment or tend it are cancelled, wherever they are: none leaves a
 * read txn behind, which would keep LMDB from reusing pages for as long as the process lives, none
 * a descriptor, and none a lock that somebody else would wait for.
 */
#include "support.h"

#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define CANCELLATIONS (test_is_long() ? 2000 : 60)
#define RECORDS 2000

struct worker {
	struct be_enforcer *handle;
	enum be_status (*call)(struct be_enforcer *handle);
	atomic_uint calls; /* begun */
};

static bool see_envelope(void *context, const struct be_envelope *envelope)
{
	(void)context;
	(void)envelope;
	pthread_testcancel();
	return true;
}

static bool see_commit(void *context, const struct be_commit_info *commit)
{
	(void)context;
	(void)commit;
	pthread_testcancel();
	return true;
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	(void)context;
	(void)transaction;
	pthread_testcancel();
	return true;
}

static bool see_owner(void *context, const struct be_owner_info *owner)
{
	(void)context;
	(void)owner;
	pthread_testcancel();
	return true;
}

static void see_difference(void *context, const char *sentence)
{
	(void)context;
	(void)sentence;
	pthread_testcancel();
}

static bool see_pruning(void *context, const struct be_pruning *done)
{
	(void)context;
	(void)done;
	pthread_testcancel();
	return true;
}

static enum be_status verify(struct be_enforcer *handle)
{
	return be_verify(handle, see_difference, NULL, NULL);
}

static enum be_status stats(struct be_enforcer *handle)
{
	struct be_statistics figures = BE_STATISTICS_INIT;

	return be_stats(handle, &figures);
}

static enum be_status envelopes(struct be_enforcer *handle)
{
	return be_envelopes_each(handle, NULL, see_envelope, NULL);
}

static enum be_status commits(struct be_enforcer *handle)
{
	return be_commits_each(handle, NULL, see_commit, NULL);
}

static enum be_status transactions(struct be_enforcer *handle)
{
	return be_transactions_each(handle, NULL, see_transaction, NULL);
}

static enum be_status owners(struct be_enforcer *handle)
{
	return be_owners_each(handle, see_owner, NULL);
}

static enum be_status prune(struct be_enforcer *handle)
{
	enum be_status status = be_record(handle, "llm", 1, "", NULL);

	return status == BE_OK ? be_prune(handle, INT64_MAX, see_pruning, NULL, NULL) : status;
}

static enum be_status reap(struct be_enforcer *handle)
{
	return be_reap(handle, NULL);
}

static enum be_status utilization(struct be_enforcer *handle)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	return be_utilization(handle, "llm", &envelope);
}

static enum be_status open_and_close(struct be_enforcer *handle)
{
	(void)handle;
	be_close(test_open(test_directory(), BE_DURABILITY_PROCESS));
	return BE_OK;
}

static void *work(void *context)
{
	struct worker *worker = context;

	for (;;) {
		atomic_fetch_add(&worker->calls, 1);
		if (worker->call(worker->handle) != BE_OK) {
			fprintf(stderr, "%s\n", be_last_error());
			return worker;
		}
		pthread_testcancel();
	}
}

static unsigned count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	EXPECT(directory != NULL);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* What a thread that vanished would have left. */
static void expect_nothing_left(struct be_enforcer *handle, const char *what, unsigned descriptors)
{
	struct be_statistics figures = BE_STATISTICS_INIT;

	for (int i = 0; i < 3; i++)
		EXPECT_OK(be_record(handle, "llm", 1, "", NULL));
	EXPECT_OK(be_stats(handle, &figures));
	if (figures.reader_lag != 0)
		test_fail(__FILE__, __LINE__, "%s: a read txn was left behind", what);
	if (count_descriptors() != descriptors)
		test_fail(__FILE__, __LINE__, "%s: a descriptor was left open", what);
}

static void cancel_often(struct be_enforcer *handle, const char *what,
			 enum be_status (*call)(struct be_enforcer *handle), uint64_t *random)
{
	unsigned descriptors = count_descriptors();
	int64_t begun_ns = test_monotonic_ns(), once_ns;

	EXPECT_OK(call(handle));
	once_ns = test_monotonic_ns() - begun_ns;
	for (int i = 0; i < CANCELLATIONS; i++) {
		struct worker worker = {.handle = handle, .call = call};
		int64_t until_ns;
		pthread_t thread;
		void *result;

		EXPECT(pthread_create(&thread, NULL, work, &worker) == 0);
		while (atomic_load(&worker.calls) == 0)
			sched_yield();
		until_ns = test_monotonic_ns() +
			   (int64_t)(test_random(random) % (uint64_t)(once_ns + 1));
		while (test_monotonic_ns() < until_ns)
			;
		EXPECT(pthread_cancel(thread) == 0);
		EXPECT(pthread_join(thread, &result) == 0);
		if (result != PTHREAD_CANCELED)
			test_fail(__FILE__, __LINE__, "%s: a call failed", what);
	}
	expect_nothing_left(handle, what, descriptors);
}

int main(void)
{
	static const struct {
		const char *name;
		enum be_status (*call)(struct be_enforcer *handle);
	} calls[] = {
		{"verify", verify},
		{"stats", stats},
		{"envelopes", envelopes},
		{"commits", commits},
		{"transactions", transactions},
		{"owners", owners},
		{"utilization", utilization},
		{"reap", reap},
		{"open", open_and_close},
		{"prune", prune},
	};
	struct be_enforcer *handle;
	uint64_t random, id;

	test_begin(60);
	if (TEST_SANITIZED)
		test_skip("sanitizers do not bear cancelled threads");
	random = test_seed();
	handle = test_open(test_directory(), BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < RECORDS; i++) {
		EXPECT_OK(be_record(handle, "llm", 1, "a description that takes some space", NULL));
		if (i % 10 == 0)
			EXPECT_OK(be_commit(handle, "llm", 1, "", &id));
	}
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		cancel_often(handle, calls[i].name, calls[i].call, &random);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	printf("%d threads cancelled in each of %zu calls\n", CANCELLATIONS,
	       sizeof calls / sizeof *calls);
	return 0;
}
