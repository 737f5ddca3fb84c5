/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line: commits that wait for money, first come, first served.
 *
 * A commit that may wait is posted with a ticket, and its slot stands in the line until its user
 * lets it go. When it is refused for lack of budget its state is WAITING, and its user sleeps. A
 * leader tries those in the line, in the order of their tickets, in the txn that may have made room
 * for them: after an operation that frees money and before the next that takes some, and first when
 * the window of one has ended. So nobody overtakes them, and those that still do not fit are
 * passed over. A txn that is not a batch is followed by a batch for the line, under the same
 * `leader`. A process that can lead none leaves the line untended, and all in it look.
 *
 * One that waits also looks for itself: when its window ends, or a commit expires, and some times a
 * second one of them does so for all, since nobody tells that a process has died. One that finds
 * that it would be granted posts itself again, with the ticket that it has.
 */
#ifndef GROUP_LINE_H
#define GROUP_LINE_H

#include "executor/group_batch.h"
#include "executor/group_lead.h"

/* Puts the slot of this turn, which is not posted yet, into the line. */
void line_join(struct turn *turn);

/* Nobody waits in this slot any more. */
void line_leave(struct group_file *file, uint32_t slot);

/* How many wait? And does anybody? */
uint32_t line_length(struct group_file *file);
bool line_is_empty(struct group_file *file);

/* Is something to be done for those who wait, now? */
bool line_is_due(struct group_file *file, int64_t now_ns);

/* Tries those in the line. Later times than theirs count: `now_ns` for them all. */
enum be_status line_serve(struct batch *batch, int64_t now_ns);

/* Something was freed, and the line was not served: those in it look for themselves. */
void line_leave_untended(struct group_file *file);

/* The turn is WAITING no longer, if it was: refused. */
void line_give_up(struct turn *turn);

/* The step WAIT: sleeps until the slot is no longer WAITING, or is posted again or given up. */
enum step line_wait(struct turn *turn);

#endif
