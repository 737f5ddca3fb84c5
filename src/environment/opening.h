/* SPDX-License-Identifier: Apache-2.0 */
/* How a process opens the files of an environment, and closes them; environment.c says when. */
#ifndef OPENING_H
#define OPENING_H

#include "environment/environment.h"

/* Opens what lies in environment->directory. A registration that an earlier opening left in
 * environment->owners is taken up again, and is still there after a failure; all else is then as it
 * was before. */
enum be_status opening_run(const struct environment_settings *settings,
			   struct environment *environment);

/* Closes it. environment->owners is left when this process holds commits, or another of its threads
 * holds the registration's hint: the process lives, so what it reserved stays reserved. */
void opening_undo(struct environment *environment);

/* Is a commit pending that this process made? If that cannot be told it counts as true. */
bool opening_holds_commits(struct executor *executor);

/* Makes the header where the storage is new. */
enum be_status opening_settle_header(const struct environment_settings *settings,
				     struct environment *environment);

#endif
