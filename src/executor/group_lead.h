/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation on its way, and how a thread that holds `leader` carries out what is posted. The
 * steps, and what a thread holds at each, are in group.c.
 */
#ifndef GROUP_LEAD_H
#define GROUP_LEAD_H

#include "executor/group.h"
#include "executor/group_lock.h"

enum step {
	ARRIVE,
	POST,
	LOOK,
	SLEEP,
	WAIT,
	NEXT,
	LEAD,
	DONE,
	ALONE
};

enum {
	HOLDS_NEXT = 1,
	HOLDS_LEADER = 2
};

/* An operation on its way. */
struct turn {
	struct group *group;
	struct group_file *file;
	const struct be_storage *storage;
	struct remote *remote; /* NULL: the storage needs none */
	const struct operation *operation;
	struct result *result;
	uint32_t slot;           /* NO_SLOT: none */
	struct waiting *waiting; /* NULL: it does not wait for money */
	int64_t now_ns;          /* of the operation */
	unsigned holds;
	uint64_t batch; /* that carried it out */
	bool with_own;  /* the operation is not posted, and is to go into this thread's batch */
	bool for_line;  /* the batch is for those in the line (group_line.h) */
	bool waited;    /* it slept, and nobody woke it in time */
	uint32_t seen;  /* the row's turn, when the slot was looked at */
	int64_t spin_until_ns; /* 0: it has not begun to look again and again */
	uint64_t history;      /* of `leader`, when it went to sleep */
	int64_t overdue_ns;    /* then it no longer waits for a leader; 0: it has not begun to */
};

/* The step LEAD: holds `leader`, and lets it go. */
enum step turn_lead(struct turn *turn);

/* Takes the turn's own operation out of its slot, for this process to carry out alone. */
enum step turn_withdraw(struct turn *turn);

/* Holds `leader`, with no operation of its own: something was freed for those in the line. May let
 * it go, in which case turn->holds says so. */
void turn_lead_for_line(struct turn *turn);

#endif
