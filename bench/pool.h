/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of worker processes that every driver runs in, so that what differs between two systems
 * is the system. A driver is one program for one system: it fills in a struct driver and its main()
 * returns pool_main(). Each worker is a process of its own, started by exec, with its own
 * connection or handle; all begin at the same moment; each times its own operations. One run prints
 * one line of JSON.
 *
 * Functions of a driver do not return failures: they say what happened with die(), which ends the
 * run.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What every envelope may spend, and what every reserve asks for. Whole numbers below 2^53, which
 * is as far as Redis's Lua counts exactly. */
#define POOL_LIMIT INT64_C(9000000000000000)
#define POOL_AMOUNT INT64_C(1000)
#define POOL_DESCRIPTION "answer a letter"
#define POOL_CATEGORY_SIZE 16

struct run {
	const char *place; /* a directory, or that of a server's socket */
	const char *mode;  /* of durability, in the system's own words */
	uint64_t envelopes;
	uint64_t pending; /* commits that `make` leaves pending, spread over the envelopes */
	uint64_t ledger;  /* transactions that `make` leaves in the ledger */
};

struct driver {
	const char *name;
	/* Makes what the workers find, in an empty place (or, of a server, in place of what there
	 * was). */
	void (*make)(const struct run *run);
	void *(*open)(const struct run *run);
	void (*close)(void *self);
	/* Checks, raises what is committed, writes the pending commit and returns its id. */
	uint64_t (*reserve)(void *self, const char *category);
	/* Is POOL_AMOUNT available? NULL where it is not measured. */
	bool (*check)(void *self, const char *category);
	/* Ends a pending commit and charges it. NULL where it is not measured, as is the next. */
	void (*settle)(void *self, uint64_t id);
	/* Ids of commits that are pending and outlive who made them, at most `room`; returns how
	 * many. */
	size_t (*list)(void *self, uint64_t *ids, size_t room);
	/* Removes all of the ledger; looks whether all balances add up. NULL where there is no such
	 * thing. */
	void (*prune)(void *self);
	void (*verify)(void *self);
	/* What the envelope has committed, for looking whether all that was reported took place;
	 * may be NULL.
	 * */
	int64_t (*committed)(void *self, const char *category);
};

/* The name of the envelope of that number. The text is `text`. */
const char *pool_category(uint64_t number, char text[POOL_CATEGORY_SIZE]);

int64_t pool_now_ns(void); /* since 1970 */

_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...);

int pool_main(int argc, char **argv, const struct driver *driver);

#endif
