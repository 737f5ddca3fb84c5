/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A game: the oracle and the library answer the same calls, one after the other, and nothing may
 * differ: not an answer, not a balance, a pending commit or a line of the ledger. A game that fails
 * can be cut down to the few steps that it takes.
 */
#ifndef GAME_H
#define GAME_H

#include "library.h"
#include "oracle.h"
#include "step.h"

struct rules_of_game {
	enum library_storage storage;
	enum mistake mistake; /* of the oracle */
	int64_t begin_ns;
	size_t numbers; /* the steps' numbers are below this */
	unsigned
		/* everything stored is compared after each so many steps, and at the end */
		look_every;
};

/* What games have seen so far. */
struct tally {
	uint64_t steps;
	uint64_t by_status[200]; /* answers, by -status */
	uint64_t by_kind[CALL_KINDS];
	uint64_t granted_by_kind[CALL_KINDS];
	struct coverage coverage;
};

struct failure {
	size_t step;      /* that it was seen at, from 0; the number of steps if at the very end */
	struct call call; /* what was called then */
	char difference[512];
};

/* What is written down of a game; each may be NULL. */
struct record {
	struct tally *tally;
	FILE *transcript; /* each call is printed to it */
	struct step
		*pinned; /* the same steps, with the commits they are about named by the steps that
				made them */
};

/* Plays the steps; true when nothing differed. `record` may be NULL. */
bool game_play(const struct rules_of_game *rules, const struct step *steps, size_t count,
	       const struct record *record, struct failure *failure);

/* Takes steps out of a game that fails, and makes others plainer, as long as it still fails and
 * until its trials have played so many steps. Returns how many are left; `failure` is the last. */
size_t game_shrink(const struct rules_of_game *rules, struct step *steps, size_t count,
		   uint64_t most_steps, struct failure *failure);

#endif
