/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, in the order in which the help lists them. */
#ifndef VERBS_H
#define VERBS_H

#include "request.h"

extern const struct verb verbs[];
extern const unsigned verb_count;

/* NULL: there is none of that name. */
const struct verb *verb_find(const char *name);

#endif
