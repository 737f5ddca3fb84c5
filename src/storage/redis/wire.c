/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/redis/wire.h"

#include "storage/redis/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECT_SECONDS 5

/* ---- cancellation, and SIGPIPE
 *
 * The signal is kept from the process by the thread that would get it, which takes it away if it
 * came, unless it was there before. */

struct guard {
	sigset_t signals;
	int cancel_state;
	bool was_pending;
};

static bool is_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

static void guard_begin(struct guard *guard)
{
	sigset_t pipe;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel_state);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	guard->was_pending = is_pending();
	pthread_sigmask(SIG_BLOCK, &pipe, &guard->signals);
}

static void guard_end(const struct guard *guard)
{
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	while (!guard->was_pending && is_pending() &&
	       sigtimedwait(&pipe, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &guard->signals, NULL);
	pthread_setcancelstate(guard->cancel_state, NULL);
}

/* ---- faults */

/* What a server's errors mean, in the order in which they are looked for: older servers put one
 * that a script met into a longer text. */
static const struct {
	const char *has;
	int status;
	const char *advice;
} errors[] = {
	{"NOAUTH", BE_PERMISSION, "put user and password into the URL, or set REDISCLI_AUTH"},
	{"WRONGPASS", BE_PERMISSION, "user or password are wrong"},
	{"invalid password", BE_PERMISSION, "the password is wrong"},
	{"without any password configured", BE_PERMISSION, "leave the password out of the URL"},
	{"NOPERM", BE_PERMISSION, "give the user the rights that budget_enforcer_redis.h lists"},
	{"user executing the script", BE_PERMISSION,
	 "give the user the rights that budget_enforcer_redis.h lists"},
	{"READONLY", BE_PERMISSION, "it is a replica: name the primary in the URL"},
	{"OOM command", BE_DISK_FULL, "give it more memory (maxmemory)"},
	{"MISCONF", BE_DISK_FULL, "it cannot write to its disk: look at its log"},
	{"NOREPLICAS", BE_UNREACHABLE, "too few replicas follow it (min-replicas-to-write)"},
	{"LOADING", LINK_LOST, "it is starting; try again"},
	{"BUSY ", LINK_LOST, "it is busy with a script of somebody's; try again"},
	{"MASTERDOWN", LINK_LOST, "it is a replica that has lost its primary"},
	{"TRYAGAIN", LINK_LOST, "the cluster moves data; try again"},
	{"CLUSTERDOWN", LINK_LOST, "the cluster is not whole"},
	{"MOVED ", BE_UNREACHABLE,
	 "name the cluster's node that keeps this environment, which is "
	 "the address in the error"},
	{"ASK ", LINK_LOST, "the cluster moves this environment; try again"},
	{"WRONGTYPE", BE_DAMAGED, "keys of this environment's names are something else's"},
	{"unknown command", BE_STORAGE_FAILED, "it takes Redis 5 or later, with scripts"},
};

static int fault_of(const char *error)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strstr(error, errors[i].has))
			return link_fail(errors[i].status, "the Redis server: %s: %s",
					 errors[i].advice, error);
	return link_fail(BE_IO_ERROR, "the Redis server: %s", error);
}

static int lost(struct wire *wire)
{
	wire->is_broken = true;
	(void)link_fail(LINK_LOST, "the connection to the Redis server: %s",
			wire->redis && wire->redis->err ? wire->redis->errstr
							: "there was no answer");
	return LINK_LOST;
}

/* ---- commands */

void command_add(struct command *command, const void *bytes, size_t size)
{
	if (!command->failed && command->count == command->room) {
		size_t room = command->room ? 2 * command->room : 64;
		const char **parts = reallocarray(command->parts, room, sizeof *parts);
		size_t *sizes = reallocarray(command->sizes, room, sizeof *sizes);

		command->parts = parts ? parts : command->parts;
		command->sizes = sizes ? sizes : command->sizes;
		command->failed = !parts || !sizes;
		command->room = room;
	}
	if (command->failed)
		return;
	command->parts[command->count] = size > 0 ? bytes : "";
	command->sizes[command->count++] = size;
}

void command_add_text(struct command *command, const char *text)
{
	command_add(command, text, strlen(text));
}

void command_begin(struct command *command, const char *keys)
{
	command_add_text(command, "EVALSHA");
	command_add_text(command, ""); /* its hash, which differs by connection */
	command_add_text(command, keys);
}

void command_free(struct command *command)
{
	free(command->parts);
	free(command->sizes);
}

/* ---- sending and waiting, with the guard up */

static int push(struct wire *wire, const char *const *parts, const size_t *sizes, size_t count)
{
	return redisAppendCommandArgv(wire->redis, (int)count, (const char **)parts, sizes) ==
			       REDIS_OK
		       ? 0
		       : lost(wire);
}

/* Writes what can be written now; *done: all was. */
static bool flush(struct wire *wire, bool *done)
{
	int all = 0;

	if (redisBufferWrite(wire->redis, &all) != REDIS_OK)
		return false;
	*done = all;
	return true;
}

/* Waits until something can be read, or written if there is something to write. */
static bool wait_for_socket(struct wire *wire, int64_t until_ns)
{
	struct pollfd socket = {.fd = wire->redis->fd, .events = POLLIN};
	int64_t left_ms = (until_ns - link_clock()) / 1000000;
	bool done = true;
	int ready;

	if (!flush(wire, &done) || left_ms < 0)
		return false;
	if (!done)
		socket.events |= POLLOUT;
	ready = poll(&socket, 1, (int)left_ms + 1);
	if (ready < 0)
		return errno == EINTR;
	return ready == 0 || !(socket.revents & ~POLLOUT) ||
	       redisBufferRead(wire->redis) == REDIS_OK;
}

/* The next answer; LINK_LOST: there is none. */
static int next_answer(struct wire *wire, int64_t until_ns, redisReply **reply)
{
	void *found = NULL;

	*reply = NULL;
	while (redisGetReplyFromReader(wire->redis, &found) == REDIS_OK) {
		*reply = found;
		if (found)
			return 0;
		if (!wait_for_socket(wire, until_ns))
			break;
	}
	return lost(wire);
}

static int wait_for_answer(struct wire *wire, redisReply **reply)
{
	int64_t until_ns = link_clock() + LINK_TRIP_NS;
	int status = 0;

	for (; wire->unread > 0 && status == 0; wire->unread--) {
		status = next_answer(wire, until_ns, reply);
		freeReplyObject(*reply);
		*reply = NULL;
	}
	return status == 0 ? next_answer(wire, until_ns, reply) : status;
}

/* One command of words, which takes a trip. */
static int ask(struct wire *wire, redisReply **reply, const char *const *words, size_t count)
{
	size_t sizes[8];
	int status;

	*reply = NULL;
	for (size_t i = 0; i < count; i++)
		sizes[i] = strlen(words[i]);
	status = push(wire, words, sizes, count);
	if (status == 0)
		status = wait_for_answer(wire, reply);
	return status;
}

static void name_script(const struct wire *wire, enum script script, struct command *command,
			bool by_text)
{
	command->parts[0] = by_text ? "EVAL" : "EVALSHA";
	command->sizes[0] = strlen(command->parts[0]);
	command->parts[1] = by_text ? scripts[script] : wire->hashes[script];
	command->sizes[1] = strlen(command->parts[1]);
}

static bool is_error(const redisReply *reply, const char *begins)
{
	return reply && reply->type == REDIS_REPLY_ERROR &&
	       strncmp(reply->str, begins, strlen(begins)) == 0;
}

static int run(struct wire *wire, enum script script, struct command *command, redisReply **reply)
{
	bool by_text = !*wire->hashes[script];
	int status;

	for (;;) {
		name_script(wire, script, command, by_text);
		status = push(wire, command->parts, command->sizes, command->count);
		if (status == 0)
			status = wait_for_answer(wire, reply);
		/* It has forgotten the script, and done nothing. */
		if (by_text || !is_error(*reply, "NOSCRIPT"))
			break;
		freeReplyObject(*reply);
		*reply = NULL;
		by_text = true;
	}
	if (!*reply)
		return status != 0 ? status : LINK_LOST;
	if (status == 0 && (*reply)->type == REDIS_REPLY_ERROR)
		status = fault_of((*reply)->str);
	if (status != 0) {
		freeReplyObject(*reply);
		*reply = NULL;
	}
	return status;
}

int wire_run(struct wire *wire, enum script script, struct command *command, redisReply **reply)
{
	struct guard guard;
	int status;

	*reply = NULL;
	if (command->failed)
		return BE_NO_MEMORY;
	guard_begin(&guard);
	status = run(wire, script, command, reply);
	guard_end(&guard);
	return status;
}

void wire_send_last(struct wire *wire, const char *const *words, const size_t *counts,
		    size_t commands)
{
	struct guard guard;
	bool done;

	guard_begin(&guard);
	for (size_t i = 0; i < commands && !wire->is_broken; words += counts[i++]) {
		size_t sizes[8];

		for (size_t k = 0; k < counts[i]; k++)
			sizes[k] = strlen(words[k]);
		if (push(wire, words, sizes, counts[i]) == 0)
			wire->unread++;
	}
	/* What does not go now goes with the next trip. */
	if (!wire->is_broken && !flush(wire, &done))
		wire->is_broken = true;
	guard_end(&guard);
}

/* ---- opening */

static int expect_ok(struct wire *wire, const char *const *words, size_t count)
{
	redisReply *reply;
	int status = ask(wire, &reply, words, count);

	if (status == 0 && reply->type == REDIS_REPLY_ERROR)
		status = fault_of(reply->str);
	freeReplyObject(reply);
	return status;
}

/* A server that does not give a script's hash is sent its text each time. */
static int load_script(struct wire *wire, enum script script)
{
	const char *words[] = {"SCRIPT", "LOAD", scripts[script]};
	redisReply *reply;
	int status = ask(wire, &reply, words, 3);

	if (status == 0 && reply->type == REDIS_REPLY_STRING)
		snprintf(wire->hashes[script], sizeof wire->hashes[script], "%s", reply->str);
	else if (is_error(reply, "NOAUTH") || is_error(reply, "LOADING"))
		status = fault_of(reply->str);
	freeReplyObject(reply);
	return status;
}

static int log_in(struct wire *wire, const struct address *address)
{
	char database[16];
	int status = 0;

	if (address->password && address->user)
		status = expect_ok(wire, (const char *[]){"AUTH", address->user, address->password},
				   3);
	else if (address->password)
		status = expect_ok(wire, (const char *[]){"AUTH", address->password}, 2);
	snprintf(database, sizeof database, "%d", address->database);
	if (status == 0 && address->database != 0)
		status = expect_ok(wire, (const char *[]){"SELECT", database}, 2);
	for (int i = 0; i < SCRIPTS && status == 0; i++)
		status = load_script(wire, (enum script)i);
	return status;
}

static int connect_to(struct wire *wire, const struct address *address)
{
	const struct timeval timeout = {.tv_sec = CONNECT_SECONDS};
	int status = 0, flags;

	wire->redis = address->port == 0
			      ? redisConnectUnixWithTimeout(address->host, timeout)
			      : redisConnectWithTimeout(address->host, address->port, timeout);
	if (!wire->redis)
		return BE_NO_MEMORY;
	if (wire->redis->err || redisSetTimeout(wire->redis, timeout) != REDIS_OK)
		return lost(wire);
	if (address->port != 0)
		(void)redisEnableKeepAlive(wire->redis);
	if (address->has_tls)
		status = tls_begin(wire->redis, address);
	if (status != 0)
		return status;
	/* From here on no call of hiredis waits. */
	flags = fcntl(wire->redis->fd, F_GETFL);
	if (flags < 0 || fcntl(wire->redis->fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(wire->redis->fd, F_SETFD, FD_CLOEXEC) != 0)
		return lost(wire);
	wire->redis->flags &= ~REDIS_BLOCK;
	wire->place = link_note_socket(wire->redis->fd);
	return log_in(wire, address);
}

int wire_open(const struct address *address, struct wire **wire)
{
	struct wire *made = calloc(1, sizeof *made);
	struct guard guard;
	int status;

	if (!made)
		return BE_NO_MEMORY;
	made->place = -1;
	guard_begin(&guard);
	status = connect_to(made, address);
	guard_end(&guard);
	if (status != 0)
		wire_close(made);
	else
		*wire = made;
	return status;
}

void wire_close(struct wire *wire)
{
	struct guard guard;

	if (!wire)
		return;
	link_forget_socket(wire->place);
	guard_begin(&guard);
	if (wire->redis)
		redisFree(wire->redis);
	guard_end(&guard);
	free(wire);
}

static bool is_good(const struct link *link)
{
	const struct wire *wire = (const struct wire *)link;

	return !wire->is_broken && wire->redis->err == 0;
}

static void close_link(struct link *link)
{
	wire_close((struct wire *)link);
}

const struct link_kind wire_kind = {is_good, close_link};

/* ---- asking about the server */

int wire_check_eviction(struct wire *wire)
{
	const char *words[] = {"INFO", "memory"}, *policy, *most;
	struct guard guard;
	redisReply *reply;
	int status;

	guard_begin(&guard);
	status = ask(wire, &reply, words, 2);
	guard_end(&guard);
	if (status == 0 && reply->type == REDIS_REPLY_STRING) {
		policy = strstr(reply->str, "maxmemory_policy:allkeys");
		most = strstr(reply->str, "maxmemory:");
		if (policy && most && most[strlen("maxmemory:")] != '0')
			status = link_fail(BE_STORAGE_FAILED,
					   "the Redis server would remove budgets when its memory "
					   "is full: set its maxmemory-policy to noeviction");
	}
	freeReplyObject(reply);
	return status;
}

void wire_peer(const struct wire *wire, char *text, size_t size)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof address;
	char host[64], port[16];

	if (getpeername(wire->redis->fd, (struct sockaddr *)&address, &length) != 0 ||
	    address.ss_family == AF_UNIX ||
	    getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port, sizeof port,
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%s %s", host, port);
}
