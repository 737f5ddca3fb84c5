/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real server of a test's own, in its temporary directory, on a Unix socket. The tests are the
 * same for each kind of server, and are linked with the kind that they are about.
 */
#ifndef SERVER_H
#define SERVER_H

#include "support.h"

#include <stdatomic.h>

/* Starts a new server. Where the programs are missing the test is skipped, and says so. `mode` is
 * the kind's: the default isolation of PostgreSQL. NULL: the usual one. */
void server_start(const char *mode);

/* Its directory, where its socket lies, and the URL of its first environment. */
const char *server_directory(void);
const char *server_url(void);

/* Has this process and those that it starts share group commit as one host does that has this name;
 * NULL: each works directly, as they do without this call. */
void server_join_host(const char *name);

/* kill -9 of all its processes, and start again on the same files. */
void server_kill(void);
void server_restart(void);

/* A standby that follows the server, which was started in the mode "primary". `catch_up` waits
 * until it has all that the server has; `synchronise` has the server wait for it from now on; after
 * `part` it hears of nothing more. `fail_over` kills the server, and clients find the standby in
 * its place when they connect again. */
void server_start_standby(void);
void server_catch_up(void);
void server_synchronise(void);
void server_part(void);
void server_fail_over(void);

/* Ends it. Is done at the end of the process that started it, too. */
void server_stop(void);

/* The library's storage in it, in an environment of this name, by the socket in a directory (NULL:
 * its own); tried once, and one that must be had. */
enum be_status server_try(const char *directory, const char *name, struct be_storage **storage);
struct be_storage *server_storage(const char *directory, const char *name);

/* A handle on an environment of the server, and its storage; and the end of both. */
struct be_enforcer *server_open(const char *name, struct be_storage **storage);
/* In the environment "limit", by a handle of its own: commits one after the other from the envelope
 * "job", which stay, until that is refused for lack of budget; counts those that were granted. */
void server_commit_all(_Atomic int64_t *granted);
void server_close(struct be_enforcer *handle, struct be_storage *storage);

#endif
