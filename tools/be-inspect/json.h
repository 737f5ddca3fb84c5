/* SPDX-License-Identifier: Apache-2.0 */
/* JSON on standard output: one document, written as its elements come, so that a ledger of any
 * length needs no more memory than one of its lines. */
#ifndef JSON_H
#define JSON_H

#include "arguments.h"

/* `{"version": 1, "at": ...` and the beginning of what the view's name holds, which is
 * `opening`. */
void json_begin(const struct arguments *arguments, const char *opening);

/* One record as an element; `*count` is how many came before. False when it could not be
 * written. */
bool json_row(const struct arguments *arguments, const void *record, uint64_t *count);

/* One record as a document and a line of its own. */
bool json_line(const struct arguments *arguments, const void *record);

/* Any value as an element. Takes the reference. */
bool json_element(json_t *element, uint64_t *count);

/* The end of the document, from `closing` on. A listing that failed is left without, so that no
 * reader takes it for whole. */
void json_end(const char *closing);

#endif
