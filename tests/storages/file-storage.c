/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library with a storage, as the tests load one (tests/support/place.h): that of the example,
 * which keeps its records in one file.
 */
#define main run_example

int run_example(int argc, char **argv);

#include "../patterns/custom-storage.c"

#include <limits.h>

struct opened {
	struct be_storage storage;
	int directory;
};

enum be_status storage_open(const char *name, struct be_storage **storage);
void storage_close(struct be_storage *storage);

enum be_status storage_open(const char *name, struct be_storage **storage)
{
	struct opened *opened = calloc(1, sizeof *opened);
	const char *above = getenv("TMPDIR");
	char path[PATH_MAX];

	if (!opened)
		return BE_NO_MEMORY;
	snprintf(path, sizeof path, "%s/file-storage-%s", above ? above : "/tmp", name);
	if ((mkdir(path, 0700) != 0 && errno != EEXIST) ||
	    (opened->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		free(opened);
		return BE_IO_ERROR;
	}
	opened->storage = (struct be_storage){&file_ops, &opened->directory};
	*storage = &opened->storage;
	return BE_OK;
}

void storage_close(struct be_storage *storage)
{
	struct opened *opened = (struct opened *)storage;

	close(opened->directory);
	free(opened);
}
