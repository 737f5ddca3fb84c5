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

/* The part of an open environment that the way to a write txn needs. The environment fills it in.
 * */
struct executor {
	const struct be_storage *storage;
	struct group *group;             /* NULL: one process has the storage, or it is read only */
	_Atomic(struct owners *) owners; /* NULL: nobody who makes commits is known to die */
	bool read_only;                  /* its caller refuses what would write */
	bool direct;                     /* do without group commit */
};

/* Runs one operation: together with operations that wait elsewhere if the environment has group
 * commit (group.h), directly otherwise. Returns BE_OK when it is done and as durable as the
 * environment promises, whatever the result's status says. Otherwise nothing was done, and the
 * fault is returned and stands in the result. */
enum be_status executor_run(struct executor *executor, const struct operation *operation,
			    struct result *result);

/* The same for `count` operations in one txn of this thread's, in order. Each is refused or granted
 * by itself. EXECUTOR_DIRECT_MAX at most, since other writers wait meanwhile. */
#define EXECUTOR_DIRECT_MAX 32
enum be_status executor_direct(struct executor *executor, const struct operation *operations,
			       struct result *results, size_t count);

/* Any number of operations in one txn of this thread's, in order: all of them, or none when one is
 * refused. Then the status of that one is returned, and *done is its index. *done is `count` when
 * all were done, and also when the fault was that of no single operation. */
enum be_status executor_together(struct executor *executor, const struct batch_source *source,
				 size_t count, size_t *done);

#endif
