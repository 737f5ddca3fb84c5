/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of the newest txn; newest.h says what for. The trees of both txns are walked from the
 * top, level by level, counted from the leaves. A page that both name on the same level is shared:
 * it belongs to the txn before, is whole, and neither enters it. What is left are the pages that
 * the newest txn wrote, and those of the one before that they replace. Then
 *
 * - each page entered is what its place says, and its keys ascend within the bounds that the
 * branches
 *   above give it. So do those of a shared page whose bounds have become tighter: its outermost
 *   keys are looked at;
 * - the meta pages' counts differ by what the pages entered hold and the replaced ones held;
 * - the header's digest differs by the same records, it is the header of this txn, and it is
 * intact; - each page is accounted for: entered pages were free, free for longer than the txn
 * before, or are
 *   new ones behind the end; what was replaced is free now; and what was free and not entered still
 *   is.
 *
 * Each of these was, in simulated losses of power, the only one that noticed some of them.
 */
#include "storage/lmdb/newest.h"

#include "base/error.h"
#include "storage/lmdb/page.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BITS 64

/* Sets of pages, a bit for each. Of pages and lists of free pages that both txns share, nothing is
 * in any. */
enum set {
	ENTERED,   /* in use by the newest txn, and not by the one before */
	REPLACED,  /* the other way round */
	WAS_FREE,  /* in the txn before, and its readers' predecessor had no use for them either */
	WAS_FREED, /* by the txn before itself */
	IS_FREE,   /* in the newest, listed under the number of a txn older than the one before */
	IS_FREE_STILL, /* listed under that of the txn before */
	IS_FREED,      /* listed under its own */
	SETS,
};

/* A page to be looked at, and the bounds of its keys, which lie in branch pages that are kept. */
struct item {
	uint64_t number;
	struct be_bytes low;
	struct be_bytes high;
};

struct items {
	struct item *items;
	size_t count, room;
};

/* A list of free pages that has pages of its own. */
struct long_list {
	uint64_t first;
	uint64_t txn;
	struct node node; /* only its size and `rest` are used */
	unsigned char place[sizeof(uint64_t)];
};

struct chains {
	struct long_list *chains;
	size_t count, room;
};

/* One of the two txns. */
struct side {
	struct page_reader reader;
	const struct meta_page *meta;
	bool is_newest;
	struct items level, below;
	struct page *branches; /* entered, kept for the bounds in them */
	struct chains chains;
	struct meta_tree counts[2]; /* what is in pages that the other has not */
	uint64_t digest;            /* of the records in those, but for the header */
	bool has_header;
	bool is_foreign; /* the only txn there is has none, or another version's */
	uint64_t header_txn, header_digest;
};

struct proof {
	struct side newest, before;
	const struct vouching *vouching;
	bool rewrite;
	uint64_t *sets[SETS];
	struct pages_fault fault_before;
};

/* ---- sets of pages */

static size_t words_of(const struct proof *proof)
{
	return proof->newest.meta->last_page / BITS + 1;
}

/* False if it was in it. */
static bool insert(struct proof *proof, enum set set, uint64_t page)
{
	uint64_t *word = &proof->sets[set][page / BITS];
	uint64_t bit = UINT64_C(1) << page % BITS;
	bool is_new = !(*word & bit);

	*word |= bit;
	return is_new;
}

static enum be_status use(struct proof *proof, struct side *side, uint64_t first, uint64_t count)
{
	for (uint64_t page = first; page < first + count; page++)
		if (!insert(proof, side->is_newest ? ENTERED : REPLACED, page))
			return page_damaged(&side->reader, "page %" PRIu64 " is used twice", page);
	return BE_OK;
}

/* ---- growing arrays */

/* Room for one more; the caller keeps what it had when there is none. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room > 0 ? *room * 2 : 64;
	void *grown;

	if (count < *room)
		return array;
	grown = reallocarray(array, wanted, size);
	if (grown)
		*room = wanted;
	return grown;
}

static enum be_status add_item(struct items *items, struct item item)
{
	struct item *grown = grow(items->items, items->count, &items->room, sizeof item);

	if (!grown)
		return BE_NO_MEMORY;
	items->items = grown;
	items->items[items->count++] = item;
	return BE_OK;
}

static enum be_status add_chain(struct chains *chains, uint64_t txn, const struct node *node)
{
	struct long_list *grown = grow(chains->chains, chains->count, &chains->room, sizeof *grown);
	struct long_list *chain;

	if (!grown)
		return BE_NO_MEMORY;
	chains->chains = grown;
	chain = &chains->chains[chains->count++];
	*chain = (struct long_list){.txn = txn, .node = *node};
	memcpy(chain->place, node->rest.data, sizeof chain->place);
	memcpy(&chain->first, chain->place, sizeof chain->first);
	return BE_OK;
}

static int by_number(const void *a, const void *b)
{
	uint64_t left = ((const struct item *)a)->number;
	uint64_t right = ((const struct item *)b)->number;

	return (left > right) - (left < right);
}

static int by_first(const void *a, const void *b)
{
	uint64_t left = ((const struct long_list *)a)->first;
	uint64_t right = ((const struct long_list *)b)->first;

	return (left > right) - (left < right);
}

/* ---- lists of free pages */

/* Where pages belong that are listed under the number of a txn. */
static enum set set_of(const struct side *side, uint64_t txn)
{
	if (!side->is_newest)
		return txn == side->meta->txn ? WAS_FREED : WAS_FREE;
	if (txn == side->meta->txn)
		return IS_FREED;
	return txn == side->meta->txn - 1 ? IS_FREE_STILL : IS_FREE;
}

/* A list is its length, and then the pages, the last one first. */
static enum be_status take_list(struct proof *proof, struct side *side, uint64_t txn,
				const unsigned char *bytes, uint64_t size)
{
	uint64_t above = side->meta->last_page + 1;
	uint64_t count, page;

	memcpy(&count, bytes, sizeof count);
	if (count > size / sizeof count - 1)
		return page_damaged(&side->reader,
				    "a list of free pages is longer than its record");
	for (uint64_t i = 1; i <= count; i++) {
		memcpy(&page, bytes + i * sizeof page, sizeof page);
		if (page < 2 || page >= above)
			return page_damaged(&side->reader,
					    "page %" PRIu64 " is out of order in a list of free "
					    "pages",
					    page);
		if (!insert(proof, set_of(side, txn), page))
			return page_damaged(&side->reader, "page %" PRIu64 " is free twice", page);
		above = page;
	}
	return BE_OK;
}

static enum be_status take_lists(struct proof *proof, struct side *side, const struct page *page)
{
	enum be_status status = BE_OK;
	struct node node;
	uint64_t txn;

	for (size_t i = 0; status == BE_OK && i < page->count; i++) {
		status = page_node(&side->reader, page, i, &node);
		if (status != BE_OK)
			return status;
		if (node.key.size != sizeof txn || node.size % sizeof(uint64_t) != 0 ||
		    node.size < sizeof(uint64_t))
			return page_damaged(&side->reader,
					    "a list of free pages has an impossible size");
		memcpy(&txn, node.key.data, sizeof txn);
		if (txn < 1 || txn > side->meta->txn)
			return page_damaged(&side->reader,
					    "pages are listed as freed by txn %" PRIu64
					    ", which there was not",
					    txn);
		status = node.is_overflow ? add_chain(&side->chains, txn, &node)
					  : take_list(proof, side, txn, node.rest.data, node.size);
	}
	return status;
}

/* ---- records */

static enum be_status take_records(struct proof *proof, struct side *side, const struct page *page)
{
	const struct vouching *vouching = proof->vouching;
	enum be_status status;
	struct node node;

	for (size_t i = 0; i < page->count; i++) {
		status = page_node(&side->reader, page, i, &node);
		if (status != BE_OK)
			return status;
		side->is_foreign = node.is_overflow;
		if (node.is_overflow)
			return page_damaged(&side->reader,
					    "page %" PRIu64 ": a record has pages of its own",
					    page->number);
		if (!vouching->is_header(node.key)) {
			side->digest += vouching->digest(node.key, node.rest);
			continue;
		}
		if (!vouching->read_header(node.key, node.rest, &side->header_txn,
					   &side->header_digest)) {
			side->is_foreign = vouching->is_foreign(node.rest);
			return page_damaged(&side->reader, "the header is damaged");
		}
		side->has_header = true;
	}
	return BE_OK;
}

/* ---- pages */

static enum be_status write_again(const struct page_reader *reader, const void *bytes, size_t size,
				  off_t offset)
{
	size_t used = 0;
	char meaning[64];

	while (used < size) {
		ssize_t put = pwrite(reader->fd, (const char *)bytes + used, size - used,
				     offset + (off_t)used);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			page_note_damage(reader, "pages cannot be written again: %s",
					 error_meaning(errno, meaning, sizeof meaning));
			return BE_IO_ERROR;
		}
		used += (size_t)put;
	}
	return BE_OK;
}

/* The pages below a branch page, each with its bounds. */
static enum be_status descend(struct side *side, const struct page *page, const struct item *item)
{
	enum be_status status = BE_OK;
	struct node node, next = {0};

	status = page_node(&side->reader, page, 0, &node);
	for (size_t i = 0; status == BE_OK && i < page->count; i++) {
		struct item child = {node.child, i > 0 ? node.key : item->low, item->high};

		if (i + 1 < page->count) {
			status = page_node(&side->reader, page, i + 1, &next);
			child.high = next.key;
		}
		if (status == BE_OK)
			status = add_item(&side->below, child);
		node = next;
	}
	return status;
}

/* Looks at a page that the other side has not. `levels` is 1 at a leaf. */
static enum be_status enter(struct proof *proof, struct side *side, enum tree tree,
			    const struct item *item, unsigned levels)
{
	struct page *page = NULL;
	enum be_status status;

	assert(item);
	status = page_read(&side->reader, item->number, levels == 1, &page);
	if (status == BE_OK)
		status = use(proof, side, item->number, 1);
	if (status == BE_OK && proof->rewrite && side->is_newest)
		status = write_again(&side->reader, page->bytes, side->reader.page_size,
				     (off_t)(item->number * side->reader.page_size));
	if (status == BE_OK)
		status = page_check_keys(&side->reader, tree, page, item->low, item->high);
	if (status != BE_OK)
		goto out;
	if (levels > 1) {
		side->counts[tree].branch_pages++;
		page->next = side->branches;
		side->branches = page;
		return descend(side, page, item);
	}
	side->counts[tree].leaf_pages++;
	side->counts[tree].entries += page->count;
	status = tree == RECORDS ? take_records(proof, side, page) : take_lists(proof, side, page);
out:
	free(page);
	return status;
}

/* The list in a chain of pages that the other side has not. */
static enum be_status enter_chain(struct proof *proof, struct side *side, struct long_list *chain)
{
	uint32_t page_size = side->reader.page_size;
	unsigned char *bytes = NULL;
	enum be_status status;
	uint64_t first, count;

	chain->node.rest.data = chain->place; /* they have moved as the array grew */
	status = page_chain(&side->reader, &chain->node, &first, &count);
	if (status == BE_OK)
		status = use(proof, side, first, count);
	if (status != BE_OK)
		return status;
	side->counts[FREE_PAGES].overflow_pages += count;
	bytes = malloc(count * page_size);
	if (!bytes)
		return BE_NO_MEMORY;
	status = page_read_bytes(&side->reader, first, bytes, count * page_size,
				 (off_t)(first * page_size));
	if (status == BE_OK && proof->rewrite && side->is_newest)
		status = write_again(&side->reader, bytes, count * page_size,
				     (off_t)(first * page_size));
	if (status == BE_OK)
		status = take_list(proof, side, chain->txn, bytes + sizeof(struct page_header),
				   chain->node.size);
	free(bytes);
	return status;
}

/* ---- pages that both have */

/* The first key below a page, or the last. It and all below it are of the txn before, too. */
static enum be_status outermost(struct proof *proof, uint64_t number, unsigned levels, bool first,
				struct page **leaf, struct node *node)
{
	const struct page_reader *reader = &proof->before.reader;
	enum be_status status;

	for (;; levels--) {
		status = page_read(reader, number, levels == 1, leaf);
		if (status != BE_OK)
			return status;
		status = page_node(reader, *leaf, first ? 0 : (*leaf)->count - 1, node);
		if (status == BE_OK && levels == 1)
			return BE_OK;
		number = node->child;
		free(*leaf);
		*leaf = NULL;
		if (status != BE_OK)
			return status;
	}
}

/* Where the branches above a shared page leave it less room than before, its keys may no longer lie
 * within. */
static enum be_status check_shared(struct proof *proof, enum tree tree, const struct item *now,
				   const struct item *before, unsigned levels)
{
	bool is_lower = now->low.data &&
			(!before->low.data || page_compare(tree, now->low, before->low) > 0);
	bool is_higher = now->high.data &&
			 (!before->high.data || page_compare(tree, now->high, before->high) < 0);
	enum be_status status = BE_OK;
	struct page *leaf = NULL;
	bool is_within = true;
	struct node node;

	if (is_lower) {
		status = outermost(proof, now->number, levels, true, &leaf, &node);
		is_within = status != BE_OK || page_compare(tree, node.key, now->low) >= 0;
		free(leaf);
		leaf = NULL;
	}
	if (status == BE_OK && is_higher && is_within) {
		status = outermost(proof, now->number, levels, false, &leaf, &node);
		is_within = status != BE_OK || page_compare(tree, node.key, now->high) < 0;
		free(leaf);
	}
	if (!is_within)
		return page_damaged(&proof->newest.reader,
				    "page %" PRIu64 ": its keys are not where they are looked for",
				    now->number);
	return status;
}

/* ---- both trees */

/* Enters the pages of a level that only one side has. */
static enum be_status compare_level(struct proof *proof, enum tree tree, unsigned levels)
{
	struct items *now = &proof->newest.level, *before = &proof->before.level;
	enum be_status status = BE_OK;
	size_t i = 0, j = 0;

	if (now->count > 0)
		qsort(now->items, now->count, sizeof *now->items, by_number);
	if (before->count > 0)
		qsort(before->items, before->count, sizeof *before->items, by_number);
	while (status == BE_OK && (i < now->count || j < before->count)) {
		const struct item *left = i < now->count ? &now->items[i] : NULL;
		const struct item *right = j < before->count ? &before->items[j] : NULL;

		/* One that is named twice is shared once at most, and then entered. */
		if (left && right && left->number == right->number) {
			status = check_shared(proof, tree, left, right, levels);
			i++, j++;
		} else if (left && (!right || left->number < right->number)) {
			status = enter(proof, &proof->newest, tree, left, levels);
			i++;
		} else {
			status = enter(proof, &proof->before, tree, right, levels);
			j++;
		}
	}
	return status;
}

static void go_down(struct side *side)
{
	struct items done = side->level;

	side->level = side->below;
	side->below = done;
	side->below.count = 0;
}

static enum be_status compare_trees(struct proof *proof, enum tree tree)
{
	struct side *sides[] = {&proof->newest, &proof->before};
	enum be_status status = BE_OK;
	unsigned levels = LMDB_DEPTH_MAX;

	proof->newest.level.count = proof->before.level.count = 0;
	for (; status == BE_OK && levels > 0; levels--) {
		for (size_t i = 0; status == BE_OK && i < 2; i++)
			if (sides[i]->meta->trees[tree].depth == levels)
				status = add_item(
					&sides[i]->level,
					(struct item){.number = sides[i]->meta->trees[tree].root});
		if (status == BE_OK)
			status = compare_level(proof, tree, levels);
		go_down(&proof->newest);
		go_down(&proof->before);
	}
	return status;
}

/* Is it the same list, untouched? */
static bool is_same_chain(const struct long_list *a, const struct long_list *b)
{
	return a->first == b->first && a->txn == b->txn && a->node.size == b->node.size;
}

static enum be_status compare_chains(struct proof *proof)
{
	struct chains *now = &proof->newest.chains, *before = &proof->before.chains;
	enum be_status status = BE_OK;
	size_t i = 0, j = 0;

	if (now->count > 0)
		qsort(now->chains, now->count, sizeof *now->chains, by_first);
	if (before->count > 0)
		qsort(before->chains, before->count, sizeof *before->chains, by_first);
	while (status == BE_OK && (i < now->count || j < before->count)) {
		if (i < now->count && j < before->count &&
		    is_same_chain(&now->chains[i], &before->chains[j]))
			i++, j++;
		else if (i < now->count &&
			 (j == before->count || now->chains[i].first <= before->chains[j].first))
			status = enter_chain(proof, &proof->newest, &now->chains[i++]);
		else
			status = enter_chain(proof, &proof->before, &before->chains[j++]);
	}
	return status;
}

/* ---- what both must come to */

/* All pages, free and in use; what is shared cancels. */
static enum be_status check_accounts(struct proof *proof)
{
	const struct page_reader *reader = &proof->newest.reader;
	uint64_t *const *sets = proof->sets;

	for (uint64_t page = proof->before.meta->last_page + 1;
	     page <= proof->newest.meta->last_page; page++)
		insert(proof, WAS_FREE, page);
	for (size_t i = 0, words = words_of(proof); i < words; i++) {
		uint64_t usable = sets[WAS_FREE][i] & ~sets[ENTERED][i];
		uint64_t stolen = sets[ENTERED][i] & ~sets[WAS_FREE][i];
		uint64_t wrong = sets[WAS_FREED][i] ^ sets[IS_FREE_STILL][i];

		wrong |= sets[IS_FREE][i] & sets[IS_FREED][i];
		wrong |= sets[IS_FREE][i] & ~usable;
		wrong |= (usable | sets[REPLACED][i]) ^ (sets[IS_FREE][i] | sets[IS_FREED][i]);
		if (stolen)
			return page_damaged(reader, "page %" PRIu64 " was not free and is used",
					    i * BITS + (uint64_t)__builtin_ctzll(stolen));
		if (wrong)
			return page_damaged(reader,
					    "page %" PRIu64 " is not accounted for: it should be "
					    "free, or should not",
					    i * BITS + (uint64_t)__builtin_ctzll(wrong));
	}
	return BE_OK;
}

static enum be_status check_counts(const struct proof *proof)
{
	for (size_t i = 0; i < 2; i++) {
		const struct meta_tree *now = &proof->newest.meta->trees[i];
		const struct meta_tree *before = &proof->before.meta->trees[i];
		const struct meta_tree *more = &proof->newest.counts[i];
		const struct meta_tree *less = &proof->before.counts[i];

		if (now->branch_pages !=
			    before->branch_pages + more->branch_pages - less->branch_pages ||
		    now->leaf_pages != before->leaf_pages + more->leaf_pages - less->leaf_pages ||
		    now->overflow_pages !=
			    before->overflow_pages + more->overflow_pages - less->overflow_pages)
			return page_damaged(&proof->newest.reader,
					    "the tree of %s has another number of pages than is "
					    "noted",
					    i == RECORDS ? "records" : "free pages");
		if (now->entries != before->entries + more->entries - less->entries)
			return page_damaged(&proof->newest.reader,
					    "there are more or fewer %s than are noted",
					    i == RECORDS ? "records" : "lists of free pages");
	}
	return BE_OK;
}

static bool is_empty(const struct meta_page *meta)
{
	return meta->txn == 0 && meta->trees[FREE_PAGES].depth == 0 &&
	       meta->trees[RECORDS].depth == 0;
}

static enum be_status check_header(struct proof *proof)
{
	const struct side *newest = &proof->newest, *before = &proof->before;
	bool is_copy = newest->meta->txn == 1 && is_empty(before->meta);

	if (!newest->has_header) {
		proof->newest.is_foreign = true;
		return page_damaged(&newest->reader, "the header was not written");
	}
	if (newest->header_txn != newest->meta->txn && !is_copy)
		return page_damaged(&newest->reader,
				    "the header is that of txn %" PRIu64 ", not %" PRIu64,
				    newest->header_txn, newest->meta->txn);
	if (!before->has_header && before->meta->trees[RECORDS].depth > 0)
		return page_damaged(&before->reader, "there is no header");
	if (newest->header_digest - before->header_digest != newest->digest - before->digest)
		return page_damaged(&newest->reader, "the records are not those that the header "
						     "vouches for");
	return BE_OK;
}

/* ---- the proof */

static bool is_tree(const struct meta_page *meta, enum tree tree)
{
	uint64_t root = meta->trees[tree].root;
	uint16_t depth = meta->trees[tree].depth;

	if (root == LMDB_NO_PAGE)
		return depth == 0;
	return depth > 0 && depth <= LMDB_DEPTH_MAX && root > 1 && root <= meta->last_page;
}

static enum be_status check_metas(const struct proof *proof)
{
	const struct meta_page *now = proof->newest.meta, *before = proof->before.meta;

	if (now->txn - before->txn != 1 || now->txn == 0)
		return page_damaged(&proof->before.reader, "the meta pages are out of order");
	if (!is_tree(before, FREE_PAGES) || !is_tree(before, RECORDS) || before->last_page < 1 ||
	    before->trees[0].pad != now->trees[0].pad)
		return page_damaged(&proof->before.reader,
				    "the meta page names pages that cannot be");
	/* Pages that the file does not have are free ones, and the lists of those are in the
	 * file. */
	if (!is_tree(now, FREE_PAGES) || !is_tree(now, RECORDS) ||
	    now->last_page < before->last_page ||
	    now->last_page / (now->trees[0].pad / sizeof(uint64_t)) >= proof->newest.reader.pages)
		return page_damaged(&proof->newest.reader,
				    "the meta page names pages that cannot be");
	return BE_OK;
}

static bool have_same_trees(const struct meta_page metas[2])
{
	return memcmp(metas[0].trees, metas[1].trees, sizeof metas[0].trees) == 0 &&
	       metas[0].last_page == metas[1].last_page;
}

static enum be_status run(struct proof *proof)
{
	enum be_status status = check_metas(proof);

	for (size_t i = 0; status == BE_OK && i < SETS; i++) {
		proof->sets[i] = calloc(words_of(proof), sizeof *proof->sets[i]);
		if (!proof->sets[i])
			status = BE_NO_MEMORY;
	}
	if (status == BE_OK)
		status = compare_trees(proof, FREE_PAGES);
	if (status == BE_OK)
		status = compare_chains(proof);
	if (status == BE_OK)
		status = compare_trees(proof, RECORDS);
	if (status == BE_OK)
		status = check_counts(proof);
	if (status == BE_OK)
		status = check_header(proof);
	if (status == BE_OK)
		status = check_accounts(proof);
	return status;
}

static struct side side_of(int fd, const struct meta_page *meta, uint64_t pages,
			   struct pages_fault *fault)
{
	return (struct side){
		.reader = page_reader_of(fd, meta, pages, fault),
		.meta = meta,
	};
}

static void end_side(struct side *side)
{
	while (side->branches) {
		struct page *page = side->branches;

		side->branches = page->next;
		free(page);
	}
	free(side->level.items);
	free(side->below.items);
	free(side->chains.chains);
}

static const struct meta_page *newest_of(const struct meta_page metas[2])
{
	return &metas[metas[0].txn < metas[1].txn];
}

/* Looks up the header of a state, and notes no fault: false when it has none that is ours and
 * whole. *written: the txn that wrote it. */
static bool find_header(const struct side *side, const struct vouching *vouching, uint64_t *written)
{
	struct pages_fault unused;
	struct page_reader reader = side->reader;
	uint64_t number = side->meta->trees[RECORDS].root, digest;
	bool is_ours = false;

	reader.fault = &unused;
	for (unsigned levels = side->meta->trees[RECORDS].depth; levels > 0; levels--) {
		struct page *page = NULL;
		struct node node;

		if (page_read(&reader, number, levels == 1, &page) != BE_OK)
			return false;
		for (size_t i = 0; i < page->count; i++) {
			int order;

			if (page_node(&reader, page, i, &node) != BE_OK)
				break;
			order = page_compare(RECORDS, node.key, vouching->header_key);
			if (levels > 1 && (i == 0 || order <= 0))
				number = node.child;
			if (levels == 1 && order == 0 && !node.is_overflow)
				is_ours = vouching->read_header(node.key, node.rest, written,
								&digest);
		}
		free(page);
	}
	return is_ours;
}

/* Another program's, or another version's: then the txn before has no header either, or it has one
 * that is not ours. */
static bool is_foreign(const struct proof *proof)
{
	const struct meta_page *before = proof->before.meta;
	uint64_t written;

	if (!is_tree(before, RECORDS) || before->last_page >= (uint64_t)1 << 48)
		return false;
	if (before->trees[RECORDS].depth > 0)
		return !find_header(&proof->before, proof->vouching, &written);
	return proof->newest.is_foreign;
}

/* When LMDB cannot write a meta page, it puts the number that was there before back into it, but
 * not the trees: then what stands there as the txn before is a txn after the newest one. That one
 * was begun to be written, and so the newest is on the disk. Not told of txn 1, which may be a copy
 * whose header has another number. */
static bool is_followed(const struct proof *proof)
{
	const struct meta_page *before = proof->before.meta, *newest = proof->newest.meta;
	uint64_t written;

	return before->txn > 1 && is_tree(before, RECORDS) &&
	       before->last_page < (uint64_t)1 << 48 &&
	       find_header(&proof->before, proof->vouching, &written) && written == newest->txn + 1;
}

static enum be_status prove(int fd, const struct meta_page metas[2], uint64_t pages,
			    const struct vouching *vouching, bool rewrite, bool *may_go_back,
			    struct pages_fault *fault)
{
	const struct meta_page *newest = newest_of(metas);
	const struct meta_page *before = &metas[newest == metas];
	struct proof proof = {.vouching = vouching, .rewrite = rewrite};
	enum be_status status;

	proof.newest = side_of(fd, newest, pages, fault);
	proof.newest.is_newest = true;
	proof.before = side_of(fd, before, pages, &proof.fault_before);
	status = run(&proof);
	if (status == BE_DAMAGED && (is_foreign(&proof) || is_followed(&proof))) {
		proof.fault_before.text[0] = fault->text[0] = '\0';
		status = BE_OK;
	}
	*may_go_back = status == BE_DAMAGED && proof.fault_before.text[0] == '\0' &&
		       (before->txn > 0 || newest->trees[RECORDS].entries <= 1);
	if (proof.fault_before.text[0] != '\0')
		snprintf(fault->text, sizeof fault->text, "in the txn before: %.90s",
			 proof.fault_before.text);
	for (size_t i = 0; i < SETS; i++)
		free(proof.sets[i]);
	end_side(&proof.newest);
	end_side(&proof.before);
	return status;
}

enum be_status newest_prove(int fd, const struct meta_page metas[2], uint64_t pages,
			    const struct vouching *vouching, bool *may_go_back,
			    struct pages_fault *fault)
{
	fault->text[0] = '\0';
	*may_go_back = false;
	if (have_same_trees(metas))
		return BE_OK;
	return prove(fd, metas, pages, vouching, false, may_go_back, fault);
}

/* ---- changing the file */

/* LMDB writes this part of a meta page, which lies within one sector. */
static const size_t meta_offset = offsetof(struct meta_page, map_size);

static off_t meta_place(const struct meta_page *meta, uint64_t slot)
{
	return (off_t)(slot * meta->trees[FREE_PAGES].pad + meta_offset);
}

enum be_status newest_go_back(const char *path, int fd, const struct meta_page metas[2])
{
	const struct meta_page *newest = newest_of(metas);
	struct meta_page again = metas[newest == metas];
	struct pages_fault fault;
	const struct page_reader writer = {.fd = fd, .fault = &fault};
	off_t place = meta_place(newest, newest->txn % 2);

	again.txn -= again.txn > 0; /* both of a new file's are of txn 0 */
	if (write_again(&writer, (char *)&again + meta_offset, sizeof again - meta_offset, place) !=
		    BE_OK ||
	    fdatasync(fd) < 0)
		return error_errno(BE_IO_ERROR, errno,
				   "%s: its newest txn is not whole, and going back to the one "
				   "before failed",
				   path);
	return BE_OK;
}

enum be_status newest_rewrite(int fd, const struct meta_page metas[2], uint64_t pages,
			      const struct vouching *vouching, struct pages_fault *fault)
{
	const struct meta_page *newest = newest_of(metas);
	const struct page_reader writer = {.fd = fd, .fault = fault};
	enum be_status status = BE_OK;
	bool may_go_back;

	fault->text[0] = '\0';
	if (!have_same_trees(metas))
		status = prove(fd, metas, pages, vouching, true, &may_go_back, fault);
	if (status == BE_OK)
		status = write_again(&writer, (const char *)newest + meta_offset,
				     sizeof *newest - meta_offset,
				     meta_place(newest, newest->txn % 2));
	return status;
}
