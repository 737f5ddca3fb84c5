/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often each envelope refused, and for which reason: statistics, not money. They lie in the
 * file be-counts beside the data, mapped by every process that changes the environment, so that a
 * refusal costs an addition in memory, needs no txn, and outlives its process. Nothing flushes
 * them: after a loss of power they may have fallen back. They are no part of a backup.
 *
 * Nothing here fails, and a file that is wrong hinders no caller: what cannot be counted is not
 * counted, and what cannot be read is 0. A NULL `counts` counts nothing.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include "base/shared_file.h"

#include <stdatomic.h>

struct counts;

/* The counts of one envelope; counts.c says how they lie in the file. */
struct tally {
	_Atomic uint64_t magic; /* of the first one, written last; the others have none */
	_Atomic uint64_t exceeds_budget;
	_Atomic uint64_t suspended;
	_Atomic uint64_t no_envelope; /* of the first one: the environment's */
};

#define COUNTS_PAGE 128

/* Tallies read together, so that a listing need not ask the system about each envelope. Begins
 * zeroed, and is used for one listing, since what was read is not read again. */
struct counts_page {
	uint64_t number; /* plus 1; 0: nothing was read */
	struct tally tallies[COUNTS_PAGE];
};

/* Opens the file in `directory`, making it where missing; NULL when it cannot be used. Several may
 * make it at once: each does the same. */
struct counts *counts_open(const struct shared_directory *directory, mode_t mode);

/* For a process that only reads. NULL when there is no such file. */
struct counts *counts_open_read_only(const struct shared_directory *directory);

void counts_close(struct counts *counts);

/* Removes the file of an environment that begins anew, as its ids do, and that no other process has
 * open. */
void counts_remove(const struct shared_directory *directory);

/* Counts one refusal: EXCEEDS_BUDGET or SUSPENDED at the envelope that refused, NO_ENVELOPE for the
 * environment as a whole. Other statuses are not counted. No lock; a system call only when this
 * process counts for the first time in a chunk of the file. */
void counts_refusal(struct counts *counts, enum be_status status, uint64_t tally);

/* Fills in the figures of the envelope with that tally. */
void counts_show(const struct counts *counts, struct counts_page *page, uint64_t tally,
		 struct be_envelope *envelope);

uint64_t counts_no_envelope(const struct counts *counts);

#endif
