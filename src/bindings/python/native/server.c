/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libraries of servers are loaded at the first URL of their kind: nobody else needs them, nor
 * libpq and hiredis. All handles of this process on one URL, whatever their namespace and thread,
 * share a storage, which is closed after the last of them. The lock is held for no longer than the
 * list is looked at, and around fork(), so that it is free in the child.
 */
#include "server.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct py_server_kind {
	const char *schemes[5];
	const char *name; /* libbudget-enforcer-NAME.so.0, be_storage_NAME_open() */
	const char *needs;
} kinds[] = {
	{{"postgresql://", "postgres://"}, "postgres", "libpq"},
	{{"redis://", "rediss://", "redis+unix://", "unix://"}, "redis", "hiredis"},
};

struct py_server {
	struct py_server *next;
	struct be_storage *storage;
	void (*end)(struct be_storage *storage);
	unsigned users;
	char url[];
};

static struct py_server *servers;
static pthread_mutex_t servers_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void lock(void)
{
	pthread_mutex_lock(&servers_lock);
}

static void unlock(void)
{
	pthread_mutex_unlock(&servers_lock);
}

static void watch_forks(void)
{
	(void)pthread_atfork(lock, unlock, unlock);
}

static const struct py_server_kind *kind_of(const char *path)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (const char *const *scheme = kinds[i].schemes; *scheme; scheme++)
			if (strncmp(path, *scheme, strlen(*scheme)) == 0)
				return &kinds[i];
	return NULL;
}

bool server_is_url(const char *path)
{
	return kind_of(path) != NULL;
}

static void *symbol(void *library, const struct py_server_kind *kind, const char *what)
{
	char name[64];

	snprintf(name, sizeof name, "be_storage_%s_%s", kind->name, what);
	return library ? dlsym(library, name) : NULL;
}

static enum be_status connect_to(const struct py_server_kind *kind, struct py_server *server)
{
	enum be_status (*begin)(const char *, struct be_storage **) = NULL;
	void *library = NULL;
	char text[512];

	snprintf(text, sizeof text, "libbudget-enforcer-%s.so.0", kind->name);
	library = dlopen(text, RTLD_NOW);
	*(void **)&begin = symbol(library, kind, "open");
	*(void **)&server->end = symbol(library, kind, "close");
	if (begin && server->end)
		return begin(server->url, &server->storage);
	snprintf(text, sizeof text,
		 "to open a server takes libbudget-enforcer-%s, which is not installed (the "
		 "library is built where %s is): %s",
		 kind->name, kind->needs,
		 /* Each thread has its own. NOLINTNEXTLINE(concurrency-mt-unsafe) */
		 dlerror());
	be_storage_explain(text);
	return BE_UNREACHABLE;
}

/* The one of that URL, with one more user. With the lock. */
static struct py_server *join(const char *url)
{
	struct py_server *server = servers;

	while (server && strcmp(server->url, url) != 0)
		server = server->next;
	if (server)
		server->users++;
	return server;
}

enum be_status server_open(const char *url, struct py_server **server)
{
	struct py_server *made = NULL, *there = NULL;
	enum be_status status = BE_OK;

	(void)pthread_once(&watch_once, watch_forks);
	lock();
	*server = join(url);
	unlock();
	if (*server)
		return BE_OK;
	made = calloc(1, sizeof *made + strlen(url) + 1);
	if (!made)
		return BE_NO_MEMORY;
	strcpy(made->url, url);
	made->users = 1;
	status = connect_to(kind_of(url), made);
	if (status != BE_OK) {
		free(made);
		return status;
	}
	/* Another thread may have connected meanwhile. */
	lock();
	there = join(url);
	if (!there) {
		made->next = servers;
		servers = made;
	}
	unlock();
	*server = there ? there : made;
	if (there) {
		made->end(made->storage);
		free(made);
	}
	return BE_OK;
}

struct be_storage *server_storage(const struct py_server *server)
{
	return server->storage;
}

void server_close(struct py_server *server)
{
	struct py_server **place = &servers;
	bool last = false;

	if (!server)
		return;
	lock();
	last = --server->users == 0;
	while (last && *place != server)
		place = &(*place)->next;
	if (last)
		*place = server->next;
	unlock();
	if (!last)
		return;
	server->end(server->storage);
	free(server);
}
