/* SPDX-License-Identifier: Apache-2.0 */
/* What callers say about envelopes, made into operations. */
#ifndef ENVELOPES_H
#define ENVELOPES_H

#include "api/zones.h"

/* Checks what a caller gave, in the order that the header says, and makes an operation of it, as of
 * `now_ns`. The change's own size is not looked at. Time zones are read unless they are among
 * `zones`. */
enum be_status envelopes_prepare(const struct be_enforcer *handle,
				 const struct be_envelope_change *change, int64_t now_ns,
				 struct zones **zones, struct operation *operation);

#endif
