/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a Redis server. Nothing here waits without a bound, nor is a cancellation
 * point, nor does it let a SIGPIPE through that the server's end would send to the process: hiredis
 * writes as if there were none.
 *
 * The calls return 0, a number that a storage may return, or LINK_LOST.
 */
#ifndef WIRE_H
#define WIRE_H

#include "storage/redis/address.h"
#include "storage/redis/script.h"
#include "storage/remote/link.h"

#include <hiredis/hiredis.h>

struct wire {
	struct link link;
	redisContext *redis;
	int place;       /* of its socket among those that a fork child closes */
	unsigned unread; /* answers that nobody waits for */
	bool is_broken;
	char hashes[SCRIPTS][41]; /* "": the server said none */
};

/* A command, of bytes that stay where they are until it is sent. */
struct command {
	const char **parts;
	size_t *sizes;
	size_t count;
	size_t room;
	bool failed; /* there was no memory */
};

/* The first parts of a script's: those behind are its KEYS and ARGV. */
void command_begin(struct command *command, const char *keys);
void command_add(struct command *command, const void *bytes, size_t size);
void command_add_text(struct command *command, const char *text);
void command_free(struct command *command);

/* Connects and logs in; tries once. */
int wire_open(const struct address *address, struct wire **wire);
void wire_close(struct wire *wire);
extern const struct link_kind wire_kind;

/* Has the server carry out a script, and waits for its answer, which is the caller's to free
 * and to judge. An error is told by what is returned. */
int wire_run(struct wire *wire, enum script script, struct command *command, redisReply **reply);

/* Sends commands that nobody waits for. */
void wire_send_last(struct wire *wire, const char *const *words, const size_t *counts,
		    size_t commands);

/* Would the server remove what it keeps when memory is short? */
int wire_check_eviction(struct wire *wire);

/* The address of the other end, as numbers. */
void wire_peer(const struct wire *wire, char *text, size_t size);

#endif
