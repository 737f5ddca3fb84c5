/* SPDX-License-Identifier: Apache-2.0 */
/* Moves an environment with all that was spent in it. */
#ifndef WHOLE_H
#define WHOLE_H

#include "request.h"

int whole_copy(const struct request *request);

#endif
