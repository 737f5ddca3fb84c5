/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage of budget-enforcer in one table of a PostgreSQL server: the same rules, for pools that
 * outgrow one machine. It is a library of its own, libbudget-enforcer-postgres, over libpq.
 *
 *     struct be_options options = BE_OPTIONS_INIT;
 *     struct be_storage *server;
 *
 *     if (be_storage_postgres_open("postgresql://budgets@db.example/pool", &server) != BE_OK)
 *             ...
 *     options.storage = server;
 *     if (be_open(NULL, &options, &handle) != BE_OK)
 *             ...
 *     be_close(handle);
 *     be_storage_postgres_close(server);
 *
 * WHAT IS THERE, AND WHAT IS NOT
 *
 *   All hosts that open the same table share its budgets: a limit holds across them. Each change is
 *   a txn of two round trips, and all of them take turns at one row. A check is one trip. There are
 *   no counts of refusals, and be_owners_each() shows the processes of this host. be_copy() brings
 *   an environment here from a directory, be_backup() and be_restore() bring it back; pg_dump makes
 *   backups, too.
 *
 *   A commit is tied to the process that made it, for as long as that has a handle open. Within a
 *   host the kernel says who lives: when a process dies, those of its host end what it held, as in
 *   a directory. Of another host its lease says it: one of which nothing is heard for a minute
 *   (be_options.lease_ms), by the server's time and as the others have seen it themselves, counts
 *   as dead, and they end what its processes held within five seconds after that, when they are
 *   refused, open or call be_reap(). Its processes, if they live after all, find those commits
 *   ended, and may settle them late. Leases are renewed along with other changes, and where there
 *   are none by a thread of each process that made commits, which sends a txn every 20 seconds for
 *   all of its host, and as often reads who else lives. A process that works directly is a host by
 *   itself, and its lease ends with its last handle on the storage.
 *
 *   The processes of one user and machine that have opened the same table by the same name of the
 *   server and as the same role share group commit: what waits at the same time goes to the server
 *   in one txn. They meet in a directory of $XDG_RUNTIME_DIR/budget-enforcer, or of
 *   /run/user/UID/budget-enforcer, or of the one that BUDGET_ENFORCER_RUNTIME_DIR names, which has
 *   to be on this machine; a service has none of the first two, and needs the last (systemd:
 *   RuntimeDirectory=). Nothing in it is to last. Where there is none, where that variable is
 *   empty, or with BE_OPEN_DIRECT, each process works directly, which is right, too, and slower. A
 *   directory that the variable names and that cannot be used is a fault of be_open(); what others
 *   may enter cannot be, nor what lies in a directory that others own or may write, unless that has
 *   the sticky bit, as /tmp has. A process that is stopped while it leads the others holds them up
 *   for six seconds.
 *
 *   Operations happen at the server's time, however wrong a host's clock is (unless be_options.now
 *   is given). What is durable on return is what the server makes durable when it answers COMMIT;
 *   a session whose synchronous_commit is off has it on. 
 *   After a fail-over to a standby that was synchronous nothing is missing. To one that was not,
 *   changes that were acknowledged may be: then each handle that made some of these is told
 *   BE_CHANGES_LOST (budget_enforcer.h, DURABILITY). By the timeline and the cluster's identifier,
 *   which the first trip of a txn brings along, a fail-over is noticed, and so is an older backup
 *   or a dump that takes the server's place: ids leap in the first txn that changes something, and
 *   none is given out twice. Not noticed so is one of two servers that both serve as the primary,
 *   on the same timeline; and files that were set back without a recovery that ends in a promotion
 *   keep their timeline: then the hosts that lost something let ids leap. A server that knows no
 *   timelines, or a role that may call neither pg_walfile_name() nor pg_control_system() (all may,
 *   unless that was taken from them), does without: all roles should be alike in this.
 *
 *   Servers: PostgreSQL 14 and later, at its default isolation or a stricter one. No advisory
 *   locks, LISTEN or SKIP LOCKED are used, so that what speaks PostgreSQL's protocol may do, too;
 *   no other server was tried. A connection pooler must keep sessions.
 */
#ifndef BUDGET_ENFORCER_POSTGRES_H
#define BUDGET_ENFORCER_POSTGRES_H

#include <budget_enforcer_storage.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* Connects to a server, to see that it is there. `url` is a connection URI or string as libpq takes
 * it, with all that it says of TLS, hosts and passwords (also ~/.pgpass, PGPASSWORD and services).
 * A fragment names the table: "postgresql://db.example/pool#team_a"; without one it is
 * "budget_enforcer". The name is of lower-case letters, digits and underscores, 63 at most, with a
 * letter first.
 *
 * Nothing is made here. Who opens the environment first to write needs the right to create a table
 * in the schema; all others need SELECT, INSERT, UPDATE and DELETE on that table, or SELECT to read
 * only.
 *
 * INVALID_ARGUMENT: a name that is none; UNREACHABLE: no connection, be_last_error() says why;
 * NO_MEMORY. Any number of threads may use the storage, each with a connection of its own while it
 * is in a call. After a fork the child makes its own connections. Blocks for some seconds when the
 * server does not answer. */
BE_MUST_USE enum be_status be_storage_postgres_open(const char *url, struct be_storage **storage);

/* Ends the connections. Every handle on it must be closed. NULL is fine. */
void be_storage_postgres_close(struct be_storage *storage);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
