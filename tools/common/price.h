/* SPDX-License-Identifier: Apache-2.0 */
/* A file of prices: for each model what a million tokens of each kind cost. */
#ifndef PRICE_H
#define PRICE_H

#include "file.h"

#include <stdint.h>

/* Nanos per million tokens. */
struct prices {
	int64_t input;
	int64_t output;
	int64_t cached;  /* those read from a cache, */
	int64_t written; /* and written to one */
};

struct price_list;

/* Reads lines of model,input,output[,cached[,written]]: amounts for a million tokens; those read
 * from a cache, or written to one, cost as much as others where nothing is said. The first line may
 * be a heading. NULL, and *problem says why. To be given back with price_list_free(). */
struct price_list *price_list_read(const char *path, struct file_problem *problem);

/* The prices of a model: those of the longest name that it begins with, so that gpt-4o-2024-08-06
 * has those of gpt-4o; else those of the model named *. NULL: there are none. */
const struct prices *price_list_find(const struct price_list *list, const char *model);

void price_list_free(struct price_list *list);

#endif
