/* SPDX-License-Identifier: Apache-2.0 */
/* Brings operations to a write txn and their results back. */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "environment/environment.h"
#include "executor/batch.h"
#include "rules/operation.h"

/* Runs one operation: together with those that wait elsewhere where the environment has group
 * commit (group.h), directly otherwise. Returns BE_OK when it is done and as durable as the
 * environment promises, whatever the result's status says; otherwise the fault, with nothing done,
 * and the result carries it. */
enum be_status executor_run(struct environment *environment, const struct operation *operation,
			    struct result *result);

/* The same for `count` operations in one txn of this thread's, in order; each is refused or granted
 * by itself. Not more than so many, since others wait meanwhile. */
#define EXECUTOR_DIRECT_MAX 32
enum be_status executor_direct(struct environment *environment, const struct operation *operations,
			       struct result *results, size_t count);

/* Any number of operations in one txn of this thread's, in order: all of them, or none when one is
 * refused, whose status is returned and whose index is *done. *done is `count` when they were all
 * done, and when none of them was the reason that they were not. */
enum be_status executor_together(struct environment *environment, const struct batch_source *source,
				 size_t count, size_t *done);

#endif
