/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL, for the tests of servers. A server refuses to run as root: started by root it runs as
 * the user postgres or nobody. */
#include "kind.h"
#include "server.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char programs[256], isolation[128];

/* The first directory that has the programs. */
static void find(void)
{
	glob_t found;

	if (access("/usr/local/bin/initdb", X_OK) == 0 &&
	    access("/usr/local/bin/postgres", X_OK) == 0)
		strcpy(programs, "/usr/local/bin");
	if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			char path[sizeof programs + 16];

			snprintf(path, sizeof path, "%s/postgres", found.gl_pathv[i]);
			if (access(path, X_OK) == 0)
				snprintf(programs, sizeof programs, "%s", found.gl_pathv[i]);
		}
		globfree(&found);
	}
	if (!*programs)
		test_skip("no PostgreSQL server is installed (postgres, initdb): what the library "
			  "does with one was not tested");
}

/* `mode`: its default isolation, or "primary", which each is. */
static void make(const char *mode)
{
	char program[sizeof programs + 16];
	const char *const arguments[] = {program, "-D", "data", "-A", "trust",      "-U",
					 "be",    "-E", "UTF8", "-N", "--locale=C", NULL};

	snprintf(isolation, sizeof isolation, "default_transaction_isolation=%s",
		 mode && strcmp(mode, "primary") != 0 ? mode : "read committed");
	snprintf(program, sizeof program, "%s/initdb", programs);
	server_run(arguments);
}

static const char *const *arguments_of(const char *data, const char *socket)
{
	static char program[sizeof programs + 16];
	static const char *list[] = {program, "-D",
				     "",      "-F",
				     "-k",    "",
				     "-c",    "listen_addresses=",
				     "-c",    "shared_buffers=16MB",
				     "-c",    isolation,
				     "-c",    "max_connections=60",
				     NULL};

	snprintf(program, sizeof program, "%s/postgres", programs);
	list[2] = data;
	list[5] = socket;
	return list;
}

static const char *const *arguments(void)
{
	return arguments_of("data", server_directory());
}

/* ---- a standby */

static const char *standby_directory(void)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/standby", server_directory());
	return path;
}

static void tell(const char *directory, const char *statement)
{
	char program[sizeof programs + 16];
	const char *const list[] = {program,   "-X",       "-q", "-v", "ON_ERROR_STOP=1",
				    "-h",      directory,  "-U", "be", "-c",
				    statement, "postgres", NULL};

	snprintf(program, sizeof program, "%s/psql", programs);
	server_run(list);
}

static const char *const *standby(void)
{
	char program[sizeof programs + 16];
	const char *const list[] = {program, "-D", "standby/data",     "-R", "-c",
				    "fast",  "-h", server_directory(), "-U", "be",
				    NULL};

	snprintf(program, sizeof program, "%s/pg_basebackup", programs);
	if (access(program, X_OK) != 0)
		test_skip("there is no pg_basebackup: what the library does when a standby takes "
			  "over was not tested");
	server_run(list);
	return arguments_of("standby/data", standby_directory());
}

/* Waits on the server until this is there. */
#define UNTIL_THERE(what)                                                                          \
	"DO $$ BEGIN WHILE NOT EXISTS (" what ") LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"

static void catch_up(void)
{
	tell(server_directory(),
	     UNTIL_THERE("SELECT FROM pg_stat_replication WHERE state = 'streaming' AND "
			 "replay_lsn >= pg_current_wal_lsn()"));
}

static void synchronise(void)
{
	tell(server_directory(), "ALTER SYSTEM SET synchronous_standby_names = '*'");
	tell(server_directory(), "SELECT pg_reload_conf()");
	tell(server_directory(),
	     UNTIL_THERE("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"));
}

static void part(void)
{
	tell(standby_directory(), "ALTER SYSTEM SET primary_conninfo = ''");
	tell(standby_directory(), "SELECT pg_reload_conf()");
	tell(server_directory(), UNTIL_THERE("SELECT WHERE NOT EXISTS (SELECT FROM "
					     "pg_stat_replication)"));
}

static void promote(void)
{
	tell(standby_directory(), "SELECT pg_promote()");
}

static void url(const char *directory, char *text, size_t size)
{
	snprintf(text, size, "postgresql:///postgres?host=%s&user=be", directory);
}

static bool has(const char *bytes, size_t size, const char *what)
{
	return memmem(bytes, size, what, strlen(what)) != NULL;
}

static bool commits(const char *bytes, size_t size)
{
	return has(bytes, size, "be_commit");
}

static bool is_trip(const char *bytes, size_t size, bool answered)
{
	return has(bytes, size, "be_begin") || (answered && !has(bytes, size, "be_rollback"));
}

const struct server_kind server_kind = {
	.name = "PostgreSQL",
	.directory = "/tmp/be-postgres-XXXXXX",
	.user = "postgres",
	.socket = ".s.PGSQL.5432",
	.find = find,
	.make = make,
	.arguments = arguments,
	.url = url,
	.standby = standby,
	.catch_up = catch_up,
	.synchronise = synchronise,
	.part = part,
	.promote = promote,
	.commits = commits,
	.is_trip = is_trip,
};
