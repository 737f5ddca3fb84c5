/* SPDX-License-Identifier: Apache-2.0 */
/* The verb that recomputes every balance. */
#ifndef VERIFY_H
#define VERIFY_H

#include "request.h"

int verify_run(const struct request *request);

#endif
