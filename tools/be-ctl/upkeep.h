/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that keep an environment small and safe. */
#ifndef UPKEEP_H
#define UPKEEP_H

#include "request.h"

enum be_status upkeep_prune(const struct request *request, struct be_enforcer *handle,
			    struct answer *answer);
enum be_status upkeep_backup(const struct request *request, struct be_enforcer *handle,
			     struct answer *answer);
int upkeep_restore(const struct request *request);

#endif
