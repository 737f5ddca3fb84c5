/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each byte of a sound LMDB data file is for, found independently of the library's own reading
 * of pages.
 */
#ifndef PAGE_MAP_H
#define PAGE_MAP_H

#include <stddef.h>
#include <stdint.h>

enum byte_use {
	BYTE_UNUSED,    /* free pages, gaps, what nobody reads */
	BYTE_STRUCTURE, /* what LMDB keeps to find records and free pages */
	BYTE_RECORD,    /* keys and values of records */
	BYTE_USES
};

/* Fills `uses`, one for each byte of the file. Fails the test when the file is not as expected. */
void page_map(const uint8_t *file, size_t size, uint8_t *uses);

#endif
