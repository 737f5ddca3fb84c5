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

enum {
	PLACES = 16,
	ENVELOPES = 8,
	STRICT = 7 /* the envelope of which nobody ever takes more than there is */
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

void chaos_log_path(char path[PATH_MAX], int place);

/* Expects that every line is borne out by the environment, in which nothing is pending any more. */
void chaos_audit(struct be_enforcer *handle);

#endif
