/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failures [group]: what becomes of changes when answers are lost. A proxy stands before the server
 * and cuts connections at random, also while a commit is under way: before it reaches the server,
 * after that but before its answer comes back, or so that it reaches the server late. And the
 * server is killed under load, and started again. All the time what was acknowledged is what was
 * granted, and what is charged in the end; and calls end. With "group" the workers share group
 * commit.
 */
#include "kind.h"
#include "proxy.h"
#include "server.h"

#include <budget_enforcer_storage.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 6
#define LATE_US 30000

static struct shared {
	_Atomic int64_t acknowledged;
	_Atomic int64_t charged; /* by the acknowledged settlings */
	_Atomic int64_t slowest_ns;
	_Atomic int stop;
	_Atomic int percent; /* of what clients send is followed by a cut */
	_Atomic int cuts;
	_Atomic int commits_before, commits_after, commits_late;
	_Atomic uint64_t random;
} * shared;

static char proxy_directory[64];

/* ---- the proxy */

static unsigned roll(void)
{
	uint64_t state = atomic_fetch_add(&shared->random, UINT64_C(0x9e3779b97f4a7c15));

	return (unsigned)(test_random(&state) % 100);
}

/* What a client has sent is passed on, and the connection cut: before, behind or well before. */
static void cut(int client, int server, const char *bytes, ssize_t size)
{
	bool commits = server_kind.commits(bytes, (size_t)size);
	char answer[64];

	atomic_fetch_add(&shared->cuts, 1);
	switch (roll() % 3) {
	case 0:
		atomic_fetch_add(&shared->commits_before, commits);
		return;
	case 1:
		atomic_fetch_add(&shared->commits_after, commits);
		if (proxy_send(server, bytes, size))
			(void)!read(server, answer, sizeof answer);
		return;
	default:
		atomic_fetch_add(&shared->commits_late, commits);
		shutdown(client, SHUT_RDWR);
		usleep(LATE_US);
		(void)proxy_send(server, bytes, size);
	}
}

/* What a client sends is passed on most times. */
static bool pass_or_cut(int client, int server, const char *bytes, ssize_t size, bool answered)
{
	(void)answered;
	if (roll() >= (unsigned)atomic_load(&shared->percent))
		return proxy_send(server, bytes, size);
	cut(client, server, bytes, size);
	return false;
}

static int run_proxy(int index, void *context)
{
	(void)index;
	proxy_serve(*(int *)context, pass_or_cut);
}

/* ---- workers */

static struct be_enforcer *open_by(const char *directory, struct be_storage **storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	/* It tries once, and then a proxy may have cut its first connection. */
	while (server_try(directory, "budgets", storage) == BE_UNREACHABLE)
		usleep(1000);
	EXPECT(*storage);
	options.storage = *storage;
	EXPECT_OK(be_open(NULL, &options, &handle));
	return handle;
}

/* A change that must be made, now or as soon as the server is back. What is unreachable was not
 * done. */
static enum be_status note_time(int64_t start_ns, enum be_status status)
{
	int64_t took_ns = test_monotonic_ns() - start_ns,
		slowest = atomic_load(&shared->slowest_ns);

	while (took_ns > slowest &&
	       !atomic_compare_exchange_weak(&shared->slowest_ns, &slowest, took_ns))
		;
	return status;
}

/* `context`: the directory of the socket to connect to. */
static int work(int index, void *context)
{
	struct be_storage *storage;
	struct be_enforcer *handle = open_by(context, &storage);
	uint64_t random = (uint64_t)index;

	while (!atomic_load(&shared->stop)) {
		int64_t cost = (int64_t)(test_random(&random) % 10);
		enum be_status status;
		uint64_t id;

		do {
			int64_t start_ns = test_monotonic_ns();

			status = note_time(start_ns, be_commit(handle, "llm", 10, NULL, &id));
		} while (status == BE_UNREACHABLE);
		EXPECT_OK(status);
		do {
			int64_t start_ns = test_monotonic_ns();

			status = note_time(start_ns, be_settle(handle, id, cost, NULL, NULL));
		} while (status == BE_UNREACHABLE);
		EXPECT_OK(status);
		atomic_fetch_add(&shared->acknowledged, 1);
		atomic_fetch_add(&shared->charged, cost);
	}
	server_close(handle, storage);
	return 0;
}

static bool count_one(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	++*(int64_t *)context;
	return true;
}

static void expect_all(void)
{
	struct be_storage *storage;
	struct be_enforcer *handle = open_by(NULL, &storage);
	int64_t transactions = 0;

	EXPECT_BALANCE(handle, "llm", atomic_load(&shared->charged), 0);
	EXPECT_OK(be_transactions_each(handle, NULL, count_one, &transactions));
	EXPECT_EQUAL(transactions, atomic_load(&shared->acknowledged));
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

static void wait_for_changes(int64_t more)
{
	int64_t until = atomic_load(&shared->acknowledged) + more, start_ns = test_monotonic_ns();

	while (atomic_load(&shared->acknowledged) < until)
		EXPECT(test_wait_on(start_ns, 60));
}

static int doubts(void)
{
	return atomic_load(&shared->commits_after) + atomic_load(&shared->commits_late) +
	       atomic_load(&shared->commits_before);
}

static void lost_answers_lose_nothing_and_double_nothing(int wanted)
{
	pid_t children[WORKERS], proxy;
	int listening = proxy_listen(proxy_directory);
	int64_t start_ns = test_monotonic_ns();

	proxy = child_start(run_proxy, 0, &listening);
	atomic_store(&shared->stop, 0);
	atomic_store(&shared->percent, 0);
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(work, i, proxy_directory);
	wait_for_changes(10);
	atomic_store(&shared->percent, 5);
	while (doubts() < wanted)
		EXPECT(test_wait_on(start_ns, 120));
	atomic_store(&shared->stop, 1);
	atomic_store(&shared->percent, 0);
	children_expect_success(children, WORKERS);
	kill(proxy, SIGKILL);
	(void)child_wait(proxy);
	close(listening);
	expect_all();
	printf("%d connections cut, of which while a commit was under way: %d before it, %d behind "
	       "it, "
	       "%d so that it came late; %lld acknowledged, which charged %lld, the slowest "
	       "call %.1f s\n",
	       atomic_load(&shared->cuts), atomic_load(&shared->commits_before),
	       atomic_load(&shared->commits_after), atomic_load(&shared->commits_late),
	       (long long)atomic_load(&shared->acknowledged),
	       (long long)atomic_load(&shared->charged),
	       (double)atomic_load(&shared->slowest_ns) / 1e9);
}

static void a_server_that_is_killed_loses_nothing(int times)
{
	pid_t children[WORKERS];

	atomic_store(&shared->stop, 0);
	atomic_store(&shared->slowest_ns, 0);
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(work, i, NULL);
	for (int i = 0; i < times; i++) {
		wait_for_changes(50);
		server_kill();
		server_restart();
	}
	wait_for_changes(50);
	atomic_store(&shared->stop, 1);
	children_expect_success(children, WORKERS);
	expect_all();
	printf("the server was killed %d times; %lld acknowledged, the slowest call %.1f s\n",
	       times, (long long)atomic_load(&shared->acknowledged),
	       (double)atomic_load(&shared->slowest_ns) / 1e9);
}

int main(int count, char **arguments)
{
	struct be_storage *storage;
	struct be_enforcer *handle;

	test_begin(60);
	shared = shared_make(sizeof *shared);
	shared->random = test_seed();
	server_start(NULL);
	if (count > 1 && strcmp(arguments[1], "group") == 0)
		server_join_host("one");
	test_make_directory(proxy_directory, sizeof proxy_directory, "proxy");
	handle = open_by(NULL, &storage);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	server_close(handle, storage);
	lost_answers_lose_nothing_and_double_nothing(test_is_long() ? 1000 : 60);
	a_server_that_is_killed_loses_nothing(test_is_long() ? 20 : 2);
	test_remove(proxy_directory);
	server_stop();
	return 0;
}
