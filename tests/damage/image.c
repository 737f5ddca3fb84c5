/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every sector has its flushed state and the writes since then that touched it, in order; at a
 * failure it is in the state after any number of these. The log is followed once, from failure to
 * failure.
 */
#include "image.h"

#include "disk.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define PAGE 4096
#define MARKS_MAX 16
#define PENDING_MAX 256
#define SECTORS_MAX ((size_t)1 << 15)
#define BYTES_MAX (SECTORS_MAX * SECTOR)

struct sector {
	size_t count, room;
	size_t *writes; /* not flushed: their events, ascending */
};

/* How what was not flushed arrives. */
static const struct how {
	const char *name;
	size_t unit;       /* bytes that arrive together */
	bool in_order;     /* all units are in the state of one moment */
	unsigned permille; /* of the units get anything at all */
} hows[] = {
	{"sectors", SECTOR, false, 500},    {"pages", PAGE, false, 500},
	{"few sectors", SECTOR, false, 50}, {"nearly all sectors", SECTOR, false, 950},
	{"few pages", PAGE, false, 100},    {"nearly all pages", PAGE, false, 900},
	{"in order", PAGE, true, 1000},     {"no pages", PAGE, false, 0},
	{"all pages", PAGE, false, 1000},
};

static struct {
	size_t next; /* event */
	uint8_t flushed[BYTES_MAX];
	uint8_t made[BYTES_MAX];
	struct sector sectors[SECTORS_MAX];
	size_t flushed_size; /* of the file */
	size_t sectors_used; /* that were ever written */
	bool name_made, name_flushed, above_made, above_flushed;
	size_t name_at, above_at; /* events that made them */
	size_t marks
		[MARKS_MAX]; /* events that may be the last to have changed be-boot; the first is
                              * flushed
				   */
	size_t mark_count;
} disk;

static size_t end_of(const struct disk_event *write)
{
	size_t end = (size_t)write->offset + write->size;

	EXPECT(end <= BYTES_MAX);
	return end;
}

void image_begin(void)
{
	for (size_t i = 0; i < SECTORS_MAX; i++)
		free(disk.sectors[i].writes);
	memset(&disk, 0, sizeof disk);
	disk.mark_count = 1; /* event 0, which is none of the file's: it is not there */
}

/* ---- following the log */

static void add_write(size_t index)
{
	const struct disk_event *write = disk_event(index);

	for (size_t i = (size_t)write->offset / SECTOR; i * SECTOR < end_of(write); i++) {
		struct sector *sector = &disk.sectors[i];

		if (sector->count == sector->room) {
			sector->room = sector->room ? 2 * sector->room : 4;
			sector->writes =
				realloc(sector->writes, sector->room * sizeof *sector->writes);
			EXPECT(sector->writes != NULL);
		}
		sector->writes[sector->count++] = index;
		if (i >= disk.sectors_used)
			disk.sectors_used = (i / (PAGE / SECTOR) + 1) * (PAGE / SECTOR);
	}
}

/* Applies what of a write lies in a sector. */
static void apply(uint8_t *bytes, size_t sector, const struct disk_event *write)
{
	size_t from = sector * SECTOR, to = from + SECTOR, offset = (size_t)write->offset;

	from = offset > from ? offset : from;
	to = end_of(write) < to ? end_of(write) : to;
	memcpy(bytes + from, write->data + (from - offset), to - from);
}

/* The first `count` of the sector's writes have been flushed. */
static void keep(size_t index, size_t count)
{
	struct sector *sector = &disk.sectors[index];

	for (size_t i = 0; i < count; i++) {
		apply(disk.flushed, index, disk_event(sector->writes[i]));
		if (end_of(disk_event(sector->writes[i])) > disk.flushed_size)
			disk.flushed_size = end_of(disk_event(sector->writes[i]));
	}
	sector->count -= count;
	memmove(sector->writes, sector->writes + count, sector->count * sizeof *sector->writes);
}

static void flush(size_t begun)
{
	for (size_t i = 0; i < disk.sectors_used; i++) {
		const struct sector *sector = &disk.sectors[i];
		size_t count = 0;

		while (count < sector->count && disk_event(sector->writes[count])->returned != 0 &&
		       disk_event(sector->writes[count])->returned <= begun)
			count++;
		if (count > 0)
			keep(i, count);
	}
}

/* A write with O_DSYNC keeps its sectors, and what was written to them before. */
static void keep_write(size_t index)
{
	const struct disk_event *write = disk_event(index);

	for (size_t i = (size_t)write->offset / SECTOR; i * SECTOR < end_of(write); i++) {
		const struct sector *sector = &disk.sectors[i];
		size_t count = 0;

		while (count < sector->count && sector->writes[count] <= index)
			count++;
		if (count > 0)
			keep(i, count);
	}
}

/* What came of be-boot before the directory was flushed can no longer be undone. */
static void keep_mark(size_t begun)
{
	size_t kept = 0;

	while (kept + 1 < disk.mark_count && disk.marks[kept + 1] < begun)
		kept++;
	disk.mark_count -= kept;
	memmove(disk.marks, disk.marks + kept, disk.mark_count * sizeof *disk.marks);
}

static void follow(size_t index)
{
	const struct disk_event *event = disk_event(index);

	switch (event->kind) {
	case DISK_WRITE:
		add_write(index);
		break;
	case DISK_DURABLE:
		keep_write(event->write);
		break;
	case DISK_FLUSH:
		flush(event->begun);
		break;
	case DISK_MADE:
		disk.name_made = true;
		disk.name_at = index;
		break;
	case DISK_MADE_ABOVE:
		disk.above_made = true;
		disk.above_at = index;
		break;
	case DISK_MARKED:
	case DISK_UNMARKED:
		EXPECT(disk.mark_count < MARKS_MAX);
		disk.marks[disk.mark_count++] = index;
		break;
	case DISK_FLUSH_NAMES:
		keep_mark(event->begun);
		disk.name_flushed |= disk.name_made && disk.name_at < event->begun;
		break;
	case DISK_FLUSH_ABOVE:
		disk.above_flushed |= disk.above_made && disk.above_at < event->begun;
		break;
	case DISK_MAPPED:
	case DISK_NOTE:
		break;
	}
}

/* ---- the data file */

/* How many of a sector's writes are in the state after event `moment`? */
static size_t writes_until(const struct sector *sector, size_t moment)
{
	size_t count = 0;

	while (count < sector->count && sector->writes[count] <= moment)
		count++;
	return count;
}

/* A unit gets the state of one moment: after any of the writes that touched it since it was
 * flushed. */
static void make_unit(const struct how *how, size_t first, size_t moment, uint64_t *random,
		      struct image *image)
{
	size_t last = first + how->unit / SECTOR, writes = 0;

	for (size_t i = first; i < last; i++)
		writes += disk.sectors[i].count;
	if (writes == 0)
		return;
	if (!how->in_order) {
		const struct sector *one;

		do
			one = &disk.sectors[first + test_random(random) % (last - first)];
		while (one->count == 0);
		moment = one->writes[test_random(random) % one->count];
		if (test_random(random) % 1000 >= how->permille)
			moment = 0;
	}
	for (size_t i = first; i < last; i++) {
		size_t count = moment ? writes_until(&disk.sectors[i], moment) : 0;

		for (size_t j = 0; j < count; j++)
			apply(disk.made, i, disk_event(disk.sectors[i].writes[j]));
		image->pending += disk.sectors[i].count > 0;
		image->arrived += count > 0;
	}
}

/* The writes that were not flushed, ascending; returns how many, of `room` at most. */
static size_t pending_writes(size_t *writes, size_t room)
{
	size_t count = 0;

	for (size_t event = 0; event < disk.next && count < room; event++) {
		const struct disk_event *write = disk_event(event);
		bool pending = false;

		if (write->kind != DISK_WRITE)
			continue;
		for (size_t i = (size_t)write->offset / SECTOR;
		     !pending && i * SECTOR < end_of(write); i++)
			for (size_t j = 0; !pending && j < disk.sectors[i].count; j++)
				pending = disk.sectors[i].writes[j] == event;
		if (pending)
			writes[count++] = event;
	}
	return count;
}

static void write_file(const char *directory, const char *name, const uint8_t *bytes, size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	EXPECT(snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path);
	file = fopen(path, "wb");
	EXPECT(file != NULL);
	EXPECT(fwrite(bytes, 1, size, file) == size);
	EXPECT(fclose(file) == 0);
}

static void make_data(const char *directory, uint64_t *random, struct image *image)
{
	const struct how *how = &hows[test_random(random) % (sizeof hows / sizeof *hows)];
	size_t writes[PENDING_MAX], count = pending_writes(writes, PENDING_MAX);
	size_t size = disk.flushed_size, moment = 0;

	image->how = how->name;
	memcpy(disk.made, disk.flushed, disk.sectors_used * SECTOR);
	if (count > 0)
		moment = writes[test_random(random) % count];
	/* The size may arrive without the data, and the data without the size. Mostly it is the
	 * last one. */
	for (size_t i = 0; i < count; i++)
		if (end_of(disk_event(writes[i])) > size && test_random(random) % 8 != 0)
			size = end_of(disk_event(writes[i]));
	/* Blocks that a file grew by are zeros, or what they held before. */
	for (size_t i = disk.flushed_size; test_random(random) % 4 == 0 && i < size; i += SECTOR)
		memset(disk.made + i, (int)test_random(random), SECTOR);
	for (size_t i = 0; i < disk.sectors_used; i += how->unit / SECTOR)
		make_unit(how, i, moment, random, image);
	write_file(directory, "data.mdb", disk.made, size);
}

/* ---- mapped files */

static const struct disk_event *choose_mapped(uint32_t which, uint64_t *random)
{
	const struct disk_event *chosen = NULL;
	unsigned seen = 0;

	for (size_t i = 0; i < disk.next; i++) {
		const struct disk_event *event = disk_event(i);

		if (event->kind == DISK_MAPPED && event->note == which &&
		    test_random(random) % ++seen == 0)
			chosen = event;
	}
	return chosen;
}

static void make_mapped(const char *directory, uint32_t which, uint64_t *random)
{
	const struct disk_event *from = choose_mapped(which, random),
				*other = choose_mapped(which, random);
	unsigned how = (unsigned)(test_random(random) % 5);
	uint8_t *bytes;
	size_t size;

	if (!from || how == 0)
		return; /* its name did not arrive */
	bytes = malloc(from->size);
	EXPECT(bytes != NULL);
	memcpy(bytes, from->data, from->size);
	size = how == 1 ? test_random(random) % (from->size / SECTOR + 1) * SECTOR : from->size;
	for (size_t i = 0; how > 2 && i + PAGE <= from->size; i += PAGE) {
		unsigned state = (unsigned)(test_random(random) % 4);

		if (state == 0)
			memset(bytes + i, 0, PAGE);
		else if (state == 1 && other->size == from->size)
			memcpy(bytes + i, other->data + i, PAGE);
	}
	write_file(directory, disk_mapped[which], bytes, size);
	free(bytes);
}

static void make_mark(const char *directory, uint64_t *random)
{
	const struct disk_event *event =
		disk_event(disk.marks[test_random(random) % disk.mark_count]);

	if (event->kind == DISK_MARKED)
		write_file(directory, "be-boot", event->data,
			   test_random(random) % (event->size + 1));
}

void image_make(const char *directory, size_t event, uint64_t *random, struct image *image)
{
	bool above, name;

	EXPECT(event >= disk.next);
	while (disk.next < event)
		follow(disk.next++);
	*image = (struct image){.event = event};
	if (access(directory, F_OK) == 0)
		test_remove(directory);
	above = disk.above_flushed || (disk.above_made && test_random(random) % 2);
	name = disk.name_flushed || (disk.name_made && test_random(random) % 2);
	image->has_environment = above && name;
	if (!above)
		return;
	EXPECT(mkdir(directory, 0700) == 0);
	if (name)
		make_data(directory, random, image);
	make_mark(directory, random);
	for (uint32_t i = 0; i < DISK_MAPPED_FILES; i++)
		make_mapped(directory, i, random);
}
