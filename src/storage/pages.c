/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading LMDB's pages without LMDB; pages.h says what for. A page is copied before it is looked
 * at, so that nothing changes between a check and its use.
 */
#include "storage/pages.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pages of each tree that pages_readable() reads. */
#define TOP_PAGES 256

enum tree {
	FREE_PAGES = 0,
	RECORDS = 1,
};

struct page {
	uint64_t number;
	bool is_leaf;
	size_t count; /* of nodes */
	size_t upper;
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

struct walk {
	int fd;
	const struct meta_page *meta;
	uint32_t page_size;
	uint64_t pages;      /* that the file has */
	bool thorough;       /* read the leaves of the records, and compare all counts */
	unsigned char *used; /* thorough: a bit for each page */
	uint64_t
		freed_root; /* a page that this txn freed, to be found in its list; 0 once it was */
	uint64_t seen;      /* pages so far: each is in use once, so that loops end */
	struct meta_tree counts; /* of the tree being walked */
	struct pages_fault *fault;
};

__attribute__((format(printf, 2, 3))) static void note_damage(const struct walk *walk,
							      const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(walk->fault->text, sizeof walk->fault->text, format, arguments);
	va_end(arguments);
}

/* Notes what is damaged, and is BE_DAMAGED; a macro as in error.h. */
#define damaged(...) (note_damage(__VA_ARGS__), BE_DAMAGED)

ssize_t pages_read(int fd, void *bytes, size_t size, off_t offset)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = pread(fd, (char *)bytes + used, size - used, offset + (off_t)used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	return (ssize_t)used;
}

/* Reads exactly so many bytes, which are of page `number`. */
static enum be_status read_bytes(const struct walk *walk, uint64_t number, void *bytes, size_t size,
				 off_t offset)
{
	ssize_t got = pages_read(walk->fd, bytes, size, offset);
	char meaning[64];

	if (got == (ssize_t)size)
		return BE_OK;
	if (got >= 0)
		return damaged(walk, "page %" PRIu64 " is cut short", number);
	note_damage(walk, "page %" PRIu64 " cannot be read: %s", number,
		    strerror_r(errno, meaning, sizeof meaning));
	return BE_IO_ERROR;
}

/* ---- one page */

/* The node of that number, wholly inside its page. */
static enum be_status read_node(const struct walk *walk, const struct page *page, size_t number,
				struct node *node)
{
	struct node_header header;
	size_t space;
	uint16_t start;

	memcpy(&start, page->bytes + sizeof(struct page_header) + number * sizeof start,
	       sizeof start);
	if (start < page->upper || start > walk->page_size - sizeof header)
		return damaged(walk, "page %" PRIu64 ": node %zu lies outside", page->number,
			       number);
	memcpy(&header, page->bytes + start, sizeof header);
	space = walk->page_size - start - sizeof header;
	*node = (struct node){.offset = start, .size = header.low | (uint64_t)header.high << 16};
	node->key = (struct be_bytes){page->bytes + start + sizeof header, header.key_size};
	node->rest.data = page->bytes + start + sizeof header + header.key_size;
	if (page->is_leaf) {
		if (header.flags & ~LMDB_OVERFLOW_NODE)
			return damaged(walk, "page %" PRIu64 ": node %zu has unknown flags",
				       page->number, number);
		node->is_overflow = header.flags & LMDB_OVERFLOW_NODE;
		node->rest.size = node->is_overflow ? sizeof(uint64_t) : node->size;
	} else {
		node->child = node->size | (uint64_t)header.flags << 32;
	}
	if (header.key_size > space || node->rest.size > space - header.key_size)
		return damaged(walk, "page %" PRIu64 ": node %zu is larger than its page",
			       page->number, number);
	node->stored = (sizeof header + header.key_size + node->rest.size + 1) / 2 * 2;
	return BE_OK;
}

/* The nodes fill the page from `upper` to its end. */
static enum be_status check_layout(const struct walk *walk, const struct page *page)
{
	size_t stored = 0;
	struct node node;

	for (size_t i = 0; i < page->count; i++) {
		enum be_status status = read_node(walk, page, i, &node);

		if (status != BE_OK)
			return status;
		stored += node.stored;
	}
	if (stored != walk->page_size - page->upper)
		return damaged(walk, "page %" PRIu64 ": its nodes do not fill it", page->number);
	return BE_OK;
}

static enum be_status read_page(const struct walk *walk, uint64_t number, bool is_leaf,
				struct page **result)
{
	struct page_header header;
	struct page *page;
	enum be_status status;

	if (number < 2 || number > walk->meta->last_page)
		return damaged(walk, "page %" PRIu64 " is named, which there cannot be", number);
	if (number >= walk->pages)
		return damaged(walk,
			       "page %" PRIu64 " is in use and lies behind the end of the file",
			       number);
	page = malloc(sizeof *page + walk->page_size);
	if (!page)
		return BE_NO_MEMORY;
	status = read_bytes(walk, number, page->bytes, walk->page_size,
			    (off_t)(number * walk->page_size));
	if (status != BE_OK) {
		free(page);
		return status;
	}
	memcpy(&header, page->bytes, sizeof header);
	page->number = number;
	page->is_leaf = is_leaf;
	page->upper = header.upper;
	if (header.number != number ||
	    header.flags != (is_leaf ? LMDB_LEAF_FLAG : LMDB_BRANCH_FLAG))
		status = damaged(walk, "page %" PRIu64 " is not what it should be", number);
	else if (header.lower < sizeof header || header.lower > header.upper ||
		 header.upper > walk->page_size || header.lower % sizeof(uint16_t) != 0)
		status = damaged(walk, "page %" PRIu64 ": its bounds are impossible", number);
	else {
		page->count = (header.lower - sizeof header) / sizeof(uint16_t);
		status = check_layout(walk, page);
	}
	if (status == BE_OK && page->count < (is_leaf ? 1 : 2))
		status = damaged(walk, "page %" PRIu64 " has too few nodes", number);
	if (status != BE_OK) {
		free(page);
		return status;
	}
	*result = page;
	return BE_OK;
}

static int compare(enum tree tree, struct be_bytes a, struct be_bytes b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	uint64_t left = 0, right = 0;
	int order;

	if (tree == FREE_PAGES) {
		memcpy(&left, a.data, a.size < sizeof left ? a.size : sizeof left);
		memcpy(&right, b.data, b.size < sizeof right ? b.size : sizeof right);
		return (left > right) - (left < right);
	}
	order = memcmp(a.data, b.data, common);
	return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* ---- walking */

/* Counts pages as used, which may lie behind the end of the file if they are free. */
static enum be_status use(struct walk *walk, uint64_t first, uint64_t count)
{
	uint64_t last = walk->meta->last_page;

	if (first < 2 || first > last || count > last - first + 1)
		return damaged(walk, "page %" PRIu64 " is named, which there cannot be", first);
	walk->seen += count;
	if (!walk->used)
		return walk->seen <= last ? BE_OK : damaged(walk, "pages are used twice");
	for (uint64_t page = first; page < first + count; page++) {
		unsigned char bit = (unsigned char)(1 << page % 8);

		if (walk->used[page / 8] & bit)
			return damaged(walk, "page %" PRIu64 " is used twice", page);
		walk->used[page / 8] |= bit;
	}
	return BE_OK;
}

/* A value too large for its leaf is in pages of its own. Lists of free pages may be; records never
 * are. */
static enum be_status check_overflow(struct walk *walk, const struct node *node, uint64_t *first)
{
	uint64_t count = (sizeof(struct page_header) - 1 + node->size) / walk->page_size + 1;
	struct page_header header;
	uint32_t counted;
	enum be_status status;

	memcpy(first, node->rest.data, sizeof *first);
	status = use(walk, *first, count);
	if (status != BE_OK)
		return status;
	if (*first + count > walk->pages)
		return damaged(walk,
			       "page %" PRIu64 " is in use and lies behind the end of the file",
			       *first + count - 1);
	walk->counts.overflow_pages += count;
	status =
		read_bytes(walk, *first, &header, sizeof header, (off_t)(*first * walk->page_size));
	if (status != BE_OK)
		return status;
	memcpy(&counted, &header.lower, sizeof counted);
	if (header.number != *first || header.flags != LMDB_OVERFLOW_FLAG || counted != count)
		return damaged(walk, "page %" PRIu64 " is not what it should be", *first);
	return BE_OK;
}

/* The pages that a txn freed: how many, and their numbers. `overflow` is where they are, or 0. */
static enum be_status check_free_list(struct walk *walk, const struct node *node, uint64_t overflow)
{
	off_t offset = (off_t)(overflow * walk->page_size + sizeof(struct page_header));
	uint64_t *list;
	uint64_t txn;
	enum be_status status = BE_OK;

	if (node->key.size != sizeof(uint64_t) || node->size % sizeof *list != 0 ||
	    node->size < sizeof *list)
		return damaged(walk, "a list of free pages has an impossible size");
	list = malloc(node->size);
	if (!list)
		return BE_NO_MEMORY;
	if (overflow == 0)
		memcpy(list, node->rest.data, node->size);
	else
		status = read_bytes(walk, overflow, list, node->size, offset);
	if (status == BE_OK && list[0] > node->size / sizeof *list - 1)
		status = damaged(walk, "a list of free pages is longer than its record");
	memcpy(&txn, node->key.data, sizeof txn);
	for (uint64_t i = 1; status == BE_OK && i <= list[0]; i++) {
		status = use(walk, list[i], 1);
		if (txn == walk->meta->txn && list[i] == walk->freed_root)
			walk->freed_root = 0;
	}
	free(list);
	return status;
}

static enum be_status check_leaf(struct walk *walk, enum tree tree, const struct page *page)
{
	enum be_status status = BE_OK;
	struct node node;

	walk->counts.leaf_pages++;
	walk->counts.entries += page->count;
	for (size_t i = 0; status == BE_OK && i < page->count; i++) {
		uint64_t overflow = 0;

		status = read_node(walk, page, i, &node);
		if (status == BE_OK && node.is_overflow)
			status = check_overflow(walk, &node, &overflow);
		if (status == BE_OK && tree == FREE_PAGES && walk->thorough)
			status = check_free_list(walk, &node, overflow);
	}
	return status;
}

/* Do the keys of a page ascend, between `low`, which may be the first, and `high`? Data that is
 * NULL is no bound. The first key of a branch page is not used. */
static enum be_status check_keys(const struct walk *walk, enum tree tree, const struct page *page,
				 struct be_bytes low, struct be_bytes high)
{
	struct be_bytes last = low;

	for (size_t i = page->is_leaf ? 0 : 1; i < page->count; i++) {
		struct node node;
		enum be_status status = read_node(walk, page, i, &node);
		int order;

		if (status != BE_OK)
			return status;
		order = last.data ? compare(tree, last, node.key) : -1;
		if (node.key.size == 0 || order > 0 || (order == 0 && i > 0) ||
		    (high.data && compare(tree, node.key, high) >= 0))
			return damaged(walk, "page %" PRIu64 ": its keys are out of order",
				       page->number);
		last = node.key;
	}
	return BE_OK;
}

/* Checks page `number` and all below it; `levels` is 1 at a leaf. */
static enum be_status walk_page(struct walk *walk, enum tree tree, uint64_t number, unsigned levels,
				struct be_bytes low, struct be_bytes high)
{
	struct page *page = NULL;
	enum be_status status = use(walk, number, 1);

	if (status != BE_OK)
		return status;
	if (levels == 1 && tree == RECORDS && !walk->thorough)
		return number < walk->pages
			       ? BE_OK
			       : damaged(walk,
					 "page %" PRIu64
					 " is in use and lies behind the end of the file",
					 number);
	status = read_page(walk, number, levels == 1, &page);
	if (status == BE_OK)
		status = check_keys(walk, tree, page, low, high);
	if (status == BE_OK && levels == 1)
		status = check_leaf(walk, tree, page);
	if (levels > 1)
		walk->counts.branch_pages++;
	for (size_t i = 0; levels > 1 && status == BE_OK && i < page->count; i++) {
		struct node node, next;

		status = read_node(walk, page, i, &node);
		if (status == BE_OK && i + 1 < page->count)
			status = read_node(walk, page, i + 1, &next);
		if (status == BE_OK)
			status = walk_page(walk, tree, node.child, levels - 1,
					   i > 0 ? node.key : low,
					   i + 1 < page->count ? next.key : high);
	}
	free(page);
	return status;
}

static enum be_status walk_tree(struct walk *walk, enum tree tree)
{
	const struct meta_tree *stored = &walk->meta->trees[tree];
	const struct be_bytes none = {0};
	enum be_status status = BE_OK;

	walk->counts = (struct meta_tree){.entries = 0};
	if (stored->depth > 0)
		status = walk_page(walk, tree, stored->root, stored->depth, none, none);
	if (status != BE_OK || !walk->thorough)
		return status;
	if (walk->counts.branch_pages != stored->branch_pages ||
	    walk->counts.leaf_pages != stored->leaf_pages ||
	    walk->counts.overflow_pages != stored->overflow_pages)
		return damaged(walk, "the tree of %s has another number of pages than is noted",
			       tree == RECORDS ? "records" : "free pages");
	if (walk->counts.entries != stored->entries)
		return damaged(walk, "there are %" PRIu64 " %s, and %" PRIu64 " are noted",
			       walk->counts.entries,
			       tree == RECORDS ? "records" : "lists of free pages",
			       stored->entries);
	return BE_OK;
}

static struct walk begin_walk(int fd, const struct meta_page *meta, uint64_t pages,
			      struct pages_fault *fault)
{
	fault->text[0] = '\0';
	return (struct walk){
		.fd = fd,
		.meta = meta,
		.page_size = meta->trees[FREE_PAGES].pad,
		.pages = pages,
		.seen = 1, /* the two meta pages, less one, so that it can be compared with the last one */
		.fault = fault,
	};
}

enum be_status pages_present(int fd, const struct meta_page *meta, uint64_t pages,
			     struct pages_fault *fault)
{
	struct walk walk = begin_walk(fd, meta, pages, fault);
	enum be_status status = walk_tree(&walk, FREE_PAGES);

	return status == BE_OK ? walk_tree(&walk, RECORDS) : status;
}

/* Reads the pages of a tree from the top, until so many were read. What is wrong with one that can
 * be read is left to others to say. */
static enum be_status read_top(const struct walk *walk, enum tree tree)
{
	const struct meta_tree *stored = &walk->meta->trees[tree];
	uint64_t numbers[TOP_PAGES];
	uint16_t levels[TOP_PAGES]; /* 1 at a leaf */
	size_t count = 0;

	if (stored->depth > 0) {
		numbers[0] = stored->root;
		levels[count++] = stored->depth;
	}
	for (size_t i = 0; i < count; i++) {
		bool is_leaf = levels[i] == 1;
		struct page *page = NULL;
		enum be_status status = read_page(walk, numbers[i], is_leaf, &page);
		struct node node;

		if (status == BE_IO_ERROR || status == BE_NO_MEMORY)
			return status;
		for (size_t at = 0; page && !is_leaf && at < page->count && count < TOP_PAGES; at++)
			if (read_node(walk, page, at, &node) == BE_OK) {
				numbers[count] = node.child;
				levels[count++] = (uint16_t)(levels[i] - 1);
			}
		free(page);
	}
	return BE_OK;
}

enum be_status pages_readable(int fd, const struct meta_page *meta, uint64_t pages,
			      struct pages_fault *fault)
{
	struct walk walk = begin_walk(fd, meta, pages, fault);
	enum be_status status = read_top(&walk, FREE_PAGES);

	return status == BE_OK ? read_top(&walk, RECORDS) : status;
}

enum be_status pages_check(int fd, const struct meta_page *meta, const struct meta_page *before,
			   uint64_t pages, struct pages_fault *fault)
{
	struct walk walk = begin_walk(fd, meta, pages, fault);
	enum be_status status;

	walk.thorough = true;
	/* The same root in both: see mend_meta_page() in lmdb.c. */
	if (before && before->trees[RECORDS].depth > 0 &&
	    before->trees[RECORDS].root != meta->trees[RECORDS].root)
		walk.freed_root = before->trees[RECORDS].root;
	/* Pages that the file does not have are free ones, and the lists of those are in the
	 * file. */
	if (meta->last_page / (walk.page_size / sizeof(uint64_t)) >= pages)
		return damaged(&walk, "page %" PRIu64 " is noted as the last, which it cannot be",
			       meta->last_page);
	walk.used = calloc(meta->last_page / 8 + 1, 1);
	if (!walk.used)
		return BE_NO_MEMORY;
	status = walk_tree(&walk, FREE_PAGES);
	if (status == BE_OK)
		status = walk_tree(&walk, RECORDS);
	if (status == BE_OK && walk.seen != meta->last_page)
		status = damaged(&walk, "%" PRIu64 " pages are neither in use nor free",
				 meta->last_page - walk.seen);
	if (status == BE_OK && walk.freed_root != 0)
		status = damaged(&walk, "a meta page is older, or newer, than its txn's number");
	free(walk.used);
	return status;
}
