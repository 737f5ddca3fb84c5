/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file be-counts; counts.h says what for. It is an array of tallies. Tally 0 belongs to the
 * environment, and tally N to the envelope that was given the number N when it was made: numbers
 * ascend and are never used again, so a tally belongs to one envelope for ever, and a tally that
 * was never written is 0. The numbers are ids less what ids have leapt over when the environment
 * was restored, so that the file is only as long as it has tallies. Words are in the machine's own
 * order and are only added to.
 *
 * The map is as long as the file can become, far beyond its end. A page behind the end, or one for
 * which the disk has no room, would be SIGBUS; so before this process first touches a chunk of the
 * file it has the system allocate it, and remembers that. The file is never cut. A process that has
 * not allocated a chunk reads it by pread(), a page at a time.
 *
 * After opening, everything is changed by atomic operations, and no lock is taken.
 */
#include "sharing/counts.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNTS_FILE "be-counts"
#define COUNTS_MAGIC UINT64_C(0x31746e632d2d6562) /* "be--cnt1" */
#define CHUNK_SIZE 65536U
/* Address space only: tallies for 134 million envelopes. Where a process may not have so much, it
 * counts fewer. */
#define MAP_SIZE_MAX ((size_t)1 << 32)
#define CHUNKS_MAX (MAP_SIZE_MAX / CHUNK_SIZE)

_Static_assert(sizeof(struct tally) == 32 && CHUNK_SIZE % sizeof(struct tally) == 0,
	       "layout of be-counts");

struct counts {
	int fd;
	size_t map_size;                             /* 0: only read */
	struct tally *tallies;                       /* the map */
	_Atomic uint64_t allocated[CHUNKS_MAX / 64]; /* chunks, a bit each */
};

/* ---- chunks */

static size_t chunk_of(uint64_t id)
{
	return (size_t)id * sizeof(struct tally) / CHUNK_SIZE;
}

static bool is_allocated(const struct counts *counts, size_t chunk)
{
	return atomic_load_explicit(&counts->allocated[chunk / 64], memory_order_relaxed) >>
		       chunk % 64 &
	       1;
}

/* Makes a tally safe to touch. */
static bool allocate(struct counts *counts, uint64_t id)
{
	size_t chunk;
	int rc;

	if (id >= counts->map_size / sizeof(struct tally))
		return false;
	chunk = chunk_of(id);
	if (is_allocated(counts, chunk))
		return true;
	do
		rc = posix_fallocate(counts->fd, (off_t)(chunk * CHUNK_SIZE), CHUNK_SIZE);
	while (rc == EINTR);
	if (rc != 0)
		return false;
	atomic_fetch_or_explicit(&counts->allocated[chunk / 64], UINT64_C(1) << chunk % 64,
				 memory_order_relaxed);
	return true;
}

/* ---- opening */

static struct counts *open_file(const struct shared_directory *directory, enum shared_access access,
				mode_t mode, struct stat *about)
{
	struct counts *made = calloc(1, sizeof *made);

	if (!made)
		return NULL;
	if (shared_file_open(directory, COUNTS_FILE, access, mode, &made->fd) == BE_OK &&
	    fstat(made->fd, about) == 0)
		return made;
	error_clear();
	counts_close(made);
	return NULL;
}

static bool map_file(struct counts *counts)
{
	for (size_t size = MAP_SIZE_MAX; size >= CHUNK_SIZE; size /= 16) {
		void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
				 counts->fd, 0);

		if (map != MAP_FAILED) {
			counts->tallies = map;
			counts->map_size = size;
			return true;
		}
	}
	return false;
}

/* Reads zeros where nothing is. */
static void read_page(const struct counts *counts, uint64_t number, struct counts_page *page)
{
	memset(page->tallies, 0, sizeof page->tallies);
	page->number = number + 1;
	if (number <= INT64_MAX / sizeof page->tallies &&
	    pread(counts->fd, page->tallies, sizeof page->tallies,
		  (off_t)(number * sizeof page->tallies)) < 0)
		memset(page->tallies, 0, sizeof page->tallies);
}

/* A file that is being made, or whose maker was killed, has no magic yet. */
static bool is_ours(const struct counts *counts, off_t size)
{
	struct counts_page page;
	const struct tally *first = &page.tallies[0];

	read_page(counts, 0, &page);
	return size == 0 || first->magic == COUNTS_MAGIC ||
	       (size >= (off_t)sizeof *first && first->magic == 0 && first->no_envelope == 0);
}

struct counts *counts_open(const struct shared_directory *directory, mode_t mode)
{
	struct stat about;
	struct counts *made = open_file(directory, SHARED_MAKE, mode, &about);

	if (!made)
		return NULL;
	if (is_ours(made, about.st_size) && map_file(made) && allocate(made, 0)) {
		made->tallies[0].magic = COUNTS_MAGIC;
		return made;
	}
	counts_close(made);
	return NULL;
}

struct counts *counts_open_read_only(const struct shared_directory *directory)
{
	struct stat about;
	struct counts *made = open_file(directory, SHARED_LOOK, 0, &about);

	if (made && !is_ours(made, about.st_size)) {
		counts_close(made);
		return NULL;
	}
	return made;
}

void counts_close(struct counts *counts)
{
	if (!counts)
		return;
	if (counts->tallies)
		munmap(counts->tallies, counts->map_size);
	if (counts->fd >= 0)
		close(counts->fd);
	free(counts);
}

void counts_remove(const struct shared_directory *directory)
{
	(void)unlinkat(directory->fd, COUNTS_FILE, 0);
}

/* ---- counting and reading */

void counts_refusal(struct counts *counts, enum be_status status, uint64_t tally)
{
	uint64_t id = status == BE_NO_ENVELOPE ? 0 : tally;
	_Atomic uint64_t *count;

	if (status != BE_EXCEEDS_BUDGET && status != BE_SUSPENDED && status != BE_NO_ENVELOPE)
		return;
	if (!counts || !allocate(counts, id))
		return;
	if (status == BE_NO_ENVELOPE)
		count = &counts->tallies[0].no_envelope;
	else if (status == BE_SUSPENDED)
		count = &counts->tallies[id].suspended;
	else
		count = &counts->tallies[id].exceeds_budget;
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static const struct tally *find_tally(const struct counts *counts, uint64_t id,
				      struct counts_page *page)
{
	if (id < counts->map_size / sizeof(struct tally) && is_allocated(counts, chunk_of(id)))
		return &counts->tallies[id];
	if (page->number != id / COUNTS_PAGE + 1)
		read_page(counts, id / COUNTS_PAGE, page);
	return &page->tallies[id % COUNTS_PAGE];
}

void counts_show(const struct counts *counts, struct counts_page *page, uint64_t tally,
		 struct be_envelope *envelope)
{
	const struct tally *found;

	if (!counts)
		return;
	found = find_tally(counts, tally, page);
	envelope->refused_exceeds_budget =
		atomic_load_explicit(&found->exceeds_budget, memory_order_relaxed);
	envelope->refused_suspended = atomic_load_explicit(&found->suspended, memory_order_relaxed);
}

uint64_t counts_no_envelope(const struct counts *counts)
{
	struct counts_page page = {.number = 0};

	if (!counts)
		return 0;
	return atomic_load_explicit(&find_tally(counts, 0, &page)->no_envelope,
				    memory_order_relaxed);
}
