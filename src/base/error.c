/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-thread text behind be_last_error(). The buffer is thread-local and of fixed size, so that
 * failing never allocates. Texts are for people: they name the file, the errno and what to do.
 */
#include "base/error.h"

#include "base/thread_local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char text[ERROR_TEXT_SIZE];
/* A text that was not asked for yet: the function that makes it, and what it makes it of. */
static _Thread_local struct {
	void (*compose)(const void *data); /* NULL: the text is there */
	_Alignas(8) unsigned char data[ERROR_LATER_SIZE];
} later;
/* Apart from the text, and in memory that every thread has from its start, so that clearing it on
 * the hot path is one store. A program that loads the library late has little room there: enough
 * for a byte, but not for the text. */
static THREAD_LOCAL_FAST bool has_text;

void error_clear(void)
{
	has_text = false;
}

void error_write(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	later.compose = NULL;
	has_text = true;
}

const char *error_meaning(int code, char *room, size_t size)
{
#ifdef __GLIBC__
	return strerror_r(code, room, size);
#else
	return strerror_r(code, room, size) == 0 ? room : "an error that has no name";
#endif
}

void error_write_errno(int code, const char *format, ...)
{
	va_list arguments;
	char meaning[96];
	size_t used;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	later.compose = NULL;
	has_text = true;
	used = strlen(text);
	snprintf(text + used, sizeof text - used, ": %s",
		 error_meaning(code, meaning, sizeof meaning));
}

void error_name_path(const char *path)
{
	char rest[512]; /* texts are shorter, but for their paths */

	if (!has_text || strncmp(be_last_error(), path, strlen(path)) == 0)
		return;
	memcpy(rest, text, sizeof rest - 1);
	rest[sizeof rest - 1] = '\0';
	snprintf(text, sizeof text, "%s: %s", path, rest);
}

static bool may(const char *path, int access_mode)
{
	return faccessat(AT_FDCWD, path, access_mode, AT_EACCESS) == 0;
}

/* The first directory on the way to `path` that may not be searched. False: there is none, or the
 * path is longer than any file's can be. */
static bool find_barrier(const char *path, char barrier[PATH_MAX])
{
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		if (slash - path >= PATH_MAX)
			return false;
		memcpy(barrier, path, (size_t)(slash - path));
		barrier[slash - path] = '\0';
		if (!may(barrier, X_OK))
			return may(barrier, F_OK);
	}
	return false;
}

void error_write_path(int code, const char *path)
{
	char barrier[PATH_MAX];

	if (code != EACCES || *path == '\0' || may(path, R_OK | W_OK))
		error_write_errno(code, "%s", path);
	else if (find_barrier(path, barrier))
		error_write("%s: search (x) permission on the directory is missing", barrier);
	else if (!may(path, F_OK))
		error_write("%s: it has to be made, and write permission on the directory above it "
			    "is missing",
			    path);
	else
		error_write("%s: %s permission on it is missing", path,
			    may(path, R_OK) ? "write" : "read");
}

enum be_status error_default(enum be_status status)
{
	if (status != BE_OK && !has_text)
		error_set(status, "%s", be_status_text(status));
	return status;
}

void error_save(char saved[ERROR_TEXT_SIZE])
{
	strcpy(saved, be_last_error());
}

void error_restore(const char *saved)
{
	strcpy(text, saved);
	later.compose = NULL;
	has_text = text[0] != '\0';
}

void error_set_later(void (*compose)(const void *data), const void *data, size_t size)
{
	memcpy(later.data, data, size);
	later.compose = compose;
	has_text = true;
}

const char *be_last_error(void)
{
	if (has_text && later.compose)
		later.compose(later.data);
	return has_text ? text : "";
}
