/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a PostgreSQL server, in pipeline mode: statements are sent, and the answers to
 * all of them are awaited in one trip. Nothing here waits without a bound, nor is a cancellation
 * point.
 *
 * The calls return 0, a number that a storage may return, or LINK_LOST.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "storage/remote/link.h"

#include <libpq-fe.h>

/* A session that stops with the header's lock loses it after so long, so that others who wait for
 * it go on before their trip ends. */
#define CONNECTION_IDLE_MS "5000"

#define CONNECTION_TABLE_SIZE 64

enum statement {
	STATEMENT_BEGIN,
	STATEMENT_BEGIN_READ,
	STATEMENT_COMMIT,
	STATEMENT_ROLLBACK,
	STATEMENT_LOCK,   /* -> value of the header or NULL, microseconds since 1970, timeline */
	STATEMENT_CLOCK,  /* -> microseconds */
	STATEMENT_FETCH,  /* keys -> key, value or NULL */
	STATEMENT_SCAN,   /* from, most -> key, value */
	STATEMENT_PUT,    /* keys, values */
	STATEMENT_DELETE, /* keys */
	STATEMENTS,
};

struct connection {
	struct link link;
	PGconn *pg;
	const char *table;
	bool has_table;   /* else nothing is prepared yet */
	uint64_t cluster; /* its identifier; 0: timelines are not to be had here */
	int place;        /* of its socket among those that a fork child closes */
	unsigned unread;  /* ends of pipelines that were not waited for */
};

/* A parameter, in binary form. */
struct parameter {
	const void *bytes;
	size_t size;
};

/* Tries once. */
int connection_open(const char *url, const char *table, struct connection **connection);
void connection_close(struct connection *connection);

/* Looks whether the table is there, and makes it if that is wanted. */
int connection_find_table(struct connection *connection, bool create);

/* Sends one statement of a pipeline. */
int connection_send(struct connection *connection, enum statement statement,
		    const struct parameter *parameters, int count);

/* Waits for the answers to `count` statements that were sent, which are the caller's to clear: all
 * of them, or NULL where there is none if it does not return 0. */
int connection_wait(struct connection *connection, PGresult **results, int count);

/* Sends a statement whose answer nobody waits for. */
void connection_send_last(struct connection *connection, enum statement statement);

bool connection_is_good(const struct connection *connection);

/* Names what it is connected to: server, database, user and table, but no password. */
void connection_name(struct connection *connection, char *text, size_t size);

/* Connections that wait. */
extern const struct link_kind connection_kind;

#endif
