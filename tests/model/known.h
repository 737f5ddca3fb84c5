/* SPDX-License-Identifier: Apache-2.0 */
/* Short games that a library once lost, or that dice would not play in years. Each must be
 * drawn. */
#ifndef KNOWN_H
#define KNOWN_H

#include "step.h"

#define KNOWN_BEGIN_NS (INT64_C(1700000000) * BE_UNIT)
#define KNOWN_STEPS 10

struct known_game {
	const char *what; /* must hold */
	size_t count;
	struct step steps[KNOWN_STEPS];
};

extern const struct known_game known_games[];
extern const size_t known_game_count;

#endif
