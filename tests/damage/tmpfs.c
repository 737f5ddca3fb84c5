/* SPDX-License-Identifier: Apache-2.0 */
/* See tmpfs.h. */
#include "tmpfs.h"

#include "support.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char mounted[PATH_MAX];
static pid_t mounted_by;

/* So that the test's directory can be removed. */
static void unmount(void)
{
	if (getpid() == mounted_by)
		umount2(mounted, MNT_DETACH);
}

static void write_text(const char *path, const char *format, unsigned number)
{
	FILE *file = fopen(path, "w");

	if (file) {
		fprintf(file, format, number);
		fclose(file);
	}
}

static bool enter_namespace(void)
{
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWNS) != 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
			return false;
		write_text("/proc/self/setgroups", "deny", 0);
		write_text("/proc/self/uid_map", "0 %u 1", uid);
		write_text("/proc/self/gid_map", "0 %u 1", gid);
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool tmpfs_mount(const char *path, size_t bytes)
{
	char options[64];

	EXPECT(mkdir(path, 0700) == 0);
	snprintf(options, sizeof options, "size=%zu,mode=0700", bytes);
	if (!enter_namespace() || mount("tmpfs", path, "tmpfs", 0, options) != 0)
		return false;
	EXPECT(snprintf(mounted, sizeof mounted, "%s", path) < PATH_MAX);
	mounted_by = getpid();
	EXPECT(atexit(unmount) == 0);
	return true;
}
