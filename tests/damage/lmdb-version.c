/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of liblmdb in which a closing process can destroy the locks of the others are refused,
 * with a text that names them, before anything is made. This program has its own mdb_version(),
 * which is found first.
 */
#include "support.h"

#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int version_minor, version_patch;

char *mdb_version(int *major, int *minor, int *patch)
{
	static char text[32];

	if (major)
		*major = 0;
	if (minor)
		*minor = version_minor;
	if (patch)
		*patch = version_patch;
	snprintf(text, sizeof text, "LMDB 0.%d.%d", version_minor, version_patch);
	return text;
}

int main(void)
{
	static const struct {
		int minor, patch;
		enum be_status status;
	} versions[] = {
		{9, 24, BE_OK},
		{9, 25, BE_OK},
		{9, 26, BE_UNSUITABLE_LMDB},
		{9, 29, BE_UNSUITABLE_LMDB},
		{9, 31, BE_UNSUITABLE_LMDB},
		{9, 32, BE_OK},
		{10, 0, BE_OK},
	};
	struct be_enforcer *handle;
	char path[PATH_MAX], text[32];

	test_begin(30);
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		version_minor = versions[i].minor;
		version_patch = versions[i].patch;
		snprintf(text, sizeof text, "0.%d.%d", version_minor, version_patch);
		test_path(path, "%s", text);
		EXPECT_STATUS(be_open(path, NULL, &handle), versions[i].status);
		if (versions[i].status == BE_OK)
			EXPECT_OK(be_envelope_create(handle, "llm", 1, BE_PERIOD_TOTAL, NULL));
		else
			EXPECT(strstr(be_last_error(), text) != NULL);
		be_close(handle);
		printf("%s: %s\n", text, versions[i].status == BE_OK ? "used" : "refused");
	}
	return 0;
}
