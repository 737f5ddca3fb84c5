/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/postgres/connection.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICROSECONDS "(extract(epoch from clock_timestamp()) * 1000000)::int8"
/* The first part of the name of the file that is written to. */
#define TIMELINE "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8"

/* For servers that have none. */
static const char lock_without_timeline[] =
	"SELECT v, " MICROSECONDS ", 0::int8 FROM $T WHERE k = '\\x03' FOR UPDATE";

/* The table's name takes the place of each T. */
static const char *const statements[] = {
	[STATEMENT_BEGIN] = "BEGIN READ WRITE",
	[STATEMENT_BEGIN_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_ROLLBACK] = "ROLLBACK",
	[STATEMENT_LOCK] =
		"SELECT v, " MICROSECONDS ", " TIMELINE " FROM $T WHERE k = '\\x03' FOR UPDATE",
	[STATEMENT_CLOCK] = "SELECT " MICROSECONDS,
	[STATEMENT_FETCH] = "SELECT k, v FROM $T WHERE k = ANY($1::bytea[])",
	[STATEMENT_SCAN] = "SELECT k, v FROM $T WHERE k >= $1::bytea AND v IS NOT NULL "
			   "ORDER BY k LIMIT $2::int8",
	[STATEMENT_PUT] = "INSERT INTO $T SELECT * FROM unnest($1::bytea[], $2::bytea[]) "
			  "ON CONFLICT (k) DO UPDATE SET v = excluded.v",
	[STATEMENT_DELETE] = "DELETE FROM $T WHERE k = ANY($1::bytea[])",
};

static const char *const names[] = {
	"be_begin", "be_begin_read", "be_commit", "be_rollback", "be_lock",
	"be_clock", "be_fetch",      "be_scan",   "be_put",      "be_delete",
};

/* ---- faults */

/* What a server's SQLSTATE means to us. */
static const struct {
	const char *begins;
	int status;
} states[] = {
	{"40001", BE_STORAGE_CONFLICT}, /* serialization_failure */
	{"40P01", BE_STORAGE_CONFLICT}, /* deadlock_detected */
	{"40003", BE_STORAGE_IN_DOUBT}, /* statement_completion_unknown */
	{"55P03", BE_STORAGE_CONFLICT}, /* lock_not_available */
	{"08", LINK_LOST},
	{"25P03", LINK_LOST}, /* idle_in_transaction_session_timeout */
	{"57P", LINK_LOST},   /* the server goes down or comes up */
	{"53100", BE_DISK_FULL},
	{"53200", BE_NO_MEMORY},
	{"53", BE_TOO_MANY_PROCESSES},
	{"42501", BE_PERMISSION},
	{"25006", BE_PERMISSION}, /* read_only_sql_transaction: a standby */
};

static int fault_of(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	int status = BE_IO_ERROR;

	if (!state)
		return link_fail(LINK_LOST, "libpq: %s",
				 result ? PQresultErrorMessage(result) : "out of memory");
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strncmp(state, states[i].begins, strlen(states[i].begins)) == 0) {
			status = states[i].status;
			break;
		}
	return link_fail(status, "the PostgreSQL server: %s", PQresultErrorMessage(result));
}

static int lost(const struct connection *connection)
{
	const char *why = PQerrorMessage(connection->pg);

	return link_fail(LINK_LOST, "the connection to the PostgreSQL server: %s",
			 *why ? why : "there was no answer");
}

/* ---- statements */

int connection_send(struct connection *connection, enum statement statement,
		    const struct parameter *parameters, int count)
{
	const char *values[2] = {NULL, NULL};
	int lengths[2] = {0, 0}, formats[2] = {1, 1};

	for (int i = 0; i < count; i++) {
		values[i] = parameters[i].bytes;
		lengths[i] = (int)parameters[i].size;
	}
	return PQsendQueryPrepared(connection->pg, names[statement], count, values, lengths,
				   formats, 1) == 1
		       ? 0
		       : lost(connection);
}

/* Waits until something can be read, or written if there is something to write. */
static bool wait_for_socket(struct connection *connection, int64_t until_ns)
{
	int64_t left_ms = (until_ns - link_clock()) / 1000000;
	int unsent = PQflush(connection->pg);
	struct pollfd socket = {.fd = PQsocket(connection->pg),
				.events = (short)(POLLIN | (unsent == 1 ? POLLOUT : 0))};
	int ready;

	if (unsent < 0 || left_ms < 0)
		return false;
	ready = poll(&socket, 1, (int)left_ms + 1);
	if (ready < 0)
		return errno == EINTR;
	if (ready > 0 && (socket.revents & ~POLLOUT))
		return PQconsumeInput(connection->pg) == 1;
	return true;
}

/* The next result of the pipeline; NULL at the end of one statement's. False: the connection is
 * lost. */
static bool next_result(struct connection *connection, int64_t until_ns, PGresult **result)
{
	while (PQisBusy(connection->pg))
		if (!wait_for_socket(connection, until_ns))
			return false;
	*result = PQgetResult(connection->pg);
	return *result || PQstatus(connection->pg) == CONNECTION_OK;
}

/* Reads past what nobody has waited for. */
static bool drain(struct connection *connection, int64_t until_ns)
{
	while (connection->unread > 0) {
		PGresult *result;

		if (!next_result(connection, until_ns, &result))
			return false;
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
			connection->unread--;
		PQclear(result);
	}
	return true;
}

/* A server, or what is before it, that leaves statements unanswered tells nothing about any. */
static bool has_all(PGresult *const *results, int count)
{
	while (count > 0 && results[count - 1])
		count--;
	return count == 0;
}

static int gather(struct connection *connection, PGresult **results, int count)
{
	int64_t until_ns = link_clock() + LINK_TRIP_NS;
	int status = 0, at = 0;

	if (PQpipelineSync(connection->pg) != 1 || !drain(connection, until_ns))
		return lost(connection);
	for (;;) {
		PGresult *result;

		if (!next_result(connection, until_ns, &result))
			return lost(connection);
		if (!result)
			continue; /* the end of one statement's */
		switch (PQresultStatus(result)) {
		case PGRES_PIPELINE_SYNC:
			PQclear(result);
			return status != 0 || has_all(results, count) ? status : lost(connection);
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
			if (at < count)
				results[at++] = result;
			break;
		case PGRES_FATAL_ERROR:
			if (status == 0 || status == BE_STORAGE_CONFLICT)
				status = fault_of(result);
			PQclear(result);
			at++;
			if (status == LINK_LOST)
				return status;
			break;
		default: /* not carried out, since one before has failed */
			at++;
			PQclear(result);
		}
	}
}

int connection_wait(struct connection *connection, PGresult **results, int count)
{
	int cancel_state, status;

	memset(results, 0, (size_t)count * sizeof(PGresult *));
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	status = gather(connection, results, count);
	pthread_setcancelstate(cancel_state, NULL);
	return status;
}

void connection_send_last(struct connection *connection, enum statement statement)
{
	int64_t until_ns = link_clock() + LINK_TRIP_NS;

	if (connection_send(connection, statement, NULL, 0) != 0 ||
	    PQpipelineSync(connection->pg) != 1)
		return;
	connection->unread++;
	while (PQflush(connection->pg) == 1)
		if (!wait_for_socket(connection, until_ns))
			return;
}

bool connection_is_good(const struct connection *connection)
{
	return PQstatus(connection->pg) == CONNECTION_OK;
}

/* ---- opening */

static void say_nothing(void *context, const PGresult *result)
{
	(void)context;
	(void)result;
}

/* A command outside a pipeline. */
static int run(struct connection *connection, const char *sql)
{
	PGresult *result = PQexec(connection->pg, sql);
	ExecStatusType outcome = PQresultStatus(result);
	int status = 0;

	if (outcome != PGRES_COMMAND_OK && outcome != PGRES_TUPLES_OK)
		status = connection_is_good(connection) ? fault_of(result) : lost(connection);
	PQclear(result);
	return status;
}

static void write_statement(const char *sql, const char *table, char *text, size_t size)
{
	const char *at = strstr(sql, "$T");

	if (at)
		snprintf(text, size, "%.*s\"%s\"%s", (int)(at - sql), sql, table, at + 2);
	else
		snprintf(text, size, "%s", sql);
}

/* What speaks PostgreSQL's protocol may know no timelines, and then there is no history. A standby
 * may be promoted while this connection lasts. */
static int find_cluster(struct connection *connection)
{
	PGresult *result = PQexec(connection->pg,
				  "SELECT system_identifier, CASE WHEN pg_is_in_recovery() THEN 0 "
				  "ELSE " TIMELINE " END FROM pg_control_system()");
	int status = 0;

	connection->cluster = 0;
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		connection->cluster = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
	else if (!connection_is_good(connection))
		status = lost(connection);
	PQclear(result);
	return status;
}

static const char *statement_of(const struct connection *connection, int statement)
{
	return statement == STATEMENT_LOCK && connection->cluster == 0 ? lock_without_timeline
								       : statements[statement];
}

/* Prepares all statements in one trip. */
static int prepare(struct connection *connection)
{
	PGresult *results[STATEMENTS];
	char text[512];
	int status = find_cluster(connection);

	if (status != 0)
		return status;
	if (PQenterPipelineMode(connection->pg) != 1 || PQsetnonblocking(connection->pg, 1) != 0)
		return lost(connection);
	for (int i = 0; i < STATEMENTS; i++) {
		write_statement(statement_of(connection, i), connection->table, text, sizeof text);
		if (PQsendPrepare(connection->pg, names[i], text, 0, NULL) != 1)
			return lost(connection);
	}
	status = connection_wait(connection, results, STATEMENTS);
	for (int i = 0; i < STATEMENTS; i++)
		PQclear(results[i]);
	return status;
}

static int look_for_table(struct connection *connection)
{
	char name[CONNECTION_TABLE_SIZE + 2];
	const char *values[] = {name};
	PGresult *result;
	int status = 0;

	snprintf(name, sizeof name, "\"%s\"", connection->table);
	result = PQexecParams(connection->pg, "SELECT to_regclass($1) IS NOT NULL", 1, NULL, values,
			      NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		status = connection_is_good(connection) ? fault_of(result) : lost(connection);
	else
		connection->has_table = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	return status;
}

/* In one txn, so that nobody sees the table without the header's row, which is there from the
 * beginning to be locked. Who else makes it at the same time may be first, which is no fault. */
static int make_table(struct connection *connection)
{
	char text[512];
	int made, found;

	write_statement("CREATE TABLE $T (k bytea PRIMARY KEY, v bytea) WITH (fillfactor = 70); ",
			connection->table, text, sizeof text);
	write_statement("INSERT INTO $T VALUES ('\\x03', NULL)", connection->table,
			text + strlen(text), sizeof text - strlen(text));
	made = run(connection, text);
	if (made == LINK_LOST)
		return made;
	found = look_for_table(connection);
	if (found != 0 || !connection->has_table)
		return made != 0 ? made : found;
	if (made != 0)
		return 0;
	/* Records are small, and better in one place. A server that knows no such thing may do
	 * without. */
	write_statement("ALTER TABLE $T ALTER v SET STORAGE MAIN", connection->table, text,
			sizeof text);
	made = run(connection, text);
	return made == LINK_LOST ? made : 0;
}

int connection_find_table(struct connection *connection, bool create)
{
	int status;

	if (connection->has_table)
		return 0;
	status = look_for_table(connection);
	if (status == 0 && !connection->has_table && create)
		status = make_table(connection);
	return status == 0 && connection->has_table ? prepare(connection) : status;
}

static PGconn *connect_to(const char *url)
{
	/* What the URL says goes before what stands in front of it. */
	static const char *const keywords[] = {"connect_timeout",  "tcp_user_timeout",
					       "application_name", "client_encoding",
					       "dbname",           NULL};
	const char *values[] = {"5", "10000", "budget-enforcer", "UTF8", url, NULL};

	return PQconnectdbParams(keywords, values, 1);
}

int connection_open(const char *url, const char *table, struct connection **connection)
{
	struct connection *made = calloc(1, sizeof *made);
	int cancel_state, status;

	if (!made)
		return BE_NO_MEMORY;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	made->table = table;
	made->place = -1;
	made->pg = connect_to(url);
	if (PQstatus(made->pg) == CONNECTION_OK) {
		made->place = link_note_socket(PQsocket(made->pg));
		PQsetNoticeReceiver(made->pg, say_nothing, NULL);
		/* A server that does not know the first has another way to end idle sessions. */
		(void)run(made, "SET idle_in_transaction_session_timeout = " CONNECTION_IDLE_MS);
		(void)run(made, "SELECT set_config('synchronous_commit', 'on', false) "
				"WHERE current_setting('synchronous_commit') = 'off'");
		status = connection_find_table(made, false);
	} else {
		status = lost(made);
	}
	pthread_setcancelstate(cancel_state, NULL);
	if (status != 0)
		connection_close(made);
	else
		*connection = made;
	return status;
}

void connection_close(struct connection *connection)
{
	if (!connection)
		return;
	link_forget_socket(connection->place);
	PQfinish(connection->pg);
	free(connection);
}

static bool is_good(const struct link *link)
{
	return connection_is_good((const struct connection *)link);
}

static void close_link(struct link *link)
{
	connection_close((struct connection *)link);
}

const struct link_kind connection_kind = {is_good, close_link};

static const char *first_value(const PGresult *result)
{
	return PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0) : "-";
}

/* Two clusters may have been reached by one name, one after the other: each has an identifier of
 * its own, which who may not read it does without. The same name is another table in another
 * schema, and who leads must flush as the others want it. */
void connection_name(struct connection *connection, char *text, size_t size)
{
	PGconn *pg = connection->pg;
	bool in_pipeline = PQpipelineStatus(pg) != PQ_PIPELINE_OFF;
	PGresult *cluster, *session;
	int cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	if (in_pipeline)
		(void)PQexitPipelineMode(pg);
	cluster = PQexec(pg, "SELECT system_identifier FROM pg_control_system()");
	session = PQexec(pg, "SELECT array_to_string(current_schemas(false), ',') || ' ' || "
			     "current_setting('synchronous_commit')");
	snprintf(text, size, "postgresql %s %s %s %s %s %s %s %s", PQhost(pg), PQhostaddr(pg),
		 PQport(pg), PQdb(pg), PQuser(pg), connection->table, first_value(cluster),
		 first_value(session));
	PQclear(cluster);
	PQclear(session);
	if (in_pipeline)
		(void)PQenterPipelineMode(pg);
	pthread_setcancelstate(cancel_state, NULL);
}
