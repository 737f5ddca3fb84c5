/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that wait until there is money for them. */
#ifndef WAIT_H
#define WAIT_H

#include "api/enforcer.h"

/* How long, as the caller's options say. */
struct patience {
	int64_t ms; /* BE_WAIT_WINDOW, BE_WAIT_FOREVER, or milliseconds; 0: not at all */
	bool (*keep)(void *context);
	void *context;
};

/* A commit was refused for lack of budget. Waits, if that may help, and decides again: `result` is
 * the answer, as that of executor_run(). The operation's time moves on to when it was decided. */
void wait_for_money(struct be_enforcer *handle, struct environment *environment,
		    struct operation *operation, const struct patience *patience,
		    struct result *result);

#endif
