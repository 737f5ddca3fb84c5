/* SPDX-License-Identifier: Apache-2.0 */
/* What callers say about envelopes, made into operations. */
#ifndef ENVELOPES_H
#define ENVELOPES_H

#include "rules/operation.h"

/* Checks what a caller gave, in the order that the header says, and makes an operation of it. The
 * change's own size is not looked at. `handle` may be NULL, which is refused. */
enum be_status envelopes_prepare(const struct be_enforcer *handle,
				 const struct be_envelope_change *change,
				 struct operation *operation);

#endif
