/* SPDX-License-Identifier: Apache-2.0 */
/* One page of an LMDB data file, read and checked: what pages.c and newest.c share. A page is
 * copied before it is looked at, so that nothing changes between a check and its use. */
#ifndef STORAGE_PAGE_H
#define STORAGE_PAGE_H

#include "storage/lmdb/pages.h"

enum tree {
	FREE_PAGES = 0,
	RECORDS = 1,
};

/* The file, as one meta page describes it. */
struct page_reader {
	int fd;
	uint32_t page_size;
	uint64_t last_page;
	uint64_t pages; /* that the file has */
	struct pages_fault *fault;
};

/* Of a file that has so many pages, as its meta page says the rest. */
struct page_reader page_reader_of(int fd, const struct meta_page *meta, uint64_t pages,
				  struct pages_fault *fault);

struct page {
	uint64_t number;
	bool is_leaf;
	size_t count; /* of nodes */
	size_t upper;
	struct page *next; /* for lists of the caller's */
	unsigned char bytes[];
};

struct node {
	struct be_bytes key;
	uint64_t child; /* branch */
	uint64_t size;  /* leaf: of the value */
	bool is_overflow;
	size_t offset; /* of the node in its page, */
	size_t stored; /* what it takes there, and */
	struct be_bytes
		rest; /* what lies behind the key: the value, or the number of its first page */
};

__attribute__((format(printf, 2, 3))) void page_note_damage(const struct page_reader *reader,
							    const char *format, ...);

/* Notes what is damaged, and is BE_DAMAGED; a macro as in error.h. */
#define page_damaged(...) (page_note_damage(__VA_ARGS__), BE_DAMAGED)

/* Reads exactly so many bytes, which are of page `number`. */
enum be_status page_read_bytes(const struct page_reader *reader, uint64_t number, void *bytes,
			       size_t size, off_t offset);

/* Reads page `number`, which must be a leaf, or a branch page, whose nodes fill it; the caller
 * frees it. */
enum be_status page_read(const struct page_reader *reader, uint64_t number, bool is_leaf,
			 struct page **result);

/* The node of that number, wholly inside its page. */
enum be_status page_node(const struct page_reader *reader, const struct page *page, size_t number,
			 struct node *node);

/* The pages that hold the value of an overflow node: `count` of them from `first` on, all in the
 * file. LMDB does not give back those that a value no longer needs which became smaller. */
enum be_status page_chain(const struct page_reader *reader, const struct node *node,
			  uint64_t *first, uint64_t *count);

/* The order of two keys. */
int page_compare(enum tree tree, struct be_bytes a, struct be_bytes b);

/* Do the keys of a page ascend, between `low`, which may be the first, and `high`? Data that is
 * NULL is no bound. The first key of a branch page is not used. */
enum be_status page_check_keys(const struct page_reader *reader, enum tree tree,
			       const struct page *page, struct be_bytes low, struct be_bytes high);

#endif
