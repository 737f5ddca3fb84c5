/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation on its way, and how a thread that holds `leader` carries out what is posted. The
 * steps, and what a thread holds at each, are in group.c.
 */
#ifndef GROUP_LEAD_H
#define GROUP_LEAD_H

#include "executor/group_lock.h"

enum step {
	ARRIVE,
	POST,
	LOOK,
	SLEEP,
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
	const struct operation *operation;
	struct result *result;
	uint32_t slot; /* NO_SLOT: none */
	unsigned holds;
	bool with_own; /* the operation is not posted, and is to go into this thread's batch */
	bool waited;   /* it slept, and nobody woke it in time */
	uint32_t seen; /* the row's turn, when the slot was looked at */
	int64_t spin_until_ns; /* 0: it has not begun to look again and again */
	uint64_t history;      /* of `leader`, when it went to sleep */
};

/* The step LEAD: holds `leader`, and lets it go. */
enum step turn_lead(struct turn *turn);

#endif
