/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#ifdef HAVE_POSTGRES
#include <budget_enforcer_postgres.h>
#endif
#ifdef HAVE_REDIS
#include <budget_enforcer_redis.h>
#endif
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- somebody else's */

static void (*close_theirs)(struct be_storage *storage);

static enum be_status open_library(const char *url, struct be_storage **storage)
{
	enum be_status (*open)(const char *name, struct be_storage **storage) = NULL;
	const char *path = strchr(url, ':') + 1, *name = strrchr(url, '#') + 1;
	char *file = strndup(path, (size_t)(name - 1 - path));
	void *library = file ? dlopen(file, RTLD_NOW) : NULL;

	free(file);
	if (library) {
		*(void **)&open = dlsym(library, "storage_open");
		*(void **)&close_theirs = dlsym(library, "storage_close");
	}
	if (!open || !close_theirs) {
		be_storage_explain(dlerror());
		return BE_STORAGE_FAILED;
	}
	return open(name, storage);
}

static void close_library(struct be_storage *storage)
{
	close_theirs(storage);
}

/* ---- of any kind */

static const struct kind {
	const char *begins;
	const char *name_after;
	enum be_status (*open)(const char *url, struct be_storage **storage);
	void (*close)(struct be_storage *storage);
} kinds[] = {
#ifdef HAVE_POSTGRES
	{"postgresql:", "#", be_storage_postgres_open, be_storage_postgres_close},
#endif
#ifdef HAVE_REDIS
	{"redis", "?environment=", be_storage_redis_open, be_storage_redis_close},
#endif
	{"library:", "#", open_library, close_library},
	{NULL, NULL, NULL, NULL},
};

static const struct kind *opened; /* a test has one kind */

const char *place_server(void)
{
	return getenv("BE_TEST_SERVER");
}

enum be_status place_open(const char *url, const char *name, struct be_storage **storage)
{
	const struct kind *kind = kinds;
	char text[512];

	*storage = NULL;
	while (kind->begins && strncmp(url, kind->begins, strlen(kind->begins)) != 0)
		kind++;
	if (!kind->begins) {
		be_storage_explain("the tests were built without what this URL takes");
		return BE_STORAGE_FAILED;
	}
	opened = kind;
	snprintf(text, sizeof text, "%s%s%s", url, name ? kind->name_after : "", name ? name : "");
	return kind->open(text, storage);
}

void place_close(struct be_storage *storage)
{
	if (storage)
		opened->close(storage);
}
