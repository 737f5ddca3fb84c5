/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the trees of an LMDB data file without LMDB; pages.h says what for. */
#include "storage/lmdb/pages.h"

#include "storage/lmdb/page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Pages of each tree that pages_readable() reads. */
#define TOP_PAGES 256

struct walk {
	struct page_reader reader;
	const struct meta_page *meta;
	bool thorough;       /* read the leaves of the records, and compare all counts */
	unsigned char *used; /* thorough: a bit for each page */
	uint64_t
		freed_root; /* a page that this txn freed, to be found in its list; 0 once it was */
	uint64_t seen;      /* pages so far: each is in use once, so that loops end */
	struct meta_tree counts; /* of the tree being walked */
};

/* ---- walking */

/* Counts pages as used, which may lie behind the end of the file if they are free. */
static enum be_status use(struct walk *walk, uint64_t first, uint64_t count)
{
	uint64_t last = walk->meta->last_page;

	if (first < 2 || first > last || count > last - first + 1)
		return page_damaged(&walk->reader,
				    "page %" PRIu64 " is named, which there cannot be", first);
	walk->seen += count;
	if (!walk->used)
		return walk->seen <= last ? BE_OK
					  : page_damaged(&walk->reader, "pages are used twice");
	for (uint64_t page = first; page < first + count; page++) {
		unsigned char bit = (unsigned char)(1 << page % 8);

		if (walk->used[page / 8] & bit)
			return page_damaged(&walk->reader, "page %" PRIu64 " is used twice", page);
		walk->used[page / 8] |= bit;
	}
	return BE_OK;
}

/* A value too large for its leaf is in pages of its own. Lists of free pages may be; records never
 * are. */
static enum be_status check_overflow(struct walk *walk, const struct node *node, uint64_t *first)
{
	uint64_t count;
	enum be_status status = page_chain(&walk->reader, node, first, &count);

	if (status != BE_OK)
		return status;
	walk->counts.overflow_pages += count;
	return use(walk, *first, count);
}

/* The pages that a txn freed: how many, and their numbers. `overflow` is where they are, or 0. */
static enum be_status check_free_list(struct walk *walk, const struct node *node, uint64_t overflow)
{
	off_t offset = (off_t)(overflow * walk->reader.page_size + sizeof(struct page_header));
	uint64_t *list;
	uint64_t txn;
	enum be_status status = BE_OK;

	if (node->key.size != sizeof(uint64_t) || node->size % sizeof *list != 0 ||
	    node->size < sizeof *list)
		return page_damaged(&walk->reader, "a list of free pages has an impossible size");
	list = malloc(node->size);
	if (!list)
		return BE_NO_MEMORY;
	if (overflow == 0)
		memcpy(list, node->rest.data, node->size);
	else
		status = page_read_bytes(&walk->reader, overflow, list, node->size, offset);
	if (status == BE_OK && list[0] > node->size / sizeof *list - 1)
		status = page_damaged(&walk->reader,
				      "a list of free pages is longer than its record");
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

		status = page_node(&walk->reader, page, i, &node);
		if (status == BE_OK && node.is_overflow)
			status = check_overflow(walk, &node, &overflow);
		if (status == BE_OK && tree == FREE_PAGES && walk->thorough)
			status = check_free_list(walk, &node, overflow);
	}
	return status;
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
		return number < walk->reader.pages
			       ? BE_OK
			       : page_damaged(&walk->reader,
					      "page %" PRIu64
					      " is in use and lies behind the end of the file",
					      number);
	status = page_read(&walk->reader, number, levels == 1, &page);
	if (status == BE_OK)
		status = page_check_keys(&walk->reader, tree, page, low, high);
	if (status == BE_OK && levels == 1)
		status = check_leaf(walk, tree, page);
	if (levels > 1)
		walk->counts.branch_pages++;
	for (size_t i = 0; levels > 1 && status == BE_OK && i < page->count; i++) {
		struct node node, next;

		status = page_node(&walk->reader, page, i, &node);
		if (status == BE_OK && i + 1 < page->count)
			status = page_node(&walk->reader, page, i + 1, &next);
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
		return page_damaged(&walk->reader,
				    "the tree of %s has another number of pages than is noted",
				    tree == RECORDS ? "records" : "free pages");
	if (walk->counts.entries != stored->entries)
		return page_damaged(
			&walk->reader, "there are %" PRIu64 " %s, and %" PRIu64 " are noted",
			walk->counts.entries, tree == RECORDS ? "records" : "lists of free pages",
			stored->entries);
	return BE_OK;
}

static struct walk begin_walk(int fd, const struct meta_page *meta, uint64_t pages,
			      struct pages_fault *fault)
{
	fault->text[0] = '\0';
	return (struct walk){
		.reader = page_reader_of(fd, meta, pages, fault),
		.meta = meta,
		.seen = 1, /* the two meta pages, less one, so that it can be compared with the last
		              one */
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
		enum be_status status = page_read(&walk->reader, numbers[i], is_leaf, &page);
		struct node node;

		if (status == BE_IO_ERROR || status == BE_NO_MEMORY)
			return status;
		for (size_t at = 0; page && !is_leaf && at < page->count && count < TOP_PAGES; at++)
			if (page_node(&walk->reader, page, at, &node) == BE_OK) {
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
	/* The same root in both: see mend_meta_page() in lmdb_commit.c. */
	if (before && before->trees[RECORDS].depth > 0 &&
	    before->trees[RECORDS].root != meta->trees[RECORDS].root)
		walk.freed_root = before->trees[RECORDS].root;
	/* Pages that the file does not have are free ones, and the lists of those are in the
	 * file. */
	if (meta->last_page / (walk.reader.page_size / sizeof(uint64_t)) >= pages)
		return page_damaged(&walk.reader,
				    "page %" PRIu64 " is noted as the last, which it cannot be",
				    meta->last_page);
	walk.used = calloc(meta->last_page / 8 + 1, 1);
	if (!walk.used)
		return BE_NO_MEMORY;
	status = walk_tree(&walk, FREE_PAGES);
	if (status == BE_OK)
		status = walk_tree(&walk, RECORDS);
	if (status == BE_OK && walk.seen != meta->last_page)
		status = page_damaged(&walk.reader, "%" PRIu64 " pages are neither in use nor free",
				      meta->last_page - walk.seen);
	if (status == BE_OK && walk.freed_root != 0)
		status = page_damaged(&walk.reader,
				      "a meta page is older, or newer, than its txn's number");
	free(walk.used);
	return status;
}
