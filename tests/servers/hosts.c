/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that share a server, each with group commit among its processes: a limit is kept
 * exactly over all of them; a leader that is killed costs one change at most; one that is stopped
 * holds nobody up for good, and what it had taken is carried out once, whichever way; a fork child
 * goes on in the group. A host is a runtime directory.
 */
#include "kind.h"
#include "proxy.h"
#include "server.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOSTS 4
#define WORKERS 8

static struct shared {
	_Atomic int64_t begun;
	_Atomic int64_t acknowledged;
	_Atomic int stop;
	_Atomic int64_t done[WORKERS];
	_Atomic pid_t workers[WORKERS];
} * shared;

static void join_host_of(int index)
{
	char name[16];

	snprintf(name, sizeof name, "%d", index);
	server_join_host(name);
}

/* ---- a limit */

static int commit_all(int index, void *context)
{
	(void)context;
	join_host_of(index % HOSTS);
	server_commit_all(&shared->acknowledged);
	return 0;
}

static void a_limit_is_kept_over_hosts(int64_t limit)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open("limit", &storage);
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	pid_t children[HOSTS * WORKERS];
	int64_t start_ns = test_monotonic_ns();

	EXPECT_OK(be_envelope_create(handle, "day", limit * BE_UNIT, BE_PERIOD_DAILY, NULL));
	below.parent_category = "day";
	EXPECT_OK(be_envelope_create(handle, "job", limit * BE_UNIT * 2, BE_PERIOD_TOTAL, &below));
	atomic_store(&shared->acknowledged, 0);
	children_start(children, HOSTS * WORKERS, commit_all, NULL);
	children_expect_success(children, HOSTS * WORKERS);
	EXPECT_EQUAL(atomic_load(&shared->acknowledged), limit);
	EXPECT_BALANCE(handle, "day", 0, limit * BE_UNIT);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
	printf("%d hosts of %d workers: %lld commits, exactly, in %.1f s\n", HOSTS, WORKERS,
	       (long long)limit, test_seconds_since(start_ns));
}

/* ---- kills */

static int record_on(int index, void *context)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open(context, &storage);

	while (!atomic_load(&shared->stop)) {
		atomic_fetch_add(&shared->begun, 1);
		EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
		atomic_fetch_add(&shared->acknowledged, 1);
		atomic_fetch_add(&shared->done[index], 1);
	}
	server_close(handle, storage);
	return 0;
}

static void begin_to_record(const char *table, pid_t *children)
{
	struct be_storage *storage;
	struct be_enforcer *handle = server_open(table, &storage);

	EXPECT_OK(be_envelope_create(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	server_close(handle, storage);
	atomic_store(&shared->begun, 0);
	atomic_store(&shared->acknowledged, 0);
	atomic_store(&shared->stop, 0);
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(record_on, i, (void *)table);
}

static void wait_for_more(int64_t more)
{
	int64_t until = atomic_load(&shared->acknowledged) + more, start_ns = test_monotonic_ns();

	while (atomic_load(&shared->acknowledged) < until)
		EXPECT(test_wait_on(start_ns, 60));
}

/* `excess`: as many may have been carried out that nobody was told of. */
static void expect_charged(const char *table, int64_t excess)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	struct be_storage *storage;
	struct be_enforcer *handle = server_open(table, &storage);
	int64_t acknowledged = atomic_load(&shared->acknowledged);

	EXPECT_OK(be_utilization(handle, "llm", &envelope));
	printf("%s: %lld acknowledged, %lld charged\n", table, (long long)acknowledged,
	       (long long)envelope.spent);
	EXPECT(envelope.spent >= acknowledged && envelope.spent <= acknowledged + excess);
	EXPECT(envelope.spent <= atomic_load(&shared->begun));
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
}

/* Whoever is killed leads one time in some; so there are many. */
static void killed_leaders_cost_one_change_each_at_most(int kills, uint64_t random)
{
	static char table[] = "killed";
	pid_t children[WORKERS];

	server_join_host("killed");
	begin_to_record(table, children);
	for (int i = 0; i < kills; i++) {
		int victim = (int)(test_random(&random) % WORKERS);

		wait_for_more(10 + (int64_t)(test_random(&random) % 20));
		usleep((useconds_t)(test_random(&random) % 2000));
		kill(children[victim], SIGKILL);
		EXPECT_EQUAL(child_wait(children[victim]), 128 + SIGKILL);
		children[victim] = child_start(record_on, victim, table);
	}
	wait_for_more(100);
	atomic_store(&shared->stop, 1);
	children_expect_success(children, WORKERS);
	expect_charged(table, kills);
	server_join_host(NULL);
}

/* ---- stops */

static int64_t done_by_others(int victim)
{
	int64_t sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += i == victim ? 0 : atomic_load(&shared->done[i]);
	return sum;
}

/* A stopped worker leads one time in some, and holds a lock of the server one time in more. The
 * others all go on each time. */
static void a_stopped_leader_holds_nobody_up(int stops, uint64_t random)
{
	static char table[] = "stopped";
	double slowest = 0;
	pid_t children[WORKERS];

	server_join_host("stopped");
	begin_to_record(table, children);
	for (int i = 0; i < stops; i++) {
		int victim = (int)(test_random(&random) % WORKERS);
		int64_t start_ns = test_monotonic_ns(), before;

		wait_for_more(10 + (int64_t)(test_random(&random) % 20));
		usleep((useconds_t)(test_random(&random) % 2000));
		kill(children[victim], SIGSTOP);
		start_ns = test_monotonic_ns();
		before = done_by_others(victim);
		while (done_by_others(victim) < before + 2 * WORKERS)
			EXPECT(test_wait_on(start_ns, 60));
		if (test_seconds_since(start_ns) > slowest)
			slowest = test_seconds_since(start_ns);
		if (test_is_long())
			printf("%.2f\n", test_seconds_since(start_ns));
		kill(children[victim], SIGCONT);
	}
	wait_for_more(100);
	atomic_store(&shared->stop, 1);
	children_expect_success(children, WORKERS);
	expect_charged(table, 0);
	server_join_host(NULL);
	printf("%d stops held the others up for %.1f s at most\n", stops, slowest);
}

/* ---- forks */

static void a_fork_child_goes_on_in_the_group(void)
{
	struct be_storage *storage;
	struct be_enforcer *handle;
	int status;

	server_join_host("forked");
	handle = server_open("forked", &storage);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
	for (int i = 0; i < WORKERS; i++) {
		pid_t child = fork();

		EXPECT(child >= 0);
		if (child == 0) {
			for (int j = 0; j < 10; j++)
				if (be_record(handle, "llm", 1, NULL, NULL) != BE_OK)
					_exit(1);
			be_close(handle);
			_exit(0);
		}
	}
	for (int i = 0; i < 10; i++)
		EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
	for (int i = 0; i < WORKERS; i++) {
		EXPECT(waitpid(-1, &status, 0) > 0);
		EXPECT_EQUAL(status, 0);
	}
	EXPECT_BALANCE(handle, "llm", 11 + 10 * WORKERS, 0);
	EXPECT_VERIFIED(handle);
	server_close(handle, storage);
	server_join_host(NULL);
}

/* ---- a server that is away */

/* A process id of 0 would be that of all. */
static bool are_all_there(void)
{
	for (int i = 0; i < WORKERS; i++)
		if (atomic_load(&shared->workers[i]) == 0)
			return false;
	return atomic_load(&shared->acknowledged) >= 200;
}

/* The leader of a batch is killed before it is committed, the others of its host are stopped, and
 * then the server cannot be reached any more. */
static bool end_it_all(int client, int server, const char *bytes, ssize_t size, bool answered)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	(void)answered;
	if (!server_kind.commits(bytes, (size_t)size) || !are_all_there())
		return proxy_send(server, bytes, size);
	EXPECT_EQUAL(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
	for (int i = 0; i < WORKERS; i++)
		kill(atomic_load(&shared->workers[i]), SIGSTOP);
	kill(peer.pid, SIGKILL);
	_exit(0);
}

static int run_proxy(int index, void *context)
{
	(void)index;
	proxy_serve(*(int *)context, end_it_all);
}

static struct be_enforcer *open_by(const char *directory, struct be_storage **storage)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.storage = *storage = server_storage(directory, "away");
	EXPECT_OK(be_open(NULL, &options, &handle));
	return handle;
}

static int record_until_the_end(int index, void *context)
{
	struct be_storage *storage;
	struct be_enforcer *handle = open_by(context, &storage);

	atomic_store(&shared->workers[index], getpid());
	while (be_record(handle, "llm", 1, NULL, NULL) == BE_OK)
		atomic_fetch_add(&shared->acknowledged, 1);
	server_close(handle, storage);
	return 0;
}

static void what_was_never_begun_is_unreachable(void)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	char directory[64];
	pid_t children[WORKERS], proxy;
	struct be_storage *storage, *other_storage;
	struct be_enforcer *handle, *other;
	int listening;

	server_join_host("away");
	test_make_directory(directory, sizeof directory, "proxy");
	listening = proxy_listen(directory);
	atomic_store(&shared->acknowledged, 0);
	proxy = child_start(run_proxy, 0, &listening);
	close(listening);
	handle = open_by(directory, &storage);
	EXPECT_OK(be_envelope_create(handle, "llm", 1000 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	for (int i = 0; i < WORKERS; i++)
		children[i] = child_start(record_until_the_end, i, directory);
	EXPECT_EQUAL(child_wait(proxy), 0);
	EXPECT_STATUS(be_record(handle, "llm", BE_UNIT, NULL, NULL), BE_UNREACHABLE);
	for (int i = 0; i < WORKERS; i++) {
		kill(children[i], SIGKILL);
		EXPECT_EQUAL(child_wait(children[i]), 128 + SIGKILL);
	}
	other = open_by(NULL, &other_storage);
	/* Some were stopped before they could count what they were told. */
	EXPECT_OK(be_utilization(other, "llm", &envelope));
	EXPECT(envelope.spent >= atomic_load(&shared->acknowledged));
	EXPECT(envelope.spent <= atomic_load(&shared->acknowledged) + WORKERS);
	EXPECT_VERIFIED(other);
	server_close(other, other_storage);
	server_close(handle, storage);
	test_remove(directory);
	server_join_host(NULL);
}

/* ---- the directory */

static void a_directory_that_others_may_enter_is_refused(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage *storage = server_storage(NULL, "refused");
	struct be_enforcer *handle;
	char command[512];

	server_join_host("refused");
	options.storage = storage;
	EXPECT_OK(be_open(NULL, &options, &handle));
	be_close(handle);
	snprintf(command, sizeof command, "chmod 755 %s/host-refused/*", test_directory());
	EXPECT_EQUAL(system(command), 0);
	EXPECT_STATUS(be_open(NULL, &options, &handle), BE_PERMISSION);
	EXPECT(strstr(be_last_error(), "host-refused"));
	server_join_host(NULL);
	EXPECT_OK(be_open(NULL, &options, &handle));
	server_close(handle, storage);
}

static void expect_refused_below(struct be_options *options, const char *above)
{
	struct be_enforcer *handle;

	EXPECT_STATUS(be_open(NULL, options, &handle), BE_PERMISSION);
	EXPECT(strstr(be_last_error(), above));
}

/* Who may write a directory above can put another in its place. */
static void a_directory_that_others_may_replace_is_refused(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage *storage = server_storage(NULL, "refused");
	struct be_enforcer *handle;
	char above[PATH_MAX], path[PATH_MAX + 8];

	options.storage = storage;
	test_path(above, "above");
	EXPECT_EQUAL(mkdir(above, 0700), 0);
	snprintf(path, sizeof path, "%s/below", above);
	EXPECT_EQUAL(mkdir(path, 0700), 0);
	EXPECT_EQUAL(setenv("BUDGET_ENFORCER_RUNTIME_DIR", path, 1), 0);
	EXPECT_OK(be_open(NULL, &options, &handle));
	be_close(handle);
	EXPECT_EQUAL(chmod(above, 0777), 0);
	expect_refused_below(&options, above);
	EXPECT_EQUAL(chmod(above, 0770), 0);
	expect_refused_below(&options, above);
	/* There each may remove and rename only what is its own, as in /tmp. */
	EXPECT_EQUAL(chmod(above, 01777), 0);
	EXPECT_OK(be_open(NULL, &options, &handle));
	be_close(handle);
	if (geteuid() == 0) {
		EXPECT_EQUAL(chmod(above, 0755), 0);
		EXPECT_EQUAL(chown(above, 1, 1), 0);
		expect_refused_below(&options, above);
		EXPECT_EQUAL(chown(above, 0, 0), 0);
	}
	/* The directory that was named is above the one where they meet. */
	EXPECT_EQUAL(chmod(above, 0700), 0);
	EXPECT_EQUAL(chmod(path, 0777), 0);
	expect_refused_below(&options, path);
	server_join_host(NULL);
	server_close(NULL, storage);
}

int main(void)
{
	uint64_t random;

	test_begin(40);
	shared = shared_make(sizeof *shared);
	random = test_seed();
	server_start(NULL);
	a_limit_is_kept_over_hosts(1000);
	a_fork_child_goes_on_in_the_group();
	a_directory_that_others_may_enter_is_refused();
	a_directory_that_others_may_replace_is_refused();
	what_was_never_begun_is_unreachable();
	killed_leaders_cost_one_change_each_at_most(test_is_long() ? 400 : 40, random);
	a_stopped_leader_holds_nobody_up(test_is_long() ? 40 : 3, random);
	server_stop();
	return 0;
}
