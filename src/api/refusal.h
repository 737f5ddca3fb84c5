/* SPDX-License-Identifier: Apache-2.0 */
/* What be_last_error() says of a refusal. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "rules/operation.h"

/* For EXCEEDS_BUDGET and SUSPENDED: what was asked for, the figures on which the envelope of this
 * name refused it, and what would help. `requested` is the amount that the caller gave, and
 * refusal->asked may be a part of it. The text is made only when it is asked for. */
void refusal_explain(enum be_status status, const char *namespace_name, const char *category,
		     int64_t requested, const struct refusal *refusal);

/* For NO_ENVELOPE. */
void refusal_explain_no_envelope(const char *namespace_name, const char *category);

/* For HAS_COMMITS, of one that was to get another parent. */
void refusal_explain_pending(const struct be_envelope *envelope);

#endif
