/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit; group.h has the protocol. What lies in the mapped file:
 *
 *   leader, next     the locks
 *   rows[i].posted   a bit for each of 64 slots that is POSTED and that no leader has seen
 *   rows[i].turn     changes when slots of the row are answered; their sleepers wait for that
 *   marks[i].user    name of the process that uses the slot, 0 when it is free; taken by
 *                    compare-and-swap
 *   marks[i].state   see below
 *   slots[i]         the operation (by its user), the result and its text (by the leader)
 *   room             the queue of those who found no slot free
 *   flushed          the newest txn that is known to be on the disk (lmdb.c)
 *
 * The states of a slot. "Leader" is the thread that holds `leader`.
 *
 *   IDLE -> POSTED      by its user
 *   POSTED -> TAKEN     by the leader, into a batch, whose number the mark carries from then on
 *   TAKEN -> ANSWERED   by the leader: committed, or refused; the result in the slot is true
 *   TAKEN -> RETURNED   by the leader, when the batch was not committed for a fault of a machine
 *   TAKEN -> POSTED     by the leader after one that died, whose batch was not committed
 *   POSTED -> RETURNED  by its user as leader, when its process goes without group commit
 *   ANSWERED -> IDLE    by its user
 *   RETURNED -> IDLE    by its user, which then carries it out alone
 *   any -> IDLE         by the leader, when the user is dead
 *
 * The steps of a thread that wants an operation carried out, and what it holds at each:
 *
 *   step    holds          does                                            then
 *   ARRIVE  -              takes `leader` or `next` if both, or one, are   LEAD, NEXT, POST, ALONE
 *                          free
 *   POST    -              waits for a slot, and posts                     LOOK
 *   LOOK    slot           looks whether it is answered, or to lead        DONE, ALONE, NEXT, LEAD,
 *                                                                          SLEEP
 *   SLEEP   slot           sleeps until told, or for long enough           LOOK
 *   NEXT    next (slot)    waits for `leader`, and lets `next` go          LEAD
 *   LEAD    leader (slot)  mends what the last one left, carries out what  LOOK with a slot, else
 *                          is posted, and lets `leader` go                 DONE, ALONE
 *   DONE    -              has its result
 *   ALONE   -              has nothing done, and carries it out by itself
 *
 * Memory order. A thread posts (sets its bit) and then tries `next`; a leader lets `next` go and
 * then reads the bits. All of these are sequentially consistent read-modify-writes, or stand behind
 * a full fence, so that either the thread gets `next` or the leader sees its bit: nobody sleeps
 * unseen.
 *
 * Lock order: next, then leader, then LMDB's writer lock.
 */
#include "executor/group.h"

#include "base/error.h"
#include "base/futex.h"
#include "base/thread_local.h"
#include "executor/batch.h"
#include "sharing/lock.h"
#include "storage/backend.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GROUP_FILE "be-group"
#define GROUP_MAGIC UINT64_C(0x347072672d2d6562) /* "be--grp4" */
#define SLOTS 512
#define ROWS (SLOTS / 64)
#define NO_SLOT UINT32_MAX
#define DOORS 64
/* Operations in one txn, at most: all that can be posted. Carrying out so many takes a few
 * milliseconds. The kernel looks at every process that maps the file for each page that it flushes,
 * so that of very many workers few and large batches must come. */
#define BATCH_MAX SLOTS
/* How long one sleeper alone trusts that somebody will lead. */
#define WAIT_NS 5000000
/* A leader waits for those who were in the last batch to come back, for this part of what the last
 * batch took, since a batch costs the same flushes however many it carries. */
#define GATHER_PART 8
#define GATHER_MAX_NS 200000
/* Operations that a process carries out alone, at most, after it met a fault. */
#define ALONE_MAX 1024
/* Marks that one who waits for a slot looks at for users that are dead. */
#define SWEEP 8

enum slot_state {
	IDLE = 0,
	POSTED = 1,
	TAKEN = 2,
	ANSWERED = 3,
	RETURNED = 4,
};

/* What is known of a slot. Apart from the slots, which are large, so that clearing or searching all
 * of them touches few pages. */
struct mark {
	_Atomic uint64_t user;
	_Atomic uint32_t state;
	uint32_t reserved;
	uint64_t batch; /* that took it; under `leader` */
	uint64_t reserved_too;
};

struct slot {
	_Alignas(64) struct operation operation;
	struct result result;
	char error[256]; /* the leader's error text for it */
};

struct row {
	_Alignas(64) _Atomic uint64_t posted;
	_Atomic uint32_t turn;
};

/* Tickets are numbers that go around. Those below `admitted` may have a slot. */
struct room {
	_Alignas(64) _Atomic uint32_t arrived; /* the next ticket */
	_Atomic uint32_t admitted;
	_Atomic uint32_t last_free;    /* slot that was let go last: where to look first */
	_Atomic uint32_t doors[DOORS]; /* change when a ticket that sleeps there is admitted */
};

struct group_file {
	_Atomic uint64_t magic; /* written last */
	int64_t last_took_ns;   /* under `leader`, as are the next two */
	uint32_t last_size;
	uint32_t first_row;             /* where the next batch begins to take */
	_Atomic uint32_t next_is_stuck; /* the one that is to lead next did not in time */
	_Atomic uint64_t flushed;
	struct lock leader;
	struct lock next;
	struct row rows[ROWS];
	struct room room;
	_Alignas(64) struct mark marks[SLOTS];
	_Alignas(4096) struct slot slots[SLOTS];
};

struct group {
	struct group_file *file;
	struct lock_user self;
	/* Trouble; see there. */
	atomic_int alone;
	atomic_int penalty;
};

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
	bool with_own;    /* the operation is not posted, and is to go into this thread's batch */
	bool waited;      /* it slept, and nobody woke it in time */
	uint32_t seen;    /* the row's turn, when the slot was looked at */
	uint64_t history; /* of `leader`, when it went to sleep */
};

static THREAD_LOCAL_FAST uint32_t favourite; /* the slot this thread used last */

/* ---- opening */

static void initialise(struct group_file *file, bool keep_flushed)
{
	uint64_t flushed =
		keep_flushed && file->magic == GROUP_MAGIC ? atomic_load(&file->flushed) : 0;

	file->magic = 0;
	/* The slots need not be clean. */
	memset((char *)file + sizeof file->magic, 0,
	       offsetof(struct group_file, slots) - sizeof file->magic);
	atomic_store(&file->flushed, flushed);
	file->magic = GROUP_MAGIC;
}

/* `reset`: this process is alone, and makes of it what it must be. */
static enum be_status map_file(const struct shared_directory *directory, int fd, bool reset,
			       bool keep_flushed, struct group_file **file)
{
	char path[SHARED_PATH_SIZE];
	enum be_status status = BE_OK;
	void *map;

	if (reset)
		status = shared_file_allocate(directory, GROUP_FILE, fd, sizeof **file);
	if (status == BE_OK)
		status = shared_file_map(directory, GROUP_FILE, fd, sizeof **file, true, &map);
	if (status != BE_OK)
		return status;
	*file = map;
	if (reset)
		initialise(*file, keep_flushed);
	if ((*file)->magic == GROUP_MAGIC)
		return BE_OK;
	munmap(map, sizeof **file);
	return error_set(BE_DAMAGED, "%s is damaged: stop the pool and remove that file",
			 shared_file_path(directory, GROUP_FILE, path));
}

static enum be_status open_file(const struct shared_directory *directory, mode_t mode, bool reset,
				int *fd)
{
	enum be_status status = shared_file_open(directory, GROUP_FILE, SHARED_MAKE, mode, fd);

	if (status != BE_OK || !reset || shared_file_begins(*fd, GROUP_MAGIC))
		return status;
	close(*fd);
	unlinkat(directory->fd, GROUP_FILE, 0);
	return shared_file_open(directory, GROUP_FILE, SHARED_NEW, mode, fd);
}

enum be_status group_open(const struct shared_directory *directory, mode_t mode, bool reset,
			  struct owners *owners, struct group **group)
{
	struct group *made = calloc(1, sizeof *made);
	enum be_status status;
	int fd;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	made->self = lock_user(owners);
	made->penalty = 1;
	status = open_file(directory, mode, reset, &fd);
	if (status == BE_OK) {
		status = map_file(directory, fd, reset, owners_are_settled(owners), &made->file);
		close(fd);
	}
	if (status != BE_OK) {
		free(made);
		return status;
	}
	*group = made;
	return BE_OK;
}

_Atomic uint64_t *group_flushed(struct group *group)
{
	return &group->file->flushed;
}

uint64_t group_peek_flushed(const struct shared_directory *directory)
{
	uint64_t flushed = 0;
	int fd;

	if (shared_file_open(directory, GROUP_FILE, SHARED_LOOK, 0, &fd) != BE_OK) {
		error_clear();
		return 0;
	}
	if (!shared_file_begins(fd, GROUP_MAGIC) ||
	    pread(fd, &flushed, sizeof flushed, offsetof(struct group_file, flushed)) !=
		    (ssize_t)sizeof flushed)
		flushed = 0;
	close(fd);
	return flushed;
}

void group_close(struct group *group)
{
	munmap(group->file, sizeof *group->file);
	free(group);
}

/* ---- trouble
 *
 * Nobody can see from outside that a process has a small map or may write no more; it knows by its
 * txns alone. After one that met a fault it carries out its next operations alone, in txns of their
 * own: one after the first fault, twice as many after each further one, so that a process whose
 * trouble lasts hinders the others ever more seldom. Each that ends well brings it nearer to the
 * group, and each batch that it leads well makes it forget a fault. Where all have the same
 * trouble, as on a full disk, each gets its own fault for its own operation.
 */

static bool is_alone(struct group *group)
{
	return atomic_load_explicit(&group->alone, memory_order_relaxed) > 0;
}

static void note_outcome(struct group *group, enum be_status outcome)
{
	int penalty;

	if (batch_is_fault(outcome)) {
		penalty = atomic_load(&group->penalty);
		atomic_store(&group->alone, penalty);
		if (penalty < ALONE_MAX)
			atomic_store(&group->penalty, penalty * 2);
	} else if (is_alone(group)) {
		atomic_fetch_sub(&group->alone, 1);
	}
}

static void note_led(struct group *group)
{
	int penalty = atomic_load_explicit(&group->penalty, memory_order_relaxed);

	if (penalty > 1)
		atomic_compare_exchange_strong(&group->penalty, &penalty, penalty - 1);
}

/* ---- sleeping and waking
 *
 * A sleeper is woken when its slot is answered, or to lead. It also looks for itself, since the one
 * that was to wake it may be dead. With one sleeper that is every WAIT_NS; of many, each waits for
 * a random part of so many times that, so that somebody looks every WAIT_NS or so, however many
 * they are.
 */

static uint32_t count_posted(struct group_file *file)
{
	uint32_t count = 0;

	for (size_t i = 0; i < ROWS; i++)
		count += (uint32_t)__builtin_popcountll(file->rows[i].posted);
	return count;
}

static bool is_any_posted(struct group_file *file)
{
	uint64_t posted = 0;

	for (size_t i = 0; i < ROWS; i++)
		posted |= file->rows[i].posted;
	return posted != 0;
}

/* A moment to look at, for one of `waiting`. */
static int64_t look_at(uint32_t waiting, uint32_t salt)
{
	int64_t now_ns = monotonic_ns();
	uint64_t mixed = ((uint64_t)now_ns ^ salt) * UINT64_C(0x9e3779b97f4a7c15);

	return now_ns + WAIT_NS * (int64_t)(1 + (mixed >> 32) % (waiting > 0 ? waiting : 1));
}

static uint64_t posted_bit(uint32_t slot)
{
	return UINT64_C(1) << slot % 64;
}

/* A slot's bit among the 32 that a sleeper of its row can be woken by. */
static uint32_t wake_bit(uint32_t slot)
{
	return UINT32_C(1) << slot % 32;
}

static void wake_row(struct row *row, uint32_t bits)
{
	if (bits == 0)
		return;
	atomic_fetch_add(&row->turn, 1);
	futex_wake(&row->turn, bits);
}

static void wake_rows(struct group_file *file, const uint32_t bits[ROWS])
{
	for (size_t i = 0; i < ROWS; i++)
		wake_row(&file->rows[i], bits[i]);
}

/* This thread will not lead those who have posted: one of them is to see to it. When nobody is next
 * they all sleep, and so it is one of them that must wake. */
static void pass_on(struct group_file *file)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint64_t posted = atomic_load(&file->rows[i].posted);

		if (posted != 0) {
			wake_row(&file->rows[i], wake_bit((uint32_t)__builtin_ctzll(posted)));
			return;
		}
	}
}

/* ---- the room
 *
 * Threads that find no slot free queue for one, so that each gets it in its order, and does not
 * fight for `leader`. A slot that is let go admits the next ticket. One whose holder is dead admits
 * nobody; what is lost by that is found by those who look for themselves.
 */

/* Takes a free slot for this process; false when there is none. A free slot is IDLE. That this is
 * looked at shows ThreadSanitizer, which sees one process only, that a leader of this process has
 * done with the slot, whose last user was perhaps in another one. */
static bool claim_slot(struct turn *turn, uint32_t first)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t at = (first + i) % SLOTS;
		struct mark *mark = &turn->file->marks[at];
		uint64_t nobody = 0;

		if (mark->user == 0 && mark->state == IDLE &&
		    atomic_compare_exchange_strong(&mark->user, &nobody, turn->group->self.name)) {
			turn->slot = favourite = at;
			return true;
		}
	}
	return false;
}

static void let_slot_go(struct group_file *file, uint32_t slot)
{
	struct room *room = &file->room;
	uint32_t ticket;

	atomic_store(&file->marks[slot].state, IDLE);
	atomic_store(&file->marks[slot].user, 0);
	ticket = atomic_load(&room->admitted);
	if (ticket == atomic_load(&room->arrived))
		return;
	atomic_store(&room->last_free, slot);
	if (!atomic_compare_exchange_strong(&room->admitted, &ticket, ticket + 1))
		return;
	atomic_fetch_add(&room->doors[ticket % DOORS], 1);
	futex_wake(&room->doors[ticket % DOORS], wake_bit(ticket / DOORS));
}

/* Clears the slots of a user that is dead, holding `leader`. */
static void clear_slots(struct group_file *file, uint64_t user)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (file->marks[i].user != user)
			continue;
		atomic_fetch_and(&file->rows[i / 64].posted, ~posted_bit(i));
		let_slot_go(file, i);
	}
}

/* Looks whether some of the slots are held by the dead, or by nobody, and frees those. */
static void sweep(struct turn *turn)
{
	struct group_file *file = turn->file;
	uint32_t first = (uint32_t)((uint64_t)monotonic_ns() / SWEEP);

	for (uint32_t i = 0; i < SWEEP; i++) {
		struct mark *mark = &file->marks[(first + i) % SLOTS];
		uint64_t user = mark->user;

		if (user == 0 ? mark->state == IDLE : !lock_name_is_dead(&turn->group->self, user))
			continue;
		if (group_lock(turn->group, turn->storage) != BE_OK)
			return;
		if (user != 0)
			clear_slots(file, user);
		else if (mark->user == 0)
			atomic_store(&mark->state, IDLE);
		lock_drop(&file->leader, &turn->group->self);
		return;
	}
}

/* Is it first in the queue? Then it may have any slot that is free. */
static bool claim_as_first(struct turn *turn, uint32_t ticket)
{
	struct room *room = &turn->file->room;

	if (atomic_load(&room->admitted) != ticket || !claim_slot(turn, room->last_free))
		return false;
	atomic_compare_exchange_strong(&room->admitted, &(uint32_t){ticket}, ticket + 1);
	return true;
}

static void wait_for_slot(struct turn *turn)
{
	struct room *room = &turn->file->room;
	uint32_t ticket = atomic_fetch_add(&room->arrived, 1);
	_Atomic uint32_t *door = &room->doors[ticket % DOORS];

	for (;;) {
		uint32_t seen = atomic_load(door), admitted = atomic_load(&room->admitted);
		uint32_t waiting = atomic_load(&room->arrived) - admitted;

		if (waiting > OWNER_SLOTS * 64) /* not even so many can wait: it is nonsense */
			atomic_store(&room->admitted, ticket);
		if (claim_as_first(turn, ticket))
			return;
		if ((int32_t)(admitted - ticket) > 0 && claim_slot(turn, room->last_free))
			return;
		if (futex_sleep(door, seen, wake_bit(ticket / DOORS), look_at(waiting, ticket)) !=
		    FUTEX_TIMED_OUT)
			continue;
		if (claim_slot(turn, room->last_free))
			return;
		sweep(turn);
	}
}

/* ---- mending what a leader left */

/* A leader died, or could not tell whether its txn was committed. The batch was committed if the
 * header says so, and then the results in the slots are true. When nobody can tell, no operation is
 * carried out that may have been carried out before. */
static enum be_status recover(struct group_file *file, const struct be_storage *storage)
{
	uint64_t committed = 0;
	uint32_t bits[ROWS] = {0};
	enum be_status status = batch_last(storage, &committed);

	if (status != BE_OK)
		return status;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct mark *mark = &file->marks[i];
		uint32_t state = mark->state;

		if (state == TAKEN && mark->batch == committed) {
			atomic_store(&mark->state, ANSWERED);
			bits[i / 64] |= wake_bit(i);
		} else if (state == TAKEN || state == POSTED) {
			atomic_store(&mark->state, POSTED);
			atomic_fetch_or(&file->rows[i / 64].posted, posted_bit(i));
		}
	}
	lock_mend(&file->leader);
	wake_rows(file, bits);
	pass_on(file);
	return BE_OK;
}

/* What whoever has just taken `leader` does first. */
static enum be_status mend(struct group_file *file, const struct be_storage *storage)
{
	if (!lock_is_left(&file->leader))
		return BE_OK;
	if (backend_of(storage)->expect_dead)
		backend_of(storage)->expect_dead(storage->self);
	return recover(file, storage);
}

/* ---- leading */

/* Slots that were taken, and what the batch has come to. */
struct batch {
	uint64_t number;
	uint32_t count;
	uint32_t slots[BATCH_MAX];
};

/* Gives those who shared the last batch the time to come back, if that pays. One worker alone never
 * waits. */
static void gather(struct group_file *file)
{
	int64_t most_ns = file->last_took_ns / GATHER_PART;
	int64_t until_ns;

	if (file->last_size <= 1 || count_posted(file) + 1 >= file->last_size)
		return;
	if (most_ns > GATHER_MAX_NS)
		most_ns = GATHER_MAX_NS;
	until_ns = monotonic_ns() + most_ns;
	while (count_posted(file) + 1 < file->last_size && monotonic_ns() < until_ns)
		sched_yield();
}

static void write_result(struct slot *slot, const struct result *result)
{
	result_copy(&slot->result, result);
	slot->error[0] = '\0';
	if (result->status != BE_OK)
		snprintf(slot->error, sizeof slot->error, "%s", be_last_error());
}

/* Carries out one slot's operation within the batch's txn. The copies are this process's own: what
 * is in the slot may change under its hands. */
static enum be_status carry_out(struct group_file *file, struct ledger *ledger, uint32_t index)
{
	struct slot *slot = &file->slots[index];
	struct operation operation;
	struct result result;
	enum be_status status = BE_OK;

	error_clear();
	if (operation_take(&operation, &slot->operation))
		status = rules_apply(ledger, &operation, &result);
	else
		batch_fail(&result,
			   error_set(BE_INVALID_ARGUMENT,
				     "what was posted in be-group is no operation: another "
				     "program writes to that file"));
	write_result(slot, &result);
	return status;
}

/* Takes posted slots into the batch, stamps them and carries them out. When there are more than it
 * may carry, the next one begins where this one ends: every slot has its turn, however fast the
 * others are posted again. */
static enum be_status carry_out_posted(struct group_file *file, struct ledger *ledger,
				       struct batch *batch)
{
	uint32_t first = file->first_row % ROWS;
	enum be_status status = BE_OK;

	for (uint32_t i = 0; i < ROWS && batch->count < BATCH_MAX; i++) {
		uint32_t number = (first + i) % ROWS;
		struct row *row = &file->rows[number];
		uint64_t bits = atomic_load(&row->posted);

		while (bits != 0 && batch->count < BATCH_MAX) {
			uint32_t index = number * 64 + (uint32_t)__builtin_ctzll(bits);
			struct mark *mark = &file->marks[index];

			atomic_fetch_and(&row->posted, ~posted_bit(index));
			bits &= bits - 1;
			if (mark->state != POSTED)
				continue;
			mark->batch = batch->number;
			atomic_store(&mark->state, TAKEN);
			batch->slots[batch->count++] = index;
			status = carry_out(file, ledger, index);
			if (status != BE_OK)
				return status;
		}
		if (batch->count == BATCH_MAX)
			file->first_row = number;
	}
	return status;
}

/* Tells the users of the batch's slots what became of them. */
static void publish(struct group_file *file, const struct batch *batch, enum slot_state state)
{
	if (batch->count > 0) {
		uint32_t bits[ROWS] = {0};

		for (uint32_t i = 0; i < batch->count; i++) {
			uint32_t slot = batch->slots[i];

			atomic_store(&file->marks[slot].state, state);
			bits[slot / 64] |= wake_bit(slot);
		}
		wake_rows(file, bits);
	}
	/* If nobody leads next, those who posted since must see to it themselves. */
	if (atomic_load_explicit(&file->next_is_stuck, memory_order_relaxed))
		pass_on(file);
}

/* Answers the turn's own operation, if it is not answered yet, with a fault of its own process. */
static enum step answer_fault(struct turn *turn, enum be_status status)
{
	struct result result;
	struct mark *mark;

	if (turn->slot == NO_SLOT) {
		if (turn->with_own)
			batch_fail(turn->result, status);
		return DONE;
	}
	mark = &turn->file->marks[turn->slot];
	if (mark->state == POSTED || mark->state == TAKEN) {
		batch_fail(&result, status);
		write_result(&turn->file->slots[turn->slot], &result);
		atomic_fetch_and(&turn->file->rows[turn->slot / 64].posted,
				 ~posted_bit(turn->slot));
		atomic_store(&mark->state, ANSWERED);
	}
	return LOOK;
}

/* The same where the turn's own operation may have been carried out, and nobody can tell now. */
static enum step answer_doubt(struct turn *turn, enum be_status status)
{
	char text[ERROR_TEXT_SIZE];

	if (turn->slot == NO_SLOT ? turn->with_own : turn->file->marks[turn->slot].state == TAKEN) {
		error_save(text);
		status = error_set(BE_UNKNOWN_OUTCOME,
				   "whether it was carried out cannot be told now, and must be "
				   "looked up later: %s",
				   text);
	}
	return answer_fault(turn, status);
}

static void leave(struct turn *turn)
{
	turn->holds &= ~(unsigned)HOLDS_LEADER;
	lock_leave(&turn->file->leader, &turn->group->self);
}

/* The batch met a fault; `may_stand`: in the end, so that its txn may be committed all the same.
 * What it carried for others goes back to them. When this process cannot even tell whether it was
 * committed, the next leader finds that out. */
static enum step give_back(struct turn *turn, const struct batch *batch, enum be_status status,
			   bool may_stand)
{
	bool is_own = batch->count == 1 && batch->slots[0] == turn->slot;
	uint64_t committed = batch->number - 1;
	enum step then;

	turn->file->last_size = 0;
	note_outcome(turn->group, status);
	if (batch->count == 0 || is_own)
		return answer_fault(turn, status);
	if (may_stand && batch_last(turn->storage, &committed) != BE_OK) {
		then = answer_doubt(turn, status);
		leave(turn);
		return then;
	}
	publish(turn->file, batch, committed == batch->number ? ANSWERED : RETURNED);
	if (turn->slot != NO_SLOT)
		return LOOK;
	return committed == batch->number ? DONE : ALONE;
}

/* Carries out what is posted, and the turn's own operation where it is not posted. Returns the next
 * step of the turn; *more: more is posted than one batch may carry. */
static enum step lead_batch(struct turn *turn, bool *more)
{
	struct group_file *file = turn->file;
	struct batch batch; /* not cleared: it is large */
	struct ledger ledger;
	int64_t began_ns;
	enum be_status status;
	bool is_ending = false;

	assert(turn->holds == HOLDS_LEADER);
	*more = false;
	batch.count = 0;
	gather(file);
	began_ns = is_any_posted(file) ? monotonic_ns() : 0;
	status = batch_begin(&ledger, turn->storage, &batch.number);
	if (status != BE_OK) {
		note_outcome(turn->group, status);
		return answer_fault(turn, status);
	}
	status = carry_out_posted(file, &ledger, &batch);
	if (status == BE_OK && turn->with_own) {
		error_clear();
		status = rules_apply(&ledger, turn->operation, turn->result);
	}
	if (status != BE_OK) {
		ledger_abort(&ledger);
	} else {
		is_ending = true;
		status = ledger_commit(&ledger, batch.number);
	}
	if (status != BE_OK)
		return give_back(turn, &batch, status, is_ending);
	publish(file, &batch, ANSWERED);
	file->last_size = batch.count + turn->with_own;
	file->last_took_ns = began_ns != 0 && file->last_size > 1 ? monotonic_ns() - began_ns : 0;
	if (file->last_size > 1)
		note_led(turn->group);
	*more = batch.count == BATCH_MAX;
	return turn->slot != NO_SLOT ? LOOK : DONE;
}

/* Would nobody lead if this thread stopped? Whoever finds `next` taken sleeps, and waits for the
 * one that has it. */
static bool nobody_is_next(struct turn *turn)
{
	if (!lock_try(&turn->file->next, &turn->group->self))
		return false;
	lock_drop(&turn->file->next, &turn->group->self);
	return true;
}

/* Takes the turn's own operation out of its slot, for this process to carry out alone. */
static enum step withdraw(struct turn *turn)
{
	struct mark *mark = &turn->file->marks[turn->slot];
	uint32_t posted = POSTED;

	if (atomic_compare_exchange_strong(&mark->state, &posted, RETURNED))
		atomic_fetch_and(&turn->file->rows[turn->slot / 64].posted,
				 ~posted_bit(turn->slot));
	return LOOK;
}

/* What did not fit into the batch is left to the next leader, if there is one: a crowd that comes
 * back as fast as it is served would keep this thread from its own caller for ever. */
static enum step lead_batches(struct turn *turn)
{
	char own_text[ERROR_TEXT_SIZE];
	bool more;
	enum step then = lead_batch(turn, &more);

	if (!more)
		return then;
	turn->with_own = false;
	error_save(own_text);
	while (more && nobody_is_next(turn))
		(void)lead_batch(turn, &more);
	error_restore(own_text);
	return then;
}

static enum step lead(struct turn *turn)
{
	enum be_status status = mend(turn->file, turn->storage);
	enum step then;

	if (status != BE_OK) {
		note_outcome(turn->group, status);
		then = turn->slot == NO_SLOT ? answer_fault(turn, status)
					     : answer_doubt(turn, status);
		leave(turn);
	} else if (turn->slot != NO_SLOT && is_alone(turn->group)) {
		then = withdraw(turn);
	} else {
		then = lead_batches(turn);
	}
	if (turn->holds & HOLDS_LEADER)
		lock_drop(&turn->file->leader, &turn->group->self);
	turn->holds = 0;
	if (is_alone(turn->group))
		pass_on(turn->file);
	return then;
}

/* ---- following */

static enum step arrive(struct turn *turn)
{
	struct group_file *file = turn->file;
	const struct lock_user *self = &turn->group->self;

	if (is_alone(turn->group))
		return ALONE;
	if (!lock_is_held(&file->next) && lock_try(&file->leader, self)) {
		turn->holds = HOLDS_LEADER;
		return LEAD;
	}
	if (lock_try(&file->next, self)) {
		turn->holds = HOLDS_NEXT;
		return NEXT;
	}
	return POST;
}

static enum step post(struct turn *turn)
{
	struct room *room = &turn->file->room;
	struct slot *slot;

	if (atomic_load(&room->arrived) != atomic_load(&room->admitted) ||
	    !claim_slot(turn, favourite))
		wait_for_slot(turn);
	assert(turn->slot < SLOTS && turn->holds == 0);
	turn->with_own = false;
	slot = &turn->file->slots[turn->slot];
	memcpy(&slot->operation, turn->operation, offsetof(struct operation, description));
	memcpy(slot->operation.description, turn->operation->description,
	       turn->operation->description_size + 1U);
	atomic_store(&turn->file->marks[turn->slot].state, POSTED);
	atomic_fetch_or(&turn->file->rows[turn->slot / 64].posted, posted_bit(turn->slot));
	return LOOK;
}

/* The slot has an answer, or is no longer what it was. Lets it go. */
static enum step take_answer(struct turn *turn, uint32_t state)
{
	const struct slot *slot = &turn->file->slots[turn->slot];
	struct mark *mark = &turn->file->marks[turn->slot];
	char text[sizeof slot->error];
	bool is_sound = state == RETURNED || state == ANSWERED;

	error_clear(); /* of what this thread may have carried out for others */
	if (state == ANSWERED) {
		result_copy(turn->result, &slot->result);
		memcpy(text, slot->error, sizeof text);
		is_sound = result_is_valid(turn->result);
		if (is_sound && turn->result->status != BE_OK &&
		    name_text_is_valid(text, strnlen(text, sizeof text)))
			error_write("%.*s", (int)sizeof text, text);
	}
	if (!is_sound)
		batch_fail(turn->result,
			   error_set(BE_DAMAGED,
				     "another program wrote to be-group while an operation of this "
				     "process was posted there; whether it was carried out must be "
				     "looked up"));
	if (mark->user == turn->group->self.name)
		let_slot_go(turn->file, turn->slot);
	turn->slot = NO_SLOT;
	return state == RETURNED ? ALONE : DONE;
}

/* Nobody came for as long as this thread slept. Is the one dead that was to lead, or stopped? */
static enum step look_around(struct turn *turn)
{
	struct group_file *file = turn->file;
	const struct lock_user *self = &turn->group->self;

	if (file->marks[turn->slot].state == POSTED)
		atomic_fetch_or(&file->rows[turn->slot / 64].posted, posted_bit(turn->slot));
	if (lock_inherit(&file->next, self)) {
		lock_mend(&file->next);
		turn->holds = HOLDS_NEXT;
		return NEXT;
	}
	if (lock_history(&file->leader) != turn->history)
		return SLEEP;
	if (!lock_try(&file->leader, self) && !lock_inherit(&file->leader, self))
		return SLEEP;
	atomic_store(&file->next_is_stuck, 1);
	turn->holds = HOLDS_LEADER;
	return LEAD;
}

static enum step look(struct turn *turn)
{
	struct group_file *file = turn->file;
	uint32_t state;

	assert(turn->slot < SLOTS && turn->holds == 0);
	turn->seen = atomic_load(&file->rows[turn->slot / 64].turn);
	state = atomic_load(&file->marks[turn->slot].state);
	if (state != POSTED && state != TAKEN)
		return take_answer(turn, state);
	if (lock_try(&file->next, &turn->group->self)) {
		turn->holds = HOLDS_NEXT;
		return NEXT;
	}
	if (turn->waited)
		return look_around(turn);
	if (atomic_load(&file->next_is_stuck) && lock_try(&file->leader, &turn->group->self)) {
		turn->holds = HOLDS_LEADER;
		return LEAD;
	}
	return SLEEP;
}

static enum step sleep_on_row(struct turn *turn)
{
	struct group_file *file = turn->file;
	enum futex_end end;

	turn->history = lock_history(&file->leader);
	end = futex_sleep(&file->rows[turn->slot / 64].turn, turn->seen, wake_bit(turn->slot),
			  look_at(count_posted(file), turn->slot));
	turn->waited = end == FUTEX_TIMED_OUT;
	return LOOK;
}

/* Waits for `leader` as the one that is first in line. */
static enum step be_next(struct turn *turn)
{
	struct group_file *file = turn->file;

	assert(turn->holds == HOLDS_NEXT);
	lock_wait(&file->leader, &turn->group->self, LOCK_FIRST_IN_LINE);
	if (atomic_load_explicit(&file->next_is_stuck, memory_order_relaxed))
		atomic_store_explicit(&file->next_is_stuck, 0, memory_order_relaxed);
	lock_drop(&file->next, &turn->group->self);
	atomic_thread_fence(memory_order_seq_cst);
	turn->holds = HOLDS_LEADER;
	return LEAD;
}

bool group_run(struct group *group, const struct be_storage *storage,
	       const struct operation *operation, struct result *result)
{
	struct turn turn = {
		.group = group,
		.file = group->file,
		.storage = storage,
		.operation = operation,
		.result = result,
		.slot = NO_SLOT,
		.with_own = true,
	};
	enum step step = ARRIVE;

	assert(operation_is_valid(operation));
	while (step != DONE && step != ALONE) {
		switch (step) {
		case ARRIVE:
			step = arrive(&turn);
			break;
		case POST:
			step = post(&turn);
			break;
		case LOOK:
			step = look(&turn);
			break;
		case SLEEP:
			step = sleep_on_row(&turn);
			break;
		case NEXT:
			step = be_next(&turn);
			break;
		case LEAD:
			step = lead(&turn);
			break;
		case DONE:
		case ALONE:
			break;
		}
	}
	assert(turn.slot == NO_SLOT && turn.holds == 0);
	return step == DONE;
}

/* ---- for those who write without the group */

/* Waits for `leader` behind the one that is to lead next, if there is one. That one may have died,
 * where nobody sleeps that would notice. */
static void wait_behind_next(struct group *group)
{
	struct lock *next = &group->file->next;
	uint64_t history = lock_history(next);

	if (!lock_is_held(next)) {
		lock_wait(&group->file->leader, &group->self, LOCK_EAGER);
		return;
	}
	lock_wait(&group->file->leader, &group->self, LOCK_POLITE);
	if (lock_history(next) == history && lock_inherit(next, &group->self)) {
		lock_mend(next);
		lock_drop(next, &group->self);
		pass_on(group->file);
	}
}

enum be_status group_lock(struct group *group, const struct be_storage *storage)
{
	struct group_file *file;
	enum be_status status;

	if (!group)
		return BE_OK;
	file = group->file;
	wait_behind_next(group);
	status = mend(file, storage);
	if (status != BE_OK) {
		note_outcome(group, status);
		lock_leave(&file->leader, &group->self);
	}
	return status;
}

void group_unlock(struct group *group, enum be_status outcome)
{
	if (!group)
		return;
	note_outcome(group, outcome);
	lock_drop(&group->file->leader, &group->self);
}

enum be_status group_purge(struct group *group, const struct be_storage *storage,
			   const struct owner *dead)
{
	enum be_status status = group_lock(group, storage);

	if (status != BE_OK)
		return status;
	clear_slots(group->file, lock_name(dead));
	lock_drop(&group->file->leader, &group->self);
	return BE_OK;
}
