/* SPDX-License-Identifier: Apache-2.0 */
/* The verb that brings the envelopes to what a file declares. */
#ifndef APPLY_H
#define APPLY_H

#include "request.h"

extern const char apply_help[];

int apply_run(const struct request *request);

#endif
