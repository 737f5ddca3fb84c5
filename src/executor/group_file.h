/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in the mapped file be-group; group.h has the protocol, group.c the steps.
 *
 *   leader, next     the locks
 *   rows[i].posted   a bit for each of 64 slots that is POSTED and that no leader has seen
 *   rows[i].line     a bit for each slot that stands in the line of those who wait for money
 *   rows[i].turn     changes when slots of the row are answered; their sleepers wait for that
 *   marks[i].user    name of the process that uses the slot, 0 when it is free; taken by
 *                    compare-and-swap
 *   marks[i].state   see below
 *   marks[i].ticket  of one in the line: its place; by its user
 *   marks[i].due_ns  of one in the line: the end of the window that refused it, or 0
 *   slots[i]         the operation (by its user), the result and its text (by the leader)
 *   tickets, untended, tended  of the line: how many tickets were given; is it to be served?
 *   room             the queue of those who found no slot free
 *   last             what the last batch was like; under `leader`
 *   flushed          the newest txn that is known to be on the disk (lmdb_commit.c)
 *   host             in front of a server: by what batches are known there (remote.h)
 *
 * The states of a slot. "Leader" is the thread that holds `leader`.
 *
 *   IDLE -> POSTED      by its user
 *   POSTED -> TAKEN     by the leader, into a batch, whose number the mark carries from then on
 *   TAKEN -> ANSWERED   by the leader: committed, or refused; the result in the slot is true
 *   TAKEN -> RETURNED   by the leader, when the batch was not committed for a fault of a machine
 *   TAKEN -> POSTED     by the leader after one that died, whose batch was not committed
 *   POSTED -> RETURNED  by its user as leader, when its process goes without group commit
 *   TAKEN -> WAITING    by the leader: it stands in the line (group_line.h), and was refused
 *   WAITING -> TAKEN    by the leader, which tries it
 *   WAITING -> POSTED   by its user, which wants it tried
 *   WAITING -> ANSWERED by its user, which waits no longer: refused
 *   WAITING -> RETURNED by its user, which tries it alone, by a clock of its own
 *   ANSWERED -> IDLE    by its user
 *   RETURNED -> IDLE    by its user, which then carries it out alone
 *   any -> IDLE         by the leader, when the user is dead
 *
 * In front of a server nobody needs the leader, only its word, and one who waited for that too long
 * asks the server (group.c):
 *
 *   POSTED -> RETURNED  by its user, which carries it out alone
 *   TAKEN -> ABANDONED  by its user, which asks what became of the batch, and reads the result
 *   ABANDONED -> GONE   by its user, which has done with the slot
 *   ABANDONED -> ANSWERED or RETURNED, GONE -> IDLE  by the leader, when it has done with it, too
 *
 * Any bytes may stand in the file: another program may have written them.
 */
#ifndef GROUP_FILE_H
#define GROUP_FILE_H

#include "base/shared_file.h"
#include "executor/remote.h"
#include "rules/operation.h"
#include "sharing/lock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SLOTS 512
#define ROWS (SLOTS / 64)
#define NO_SLOT UINT32_MAX
#define DOORS 64

enum slot_state {
	IDLE = 0,
	POSTED = 1,
	TAKEN = 2,
	ANSWERED = 3,
	RETURNED = 4,
	WAITING = 5,
	ABANDONED = 6,
	GONE = 7,
};

/* What is known of a slot. Apart from the slots, which are large, so that clearing or searching all
 * of them touches few pages. */
struct mark {
	_Atomic uint64_t user;
	_Atomic uint32_t state;
	uint32_t reserved;
	uint64_t batch; /* that took it; under `leader` */
	uint64_t ticket;
	_Atomic int64_t due_ns;
};

struct slot {
	_Alignas(64) struct operation operation;
	struct result result;
	char error[256]; /* the leader's error text for it */
};

struct row {
	_Alignas(64) _Atomic uint64_t posted;
	_Atomic uint64_t line;
	_Atomic uint32_t turn;
};

/* Tickets are numbers that go around. Those below `admitted` may have a slot. */
struct room {
	_Alignas(64) _Atomic uint32_t arrived; /* the next ticket */
	_Atomic uint32_t admitted;
	_Atomic uint32_t last_free;    /* slot that was let go last: where to look first */
	_Atomic uint32_t doors[DOORS]; /* change when a ticket that sleeps there is admitted */
};

/* What the last batch was like, for the next leader. */
struct last_batch {
	int64_t took_ns;
	_Atomic uint32_t crowd; /* operations in it, and those that were posted when it ended */
	uint32_t in_vain;   /* how often in a row a leader gathered in vain, up to IN_VAIN_MAX */
	uint32_t skip;      /* batches that are not to be gathered for */
	uint32_t first_row; /* where the next batch begins to take */
};

struct group_file {
	_Atomic uint64_t magic; /* written last */
	struct last_batch last;
	_Atomic uint64_t tickets;
	_Atomic uint32_t
		untended; /* of the line: how often it was left so; and up to which of these */
	_Atomic uint32_t tended;        /* it has been served since */
	_Atomic uint32_t next_is_stuck; /* the one that is to lead next did not in time */
	_Atomic uint64_t flushed;
	struct remote_host host;
	struct lock leader;
	struct lock next;
	struct row rows[ROWS];
	struct room room;
	_Alignas(64) struct mark marks[SLOTS];
	_Alignas(4096) struct slot slots[SLOTS];
};

/* Maps the file in `directory`, making it where missing. `reset`: nobody else has it mapped, and it
 * is made anew, but for `flushed` and `host` where they are to be kept. */
enum be_status group_file_open(const struct shared_directory *directory, mode_t mode, bool reset,
			       bool keep, struct group_file **file);

/* One in memory, of this process alone. */
enum be_status group_file_make(struct group_file **file);
void group_file_close(struct group_file *file);

uint32_t count_posted(struct group_file *file);
bool is_any_posted(struct group_file *file);

static inline uint64_t posted_bit(uint32_t slot)
{
	return UINT64_C(1) << slot % 64;
}

/* ---- sleeping and waking
 *
 * A sleeper is woken when its slot is answered, or to lead. It also looks for itself, since the one
 * that was to wake it may be dead. With one sleeper that is every WAIT_NS; of many, each waits for
 * a random part of so many times that, so that somebody looks every WAIT_NS or so, however many
 * they are.
 */

/* A slot's bit among the 32 that a sleeper of its row can be woken by. */
static inline uint32_t wake_bit(uint32_t slot)
{
	return UINT32_C(1) << slot % 32;
}

/* A moment to look at, for one of `waiting`. */
int64_t look_at(uint32_t waiting, uint32_t salt);

void wake_rows(struct group_file *file, const uint32_t bits[ROWS]);

/* The caller will not lead those who have posted: one of them is to see to it. When nobody is next
 * they all sleep, and so it is one of them that must wake. */
void pass_on(struct group_file *file);

#endif
