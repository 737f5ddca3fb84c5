/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users of one group share an environment: what each makes has the directory's group and the mode
 * asked for, so that the others can use it, whichever came first. A directory that is made keeps
 * the setgid bit of the one above, and one that was there keeps its mode, even one that another
 * made at the same moment.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	FIRST_USER = 65530, /* and the group of that number of its own; likewise the next ones */
	STRANGER = 65535,
	GROUP = 65500
};

static char above[PATH_MAX], path[PATH_MAX];
static bool another_makes_it;

/* The library's calls come here. */
int mkdir(const char *made, mode_t mode)
{
	int rc = (int)syscall(SYS_mkdirat, AT_FDCWD, made, another_makes_it ? 0711 : mode);

	if (rc == 0 && another_makes_it) {
		errno = EEXIST;
		rc = -1;
	}
	return rc;
}

static void become(uid_t user, bool is_member)
{
	gid_t group = GROUP;

	EXPECT(setgroups(is_member, &group) == 0);
	EXPECT(setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0);
	umask(077);
}

static enum be_status open_as(enum be_durability durability, struct be_enforcer **handle)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.mode = 0660;
	options.durability = durability;
	return be_open(path, &options, handle);
}

/* What all of the group do, in turn and each of them first once. */
static int spend(int index, void *context)
{
	enum be_durability durability = index % 2 ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL;
	struct be_enforcer *handle;
	uint64_t id;

	(void)context;
	become(FIRST_USER + (uid_t)index, true);
	EXPECT_OK(open_as(durability, &handle));
	EXPECT_OK(be_envelope_ensure(handle, "llm", 10, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
	EXPECT_BALANCE(handle, "llm", index + 1, 0);
	EXPECT_STATUS(be_commit(handle, "llm", 10, NULL, &id), BE_EXCEEDS_BUDGET);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	return 0;
}

static int expect_no_permission(int index, void *context)
{
	struct be_enforcer *handle;

	(void)index;
	become(STRANGER, false);
	EXPECT_STATUS(open_as(BE_DURABILITY_FULL, &handle), BE_PERMISSION);
	printf("%s\n", be_last_error());
	EXPECT(strstr(be_last_error(), context) != NULL);
	return 0;
}

static void expect_shared(const char *name, mode_t mode)
{
	char file[PATH_MAX + 32];
	struct stat about;

	snprintf(file, sizeof file, "%s/%s", path, name);
	if (stat(file, &about) < 0) {
		EXPECT_TEXT(name, "be-boot"); /* the only one that comes and goes */
		return;
	}
	if ((about.st_mode & 07777) != mode || about.st_gid != GROUP)
		test_fail(__FILE__, __LINE__, "%s has mode %o and group %u", name, about.st_mode,
			  about.st_gid);
}

static void share(mode_t directory_mode)
{
	static const char *const names[] = {"data.mdb", "lock.mdb", "be-owners",
					    "be-group", "be-boot",  "be-counts"};

	for (int user = 0; user < 4; user++) {
		EXPECT_EQUAL(child_wait(child_start(spend, user, NULL)), 0);
		expect_shared(".", directory_mode);
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			expect_shared(names[i], 0660);
	}
	EXPECT_EQUAL(child_wait(child_start(expect_no_permission, 0, path)), 0);
	test_remove(path);
}

/* The directory is made by the first of the users, in one with the setgid bit. */
static void test_setgid(void)
{
	share(02770);
}

/* It was made by an administrator who knows nothing of that bit. */
static void test_plain_directory(void)
{
	EXPECT(mkdir(path, 0770) == 0 && chown(path, 0, GROUP) == 0 && chmod(path, 0770) == 0);
	share(0770);
}

/* Who may not give files the directory's group is told how that is done. */
static void test_owner_of_another_group(void)
{
	char advice[] = "chmod g+s";

	EXPECT(mkdir(path, 0770) == 0 && chown(path, STRANGER, GROUP) == 0 &&
	       chmod(path, 0770) == 0);
	EXPECT_EQUAL(child_wait(child_start(expect_no_permission, 0, advice)), 0);
	test_remove(path);
}

static void test_made_by_another(void)
{
	struct be_enforcer *handle;
	struct stat about;

	another_makes_it = true;
	EXPECT_OK(open_as(BE_DURABILITY_FULL, &handle));
	another_makes_it = false;
	EXPECT(stat(path, &about) == 0);
	EXPECT_EQUAL(about.st_mode & 07777, 0711);
	be_close(handle);
	test_remove(path);
}

int main(void)
{
	test_begin(60);
	test_path(above, "above");
	test_path(path, "above/budget");
	EXPECT(mkdir(above, 0700) == 0);
	test_made_by_another();
	if (geteuid() != 0)
		test_skip("only root can be several users");
	EXPECT(chmod(test_directory(), 0711) == 0);
	EXPECT(chown(above, 0, GROUP) == 0 && chmod(above, 02775) == 0);
	test_setgid();
	test_plain_directory();
	test_owner_of_another_group();
	return 0;
}
