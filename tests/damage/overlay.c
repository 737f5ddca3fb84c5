/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environments on an overlay, as a container's root is. One that was made there lies in the upper
 * layer, and is like any other. One that came with a lower layer is copied up by the first who
 * opens it for writing; that is also the first who looks, so that it sees what others write
 * afterwards.
 */
#include "support.h"
#include "tmpfs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_once(int index, void *context)
{
	struct be_enforcer *handle = test_open(context, BE_DURABILITY_FULL);

	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(handle, "llm", index, NULL, NULL));
	be_close(handle);
	return 0;
}

static int commit_and_die(int index, void *context)
{
	struct be_enforcer *handle = test_open(context, BE_DURABILITY_FULL);
	uint64_t id;

	(void)index;
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	raise(SIGKILL);
	return 1;
}

static void by_another(child_function *run, int index, char *path, int expected)
{
	EXPECT_EQUAL(child_wait(child_start(run, index, path)), expected);
}

/* Looks before, while and after others write. */
static void watch_others(char *path, int64_t spent)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *looking, *writing;

	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_OK(be_open(path, &options, &looking));
	EXPECT_BALANCE(looking, "llm", spent, 0);
	by_another(write_once, 5, path, 0);
	EXPECT_BALANCE(looking, "llm", spent + 5, 0);
	by_another(commit_and_die, 0, path, 128 + SIGKILL);
	EXPECT_BALANCE(looking, "llm", spent + 5, 1);
	by_another(write_once, 6, path, 0);
	EXPECT_BALANCE(looking, "llm", spent + 11, 0);
	EXPECT_VERIFIED(looking);
	be_close(looking);
	writing = test_open(path, BE_DURABILITY_FULL);
	by_another(write_once, 7, path, 0);
	EXPECT_BALANCE(writing, "llm", spent + 18, 0);
	EXPECT_VERIFIED(writing);
	be_close(writing);
}

static void make(const char *format, const char *disk, const char *name, char path[PATH_MAX])
{
	EXPECT(snprintf(path, PATH_MAX, format, disk, name) < PATH_MAX);
}

static int look_only(int index, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	(void)index;
	options.flags = BE_OPEN_READ_ONLY;
	EXPECT_STATUS(be_open(context, &options, &handle), BE_PERMISSION);
	return 0;
}

int main(void)
{
	static const char *const parts[] = {"lower", "upper", "work", "merged"};
	char disk[PATH_MAX], paths[4][PATH_MAX], layers[4 * PATH_MAX], path[PATH_MAX];

	test_begin(60);
	test_path(disk, "disk");
	if (!tmpfs_mount(disk, 64 << 20))
		test_skip("nothing can be mounted here: %s", strerror(errno));
	for (int i = 0; i < 4; i++) {
		make("%.2000s/%s", disk, parts[i], paths[i]);
		EXPECT(mkdir(paths[i], 0700) == 0);
	}
	make("%.2000s/%s", paths[0], "image", path);
	by_another(write_once, 3, path, 0);
	snprintf(layers, sizeof layers, "lowerdir=%s,upperdir=%s,workdir=%s", paths[0], paths[1],
		 paths[2]);
	if (mount("overlay", paths[3], "overlay", 0, layers) != 0)
		test_skip("an overlay cannot be mounted here: %s", strerror(errno));

	make("%.2000s/%s", paths[3], "new", path);
	by_another(write_once, 2, path, 0);
	watch_others(path, 2);
	make("%.2000s/%s", paths[3], "image", path);
	watch_others(path, 3);

	EXPECT(mount(NULL, paths[3], NULL, MS_REMOUNT | MS_RDONLY, layers) == 0);
	by_another(look_only, 0, path, 0);
	EXPECT(umount2(paths[3], MNT_DETACH) == 0);
	printf("made in the upper layer, copied up from a lower one, and refused where neither\n");
	return 0;
}
