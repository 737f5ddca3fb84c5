/* SPDX-License-Identifier: Apache-2.0 */
/* The view of an environment from outside. */
#ifndef STATS_H
#define STATS_H

#include "arguments.h"

/* Shows the figures of be_stats(). Returns an exit code, after saying what went wrong. */
int stats_run(const struct arguments *arguments);

#endif
