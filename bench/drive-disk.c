/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the disk alone: what a flush of it costs. Modes: flush, 4 KiB written in place and
 * fdatasync(); two, what one txn of LMDB does: pages written in place and fdatasync(), then a meta
 * page by a write that is synchronous.
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096
#define PAGES 1024
#define META_BYTES 136
/* Written by a reserve in LMDB: two levels of the tree and a leaf of the list of free pages. */
#define DATA_PAGES 3

struct disk {
	int fd;
	int synchronous; /* the same file, O_DSYNC */
	bool two;
	unsigned at;
	char page[PAGE];
};

static int open_file(const struct run *run, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/pages", run->place);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void write_page(struct disk *disk, int fd, size_t size, unsigned page)
{
	if (pwrite(fd, disk->page, size, (off_t)page * PAGE) != (ssize_t)size)
		die("write: %s", strerror(errno));
}

static void flush(int fd)
{
	if (fdatasync(fd) < 0)
		die("fdatasync: %s", strerror(errno));
}

static void *disk_open(const struct run *run)
{
	struct disk *disk = calloc(1, sizeof *disk);

	if (!disk)
		die("out of memory");
	disk->fd = open_file(run, 0);
	disk->synchronous = open_file(run, O_DSYNC);
	disk->two = strcmp(run->mode, "two") == 0;
	memset(disk->page, 0xa5, sizeof disk->page);
	return disk;
}

static void disk_close(void *self)
{
	struct disk *disk = self;

	close(disk->fd);
	close(disk->synchronous);
	free(disk);
}

static void disk_make(const struct run *run)
{
	struct disk *disk = disk_open(run);

	for (unsigned i = 0; i < PAGES; i++)
		write_page(disk, disk->fd, PAGE, i);
	if (fsync(disk->fd) < 0)
		die("fsync: %s", strerror(errno));
	disk_close(disk);
}

/* The next page, of those behind the two meta pages, and far from the one before. */
static unsigned next_page(struct disk *disk)
{
	disk->at = (disk->at + 389) % (PAGES - 2);
	return 2 + disk->at;
}

static uint64_t disk_reserve(void *self, const char *category)
{
	struct disk *disk = self;

	(void)category;
	for (unsigned i = 0; i < (disk->two ? DATA_PAGES : 1); i++)
		write_page(disk, disk->fd, PAGE, next_page(disk));
	flush(disk->fd);
	if (disk->two)
		write_page(disk, disk->synchronous, META_BYTES, disk->at % 2);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct driver driver = {
		.name = "disk",
		.make = disk_make,
		.open = disk_open,
		.close = disk_close,
		.reserve = disk_reserve,
	};

	return pool_main(argc, argv, &driver);
}
