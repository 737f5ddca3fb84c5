/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file has no name before it is whole and flushed, so that a process that is killed meanwhile
 * leaves nothing; and it gets its name by a link, which writes over nothing. Only then are lines
 * removed, and none that is not in it. Who is killed between the two has the file and the lines;
 * the next archive, under another name, has them again, under the same ids.
 */
#include "archive.h"

#include "csv.h"
#include "fields.h"
#include "moment.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct archiving {
	FILE *file;
	int64_t before_ns, now_ns;
	uint64_t below_id, count;
	bool has_failed; /* errno says why */
};

static __attribute__((format(printf, 1, 2))) char *sentence(const char *format, ...)
{
	va_list arguments;
	char *text;
	int size;

	va_start(arguments, format);
	size = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (size < 0)
		tool_out_of_memory();
	return text;
}

static bool add_line(void *context, const struct be_transaction *line)
{
	struct archiving *archiving = context;
	struct transaction_row row = {.transaction = *line};
	char *also, *labels;

	if (line->at_ns >= archiving->before_ns)
		return false;
	row.also = also = field_make_also(line->also, line->also_count);
	row.labels = labels = field_make_labels(line->labels, line->label_count);
	csv_put_row(archiving->file, &transaction_row_fields, &row, archiving->now_ns);
	free(also);
	free(labels);
	archiving->below_id = line->id + 1;
	archiving->count++;
	archiving->has_failed = ferror(archiving->file) != 0;
	return !archiving->has_failed;
}

static bool flush_directory(const char *path)
{
	char *copy = strdup(path);
	int fd;
	bool is_done;

	if (!copy)
		tool_out_of_memory();
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	is_done = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return is_done;
}

/* Makes a file without a name beside where it will have one. */
static FILE *make_file(const char *path)
{
	char *copy = strdup(path);
	FILE *file = NULL;
	int fd;

	if (!copy)
		tool_out_of_memory();
	fd = open(dirname(copy), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	free(copy);
	if (fd >= 0)
		file = fdopen(fd, "w");
	if (fd >= 0 && !file)
		close(fd);
	return file;
}

/* Flushes it, and gives it its name. */
static bool name_file(FILE *file, const char *path)
{
	char opened[64];

	if (fflush(file) != 0 || fsync(fileno(file)) != 0)
		return false;
	snprintf(opened, sizeof opened, "/proc/self/fd/%d", fileno(file));
	return linkat(AT_FDCWD, opened, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 &&
	       flush_directory(path);
}

static char *refuse(const char *path, enum be_status *status)
{
	int error = errno;

	*status = error == EEXIST ? BE_ALREADY_THERE : error == ENOSPC ? BE_DISK_FULL : BE_IO_ERROR;
	if (error == EEXIST)
		return sentence("%s is there already, and nothing was removed: name another file. "
				"Lines that an interrupted run has archived and not removed are in "
				"both then, under the same ids",
				path);
	if (error == EOPNOTSUPP || error == EISDIR)
		return sentence("%s: its file system has no files without names, so that a "
				"half-written archive could not be told from a whole one: name a "
				"file elsewhere. Nothing was removed",
				path);
	return sentence("%s cannot be written: %s. Nothing was removed", path, strerror(error));
}

char *archive_write(const struct request *request, struct be_enforcer *handle, uint64_t *below_id,
		    enum be_status *status)
{
	struct archiving archiving = {
		.before_ns = request->before_ns, .now_ns = moment_now_ns(), .below_id = 1};
	char *wrong = NULL;

	*status = BE_OK;
	if (access(request->archive, F_OK) == 0) {
		errno = EEXIST;
		return refuse(request->archive, status);
	}
	archiving.file = make_file(request->archive);
	if (!archiving.file)
		return refuse(request->archive, status);
	csv_put_headings(archiving.file, &transaction_row_fields);
	*status = be_transactions_each(handle, NULL, add_line, &archiving);
	if (*status == BE_STOPPED)
		*status = BE_OK;
	if (*status == BE_OK &&
	    (archiving.has_failed ||
	     (archiving.count > 0 && !name_file(archiving.file, request->archive))))
		wrong = refuse(request->archive, status);
	else if (*status != BE_OK)
		wrong = sentence("%s", be_last_error());
	fclose(archiving.file);
	*below_id = archiving.below_id;
	return wrong;
}
