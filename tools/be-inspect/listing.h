/* SPDX-License-Identifier: Apache-2.0 */
/* The views that list records. */
#ifndef LISTING_H
#define LISTING_H

#include "arguments.h"

/* Lists what the arguments ask for. Returns an exit code, after saying what went wrong. */
int listing_run(const struct arguments *arguments);

#endif
