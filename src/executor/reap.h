/* SPDX-License-Identifier: Apache-2.0 */
/* Ends commits that no process will end: those past their deadline, and those whose owner is
 * dead. */
#ifndef REAP_H
#define REAP_H

#include "rules/operation.h"

struct executor;

/* Told of each commit that was reaped. May be NULL. */
struct reap_listener {
	void (*reaped)(void *context, const struct operation *operation,
		       const struct result *result);
	void *context;
};

/*
 * Reaps what is due at `now_ns`, a few commits per txn. *reaped counts them.
 *
 * Quick (not `thorough`): looks at the owners' hints and at the first deadline, which together cost
 * less than a microsecond of reading when there is nothing to do, and goes through the pending
 * commits only when an owner is dead. Thorough: goes through them in any case and asks the kernel
 * about each owner.
 */
enum be_status reap_run(struct executor *executor, int64_t now_ns, bool thorough,
			const struct reap_listener *listener, uint64_t *reaped);

/*
 * For a refusal that hinges on what is committed, and that was decided when `reaped` commits had
 * been reaped in the environment: reaps quickly what is due at `now_ns`, and says whether anything
 * was freed since, by any process. If so, the caller decides once more, and that decision is true
 * of the moment `now_ns`. If not, the refusal was true.
 */
enum be_status reap_for_refusal(struct executor *executor, int64_t now_ns, uint64_t reaped,
				const struct reap_listener *listener, bool *freed);

/* For an owner that gives up commits while it lives: ends those of `ids` that are pending, tied to
 * `owner` and its own, each by its policy as an orphan. Those that have ended meanwhile, or cannot
 * be charged, are passed over. */
enum be_status reap_given_up(struct executor *executor, int64_t now_ns, const struct owner *owner,
			     const uint64_t *ids, size_t count,
			     const struct reap_listener *listener);

#endif
