/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files in memory. */
#ifndef FILE_H
#define FILE_H

#include <stddef.h>

/* The largest that is read, in bytes: a trace of some ten million requests. */
#define FILE_BYTES_MAX ((size_t)512 << 20)

/* What is wrong with a file. `line` is 0 when it is no single line's fault. */
struct file_problem {
	size_t line;
	char text[256];
};

/* Reads the file `path`, to be given back with free(); "-" is standard input. NULL, and *problem
 * says why. */
char *file_load(const char *path, size_t *size, struct file_problem *problem);

#endif
