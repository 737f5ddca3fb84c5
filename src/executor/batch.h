/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations carried out in a write txn of a storage. The caller holds the lock of group.h,
 * where there is one, and has cancellation off.
 */
#ifndef BATCH_H
#define BATCH_H

#include "executor/remote.h"
#include "rules/operation.h"
#include "rules/rules.h"

/* Applies one operation within an attempt, at the storage's time if that has one. */
struct attempt;
enum be_status batch_apply(const struct attempt *attempt, struct ledger *ledger,
			   const struct operation *operation, struct result *result);

/* The number of the last batch that was committed, as a writer sees it: one whose process died
 * after its last write, and before it said so, stands, but a reader does not see it until a writer
 * has come. */
enum be_status batch_last(const struct be_storage *storage, uint64_t *number);

/* Runs operations in one txn, in order; each is refused or granted by itself. On a fault nothing is
 * done, and every result carries it. `remote` is NULL where the storage needs none; `owners` is the
 * host whose owners make the commits among them; `family` (may be NULL) is for one that moves. */
enum be_status batch_run(const struct be_storage *storage, struct remote *remote,
			 struct remote_host *owners, struct family *family,
			 const struct operation *operations, struct result *results, size_t count);

/* Operations that are made one at a time, when it is their turn, so that any number of them take no
 * memory. Both functions are called while everybody waits for the txn, and have to be quick. */
struct batch_source {
	/* Makes the `i`th operation, and makes it again when the txn has to be begun again.
	 * Anything but BE_OK ends all as if that had been refused. */
	enum be_status (*make)(void *context, size_t i, struct operation *operation);
	/* Is shown its result when that is BE_OK. It holds only if all end well. NULL: nobody
	 * looks. */
	void (*look)(void *context, size_t i, const struct result *result);
	void *context;
	int64_t now_ns; /* of the operations */
};

/* All of them or none: see executor_together(). */
enum be_status batch_run_together(const struct be_storage *storage, struct remote *remote,
				  const struct batch_source *source, size_t count, size_t *done);

/* Makes `result` carry a fault. */
void batch_fail(struct result *result, enum be_status status);

/* Is it a fault of the environment or of the machine, rather than an answer of the rules? */
static inline bool batch_is_fault(enum be_status status)
{
	return status <= BE_NOT_FOUND;
}

#endif
