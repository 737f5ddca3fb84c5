/* SPDX-License-Identifier: Apache-2.0 */
/* The verb that runs a command for each alert. */
#ifndef ALERTS_H
#define ALERTS_H

#include "request.h"

extern const char alerts_help[];

int alerts_run(const struct request *request);

#endif
