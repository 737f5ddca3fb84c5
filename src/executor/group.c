/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit; group.h has the protocol. What lies in the mapped file:
 *
 *   marks[i].user    generation of the process that uses the slot, 0 when it is free; taken by
 *                    compare-and-swap
 *   marks[i].state   IDLE -> POSTED (by its user) -> TAKEN (by the leader) -> DONE (by the leader)
 *                    -> IDLE
 *   posted           a bit for each slot that is POSTED and that no leader has seen
 *   batch            number of the last batch ended; sleepers wait for it to change
 *
 * Memory order. A thread posts (sets its bit) and then tries `next`; a leader lets `next` go and
 * then reads the bits. Both steps on both sides are sequentially consistent read-modify-writes or
 * stand behind a full fence, so that either the thread gets `next` or the leader sees its bit:
 * nobody sleeps unseen.
 *
 * Lock order: next, then leader, then LMDB's writer lock.
 */
#include "executor/group.h"

#include "base/error.h"
#include "environment/environment.h"
#include "executor/executor.h"
#include "records/ledger.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GROUP_FILE "be-group"
#define GROUP_MAGIC UINT64_C(0x327072672d2d6562) /* "be--grp2" */
#define SLOTS 512
#define WORDS (SLOTS / 64)
/* Operations in one txn, at most: it bounds how long a batch takes, and with it how long anybody
 * waits. */
#define BATCH_MAX 128
/* How long a sleeper trusts that somebody will lead. */
#define WAIT_NS 5000000L
/* A leader waits for those who were in the last batch to come back, for this part of what the last
 * batch took, since a batch costs the same flushes however many it carries. */
#define GATHER_PART 8
#define GATHER_MAX_NS 200000

enum slot_state {
	IDLE = 0,
	POSTED = 1,
	TAKEN = 2,
	DONE = 3,
};

/* What is known of a slot. Apart from the slots, which are large, so that clearing or searching all
 * of them touches few pages. */
struct mark {
	_Atomic uint64_t user;
	_Atomic uint32_t state;
	uint32_t reserved;
	uint64_t batch; /* that took it */
	uint64_t reserved_too;
};

struct slot {
	_Alignas(64) struct operation operation;
	struct result result;
	char error[256]; /* the leader's error text for it */
};

struct group_file {
	_Atomic uint64_t magic; /* written last */
	uint64_t next_batch;    /* under `leader`, as are the next three */
	int64_t last_took_ns;
	uint32_t last_size;
	uint32_t first_word;            /* of `posted`, where the next batch begins to take */
	_Atomic uint32_t next_is_stuck; /* whoever is to lead next did not in WAIT_NS */
	_Alignas(64) _Atomic uint32_t batch;
	_Alignas(64) _Atomic uint64_t posted[WORDS];
	_Alignas(64) pthread_mutex_t leader;
	_Alignas(64) pthread_mutex_t next;
	_Alignas(64) struct mark marks[SLOTS];
	_Alignas(4096) struct slot slots[SLOTS];
};

struct group {
	struct group_file *file;
};

static _Thread_local uint32_t favourite
	__attribute__((tls_model("initial-exec"))); /* the slot this thread used last */

/* ---- opening */

static void init_mutex(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

static void initialise(struct group_file *file)
{
	struct timespec now;

	file->magic = 0;
	for (size_t i = 0; i < SLOTS; i++) {
		file->marks[i].user = 0;
		file->marks[i].state = IDLE;
	}
	for (size_t i = 0; i < WORDS; i++)
		file->posted[i] = 0;
	/* The time, so that no number is given out that a header could hold from an earlier
	 * file. */
	clock_gettime(CLOCK_REALTIME, &now);
	file->next_batch = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
	file->last_took_ns = 0;
	file->last_size = 0;
	file->first_word = 0;
	file->next_is_stuck = 0;
	file->batch = 0;
	init_mutex(&file->leader);
	init_mutex(&file->next);
	file->magic = GROUP_MAGIC;
}

/* `reset`: this process is alone, and makes of it what it must be. */
static enum be_status map_file(const struct shared_directory *directory, int fd, bool reset,
			       struct group_file **file)
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
		initialise(*file);
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
			  struct group **group)
{
	struct group *made = calloc(1, sizeof *made);
	enum be_status status;
	int fd;

	if (!made)
		return error_set(BE_NO_MEMORY, "out of memory");
	status = open_file(directory, mode, reset, &fd);
	if (status == BE_OK) {
		status = map_file(directory, fd, reset, &made->file);
		close(fd);
	}
	if (status != BE_OK) {
		free(made);
		return status;
	}
	*group = made;
	return BE_OK;
}

void group_close(struct group *group)
{
	munmap(group->file, sizeof *group->file);
	free(group);
}

/* ---- sleeping and waking */

static int64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The moment so many nanoseconds from now, for waits against CLOCK_MONOTONIC. */
static struct timespec after(int64_t ns)
{
	int64_t until_ns = monotonic_ns() + ns;

	return (struct timespec){until_ns / 1000000000, until_ns % 1000000000};
}

/* A slot's bit among the 32 that a sleeper can be woken by. */
static uint32_t wake_bit(uint32_t slot)
{
	return UINT32_C(1) << slot % 32;
}

static void sleep_on(struct group_file *file, uint32_t batch, uint32_t slot)
{
	struct timespec until = after(WAIT_NS);

	syscall(SYS_futex, &file->batch, FUTEX_WAIT_BITSET, batch, &until, NULL, wake_bit(slot));
}

static void wake(struct group_file *file, uint32_t bits)
{
	if (bits != 0)
		syscall(SYS_futex, &file->batch, FUTEX_WAKE_BITSET, INT_MAX, NULL, NULL, bits);
}

/* ---- leading */

struct batch {
	size_t count;
	uint32_t slots[BATCH_MAX];
	struct executor_item items[BATCH_MAX + 1];
};

/* Which batch was the last to be committed? Asked in a write txn: one whose process died after its
 * last write, and before it said so, stands, but a reader does not see it until a writer has
 * come. */
static enum be_status last_committed(struct environment *environment, uint64_t *batch)
{
	struct header header = {.batch = 0};
	enum be_status status = ledger_read_header(environment->storage, true, &header);

	*batch = header.batch;
	return status;
}

/* A leader died. Its batch was committed if the header says so, and then the results in the slots
 * are true. When nobody can tell, no operation is carried out that may have been carried out
 * before. */
static void recover(struct group_file *file, struct environment *environment)
{
	uint64_t committed = 0;
	uint32_t bits = 0;
	enum be_status status = last_committed(environment, &committed);

	for (uint32_t i = 0; i < SLOTS; i++) {
		struct mark *mark = &file->marks[i];
		struct slot *slot = &file->slots[i];
		uint32_t state = mark->state;

		if (state == TAKEN && status != BE_OK) {
			memset(&slot->result, 0, sizeof slot->result);
			slot->result.status = status;
			snprintf(slot->error, sizeof slot->error, "%s", be_last_error());
		}
		if (state == TAKEN && (status != BE_OK || mark->batch == committed)) {
			mark->state = DONE;
			bits |= wake_bit(i);
		} else if (state == TAKEN || state == POSTED) {
			mark->state = POSTED;
			atomic_fetch_or(&file->posted[i / 64], UINT64_C(1) << i % 64);
		}
	}
	atomic_fetch_add(&file->batch, 1);
	wake(file, bits);
}

/* What a lock of a robust mutex returned: true when it is held, after mending what a dead holder
 * left. */
static bool leader_is_held(struct group_file *file, struct environment *environment, int rc)
{
	if (rc == EOWNERDEAD) {
		pthread_mutex_consistent(&file->leader);
		recover(file, environment);
		rc = 0;
	}
	return rc == 0;
}

/* Cannot fail: a dead holder's lock is always made consistent, and nobody locks twice. It wakes up
 * now and then, since a wake-up is lost when the kernel gives it to a sleeper that is killed before
 * it has taken the lock, and somebody else took it meanwhile: no robust mutex tells the other
 * sleepers then. */
static void lock_leader(struct group_file *file, struct environment *environment)
{
	struct timespec until;
	int rc;

	do {
		until = after(WAIT_NS);
		rc = pthread_mutex_clocklock(&file->leader, CLOCK_MONOTONIC, &until);
	} while (rc == ETIMEDOUT);
	leader_is_held(file, environment, rc);
}

static bool try_leader(struct group_file *file, struct environment *environment)
{
	return leader_is_held(file, environment, pthread_mutex_trylock(&file->leader));
}

static bool try_next(struct group_file *file)
{
	int rc = pthread_mutex_trylock(&file->next);

	if (rc == EOWNERDEAD) {
		pthread_mutex_consistent(&file->next);
		rc = 0;
	}
	return rc == 0;
}

static uint32_t count_posted(struct group_file *file)
{
	uint32_t count = 0;

	for (size_t i = 0; i < WORDS; i++)
		count += (uint32_t)__builtin_popcountll(file->posted[i]);
	return count;
}

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

/* Takes posted slots into the batch and stamps them. When there are more than it may carry, the
 * next one begins where this one ends: every slot has its turn, however fast the others are posted
 * again. */
static void take_posted(struct group_file *file, struct batch *batch, uint64_t number)
{
	uint32_t first = file->first_word % WORDS;

	for (uint32_t i = 0; i < WORDS && batch->count < BATCH_MAX; i++) {
		uint32_t word = (first + i) % WORDS;
		uint64_t bits = atomic_load(&file->posted[word]);

		while (bits != 0 && batch->count < BATCH_MAX) {
			uint32_t index = word * 64 + (uint32_t)__builtin_ctzll(bits);
			struct mark *mark = &file->marks[index];
			struct slot *slot = &file->slots[index];

			atomic_fetch_and(&file->posted[word], ~(UINT64_C(1) << index % 64));
			bits &= bits - 1;
			if (mark->state != POSTED)
				continue;
			mark->batch = number;
			slot->error[0] = '\0';
			atomic_store(&mark->state, TAKEN);
			batch->slots[batch->count] = index;
			batch->items[batch->count++] = (struct executor_item){
				&slot->operation, &slot->result, slot->error, sizeof slot->error};
		}
		if (batch->count == BATCH_MAX)
			file->first_word = word;
	}
}

/* Tells the users of the batch's slots, from `first` on, that they are done. */
static void publish(struct group_file *file, const struct batch *batch, size_t first, size_t end)
{
	uint32_t bits = 0;

	for (size_t i = first; i < end; i++) {
		atomic_store(&file->marks[batch->slots[i]].state, DONE);
		bits |= wake_bit(batch->slots[i]);
	}
	/* If nobody leads next, those who posted since must see to it themselves. */
	for (uint32_t word = 0; file->next_is_stuck && word < WORDS; word++)
		bits |= (uint32_t)file->posted[word] | (uint32_t)(file->posted[word] >> 32);
	if (bits == 0)
		return;
	atomic_fetch_add(&file->batch, 1);
	wake(file, bits);
}

/* The batch's txn failed: each operation is tried in one of its own, so that one caller's fault is
 * not another's. Each gets a number of its own and is done before the next begins, so that only one
 * can be in doubt. */
static void lead_one_by_one(struct group_file *file, struct environment *environment,
			    struct batch *batch, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t number = file->next_batch++;

		if (i < batch->count)
			file->marks[batch->slots[i]].batch = number;
		(void)executor_batch(environment, &batch->items[i], 1, number);
		if (i < batch->count)
			publish(file, batch, i, i + 1);
	}
}

/* Carries out what is posted and the caller's own operation (NULL: none, or it is posted), holding
 * `leader`. Returns true when more is posted than one batch may carry. */
static bool lead_batch(struct group_file *file, struct environment *environment,
		       const struct operation *operation, struct result *result)
{
	struct batch batch; /* 4 KiB: not cleared */
	uint64_t number = file->next_batch++;
	int64_t began_ns = 0;
	size_t count;

	batch.count = 0;
	gather(file);
	take_posted(file, &batch, number);
	count = batch.count;
	if (operation)
		batch.items[count++] = (struct executor_item){operation, result, NULL, 0};
	if (count > 1)
		began_ns = monotonic_ns();
	if (count > 0 && executor_batch(environment, batch.items, count, number) != BE_OK &&
	    count > 1)
		lead_one_by_one(file, environment, &batch, count);
	else
		publish(file, &batch, 0, batch.count);
	file->last_took_ns = count > 1 ? monotonic_ns() - began_ns : 0;
	file->last_size = (uint32_t)count;
	return batch.count == BATCH_MAX;
}

/* Would nobody lead if this thread stopped? Whoever finds `next` taken sleeps, and waits for the
 * one that has it. */
static bool nobody_is_next(struct group_file *file)
{
	if (!try_next(file))
		return false;
	pthread_mutex_unlock(&file->next);
	return true;
}

/* Leads, and lets `leader` go. What did not fit into the batch is left to the next leader, if there
 * is one: a crowd that comes back as fast as it is served would keep this one from its own caller
 * for ever. */
static void lead(struct group_file *file, struct environment *environment,
		 const struct operation *operation, struct result *result)
{
	char own_text[ERROR_TEXT_SIZE];
	bool more = lead_batch(file, environment, operation, result);

	if (more) {
		error_save(own_text);
		while (more && nobody_is_next(file))
			more = lead_batch(file, environment, NULL, NULL);
		error_restore(own_text);
	}
	pthread_mutex_unlock(&file->leader);
}

/* Takes `leader` through `next`. False when somebody else is to be next. */
static bool become_leader(struct group_file *file, struct environment *environment)
{
	if (!try_next(file))
		return false;
	lock_leader(file, environment);
	if (atomic_load_explicit(&file->next_is_stuck, memory_order_relaxed))
		atomic_store_explicit(&file->next_is_stuck, 0, memory_order_relaxed);
	pthread_mutex_unlock(&file->next);
	atomic_thread_fence(memory_order_seq_cst);
	return true;
}

/* ---- following */

/* Takes a free slot for this process; false when there is none. A free slot is IDLE. That this is
 * looked at shows ThreadSanitizer, which sees one process only, that a leader of this process has
 * done with the slot, whose last user was perhaps in another one. */
static bool claim_slot(struct group_file *file, uint64_t user, uint32_t *index)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t at = (favourite + i) % SLOTS;
		uint64_t nobody = 0;

		if (file->marks[at].user == 0 && file->marks[at].state == IDLE &&
		    atomic_compare_exchange_strong(&file->marks[at].user, &nobody, user)) {
			*index = favourite = at;
			return true;
		}
	}
	return false;
}

static void post(struct group_file *file, uint32_t index, const struct operation *operation)
{
	struct slot *slot = &file->slots[index];

	memcpy(&slot->operation, operation, offsetof(struct operation, description));
	memcpy(slot->operation.description, operation->description,
	       operation->description_size + 1U);
	atomic_store(&file->marks[index].state, POSTED);
	atomic_fetch_or(&file->posted[index / 64], UINT64_C(1) << index % 64);
}

static void take_result(struct group_file *file, uint32_t index, struct result *result)
{
	const struct slot *slot = &file->slots[index];

	*result = slot->result;
	error_clear(); /* of what this thread may have carried out for others */
	if (result->status != BE_OK && slot->error[0] != '\0')
		error_set(result->status, "%.*s", (int)sizeof slot->error, slot->error);
	atomic_store(&file->marks[index].state, IDLE);
	atomic_store(&file->marks[index].user, 0);
}

/* Leads if it is this thread's turn: it is to be next, or whoever is has not moved for too long. */
static bool lead_in_turn(struct group_file *file, struct environment *environment, bool waited)
{
	if (!become_leader(file, environment)) {
		if (!waited && !atomic_load(&file->next_is_stuck))
			return false;
		if (!try_leader(file, environment))
			return false;
		atomic_store(&file->next_is_stuck, 1);
	}
	lead(file, environment, NULL, NULL);
	return true;
}

static void follow(struct group_file *file, struct environment *environment, uint32_t index,
		   struct result *result)
{
	bool waited = false;

	for (;;) {
		uint32_t batch = atomic_load(&file->batch);

		if (atomic_load(&file->marks[index].state) == DONE)
			break;
		if (lead_in_turn(file, environment, waited))
			continue;
		sleep_on(file, batch, index);
		waited = atomic_load(&file->batch) == batch;
	}
	take_result(file, index, result);
}

enum be_status group_run(struct group *group, struct environment *environment,
			 const struct operation *operation, struct result *result)
{
	struct group_file *file = group->file;
	struct owner self;
	uint32_t index;

	if (become_leader(file, environment)) {
		lead(file, environment, operation, result);
	} else {
		self = owners_self(environment->owners);
		if (!claim_slot(file, self.generation, &index))
			return executor_direct(environment, operation, result, 1);
		post(file, index, operation);
		follow(file, environment, index, result);
	}
	return result->status <= BE_NOT_FOUND ? result->status : BE_OK;
}

void group_lock(struct group *group, struct environment *environment)
{
	if (group)
		lock_leader(group->file, environment);
}

void group_unlock(struct group *group)
{
	if (group)
		pthread_mutex_unlock(&group->file->leader);
}

void group_purge(struct group *group, struct environment *environment, const struct owner *dead)
{
	struct group_file *file = group->file;

	lock_leader(file, environment);
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct mark *mark = &file->marks[i];

		if (mark->user != dead->generation)
			continue;
		atomic_fetch_and(&file->posted[i / 64], ~(UINT64_C(1) << i % 64));
		atomic_store(&mark->state, IDLE);
		atomic_store(&mark->user, 0);
	}
	pthread_mutex_unlock(&file->leader);
}
