/* SPDX-License-Identifier: Apache-2.0 */
/* Redis, for the tests of servers. It answers when a change is written to its file, which is not
 * flushed: kill -9 loses nothing. */
#include "kind.h"
#include "server.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *program;
static char port[8] = "0";

static void find(void)
{
	static const char *const places[] = {"/usr/local/bin/redis-server", "/usr/bin/redis-server",
					     NULL};

	for (int i = 0; places[i] && !program; i++)
		if (access(places[i], X_OK) == 0)
			program = places[i];
	if (!program)
		test_skip("no Redis server is installed (redis-server): what the library does with "
			  "one was not tested");
}

/* Replicas follow by TCP only. */
static void find_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof address;
	int tried = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT(tried >= 0 && bind(tried, (struct sockaddr *)&address, size) == 0 &&
	       getsockname(tried, (struct sockaddr *)&address, &size) == 0);
	snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
	close(tried);
}

static void make(const char *mode)
{
	if (mode && strcmp(mode, "primary") == 0)
		find_port();
}

static const char *const *arguments(void)
{
	static const char *list[] = {"",           "--port",
				     port,         "--unixsocket",
				     "redis.sock", "--save",
				     "",           "--appendonly",
				     "yes",        "--appendfsync",
				     "no",         "--repl-diskless-sync-delay",
				     "0",          NULL};

	list[0] = program;
	return list;
}

/* ---- a standby */

static const char *const *standby(void)
{
	static const char *list[] = {"",          "--port", "0",     "--unixsocket", "redis.sock",
				     "--save",    "",       "--dir", "standby",      "--replicaof",
				     "127.0.0.1", port,     NULL};

	list[0] = program;
	return list;
}

/* Gives commands by the socket in a folder, until the answers end so. */
static void tell(const char *folder, const char *commands, const char *answers)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char text[256] = "";
	size_t size = 0;
	int to = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s/redis.sock", server_directory(),
		 folder);
	EXPECT(to >= 0 && connect(to, (struct sockaddr *)&address, sizeof address) == 0);
	EXPECT_EQUAL(send(to, commands, strlen(commands), MSG_NOSIGNAL), strlen(commands));
	while (size < strlen(answers)) {
		ssize_t more = recv(to, text + size, sizeof text - 1 - size, 0);

		EXPECT(more > 0);
		size += (size_t)more;
		text[size] = '\0';
	}
	EXPECT_TEXT(text, answers);
	close(to);
}

/* What comes before a change has reached the standby when that has. */
static void catch_up(void)
{
	tell(".", "SET test 1\r\nWAIT 1 0\r\n", "+OK\r\n:1\r\n");
}

static void part(void)
{
	tell("standby", "REPLICAOF 127.0.0.1 1\r\n", "+OK\r\n");
}

static void promote(void)
{
	tell("standby", "REPLICAOF NO ONE\r\n", "+OK\r\n");
}

static void url(const char *directory, char *text, size_t size)
{
	snprintf(text, size, "redis+unix://%s/redis.sock", directory);
}

/* The script that applies changes is the one with three keys. */
static bool commits(const char *bytes, size_t size)
{
	return memmem(bytes, size, "\r\n$1\r\n3\r\n", 9) != NULL;
}

static bool is_trip(const char *bytes, size_t size, bool answered)
{
	(void)answered;
	return memmem(bytes, size, "EVALSHA", 7) != NULL;
}

const struct server_kind server_kind = {
	.name = "Redis",
	.directory = "/tmp/be-redis-XXXXXX",
	.socket = "redis.sock",
	.find = find,
	.make = make,
	.arguments = arguments,
	.url = url,
	.standby = standby,
	.catch_up = catch_up,
	.part = part,
	.promote = promote,
	.commits = commits,
	.is_trip = is_trip,
};
