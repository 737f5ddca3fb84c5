/* SPDX-License-Identifier: Apache-2.0 */
/* What can be known of a directory and its data file before LMDB maps it: LMDB itself would open a
 * file that is not its own or is cut short, and crash later. */
#ifndef STORAGE_PREFLIGHT_H
#define STORAGE_PREFLIGHT_H

#include <budget_enforcer.h>
#include <stddef.h>

/* Is the file system one on which a shared mapping is coherent between processes? Network and overlay
 * file systems are BE_BAD_FILE_SYSTEM with advice in the error text. */
enum be_status preflight_file_system(const char *directory);

/* The verdict on a file system of that magic number (statfs), for tests. */
enum be_status preflight_file_system_type(const char *directory, unsigned long type);

/* Looks at the data file `path`, open for reading as `fd`: *exists tells whether there is anything in it (an
 * empty file counts as absent). Both meta pages must be LMDB's, of a version that we know, and the file no
 * shorter than its last page says: BE_NOT_AN_ENVIRONMENT, BE_NEWER_FORMAT (a later LMDB format), BE_DAMAGED,
 * BE_IO_ERROR. Nobody may be making the file meanwhile; others may be writing to it. */
enum be_status preflight_data_file(const char *path, int fd, bool *exists);

/* The check itself on the first bytes of a file of `file_size` bytes, for tests and fuzzing. `head` holds
 * min(file_size, head_size) bytes. Sets an error text that begins with `path`. */
enum be_status preflight_meta_pages(const char *path, const unsigned char *head, size_t head_size,
				    unsigned long long file_size);

#endif
