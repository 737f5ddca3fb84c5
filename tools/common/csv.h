/* SPDX-License-Identifier: Apache-2.0 */
/* Comma-separated values, as RFC 4180 has them. */
#ifndef CSV_H
#define CSV_H

#include "fields.h"

#include <stdio.h>

/* The line of headings, and a record, of these columns. */
void csv_begin(FILE *file, const struct field *const *columns, size_t count, bool crlf);
void csv_row(FILE *file, const struct field *const *columns, size_t count, bool crlf,
	     const void *record, int64_t now_ns);

/* The same of all fields of a view. */
void csv_put_headings(FILE *file, const struct fields *fields);
void csv_put_row(FILE *file, const struct fields *fields, const void *record, int64_t now_ns);

#endif
