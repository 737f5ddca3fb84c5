/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left on the disk when the power fails, made from the log of disk.h: all that was flushed
 * before, and of the rest any part.
 *
 * What is assumed of the disk: a sector of 512 bytes is written wholly or not at all, and sectors
 * in any order. fdatasync() and fsync() keep all writes that had returned when they were called,
 * and with them the size of the file; a write to a descriptor with O_DSYNC keeps itself. A name
 * that is new, changed or gone is kept by fsync() of its directory. Where the file grew and the
 * data did not arrive there are zeros, or any other bytes. A mapped file may be missing, cut short,
 * or hold any of its pages as it was at some moment, or zeros.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image {
	size_t event;         /* the power fails before this one */
	const char *how;      /* unflushed parts arrive: a word for the failure message */
	unsigned pending;     /* sectors that were not flushed */
	unsigned arrived;     /* and yet are there, in one state or another */
	bool has_environment; /* the names of directory and file arrived, too */
};

/* Begins with the log as it now is. */
void image_begin(void);

/* Makes in `directory`, which is emptied first, what the disk may hold when the power fails before
 * `event`, which is not below that of the call before. */
void image_make(const char *directory, size_t event, uint64_t *random, struct image *image);

#endif
