/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads all there is. Returns NULL with errno set, EFBIG when there is too much. */
static char *read_all(int fd, size_t *size)
{
	size_t capacity = (size_t)1 << 20;
	char *text = malloc(capacity);

	*size = 0;
	while (text) {
		ssize_t got = read(fd, text + *size, capacity - *size);

		if (got == 0)
			return text;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		*size += (size_t)got;
		if (*size == capacity) {
			char *larger;

			if (capacity >= FILE_BYTES_MAX) {
				errno = EFBIG;
				break;
			}
			capacity *= 2;
			larger = realloc(text, capacity);
			if (!larger)
				break;
			text = larger;
		}
	}
	free(text);
	return NULL;
}

char *file_load(const char *path, size_t *size, struct file_problem *problem)
{
	bool standard_input = strcmp(path, "-") == 0;
	int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd >= 0 ? read_all(fd, size) : NULL;

	*problem = (struct file_problem){0};
	if (!text)
		snprintf(problem->text, sizeof problem->text, "%s%s", strerror(errno),
			 errno == EFBIG ? "; 512 MiB at most" : "");
	if (fd >= 0 && !standard_input)
		close(fd);
	return text;
}
