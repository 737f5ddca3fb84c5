/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file be-boot; boot.h says what for. It is written under another name and renamed, so that a
 * process that is killed does not leave half of it, which would be the id of no boot. What it holds
 * need not be flushed: after a loss of power, anything but the new boot's id does as well.
 */
#include "sharing/boot.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_FILE "be-boot"
#define MADE_FILE "be-boot.new"

/* Reads what a line holds, and closes. */
static int read_line(int fd, char line[BOOT_ID_SIZE])
{
	ssize_t got;
	int rc;

	do
		got = read(fd, line, BOOT_ID_SIZE - 1);
	while (got < 0 && errno == EINTR);
	rc = got < 0 ? errno : 0;
	close(fd);
	line[got < 0 ? 0 : got] = '\0';
	return rc;
}

enum be_status boot_id(char id[BOOT_ID_SIZE])
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	memset(id, 0, BOOT_ID_SIZE);
	rc = fd < 0 ? errno : read_line(fd, id);
	if (rc == 0 && id[0] == '\0')
		rc = ENODATA;
	if (rc != 0)
		return error_errno(
			BE_IO_ERROR, rc,
			"%s: cannot read it, which tells whether the machine has gone down", path);
	return BE_OK;
}

static enum be_status failed(const struct shared_directory *directory, int code)
{
	char path[SHARED_PATH_SIZE];

	return error_path(code, shared_file_path(directory, BOOT_FILE, path));
}

enum be_status boot_check(const struct shared_directory *directory, bool *marked)
{
	char noted[BOOT_ID_SIZE], id[BOOT_ID_SIZE];
	enum be_status status;
	int fd, rc;

	*marked = false;
	status = shared_file_open(directory, BOOT_FILE, SHARED_LOOK, 0, &fd);
	if (status == BE_NOT_FOUND) {
		error_clear();
		return BE_OK;
	}
	if (status != BE_OK)
		return status;
	rc = read_line(fd, noted);
	if (rc != 0)
		return failed(directory, rc);
	status = boot_id(id);
	if (status != BE_OK)
		return status;
	if (strcmp(noted, id) != 0)
		return error_set(BE_OTHER_BOOT,
				 "%s: it was used with process durability, and the machine has "
				 "gone down since: its "
				 "contents cannot be trusted. Restore a backup, or begin with a "
				 "new directory",
				 directory->path);
	*marked = true;
	return BE_OK;
}

static int write_text(int fd, const char *text)
{
	size_t size = strlen(text);
	ssize_t written;

	do
		written = write(fd, text, size);
	while (written < 0 && errno == EINTR);
	if (written < 0)
		return errno;
	return (size_t)written < size ? ENOSPC : 0;
}

enum be_status boot_mark(const struct shared_directory *directory, mode_t mode)
{
	char id[BOOT_ID_SIZE];
	enum be_status status = boot_id(id);
	int fd, rc;

	/* A process that was killed may have left it, or somebody planted it. */
	if (status == BE_OK && unlinkat(directory->fd, MADE_FILE, 0) < 0 && errno != ENOENT)
		status = failed(directory, errno);
	if (status == BE_OK)
		status = shared_file_open(directory, MADE_FILE, SHARED_NEW, mode, &fd);
	if (status != BE_OK)
		return status;
	rc = write_text(fd, id);
	close(fd);
	if (rc == 0 && renameat(directory->fd, MADE_FILE, directory->fd, BOOT_FILE) < 0)
		rc = errno;
	if (rc == 0)
		rc = shared_flush_names(directory->fd, ".");
	return rc == 0 ? BE_OK : failed(directory, rc);
}

enum be_status boot_unmark(const struct shared_directory *directory)
{
	int rc = unlinkat(directory->fd, BOOT_FILE, 0) < 0 ? errno
							   : shared_flush_names(directory->fd, ".");

	return rc == 0 ? BE_OK : failed(directory, rc);
}
