/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program does to the disk. The calls by which it writes, flushes and makes files are
 * replaced by ours, also for LMDB and the library, since the dynamic linker looks into the program
 * first. They do what they always do, and log it in memory shared with children; image.h makes of
 * the log what is left when the power fails.
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_event_kind {
	DISK_WRITE = 1,   /* began; data.mdb only, as are the next two */
	DISK_DURABLE,     /* a write to a descriptor with O_DSYNC has returned */
	DISK_FLUSH,       /* fdatasync() or fsync() has returned */
	DISK_MADE,        /* the name data.mdb was put into the directory */
	DISK_MADE_ABOVE,  /* the name of the directory was put into the one above it */
	DISK_MARKED,      /* the name be-boot was put there, or replaced */
	DISK_UNMARKED,    /* and removed */
	DISK_FLUSH_NAMES, /* fsync() of the directory has returned */
	DISK_FLUSH_ABOVE, /* fsync() of the one above it has returned */
	DISK_MAPPED,      /* what a mapped file held: `note` says which */
	DISK_NOTE,        /* disk_note() */
};

struct disk_event {
	enum disk_event_kind kind;
	uint32_t note;       /* NOTE; MAPPED: index into disk_mapped */
	size_t write;        /* DURABLE: the event of the write */
	size_t begun;        /* FLUSH and its kin: events logged when it began */
	size_t returned;     /* WRITE: events logged when it returned; 0: it did not */
	uint64_t offset;     /* WRITE */
	size_t size;         /* WRITE, MAPPED, MARKED, NOTE */
	const uint8_t *data; /* the same */
};

/* The files beside data.mdb, which are mapped rather than written. */
#define DISK_MAPPED_FILES 4
extern const char *const disk_mapped[DISK_MAPPED_FILES];

/* From now on what this process and its children do with `environment`, which must not exist yet,
 * is logged.
 * */
void disk_record(const char *environment);
void disk_record_end(void);

/* Logs a note to be found among the events. */
void disk_note(uint32_t note, const void *data, size_t size);

/* Logs what the mapped files hold now. */
void disk_snapshot(void);

size_t disk_events(void);
const struct disk_event *disk_event(size_t index);

/* In a process that looks at what is left: it flushes nothing, which saves time, */
void disk_be_quick(void);
/* and its machine was booted under another id. */
void disk_boot_anew(void);

#endif
