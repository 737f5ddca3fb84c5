/* SPDX-License-Identifier: Apache-2.0 */
/* What cannot be read is named, with status 3, and nothing is created in its place. */
#include "inspects.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	EXPECT(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void expect_fault(const char *path)
{
	static const char *const views[] = {"envelopes", "commits", "transactions", "verify"};
	char named[PATH_MAX + 16];

	snprintf(named, sizeof named, "be-inspect: %s", path);
	for (int i = 0; i < 4; i++) {
		EXPECT_REFUSED(3, named, path, views[i]);
		EXPECT_REFUSED(3, named, "--json", path, views[i]);
	}
}

static void check_missing(void)
{
	char path[PATH_MAX], inner[PATH_MAX];

	test_path(path, "missing");
	expect_fault(path);
	EXPECT(access(path, F_OK) != 0);
	test_path(path, "empty");
	EXPECT(mkdir(path, 0700) == 0);
	expect_fault(path);
	/* The directory can only be removed while it is empty. */
	EXPECT(rmdir(path) == 0);
	test_path(path, "file");
	write_file(path, "not a directory");
	expect_fault(path);
	test_path(path, "foreign");
	EXPECT(mkdir(path, 0700) == 0);
	test_path(inner, "foreign/data.mdb");
	write_file(inner, "SQLite format 3, or anything else that is not LMDB's");
	expect_fault(path);
}

static void check_hostile_path(void)
{
	EXPECT_REFUSED(3, "be-inspect: /no\\x1b[31mwhere", "/no\033[31mwhere");
	EXPECT_REFUSED(3, "be-inspect: /no\\xe2\\x80\\xaewhere", "/no\u202ewhere", "verify");
}

int main(int argc, char **argv)
{
	inspects_begin(argc, argv, 60);
	check_missing();
	check_hostile_path();
	return 0;
}
