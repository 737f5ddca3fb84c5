/* SPDX-License-Identifier: Apache-2.0 */
/* Records on standard output, in the form that was asked for. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "arguments.h"

struct output;

/* Never NULL. `arguments` must outlive it. */
struct output *output_begin(const struct arguments *arguments);

/* `branch` is what stands before a name in a tree, or "". False when it could not be written, and
 * there is no use in going on. */
bool output_row(struct output *output, const void *record, const char *branch);

/* Records shown so far. */
uint64_t output_count(const struct output *output);

/* Writes what has gathered. False as above. */
bool output_flush(struct output *output);

/* Writes the rest and frees it. The end of a document is only written when the listing is `whole`,
 * so that no reader takes half a listing for all of it. */
void output_end(struct output *output, bool whole);

#endif
