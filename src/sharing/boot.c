/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file be-boot; boot.h says what for. It is written under another name and renamed, so that a
 * process that is killed leaves no half of it, which would be of no boot. What it holds need not be
 * flushed, since after a loss of power anything but the new boot's id is as good.
 */
#include "sharing/boot.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_line(const char *path, char line[BOOT_ID_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;
	int rc = 0;

	if (fd < 0)
		return errno;
	do
		got = read(fd, line, BOOT_ID_SIZE - 1);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		rc = errno;
	close(fd);
	line[got < 0 ? 0 : got] = '\0';
	return rc;
}

enum be_status boot_id(char id[BOOT_ID_SIZE])
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	int rc;

	memset(id, 0, BOOT_ID_SIZE);
	rc = read_line(path, id);
	if (rc == 0 && id[0] == '\0')
		rc = ENODATA;
	if (rc != 0)
		return error_errno(
			BE_IO_ERROR, rc,
			"%s: cannot read it, which tells whether the machine has gone down", path);
	return BE_OK;
}

static enum be_status name_file(const char *directory, const char *name, char path[PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX)
		return error_errno(BE_INVALID_ARGUMENT, ENAMETOOLONG, "%s", directory);
	return BE_OK;
}

static int sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

enum be_status boot_check(const char *directory, bool *marked)
{
	char path[PATH_MAX], noted[BOOT_ID_SIZE], id[BOOT_ID_SIZE];
	enum be_status status = name_file(directory, "be-boot", path);
	int rc;

	*marked = false;
	if (status != BE_OK)
		return status;
	rc = read_line(path, noted);
	if (rc == ENOENT)
		return BE_OK;
	if (rc != 0)
		return error_path(rc, path);
	status = boot_id(id);
	if (status != BE_OK)
		return status;
	if (strcmp(noted, id) != 0)
		return error_set(BE_OTHER_BOOT,
				 "%s: it was used with process durability, and the machine has "
				 "gone down since: its "
				 "contents cannot be trusted. Restore a backup, or begin with a "
				 "new directory",
				 directory);
	*marked = true;
	return BE_OK;
}

static int write_file(const char *path, mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	size_t size = strlen(text);
	int rc = 0;
	ssize_t written;

	if (fd < 0)
		return errno;
	do
		written = write(fd, text, size);
	while (written < 0 && errno == EINTR);
	if (written < 0 || fchmod(fd, mode) < 0)
		rc = errno;
	else if ((size_t)written < size)
		rc = ENOSPC;
	close(fd);
	return rc;
}

enum be_status boot_mark(const char *directory, mode_t mode)
{
	char path[PATH_MAX], made[PATH_MAX], id[BOOT_ID_SIZE];
	enum be_status status = name_file(directory, "be-boot.new", made);
	int rc;

	if (status == BE_OK)
		status = name_file(directory, "be-boot", path);
	if (status == BE_OK)
		status = boot_id(id);
	if (status != BE_OK)
		return status;
	rc = write_file(made, mode, id);
	if (rc == 0 && rename(made, path) < 0)
		rc = errno;
	if (rc == 0)
		rc = sync_directory(directory);
	if (rc != 0)
		return error_path(rc, path);
	return BE_OK;
}

enum be_status boot_unmark(const char *directory)
{
	char path[PATH_MAX];
	enum be_status status = name_file(directory, "be-boot", path);
	int rc;

	if (status != BE_OK)
		return status;
	rc = unlink(path) < 0 ? errno : sync_directory(directory);
	if (rc != 0)
		return error_path(rc, path);
	return BE_OK;
}
