/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps: the operations of a model test as values, made from a seed before anything runs.
 *
 * A step is a call with holes. What depends on what came before, such as "all that is available and
 * one more" or "the third of the commits now pending", is filled in when the step's turn comes,
 * from what the oracle knows at that moment. So a list of steps stays meaningful when some are
 * taken out, and that is what lets a long list that shows a defect be cut down to a few.
 */
#ifndef STEP_H
#define STEP_H

#include "call.h"

struct oracle;

enum amount_base {
	AMOUNT_PLAIN,
	AMOUNT_AVAILABLE, /* added to what is available, in the envelope named or the commit's
	                     own */
	AMOUNT_HELD,      /* added to what the commit holds */
	AMOUNT_CHARGED,   /* added to what is left of a transaction to be given back */
	AMOUNT_COUNTABLE, /* added to what can be charged before a balance leaves int64_t */
};

enum commit_base {
	COMMIT_NONE,    /* call.id as it is: one that was never given out */
	COMMIT_PENDING, /* of those pending, counted round and round */
	COMMIT_REAPED,  /* of those that were reaped and may still be settled, likewise */
	COMMIT_ANY,     /* of all that were ever made, likewise */
	COMMIT_OF_STEP, /* one of those that the step of this number made: how games are shrunk
	                   (game.c); or of its transactions, to correct one */
};

enum time_base {
	TIME_STAYS,
	TIME_NOW,        /* call.now_ns is a distance from now, */
	TIME_WINDOW_END, /* from the end of the window of the envelope named, */
	TIME_DEADLINE, /* or from the deadline of the commit. With call.waits so is call.then_ns */
};

struct step {
	struct call call;
	enum amount_base amount_base;
	enum commit_base commit_base;
	enum time_base time_base;
	uint32_t nth;      /* of the commits; or the number of a step, */
	uint32_t of_those; /* and which of those that it made */
	uint32_t number;   /* its place when the steps were made */
	/* Set in call.filter and call.period_start_ns are then distances from now, not moments. */
	bool has_since, has_until, has_start, has_raise;
	bool again; /* the nth of the requests with keys so far is made again, if there is one */
};

/* When the steps of a seed begin. */
int64_t steps_begin_ns(uint64_t seed);

/* Makes the steps of a seed. The same seed gives the same steps, and more steps begin with the
 * same. */
void steps_generate(uint64_t seed, struct step *steps, size_t count);

/* The ids of the commits that a step has made, which follow each other, and of the transactions. */
struct made {
	uint64_t first;
	uint64_t count;
	uint64_t first_charge;
	uint64_t charges;
};

/* Fills in the holes. made[number] is what the step of that number has made so far. */
void step_resolve(const struct step *step, struct oracle *oracle, const struct made *made,
		  struct call *call);

#endif
