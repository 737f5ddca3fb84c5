/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the library kept small in memory. Most of a record is zeros: the rest of its names,
 * and the upper bytes of its numbers. They are left out. */
#ifndef PACK_H
#define PACK_H

#include <stddef.h>

/* Begins empty, with `record_size` set. What it holds is given back with free(pack.bytes). */
struct pack {
	size_t record_size;
	unsigned char *bytes;
	size_t used;
	size_t room;
};

/* Adds a copy of a record, and returns its place. */
size_t pack_add(struct pack *pack, const void *record);

/* Writes out the record at a place. */
void pack_read(const struct pack *pack, size_t place, void *record);

#endif
