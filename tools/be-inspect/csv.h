/* SPDX-License-Identifier: Apache-2.0 */
/* Comma-separated values on standard output, as RFC 4180 has them. */
#ifndef CSV_H
#define CSV_H

#include "arguments.h"

/* The line of headings, unless they are not wanted. */
void csv_begin(const struct arguments *arguments);

/* A record. False when it could not be written. */
bool csv_row(const struct arguments *arguments, const void *record);

#endif
