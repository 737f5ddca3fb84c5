/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Until when an environment that is not flushed can be trusted. Process durability flushes nothing,
 * so that what it wrote is sound only while the machine that booted under some id is up, and may be
 * anything afterwards, pages of older days among it. So that nobody has to look into it to know,
 * the file be-boot beside the data holds that id. Its name is flushed before the first change that
 * is not, and goes when all is flushed.
 *
 * Those who call hold the opening lock (owner.h) or only read.
 */
#ifndef BOOT_H
#define BOOT_H

#include "base/shared_file.h"

#define BOOT_ID_SIZE 64

/* The id of this boot, as a line. BE_IO_ERROR where the system does not tell. */
enum be_status boot_id(char id[BOOT_ID_SIZE]);

/* BE_OTHER_BOOT when the machine went down since. Otherwise *marked tells whether something is not
 * flushed. */
enum be_status boot_check(const struct shared_directory *directory, bool *marked);

/* From now on changes may stay unflushed. */
enum be_status boot_mark(const struct shared_directory *directory, mode_t mode);

/* All has been flushed. */
enum be_status boot_unmark(const struct shared_directory *directory);

#endif
