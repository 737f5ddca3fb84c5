/* SPDX-License-Identifier: Apache-2.0 */
/* Ends the commits nobody will end: those past their deadline, and those whose owner is dead. */
#ifndef REAP_H
#define REAP_H

#include "environment/environment.h"
#include "rules/operation.h"

/* Told of each commit that was reaped. May be NULL. */
struct reap_listener {
	void (*reaped)(void *context, const struct operation *operation,
		       const struct result *result);
	void *context;
};

/*
 * Reaps what is due at `now_ns`, a few commits per txn. *reaped counts them.
 *
 * Quick (not `thorough`): looks at the first deadline and at the owners' hints, which together cost
 * a few microseconds when there is nothing to do, and goes through the pending commits only when an
 * owner is dead. Thorough: goes through them in any case and asks the kernel about each owner.
 */
enum be_status reap_run(struct environment *environment, int64_t now_ns, bool thorough,
			const struct reap_listener *listener, uint64_t *reaped);

#endif
