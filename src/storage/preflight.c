/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is checked before LMDB touches a data file. LMDB believes what the two meta pages at its start say
 * and touches pages that may not be there, which is SIGBUS. Nothing here maps, locks or changes a file,
 * and every byte read counts as hostile.
 *
 * A sound file may be shorter than its last page says: LMDB does not write pages that a txn took at the end
 * of the file and gave back. So in a short file the trees are walked, to see whether all pages in use are
 * there.
 */
#include "storage/preflight.h"

#include "error.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LMDB_MAGIC 0xBEEFC0DEU
#define LMDB_VERSION 1
#define LMDB_BRANCH_FLAG 0x01
#define LMDB_LEAF_FLAG 0x02
#define LMDB_META_FLAG 0x08
#define LMDB_OVERFLOW_NODE 0x01
#define LMDB_PAGE_MIN 512
#define LMDB_PAGE_MAX 32768
#define LMDB_NO_PAGE UINT64_MAX
#define LMDB_DEPTH_MAX 32
/* A writer may be replacing a meta page while we look; the next look then differs. */
#define LOOKS 8

/* How LMDB 0.9 lays out its pages on a 64-bit machine, in the machine's byte order. */
struct page_header {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;
	uint16_t lower; /* the end of the nodes' offsets, which follow this header */
	uint16_t upper;
};

/* In a branch page the first three are the number of a page; in a leaf, the size of the value and flags. */
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
	struct {
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

/* ------------------------------------------------------------- file system */

enum be_status preflight_file_system_type(const char *directory, unsigned long type)
{
	static const struct {
		unsigned long type;
		const char *name;
		bool overlay;
	} refused[] = {
		{0x6969, "NFS", false},       {0x517b, "SMB", false},
		{0xff534d42, "CIFS", false},  {0xfe534d42, "SMB2", false},
		{0x01021997, "9p", false},    {0x00c36400, "Ceph", false},
		{0x5346414f, "AFS", false},   {0x6b414653, "AFS", false},
		{0x73757245, "Coda", false},  {0x786f4256, "VirtualBox shared folder", false},
		{0x65735546, "FUSE", false},  {0x0bd00bd0, "Lustre", false},
		{0x47504653, "GPFS", false},  {0x01161970, "GFS2", false},
		{0x7461636f, "OCFS2", false}, {0x794c7630, "overlay", true},
		{0x61756673, "aufs", true},
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		if (refused[i].type != type)
			continue;
		if (refused[i].overlay)
			return error_set(
				BE_BAD_FILE_SYSTEM,
				"%s: is on an overlay file system (%s), as a container's root is, where "
				"processes may see different files under one name; use a directory on a "
				"volume or tmpfs",
				directory, refused[i].name);
		return error_set(
			BE_BAD_FILE_SYSTEM,
			"%s: is on a network file system (%s), where maps shared between processes are "
			"not kept coherent; use a directory on a local disk or tmpfs",
			directory, refused[i].name);
	}
	return BE_OK;
}

enum be_status preflight_file_system(const char *directory)
{
	struct statfs system;

	while (statfs(directory, &system) < 0)
		if (errno != EINTR)
			return error_errno(error_from_errno(errno), errno, "%s", directory);
	/* The field is signed on some machines; magic numbers have 32 bits. */
	return preflight_file_system_type(directory, (unsigned long)system.f_type & 0xffffffff);
}

/* --------------------------------------------------------------- data file */

/* Copies meta page at `offset`; false when `head` ends before it does. */
static bool read_meta(const unsigned char *head, size_t size, size_t offset, struct meta_page *meta)
{
	if (offset > size || size - offset < sizeof *meta)
		return false;
	memcpy(meta, head + offset, sizeof *meta);
	return true;
}

static bool is_page_size(uint32_t size)
{
	return size >= LMDB_PAGE_MIN && size <= LMDB_PAGE_MAX && (size & (size - 1)) == 0;
}

/* The root of a tree is a page after the meta pages, or there is none and the tree is empty. */
static bool is_tree(const struct meta_page *meta, size_t which)
{
	uint64_t root = meta->trees[which].root;
	uint16_t depth = meta->trees[which].depth;

	if (root == LMDB_NO_PAGE)
		return depth == 0;
	return depth > 0 && depth <= LMDB_DEPTH_MAX && root > 1 && root <= meta->last_page;
}

static const struct meta_page *newest_of(const struct meta_page metas[2])
{
	return &metas[metas[0].txn < metas[1].txn];
}

static enum be_status check_metas(const char *path, const unsigned char *head, size_t head_size,
				  unsigned long long file_size, struct meta_page metas[2])
{
	const struct meta_page *newest;
	uint32_t magic = 0;
	uint32_t page_size;

	if (head_size >= offsetof(struct meta_page, version))
		memcpy(&magic, head + offsetof(struct meta_page, magic), sizeof magic);
	if (magic != LMDB_MAGIC)
		return error_set(BE_NOT_AN_ENVIRONMENT, "%s: is not a data file of LMDB's", path);
	if (!read_meta(head, head_size, 0, &metas[0]))
		return error_set(BE_DAMAGED, "%s: is cut short at %llu bytes; restore a backup", path,
				 file_size);
	if (metas[0].version != LMDB_VERSION)
		return error_set(BE_NEWER_FORMAT,
				 "%s: has LMDB data version %u; this library knows version %d", path,
				 (unsigned)metas[0].version, LMDB_VERSION);
	page_size = metas[0].trees[0].pad;
	if (!is_page_size(page_size))
		return error_set(BE_DAMAGED, "%s: its first page gives %u as the page size; restore a backup",
				 path, (unsigned)page_size);
	if (!read_meta(head, head_size, page_size, &metas[1]) || file_size / page_size < 2)
		return error_set(BE_DAMAGED, "%s: is cut short at %llu bytes; restore a backup", path,
				 file_size);
	for (size_t i = 0; i < 2; i++)
		if (metas[i].magic != LMDB_MAGIC || metas[i].version != LMDB_VERSION ||
		    !(metas[i].header.flags & LMDB_META_FLAG) || metas[i].header.number != i ||
		    metas[i].trees[0].pad != page_size)
			return error_set(BE_DAMAGED, "%s: meta page %zu is damaged; restore a backup", path,
					 i);
	newest = newest_of(metas);
	/* A txn writes the meta page of its parity, and readers look there. */
	if (newest->txn != 0 && newest->txn % 2 != newest->header.number)
		return error_set(BE_DAMAGED, "%s: the meta pages are out of order; restore a backup", path);
	if (!is_tree(newest, 0) || !is_tree(newest, 1))
		return error_set(BE_DAMAGED, "%s: meta page %u names pages that cannot be; restore a backup",
				 path, (unsigned)newest->header.number);
	for (size_t i = 0; i < 2; i++)
		if (newest->trees[i].depth > 0 && newest->trees[i].root >= file_size / page_size)
			return error_set(BE_DAMAGED, "%s: is cut short at %llu bytes; restore a backup", path,
					 file_size);
	return BE_OK;
}

enum be_status preflight_meta_pages(const char *path, const unsigned char *head, size_t head_size,
				    unsigned long long file_size)
{
	struct meta_page metas[2];

	return check_metas(path, head, head_size, file_size, metas);
}

/* Reads what there is at `offset`; returns how much, or -1. */
static ssize_t read_at(int fd, unsigned char *bytes, size_t size, off_t offset)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = pread(fd, bytes + used, size - used, offset + (off_t)used);

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

/* Reads and checks the meta pages; *exists is false when the file is empty. */
static enum be_status read_metas(const char *path, int fd, struct meta_page metas[2], off_t *file_size,
				 bool *exists)
{
	static const size_t head_size = LMDB_PAGE_MAX + sizeof(struct meta_page);
	enum be_status status = BE_OK;
	unsigned char *head;
	struct stat state;
	ssize_t got;

	*exists = false;
	head = malloc(head_size);
	if (!head)
		return error_errno(BE_NO_MEMORY, ENOMEM, "%s", path);
	/* The size is taken after the meta pages: a file in use grows, and they with it. */
	got = read_at(fd, head, head_size, 0);
	if (got < 0 || fstat(fd, &state) < 0) {
		status = error_errno(BE_IO_ERROR, errno, "%s: cannot be read", path);
	} else if (got > 0) {
		*exists = true;
		*file_size = state.st_size;
		status = check_metas(path, head, (size_t)got, (unsigned long long)state.st_size, metas);
	}
	free(head);
	return status;
}

enum be_status preflight_data_file(const char *path, int fd, bool *exists)
{
	struct meta_page metas[2];
	enum be_status status;
	struct stat state;
	off_t file_size;
	int looks = 0;

	*exists = false;
	if (fstat(fd, &state) < 0)
		return error_errno(BE_IO_ERROR, errno, "%s", path);
	if (!S_ISREG(state.st_mode))
		return error_set(BE_NOT_AN_ENVIRONMENT, "%s: is not a regular file", path);
	do
		status = read_metas(path, fd, metas, &file_size, exists);
	while (status == BE_DAMAGED && ++looks < LOOKS);
	return status;
}

/* ------------------------------------------------------------------- pages */

struct walk {
	int fd;
	uint32_t page_size;
	uint64_t pages; /* that the file has */
	uint64_t seen;  /* so far; each page is in use once only, so that loops end */
};

static bool is_there(const struct walk *walk, uint64_t page, uint64_t count)
{
	return page > 1 && page < walk->pages && count <= walk->pages - page;
}

/* Finds the node of that number in a page of the walk's size. */
static bool find_node(const struct walk *walk, const unsigned char *page, size_t number, size_t *offset,
		      struct node_header *node)
{
	uint16_t start;

	memcpy(&start, page + sizeof(struct page_header) + number * sizeof start, sizeof start);
	if (start > walk->page_size - sizeof *node)
		return false;
	memcpy(node, page + start, sizeof *node);
	*offset = start;
	return true;
}

/* A value too large for its leaf is in pages of its own. Lists of free pages may be; records never are. */
static bool overflow_is_there(const struct walk *walk, const unsigned char *page, size_t offset,
			      const struct node_header *node)
{
	uint64_t size = node->low | (uint64_t)node->high << 16;
	uint64_t first;

	if (!(node->flags & LMDB_OVERFLOW_NODE))
		return true;
	offset += sizeof *node + node->key_size;
	if (offset > walk->page_size - sizeof first)
		return false;
	memcpy(&first, page + offset, sizeof first);
	return is_there(walk, first, (sizeof(struct page_header) - 1 + size) / walk->page_size + 1);
}

/* Are page `number` and all below it in the file? `levels` is 1 at a leaf. Leaves are read only on request.
 */
static enum be_status walk_page(struct walk *walk, uint64_t number, unsigned levels, bool read_leaves)
{
	enum be_status status = BE_DAMAGED;
	struct page_header header;
	struct node_header node;
	unsigned char *page;
	size_t offset;

	if (!is_there(walk, number, 1) || walk->seen++ >= walk->pages)
		return BE_DAMAGED;
	if (levels == 1 && !read_leaves)
		return BE_OK;
	page = malloc(walk->page_size);
	if (!page)
		return BE_NO_MEMORY;
	if (read_at(walk->fd, page, walk->page_size, (off_t)(number * walk->page_size)) != walk->page_size)
		goto out;
	memcpy(&header, page, sizeof header);
	if (header.number != number || !(header.flags & (levels == 1 ? LMDB_LEAF_FLAG : LMDB_BRANCH_FLAG)) ||
	    header.lower < sizeof header || header.lower > walk->page_size)
		goto out;
	status = BE_OK;
	for (size_t i = 0; i < (header.lower - sizeof header) / sizeof(uint16_t) && status == BE_OK; i++) {
		if (!find_node(walk, page, i, &offset, &node))
			status = BE_DAMAGED;
		else if (levels > 1)
			status = walk_page(walk,
					   node.low | (uint64_t)node.high << 16 | (uint64_t)node.flags << 32,
					   levels - 1, read_leaves);
		else if (!overflow_is_there(walk, page, offset, &node))
			status = BE_DAMAGED;
	}
out:
	free(page);
	return status;
}

enum be_status preflight_pages(const char *path, int fd, uint64_t txn)
{
	struct meta_page metas[2];
	const struct meta_page *meta;
	struct walk walk = {.fd = fd};
	enum be_status status;
	off_t file_size;
	bool exists;

	status = read_metas(path, fd, metas, &file_size, &exists);
	if (status || !exists)
		return status ? status
			      : error_set(BE_DAMAGED, "%s: has become empty; restore a backup", path);
	walk.page_size = metas[0].trees[0].pad;
	walk.pages = (uint64_t)file_size / walk.page_size;
	if (newest_of(metas)->last_page < walk.pages)
		return BE_OK;
	meta = &metas[txn % 2];
	if (meta->txn != txn)
		return error_set(BE_DAMAGED, "%s: meta page %u does not belong to txn %llu; restore a backup",
				 path, (unsigned)(txn % 2), (unsigned long long)txn);
	for (size_t i = 0; i < 2 && status == BE_OK; i++)
		if (meta->trees[i].depth > 0)
			status = walk_page(&walk, meta->trees[i].root, meta->trees[i].depth, i == 0);
	if (status == BE_DAMAGED)
		return error_set(
			BE_DAMAGED,
			"%s: is cut short: pages in use are missing after byte %llu; restore a backup", path,
			(unsigned long long)file_size);
	return status ? error_errno(status, ENOMEM, "%s", path) : BE_OK;
}
