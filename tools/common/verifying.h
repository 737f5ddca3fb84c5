/* SPDX-License-Identifier: Apache-2.0 */
/* Recomputes every balance in a process of its own, which may crash on damage that LMDB
 * believes. */
#ifndef VERIFYING_H
#define VERIFYING_H

#include <budget_enforcer.h>

struct verified {
	enum be_status status;
	bool counted; /* `found` tells something */
	struct be_verification found;
	char error[1024]; /* when status is not BE_OK */
};

/* Opens the environment read-only and verifies it. `each` is called for every difference as it is
 * found, and once with the error if damage, or a crash, ended it all without any. Ends this process
 * when no other can be started. */
void verify_environment(const char *environment, void (*each)(void *context, const char *sentence),
			void *context, struct verified *verified);

/* BE_UNBALANCED and BE_DAMAGED are what verifying is there to find, and no faults of its own. */
bool verified_is_finding(enum be_status status);

#endif
