/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The per-thread text behind be_last_error(). The buffer is thread-local and of fixed size, so that
 * failing never allocates. Texts are for people: they name the file, the errno and what to do.
 */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[ERROR_TEXT_SIZE];

void error_clear(void)
{
	text[0] = '\0';
}

enum be_status error_set(enum be_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return status;
}

enum be_status error_errno(enum be_status status, int code, const char *format, ...)
{
	va_list arguments;
	char meaning[96];
	size_t used;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	used = strlen(text);
	snprintf(text + used, sizeof text - used, ": %s", strerror_r(code, meaning, sizeof meaning));
	return status;
}

void error_name_path(const char *path)
{
	char rest[512]; /* texts are shorter, but for their paths */

	if (text[0] == '\0' || strncmp(text, path, strlen(path)) == 0)
		return;
	memcpy(rest, text, sizeof rest - 1);
	rest[sizeof rest - 1] = '\0';
	snprintf(text, sizeof text, "%s: %s", path, rest);
}

enum be_status error_from_errno(int code)
{
	switch (code) {
	case EACCES:
	case EPERM:
	case EROFS:
		return BE_PERMISSION;
	case ENOENT:
	case ENOTDIR:
		return BE_NOT_FOUND;
	case ENOSPC:
	case EDQUOT:
		return BE_DISK_FULL;
	case ENOMEM:
		return BE_NO_MEMORY;
	default:
		return BE_IO_ERROR;
	}
}

enum be_status error_default(enum be_status status)
{
	if (status != BE_OK && text[0] == '\0')
		error_set(status, "%s", be_status_text(status));
	return status;
}

void error_save(char saved[ERROR_TEXT_SIZE])
{
	strcpy(saved, text);
}

void error_restore(const char *saved)
{
	strcpy(text, saved);
}

const char *be_last_error(void)
{
	return text;
}
