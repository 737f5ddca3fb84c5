/* SPDX-License-Identifier: Apache-2.0 */
/* The text behind be_last_error(): per thread, set where a failure is understood best. */
#ifndef ERROR_H
#define ERROR_H

#include <budget_enforcer.h>
#include <errno.h>

/* Forgets the text; every public call begins with it. */
void error_clear(void);

/* Sets the text for people and is `status`: `return error_set(BE_DAMAGED, "%s: ...", path);`. A
 * macro, so that compilers and analysers see which status it is, and so that it is not BE_OK. */
#define error_set(status, ...)                                                                     \
	__extension__({                                                                            \
		enum be_status status_ = (status);                                                 \
		error_write(__VA_ARGS__);                                                          \
		status_;                                                                           \
	})

/* The same for a failed system call: adds ": " and the meaning of `code`, an errno. */
#define error_errno(status, code, ...)                                                             \
	__extension__({                                                                            \
		enum be_status status_ = (status);                                                 \
		error_write_errno(code, __VA_ARGS__);                                              \
		status_;                                                                           \
	})

/* What an errno means, in `room` or elsewhere. strerror_r() returns text with glibc, and a
 * number with other C libraries. */
const char *error_meaning(int code, char *room, size_t size);

/* For these two, and error_path() below. */
void error_write(const char *format, ...) __attribute__((format(printf, 1, 2)));
void error_write_errno(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
void error_write_path(int code, const char *path);

/* Puts `path` before the text if it does not begin with it: for failures found where no path is
 * known. */
void error_name_path(const char *path);

/* The status for an errno: BE_PERMISSION, BE_NOT_FOUND, BE_DISK_FULL, BE_NO_MEMORY or BE_IO_ERROR.
 * Inline for the same reason, as is the next one. */
static inline enum be_status error_from_errno(int code)
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

/* Status and text for a failed call that names the file or directory `path`, to be read, written or
 * made. For EACCES the text says which permission on what is missing. */
static inline enum be_status error_path(int code, const char *path)
{
	error_write_path(code, path);
	return error_from_errno(code);
}

/* For refusals, which come often and whose text few ask for: `compose` is called with a copy of the
 * `size` bytes at `data`, to set the text, when be_last_error() is. At most ERROR_LATER_SIZE. */
#define ERROR_LATER_SIZE 512
void error_set_later(void (*compose)(const void *data), const void *data, size_t size);

/* Keep the text while the caller's code runs, which may call the library: it is the text of our
 * call. */
#define ERROR_TEXT_SIZE 640
void error_save(char saved[ERROR_TEXT_SIZE]);
void error_restore(const char *saved);

/* Sets the status's own sentence if no text was set since error_clear(); returns `status`. */
enum be_status error_default(enum be_status status);

#endif
