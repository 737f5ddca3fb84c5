/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that are replaced, and the log. An event takes its place in the log by an atomic
 * counter: a write before its system call, all others after theirs, so that whatever an event
 * stands for had begun when it was logged and what it promises was kept. The kernel is called by
 * number: asking the dynamic linker for the functions behind ours would not do in programs that a
 * sanitizer has laid hands on.
 */
/* The names without 64 are wanted, too: LMDB uses those. */
#undef _FILE_OFFSET_BITS
#include "disk.h"

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EVENTS_MAX ((size_t)1 << 16)
#define BYTES_MAX ((size_t)1 << 28)

const char *const disk_mapped[DISK_MAPPED_FILES] = {"be-owners", "be-group", "be-counts",
						    "lock.mdb"};

static struct log {
	atomic_bool on;
	atomic_size_t events;
	atomic_size_t bytes;
	char environment[PATH_MAX];
	struct disk_event event[EVENTS_MAX];
	_Alignas(16) uint8_t data[BYTES_MAX];
} * log_shared;

static bool quick, other_boot;

/* ---- the log */

static bool recording(void)
{
	return log_shared && atomic_load(&log_shared->on);
}

/* Aligned for whatever is noted. */
static uint8_t *take_bytes(size_t size)
{
	size_t at = atomic_fetch_add(&log_shared->bytes, (size + 15) / 16 * 16);

	EXPECT(at + size <= BYTES_MAX);
	return log_shared->data + at;
}

static size_t add_event(struct disk_event event)
{
	size_t index = atomic_fetch_add(&log_shared->events, 1);

	EXPECT(index < EVENTS_MAX);
	log_shared->event[index] = event;
	return index;
}

static void add_copy(enum disk_event_kind kind, uint32_t note, const void *data, size_t size)
{
	uint8_t *copy = take_bytes(size);

	if (size > 0)
		memcpy(copy, data, size);
	add_event((struct disk_event){.kind = kind, .note = note, .data = copy, .size = size});
}

void disk_record(const char *environment)
{
	if (!log_shared)
		log_shared = shared_make(sizeof *log_shared);
	atomic_store(&log_shared->events, 0);
	atomic_store(&log_shared->bytes, 0);
	EXPECT(snprintf(log_shared->environment, PATH_MAX, "%s", environment) < PATH_MAX);
	atomic_store(&log_shared->on, true);
}

void disk_record_end(void)
{
	atomic_store(&log_shared->on, false);
}

void disk_note(uint32_t note, const void *data, size_t size)
{
	add_copy(DISK_NOTE, note, data, size);
}

size_t disk_events(void)
{
	return atomic_load(&log_shared->events);
}

const struct disk_event *disk_event(size_t index)
{
	EXPECT(index < disk_events());
	return &log_shared->event[index];
}

void disk_be_quick(void)
{
	quick = true;
}

void disk_boot_anew(void)
{
	other_boot = true;
}

/* ---- which file */

static bool is_file(int fd, const char *beside)
{
	char path[PATH_MAX + 16];
	struct stat open_one, named;

	if (!recording())
		return false;
	snprintf(path, sizeof path, "%s/%s", log_shared->environment, beside);
	return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 &&
	       open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

static bool is_data(int fd)
{
	return is_file(fd, "data.mdb");
}

static void snapshot(uint32_t which)
{
	char path[PATH_MAX + 16];
	struct stat about;
	void *map;
	int fd;

	snprintf(path, sizeof path, "%s/%s", log_shared->environment, disk_mapped[which]);
	/* LMDB's locks on lock.mdb would go with a descriptor of it that is closed: it is left
	 * open. */
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	EXPECT(fstat(fd, &about) == 0);
	if (about.st_size > 0) {
		map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, fd, 0);
		EXPECT(map != MAP_FAILED);
		add_copy(DISK_MAPPED, which, map, (size_t)about.st_size);
		munmap(map, (size_t)about.st_size);
	}
}

void disk_snapshot(void)
{
	for (uint32_t i = 0; i < DISK_MAPPED_FILES; i++)
		snapshot(i);
}

/* ---- writing */

static size_t begin_write(uint64_t offset, const struct iovec *parts, int count)
{
	struct disk_event event = {.kind = DISK_WRITE, .offset = offset};
	uint8_t *copy;

	for (int i = 0; i < count; i++)
		event.size += parts[i].iov_len;
	event.data = copy = take_bytes(event.size);
	for (int i = 0; i < count; i++) {
		memcpy(copy, parts[i].iov_base, parts[i].iov_len);
		copy += parts[i].iov_len;
	}
	return add_event(event);
}

/* A write that is short would have to be modelled, and none is expected here. */
static void end_write(int fd, size_t index, ssize_t written)
{
	struct disk_event *event = &log_shared->event[index];
	int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);

	EXPECT(written == (ssize_t)event->size);
	event->returned = disk_events();
	if (flags & O_DSYNC)
		add_event((struct disk_event){.kind = DISK_DURABLE, .write = index});
}

static ssize_t write_at(int fd, const struct iovec *parts, int count, off_t offset)
{
	bool logged = is_data(fd);
	size_t index = logged ? begin_write((uint64_t)offset, parts, count) : 0;
	ssize_t written = syscall(SYS_pwritev, fd, parts, count, offset, 0L);

	if (logged)
		end_write(fd, index, written);
	return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	struct iovec part = {(void *)(uintptr_t)bytes, size};

	return write_at(fd, &part, 1, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
	return pwrite(fd, bytes, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	return write_at(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
	return write_at(fd, parts, count, offset);
}

/* LMDB seeks and then writes several pages at once. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
	bool logged = is_data(fd);
	size_t index = logged ? begin_write((uint64_t)lseek(fd, 0, SEEK_CUR), parts, count) : 0;
	ssize_t written = syscall(SYS_writev, fd, parts, count);

	if (logged)
		end_write(fd, index, written);
	return written;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	struct iovec part = {(void *)(uintptr_t)bytes, size};

	if (is_data(fd))
		return writev(fd, &part, 1);
	return syscall(SYS_write, fd, bytes, size);
}

static void refuse(int fd, const char *what)
{
	if (is_data(fd))
		test_fail(__FILE__, __LINE__, "%s of data.mdb, which is not modelled", what);
}

int ftruncate(int fd, off_t size)
{
	refuse(fd, "ftruncate()");
	return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int msync(void *map, size_t size, int flags)
{
	if (recording())
		test_fail(__FILE__, __LINE__, "msync(), which is not modelled");
	return (int)syscall(SYS_msync, map, size, flags);
}

/* ---- flushing */

static int flush(int fd, long number)
{
	size_t begun = recording() ? disk_events() : 0;
	int rc = quick ? 0 : (int)syscall(number, fd);

	EXPECT(rc == 0 || !recording());
	if (is_data(fd))
		add_event((struct disk_event){.kind = DISK_FLUSH, .begun = begun});
	else if (is_file(fd, "."))
		add_event((struct disk_event){.kind = DISK_FLUSH_NAMES, .begun = begun});
	else if (is_file(fd, ".."))
		add_event((struct disk_event){.kind = DISK_FLUSH_ABOVE, .begun = begun});
	return rc;
}

int fsync(int fd)
{
	return flush(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return flush(fd, SYS_fdatasync);
}

/* ---- making files */

static int open_other_boot_id(void)
{
	static const char id[] = "01234567-89ab-cdef-0123-456789abcdef\n";
	int fd = memfd_create("boot_id", MFD_CLOEXEC);

	EXPECT(fd >= 0 && write(fd, id, sizeof id - 1) == sizeof id - 1 &&
	       lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static int open_file(int at, const char *path, int flags, mode_t mode)
{
	int fd;

	if (other_boot && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
		return open_other_boot_id();
	if (quick)
		flags &= ~O_SYNC;
	fd = (int)syscall(SYS_openat, at, path, flags, mode);
	/* The library makes its files with O_EXCL, so that this is known for sure. */
	if (fd >= 0 && flags & O_CREAT && flags & O_EXCL && is_data(fd))
		add_event((struct disk_event){.kind = DISK_MADE});
	return fd;
}

static mode_t mode_of(int flags, va_list *arguments)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(*arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, &arguments);
	va_end(arguments);
	return open_file(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, &arguments);
	va_end(arguments);
	return open_file(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, &arguments);
	va_end(arguments);
	return open_file(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = mode_of(flags, &arguments);
	va_end(arguments);
	return open_file(at, path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
	int rc = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);

	if (rc == 0 && recording() && strcmp(path, log_shared->environment) == 0)
		add_event((struct disk_event){.kind = DISK_MADE_ABOVE});
	return rc;
}

/* Is this the name of that file of the environment, seen from a descriptor of its directory? */
static bool is_named(int at, const char *path, const char *name)
{
	return recording() && is_file(at, ".") && strcmp(path, name) == 0;
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	int rc = (int)syscall(SYS_renameat2, from_at, from, to_at, to, 0);
	char bytes[128];
	ssize_t size;
	int fd;

	if (rc < 0 || !is_named(to_at, to, "be-boot"))
		return rc;
	fd = openat(to_at, to, O_RDONLY | O_CLOEXEC);
	size = read(fd, bytes, sizeof bytes);
	EXPECT(size >= 0);
	close(fd);
	add_copy(DISK_MARKED, 0, bytes, (size_t)size);
	return rc;
}

int unlinkat(int at, const char *path, int flags)
{
	int rc = (int)syscall(SYS_unlinkat, at, path, flags);

	if (rc == 0 && is_named(at, path, "be-boot"))
		add_event((struct disk_event){.kind = DISK_UNMARKED});
	return rc;
}
