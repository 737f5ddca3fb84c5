/* SPDX-License-Identifier: Apache-2.0 */
/* What a handle holds that was opened with BE_OPEN_OWNING: the commits that end when it closes. */
#ifndef HOLDS_H
#define HOLDS_H

#include "api/enforcer.h"

/* Finds room for one commit more, before it is made: after that nothing may fail. */
enum be_status holds_expect(struct be_enforcer *handle);

/* A commit that this handle has made, for which room was found; and one that has ended, whichever
 * process made it. */
void holds_add(struct be_enforcer *handle, uint64_t id);
void holds_remove(struct be_enforcer *handle, uint64_t id);

/* Ends all that the handle still holds, each by its policy, as if its owner had died; in a fork
 * child, nothing of what its parent holds. */
void holds_end(struct be_enforcer *handle);

#endif
