/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An open environment, shared by all handles of this process that name it: one mapping per
 * directory, counted, since LMDB loses its locks when one process maps the same files twice.
 *
 * Fork: a child must not touch what its parent opened. Each environment remembers the fork
 * generation in which it was opened. A fork handler raises the generation in the child, and a
 * handle that finds its environment out of date opens a new one (enforcer.c).
 */
#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include "executor/executor.h"

#include <budget_enforcer_storage.h>
#include <stdatomic.h>

struct counts;

struct environment {
	struct executor executor;           /* its owners, of a reader: see environment_owners() */
	struct shared_directory *directory; /* NULL: the storage is the caller's */
	struct counts *counts;              /* NULL likewise, and when its file cannot be used */
	enum be_durability durability;
	mode_t mode;
	uint64_t map_size;
	dev_t data_device; /* of the open data.mdb */
	ino_t data_inode;
	bool is_given; /* the storage is the caller's, who sees to its forks: not in the table */
	/* Of one that is given, and shares group commit with other processes: an entry of the table
	 * for the runtime directory (place.h), in which there is no storage. */
	struct environment *place;
	/* Of one that is given and only looks: the processes of this machine that meet there, and
	 * their host's id. NULL: none do. */
	struct owners *met;
	uint8_t met_host[OWNER_HOST_SIZE];
	bool is_place;
	bool holds; /* is_place: this process holds commits on the server */
	uint64_t fork_generation;

	/* The table's, under its lock. */
	unsigned references;
	bool busy; /* a thread opens or closes it */
	dev_t device;
	ino_t inode;
	struct environment *next;
};

struct environment_settings {
	const char *path; /* of the directory; NULL when storage is given */
	const struct be_storage *storage;
	uint32_t flags; /* enum be_open_flags */
	enum be_durability durability;
	mode_t mode;
	uint64_t map_size;
	int64_t now_ns;
	bool own_clock;       /* the caller gave the one that now_ns is of */
	int64_t lease_ns;     /* of this host, in front of a server */
	int64_t check_age_ns; /* checks.h; 0: none are kept */
	dev_t data_device; /* inode 0: whatever there is. Else BE_NOT_FOUND unless data.mdb is this
	                      one */
	ino_t data_inode;
	bool is_place; /* `path` is that of a runtime directory */
};

/* Opens, or counts one more user of what this process has open. The statuses are those of
 * be_open(). */
enum be_status environment_open(const struct environment_settings *settings,
				struct environment **environment);

/* Counts one more user of one that is open in this process already, wherever its path leads
 * by now. A storage of the caller's is opened once more, with these settings. */
enum be_status environment_share(struct environment *environment,
				 const struct environment_settings *settings,
				 struct environment **shared);

/* Counts one handle less, and closes all with the last one. In a fork child that never used the
 * environment, which its parent opened, this only forgets it. */
void environment_close(struct environment *environment);

/* In a fork child: replaces an environment that the parent opened by one of the child's own.
 * Several threads may call it; the first does it. */
enum be_status environment_renew(const struct environment_settings *settings,
				 _Atomic(struct environment *) *place);

/* The owners, as the environment's file be-owners has them. NULL for a storage of the caller's, and
 * as long as no process has had the environment open to write since it was made or restored, or
 * since the machine went down: then no owner of a commit lives. A reader that opened it before that
 * looks for the file again with each call. */
struct owners *environment_owners(struct environment *environment);

/* The same of one that is given and only looks, for owners of this host: NULL when `owner` is not
 * known to be one. */
struct owners *environment_met(const struct environment *environment, const struct owner *owner);

/* Raised in every fork child. */
extern _Atomic uint64_t environment_fork_generation;

/* Was it opened by this process, and not by a process that this one was forked from? One load. */
static inline bool environment_is_ours(const struct environment *environment)
{
	/* A given storage goes on by itself; those who wait are threads of the parent's. */
	return (environment->is_given && !environment->place && !environment->executor.group) ||
	       environment->fork_generation ==
		       atomic_load_explicit(&environment_fork_generation, memory_order_acquire);
}

#endif
