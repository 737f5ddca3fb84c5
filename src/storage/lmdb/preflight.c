/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is checked before LMDB touches a data file. LMDB believes what the two meta pages at its
 * start say and touches pages that may not be there, which is SIGBUS. Nothing here maps, locks or
 * changes a file, and every byte read counts as hostile.
 *
 * A sound file may be shorter than its last page says: LMDB does not write pages that a txn took at
 * the end of the file and gave back. So in a short file the trees are walked, to see whether all
 * pages in use are there.
 */
#include "storage/lmdb/preflight.h"

#include "base/error.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A writer may be replacing a meta page while we look; the next look then differs. */
#define LOOKS 8

/* ------------------------------------------------------------- file system */

enum be_status preflight_file_system_type(const char *directory, unsigned long type)
{
	static const struct {
		unsigned long type;
		const char *name;
		bool layered;
	} refused[] = {
		{0x6969, "NFS", false},       {0x517b, "SMB", false},
		{0xff534d42, "CIFS", false},  {0xfe534d42, "SMB2", false},
		{0x01021997, "9p", false},    {0x00c36400, "Ceph", false},
		{0x5346414f, "AFS", false},   {0x6b414653, "AFS", false},
		{0x73757245, "Coda", false},  {0x786f4256, "VirtualBox shared folder", false},
		{0x65735546, "FUSE", false},  {0x0bd00bd0, "Lustre", false},
		{0x47504653, "GPFS", false},  {0x01161970, "GFS2", false},
		{0x7461636f, "OCFS2", false}, {0x61756673, "aufs", true},
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		if (refused[i].type != type)
			continue;
		if (refused[i].layered)
			return error_set(
				BE_BAD_FILE_SYSTEM,
				"%s: is on a layered file system (%s), where processes may "
				"see different files under one name; use a directory on a "
				"volume or tmpfs",
				directory, refused[i].name);
		return error_set(BE_BAD_FILE_SYSTEM,
				 "%s: is on a network file system (%s), where maps shared between "
				 "processes are "
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
			return error_path(errno, directory);
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
		return error_set(BE_DAMAGED, "%s: is cut short at %llu bytes; restore a backup",
				 path, file_size);
	if (metas[0].version != LMDB_VERSION)
		return error_set(BE_NEWER_FORMAT,
				 "%s: has LMDB data version %u; this library knows version %d",
				 path, (unsigned)metas[0].version, LMDB_VERSION);
	page_size = metas[0].trees[0].pad;
	if (!is_page_size(page_size))
		return error_set(BE_DAMAGED,
				 "%s: its first page gives %u as the page size; restore a backup",
				 path, (unsigned)page_size);
	if (!read_meta(head, head_size, page_size, &metas[1]) || file_size / page_size < 2)
		return error_set(BE_DAMAGED, "%s: is cut short at %llu bytes; restore a backup",
				 path, file_size);
	for (size_t i = 0; i < 2; i++)
		if (metas[i].magic != LMDB_MAGIC || metas[i].version != LMDB_VERSION ||
		    metas[i].header.flags != LMDB_META_FLAG || metas[i].header.number != i ||
		    metas[i].trees[0].pad != page_size ||
		    metas[i].trees[0].flags != LMDB_INTEGER_KEYS)
			return error_set(BE_DAMAGED,
					 "%s: meta page %zu is damaged; restore a backup", path, i);
	newest = newest_of(metas);
	/* Txns write the meta pages in turn, each the one of its parity, and readers look there. */
	if (newest->txn != 0 && (newest->txn % 2 != newest->header.number ||
				 metas[!newest->header.number].txn != newest->txn - 1))
		return error_set(BE_DAMAGED,
				 "%s: the meta pages are out of order; restore a backup", path);
	if (!is_tree(newest, 0) || !is_tree(newest, 1))
		return error_set(BE_DAMAGED,
				 "%s: meta page %u names pages that cannot be; restore a backup",
				 path, (unsigned)newest->header.number);
	return BE_OK;
}

/* LMDB touches the roots of the newest txn as soon as it is used. */
static enum be_status check_roots(const char *path, const struct meta_page metas[2],
				  unsigned long long file_size)
{
	const struct meta_page *newest = newest_of(metas);
	uint32_t page_size = metas[0].trees[0].pad;

	for (size_t i = 0; i < 2; i++)
		if (newest->trees[i].depth > 0 && newest->trees[i].root >= file_size / page_size)
			return error_set(BE_DAMAGED,
					 "%s: is cut short at %llu bytes; restore a backup", path,
					 file_size);
	return BE_OK;
}

enum be_status preflight_meta_pages(const char *path, const unsigned char *head, size_t head_size,
				    unsigned long long file_size)
{
	struct meta_page metas[2];
	enum be_status status = check_metas(path, head, head_size, file_size, metas);

	return status == BE_OK ? check_roots(path, metas, file_size) : status;
}

/* Is it what a process left that died while LMDB made the file? Then there is the first meta page
 * at most, and nothing was ever committed. */
static bool is_half_made(const unsigned char *head, size_t size, off_t file_size)
{
	struct meta_page meta;

	return read_meta(head, size, 0, &meta) && meta.magic == LMDB_MAGIC &&
	       is_page_size(meta.trees[0].pad) && file_size < 2 * (off_t)meta.trees[0].pad &&
	       meta.txn == 0 && meta.trees[0].root == LMDB_NO_PAGE &&
	       meta.trees[1].root == LMDB_NO_PAGE;
}

/* Reads and checks the meta pages; *exists is false when the file is empty or was never
 * finished. */
static enum be_status read_metas(const char *path, int fd, struct meta_page metas[2],
				 off_t *file_size, bool *exists)
{
	static const size_t head_size = LMDB_PAGE_MAX + sizeof(struct meta_page);
	enum be_status status = BE_OK;
	unsigned char *head;
	struct stat state;
	ssize_t got;

	*file_size = 0;
	*exists = false;
	head = malloc(head_size);
	if (!head)
		return error_errno(BE_NO_MEMORY, ENOMEM, "%s", path);
	/* The size is taken after the meta pages: a file in use grows, and they with it. */
	got = pages_read(fd, head, head_size, 0);
	if (got < 0 || fstat(fd, &state) < 0) {
		status = error_errno(BE_IO_ERROR, errno, "%s: cannot be read", path);
	} else if (got > 0 && !is_half_made(head, (size_t)got, state.st_size)) {
		*exists = true;
		*file_size = state.st_size;
		status = check_metas(path, head, (size_t)got, (unsigned long long)state.st_size,
				     metas);
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

static uint64_t pages_of(const struct meta_page metas[2], off_t file_size)
{
	return (uint64_t)file_size / metas[0].trees[0].pad;
}

static enum be_status pages_damaged(const char *path, enum be_status status,
				    const struct pages_fault *fault)
{
	if (status == BE_DAMAGED)
		return error_set(BE_DAMAGED, "%s: is damaged or cut short: %s; restore a backup",
				 path, fault->text);
	if (status == BE_IO_ERROR)
		return error_set(BE_IO_ERROR, "%s: %s; look at the disk", path, fault->text);
	return status == BE_OK ? BE_OK : error_errno(status, ENOMEM, "%s", path);
}

enum be_status preflight_metas(const char *path, int fd, struct meta_page metas[2],
			       off_t *file_size)
{
	bool exists;
	enum be_status status = read_metas(path, fd, metas, file_size, &exists);

	if (status == BE_OK && !exists)
		return error_set(BE_DAMAGED, "%s: has become empty; restore a backup", path);
	return status;
}

static enum be_status check_txn(const char *path, const struct meta_page metas[2], uint64_t txn)
{
	if (metas[txn % 2].txn != txn)
		return error_set(BE_DAMAGED,
				 "%s: meta page %u does not belong to txn %llu; restore a backup",
				 path, (unsigned)(txn % 2), (unsigned long long)txn);
	return BE_OK;
}

enum be_status preflight_pages(const char *path, int fd, uint64_t txn)
{
	struct meta_page metas[2];
	struct pages_fault fault;
	enum be_status status;
	off_t file_size;
	bool is_short;

	status = preflight_metas(path, fd, metas, &file_size);
	if (status)
		return status;
	is_short = newest_of(metas)->last_page >= pages_of(metas, file_size);
	/* Overtaken by writers, which have read the pages themselves. */
	if (!is_short && metas[txn % 2].txn != txn)
		return BE_OK;
	status = check_txn(path, metas, txn);
	if (status)
		return status;
	status = pages_readable(fd, &metas[txn % 2], pages_of(metas, file_size), &fault);
	if (status == BE_OK && is_short)
		status = pages_present(fd, &metas[txn % 2], pages_of(metas, file_size), &fault);
	return pages_damaged(path, status, &fault);
}

enum be_status preflight_all_pages(const char *path, int fd, uint64_t txn, bool *outdated)
{
	const struct meta_page *before;
	struct meta_page metas[2];
	struct pages_fault fault;
	enum be_status status;
	off_t file_size;
	int looks = 0;

	*outdated = false;
	do
		status = preflight_metas(path, fd, metas, &file_size);
	while (status == BE_DAMAGED && ++looks < LOOKS);
	if (status)
		return status;
	status = check_txn(path, metas, txn);
	*outdated = status != BE_OK;
	if (status)
		return status;
	/* The other one may be of the txn after, meanwhile. */
	before = metas[(txn + 1) % 2].txn < txn ? &metas[(txn + 1) % 2] : NULL;
	status = pages_check(fd, &metas[txn % 2], before, pages_of(metas, file_size), &fault);
	return pages_damaged(path, status, &fault);
}

enum be_status preflight_roots(const char *path, int fd)
{
	struct meta_page metas[2];
	enum be_status status;
	off_t file_size;
	int looks = 0;

	do {
		status = preflight_metas(path, fd, metas, &file_size);
		if (status == BE_OK)
			status = check_roots(path, metas, (unsigned long long)file_size);
	} while (status == BE_DAMAGED && ++looks < LOOKS);
	return status;
}

/* -------------------------------------------------------------- newest txn */

enum be_status preflight_newest(const char *path, int fd, uint64_t known,
				const struct vouching *vouching, uint64_t *newest,
				bool *may_go_back)
{
	struct meta_page metas[2];
	struct pages_fault fault;
	enum be_status status;
	bool may = false;
	off_t file_size;

	status = preflight_metas(path, fd, metas, &file_size);
	if (status != BE_OK) {
		*may_go_back = false;
		return status;
	}
	*newest = newest_of(metas)->txn;
	if (*newest == known)
		return BE_OK;
	status = newest_prove(fd, metas, pages_of(metas, file_size), vouching, &may, &fault);
	*may_go_back = *may_go_back && may;
	return pages_damaged(path, status, &fault);
}

enum be_status preflight_go_back(const char *path, int fd)
{
	struct meta_page metas[2];
	enum be_status status;
	off_t file_size;

	status = preflight_metas(path, fd, metas, &file_size);
	return status == BE_OK ? newest_go_back(path, fd, metas) : status;
}

enum be_status preflight_rewrite(const char *path, int fd, uint64_t txn,
				 const struct vouching *vouching)
{
	struct meta_page metas[2];
	struct pages_fault fault;
	enum be_status status;
	off_t file_size;

	status = preflight_metas(path, fd, metas, &file_size);
	if (status == BE_OK && newest_of(metas)->txn != txn)
		status = check_txn(path, metas, txn + 1);
	if (status != BE_OK)
		return status;
	status = newest_rewrite(fd, metas, pages_of(metas, file_size), vouching, &fault);
	return pages_damaged(path, status, &fault);
}
