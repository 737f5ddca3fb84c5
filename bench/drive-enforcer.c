/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives this library. Modes: full and process, the two durabilities; full-direct and
 * process-direct, the same without group commit; server and server-direct, in the PostgreSQL server
 * whose socket lies in the place, and server-shared, where all envelopes lie in one; redis, in the
 * Redis server likewise, which has nothing else.
 */
#include "pool.h"

#include <budget_enforcer.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#ifdef HAVE_POSTGRES
#include <budget_enforcer_postgres.h>
#include <libpq-fe.h>
#endif
#ifdef HAVE_REDIS
#include <budget_enforcer_redis.h>
#endif

/* So many threads fill an environment: group commit puts their operations into one txn. */
#define FILLERS 16

static void must(enum be_status status)
{
	if (status != BE_OK)
		die("%s: %s", be_status_name(status), be_last_error());
}

static bool is_redis(const struct run *run)
{
	return strcmp(run->mode, "redis") == 0;
}

static bool is_server(const struct run *run)
{
	return strncmp(run->mode, "server", 6) == 0 || is_redis(run);
}

#ifdef HAVE_REDIS
static struct be_storage *open_redis(const struct run *run)
{
	struct be_storage *storage;
	char url[4096];

	snprintf(url, sizeof url, "redis+unix://%s/redis.sock?environment=bench", run->place);
	must(be_storage_redis_open(url, &storage));
	return storage;
}
#else
static struct be_storage *open_redis(const struct run *run)
{
	(void)run;
	die("this was built without hiredis");
}
#endif

#ifdef HAVE_POSTGRES
/* Stays open as long as the process. */
static struct be_storage *open_server(const struct run *run)
{
	struct be_storage *storage;
	char url[4096];

	snprintf(url, sizeof url, "postgresql:///postgres?host=%s&user=postgres", run->place);
	must(be_storage_postgres_open(url, &storage));
	return storage;
}

static void clear_server(const struct run *run)
{
	char text[4096];
	PGconn *connection;
	PGresult *result;

	snprintf(text, sizeof text, "host='%s' user=postgres dbname=postgres", run->place);
	connection = PQconnectdb(text);
	result = PQexec(connection, "DROP TABLE IF EXISTS budget_enforcer");
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("%s", PQerrorMessage(connection));
	PQclear(result);
	PQfinish(connection);
}
#else
static struct be_storage *open_server(const struct run *run)
{
	(void)run;
	die("this was built without libpq");
}

static void clear_server(const struct run *run)
{
	(void)run;
}
#endif

static struct be_enforcer *open_as(const struct run *run, const char *mode)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.durability =
		strncmp(mode, "process", 7) == 0 ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL;
	if (strstr(mode, "-direct"))
		options.flags = BE_OPEN_DIRECT;
	if (is_server(run))
		options.storage = is_redis(run) ? open_redis(run) : open_server(run);
	must(be_open(is_server(run) ? NULL : run->place, &options, &handle));
	return handle;
}

static void *enforcer_open(const struct run *run)
{
	return open_as(run, run->mode);
}

static void enforcer_close(void *self)
{
	be_close(self);
}

/* ---- filling */

struct filler {
	pthread_t thread;
	struct be_enforcer *handle;
	const struct run *run;
	uint64_t first;
};

static void *fill_envelopes(void *context)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	const struct filler *filler = context;
	char category[POOL_CATEGORY_SIZE];

	if (strstr(filler->run->mode, "-shared")) {
		options.parent_category = "all";
		must(be_envelope_ensure(filler->handle, "all", POOL_LIMIT, BE_PERIOD_TOTAL, NULL));
	}
	for (uint64_t i = filler->first; i < filler->run->envelopes; i += FILLERS)
		must(be_envelope_create(filler->handle, pool_category(i, category), POOL_LIMIT,
					BE_PERIOD_TOTAL, &options));
	return NULL;
}

static void *fill_pending(void *context)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	const struct filler *filler = context;
	char category[POOL_CATEGORY_SIZE];
	uint64_t id;

	options.detached = true; /* so that they outlive this process */
	for (uint64_t i = filler->first; i < filler->run->pending; i += FILLERS)
		must(be_commit_with(filler->handle,
				    pool_category(i % filler->run->envelopes, category),
				    POOL_AMOUNT, POOL_DESCRIPTION, &options, &id, NULL));
	return NULL;
}

static void *fill_ledger(void *context)
{
	const struct filler *filler = context;
	char category[POOL_CATEGORY_SIZE];

	for (uint64_t i = filler->first; i < filler->run->ledger; i += FILLERS)
		must(be_record(filler->handle, pool_category(i % filler->run->envelopes, category),
			       POOL_AMOUNT, POOL_DESCRIPTION, NULL));
	return NULL;
}

static void fill(const struct run *run, void *(*filled_by)(void *context))
{
	struct filler fillers[FILLERS];
	struct be_enforcer *handle = open_as(run, "process");

	for (unsigned i = 0; i < FILLERS; i++) {
		fillers[i] = (struct filler){.handle = handle, .run = run, .first = i};
		if (pthread_create(&fillers[i].thread, NULL, filled_by, &fillers[i]) != 0)
			die("a thread could not be made");
	}
	for (unsigned i = 0; i < FILLERS; i++)
		pthread_join(fillers[i].thread, NULL);
	be_close(handle);
}

/* Without flushes; the first to open it with another durability flushes it all. */
static void enforcer_make(const struct run *run)
{
	if (is_server(run) && !is_redis(run))
		clear_server(run);
	fill(run, fill_envelopes);
	if (run->pending > 0)
		fill(run, fill_pending);
	if (run->ledger > 0)
		fill(run, fill_ledger);
	be_close(open_as(run, run->mode));
}

/* ---- what is measured */

static uint64_t enforcer_reserve(void *self, const char *category)
{
	uint64_t id;

	must(be_commit(self, category, POOL_AMOUNT, POOL_DESCRIPTION, &id));
	return id;
}

static bool enforcer_check(void *self, const char *category)
{
	return be_check(self, category, POOL_AMOUNT, NULL) == BE_OK;
}

static void enforcer_settle(void *self, uint64_t id)
{
	must(be_settle(self, id, POOL_AMOUNT, NULL, NULL));
}

struct listing {
	uint64_t *ids;
	size_t count;
};

static bool list_one(void *context, const struct be_commit_info *commit)
{
	struct listing *listing = context;

	if (commit->detached)
		listing->ids[listing->count++] = commit->id;
	return true;
}

static size_t enforcer_list(void *self, uint64_t *ids, size_t room)
{
	struct be_filter filter = BE_FILTER_INIT;
	struct listing listing = {.ids = ids};

	filter.max_count = room;
	if (room > 0)
		must(be_commits_each(self, &filter, list_one, &listing));
	return listing.count;
}

static void enforcer_prune(void *self)
{
	must(be_prune(self, pool_now_ns(), NULL, NULL, NULL));
}

static void enforcer_verify(void *self)
{
	must(be_verify(self, NULL, NULL, NULL));
}

static int64_t enforcer_committed(void *self, const char *category)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	must(be_utilization(self, category, &envelope));
	return envelope.committed;
}

int main(int argc, char **argv)
{
	static const struct driver driver = {
		.name = "enforcer",
		.make = enforcer_make,
		.open = enforcer_open,
		.close = enforcer_close,
		.reserve = enforcer_reserve,
		.check = enforcer_check,
		.settle = enforcer_settle,
		.list = enforcer_list,
		.prune = enforcer_prune,
		.verify = enforcer_verify,
		.committed = enforcer_committed,
	};

	return pool_main(argc, argv, &driver);
}
