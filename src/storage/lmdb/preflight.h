/* SPDX-License-Identifier: Apache-2.0 */
/* What can be known of a directory and its data file before LMDB maps it: LMDB itself would open a
 * file that is not its own or is cut short, and crash later. */
#ifndef STORAGE_PREFLIGHT_H
#define STORAGE_PREFLIGHT_H

#include "storage/lmdb/newest.h"
#include "storage/lmdb/pages.h"

#include <budget_enforcer.h>
#include <stddef.h>
#include <stdint.h>

/* Is the file system one on which a shared mapping is coherent between processes? Network file
 * systems and aufs are BE_BAD_FILE_SYSTEM with advice in the error text. (On an overlay it is for
 * files that were opened for writing once: base/shared_file.h.) */
enum be_status preflight_file_system(const char *directory);

/* The verdict on a file system of that magic number (statfs), for tests. */
enum be_status preflight_file_system_type(const char *directory, unsigned long type);

/* Looks at the meta pages of the data file `path`, open for reading as `fd`: *exists tells whether
 * there is anything in it (an empty file counts as absent, and so does one that its maker died
 * over). Both must be LMDB's, of a version that we know, and make sense: BE_NOT_AN_ENVIRONMENT,
 * BE_NEWER_FORMAT (a later LMDB format), BE_DAMAGED, BE_IO_ERROR, BE_NO_MEMORY. Nobody may be
 * making the file meanwhile; others may be writing to it. */
enum be_status preflight_data_file(const char *path, int fd, bool *exists);

/* Reads the two meta pages of a file that has them, checked as above, and the file's size. */
enum be_status preflight_metas(const char *path, int fd, struct meta_page metas[2],
			       off_t *file_size);

/* Can the pages that are used first be read (BE_IO_ERROR), and are all pages in use in the file?
 * BE_DAMAGED when it is cut short, and also when txn `txn` is no
 * longer one of the last two: the caller holds a read txn of that number, which keeps its pages as
 * they are, and tries again with a new one. Some hundred system calls at most, unless the file is
 * shorter than its last page says. */
enum be_status preflight_pages(const char *path, int fd, uint64_t txn);

/* Reads every page: does all hold together that LMDB keeps about records and free pages? *outdated
 * tells that nothing was looked at, since txn `txn` is no longer one of the last two. */
enum be_status preflight_all_pages(const char *path, int fd, uint64_t txn, bool *outdated);

/* Are the pages in the file that LMDB touches first, in one that preflight_data_file() accepts? */
enum be_status preflight_roots(const char *path, int fd);

/* Is the newest txn, whose number is *newest, whole (newest.h)? It is if it is number `known`,
 * since that has been flushed. BE_DAMAGED when it is not; *may_go_back, if it is true, stays so
 * when the one before may take its place. Nobody may have the file open. */
enum be_status preflight_newest(const char *path, int fd, uint64_t known,
				const struct vouching *vouching, uint64_t *newest,
				bool *may_go_back);

/* The other two functions of newest.h, under the same conditions, or in a write txn. To rewrite,
 * the newest txn must be number `txn`. */
enum be_status preflight_go_back(const char *path, int fd);
enum be_status preflight_rewrite(const char *path, int fd, uint64_t txn,
				 const struct vouching *vouching);

/* The check of the meta pages itself, on the first bytes of a file of `file_size` bytes, for tests
 * and fuzzing. `head` holds min(file_size, head_size) bytes. Sets an error text that begins with
 * `path`. */
enum be_status preflight_meta_pages(const char *path, const unsigned char *head, size_t head_size,
				    unsigned long long file_size);

#endif
