/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one page; page.h says what for. Every byte read counts as hostile. */
#include "storage/lmdb/page.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void page_note_damage(const struct page_reader *reader, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reader->fault->text, sizeof reader->fault->text, format, arguments);
	va_end(arguments);
}

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

struct page_reader page_reader_of(int fd, const struct meta_page *meta, uint64_t pages,
				  struct pages_fault *fault)
{
	return (struct page_reader){.fd = fd,
				    .page_size = meta->trees[FREE_PAGES].pad,
				    .last_page = meta->last_page,
				    .pages = pages,
				    .fault = fault};
}

enum be_status page_read_bytes(const struct page_reader *reader, uint64_t number, void *bytes,
			       size_t size, off_t offset)
{
	ssize_t got = pages_read(reader->fd, bytes, size, offset);
	char meaning[64];

	if (got == (ssize_t)size)
		return BE_OK;
	if (got >= 0)
		return page_damaged(reader, "page %" PRIu64 " is cut short", number);
	page_note_damage(reader, "page %" PRIu64 " cannot be read: %s", number,
			 error_meaning(errno, meaning, sizeof meaning));
	return BE_IO_ERROR;
}

enum be_status page_node(const struct page_reader *reader, const struct page *page, size_t number,
			 struct node *node)
{
	struct node_header header;
	size_t space;
	uint16_t start;

	memcpy(&start, page->bytes + sizeof(struct page_header) + number * sizeof start,
	       sizeof start);
	if (start < page->upper || start > reader->page_size - sizeof header)
		return page_damaged(reader, "page %" PRIu64 ": node %zu lies outside", page->number,
				    number);
	memcpy(&header, page->bytes + start, sizeof header);
	space = reader->page_size - start - sizeof header;
	*node = (struct node){.offset = start, .size = header.low | (uint64_t)header.high << 16};
	node->key = (struct be_bytes){page->bytes + start + sizeof header, header.key_size};
	node->rest.data = page->bytes + start + sizeof header + header.key_size;
	if (page->is_leaf) {
		if (header.flags & ~LMDB_OVERFLOW_NODE)
			return page_damaged(reader, "page %" PRIu64 ": node %zu has unknown flags",
					    page->number, number);
		node->is_overflow = header.flags & LMDB_OVERFLOW_NODE;
		node->rest.size = node->is_overflow ? sizeof(uint64_t) : node->size;
	} else {
		node->child = node->size | (uint64_t)header.flags << 32;
	}
	if (header.key_size > space || node->rest.size > space - header.key_size)
		return page_damaged(reader, "page %" PRIu64 ": node %zu is larger than its page",
				    page->number, number);
	node->stored = (sizeof header + header.key_size + node->rest.size + 1) / 2 * 2;
	return BE_OK;
}

/* The nodes fill the page from `upper` to its end. */
static enum be_status check_layout(const struct page_reader *reader, const struct page *page)
{
	size_t stored = 0;
	struct node node;

	for (size_t i = 0; i < page->count; i++) {
		enum be_status status = page_node(reader, page, i, &node);

		if (status != BE_OK)
			return status;
		stored += node.stored;
	}
	if (stored != reader->page_size - page->upper)
		return page_damaged(reader, "page %" PRIu64 ": its nodes do not fill it",
				    page->number);
	return BE_OK;
}

enum be_status page_read(const struct page_reader *reader, uint64_t number, bool is_leaf,
			 struct page **result)
{
	struct page_header header;
	struct page *page;
	enum be_status status;

	if (number < 2 || number > reader->last_page)
		return page_damaged(reader, "page %" PRIu64 " is named, which there cannot be",
				    number);
	if (number >= reader->pages)
		return page_damaged(
			reader, "page %" PRIu64 " is in use and lies behind the end of the file",
			number);
	page = malloc(sizeof *page + reader->page_size);
	if (!page)
		return BE_NO_MEMORY;
	status = page_read_bytes(reader, number, page->bytes, reader->page_size,
				 (off_t)(number * reader->page_size));
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
		status = page_damaged(reader, "page %" PRIu64 " is not what it should be", number);
	else if (header.lower < sizeof header || header.lower > header.upper ||
		 header.upper > reader->page_size || header.lower % sizeof(uint16_t) != 0)
		status =
			page_damaged(reader, "page %" PRIu64 ": its bounds are impossible", number);
	else {
		page->count = (header.lower - sizeof header) / sizeof(uint16_t);
		status = check_layout(reader, page);
	}
	if (status == BE_OK && page->count < (is_leaf ? 1 : 2))
		status = page_damaged(reader, "page %" PRIu64 " has too few nodes", number);
	if (status != BE_OK) {
		free(page);
		return status;
	}
	*result = page;
	return BE_OK;
}

enum be_status page_chain(const struct page_reader *reader, const struct node *node,
			  uint64_t *first, uint64_t *count)
{
	uint64_t needed = (sizeof(struct page_header) - 1 + node->size) / reader->page_size + 1;
	struct page_header header;
	enum be_status status;
	uint32_t counted;

	memcpy(first, node->rest.data, sizeof *first);
	if (*first < 2 || *first > reader->last_page)
		return page_damaged(reader, "page %" PRIu64 " is named, which there cannot be",
				    *first);
	if (*first >= reader->pages || needed > reader->pages - *first)
		return page_damaged(
			reader, "page %" PRIu64 " is in use and lies behind the end of the file",
			*first + needed - 1);
	status = page_read_bytes(reader, *first, &header, sizeof header,
				 (off_t)(*first * reader->page_size));
	if (status != BE_OK)
		return status;
	memcpy(&counted, &header.lower, sizeof counted);
	*count = counted;
	if (header.number != *first || header.flags != LMDB_OVERFLOW_FLAG || counted < needed ||
	    counted > reader->pages - *first || counted > reader->last_page - *first + 1)
		return page_damaged(reader, "page %" PRIu64 " is not what it should be", *first);
	return BE_OK;
}

int page_compare(enum tree tree, struct be_bytes a, struct be_bytes b)
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

enum be_status page_check_keys(const struct page_reader *reader, enum tree tree,
			       const struct page *page, struct be_bytes low, struct be_bytes high)
{
	struct be_bytes last = low;

	for (size_t i = page->is_leaf ? 0 : 1; i < page->count; i++) {
		struct node node;
		enum be_status status = page_node(reader, page, i, &node);
		int order;

		if (status != BE_OK)
			return status;
		order = last.data ? page_compare(tree, last, node.key) : -1;
		if (node.key.size == 0 ||
		    (tree == FREE_PAGES && node.key.size != sizeof(uint64_t)) || order > 0 ||
		    (order == 0 && i > 0) || (high.data && page_compare(tree, node.key, high) >= 0))
			return page_damaged(reader, "page %" PRIu64 ": its keys are out of order",
					    page->number);
		last = node.key;
	}
	return BE_OK;
}
