/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is checked before LMDB maps a data file. LMDB believes what the two meta pages at its start say
 * and touches pages that may not be there, which is SIGBUS. Nothing here maps, locks or changes a file,
 * and every byte read counts as hostile.
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
#define LMDB_META_FLAG 0x08
#define LMDB_PAGE_MIN 512
#define LMDB_PAGE_MAX 32768
#define LMDB_NO_PAGE UINT64_MAX
#define LMDB_DEPTH_MAX 32

/* A meta page as LMDB 0.9 lays it out on a 64-bit machine, in the machine's byte order. */
struct meta_page {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;
	uint32_t bounds;
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

enum be_status preflight_meta_pages(const char *path, const unsigned char *head, size_t head_size,
				    unsigned long long file_size)
{
	struct meta_page metas[2];
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
		    !(metas[i].flags & LMDB_META_FLAG) || metas[i].number != i ||
		    metas[i].trees[0].pad != page_size)
			return error_set(BE_DAMAGED, "%s: meta page %zu is damaged; restore a backup", path,
					 i);
	newest = &metas[metas[0].txn < metas[1].txn];
	/* A txn writes the meta page of its parity, and readers look there. */
	if (newest->txn != 0 && newest->txn % 2 != newest->number)
		return error_set(BE_DAMAGED, "%s: the meta pages are out of order; restore a backup", path);
	if (!is_tree(newest, 0) || !is_tree(newest, 1))
		return error_set(BE_DAMAGED, "%s: meta page %u names pages that cannot be; restore a backup",
				 path, (unsigned)newest->number);
	if (newest->last_page >= file_size / page_size)
		return error_set(
			BE_DAMAGED,
			"%s: is cut short: %llu bytes, but it had %llu pages of %u; restore a backup", path,
			file_size, (unsigned long long)newest->last_page + 1, (unsigned)page_size);
	return BE_OK;
}

/* Reads what there is of the file's first bytes. */
static ssize_t read_head(int fd, unsigned char *head, size_t size)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = pread(fd, head + used, size - used, (off_t)used);

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

static enum be_status check_contents(const char *path, int fd, bool *exists)
{
	static const size_t head_size = LMDB_PAGE_MAX + sizeof(struct meta_page);
	enum be_status status = BE_DAMAGED;
	unsigned char *head;
	struct stat state;
	ssize_t got;

	head = malloc(head_size);
	if (!head)
		return error_errno(BE_NO_MEMORY, ENOMEM, "%s", path);
	/* A verdict may come from a meta page that a writer was just replacing; then the next look differs.
	 */
	for (int looks = 0; looks < 4 && status == BE_DAMAGED; looks++) {
		/* The size is taken after the meta pages: a file in use grows, and they with it. */
		got = read_head(fd, head, head_size);
		if (got < 0 || fstat(fd, &state) < 0) {
			status = error_errno(BE_IO_ERROR, errno, "%s: cannot be read", path);
			break;
		}
		*exists = got > 0;
		status = *exists ? preflight_meta_pages(path, head, (size_t)got,
							(unsigned long long)state.st_size)
				 : BE_OK;
	}
	free(head);
	return status;
}

enum be_status preflight_data_file(const char *path, int fd, bool *exists)
{
	struct stat state;

	*exists = false;
	if (fstat(fd, &state) < 0)
		return error_errno(BE_IO_ERROR, errno, "%s", path);
	if (!S_ISREG(state.st_mode))
		return error_set(BE_NOT_AN_ENVIRONMENT, "%s: is not a regular file", path);
	return check_contents(path, fd, exists);
}
