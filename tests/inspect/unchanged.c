/* SPDX-License-Identifier: Apache-2.0 */
/* Looking changes nothing: the data file stays the same to the byte, with an orphan in it, an
 * expired commit and a window that is over; and no file comes or goes. The balance that it shows is
 * that of the window of now, before anyone writes. */
#include "inspects.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t now_ns = INSPECTED_NS;

/* A worker that dies with a commit pending. */
static int leave_orphan(int index, void *context)
{
	struct be_enforcer *handle = inspected_open(NULL, &now_ns, NULL);
	uint64_t id;

	(void)index;
	(void)context;
	EXPECT_OK(be_commit(handle, "hourly", 2 * BE_UNIT, "of the dead", &id));
	_exit(0);
}

static void fill(char path[PATH_MAX])
{
	struct be_enforcer *handle = inspected_open(NULL, &now_ns, path);
	struct be_commit_options expiring = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	expiring.ttl_ms = 1;
	expiring.detached = true;
	EXPECT_OK(be_envelope_create(handle, "hourly", 10 * BE_UNIT, BE_PERIOD_HOURLY, NULL));
	EXPECT_OK(be_record(handle, "hourly", 5 * BE_UNIT, NULL, NULL));
	EXPECT_OK(be_commit_with(handle, "hourly", BE_UNIT, "expiring", &expiring, &id, NULL));
	be_close(handle);
	EXPECT_EQUAL(child_wait(child_start(leave_orphan, 0, NULL)), 0);
}

/* A copy of data.mdb. */
static char *snapshot(const char *path, size_t *size)
{
	char file[PATH_MAX + 16], *bytes;
	struct stat status;
	int fd;

	snprintf(file, sizeof file, "%s/data.mdb", path);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0 && fstat(fd, &status) == 0);
	*size = (size_t)status.st_size;
	bytes = malloc(*size);
	EXPECT(bytes && *size > 0);
	EXPECT_EQUAL(read(fd, bytes, *size), *size);
	close(fd);
	return bytes;
}

static int count_files(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	EXPECT(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void look(const char *path)
{
	json_t *document = inspect_json("--json", path, NULL), *first, *second;

	first = json_array_get(json_object_get(document, "envelopes"), 0);
	EXPECT_JSON(first, "spent", "\"0\"");
	EXPECT_JSON(first, "committed", "\"3\"");
	EXPECT_JSON(first, "available", "\"7\"");
	json_decref(document);

	document = inspect_json("--json", path, "commits", NULL);
	first = json_array_get(json_object_get(document, "commits"), 0);
	second = json_array_get(json_object_get(document, "commits"), 1);
	EXPECT_JSON(first, "state", "\"expired\"");
	EXPECT_JSON(first, "description", "\"expiring\"");
	EXPECT_JSON(second, "owner_alive", "false");
	EXPECT_JSON(second, "state", "\"orphaned\"");
	json_decref(document);

	free(inspect_text(path, "--output=+held-orphaned", NULL));
	free(inspect_text(path, "commits", NULL));
	free(inspect_text(path, "transactions", "--limit", "1", NULL));
	free(inspect_text(path, "verify", NULL));
}

int main(int argc, char **argv)
{
	char path[PATH_MAX], *before, *after;
	size_t size_before, size_after;
	int files;

	inspects_begin(argc, argv, 60);
	fill(path);
	before = snapshot(path, &size_before);
	files = count_files(path);
	look(path);
	after = snapshot(path, &size_after);
	EXPECT_EQUAL(size_after, size_before);
	EXPECT(memcmp(before, after, size_before) == 0);
	EXPECT_EQUAL(count_files(path), files);
	printf("%zu bytes in %d files, unchanged\n", size_after, files - 2);
	free(before);
	free(after);
	return 0;
}
