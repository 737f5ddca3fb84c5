/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit across threads and processes: operations that wait at the same time are carried in
 * one txn, whose flushes they share.
 *
 * The file be-group beside the data is mapped by all processes of the environment. A thread that
 * wants a write either leads, and carries out its own operation and all that are posted, or posts
 * its operation in a slot of the file and sleeps until a leader has carried it out.
 *
 * Who leads. Two locks (sharing/lock.h): `leader` is held while a batch is carried out; `next` is
 * held by the one thread that waits for `leader`. A thread that finds both free leads. Any other
 * posts its operation. If `next` is free it takes it, waits for `leader`, and lets `next` go; if
 * not, it sleeps. So one thread only is woken when a batch ends without having been served by it,
 * and nobody overtakes it.
 *
 * Exactly once. A leader stamps the slots it takes with the number of its batch, writes the results
 * into them, and writes the number into the header record in the same txn. When a leader dies, the
 * next one is told by the lock and reads the header: if that batch's number stands there, its txn
 * was committed, and the results in the slots are true; if not, nothing of it was, and the
 * operations are posted still.
 *
 * One process's trouble stays its own. A leader whose txn meets a fault (a limit of its process,
 * its map, its memory, a damaged record that one of the operations needs) hands the others'
 * operations back: each is then carried out alone by its own process, which gets its own answer.
 * Where the leader cannot tell whether its txn was committed, it leaves the lock as a dead leader
 * does. A process that met a fault goes without group commit for a while, longer each time, so that
 * it neither leads nor has its own operations led; see "trouble" in group_lock.h.
 *
 * Every write txn is one of a leader's, or is made holding `leader`: see group_lock().
 *
 * What may die or stop. A dead leader is noticed by the next one, and a dead next one by a sleeper,
 * within a few milliseconds. A process stopped while it is to lead next delays the others by a few
 * milliseconds for each batch, no more: a sleeper that wakes unserved leads itself if `leader` is
 * free. One stopped, or dumping core, while it leads holds up all, as any holder of a lock does.
 * The slots of a dead process are cleared by group_purge() before its commits are reaped, so that
 * no operation of it is carried out after that.
 *
 * Crowds. The more threads sleep, the more seldom each looks for itself, so that all together look
 * some hundred times a second; there are 512 slots, and those who find none free wait in a queue
 * for one. See group_room.h, and "sleeping" in group_file.h.
 *
 * Trust. Who may write the file can spoil what others do through it: hold them up, or give them
 * false answers. It cannot make them crash or run on wild bytes: operations and results are copied
 * and checked before they are used, and no number in the file is an index that has not been.
 */
#ifndef GROUP_H
#define GROUP_H

#include "base/shared_file.h"
#include "rules/operation.h"

struct be_storage;
struct remote;
struct group;

/* Maps the file in `directory`, making it where missing. `reset`: nobody else has the environment
 * open, so that whatever the file holds is of the dead. `awaits_disk`: the storage flushes what is
 * committed. Under the opening lock. `owners` must outlive it. */
enum be_status group_open(const struct shared_directory *directory, mode_t mode, bool reset,
			  bool awaits_disk, struct owners *owners, struct group **group);

/* The same in a runtime directory, for a storage that lies elsewhere: batches that processes of one
 * machine share are told apart there by a record of their own (remote.h), and a txn that is not a
 * batch needs no lock of ours. */
enum be_status group_open_far(const struct shared_directory *directory, mode_t mode, bool reset,
			      struct owners *owners, struct group **group);

/* The host that the processes of a far group are, by which its batches and owners are known. */
struct remote_host;
struct remote_host *group_host(struct group *group);

/* Another number in each version of what lies in the file. */
uint64_t group_layout(void);

/* One of this process alone, for a storage that has no directory: it lies in memory. Without
 * `leads` each operation is carried out by its own thread, by the ways that the storage needs. */
enum be_status group_open_private(bool leads, struct group **group);
void group_close(struct group *group);

/* The word for lmdb_settings.flushed. A group that is reset keeps it as long as be-owners is of
 * this boot. */
_Atomic uint64_t *group_flushed(struct group *group);

/* The same of a file that may not be there, or not be sound: then 0. */
uint64_t group_peek_flushed(const struct shared_directory *directory);

/* Carries out one operation, in a batch of this thread's or of another's; true when `result` is the
 * answer. False: nothing was done, and the caller is to carry it out in a txn of its own, holding
 * group_lock(). Cancellation must be off, as for the next ones. */
bool group_run(struct group *group, const struct be_storage *storage, struct remote *remote,
	       const struct operation *operation, struct result *result);

/* How a commit waits for money; group_line.h. */
enum line_word {
	LINE_STAY,    /* it waits on */
	LINE_TRY,     /* it may be granted now */
	LINE_GIVE_UP, /* it waits no longer */
};
struct waiting {
	int64_t until_ns; /* of monotonic_ns() */
	/* Looks how things stand: called without a lock, at `*again_ns` of monotonic_ns() at the
	 * latest, which it may bring forward; some times a second by one of all who wait; and when
	 * a signal was handled. `due_ns`: of the operations' clock, when the window ends that
	 * refused it; 0: never. */
	enum line_word (*look)(void *context, int64_t due_ns, int64_t *again_ns);
	void *context;
	int64_t now_ns;   /* of the operations' clock, when it last looked */
	int cancel_state; /* of the thread, while it waits */
	/* The operations' clock. */
	int64_t (*now)(void *context);
	/* The line's own. */
	int64_t look_at_ns;
	uint32_t untended; /* when it last looked */
	uint64_t ticket;   /* its place; 0: it has none yet */
};

/* As many may wait, so that there is room for the others, who make room for them. */
#define WAITING_MAX 384

/* The same as group_run() for a commit that was refused for lack of budget, as `result` says: the
 * answer is that to it when it was granted or refused for another reason, or has given up. False:
 * the caller carries it out, and waits again if it is refused. A cancelled thread leaves nothing
 * behind but what `result` says. */
bool group_wait(struct group *group, const struct be_storage *storage, struct remote *remote,
		const struct operation *operation, struct waiting *waiting, struct result *result);

/* As many commits as wait now; the second, of a file that may not be there, or not be sound: 0. */
uint32_t group_waiting(struct group *group);
uint32_t group_peek_waiting(const struct shared_directory *directory);

/* The id of the host whose processes meet in a directory; false: they do not. */
bool group_peek_host(const struct shared_directory *directory, uint8_t id[OWNER_HOST_SIZE]);

/* Held around every write txn that is not a batch, so that LMDB's own writer lock is never waited
 * for. On a fault the lock is not held: what a leader left could not be brought to an end by this
 * process. `outcome` is how the txn ended. NULL groups are fine, and where the storage lies
 * elsewhere nothing is locked. */
enum be_status group_lock(struct group *group, const struct be_storage *storage);
void group_unlock(struct group *group, enum be_status outcome);

/* group_lock() before a txn that changes envelopes and commits, at `now_ns` of the operations'
 * clock: those who wait for a window that has ended are served first. */
enum be_status group_lock_behind_line(struct group *group, const struct be_storage *storage,
				      int64_t now_ns);

/* group_unlock() after a txn in which something may have been freed, at `now_ns` of the operations'
 * clock: those who wait for it are served before anybody else. */
void group_unlock_freed(struct group *group, const struct be_storage *storage,
			enum be_status outcome, int64_t now_ns);

/* Drops what a dead process has posted. On BE_OK no operation of it will be carried out any more.
 * In front of a server BE_UNREACHABLE says that a leader does not come to an end; nothing was
 * dropped. */
enum be_status group_purge(struct group *group, const struct be_storage *storage,
			   struct remote *remote, const struct owner *dead);

#endif
