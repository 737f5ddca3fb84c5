/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives SQLite in WAL mode. Modes: full, normal and off, its levels of synchronous. Full flushes
 * the log at each commit; normal only before a checkpoint; off never. All statements are prepared
 * once per connection.
 */
#include "pool.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer than any worker waits. */
#define BUSY_MS 60000

struct sqlite {
	sqlite3 *db;
	sqlite3_stmt *begin;
	sqlite3_stmt *commit;
	sqlite3_stmt *raise;
	sqlite3_stmt *insert;
	sqlite3_stmt *look;
	int owner;
};

static void must(sqlite3 *db, int rc)
{
	if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
		die("%s", sqlite3_errmsg(db));
}

static void execute(sqlite3 *db, const char *sql)
{
	must(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3 *connect(const struct run *run)
{
	char text[4096];
	sqlite3 *db = NULL;

	snprintf(text, sizeof text, "%s/budget.sqlite", run->place);
	must(db, sqlite3_open(text, &db));
	must(db, sqlite3_busy_timeout(db, BUSY_MS));
	snprintf(text, sizeof text, "PRAGMA synchronous = %s", run->mode);
	execute(db, text);
	return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement;

	must(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
	return statement;
}

static void sqlite_make(const struct run *run)
{
	sqlite3 *db = connect(run);
	char category[POOL_CATEGORY_SIZE];
	sqlite3_stmt *insert;

	execute(db, "PRAGMA journal_mode = WAL");
	execute(db, "CREATE TABLE envelope (category TEXT PRIMARY KEY, lim INTEGER NOT NULL, "
		    "spent INTEGER NOT NULL, committed INTEGER NOT NULL) WITHOUT ROWID");
	execute(db, "CREATE TABLE pending (id INTEGER PRIMARY KEY, category TEXT NOT NULL, "
		    "amount INTEGER NOT NULL, created_ns INTEGER NOT NULL, owner INTEGER NOT NULL, "
		    "description TEXT NOT NULL)");
	insert = prepare(db, "INSERT INTO envelope VALUES (?1, ?2, 0, 0)");
	execute(db, "BEGIN");
	for (uint64_t i = 0; i < run->envelopes; i++) {
		sqlite3_bind_text(insert, 1, pool_category(i, category), -1, SQLITE_STATIC);
		sqlite3_bind_int64(insert, 2, POOL_LIMIT);
		must(db, sqlite3_step(insert));
		sqlite3_reset(insert);
	}
	execute(db, "COMMIT");
	sqlite3_finalize(insert);
	execute(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_close(db);
}

static void *sqlite_open(const struct run *run)
{
	struct sqlite *sqlite = calloc(1, sizeof *sqlite);

	if (!sqlite)
		die("out of memory");
	sqlite->db = connect(run);
	sqlite->owner = getpid();
	sqlite->begin = prepare(sqlite->db, "BEGIN IMMEDIATE");
	sqlite->commit = prepare(sqlite->db, "COMMIT");
	sqlite->raise =
		prepare(sqlite->db, "UPDATE envelope SET committed = committed + ?2 "
				    "WHERE category = ?1 AND lim - spent - committed >= ?2");
	sqlite->insert =
		prepare(sqlite->db, "INSERT INTO pending (category, amount, created_ns, owner, "
				    "description) VALUES (?1, ?2, ?3, ?4, ?5)");
	sqlite->look = prepare(sqlite->db,
			       "SELECT lim, spent, committed FROM envelope WHERE category = ?1");
	return sqlite;
}

static void sqlite_close(void *self)
{
	struct sqlite *sqlite = self;

	sqlite3_finalize(sqlite->begin);
	sqlite3_finalize(sqlite->commit);
	sqlite3_finalize(sqlite->raise);
	sqlite3_finalize(sqlite->insert);
	sqlite3_finalize(sqlite->look);
	sqlite3_close(sqlite->db);
	free(sqlite);
}

static void run_once(struct sqlite *sqlite, sqlite3_stmt *statement)
{
	must(sqlite->db, sqlite3_step(statement));
	must(sqlite->db, sqlite3_reset(statement));
}

static uint64_t sqlite_reserve(void *self, const char *category)
{
	struct sqlite *sqlite = self;
	uint64_t id = 0;

	run_once(sqlite, sqlite->begin);
	sqlite3_bind_text(sqlite->raise, 1, category, -1, SQLITE_STATIC);
	sqlite3_bind_int64(sqlite->raise, 2, POOL_AMOUNT);
	run_once(sqlite, sqlite->raise);
	if (sqlite3_changes(sqlite->db) == 1) {
		sqlite3_bind_text(sqlite->insert, 1, category, -1, SQLITE_STATIC);
		sqlite3_bind_int64(sqlite->insert, 2, POOL_AMOUNT);
		sqlite3_bind_int64(sqlite->insert, 3, pool_now_ns());
		sqlite3_bind_int(sqlite->insert, 4, sqlite->owner);
		sqlite3_bind_text(sqlite->insert, 5, POOL_DESCRIPTION, -1, SQLITE_STATIC);
		run_once(sqlite, sqlite->insert);
		id = (uint64_t)sqlite3_last_insert_rowid(sqlite->db);
	}
	run_once(sqlite, sqlite->commit);
	return id;
}

static bool sqlite_check(void *self, const char *category)
{
	struct sqlite *sqlite = self;
	bool available = false;

	sqlite3_bind_text(sqlite->look, 1, category, -1, SQLITE_STATIC);
	must(sqlite->db, sqlite3_step(sqlite->look));
	available = sqlite3_column_int64(sqlite->look, 0) - sqlite3_column_int64(sqlite->look, 1) -
			    sqlite3_column_int64(sqlite->look, 2) >=
		    POOL_AMOUNT;
	sqlite3_reset(sqlite->look);
	return available;
}

static int64_t sqlite_committed(void *self, const char *category)
{
	struct sqlite *sqlite = self;
	int64_t committed;

	sqlite3_bind_text(sqlite->look, 1, category, -1, SQLITE_STATIC);
	must(sqlite->db, sqlite3_step(sqlite->look));
	committed = sqlite3_column_int64(sqlite->look, 2);
	sqlite3_reset(sqlite->look);
	return committed;
}

int main(int argc, char **argv)
{
	static const struct driver driver = {
		.name = "sqlite",
		.make = sqlite_make,
		.open = sqlite_open,
		.close = sqlite_close,
		.reserve = sqlite_reserve,
		.check = sqlite_check,
		.committed = sqlite_committed,
	};

	return pool_main(argc, argv, &driver);
}
