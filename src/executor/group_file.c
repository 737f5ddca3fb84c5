/* SPDX-License-Identifier: Apache-2.0 */
#include "executor/group_file.h"

#include "base/error.h"
#include "base/futex.h"
#include "executor/group.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GROUP_FILE "be-group"
#define GROUP_MAGIC UINT64_C(0x657072672d2d6562) /* "be--grpe" */
/* How long one sleeper alone trusts that somebody will lead. */
#define WAIT_NS 5000000

uint64_t group_layout(void)
{
	return GROUP_MAGIC;
}

/* `keep`: be-owners is the same as when the file was made, and so are the host that its owners are
 * of, and the newest txn on the disk. */
static enum be_status initialise(struct group_file *file, bool keep)
{
	uint64_t flushed = atomic_load(&file->flushed);
	struct remote_host host;
	enum be_status status;

	keep = keep && file->magic == GROUP_MAGIC;
	memcpy(&host, &file->host, sizeof host);
	file->magic = 0;
	/* The slots need not be clean. */
	memset((char *)file + sizeof file->magic, 0,
	       offsetof(struct group_file, slots) - sizeof file->magic);
	status = keep ? BE_OK : remote_host_make(&file->host);
	if (keep) {
		atomic_store(&file->flushed, flushed);
		memcpy(&file->host, &host, sizeof host);
	}
	if (status == BE_OK)
		file->magic = GROUP_MAGIC;
	return status;
}

/* `reset`: this process is alone, and makes of it what it must be. */
static enum be_status map_file(const struct shared_directory *directory, int fd, bool reset,
			       bool keep, struct group_file **file)
{
	char path[SHARED_PATH_SIZE];
	enum be_status status = BE_OK;
	void *map;

	if (reset)
		status = shared_file_allocate(directory, GROUP_FILE, fd, sizeof **file);
	if (status == BE_OK)
		status = shared_file_map(directory, GROUP_FILE, fd, sizeof **file, true, &map);
	if (status != BE_OK)
		return status;
	*file = map;
	if (reset)
		status = initialise(*file, keep);
	if (status == BE_OK && (*file)->magic == GROUP_MAGIC)
		return BE_OK;
	munmap(map, sizeof **file);
	if (status != BE_OK)
		return status;
	return error_set(BE_DAMAGED, "%s is damaged: stop the pool and remove that file",
			 shared_file_path(directory, GROUP_FILE, path));
}

static enum be_status open_file(const struct shared_directory *directory, mode_t mode, bool reset,
				int *fd)
{
	enum be_status status = shared_file_open(directory, GROUP_FILE, SHARED_MAKE, mode, fd);

	if (status != BE_OK || !reset || shared_file_begins(*fd, GROUP_MAGIC))
		return status;
	close(*fd);
	unlinkat(directory->fd, GROUP_FILE, 0);
	return shared_file_open(directory, GROUP_FILE, SHARED_NEW, mode, fd);
}

enum be_status group_file_open(const struct shared_directory *directory, mode_t mode, bool reset,
			       bool keep, struct group_file **file)
{
	int fd;
	enum be_status status = open_file(directory, mode, reset, &fd);

	if (status != BE_OK)
		return status;
	status = map_file(directory, fd, reset, keep, file);
	close(fd);
	return status;
}

enum be_status group_file_make(struct group_file **file)
{
	void *map = mmap(NULL, sizeof **file, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	enum be_status status;

	if (map == MAP_FAILED)
		return error_set(BE_NO_MEMORY, "out of memory");
	*file = map;
	status = initialise(*file, false);
	if (status != BE_OK)
		munmap(map, sizeof **file);
	return status;
}

void group_file_close(struct group_file *file)
{
	munmap(file, sizeof *file);
}

uint64_t group_peek_flushed(const struct shared_directory *directory)
{
	uint64_t flushed = 0;
	int fd;

	if (shared_file_open(directory, GROUP_FILE, SHARED_LOOK, 0, &fd) != BE_OK) {
		error_clear();
		return 0;
	}
	if (!shared_file_begins(fd, GROUP_MAGIC) ||
	    pread(fd, &flushed, sizeof flushed, offsetof(struct group_file, flushed)) !=
		    (ssize_t)sizeof flushed)
		flushed = 0;
	close(fd);
	return flushed;
}

bool group_peek_host(const struct shared_directory *directory, uint8_t id[OWNER_HOST_SIZE])
{
	off_t at = offsetof(struct group_file, host) + offsetof(struct remote_host, id);
	bool found;
	int fd;

	if (shared_file_open(directory, GROUP_FILE, SHARED_LOOK, 0, &fd) != BE_OK) {
		error_clear();
		return false;
	}
	found = shared_file_begins(fd, GROUP_MAGIC) &&
		pread(fd, id, OWNER_HOST_SIZE, at) == OWNER_HOST_SIZE;
	close(fd);
	return found;
}

uint32_t group_peek_waiting(const struct shared_directory *directory)
{
	struct row rows[ROWS];
	uint32_t count = 0;
	int fd;

	if (shared_file_open(directory, GROUP_FILE, SHARED_LOOK, 0, &fd) != BE_OK) {
		error_clear();
		return 0;
	}
	if (shared_file_begins(fd, GROUP_MAGIC) &&
	    pread(fd, rows, sizeof rows, offsetof(struct group_file, rows)) == (ssize_t)sizeof rows)
		for (size_t i = 0; i < ROWS; i++)
			count += (uint32_t)__builtin_popcountll(rows[i].line);
	close(fd);
	return count;
}

uint32_t count_posted(struct group_file *file)
{
	uint32_t count = 0;

	for (size_t i = 0; i < ROWS; i++)
		count += (uint32_t)__builtin_popcountll(file->rows[i].posted);
	return count;
}

bool is_any_posted(struct group_file *file)
{
	uint64_t posted = 0;

	for (size_t i = 0; i < ROWS; i++)
		posted |= file->rows[i].posted;
	return posted != 0;
}

int64_t look_at(uint32_t waiting, uint32_t salt)
{
	int64_t now_ns = monotonic_ns();
	uint64_t mixed = ((uint64_t)now_ns ^ salt) * UINT64_C(0x9e3779b97f4a7c15);

	return now_ns + WAIT_NS * (int64_t)(1 + (mixed >> 32) % (waiting > 0 ? waiting : 1));
}

static void wake_row(struct row *row, uint32_t bits)
{
	if (bits == 0)
		return;
	atomic_fetch_add(&row->turn, 1);
	futex_wake(&row->turn, bits);
}

void wake_rows(struct group_file *file, const uint32_t bits[ROWS])
{
	for (size_t i = 0; i < ROWS; i++)
		wake_row(&file->rows[i], bits[i]);
}

void pass_on(struct group_file *file)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint64_t posted = atomic_load(&file->rows[i].posted);

		if (posted != 0) {
			wake_row(&file->rows[i], wake_bit((uint32_t)__builtin_ctzll(posted)));
			return;
		}
	}
}
