/* SPDX-License-Identifier: Apache-2.0 */
/* The order of records by one of their fields. */
#ifndef ORDER_H
#define ORDER_H

#include "fields.h"

/* Records are in ascending order of this number; what has no end comes after all that has one.
 * Where two numbers are equal, but are not the whole of what is compared, order_compare()
 * decides. */
uint64_t order_key(const struct field *field, const void *record, int64_t now_ns);
bool order_key_is_whole(const struct field *field, uint64_t key);
int order_compare(const struct field *field, const void *a, const void *b, int64_t now_ns);

#endif
