/* SPDX-License-Identifier: Apache-2.0 */
/* What be_last_error() says of a refusal. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "rules/operation.h"

/* For EXCEEDS_BUDGET and SUSPENDED: what was asked for, the figures that the envelope of this name
 * refused it on, and what would help. `requested` is the amount that the caller gave, of which
 * refusal->asked may be a part. Puts the text together only when somebody asks for it. */
void refusal_explain(enum be_status status, const char *namespace_name, const char *category,
		     int64_t requested, const struct refusal *refusal);

/* For NO_ENVELOPE. */
void refusal_explain_no_envelope(const struct name *name);

#endif
