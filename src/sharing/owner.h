/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is alive: the kernel's word for it, by locks.
 *
 * The file be-owners beside the data has a slot for each process that has the environment open. A
 * process holds an open-file-description lock on the byte of its slot's number, and the kernel
 * drops it when the process ends, however it ends. A slot's generation is a number never given out
 * twice; (slot, generation) stands in every pending commit. An owner is dead when its slot carries
 * another generation, or carries it and nobody holds the lock.
 *
 * Asking the kernel about hundreds of slots would cost more than a refused commit may. So each slot
 * also has a robust mutex that a thread of its process holds, taken anew by the next that changes
 * something: the kernel marks it when that thread ends, and reading that it is held costs a few
 * instructions. It is a hint only: an unheld one makes us ask for the lock, which decides.
 *
 * A slot with a generation is given to nobody else until its owner's commits have been reaped and
 * owners_forget() has cleared it: so "some slot's owner is dead" is all that has to be watched for.
 *
 * Processes of several pid namespaces (containers) may share an environment. A pid means something
 * together with its namespace only, and nothing but locks says who lives.
 *
 * A further byte is locked while a process opens the environment: alone from the first step to the
 * last by one who opens what nobody has open, and shared, only while they register, by those who
 * come after it. So one process makes all files, and sets what must be the same for all: the
 * durability.
 */
#ifndef OWNER_H
#define OWNER_H

#include "base/shared_file.h"

#include <string.h>

/* As many as LMDB has reader slots here. */
#define OWNER_SLOTS 4096

struct owners;

/* Who holds a commit: the slot and generation that owners_open() gave this process. Generation 0 is
 * nobody: storages of which only one process knows have no owners. In front of a server that
 * several hosts use, the host is named, too, whose lease says of all its owners that they live
 * (executor/lease.h). */
#define OWNER_HOST_SIZE 16
struct owner {
	uint64_t generation;
	uint32_t slot;
	uint32_t pid;           /* in its own namespace; for people */
	uint32_t pid_namespace; /* the number of that; 0 in a commit's record, which lacks it */
	uint8_t host[OWNER_HOST_SIZE]; /* zeroes: none */
};

static inline bool owner_has_host(const struct owner *owner)
{
	static const uint8_t none[OWNER_HOST_SIZE];

	return memcmp(owner->host, none, sizeof none) != 0;
}

static inline bool owner_is_same(const struct owner *a, const struct owner *b)
{
	return a->generation == b->generation && a->slot == b->slot &&
	       memcmp(a->host, b->host, sizeof a->host) == 0;
}

/* Opens the file in `directory`, making it where missing, and registers this process. One who was
 * alone holds the opening lock on BE_OK: owners_opened() drops it. Statuses: OTHER_DURABILITY,
 * SECOND_COPY, TOO_MANY_PROCESSES, PERMISSION, DISK_FULL, IO_ERROR. */
enum be_status owners_open(const struct shared_directory *directory, mode_t mode,
			   enum be_durability durability, struct owners **owners);

/* For those who only look: no registration, and no lock but one that shows them to other copies of
 * this library in their process; *owners is NULL when the file is missing. Statuses as above. */
enum be_status owners_open_read_only(const struct shared_directory *directory,
				     struct owners **owners);

/* The same in a runtime directory, where there are no files of LMDB's: this process may have it
 * open to write, too. */
enum be_status owners_open_unseen(const struct shared_directory *directory, struct owners **owners);

/* For a registration that outlived the closing of its environment: otherwise the same. */
enum be_status owners_reopen(struct owners *owners, enum be_durability durability);

void owners_opened(struct owners *owners);

/* Is there such a file in `directory`? Then a pool has used it, or is just beginning to. */
bool owners_exist(const struct shared_directory *directory);

/* Is the open file the one in `directory`, or has that been removed or replaced? */
bool owners_are_in(const struct owners *owners, const struct shared_directory *directory);

/* Did it register, rather than open to look only? */
bool owners_are_registered(const struct owners *owners);

/* Does another process have the environment open, to change it? Asks the kernel. */
bool owners_are_in_use(const struct owners *owners);

/* What it registered with. */
uint64_t owners_generation(const struct owners *owners);

/* That of this process. */
uint32_t owners_pid_namespace(const struct owners *owners);

/* True when no other process had the environment open when this one opened it; those who come wait
 * until it has been opened. */
bool owners_were_alone(const struct owners *owners);

/* Has a process had the environment open to write since the machine came up? From owners_settle()
 * on. NULL: no. The first one tells whether the newest txn was not whole then, and was dropped. */
bool owners_are_settled(const struct owners *owners);
bool owners_went_back(const struct owners *owners);
void owners_settle(struct owners *owners, bool went_back);

/* Commits may be pending for owners that a file which was made anew never knew. True for the one
 * process that is to reap those. One that fails leaves them to the next that opens; one that dies
 * is itself a dead owner, and when those are reaped, the unknown ones are, too. */
bool owners_claim_unknown(struct owners *owners);
void owners_leave_unknown(struct owners *owners);

/* All of those have been reaped; and may there still be some? Until they have been, a caller that
 * is refused looks for them, too, whether or not another process has claimed them. */
void owners_reaped_unknown(struct owners *owners);
bool owners_have_unknown(const struct owners *owners);

/* This process, as it goes into its commits. */
struct owner owners_self(struct owners *owners);

/* To be called before this process makes its first commit, with an id that none of its commits will
 * be below. */
void owners_commits_from(struct owners *owners, uint64_t id);

/* Where to look for the commits of a registered owner: they have this id or later ones. 0: it has
 * made none, or it is registered no longer. */
uint64_t owners_first_commit(struct owners *owners, const struct owner *owner);

/* The kernel's word: does the process that made a commit live? */
bool owners_alive(struct owners *owners, const struct owner *owner);

/* The same of one who is named by slot and the low half of the generation; any numbers will do. */
bool owners_alive_named(struct owners *owners, uint32_t slot, uint32_t generation);

/* Cheap: finds up to `count` registered owners that are dead, and returns how many. */
size_t owners_find_dead(struct owners *owners, struct owner *dead, size_t count);

/* Calls back for each registered owner, dead ones included, until `each` returns false. */
bool owners_each(struct owners *owners,
		 bool (*each)(void *context, const struct owner *owner, bool alive), void *context);

/* Cheap: does the slot still carry this generation? */
bool owners_registered(struct owners *owners, const struct owner *owner);

/* Frees the slot of a dead owner, once nothing is pending for it. */
void owners_forget(struct owners *owners, const struct owner *dead);

/* Ends the registration. Returns false, and leaves all as it is, when another thread holds this
 * process's hint: unmapping it would break that thread's list of robust mutexes, so the
 * registration must then stay. */
bool owners_close(struct owners *owners);

/* Frees what is here without ending the registration, as a fork child does, whose copy of the
 * descriptor was closed when it was forked; without one, it ends all. */
void owners_abandon(struct owners *owners);

#endif
