/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch BE_INSPECT: be-inspect --watch over a server, through a proxy that counts trips and what is
 * answered. As long as nothing has changed, a refresh is one trip that brings next to nothing; what
 * changes is seen.
 */
#include "kind.h"
#include "proxy.h"
#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENVELOPES 1000
#define REFRESHES 30
/* Of one refresh that finds nothing new: the header. */
#define REFRESH_BYTES 4096
/* It reads anew after so long, since windows end. */
#define STALE_S 10

static _Atomic int64_t *trips;
static int terminal;
static char drawn[1 << 20]; /* the latest that was drawn */
static size_t drawn_size;

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

static void make_envelopes(struct be_enforcer *handle)
{
	static struct be_envelope_change changes[ENVELOPES];
	static char names[ENVELOPES][16];
	struct be_commit_options detached = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	detached.detached = true;
	for (int i = 0; i < ENVELOPES; i++) {
		snprintf(names[i], sizeof names[i], "at-%d", i);
		changes[i] = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
		changes[i].operation = BE_OPERATION_CREATE;
		changes[i].category = names[i];
		changes[i].limit = 1000 * BE_UNIT;
		changes[i].period = BE_PERIOD_TOTAL;
	}
	EXPECT_OK(be_envelopes_apply(handle, changes, ENVELOPES, NULL));
	for (int i = 0; i < 20; i++)
		EXPECT_OK(be_commit_with(handle, names[i], BE_UNIT, NULL, &detached, &id, NULL));
}

static pid_t start_watching(const char *program, const char *directory)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	char url[256];
	pid_t child;

	server_kind.url(directory, url, sizeof url);
	strcat(url, strncmp(url, "postgresql:", 11) == 0 ? "#watch" : "?environment=watch");
	child = forkpty(&terminal, NULL, NULL, &size);
	EXPECT(child >= 0);
	if (child == 0) {
		setenv("TERM", "xterm", 1);
		execl(program, program, "--watch", "--interval", "0.1", url, NULL);
		_exit(127);
	}
	EXPECT_EQUAL(fcntl(terminal, F_SETFL, O_NONBLOCK), 0);
	return child;
}

/* Reads what is drawn, for a moment. */
static void drain(void)
{
	struct pollfd end = {.fd = terminal, .events = POLLIN};
	ssize_t size;

	if (poll(&end, 1, 20) <= 0)
		return;
	if (drawn_size > sizeof drawn / 2)
		drawn_size = 0;
	size = read(terminal, drawn + drawn_size, sizeof drawn - 1 - drawn_size);
	if (size > 0)
		drawn_size += (size_t)size;
	drawn[drawn_size] = '\0';
}

static void await_drawn(const char *text)
{
	int64_t start_ns = test_monotonic_ns();

	drawn_size = 0;
	*drawn = '\0';
	while (!strstr(drawn, text)) {
		drain();
		if (!test_wait_on(start_ns, 30))
			test_fail(__FILE__, __LINE__, "'%s' is not drawn", text);
	}
}

static void idle_refreshes_take_one_trip(int64_t listing)
{
	int64_t start_ns = test_monotonic_ns(), from = atomic_load(trips);
	int64_t answered = atomic_load(proxy_answered), again;

	while (atomic_load(trips) < from + REFRESHES) {
		drain();
		EXPECT(test_wait_on(start_ns, 60));
	}
	answered = atomic_load(proxy_answered) - answered;
	again = 1 + (test_monotonic_ns() - start_ns) / (STALE_S * INT64_C(1000000000));
	printf("%d trips of an idle watch: %lld bytes answered; one listing has %lld\n", REFRESHES,
	       (long long)answered, (long long)listing);
	EXPECT(answered <= REFRESHES * REFRESH_BYTES + again * listing);
}

int main(int argc, char **argv)
{
	char directory[64];
	struct be_storage *storage;
	struct be_enforcer *handle;
	pid_t proxy, watch;
	int listening;

	test_begin(100);
	EXPECT_EQUAL(argc, 2);
	trips = shared_make(sizeof *trips);
	proxy_answered = shared_make(sizeof *proxy_answered);
	server_start(NULL);
	handle = server_open("watch", &storage);
	make_envelopes(handle);
	test_make_directory(directory, sizeof directory, "proxy");
	listening = proxy_listen(directory);
	proxy = child_start(run_proxy, 0, &listening);
	watch = start_watching(argv[1], directory);
	await_drawn("1000 envelopes");
	idle_refreshes_take_one_trip(atomic_load(proxy_answered));
	EXPECT_OK(be_record(handle, "at-777", 1111 * BE_UNIT, NULL, NULL));
	await_drawn("at-777");
	kill(watch, SIGTERM);
	close(terminal);
	(void)child_wait(watch);
	kill(proxy, SIGKILL);
	(void)child_wait(proxy);
	server_close(handle, storage);
	test_remove(directory);
	server_stop();
	return 0;
}
