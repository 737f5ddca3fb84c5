/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workers of the chaos write down, and the audit that compares it with the environment
 * afterwards.
 *
 * Each place of a worker has a log. Before a call that changes something, the worker appends what
 * it is about to do; after it, what it was told; each with one write(), so that a kill loses no
 * line and cuts none. The place and the number of the line make the description that the call gives
 * to the library, so that every line can be found again in the ledger.
 */
#ifndef CHAOS_H
#define CHAOS_H

#include "crash.h"

#include <stdatomic.h>

enum {
	PLACES = 16,
	ENVELOPES = 8,
	STRICT = 7, /* the envelope of which nobody ever takes more than there is */
	EXCHANGE = 32
};

static const int64_t strict_limit = 2000000;

struct line {
	enum be_operation operation;
	enum be_status status; /* of an answer */
	bool is_answer;
	uint8_t envelope;
	enum be_reap_policy policy;
	uint32_t asked;          /* of an answer: the number of the line that it answers */
	uint64_t commit_id;      /* that is to be ended, or was made */
	uint64_t transaction_id; /* of an answer */
	int64_t amount;
	uint8_t padding[16];
};
_Static_assert(sizeof(struct line) == 64, "a power of two: no line lies in two pages");

/* In shared memory. */
struct chaos_shared {
	_Atomic uint64_t
		exchange[EXCHANGE]; /* ids of commits that anybody may take and end; 0: none */
	_Atomic uint64_t answers;
	_Atomic uint64_t started;   /* workers so far */
	_Atomic int64_t slowest_ns; /* call */
};

struct chaos {
	char path[PATH_MAX];
	enum be_durability durability;
	struct chaos_shared *shared;
	uint64_t seed;
	int kills; /* wanted; 0: as many as come in so many seconds */
	int seconds;
	pid_t workers[PLACES];
};

void chaos_log_path(char path[PATH_MAX], int place);

void chaos_create_envelopes(struct be_enforcer *handle);

/* A worker, until it is killed; the context is a struct chaos. */
int chaos_run_worker(int place, void *context);

/* When all are dead. */
void chaos_expect_nothing_held(const struct chaos *chaos);

/* Expects that every line is borne out by the environment, in which nothing is pending any more. */
void chaos_audit(struct be_enforcer *handle);

#endif
