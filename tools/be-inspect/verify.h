/* SPDX-License-Identifier: Apache-2.0 */
/* The view that recomputes every balance. */
#ifndef VERIFY_H
#define VERIFY_H

#include "arguments.h"

enum {
	VERIFY_EXIT_DIFFERENCES = 1,
};

/* Verifies and prints what was found. Returns an exit code: VERIFY_EXIT_DIFFERENCES when something
 * does not add up or is damaged. Must be called before the environment is opened in this
 * process. */
int verify_run(const struct arguments *arguments);

#endif
