/* SPDX-License-Identifier: Apache-2.0 */
/* Zone files are links as often as not, and belong to root; what is in them is looked at elsewhere,
 * and not believed. Only a regular file is read. */
#include "base/zone_file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const places[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo",
				     "/usr/share/lib/zoneinfo", "/etc/zoneinfo"};

/* -1 with errno. */
static int open_in(const char *place, const char *name)
{
	char path[PATH_MAX];
	struct stat stat;
	int fd;

	if (snprintf(path, sizeof path, "%s/%s", place, name) >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))) {
		close(fd);
		errno = ENOENT;
		return -1;
	}
	return fd;
}

static int open_zone(const char *name)
{
	const char *directory = secure_getenv("TZDIR");
	int fd = -1;

	if (directory && *directory)
		return open_in(directory, name);
	for (size_t i = 0; fd < 0 && i < sizeof places / sizeof *places; i++)
		fd = open_in(places[i], name);
	return fd;
}

enum be_status zone_file_read(const char *name, uint8_t *bytes, size_t *size)
{
	int fd = open_zone(name), saved;
	ssize_t got = 0;

	*size = 0;
	if (fd < 0)
		return error_set(BE_INVALID_ZONE,
				 "there is no file of a time zone \"%s\": UTC needs none, the "
				 "others come with the system's tzdata",
				 name);
	while (*size < ZONE_FILE_MAX &&
	       ((got = read(fd, bytes + *size, ZONE_FILE_MAX - *size)) > 0 ||
		(got < 0 && errno == EINTR)))
		if (got > 0)
			*size += (size_t)got;
	saved = errno;
	close(fd);
	if (got < 0)
		return error_set(BE_INVALID_ZONE, "the file of the time zone \"%s\": %s", name,
				 strerrordesc_np(saved));
	if (*size == ZONE_FILE_MAX)
		return error_set(BE_INVALID_ZONE, "the file of the time zone \"%s\" is too large",
				 name);
	return BE_OK;
}
