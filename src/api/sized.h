/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures that begin with `uint32_t size` and may grow. A program built against an older header
 * passes a smaller one: what it lacks counts as zero, and is not written. One built against a newer
 * header may pass a larger one, as long as what we do not know is zero.
 */
#ifndef SIZED_H
#define SIZED_H

#include "base/error.h"

#include <string.h>

/* Larger than any structure will be: what says more was never initialised. */
#define SIZED_MAX 65536

static inline enum be_status sized_refuse(void)
{
	return error_set(BE_INVALID_SIZE,
			 "a structure's size is wrong: initialise it with its BE_..._INIT macro");
}

/* Copies what a caller passed into a structure of ours. NULL leaves ours as it is. */
static inline enum be_status sized_read(const void *from, void *to, size_t to_size)
{
	const unsigned char *bytes = from;
	uint32_t size;

	if (!from)
		return BE_OK;
	memcpy(&size, from, sizeof size);
	if (size < sizeof size || size > SIZED_MAX)
		return sized_refuse();
	for (size_t i = to_size; i < size; i++)
		if (bytes[i] != 0)
			return error_set(BE_INVALID_SIZE,
					 "an option is set that this version of the library does "
					 "not know: upgrade it");
	memcpy(to, from, size < to_size ? size : to_size);
	return BE_OK;
}

/* Zeroes a structure that a caller wants filled, but for its size. NULL is fine. */
static inline enum be_status sized_clear(void *to)
{
	uint32_t size;

	if (!to)
		return BE_OK;
	memcpy(&size, to, sizeof size);
	if (size < sizeof size || size > SIZED_MAX)
		return sized_refuse();
	memset((unsigned char *)to + sizeof size, 0, size - sizeof size);
	return BE_OK;
}

/* Fills a structure that sized_clear() has passed. NULL is fine. */
static inline void sized_write(void *to, const void *from, size_t from_size)
{
	uint32_t size;

	if (!to)
		return;
	memcpy(&size, to, sizeof size);
	memcpy((unsigned char *)to + sizeof size, (const unsigned char *)from + sizeof size,
	       (size < from_size ? size : from_size) - sizeof size);
}

#endif
