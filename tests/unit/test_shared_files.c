/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files are opened in a directory that several users share, which are not, and how those that
 * are made look. Owners other than the one who runs this need root.
 */
#include "base/shared_file.h"
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define STRANGER 65533
#define OTHER_GROUP 65532

static char path[64];
static struct shared_directory *directory;

static void make_directory(void)
{
	strcpy(path, "/tmp/be-shared-XXXXXX");
	cr_assert_not_null(mkdtemp(path));
	cr_assert_eq(shared_directory_open(path, &directory), BE_OK);
	umask(077);
}

static void remove_directory(void)
{
	shared_directory_close(directory);
	test_remove(path);
}

TestSuite(shared_files, .init = make_directory, .fini = remove_directory);

static int make_file(const char *name, mode_t mode)
{
	int fd = openat(directory->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fchmod(fd, mode), 0);
	cr_assert_eq(write(fd, "bytes", 5), 5);
	return fd;
}

static enum be_status open_and_close(const char *name, enum shared_access access)
{
	int fd;
	enum be_status status = shared_file_open(directory, name, access, 0660, &fd);

	cr_expect_eq(fd >= 0, status == BE_OK, "%s: descriptor %d", name, fd);
	if (fd >= 0)
		close(fd);
	return status;
}

static void expect_refused(const char *name, const char *word)
{
	for (int access = SHARED_LOOK; access <= SHARED_MAKE; access++) {
		enum be_status status = open_and_close(name, (enum shared_access)access);

		cr_expect_eq(status, BE_NOT_AN_ENVIRONMENT, "%s: %s", name, be_status_name(status));
		cr_expect_not_null(strstr(be_last_error(), word), "\"%s\" has no \"%s\"",
				   be_last_error(), word);
		cr_expect_not_null(strstr(be_last_error(), path), "\"%s\" names no path",
				   be_last_error());
	}
}

Test(shared_files, links_and_what_is_no_regular_file_are_refused_without_waiting)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	close(make_file("victim", 0600));
	cr_assert_eq(symlinkat("victim", directory->fd, "link"), 0);
	cr_assert_eq(symlinkat("nowhere", directory->fd, "dangling"), 0);
	cr_assert_eq(mkfifoat(directory->fd, "fifo", 0666), 0);
	cr_assert_eq(mkdirat(directory->fd, "directory", 0777), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", path);
	cr_assert_eq(bind(socket_fd, (struct sockaddr *)&address, sizeof address), 0);
	close(socket_fd);
	expect_refused("link", "symbolic link");
	expect_refused("dangling", "symbolic link");
	expect_refused("fifo", "a FIFO");
	expect_refused("directory", "a directory");
	expect_refused("socket", "a socket");
	if (mknodat(directory->fd, "device", S_IFCHR | 0666, makedev(1, 3)) == 0)
		expect_refused("device", "a device");
	cr_assert_eq(linkat(directory->fd, "victim", directory->fd, "second", 0), 0);
	expect_refused("victim", "2 names");
	expect_refused("second", "2 names");
	cr_assert_eq(unlinkat(directory->fd, "second", 0), 0);
	cr_expect_eq(open_and_close("victim", SHARED_CHANGE), BE_OK);
	cr_expect_eq(faccessat(directory->fd, "nowhere", F_OK, 0), -1, "it was made by a link");
}

Test(shared_files, what_is_missing_is_made_only_when_that_is_asked_for)
{
	struct stat about;

	cr_expect_eq(open_and_close("new", SHARED_LOOK), BE_NOT_FOUND);
	cr_expect_eq(open_and_close("new", SHARED_CHANGE), BE_NOT_FOUND);
	cr_expect_not(shared_file_exists(directory, "new"));
	cr_expect_eq(open_and_close("new", SHARED_NEW), BE_OK);
	cr_expect_eq(open_and_close("new", SHARED_NEW), BE_ALREADY_THERE);
	cr_expect_eq(open_and_close("new", SHARED_MAKE), BE_OK);
	cr_expect(shared_file_exists(directory, "new"));
	cr_assert_eq(fstatat(directory->fd, "new", &about, 0), 0);
	cr_expect_eq(about.st_mode & 07777, 0660, "whatever the umask: %o", about.st_mode);
}

Test(shared_files, what_was_there_keeps_its_mode)
{
	struct stat about;

	close(make_file("old", 0600));
	cr_expect_eq(open_and_close("old", SHARED_MAKE), BE_OK);
	cr_assert_eq(fstatat(directory->fd, "old", &about, 0), 0);
	cr_expect_eq(about.st_mode & 07777, 0600);
}

Test(shared_files, a_strangers_file_is_opened_only_if_all_of_the_directory_may_write_it)
{
	static const struct {
		uid_t directory_owner, owner;
		gid_t group;
		mode_t directory_mode, mode;
		bool fits;
	} cases[] = {
		{0, 0, OTHER_GROUP, 0700, 0600, true},
		{STRANGER, STRANGER, OTHER_GROUP, 0700, 0600, true},
		{STRANGER, 0, OTHER_GROUP, 0770, 0600, true},
		{0, STRANGER, 0, 0700, 0600, false},
		{0, STRANGER, 0, 0700, 0660, false},
		{0, STRANGER, 0, 0750, 0660, false},
		{0, STRANGER, 0, 0770, 0600, false},
		{0, STRANGER, 0, 0770, 0640, false},
		{0, STRANGER, 0, 0770, 0660, true},
		{0, STRANGER, 0, 02770, 0660, true},
		{0, STRANGER, OTHER_GROUP, 02770, 0660, false},
		{0, STRANGER, OTHER_GROUP, 02770, 0666, false},
		{0, STRANGER, OTHER_GROUP, 0777, 0666, true},
		{0, STRANGER, OTHER_GROUP, 01777, 0666, true},
		{0, STRANGER, OTHER_GROUP, 01777, 0660, false},
	};
	int fd = make_file("file", 0600);

	if (geteuid() != 0)
		cr_skip_test("only root can give files away");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum be_status status;

		cr_assert_eq(chown(path, cases[i].directory_owner, 0), 0);
		cr_assert_eq(chmod(path, cases[i].directory_mode), 0);
		cr_assert_eq(fchown(fd, cases[i].owner, cases[i].group), 0);
		cr_assert_eq(fchmod(fd, cases[i].mode), 0);
		status = open_and_close("file", SHARED_CHANGE);
		cr_expect_eq(status, cases[i].fits ? BE_OK : BE_NOT_AN_ENVIRONMENT, "case %zu: %s",
			     i, be_last_error());
		if (!cases[i].fits)
			cr_expect_not_null(strstr(be_last_error(), "belongs to user 65533"));
	}
	close(fd);
}

Test(shared_files, a_file_gets_the_directorys_group_where_that_may_write_the_directory)
{
	static const struct {
		mode_t directory_mode, mode;
		gid_t group;
	} cases[] = {
		{0770, 0660, OTHER_GROUP},
		{02770, 0660, OTHER_GROUP},
		{02770, 0600, OTHER_GROUP},
		{0770, 0600, 0},
		{0750, 0660, 0},
	};

	if (geteuid() != 0)
		cr_skip_test("only root can give directories away");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct stat about;
		int fd;

		cr_assert_eq(chown(path, 0, OTHER_GROUP), 0);
		cr_assert_eq(chmod(path, cases[i].directory_mode), 0);
		cr_assert_eq(shared_file_open(directory, "made", SHARED_NEW, cases[i].mode, &fd),
			     BE_OK);
		cr_assert_eq(fstat(fd, &about), 0);
		cr_expect_eq(about.st_gid, cases[i].group, "case %zu: group %u", i, about.st_gid);
		cr_expect_eq(about.st_mode & 07777, cases[i].mode);
		close(fd);
		cr_assert_eq(unlinkat(directory->fd, "made", 0), 0);
	}
}

Test(shared_files, holes_are_filled_and_a_map_never_reaches_behind_the_end)
{
	struct stat about;
	void *map;
	int fd;

	cr_assert_eq(shared_file_open(directory, "file", SHARED_NEW, 0600, &fd), BE_OK);
	cr_assert_eq(ftruncate(fd, 65536), 0);
	cr_expect_eq(shared_file_map(directory, "file", fd, 65537, true, &map), BE_DAMAGED);
	cr_assert_eq(pwrite(fd, "kept", 4, 8192), 4);
	cr_expect_eq(shared_file_allocate(directory, "file", fd, 131072), BE_OK);
	cr_assert_eq(fstat(fd, &about), 0);
	cr_expect_eq(about.st_size, 131072);
	cr_expect_geq(about.st_blocks * 512, 131072, "%lld blocks", (long long)about.st_blocks);
	cr_assert_eq(shared_file_map(directory, "file", fd, 131072, true, &map), BE_OK);
	cr_expect_eq(memcmp((char *)map + 8192, "kept", 4), 0);
	munmap(map, 131072);
	cr_expect_eq(shared_file_allocate(directory, "file", fd, 4096), BE_OK, "never shorter");
	cr_assert_eq(fstat(fd, &about), 0);
	cr_expect_eq(about.st_size, 131072);
	close(fd);
}

Test(shared_files, a_file_that_was_replaced_is_no_longer_the_one_of_its_name)
{
	int fd = make_file("file", 0600);

	cr_expect(shared_file_is_named(directory, "file", fd));
	cr_assert_eq(unlinkat(directory->fd, "file", 0), 0);
	cr_expect_not(shared_file_is_named(directory, "file", fd));
	close(make_file("file", 0600));
	cr_expect_not(shared_file_is_named(directory, "file", fd));
	close(fd);
}

Test(shared_files, a_directory_is_one)
{
	struct shared_directory *other;
	char name[96];

	snprintf(name, sizeof name, "%s/file", path);
	close(make_file("file", 0600));
	cr_expect_eq(shared_directory_open(name, &other), BE_NOT_AN_ENVIRONMENT);
	cr_expect_null(other);
	snprintf(name, sizeof name, "%s/absent", path);
	cr_expect_eq(shared_directory_open(name, &other), BE_NOT_FOUND);
	cr_expect_eq(shared_flush_names(directory->fd, "."), 0);
	cr_expect_eq(shared_flush_names(directory->fd, ".."), 0);
	cr_expect_eq(shared_flush_names(directory->fd, "absent"), ENOENT);
}
