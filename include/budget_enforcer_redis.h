/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage of budget-enforcer in a Redis server: the same rules, for pools that outgrow one
 * machine. It is a library of its own, libbudget-enforcer-redis, over hiredis.
 *
 *     struct be_options options = BE_OPTIONS_INIT;
 *     struct be_storage *server;
 *
 *     if (be_storage_redis_open("redis://cache.example/0?environment=pool", &server) != BE_OK)
 *             ...
 *     options.storage = server;
 *     if (be_open(NULL, &options, &handle) != BE_OK)
 *             ...
 *     be_close(handle);
 *     be_storage_redis_close(server);
 *
 * WHAT MAY BE LOST
 *
 *   A server acknowledges a change before it is anywhere else but in its memory, unless it is told
 *   to do otherwise. What a budget has granted or charged may then be missing, and a limit be spent
 *   once more:
 *
 *   - A server that goes down loses, with `appendfsync everysec`, about the last second, and with
 *     snapshots (RDB) only all since the last one. Give it `appendonly yes` and `appendfsync
 *     always`: it then answers when the change is on its disk.
 *   - Replicas follow later. One that takes over, by Sentinel, in a cluster, or by hand, lacks what
 *     it had not received: hundreds of acknowledged changes where that was tried. `WAIT` and
 *     min-replicas-to-write make that rarer, and do not exclude it. Where a limit must hold
 *     whatever happens, use PostgreSQL with a synchronous standby, or one Redis server that is
 *     started again on its files.
 *   - A server that may remove keys when its memory is full would remove budgets. With a
 *     maxmemory-policy of allkeys-... opening refuses: give it noeviction.
 *
 *   Each handle through which something was changed that is missing is told BE_CHANGES_LOST
 *   (budget_enforcer.h, DURABILITY). A server that takes over, or starts again, has another
 *   identifier of replication (master_replid of INFO replication), which the first trip of a txn
 *   brings along: ids leap in the first txn that changes something, and none is given out twice.
 *   The server takes another one in some cases where nothing is missing, too, as when its first
 *   replica comes: then ids leap, and nobody is told anything. A user who may not call INFO does
 *   without: then ids leap only once somebody finds something missing, and others may have been
 *   given lost ids before. All users of an environment should be alike in this.
 *
 * WHAT IS THERE, AND WHAT IS NOT
 *
 *   All hosts that open the same environment share its budgets: a limit holds across them. Each
 *   change is a txn of two round trips; one that meets another's is done again. A check is one
 *   trip. Commits are tied to the process that made them as budget_enforcer_postgres.h tells. There
 *   are no counts of refusals, and be_owners_each() shows the processes of this host. be_copy() and
 *   be_backup() move an environment here and back.
 *
 *   The processes of one user and machine that have opened the same environment by the same name
 *   of the server and as the same user share group commit, as budget_enforcer_postgres.h tells.
 *
 *   Operations happen at the server's time, however wrong a host's clock is (unless be_options.now
 *   is given). When an answer is lost, the library finds out what became of the change: nothing is
 *   lost, and nothing done twice. What is between the library and the server must not send a
 *   command again by itself.
 *
 *   Servers: Redis 5 or later, tried with 7.0. In Redis Cluster an environment is in one slot; the
 *   node that has it must be named, and no other node is asked. The environment NAME is in keys
 *   that begin with "{be:NAME}:". A user needs these rights, and the commands in brackets if they
 *   are to be had (of which info is worth it, see above):
 *
 *       ACL SETUSER budgets on >PASSWORD ~{be:NAME}:* +eval +evalsha [+script|load +info +select]
 *           +hget +hmget +hset +hsetnx +hdel +zadd +zrem +zrange +zrangebylex +zrangebyscore
 *           +zscore +exists +del +time
 */
#ifndef BUDGET_ENFORCER_REDIS_H
#define BUDGET_ENFORCER_REDIS_H

#include <budget_enforcer_storage.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* Connects to a server, to see that it is there. `url` is one of
 *
 *     redis://WHO@HOST:PORT/DATABASE?environment=NAME
 *     rediss://...   over TLS; &cacert=FILE, &cert=FILE and &key=FILE as in redis-cli
 *     redis+unix://WHO@/PATH/OF/SOCKET?db=DATABASE&environment=NAME
 *
 * and unix:// is redis+unix://. WHO is USER:PASSWORD, :PASSWORD or USER; without a password that of
 * the environment variable REDISCLI_AUTH is used, which USER alone needs. What has a meaning in a
 * URL is written as %xx. NAME is of letters, digits and any of _.- (64 at most); without one it is
 * "main", and PORT is 6379, and DATABASE 0. TLS takes a hiredis that was built with it (1.0 or
 * later); the server must have a certificate of the host's name that is believed.
 *
 * INVALID_ARGUMENT: a URL that is none; UNREACHABLE: no connection; PERMISSION: the server knows no
 * such user, or refuses it; STORAGE_FAILED: the server may remove what it keeps; be_last_error()
 * says why; NO_MEMORY. Any number of threads may use the storage, each with a connection of its own
 * while it is in a call. After a fork the child makes its own connections. Blocks for some seconds
 * when the server does not answer. */
BE_MUST_USE enum be_status be_storage_redis_open(const char *url, struct be_storage **storage);

/* Ends the connections. Every handle on it must be closed. NULL is fine. */
void be_storage_redis_close(struct be_storage *storage);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
