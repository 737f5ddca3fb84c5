/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of an LMDB data file, read without LMDB, which trusts them and crashes on a damaged
 * one. Nothing here maps, locks or changes a file, every byte read counts as hostile, and every
 * walk ends.
 *
 * The file begins with two meta pages, written in turn, one per txn. Each is the root of two trees:
 * one of lists of free pages, one of the records. A txn never changes a page that the txn before it
 * used.
 */
#ifndef STORAGE_PAGES_H
#define STORAGE_PAGES_H

#include <budget_enforcer_storage.h>
#include <sys/types.h>

#define LMDB_MAGIC 0xBEEFC0DEU
#define LMDB_VERSION 1
#define LMDB_BRANCH_FLAG 0x01
#define LMDB_LEAF_FLAG 0x02
#define LMDB_OVERFLOW_FLAG 0x04
#define LMDB_META_FLAG 0x08
#define LMDB_OVERFLOW_NODE 0x01
#define LMDB_INTEGER_KEYS 0x08
#define LMDB_PAGE_MIN 512
#define LMDB_PAGE_MAX 32768
#define LMDB_NO_PAGE UINT64_MAX
#define LMDB_DEPTH_MAX 32

/* How LMDB 0.9 lays out its pages on a 64-bit machine, in the machine's byte order. */
struct page_header {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;
	uint16_t lower; /* the end of the nodes' offsets, which follow this header */
	uint16_t upper; /* where the nodes begin, which reach to the end of the page */
};

/* In a branch page the first three are the number of a page; in a leaf, the size of the value and
 * flags. The key follows, and in a leaf the value, or the number of the first of the pages that
 * hold it. */
struct node_header {
	uint16_t low;
	uint16_t high;
	uint16_t flags;
	uint16_t key_size;
};

struct meta_page {
	struct page_header header;
	uint32_t magic;
	uint32_t version;
	uint64_t address;
	uint64_t map_size;
	struct meta_tree {
		uint32_t pad; /* of the first one: the page size */
		uint16_t flags;
		uint16_t depth;
		uint64_t branch_pages;
		uint64_t leaf_pages;
		uint64_t overflow_pages;
		uint64_t entries;
		uint64_t root;
	} trees[2]; /* of free pages, and of the records */
	uint64_t last_page;
	uint64_t txn;
};

_Static_assert(sizeof(struct page_header) == 16, "the layout of an LMDB page");
_Static_assert(sizeof(struct node_header) == 8, "the layout of an LMDB node");
_Static_assert(sizeof(struct meta_page) == 152, "the layout of an LMDB meta page");
_Static_assert(sizeof(void *) == 8, "the layout of a 32-bit LMDB is another one");

/* Reads what there is at `offset`, up to `size` bytes; returns how much, or -1 and errno. */
ssize_t pages_read(int fd, void *bytes, size_t size, off_t offset);

/* The three below look at the state that `meta`, a meta page that was checked (preflight.h),
 * describes, in a file of `pages` whole pages. Their answer is BE_OK, BE_NO_MEMORY, or BE_DAMAGED
 * or BE_IO_ERROR with a sentence in `fault`. The caller sees to it that no writer reuses the pages:
 * by a read txn, or because nobody has it open. */
struct pages_fault {
	char text[120];
};

/* Are all pages in use in the file? The leaves of the records are not read. */
enum be_status pages_present(int fd, const struct meta_page *meta, uint64_t pages,
			     struct pages_fault *fault);

/* Can the device read the pages that LMDB touches first? The roots and the pages below them, a
 * bounded number of each tree, are read: BE_IO_ERROR when one cannot be, which would be SIGBUS in a
 * map. */
enum be_status pages_readable(int fd, const struct meta_page *meta, uint64_t pages,
			      struct pages_fault *fault);

/* Does everything hold together? Each page is what its place says, in bounds, and used once; keys
 * ascend; all counts fit. What is in the records is not judged. `before` is the meta page of the
 * txn before, or NULL: its root was freed by this one, unless both have the same, or else this is
 * not the newest state. */
enum be_status pages_check(int fd, const struct meta_page *meta, const struct meta_page *before,
			   uint64_t pages, struct pages_fault *fault);

#endif
