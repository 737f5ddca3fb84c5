/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a PostgreSQL server over its unix socket, which lies in the place. A reserve is one call
 * of a function by a prepared statement, a txn of its own. Modes: on and off, its
 * synchronous_commit; on-shared, where all envelopes lie in one, which has to have the amount, too.
 */
#include "pool.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Envelopes have room on their pages, so that updates stay on the page and touch no index. */
static const char *const schema[] = {
	"SET client_min_messages = warning",
	"DROP TABLE IF EXISTS envelope, pending",
	"CREATE TABLE envelope (category text PRIMARY KEY, lim bigint NOT NULL, spent bigint NOT "
	"NULL, "
	"committed bigint NOT NULL) WITH (fillfactor = 50)",
	"CREATE TABLE pending (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, category text "
	"NOT NULL, "
	"amount bigint NOT NULL, created_ns bigint NOT NULL, owner int NOT NULL, description text "
	"NOT NULL)",
	"CREATE OR REPLACE FUNCTION reserve(asked text, wanted bigint, now_ns bigint, by int, why "
	"text, is_shared bool) "
	"RETURNS bigint LANGUAGE plpgsql AS $$ "
	"DECLARE new_id bigint; "
	"BEGIN "
	"UPDATE envelope SET committed = committed + wanted "
	"WHERE category = asked AND lim - spent - committed >= wanted; "
	"IF NOT FOUND THEN RETURN 0; END IF; "
	"IF is_shared THEN "
	"UPDATE envelope SET committed = committed + wanted "
	"WHERE category = 'all' AND lim - spent - committed >= wanted; "
	"IF NOT FOUND THEN RAISE 'the shared one refuses'; END IF; "
	"END IF; "
	"INSERT INTO pending (category, amount, created_ns, owner, description) "
	"VALUES (asked, wanted, now_ns, by, why) RETURNING id INTO new_id; "
	"RETURN new_id; "
	"END $$",
};

struct postgres {
	PGconn *connection;
	const char *is_shared;
	char owner[12];
};

static PGresult *must(PGconn *connection, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(connection));
	return result;
}

static void execute(PGconn *connection, const char *sql)
{
	PQclear(must(connection, PQexec(connection, sql)));
}

static PGconn *connect(const struct run *run)
{
	char text[4096];
	PGconn *connection;

	snprintf(text, sizeof text,
		 "host='%s' user=postgres dbname=postgres options='-c synchronous_commit=%.*s'",
		 run->place, (int)strcspn(run->mode, "-"), run->mode);
	connection = PQconnectdb(text);
	if (PQstatus(connection) != CONNECTION_OK)
		die("%s", PQerrorMessage(connection));
	return connection;
}

static void postgres_make(const struct run *run)
{
	PGconn *connection = connect(run);
	char text[256];

	for (size_t i = 0; i < sizeof schema / sizeof *schema; i++)
		execute(connection, schema[i]);
	snprintf(text, sizeof text,
		 "INSERT INTO envelope SELECT 'envelope-' || to_char(i, 'FM000000'), %" PRId64
		 ", 0, 0 "
		 "FROM generate_series(0, %" PRIu64 ") AS i",
		 POOL_LIMIT, run->envelopes - 1);
	execute(connection, text);
	snprintf(text, sizeof text, "INSERT INTO envelope VALUES ('all', %" PRId64 ", 0, 0)",
		 POOL_LIMIT);
	execute(connection, text);
	execute(connection, "VACUUM ANALYZE envelope");
	execute(connection, "CHECKPOINT");
	PQfinish(connection);
}

static void *postgres_open(const struct run *run)
{
	struct postgres *postgres = calloc(1, sizeof *postgres);

	if (!postgres)
		die("out of memory");
	postgres->connection = connect(run);
	postgres->is_shared = strstr(run->mode, "-shared") ? "true" : "false";
	snprintf(postgres->owner, sizeof postgres->owner, "%d", getpid());
	PQclear(must(
		postgres->connection,
		PQprepare(postgres->connection, "reserve",
			  "SELECT reserve($1::text, $2::bigint, $3::bigint, $4::int, $5::text, "
			  "$6::bool)",
			  6, NULL)));
	PQclear(must(
		postgres->connection,
		PQprepare(postgres->connection, "look",
			  "SELECT lim, spent, committed FROM envelope WHERE category = $1::text", 1,
			  NULL)));
	return postgres;
}

static void postgres_close(void *self)
{
	struct postgres *postgres = self;

	PQfinish(postgres->connection);
	free(postgres);
}

static int64_t number(const PGresult *result, int column)
{
	return strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

static uint64_t postgres_reserve(void *self, const char *category)
{
	struct postgres *postgres = self;
	char amount[24], now[24];
	const char *values[] = {category,        amount,           now,
				postgres->owner, POOL_DESCRIPTION, postgres->is_shared};
	PGresult *result;
	uint64_t id;

	snprintf(amount, sizeof amount, "%" PRId64, POOL_AMOUNT);
	snprintf(now, sizeof now, "%" PRId64, pool_now_ns());
	result = must(postgres->connection,
		      PQexecPrepared(postgres->connection, "reserve", 6, values, NULL, NULL, 0));
	id = (uint64_t)number(result, 0);
	PQclear(result);
	return id;
}

static PGresult *look(struct postgres *postgres, const char *category)
{
	PGresult *result = must(postgres->connection, PQexecPrepared(postgres->connection, "look",
								     1, &category, NULL, NULL, 0));

	if (PQntuples(result) != 1)
		die("there is no envelope %s", category);
	return result;
}

static bool postgres_check(void *self, const char *category)
{
	PGresult *result = look(self, category);
	bool available = number(result, 0) - number(result, 1) - number(result, 2) >= POOL_AMOUNT;

	PQclear(result);
	return available;
}

static int64_t postgres_committed(void *self, const char *category)
{
	PGresult *result = look(self, category);
	int64_t committed = number(result, 2);

	PQclear(result);
	return committed;
}

int main(int argc, char **argv)
{
	static const struct driver driver = {
		.name = "postgres",
		.make = postgres_make,
		.open = postgres_open,
		.close = postgres_close,
		.reserve = postgres_reserve,
		.check = postgres_check,
		.committed = postgres_committed,
	};

	return pool_main(argc, argv, &driver);
}
