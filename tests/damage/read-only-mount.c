/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An environment that is in use is looked at through a mount that cannot be written. LMDB would
 * read it without locks, and pages would change under it; so opening is refused, with a text that
 * says what to do, and whether somebody has it open or not, since that cannot be known there.
 */
#include "support.h"
#include "tmpfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static enum be_status look(const char *path)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status;

	options.flags = BE_OPEN_READ_ONLY;
	status = be_open(path, &options, &handle);
	if (status != BE_OK)
		return status;
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return BE_OK;
}

static int look_there(int index, void *context)
{
	const char *path = context;

	(void)index;
	EXPECT_STATUS(look(path), BE_PERMISSION);
	EXPECT(strstr(be_last_error(), "mounted read-only") != NULL);
	EXPECT(strstr(be_last_error(), "lock.mdb") != NULL);
	return 0;
}

int main(void)
{
	char disk[PATH_MAX], written[PATH_MAX], mounted[PATH_MAX], lock[PATH_MAX + 16];
	struct be_enforcer *handle;

	test_begin(60);
	test_path(disk, "disk");
	if (!tmpfs_mount(disk, 8 << 20))
		test_skip("nothing can be mounted here: %s", strerror(errno));
	test_path(written, "disk/environment");
	test_path(mounted, "mounted");
	handle = test_open(written, BE_DURABILITY_FULL);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT(mkdir(mounted, 0700) == 0);
	if (mount(written, mounted, NULL, MS_BIND, NULL) != 0 ||
	    mount(NULL, mounted, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
		test_skip("no mount can be made read-only here: %s", strerror(errno));
	EXPECT_EQUAL(child_wait(child_start(look_there, 0, mounted)), 0);
	EXPECT_OK(look(written));
	be_close(handle);
	EXPECT_EQUAL(child_wait(child_start(look_there, 0, mounted)), 0);
	snprintf(lock, sizeof lock, "%s/lock.mdb", written);
	EXPECT(unlink(lock) == 0);
	EXPECT_EQUAL(child_wait(child_start(look_there, 0, mounted)), 0);
	EXPECT_OK(look(written));
	EXPECT(umount2(mounted, MNT_DETACH) == 0);
	printf("refused while it is in use, afterwards, and without lock.mdb\n");
	return 0;
}
