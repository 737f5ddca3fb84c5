/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trips to the server, counted by a proxy: one for a check, or none within an age, and two for a
 * batch, however many operations it has and however deep their envelopes lie; a few for a long
 * listing. What nobody waits for is no trip.
 */
#include "kind.h"
#include "proxy.h"
#include "server.h"

#include <budget_enforcer_storage.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define THREADS 128
#define ROUNDS 6
#define CHECKS 10
#define LISTED 30000
#define LISTED_TRIPS 35

static _Atomic int64_t *trips;
static struct be_enforcer *handle;
static uint64_t ids[THREADS];
static pthread_barrier_t barrier;

static bool count_trip(int client, int server, const char *bytes, ssize_t size, bool answered)
{
	(void)client;
	if (server_kind.is_trip(bytes, (size_t)size, answered))
		atomic_fetch_add(trips, 1);
	return proxy_send(server, bytes, size);
}

static int run_proxy(int index, void *context)
{
	(void)index;
	proxy_serve(*(int *)context, count_trip);
}

static uint64_t count_changes(void)
{
	struct be_statistics statistics = BE_STATISTICS_INIT;

	EXPECT_OK(be_stats(handle, &statistics));
	return statistics.changes;
}

static void create_chain(void)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	char names[BE_DEPTH_MAX][16];

	for (int i = 0; i < BE_DEPTH_MAX; i++) {
		snprintf(names[i], sizeof names[i], "at-%d", i);
		below.parent_category = i > 0 ? names[i - 1] : NULL;
		EXPECT_OK(be_envelope_create(handle, names[i], 1000000 * BE_UNIT, BE_PERIOD_DAILY,
					     i > 0 ? &below : NULL));
	}
}

/* Commits and settles in turn, all threads at once. */
static void *work(void *context)
{
	uint64_t *id = context;

	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&barrier);
		EXPECT_OK(be_commit(handle, "at-7", 10, NULL, id));
		pthread_barrier_wait(&barrier);
		EXPECT_OK(be_settle(handle, *id, 7, NULL, NULL));
	}
	return NULL;
}

static void a_batch_takes_two_trips(void)
{
	pthread_t threads[THREADS];
	uint64_t changes = count_changes();
	int64_t before = atomic_load(trips), batches;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQUAL(pthread_create(&threads[i], NULL, work, &ids[i]), 0);
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQUAL(pthread_join(threads[i], NULL), 0);
	before = atomic_load(trips) - before;
	batches = (int64_t)(count_changes() - changes);
	printf("%d operations at depth %d in %lld batches: %lld trips\n", 2 * ROUNDS * THREADS,
	       BE_DEPTH_MAX, (long long)batches, (long long)before);
	EXPECT_EQUAL(before, 2 * batches);
	EXPECT(batches < ROUNDS * THREADS / 4);
	EXPECT_BALANCE(handle, "at-0", 7 * ROUNDS * THREADS, 0);
	EXPECT_VERIFIED(handle);
}

static void a_check_takes_one_trip(void)
{
	int64_t before = atomic_load(trips);

	for (int i = 0; i < CHECKS; i++)
		EXPECT_OK(be_check(handle, "at-7", 1, NULL));
	before = atomic_load(trips) - before;
	printf("%d checks: %lld trips\n", CHECKS, (long long)before);
	EXPECT_EQUAL(before, CHECKS);
}

/* By a handle that may permit by what it has read less than so long ago. */
static void count_aged(struct be_storage *storage, int64_t age_ms, int64_t expected)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *aged;
	int64_t before;

	options.storage = storage;
	options.check_age_ms = age_ms;
	EXPECT_OK(be_open(NULL, &options, &aged));
	/* Learns which envelope lies in which. */
	EXPECT_OK(be_check(aged, "at-7", 1, NULL));
	EXPECT_OK(be_record(aged, "at-7", 0, NULL, NULL));
	before = atomic_load(trips);
	for (int i = 0; i < CHECKS; i++) {
		EXPECT_OK(be_check(aged, "at-7", i, NULL));
		if (age_ms == 1)
			usleep(2000); /* for longer than that */
	}
	before = atomic_load(trips) - before;
	printf("%d checks, by what was read %lld ms ago at most: %lld trips\n", CHECKS,
	       (long long)age_ms, (long long)before);
	EXPECT_EQUAL(before, expected);
	/* What was changed through the handle is seen. */
	before = atomic_load(trips);
	EXPECT_OK(be_record(aged, "at-7", 10, NULL, NULL));
	EXPECT_OK(be_check(aged, "at-7", 1, NULL));
	EXPECT_EQUAL(atomic_load(trips) - before, 3);
	be_close(aged);
}

static void a_check_within_an_age_takes_none(struct be_storage *storage)
{
	count_aged(storage, 60000, 1);
	count_aged(storage, 1, CHECKS);
}

static bool count_commit(void *context, const struct be_commit_info *commit)
{
	*(uint64_t *)context += commit->label_count == 1 ? 1 : 0;
	return true;
}

/* Made on this machine, and copied there. */
static void make_listing(const char *directory)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_commit_options held = BE_COMMIT_OPTIONS_INIT;
	struct be_label label = {"customer", "acme"};
	struct be_storage *storage = server_storage(NULL, "listing");
	struct be_enforcer *local;
	char path[128];
	uint64_t id;

	snprintf(path, sizeof path, "%s/listing", directory);
	options.durability = BE_DURABILITY_PROCESS;
	EXPECT_OK(be_open(path, &options, &local));
	EXPECT_OK(be_envelope_create(local, "llm", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	held.detached = true;
	held.labels = &label;
	held.label_count = 1;
	for (int i = 0; i < LISTED; i++)
		EXPECT_OK(be_commit_with(local, "llm", 1, NULL, &held, &id, NULL));
	EXPECT_OK(be_copy(local, storage, NULL, NULL));
	be_close(local);
	server_close(NULL, storage);
}

static void a_listing_takes_few_trips(const char *directory)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *listed;
	uint64_t count = 0;
	int64_t before;

	make_listing(directory);
	options.flags = BE_OPEN_READ_ONLY;
	options.storage = server_storage(directory, "listing");
	EXPECT_OK(be_open(NULL, &options, &listed));
	before = atomic_load(trips);
	EXPECT_OK(be_commits_each(listed, NULL, count_commit, &count));
	before = atomic_load(trips) - before;
	printf("%llu commits listed, each with a label: %lld trips\n", (unsigned long long)count,
	       (long long)before);
	EXPECT_EQUAL(count, LISTED);
	EXPECT(before <= LISTED_TRIPS);
	server_close(listed, (struct be_storage *)options.storage);
}

int main(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage *storage;
	char directory[64];
	uint64_t id;
	int listening;
	pid_t proxy;

	test_begin(20);
	trips = shared_make(sizeof *trips);
	server_start(NULL);
	server_join_host("one");
	test_make_directory(directory, sizeof directory, "proxy");
	listening = proxy_listen(directory);
	proxy = child_start(run_proxy, 0, &listening);
	options.storage = storage = server_storage(directory, "trips");
	EXPECT_OK(be_open(NULL, &options, &handle));
	create_chain();
	/* Learns which envelope lies in which. */
	EXPECT_OK(be_commit(handle, "at-7", 10, NULL, &id));
	EXPECT_OK(be_release(handle, id));
	a_batch_takes_two_trips();
	a_check_takes_one_trip();
	a_check_within_an_age_takes_none(storage);
	a_listing_takes_few_trips(directory);
	server_close(handle, storage);
	kill(proxy, SIGKILL);
	(void)child_wait(proxy);
	test_remove(directory);
	server_stop();
	return 0;
}
