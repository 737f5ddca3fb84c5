/* SPDX-License-Identifier: Apache-2.0 */
/* Brings operations to a write txn and their results back. */
#ifndef EXECUTOR_H
#define EXECUTOR_H

#include "environment.h"
#include "operation.h"

/* Runs `count` operations in one write txn, in order; each is refused or granted by itself. Returns BE_OK
 * when they are done and as durable as the environment promises, whatever each result says; otherwise the
 * fault, with nothing done, and every result carries it. */
enum be_status executor_run(struct environment *environment, const struct operation *operations,
			    struct result *results, size_t count);

#endif
