/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the newest txn of an LMDB data file all there? One flush makes the pages of a txn and its meta
 * page durable together, so that after a loss of power the meta page may have arrived and some of
 * the pages may not. The txn before was flushed earlier, and LMDB does not write to its pages: it
 * is whole, and the newest one is compared with it. Nobody was told of a newest one that is not
 * whole, so it is dropped, and the one before is the newest again.
 *
 * As in pages.h nothing here maps or locks a file, every byte read counts as hostile, and every
 * walk ends. Work and memory are in proportion to what the txn changed and to the lists of free
 * pages it read. The caller is alone with the file, or holds the lock that no meta page is written
 * without.
 */
#ifndef STORAGE_NEWEST_H
#define STORAGE_NEWEST_H

#include "storage/lmdb/pages.h"

/* What a storage must know of the records in it, which those who keep them tell. One record, the
 * header, carries the number of the txn that wrote it, and the digest of all others: the sum,
 * modulo 2^64, of what each contributes. All three are pure and bear any bytes. */
struct vouching {
	/* What a record contributes, computed from its bytes. */
	uint64_t (*digest)(struct be_bytes key, struct be_bytes value);
	bool (*is_header)(struct be_bytes key);
	/* False: the header's own checksum does not fit. */
	bool (*read_header)(struct be_bytes key, struct be_bytes value, uint64_t *txn,
			    uint64_t *digest);
	struct be_bytes header_key;
	/* Is the header one that another version wrote, in a format that only it can judge? */
	bool (*is_foreign)(struct be_bytes header_value);
};

/* Is the newest txn whole? `metas` are the two meta pages, checked (preflight.h), of a file of
 * `pages` whole pages.
 *
 * BE_OK: it is, or it was dropped before and there is only one; or the file holds no header that
 * these functions know, and so is not for them to judge. BE_DAMAGED: it is not, and `fault` says
 * why; *may_go_back tells whether the txn before may take its place, which is not so where that one
 * was seen to be damaged, or where it is the empty one at the beginning and the newest has more
 * than one record: a copy, perhaps, that was not copied whole. BE_IO_ERROR, with a sentence in
 * `fault`; BE_NO_MEMORY.
 *
 * A compacted copy is txn 1 beside an empty txn 0. Its header has the number that it had where it
 * was copied, which is accepted there and only there. */
enum be_status newest_prove(int fd, const struct meta_page metas[2], uint64_t pages,
			    const struct vouching *vouching, bool *may_go_back,
			    struct pages_fault *fault);

/* Makes the txn before the newest one, and flushes: its meta page is written over that of the
 * newest txn N, with the number N-2. The two then name the same trees, and the next txn is N again.
 * Sets an error text that begins with `path`. */
enum be_status newest_go_back(const char *path, int fd, const struct meta_page metas[2]);

/* Writes the pages of the newest txn again that the one before does not have, with the same bytes,
 * and its meta page, for the caller to flush. A flush that failed may have left pages that count as
 * written and are not, and the next flush says nothing of them. The bytes are those that are
 * proved: BE_DAMAGED, with no meta page written, means that the kernel has given up some
 * already. */
enum be_status newest_rewrite(int fd, const struct meta_page metas[2], uint64_t pages,
			      const struct vouching *vouching, struct pages_fault *fault);

#endif
