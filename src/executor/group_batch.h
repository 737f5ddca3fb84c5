/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations of several threads and processes in one txn: what is carried out, and what it has come
 * to. Everything here is for the thread that holds `leader`.
 */
#ifndef GROUP_BATCH_H
#define GROUP_BATCH_H

#include "executor/attempt.h"
#include "executor/group_lock.h"

/* Operations in one txn, at most: all that can be posted. Carrying out so many takes a few
 * milliseconds. The kernel looks at every process that maps the file for each page that it flushes,
 * so that of very many workers few and large batches must come. */
#define BATCH_MAX SLOTS

struct batch {
	struct group *group;
	struct attempt attempt;
	struct ledger ledger;
	uint64_t number;
	uint64_t posted[ROWS]; /* what this batch may take: it knew of these when it began */
	bool freed;            /* since the line (group_line.h) was last served */
	uint32_t count;        /* of those whose slots carry what became of them */
	uint32_t slots[BATCH_MAX];
};

/* Takes the operation of a slot; false: what is there is none, and `result` says so. The copy is
 * this process's own: what is in the slot may change under its hands. */
bool batch_take(const struct slot *slot, struct operation *operation, struct result *result);

/* Carries out one operation within the txn. On BE_OK the result stands, whatever its status. */
enum be_status batch_carry_out(struct batch *batch, const struct operation *operation,
			       struct result *result);

/* Puts a result, and this thread's error text, into the slot. */
void batch_write_result(struct slot *slot, const struct result *result);

/* The slot, which is TAKEN, has its result: its user is told when the txn is committed. */
static inline void batch_add(struct batch *batch, uint32_t slot)
{
	if (batch->count < BATCH_MAX) /* a slot is in a batch once, if nobody else writes states */
		batch->slots[batch->count++] = slot;
}

#endif
