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

/* `mode`: its default isolation. */
static void make(const char *mode)
{
	char program[sizeof programs + 16];
	const char *const arguments[] = {program, "-D", "data", "-A", "trust",      "-U",
					 "be",    "-E", "UTF8", "-N", "--locale=C", NULL};

	snprintf(isolation, sizeof isolation, "default_transaction_isolation=%s",
		 mode ? mode : "read committed");
	snprintf(program, sizeof program, "%s/initdb", programs);
	server_run(arguments);
}

static const char *const *arguments(void)
{
	static char program[sizeof programs + 16];
	static const char *list[] = {program, "-D",
				     "data",  "-F",
				     "-k",    "",
				     "-c",    "listen_addresses=",
				     "-c",    "shared_buffers=16MB",
				     "-c",    isolation,
				     "-c",    "max_connections=60",
				     NULL};

	snprintf(program, sizeof program, "%s/postgres", programs);
	list[5] = server_directory();
	return list;
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
	.commits = commits,
	.is_trip = is_trip,
};
