/* SPDX-License-Identifier: Apache-2.0 */
/* Brings operations to a write txn and their results back. */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "executor/batch.h"
#include "rules/operation.h"
#include "sharing/owner.h"

#include <budget_enforcer_storage.h>
#include <stdatomic.h>

struct group;

/* What the way to a write txn needs of an open environment, which has it inside and fills it in. */
struct executor {
	const struct be_storage *storage;
	struct group *group;             /* NULL: one process has the storage, or it is read only */
	_Atomic(struct owners *) owners; /* NULL: nobody who makes commits is known to die */
	bool read_only;                  /* its caller refuses what would write */
	bool direct;                     /* do without group commit */
};

/* Runs one operation: together with those that wait elsewhere where the environment has group
 * commit (group.h), directly otherwise. Returns BE_OK when it is done and as durable as the
 * environment promises, whatever the result's status says; otherwise the fault, with nothing done,
 * and the result carries it. */
enum be_status executor_run(struct executor *executor, const struct operation *operation,
			    struct result *result);

/* The same for `count` operations in one txn of this thread's, in order; each is refused or granted
 * by itself. Not more than so many, since others wait meanwhile. */
#define EXECUTOR_DIRECT_MAX 32
enum be_status executor_direct(struct executor *executor, const struct operation *operations,
			       struct result *results, size_t count);

/* Any number of operations in one txn of this thread's, in order: all of them, or none when one is
 * refused, whose status is returned and whose index is *done. *done is `count` when they were all
 * done, and when none of them was the reason that they were not. */
enum be_status executor_together(struct executor *executor, const struct batch_source *source,
				 size_t count, size_t *done);

#endif
