/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage in a table of a PostgreSQL server:
 *
 *     (k bytea PRIMARY KEY, v bytea)      v NULL: there is no such record
 *
 * with a row for the header, key 3, from the beginning. A write txn begins by locking that row, so
 * that write txns come one after the other; all that it reads after that is as the one before left
 * it. Where the server's isolation is stricter than READ COMMITTED, a txn that had to wait is
 * refused by the server instead, which is a conflict. A read txn is one snapshot.
 *
 * A txn has a connection of its own from begin to end. Its first trip begins it on the server, and
 * brings the keys that it was told of beforehand; until then nothing has happened there, so that
 * this trip may be made again on another connection. What it reads and writes is kept in an
 * overlay, and the changes are sent with COMMIT in one trip. Whether the answer to that comes or
 * not, the session that sent it holds the row's lock until it ends: so a later write txn finds the
 * changes, or they never come.
 *
 * The storage knows two things of what it keeps: the header's key, and that every txn which changes
 * anything reads the header first.
 */
#include "storage/postgres/connection.h"
#include "storage/remote/link.h"
#include "storage/remote/view.h"

#include <budget_enforcer_postgres.h>

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BYTEA 17

struct postgres {
	struct be_storage interface;
	_Atomic(struct links *) links;
	char table[CONNECTION_TABLE_SIZE];
	char where[512];
	char url[];
};

struct buffer {
	unsigned char *bytes;
	size_t size;
	size_t room;
	bool failed; /* there was no memory */
};

struct postgres_txn {
	struct view view;
	struct postgres *postgres;
	struct connection *connection;
	bool is_empty; /* there is no table, and this txn only reads */
};

/* ---- parameters */

static void add(struct buffer *buffer, const void *bytes, size_t size)
{
	if (!buffer->failed && buffer->size + size > buffer->room) {
		size_t room = 2 * (buffer->size + size) + 256;
		unsigned char *larger = realloc(buffer->bytes, room);

		buffer->failed = !larger;
		if (larger) {
			buffer->bytes = larger;
			buffer->room = room;
		}
	}
	if (buffer->failed)
		return;
	if (size > 0)
		memcpy(buffer->bytes + buffer->size, bytes, size);
	buffer->size += size;
}

static void add_number(struct buffer *buffer, uint32_t number)
{
	number = htonl(number);
	add(buffer, &number, sizeof number);
}

/* An array of bytea as it is sent: dimensions, has NULLs, type; then count and first index. */
static void begin_array(struct buffer *buffer)
{
	add_number(buffer, 1);
	add_number(buffer, 0);
	add_number(buffer, BYTEA);
	add_number(buffer, 0);
	add_number(buffer, 1);
}

static void add_item(struct buffer *buffer, struct be_bytes item)
{
	add_number(buffer, (uint32_t)item.size);
	add(buffer, item.data, item.size);
}

static void end_array(struct buffer *buffer, size_t count)
{
	uint32_t number = htonl((uint32_t)count);

	if (!buffer->failed)
		memcpy(buffer->bytes + 3 * sizeof number, &number, sizeof number);
}

static struct parameter parameter_of(const struct buffer *buffer)
{
	return (struct parameter){buffer->bytes, buffer->size};
}

static int64_t read_number(const PGresult *result, int row, int column)
{
	uint64_t number = 0;

	if (PQgetlength(result, row, column) == sizeof number)
		memcpy(&number, PQgetvalue(result, row, column), sizeof number);
	return (int64_t)__builtin_bswap64(number);
}

static struct be_bytes cell(const PGresult *result, int row, int column)
{
	return (struct be_bytes){PQgetvalue(result, row, column),
				 (size_t)PQgetlength(result, row, column)};
}

static void clear_results(PGresult **results, int count)
{
	for (int i = 0; i < count; i++)
		PQclear(results[i]);
}

/* ---- connections */

static int connect_txn(struct postgres_txn *txn)
{
	struct links *links = links_find(&txn->postgres->links);

	if (!links)
		return BE_NO_MEMORY;
	if (!txn->connection)
		txn->connection = (struct connection *)links_take(links);
	return txn->connection ? 0
			       : connection_open(txn->postgres->url, txn->postgres->table,
						 &txn->connection);
}

static void disconnect(struct postgres_txn *txn)
{
	connection_close(txn->connection);
	txn->connection = NULL;
}

/* ---- reading */

static bool take_rows(struct overlay *overlay, const PGresult *result)
{
	for (int i = 0; i < PQntuples(result); i++)
		if (!overlay_set(overlay, cell(result, i, 0), cell(result, i, 1),
				 PQgetisnull(result, i, 1) ? OVERLAY_ABSENT : OVERLAY_READ))
			return false;
	return true;
}

/* A restored or copied cluster has another identifier, or another timeline than the one it was
 * copied of once that is promoted. */
static uint64_t history_of(uint64_t cluster, uint64_t timeline)
{
	return cluster == 0 || timeline == 0
		       ? 0
		       : (cluster ^ timeline * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

static bool take_header(struct postgres_txn *txn, const PGresult *result)
{
	txn->view.now_ns = read_number(result, 0, 1) * 1000;
	txn->view.history =
		history_of(txn->connection->cluster, (uint64_t)read_number(result, 0, 2));
	return overlay_set(&txn->view.overlay, view_header_key, cell(result, 0, 0),
			   PQgetisnull(result, 0, 0) ? OVERLAY_ABSENT : OVERLAY_READ);
}

/* What was asked for and did not come is not there. */
static bool mark_absent(struct postgres_txn *txn, const struct be_bytes *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!overlay_find(&txn->view.overlay, keys[i]) &&
		    !overlay_set(&txn->view.overlay, keys[i], (struct be_bytes){NULL, 0},
				 OVERLAY_ABSENT))
			return false;
	return true;
}

/* The keys of which nothing is known yet. */
static size_t list_unknown(const struct postgres_txn *txn, const struct be_bytes *keys,
			   size_t count, struct buffer *list)
{
	size_t unknown = 0;

	begin_array(list);
	for (size_t i = 0; i < count; i++)
		if (!overlay_find(&txn->view.overlay, keys[i])) {
			add_item(list, keys[i]);
			unknown++;
		}
	end_array(list, unknown);
	return unknown;
}

static int ask_for(struct postgres_txn *txn, const struct buffer *list)
{
	struct parameter parameter = parameter_of(list);

	return list->failed ? BE_NO_MEMORY
			    : connection_send(txn->connection, STATEMENT_FETCH, &parameter, 1);
}

/* The rows of a scan from `from` on. */
static int take_scan(struct postgres_txn *txn, struct be_bytes from, const PGresult *result)
{
	struct window *window = &txn->view.window;
	uint32_t rows = (uint32_t)PQntuples(result);
	struct be_bytes last = {NULL, 0};
	int status = 0;

	if (rows > window->most)
		return link_fail(BE_STORAGE_FAILED,
				 "the PostgreSQL server lists more than it was asked for");
	for (uint32_t i = 0; i < rows && status == 0; i++)
		status = window_check(from, &last, cell(result, (int)i, 0));
	if (status != 0)
		return status;
	if (!take_rows(&txn->view.overlay, result))
		return BE_NO_MEMORY;
	window_take(window, from, rows < window->most ? NULL : &last);
	return 0;
}

static int ask_scan(struct postgres_txn *txn, struct be_bytes from)
{
	int64_t most = (int64_t)__builtin_bswap64(txn->view.window.most);
	struct parameter parameters[2] = {{from.data, from.size}, {&most, sizeof most}};

	return connection_send(txn->connection, STATEMENT_SCAN, parameters, 2);
}

static int send_question(struct postgres_txn *txn, const struct question *question,
			 const struct buffer *list, size_t wanted)
{
	int status = connection_send(
		txn->connection, txn->view.write ? STATEMENT_BEGIN : STATEMENT_BEGIN_READ, NULL, 0);

	if (status == 0)
		status = connection_send(txn->connection,
					 txn->view.write ? STATEMENT_LOCK : STATEMENT_CLOCK, NULL,
					 0);
	if (status == 0 && wanted > 0)
		status = ask_for(txn, list);
	if (status == 0 && question->from)
		status = ask_scan(txn, *question->from);
	return status;
}

/* Takes the header's lock and the time, and what was asked for. */
static int take_answers(struct postgres_txn *txn, const struct question *question,
			PGresult **results, bool has_keys)
{
	if (PQntuples(results[1]) != 1)
		return link_fail(BE_DAMAGED, "the table \"%s\" has lost the row of the header",
				 txn->postgres->table);
	if (!txn->view.write)
		txn->view.now_ns = read_number(results[1], 0, 0) * 1000;
	else if (!take_header(txn, results[1]))
		return BE_NO_MEMORY;
	if ((has_keys && !take_rows(&txn->view.overlay, results[2])) ||
	    !mark_absent(txn, question->keys, question->count))
		return BE_NO_MEMORY;
	return question->from ? take_scan(txn, *question->from, results[2 + has_keys]) : 0;
}

/* Begins on the server, and asks: one trip. */
static int begin_once(struct postgres_txn *txn, const struct question *question)
{
	struct buffer list = {0};
	PGresult *results[4] = {NULL, NULL, NULL, NULL};
	int status = connection_find_table(txn->connection, txn->view.write);
	size_t wanted = list_unknown(txn, question->keys, question->count, &list);

	txn->is_empty = status == 0 && !txn->connection->has_table;
	if (status == 0 && !txn->is_empty) {
		status = send_question(txn, question, &list, wanted);
		if (status == 0)
			status = connection_wait(txn->connection, results,
						 2 + (wanted > 0) + (question->from != NULL));
		txn->view.is_begun = status != LINK_LOST;
		if (status == 0)
			status = take_answers(txn, question, results, wanted > 0);
	}
	free(list.bytes);
	clear_results(results, 4);
	return status;
}

/* Until it can be told whether the server can be reached. */
static int begin_on_server(struct postgres_txn *txn, const struct question *question)
{
	int64_t since_ns = link_clock();

	for (;;) {
		int status = connect_txn(txn);

		if (status == 0)
			status = begin_once(txn, question);
		if (status != LINK_LOST)
			return status;
		disconnect(txn);
		if (!link_try_again(since_ns))
			return BE_UNREACHABLE;
	}
}

/* A txn in the midst of which the connection was lost has done nothing. */
static int lost_amid(struct postgres_txn *txn, int status)
{
	if (status != LINK_LOST)
		return status;
	disconnect(txn);
	return txn->view.write ? BE_STORAGE_CONFLICT : BE_UNREACHABLE;
}

/* Makes sure that something is known of each key. */
static int fetch(struct view *view, const struct be_bytes *keys, size_t count)
{
	struct postgres_txn *txn = (struct postgres_txn *)view;
	struct buffer list = {0};
	PGresult *result = NULL;
	int status = 0;

	if (!txn->view.is_begun && !txn->is_empty) {
		status = begin_on_server(txn, &(struct question){keys, count, NULL});
		if (status != 0 || !txn->is_empty)
			return status;
	}
	if (txn->is_empty)
		return mark_absent(txn, keys, count) ? 0 : BE_NO_MEMORY;
	if (!txn->connection)
		return lost_amid(txn, LINK_LOST);
	if (list_unknown(txn, keys, count, &list) > 0) {
		status = ask_for(txn, &list);
		if (status == 0)
			status = connection_wait(txn->connection, &result, 1);
		if (status == 0 &&
		    (!take_rows(&txn->view.overlay, result) || !mark_absent(txn, keys, count)))
			status = BE_NO_MEMORY;
		PQclear(result);
	}
	free(list.bytes);
	return lost_amid(txn, status);
}

/* ---- walking */

/* What has not begun begins with that, and reads the header, too. */
static int scan_on_server(struct postgres_txn *txn, struct be_bytes from)
{
	PGresult *result = NULL;
	int status;

	if (!txn->view.is_begun)
		return begin_on_server(txn, &(struct question){&view_header_key, 1, &from});
	if (!txn->connection)
		return lost_amid(txn, LINK_LOST);
	if (!txn->view.write && txn->view.overlay.bytes > LINK_READ_MAX)
		overlay_forget(&txn->view.overlay);
	status = ask_scan(txn, from);
	if (status == 0)
		status = connection_wait(txn->connection, &result, 1);
	if (status == 0)
		status = take_scan(txn, from, result);
	PQclear(result);
	return lost_amid(txn, status);
}

static int scan(void *context, struct be_bytes from)
{
	struct postgres_txn *txn = context;
	int status = txn->is_empty ? 0 : scan_on_server(txn, from);

	if (status == 0 && txn->is_empty)
		window_take(&txn->view.window, (struct be_bytes){NULL, 0}, NULL);
	return status;
}

/* ---- the txn */

static int postgres_begin(void *self, bool write, void **txn)
{
	struct postgres_txn *made = calloc(1, sizeof *made);

	if (!made)
		return BE_NO_MEMORY;
	made->postgres = self;
	made->view.write = write;
	made->view.window.most = WINDOW_FIRST;
	made->view.fetch = fetch;
	made->view.scan = scan;
	*txn = made;
	return 0;
}

/* `is_open`: the server has still to be told that it is over. */
static void end(struct postgres_txn *txn, bool is_open)
{
	if (txn->connection && is_open)
		connection_send_last(txn->connection, STATEMENT_ROLLBACK);
	links_give_back(links_find(&txn->postgres->links), &connection_kind,
			(struct link *)txn->connection);
	overlay_free(&txn->view.overlay);
	free(txn);
}

static void postgres_abort(void *self, void *txn_begun)
{
	struct postgres_txn *txn = txn_begun;

	(void)self;
	end(txn, txn->view.is_begun);
}

static int postgres_now(void *self, void *txn_begun, int64_t *now_ns)
{
	struct postgres_txn *txn = txn_begun;
	PGresult *result = NULL;
	int status = 0;

	(void)self;
	if (txn->view.now_ns == 0)
		status = fetch(&txn->view, &view_header_key, 1);
	/* There is no table yet, nor a txn on the server. */
	if (status == 0 && txn->view.now_ns == 0) {
		*now_ns = 0;
		result = PQexec(txn->connection->pg,
				"SELECT (extract(epoch from clock_timestamp()) * 1000000)::int8");
		if (PQresultStatus(result) == PGRES_TUPLES_OK)
			txn->view.now_ns = strtoll(PQgetvalue(result, 0, 0), NULL, 10) * 1000;
		else
			status = BE_UNREACHABLE;
		PQclear(result);
	}
	*now_ns = txn->view.now_ns;
	return status;
}

/* ---- commit */

/* Sends the changes, of which there are some; *sent is how many statements. */
static int send_changes(struct postgres_txn *txn, int *sent)
{
	struct buffer keys = {0}, values = {0}, gone = {0};
	size_t put = 0, deleted = 0;
	int status = 0;

	begin_array(&keys);
	begin_array(&values);
	begin_array(&gone);
	for (size_t i = 0; i < txn->view.overlay.count; i++) {
		const struct overlay_record *record = txn->view.overlay.records[i];

		if (record->state == OVERLAY_PUT) {
			add_item(&keys, overlay_key(record));
			add_item(&values, overlay_value(record));
			put++;
		} else if (record->state == OVERLAY_DELETED) {
			add_item(&gone, overlay_key(record));
			deleted++;
		}
	}
	end_array(&keys, put);
	end_array(&values, put);
	end_array(&gone, deleted);
	if (keys.failed || values.failed || gone.failed)
		status = BE_NO_MEMORY;
	if (status == 0 && put > 0) {
		struct parameter parameters[2] = {parameter_of(&keys), parameter_of(&values)};

		status = connection_send(txn->connection, STATEMENT_PUT, parameters, 2);
		++*sent;
	}
	if (status == 0 && deleted > 0) {
		struct parameter parameter = parameter_of(&gone);

		status = connection_send(txn->connection, STATEMENT_DELETE, &parameter, 1);
		++*sent;
	}
	free(keys.bytes);
	free(values.bytes);
	free(gone.bytes);
	return status;
}

/* *is_over: the server has ended the txn. */
static int commit_changes(struct postgres_txn *txn, bool *is_over)
{
	PGresult *results[3] = {NULL, NULL, NULL};
	int sent = 0, status;

	if (!txn->connection)
		return BE_STORAGE_CONFLICT;
	status = send_changes(txn, &sent);
	/* Nothing can be in doubt before COMMIT is sent. */
	if (status == LINK_LOST)
		return lost_amid(txn, status);
	if (status != 0)
		return status;
	status = connection_send(txn->connection, STATEMENT_COMMIT, NULL, 0);
	if (status == 0)
		status = connection_wait(txn->connection, results, sent + 1);
	/* COMMIT of a txn that has failed is carried out as ROLLBACK. */
	*is_over = status == 0;
	if (status == 0 && strcmp(PQcmdStatus(results[sent]), "COMMIT") != 0)
		status = link_fail(BE_IO_ERROR, "the PostgreSQL server did not commit");
	clear_results(results, 3);
	if (status == LINK_LOST || status == BE_STORAGE_IN_DOUBT) {
		disconnect(txn);
		return BE_STORAGE_IN_DOUBT;
	}
	return status;
}

static int postgres_commit(void *self, void *txn_begun)
{
	struct postgres_txn *txn = txn_begun;
	bool is_over = !txn->view.is_begun;
	int status = 0;

	(void)self;
	if (txn->view.overlay.changes > 0)
		status = commit_changes(txn, &is_over);
	end(txn, !is_over);
	return status;
}

static const char *postgres_where(void *self)
{
	return ((const struct postgres *)self)->where;
}

/* ---- making */

static const struct be_storage_ops operations = {
	.size = sizeof operations,
	.begin = postgres_begin,
	.commit = postgres_commit,
	.abort = postgres_abort,
	.get = view_get,
	.put = view_put,
	.del = view_del,
	.next = view_next,
	.prefetch = view_prefetch,
	.now = postgres_now,
	.traits = BE_STORAGE_MAY_DOUBT,
	.where = postgres_where,
	.history = view_history,
};

static bool is_table_name(const char *name)
{
	size_t size = strlen(name);

	return size > 0 && size < CONNECTION_TABLE_SIZE && name[0] >= 'a' && name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == size;
}

/* Takes the fragment, which is no part of what libpq knows, for the table's name. */
static bool take_url(struct postgres *postgres, const char *url)
{
	const char *name = "budget_enforcer";
	char *hash;

	strcpy(postgres->url, url);
	hash = strrchr(postgres->url, '#');
	if (hash) {
		*hash = '\0';
		name = hash + 1;
	}
	if (!is_table_name(name))
		return false;
	strcpy(postgres->table, name);
	return true;
}

enum be_status be_storage_postgres_open(const char *url, struct be_storage **storage)
{
	struct postgres *made;
	struct connection *first = NULL;
	int status;

	be_storage_explain("");
	if (storage)
		*storage = NULL;
	if (!url || !storage)
		return (enum be_status)link_fail(BE_INVALID_ARGUMENT,
						 "be_storage_postgres_open: no %s was given",
						 url ? "place for it" : "URL");
	made = calloc(1, sizeof *made + strlen(url) + 1);
	if (!made)
		return BE_NO_MEMORY;
	made->interface = (struct be_storage){.ops = &operations, .self = made};
	atomic_store(&made->links, links_make(&connection_kind));
	if (!take_url(made, url))
		status = link_fail(BE_INVALID_ARGUMENT,
				   "behind the # must be the name of a table, of lower-case "
				   "letters, digits and _");
	else
		status = atomic_load(&made->links) ? connection_open(made->url, made->table, &first)
						   : BE_NO_MEMORY;
	if (status != 0) {
		be_storage_postgres_close(&made->interface);
		return status == LINK_LOST ? BE_UNREACHABLE : (enum be_status)status;
	}
	connection_name(first, made->where, sizeof made->where);
	links_give_back(atomic_load(&made->links), &connection_kind, (struct link *)first);
	*storage = &made->interface;
	return BE_OK;
}

void be_storage_postgres_close(struct be_storage *storage)
{
	struct postgres *postgres = storage ? storage->self : NULL;

	if (!postgres)
		return;
	links_free(links_find(&postgres->links));
	free(postgres);
}
