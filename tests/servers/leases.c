/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leases [ends]: of several hosts that share a server, who lives. One whose processes are all
 * killed loses what it held when its lease has ended, and nobody else does, who idles or works
 * meanwhile; nor does one that lives and makes no calls. One that is stopped for longer than its
 * lease finds its commits ended, and those that it makes afterwards stay. A process that is killed
 * while it renews the lease of its host costs the others of that nothing. The clocks of every
 * second host are three days ahead, and those of the others three days behind.
 *
 * With "ends": a server's clock that leaps ends no lease, and keeps none. A server that does not
 * answer costs those on another one nothing. The host of a handle that was closed lives on in its
 * process.
 */
#include "kind.h"
#include "place.h"
#include "proxy.h"
#include "server.h"

#include <budget_enforcer_storage.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Of a quiet machine; who lives must be able to renew it in time. */
#define LEASE_MS 1500
#define DAYS_3 (3 * 86400)
#define HELD 3

static struct shared {
	_Atomic int ready;
	_Atomic int go_on;
	_Atomic int stop;
	_Atomic int answer;
	_Atomic uint64_t id;
	_Atomic int armed; /* the next that commits through the proxy is killed */
	_Atomic int kills;
	_Atomic pid_t killed;
	_Atomic int64_t
		leap_ns;  /* of the server's clock, where it is looked at by open_leaping() */
	_Atomic int deaf; /* the proxy passes nothing on */
} * shared;

static time_t shift_s;   /* of this process's clock */
static int64_t lease_ns; /* alike in all processes */

/* The program's own is found before the C library's, also by the libraries. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, now);

	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += shift_s;
	return rc;
}

/* ---- hosts */

static struct be_enforcer *open_on(const char *host, const char *directory, const char *table,
				   struct be_storage **storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	shift_s = host && (host[0] & 1) ? DAYS_3 : -DAYS_3;
	server_join_host(host);
	options.storage = *storage = server_storage(directory, table);
	options.lease_ms = lease_ns / 1000000;
	EXPECT_OK(be_open(NULL, &options, &handle));
	return handle;
}

static void create(const char *table, int64_t limit)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open(table, &storage);

	EXPECT_OK(be_envelope_create(handle, "job", limit, BE_PERIOD_TOTAL, NULL));
	server_close(handle, storage);
}

static void wait_for(_Atomic int *number, int value)
{
	int64_t start_ns = test_monotonic_ns();

	while (atomic_load(number) < value)
		EXPECT(test_wait_on(start_ns, 60));
}

struct held {
	int64_t last_ns; /* when the latest was made */
	int pending;
	int dead; /* of these: by their owners' word */
};

static bool count_held(void *context, const struct be_commit_info *commit)
{
	struct held *held = context;

	held->pending += commit->owner_alive;
	held->dead += !commit->owner_alive;
	if (commit->created_ns > held->last_ns)
		held->last_ns = commit->created_ns;
	return true;
}

static struct held look_at_held(struct be_enforcer *handle)
{
	struct held held = {0};

	EXPECT_OK(be_commits_each(handle, NULL, count_held, &held));
	return held;
}

static uint64_t count_orphans(struct be_enforcer *handle)
{
	struct be_statistics statistics = BE_STATISTICS_INIT;

	EXPECT_OK(be_stats(handle, &statistics));
	return statistics.orphaned_released;
}

/* ---- one of three is killed */

struct role {
	const char *host; /* NULL: it works directly */
	const char *table;
	const char *directory;
};

/* Holds some commits, and makes no call any more. */
static int hold(int index, void *context)
{
	const struct role *role = context;
	struct be_storage *storage;
	struct be_enforcer *handle = open_on(role->host, role->directory, role->table, &storage);
	uint64_t id;

	(void)index;
	for (int i = 0; i < HELD; i++)
		EXPECT_OK(be_commit(handle, "job", 1, NULL, &id));
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->stop))
		usleep(1000);
	server_close(handle, storage);
	return 0;
}

/* Asks for what another host holds, until it has it: then its lease has ended. */
static void take_from(struct be_enforcer *handle, int64_t amount, int64_t not_before_ns)
{
	int64_t start_ns = test_monotonic_ns();
	struct held held;
	uint64_t id;

	while (be_commit(handle, "job", amount, NULL, &id) == BE_EXCEEDS_BUDGET)
		EXPECT(test_wait_on(start_ns, 60));
	held = look_at_held(handle);
	printf("it was to be had %.1f s after its host had made the last commit, and %.1f s after "
	       "the kill\n",
	       (double)(held.last_ns - not_before_ns + lease_ns) / 1e9,
	       test_seconds_since(start_ns));
	EXPECT(held.last_ns >= not_before_ns);
	EXPECT_OK(be_release(handle, id));
}

static void a_killed_host_loses_what_it_held_and_nobody_else_does(void)
{
	const char *table = "killed";
	/* The last two, which work directly, are hosts each by itself. */
	struct role roles[4] = {
		{"1", table, NULL}, {"2", table, NULL}, {"3", table, NULL}, {NULL, table, NULL}};
	int64_t start_ns, last_ns;
	struct be_storage *storage;
	struct be_enforcer *handle;
	pid_t children[8];

	atomic_store(&shared->ready, 0);
	atomic_store(&shared->stop, 0);
	create(table, 8 * HELD);
	for (int i = 0; i < 8; i++)
		children[i] = child_start(hold, i, &roles[i / 2]);
	wait_for(&shared->ready, 8);
	handle = open_on("2", NULL, table, &storage);
	/* Everybody idles, but for one who asks all the time. */
	start_ns = test_monotonic_ns();
	while (test_monotonic_ns() - start_ns < 2 * lease_ns) {
		uint64_t id;

		EXPECT_STATUS(be_commit(handle, "job", 1, NULL, &id), BE_EXCEEDS_BUDGET);
	}
	EXPECT_EQUAL(count_orphans(handle), 0);
	last_ns = look_at_held(handle).last_ns;
	for (int i = 0; i < 8; i++)
		if (i < 2 || i == 7)
			kill(children[i], SIGKILL);
	take_from(handle, 3 * HELD, last_ns + lease_ns);
	EXPECT_EQUAL(count_orphans(handle), 3 * HELD);
	EXPECT_EQUAL(look_at_held(handle).pending, 5 * HELD);
	EXPECT_EQUAL(look_at_held(handle).dead, 0);
	EXPECT_VERIFIED(handle);
	atomic_store(&shared->stop, 1);
	for (int i = 0; i < 8; i++)
		EXPECT_EQUAL(child_wait(children[i]), i < 2 || i == 7 ? 128 + SIGKILL : 0);
	server_close(handle, storage);
}

/* ---- one of the own host is killed */

static void one_of_the_own_host_is_seen_at_once(void)
{
	struct role role = {"1", "own", NULL};
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage *storage;
	struct be_enforcer *handle, *reader, *elsewhere;
	pid_t child;
	uint64_t id;

	atomic_store(&shared->ready, 0);
	atomic_store(&shared->stop, 0);
	create("own", HELD);
	child = child_start(hold, 0, &role);
	wait_for(&shared->ready, 1);
	handle = open_on("1", NULL, "own", &storage);
	EXPECT_EQUAL(look_at_held(handle).pending, HELD);
	/* So does who only looks on that host, and not who looks on another. */
	options.storage = storage;
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(NULL, &options, &reader));
	server_join_host("2");
	EXPECT_OK(be_open(NULL, &options, &elsewhere));
	EXPECT_EQUAL(look_at_held(reader).pending, HELD);
	kill(child, SIGKILL);
	EXPECT_EQUAL(child_wait(child), 128 + SIGKILL);
	EXPECT_EQUAL(look_at_held(handle).dead, HELD);
	EXPECT_EQUAL(look_at_held(reader).dead, HELD);
	EXPECT_EQUAL(look_at_held(elsewhere).pending, HELD);
	be_close(elsewhere);
	EXPECT_OK(be_commit(handle, "job", HELD, NULL, &id));
	EXPECT_EQUAL(look_at_held(reader).pending, 1);
	be_close(reader);
	EXPECT_EQUAL(count_orphans(handle), HELD);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

/* ---- one is stopped for longer than its lease */

static int be_stopped(int index, void *context)
{
	struct be_storage *storage;
	struct be_enforcer *handle = open_on("1", NULL, context, &storage);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(handle, "job", 2, NULL, &id));
	atomic_store(&shared->id, id);
	atomic_fetch_add(&shared->ready, 1);
	wait_for(&shared->go_on, 1);
	atomic_store(&shared->answer, be_settle(handle, id, 1, NULL, NULL));
	EXPECT_OK(be_commit(handle, "job", 1, NULL, &id));
	atomic_store(&shared->id, id);
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->stop))
		usleep(1000);
	EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	server_close(handle, storage);
	return 0;
}

static void a_stopped_host_finds_its_commits_ended_and_goes_on(void)
{
	struct be_storage *storage;
	struct be_enforcer *handle;
	int64_t start_ns, last_ns;
	uint64_t id;
	pid_t child;

	atomic_store(&shared->ready, 0);
	atomic_store(&shared->stop, 0);
	atomic_store(&shared->go_on, 0);
	create("stopped", 2);
	child = child_start(be_stopped, 0, (void *)"stopped");
	wait_for(&shared->ready, 1);
	handle = open_on("2", NULL, "stopped", &storage);
	last_ns = look_at_held(handle).last_ns;
	kill(child, SIGSTOP);
	take_from(handle, 2, last_ns + lease_ns);
	EXPECT_EQUAL(count_orphans(handle), 1);
	kill(child, SIGCONT);
	atomic_store(&shared->go_on, 1);
	wait_for(&shared->ready, 2);
	/* The money was spent: so says the ledger, late. */
	EXPECT_EQUAL(atomic_load(&shared->answer), BE_OK);
	start_ns = test_monotonic_ns();
	while (test_monotonic_ns() - start_ns < 2 * lease_ns)
		EXPECT_STATUS(be_commit(handle, "job", 1, NULL, &id), BE_EXCEEDS_BUDGET);
	EXPECT_EQUAL(count_orphans(handle), 1);
	atomic_store(&shared->stop, 1);
	EXPECT_EQUAL(child_wait(child), 0);
	EXPECT_BALANCE(handle, "job", 2, 0);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

/* ---- one is killed while it renews */

static bool kill_who_commits(int client, int server, const char *bytes, ssize_t size, bool answered)
{
	bool commits = server_kind.commits(bytes, (size_t)size);
	int armed = commits ? atomic_exchange(&shared->armed, 0) : 0;
	struct ucred peer;
	socklen_t length = sizeof peer;

	(void)answered;
	if (armed == 0)
		return proxy_send(server, bytes, size);
	EXPECT_EQUAL(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
	atomic_store(&shared->killed, peer.pid);
	kill(peer.pid, SIGKILL);
	atomic_fetch_add(&shared->kills, 1);
	/* Before it or behind it. */
	if (armed == 1)
		(void)proxy_send(server, bytes, size);
	return false;
}

static int run_proxy(int index, void *context)
{
	(void)index;
	proxy_serve(*(int *)context, kill_who_commits);
}

/* The host of two idles, until the one that renews is killed: the other one goes on with that, and
 * the next that comes there ends what the dead one held. */
static void kills_during_renewals_cost_the_others_nothing(int times)
{
	char directory[64];
	struct role role = {"1", "renewal", directory};
	struct be_storage *storage;
	struct be_enforcer *handle;
	pid_t children[2], proxy;
	int listening;

	test_make_directory(directory, sizeof directory, "proxy");
	listening = proxy_listen(directory);
	proxy = child_start(run_proxy, 0, &listening);
	atomic_store(&shared->kills, 0);
	atomic_store(&shared->ready, 0);
	atomic_store(&shared->stop, 0);
	create("renewal", 2 * HELD);
	handle = open_on("2", NULL, "renewal", &storage);
	children[0] = child_start(hold, 0, &role);
	children[1] = child_start(hold, 1, &role);
	for (int i = 0; i < times; i++) {
		int64_t start_ns;
		int victim;
		uint64_t id;

		wait_for(&shared->ready, 2 + i);
		atomic_store(&shared->armed, 1 + i % 2);
		wait_for(&shared->kills, i + 1);
		victim = atomic_load(&shared->killed) == children[1];
		EXPECT_EQUAL(child_wait(children[victim]), 128 + SIGKILL);
		start_ns = test_monotonic_ns();
		while (test_monotonic_ns() - start_ns < lease_ns * 3 / 2)
			EXPECT_STATUS(be_commit(handle, "job", 1, NULL, &id), BE_EXCEEDS_BUDGET);
		EXPECT_EQUAL(look_at_held(handle).pending, 2 * HELD);
		EXPECT_EQUAL(count_orphans(handle), HELD * i);
		children[victim] = child_start(hold, i, &role);
	}
	wait_for(&shared->ready, 2 + times);
	EXPECT_EQUAL(count_orphans(handle), HELD * times);
	EXPECT_EQUAL(look_at_held(handle).pending, 2 * HELD);
	EXPECT_VERIFIED(handle);
	atomic_store(&shared->stop, 1);
	for (int i = 0; i < 2; i++)
		EXPECT_EQUAL(child_wait(children[i]), 0);
	kill(proxy, SIGKILL);
	(void)child_wait(proxy);
	test_remove(directory);
	server_close(handle, storage);
}

/* ---- the server's clock leaps */

static int (*server_now)(void *self, void *txn, int64_t *now_ns);

static int leaping_now(void *self, void *txn, int64_t *now_ns)
{
	int answer = server_now(self, txn, now_ns);

	*now_ns += atomic_load(&shared->leap_ns);
	return answer;
}

/* The server as it is, but for its clock. */
static struct be_enforcer *open_leaping(const char *host, const char *table,
					struct be_storage **storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage_ops ops;
	struct be_enforcer *handle;

	server_join_host(host);
	*storage = server_storage(NULL, table);
	ops = *(*storage)->ops;
	server_now = ops.now;
	ops.now = leaping_now;
	options.storage = &(struct be_storage){&ops, (*storage)->self};
	options.lease_ms = lease_ns / 1000000;
	EXPECT_OK(be_open(NULL, &options, &handle));
	return handle;
}

static int hold_while_it_leaps(int index, void *context)
{
	const struct role *role = context;
	struct be_storage *storage;
	struct be_enforcer *handle = open_leaping(role->host, role->table, &storage);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(handle, "job", HELD, NULL, &id));
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->stop))
		usleep(1000);
	server_close(handle, storage);
	return 0;
}

static void be_refused_for(struct be_enforcer *handle, int64_t ns)
{
	int64_t start_ns = test_monotonic_ns();
	uint64_t id;

	while (test_monotonic_ns() - start_ns < ns)
		EXPECT_STATUS(be_commit(handle, "job", 1, NULL, &id), BE_EXCEEDS_BUDGET);
}

/* By so much that every lease is over, and back, by less than any lease may be long. */
static void a_clock_that_leaps_ends_no_lease_and_keeps_none(void)
{
	const int64_t minutes_50 = INT64_C(3000) * BE_UNIT;
	struct role role = {"1", "leaps", NULL};
	struct be_storage *storage, *late_storage;
	struct be_enforcer *handle, *late;
	int64_t start_ns;
	pid_t child;
	uint64_t id;

	atomic_store(&shared->ready, 0);
	atomic_store(&shared->stop, 0);
	atomic_store(&shared->leap_ns, 0);
	create(role.table, HELD);
	child = child_start(hold_while_it_leaps, 0, &role);
	wait_for(&shared->ready, 1);
	handle = open_leaping("2", role.table, &storage);
	be_refused_for(handle, lease_ns);
	for (int i = 0; i < 2; i++) {
		atomic_fetch_add(&shared->leap_ns, minutes_50);
		late = open_leaping("3", role.table, &late_storage);
		EXPECT_STATUS(be_commit(late, "job", 1, NULL, &id), BE_EXCEEDS_BUDGET);
		be_refused_for(handle, lease_ns / 4);
		server_close(late, late_storage);
		be_refused_for(handle, lease_ns * 3 / 4);
	}
	EXPECT_EQUAL(count_orphans(handle), 0);
	kill(child, SIGKILL);
	EXPECT_EQUAL(child_wait(child), 128 + SIGKILL);
	atomic_fetch_sub(&shared->leap_ns, minutes_50);
	start_ns = test_monotonic_ns();
	while (be_commit(handle, "job", HELD, NULL, &id) == BE_EXCEEDS_BUDGET)
		EXPECT(test_wait_on(start_ns, 60));
	EXPECT_EQUAL(count_orphans(handle), 1);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

/* ---- a server that does not answer */

static bool be_deaf(int client, int server, const char *bytes, ssize_t size, bool answered)
{
	(void)client;
	(void)answered;
	return atomic_load(&shared->deaf) ? true : proxy_send(server, bytes, size);
}

static int run_deaf_proxy(int index, void *context)
{
	(void)index;
	proxy_serve(*(int *)context, be_deaf);
}

/* One process uses both. */
static int hold_on_two(int index, void *context)
{
	struct be_storage *storage, *deaf_storage;
	struct be_enforcer *handle = open_on(NULL, NULL, "answers", &storage);
	struct be_enforcer *deaf = open_on(NULL, context, "deaf", &deaf_storage);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(deaf, "job", HELD, NULL, &id));
	EXPECT_OK(be_commit(handle, "job", HELD, NULL, &id));
	atomic_store(&shared->deaf, 1);
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->stop))
		usleep(1000);
	server_close(handle, storage);
	server_close(deaf, deaf_storage);
	return 0;
}

static void a_server_that_does_not_answer_costs_others_nothing(void)
{
	char directory[64];
	struct be_storage *storage;
	struct be_enforcer *handle;
	pid_t child, proxy;
	int listening;

	test_make_directory(directory, sizeof directory, "deaf");
	listening = proxy_listen(directory);
	proxy = child_start(run_deaf_proxy, 0, &listening);
	atomic_store(&shared->ready, 0);
	atomic_store(&shared->stop, 0);
	create("answers", HELD);
	create("deaf", HELD);
	child = child_start(hold_on_two, 0, directory);
	wait_for(&shared->ready, 1);
	handle = open_on("2", NULL, "answers", &storage);
	be_refused_for(handle, 2 * lease_ns);
	EXPECT_EQUAL(count_orphans(handle), 0);
	EXPECT_EQUAL(look_at_held(handle).pending, 1);
	server_close(handle, storage);
	atomic_store(&shared->stop, 1);
	kill(proxy, SIGKILL);
	(void)child_wait(proxy);
	EXPECT_EQUAL(child_wait(child), 0);
	test_remove(directory);
}

/* ---- a handle is closed, and its process lives */

static int close_one_of_two(int index, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage *storage = server_storage(NULL, context);
	struct be_enforcer *first, *other, *third;
	uint64_t id;

	(void)index;
	server_join_host(NULL);
	options.storage = storage;
	options.lease_ms = lease_ns / 1000000;
	EXPECT_OK(be_open(NULL, &options, &first));
	EXPECT_OK(be_open(NULL, &options, &other));
	EXPECT_OK(be_commit(first, "job", 1, NULL, &id));
	be_close(first);
	atomic_fetch_add(&shared->ready, 1);
	wait_for(&shared->go_on, 1);
	/* Handles that come and go are one host. */
	for (int i = 0; i < 4; i++) {
		EXPECT_OK(be_open(NULL, &options, &third));
		EXPECT_OK(be_release(third, id));
		EXPECT_OK(be_commit(third, "job", 1, NULL, &id));
		be_close(third);
	}
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->stop))
		usleep(1000);
	be_close(other);
	place_close(storage);
	return 0;
}

/* The records of hosts are behind the header, which is of one byte. */
static int count_hosts(const char *table)
{
	struct be_storage *storage = server_storage(NULL, table);
	struct be_bytes key, value, from = {"\3\0", 2};
	uint8_t next[BE_STORAGE_KEY_MAX + 1];
	int count = 0;
	void *txn;

	EXPECT_EQUAL(storage->ops->begin(storage->self, false, &txn), 0);
	while (storage->ops->next(storage->self, txn, from, &key, &value) == 0 &&
	       ((const char *)key.data)[0] == 3) {
		memcpy(next, key.data, key.size);
		next[key.size] = 0;
		from = (struct be_bytes){next, key.size + 1};
		count++;
	}
	storage->ops->abort(storage->self, txn);
	place_close(storage);
	return count;
}

static void the_host_of_a_closed_handle_lives_on(void)
{
	static char table[] = "closed";
	struct be_storage *storage;
	struct be_enforcer *handle;
	pid_t child;
	int hosts;

	atomic_store(&shared->ready, 0);
	atomic_store(&shared->stop, 0);
	atomic_store(&shared->go_on, 0);
	create(table, 1);
	handle = open_on("2", NULL, table, &storage);
	child = child_start(close_one_of_two, 0, table);
	wait_for(&shared->ready, 1);
	be_refused_for(handle, lease_ns * 3 / 2);
	EXPECT_EQUAL(count_orphans(handle), 0);
	hosts = count_hosts(table);
	atomic_store(&shared->go_on, 1);
	wait_for(&shared->ready, 2);
	be_refused_for(handle, lease_ns * 3 / 2);
	EXPECT_EQUAL(count_orphans(handle), 0);
	EXPECT_EQUAL(count_hosts(table), hosts);
	atomic_store(&shared->stop, 1);
	EXPECT_EQUAL(child_wait(child), 0);
	take_from(handle, 1, 0);
	EXPECT_EQUAL(count_orphans(handle), 1);
	server_close(handle, storage);
}

int main(int count, char **arguments)
{
	double slowness;

	test_begin(40);
	shared = shared_make(sizeof *shared);
	slowness = test_slowness();
	lease_ns = (int64_t)(LEASE_MS * 1000000.0 * (slowness < 4 ? slowness : 4));
	server_start(NULL);
	if (count > 1 && strcmp(arguments[1], "ends") == 0) {
		a_clock_that_leaps_ends_no_lease_and_keeps_none();
		a_server_that_does_not_answer_costs_others_nothing();
		the_host_of_a_closed_handle_lives_on();
	} else {
		one_of_the_own_host_is_seen_at_once();
		a_killed_host_loses_what_it_held_and_nobody_else_does();
		a_stopped_host_finds_its_commits_ended_and_goes_on();
		kills_during_renewals_cost_the_others_nothing(test_is_long() ? 20 : 1);
	}
	server_stop();
	return 0;
}
