/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage in a server is loaded when a URL is given: the client library and what it needs take
 * some megabytes of each process, which a look at a directory does not have to pay.
 */
#include "opening.h"

#include "tool.h"

#include <budget_enforcer_storage.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct server_library {
	const char *schemes[5];
	const char *library; /* lib and .so.0 go around it */
	const char *open;
	const char *close;
	const char *needs;
	char harmless; /* the parameters that have no password begin so */
} kinds[] = {
	{{"postgresql://", "postgres://"},
	 "budget-enforcer-postgres",
	 "be_storage_postgres_open",
	 "be_storage_postgres_close",
	 "libpq",
	 '#'},
	{{"redis://", "rediss://", "redis+unix://", "unix://"},
	 "budget-enforcer-redis",
	 "be_storage_redis_open",
	 "be_storage_redis_close",
	 "hiredis",
	 '?'},
};

/* Of one environment that a program is given, or two: what is copied, and where to. */
static struct server {
	const char *url;
	struct be_storage *storage;
	void (*end)(struct be_storage *storage);
} servers[2];
static size_t server_count;

/* NULL: it is a directory. */
static const struct server_library *kind_of(const char *environment)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (const char *const *scheme = kinds[i].schemes; *scheme; scheme++)
			if (strncmp(environment, *scheme, strlen(*scheme)) == 0)
				return &kinds[i];
	return NULL;
}

/* Passwords may have what has a meaning in a URL, so the last @ ends who logs in. One behind a ?
 * may be of a parameter, too, of which nothing must be shown. */
char *tool_name(const char *environment)
{
	const struct server_library *kind = kind_of(environment);
	const char *who = kind ? strstr(environment, "://") + strlen("://") : environment;
	const char *at = kind ? strrchr(who, '@') : NULL;
	const char *host = at ? at + 1 : who, *rest = kind ? strrchr(host, kind->harmless) : NULL;
	size_t size = kind ? strcspn(host, "?#") : strlen(host);
	char *name;

	if (at && memchr(who, '?', (size_t)(at - who))) {
		host = "...";
		size = strlen(host);
	}
	if (asprintf(&name, "%.*s%.*s%s", (int)(who - environment), environment, (int)size, host,
		     rest ? rest : "") < 0)
		tool_out_of_memory();
	return name;
}

static void close_servers(void)
{
	while (server_count-- > 0)
		servers[server_count].end(servers[server_count].storage);
}

static enum be_status connect_to(const struct server_library *kind, const char *url)
{
	struct server *server = &servers[server_count];
	enum be_status (*begin)(const char *, struct be_storage **) = NULL;
	enum be_status status;
	void *library;
	char text[512];

	snprintf(text, sizeof text, "lib%s.so.0", kind->library);
	library = dlopen(text, RTLD_NOW);
	if (library) {
		*(void **)&begin = dlsym(library, kind->open);
		*(void **)&server->end = dlsym(library, kind->close);
	}
	if (!begin || !server->end) {
		snprintf(text, sizeof text,
			 "to open a server takes lib%s, which is not installed (the library is "
			 "built where %s is): %s",
			 kind->library, kind->needs, dlerror());
		be_storage_explain(text);
		return BE_UNREACHABLE;
	}
	status = begin(url, &server->storage);
	if (status != BE_OK)
		return status;
	server->url = url;
	if (server_count++ == 0)
		(void)atexit(close_servers);
	return BE_OK;
}

bool tool_is_server(const char *environment)
{
	return kind_of(environment) != NULL;
}

enum be_status tool_connect(const char *url, struct be_storage **storage)
{
	enum be_status status = BE_OK;
	size_t i = 0;

	while (i < server_count && strcmp(servers[i].url, url) != 0)
		i++;
	if (i == server_count)
		status = connect_to(kind_of(url), url);
	*storage = status == BE_OK ? servers[i].storage : NULL;
	return status;
}

enum be_status tool_open(const char *environment, struct be_options *options,
			 struct be_enforcer **handle)
{
	struct be_storage *storage;
	enum be_status status;

	if (!tool_is_server(environment))
		return be_open(environment, options, handle);
	*handle = NULL;
	status = tool_connect(environment, &storage);
	if (status != BE_OK)
		return status;
	options->storage = storage;
	return be_open(NULL, options, handle);
}
