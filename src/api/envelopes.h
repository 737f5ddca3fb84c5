/* SPDX-License-Identifier: Apache-2.0 */
/* Makes operations of what callers say about envelopes. */
#ifndef ENVELOPES_H
#define ENVELOPES_H

#include "api/zones.h"

/* Checks what a caller gave, in the order that the header says, and makes an operation of it for
 * the time `now_ns`. It does not look at the change's own size. Time zones are read unless they are
 * among `zones`. */
enum be_status envelopes_prepare(const struct be_enforcer *handle,
				 const struct be_envelope_change *change, int64_t now_ns,
				 struct zones **zones, struct operation *operation);

#endif
