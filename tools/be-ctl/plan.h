/* SPDX-License-Identifier: Apache-2.0 */
/* What has to be done so that an environment becomes what a file declares. */
#ifndef PLAN_H
#define PLAN_H

#include "declaration.h"

struct step {
	const struct declared *declared;  /* NULL: it is not, and is to be removed */
	const struct be_envelope *before; /* NULL: it is not there, and is to be created */
	struct be_envelope_options options;
};

/* Steps and changes go together, one by one. */
struct plan {
	struct be_envelope *current; /* all that there are, in order of namespace and category */
	size_t current_count;
	struct step *steps;
	struct be_envelope_change *changes;
	size_t count;
};

/* Plans for the environment behind `handle`; NULL is one that does not exist yet. BE_OK, or a fault
 * of the library's; what cannot be done is complained of in the declaration's name. To be freed in
 * any case. */
enum be_status plan_make(struct plan *plan, struct declaration *declaration,
			 struct be_enforcer *handle, bool prune);
void plan_free(struct plan *plan);

#endif
