/* SPDX-License-Identifier: Apache-2.0 */
/* The text behind be_last_error(): per thread, set where a failure is understood best. */
#ifndef ERROR_H
#define ERROR_H

#include <budget_enforcer.h>

/* Forgets the text; every public call begins with it. */
void error_clear(void);

/* Sets the text for people and returns `status`: `return error_set(BE_DAMAGED, "%s: ...", path);` */
enum be_status error_set(enum be_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same for a failed system call: adds ": " and the meaning of `code`, an errno. */
enum be_status error_errno(enum be_status status, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts `path` before the text if it does not begin with it: for failures found where no path is known. */
void error_name_path(const char *path);

/* The status for an errno: BE_PERMISSION, BE_NOT_FOUND, BE_DISK_FULL, BE_NO_MEMORY or BE_IO_ERROR. */
enum be_status error_from_errno(int code);

/* Status and text for a failed call that names the file or directory `path`, to be read, written or made. For
 * EACCES the text says which permission on what is missing. */
enum be_status error_path(int code, const char *path);

/* Keep the text while the caller's code runs, which may call the library: it is the text of our call. */
#define ERROR_TEXT_SIZE 640
void error_save(char saved[ERROR_TEXT_SIZE]);
void error_restore(const char *saved);

/* Sets the status's own sentence if no text was set since error_clear(); returns `status`. */
enum be_status error_default(enum be_status status);

#endif
