/* SPDX-License-Identifier: Apache-2.0 */
/* Redis, for the tests of servers. It answers when a change is written to its file, which is not
 * flushed: kill -9 loses nothing. */
#include "kind.h"
#include "server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *program;

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

static void make(const char *mode)
{
	(void)mode;
}

static const char *const *arguments(void)
{
	static const char *list[] = {"",           "--port",        "0",  "--unixsocket",
				     "redis.sock", "--save",        "",   "--appendonly",
				     "yes",        "--appendfsync", "no", NULL};

	list[0] = program;
	return list;
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
	.commits = commits,
	.is_trip = is_trip,
};
