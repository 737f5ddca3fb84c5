/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standby asynchronous|synchronous: the server is killed under load, and its standby takes over.
 * When the server waits for the standby nothing is missing, and nobody is told anything. When it
 * does not, and the standby has not heard of the latest changes, each worker that was acknowledged
 * one of these is told so, once, before it may change anything; no other is. In either case all
 * that was acknowledged otherwise is there, once, and no id was given out twice, the lost ones
 * among them. Workers share group commit, or work directly.
 */
#include "server.h"

#include <budget_enforcer_storage.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 9
#define IDS_MAX 20000
#define FIRST 20

enum phase {
	BEFORE,     /* all do some changes, of which the standby hears */
	MEANWHILE,  /* it hears of nothing more; those that are to lose something go on */
	AFTERWARDS, /* it has taken over: all go on */
	QUIET,      /* what there is can be looked at, as long as they hold it */
	END,
};

struct change {
	enum phase phase; /* AFTERWARDS: the worker had been told, or lost nothing */
	uint64_t commit;
	uint64_t transaction; /* that settled it; 0: it was not settled */
};

/* Where they work, and whether they do so in the meantime. Those of the host "one" that idle have
 * lost nothing, although their host has. */
static const struct kind {
	const char *host; /* NULL: directly */
	bool goes_on;
} kinds[WORKERS] = {
	{NULL, true},   {NULL, true},   {"one", true},  {"one", true}, {NULL, false},
	{"one", false}, {"two", false}, {"two", false}, {NULL, false},
};
#define HOSTS_THAT_LOSE 3

static struct shared {
	_Atomic enum phase phase;
	struct worker {
		_Atomic uint32_t count;
		_Atomic uint32_t meanwhile; /* of them */
		_Atomic uint32_t afterwards;
		_Atomic uint32_t told;
		_Atomic uint32_t is_quiet;
		struct change changes[IDS_MAX];
	} workers[WORKERS];
} * shared;

static bool loses;

/* ---- workers */

/* True: it was told that something is lost. */
static bool is_told(struct worker *worker, enum be_status status)
{
	if (status != BE_CHANGES_LOST) {
		EXPECT_OK(status);
		return false;
	}
	EXPECT(strstr(be_last_error(), "look at what is there"));
	EXPECT_EQUAL(atomic_fetch_add(&worker->told, 1), 0);
	return true;
}

static void note(struct worker *worker, const struct change *change)
{
	uint32_t count = atomic_load(&worker->count);

	EXPECT(count < IDS_MAX);
	worker->changes[count] = *change;
	atomic_store(&worker->count, count + 1);
	if (change->phase == MEANWHILE)
		atomic_fetch_add(&worker->meanwhile, 1);
	else if (change->phase == AFTERWARDS)
		atomic_fetch_add(&worker->afterwards, 1);
}

/* Until the server is back: what is unreachable was not done. */
static enum be_status commit(struct be_enforcer *handle, uint64_t *id)
{
	enum be_status status;

	do
		status = be_commit(handle, "llm", 10, NULL, id);
	while (status == BE_UNREACHABLE);
	return status;
}

static enum be_status settle(struct be_enforcer *handle, uint64_t id, uint64_t *transaction_id)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	enum be_status status;

	do
		status = be_settle(handle, id, 7, NULL, &transaction);
	while (status == BE_UNREACHABLE);
	*transaction_id = transaction.id;
	return status;
}

/* A commit, which every other time is settled; if the worker is told in between, it is not. */
static void change(struct be_enforcer *handle, struct worker *worker, enum phase phase)
{
	struct change made = {.phase = phase};

	if (is_told(worker, commit(handle, &made.commit)))
		return;
	if (atomic_load(&worker->count) % 2 == 0)
		(void)is_told(worker, settle(handle, made.commit, &made.transaction));
	note(worker, &made);
}

/* When was what it does now done? What it is told by, and what went before, is MEANWHILE. */
static enum phase phase_of(const struct kind *kind, const struct worker *worker, enum phase now)
{
	bool lost = loses && kind->goes_on;

	if (now == BEFORE || !lost)
		return now;
	return atomic_load(&worker->told) ? AFTERWARDS : MEANWHILE;
}

static int work(int index, void *context)
{
	const struct kind *kind = &kinds[index];
	struct worker *worker = &shared->workers[index];
	struct be_storage *storage;
	struct be_enforcer *handle;
	enum phase phase;

	(void)context;
	server_join_host(kind->host);
	handle = server_open("budgets", &storage);
	for (int i = 0; i < FIRST; i++)
		change(handle, worker, BEFORE);
	while ((phase = atomic_load(&shared->phase)) != END) {
		bool goes_on = phase == AFTERWARDS || (phase == MEANWHILE && kind->goes_on);

		if (goes_on && atomic_load(&worker->count) < IDS_MAX)
			change(handle, worker, phase_of(kind, worker, phase));
		atomic_store(&worker->is_quiet, phase == QUIET);
		usleep(500);
	}
	server_close(handle, storage);
	return 0;
}

/* ---- what there is */

struct seen {
	uint64_t *ids;
	size_t count;
};

static void see(struct seen *seen, uint64_t id)
{
	EXPECT(seen->count < WORKERS * IDS_MAX);
	seen->ids[seen->count++] = id;
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	see(context, transaction->id);
	return true;
}

static bool see_commit(void *context, const struct be_commit_info *commit)
{
	see(context, commit->id);
	return true;
}

static int compare(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return (first > second) - (first < second);
}

static bool is_seen(const struct seen *seen, uint64_t id)
{
	return bsearch(&id, seen->ids, seen->count, sizeof id, compare) != NULL;
}

static void sort_without_doubles(struct seen *seen)
{
	qsort(seen->ids, seen->count, sizeof *seen->ids, compare);
	for (size_t i = 1; i < seen->count; i++)
		if (seen->ids[i] == seen->ids[i - 1])
			test_fail(__FILE__, __LINE__, "the id %llu was given out twice",
				  (unsigned long long)seen->ids[i]);
}

static struct seen make_seen(void)
{
	struct seen seen = {.ids = malloc(WORKERS * IDS_MAX * sizeof *seen.ids)};

	EXPECT(seen.ids);
	return seen;
}

/* Is what a worker noted there? *lost counts what must not be. */
static void expect_change(const struct change *change, const struct seen *held,
			  const struct seen *charged, size_t *lost)
{
	bool is_lost = loses && change->phase == MEANWHILE;

	*lost += is_lost;
	if (change->transaction != 0) {
		EXPECT_EQUAL(is_seen(charged, change->transaction), !is_lost);
		EXPECT(!is_seen(held, change->commit));
	} else {
		EXPECT_EQUAL(is_seen(held, change->commit), !is_lost);
	}
}

/* All that was ever given out, also what is lost. */
static size_t expect_no_doubles(void)
{
	struct seen commits = make_seen(), transactions = make_seen();
	size_t count;

	for (int i = 0; i < WORKERS; i++)
		for (uint32_t k = 0; k < shared->workers[i].count; k++) {
			const struct change *change = &shared->workers[i].changes[k];

			see(&commits, change->commit);
			if (change->transaction != 0)
				see(&transactions, change->transaction);
		}
	sort_without_doubles(&commits);
	sort_without_doubles(&transactions);
	count = commits.count;
	free(commits.ids);
	free(transactions.ids);
	return count;
}

static void expect_changes(const struct seen *held, const struct seen *charged)
{
	size_t count = expect_no_doubles(), lost = 0;

	for (int i = 0; i < WORKERS; i++)
		for (uint32_t k = 0; k < shared->workers[i].count; k++)
			expect_change(&shared->workers[i].changes[k], held, charged, &lost);
	EXPECT_EQUAL(charged->count + held->count, count - lost);
	printf("%zu changes are there, %zu were lost\n", count - lost, lost);
}

static void expect_all(struct be_enforcer *handle)
{
	struct be_statistics statistics = BE_STATISTICS_INIT;
	struct seen held = make_seen(), charged = make_seen();

	EXPECT_OK(be_commits_each(handle, NULL, see_commit, &held));
	EXPECT_OK(be_transactions_each(handle, NULL, see_transaction, &charged));
	sort_without_doubles(&held);
	sort_without_doubles(&charged);
	expect_changes(&held, &charged);
	EXPECT_BALANCE(handle, "llm", 7 * (int64_t)charged.count, 10 * (int64_t)held.count);
	EXPECT_VERIFIED(handle);
	for (int i = 0; i < WORKERS; i++)
		EXPECT_EQUAL(shared->workers[i].told, loses && kinds[i].goes_on);
	EXPECT_OK(be_stats(handle, &statistics));
	EXPECT_EQUAL(statistics.history_changes, 1);
	EXPECT_EQUAL(statistics.losses, loses ? HOSTS_THAT_LOSE : 0);
	free(held.ids);
	free(charged.ids);
}

/* ---- the test */

static void wait_for(_Atomic uint32_t *count, uint32_t least)
{
	int64_t start_ns = test_monotonic_ns();

	while (atomic_load(count) < least)
		EXPECT(test_wait_on(start_ns, 60));
}

static void wait_for_all(enum phase phase)
{
	for (int i = 0; i < WORKERS; i++) {
		struct worker *worker = &shared->workers[i];

		if (phase == BEFORE)
			wait_for(&worker->count, FIRST);
		else if (phase == AFTERWARDS)
			wait_for(&worker->afterwards, FIRST);
		else if (phase == QUIET)
			wait_for(&worker->is_quiet, 1);
		else if (kinds[i].goes_on)
			wait_for(&worker->meanwhile, FIRST);
	}
}

int main(int count, char **arguments)
{
	struct be_storage *storage;
	struct be_enforcer *handle;
	pid_t children[WORKERS];

	test_begin(60);
	loses = count > 1 && strcmp(arguments[1], "asynchronous") == 0;
	shared = shared_make(sizeof *shared);
	server_start("primary");
	server_start_standby();
	handle = server_open("budgets", &storage);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	if (!loses)
		server_synchronise();
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(work, i, NULL);
	wait_for_all(BEFORE);
	server_catch_up();
	if (loses)
		server_part();
	atomic_store(&shared->phase, MEANWHILE);
	wait_for_all(MEANWHILE);
	server_fail_over();
	atomic_store(&shared->phase, AFTERWARDS);
	wait_for_all(AFTERWARDS);
	atomic_store(&shared->phase, QUIET);
	wait_for_all(QUIET);
	expect_all(handle);
	atomic_store(&shared->phase, END);
	children_expect_success(children, WORKERS);
	server_close(handle, storage);
	server_stop();
	return 0;
}
