/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connections to servers have in common, whichever server it is: faults, the clock by which
 * they are bounded, the sockets that a fork child closes, and those that wait for a txn.
 *
 * Fork: a child has copies of the sockets. It closes them at once, so that a session ends when its
 * process does, and never says good-bye on them. It makes connections of its own.
 */
#ifndef LINK_H
#define LINK_H

#include <budget_enforcer_storage.h>

/* Beside what a storage may return: whatever was sent may have been carried out, and the connection
 * is of no use any more. */
#define LINK_LOST 100

/* The longest trip, and for so long a txn tries to reach the server. */
#define LINK_TRIP_NS (INT64_C(10) * 1000000000)
#define LINK_REACH_NS (INT64_C(12) * 1000000000)

/* A walk through everything lets go of what lies that far behind. */
#define LINK_READ_MAX ((size_t)16 << 20)

/* Sets the text of be_last_error(), and is `status`. */
int link_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A clock that never steps back. */
int64_t link_clock(void);

/* Waits for a moment before the server is tried again; false: it was tried for long enough. */
bool link_try_again(int64_t since_ns);

/* Notes an open socket; -1: fork children keep it. */
int link_note_socket(int socket);
void link_forget_socket(int place);

/* The beginning of each kind of connection. */
struct link {
	struct link *next;
};

/* The kind's own: can it be used again, and its end, also of NULL. */
struct link_kind {
	bool (*is_good)(const struct link *link);
	void (*close)(struct link *link);
};

/* Connections that wait for a txn, of one process. */
struct links;

struct links *links_make(const struct link_kind *kind);

/* Those of this process; NULL: out of memory. */
struct links *links_find(_Atomic(struct links *) *place);

/* One that can be used; NULL: there is none. */
struct link *links_take(struct links *links);

/* Keeps it, or closes it. Both may be NULL. */
void links_give_back(struct links *links, const struct link_kind *kind, struct link *link);

/* Closes all that wait. */
void links_free(struct links *links);

#endif
