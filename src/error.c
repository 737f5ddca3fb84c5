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
/* Apart from the text, and in the memory that every thread has from its start, so that clearing it on the hot path
 * is one store. Programs that load the library late have room for little there: a byte, but not the text. */
static _Thread_local bool has_text __attribute__((tls_model("initial-exec")));

void error_clear(void)
{
	has_text = false;
}

enum be_status error_set(enum be_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	has_text = true;
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
	has_text = true;
	used = strlen(text);
	snprintf(text + used, sizeof text - used, ": %s", strerror_r(code, meaning, sizeof meaning));
	return status;
}

void error_name_path(const char *path)
{
	char rest[512]; /* texts are shorter, but for their paths */

	if (!has_text || strncmp(text, path, strlen(path)) == 0)
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
	has_text = text[0] != '\0';
}

const char *be_last_error(void)
{
	return has_text ? text : "";
}
