/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a Redis server over its unix socket, "redis.sock" in the place. A reserve is one Lua
 * script, by its hash; a check is one HMGET. Modes: always and everysec, its appendfsync, which is
 * the server's business.
 */
#include "pool.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY "envelope:"

static const char script[] =
	"local key = 'envelope:' .. KEYS[1] "
	"local found = redis.call('HMGET', key, 'limit', 'spent', 'committed') "
	"local amount = tonumber(ARGV[1]) "
	"if not found[1] or amount > tonumber(found[1]) - tonumber(found[2]) - tonumber(found[3]) "
	"then "
	"return 0 end "
	"local id = redis.call('INCR', 'next_commit_id') "
	"redis.call('HINCRBY', key, 'committed', amount) "
	"redis.call('HSET', 'pending:' .. id, 'category', KEYS[1], 'amount', amount, 'created_ns', "
	"ARGV[2], "
	"'owner', ARGV[3], 'description', ARGV[4]) "
	"return id";

struct redis {
	redisContext *context;
	char hash[41];
	int owner;
};

/* The reply, which must be of that type. */
static redisReply *must(redisContext *context, redisReply *reply, int type)
{
	if (!reply)
		die("%s", context->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		die("%s", reply->str);
	if (reply->type != type)
		die("a reply of type %d, not %d", reply->type, type);
	return reply;
}

static void *redis_open(const struct run *run)
{
	struct redis *redis = calloc(1, sizeof *redis);
	redisReply *reply;
	char path[108];

	if (!redis)
		die("out of memory");
	snprintf(path, sizeof path, "%s/redis.sock", run->place);
	redis->context = redisConnectUnix(path);
	if (!redis->context || redis->context->err)
		die("%s: %s", path, redis->context ? redis->context->errstr : "out of memory");
	reply = must(redis->context, redisCommand(redis->context, "SCRIPT LOAD %s", script),
		     REDIS_REPLY_STRING);
	snprintf(redis->hash, sizeof redis->hash, "%s", reply->str);
	freeReplyObject(reply);
	redis->owner = getpid();
	return redis;
}

static void redis_close(void *self)
{
	struct redis *redis = self;

	redisFree(redis->context);
	free(redis);
}

static void redis_make(const struct run *run)
{
	struct redis *redis = redis_open(run);
	char category[POOL_CATEGORY_SIZE];
	redisReply *reply;

	freeReplyObject(
		must(redis->context, redisCommand(redis->context, "FLUSHALL"), REDIS_REPLY_STATUS));
	for (uint64_t i = 0; i < run->envelopes; i++)
		redisAppendCommand(redis->context, "HSET " KEY "%s limit %lld spent 0 committed 0",
				   pool_category(i, category), (long long)POOL_LIMIT);
	for (uint64_t i = 0; i < run->envelopes; i++) {
		if (redisGetReply(redis->context, (void **)&reply) != REDIS_OK)
			die("%s", redis->context->errstr);
		freeReplyObject(must(redis->context, reply, REDIS_REPLY_INTEGER));
	}
	redis_close(redis);
}

static uint64_t redis_reserve(void *self, const char *category)
{
	struct redis *redis = self;
	redisReply *reply = redisCommand(redis->context, "EVALSHA %s 1 %s %lld %lld %d %s",
					 redis->hash, category, (long long)POOL_AMOUNT,
					 (long long)pool_now_ns(), redis->owner, POOL_DESCRIPTION);
	uint64_t id = (uint64_t)must(redis->context, reply, REDIS_REPLY_INTEGER)->integer;

	freeReplyObject(reply);
	return id;
}

static int64_t number(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_STRING)
		die("an envelope is missing");
	return strtoll(reply->str, NULL, 10);
}

static redisReply *look(struct redis *redis, const char *category)
{
	redisReply *reply =
		redisCommand(redis->context, "HMGET " KEY "%s limit spent committed", category);

	return must(redis->context, reply, REDIS_REPLY_ARRAY);
}

static bool redis_check(void *self, const char *category)
{
	redisReply *reply = look(self, category);
	bool available =
		number(reply->element[0]) - number(reply->element[1]) - number(reply->element[2]) >=
		POOL_AMOUNT;

	freeReplyObject(reply);
	return available;
}

static int64_t redis_committed(void *self, const char *category)
{
	redisReply *reply = look(self, category);
	int64_t committed = number(reply->element[2]);

	freeReplyObject(reply);
	return committed;
}

int main(int argc, char **argv)
{
	static const struct driver driver = {
		.name = "redis",
		.make = redis_make,
		.open = redis_open,
		.close = redis_close,
		.reserve = redis_reserve,
		.check = redis_check,
		.committed = redis_committed,
	};

	return pool_main(argc, argv, &driver);
}
