/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an environment that is not flushed can be trusted. Process durability flushes nothing.
 * So what it wrote is sound only until the machine goes down, and may be anything afterwards, also
 * pages of an older state. To tell without looking at pages, the file be-boot beside the data holds
 * the id of the boot. Its name is flushed before the first change that is not flushed, and it is
 * removed when all is flushed.
 *
 * Callers hold the opening lock (owner.h) or only read.
 */
#ifndef BOOT_H
#define BOOT_H

#include "base/shared_file.h"

#define BOOT_ID_SIZE 64

/* The id of this boot, as a line. BE_IO_ERROR when the system does not tell it. */
enum be_status boot_id(char id[BOOT_ID_SIZE]);

/* BE_OTHER_BOOT when the machine has gone down since. Otherwise *marked says whether something is
 * not flushed. */
enum be_status boot_check(const struct shared_directory *directory, bool *marked);

/* From now on changes may stay unflushed. */
enum be_status boot_mark(const struct shared_directory *directory, mode_t mode);

/* All has been flushed. */
enum be_status boot_unmark(const struct shared_directory *directory);

#endif
