/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root uses the environment of an ordinary user, who has planted something under the name of each
 * file that the library opens or makes there: a link to a file of root's, one to where there is
 * nothing, a second name of that file, a FIFO, a directory, a device, a stranger's file, and a file
 * of root's that was moved there. Whether that is refused or survived: nothing of what was planted
 * or linked to is changed, nothing is made elsewhere, and nobody waits for ever. Nor is it when the
 * user exchanges the files for links, and back, while root opens them.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
	USER = 65534,
	STRANGER = 65533,
	OPENINGS = 200,
	VICTIM_SIZE = 400000 /* more than any of the files is mapped at its beginning */
};

enum plant {
	LINK,
	DANGLING_LINK,
	HARD_LINK,
	FIFO,
	DIRECTORY,
	DEVICE,
	STRANGERS,
	MOVED,
	PLANTS
};

static const char *const plants[PLANTS] = {
	"a link to root's file",
	"a link to nothing",
	"root's file by a second name",
	"a FIFO",
	"a directory",
	"a device",
	"a stranger's file",
	"root's file",
};

static const char *const names[] = {"be-owners", "be-group", "be-boot",  "be-boot.new",
				    "be-counts", "data.mdb", "lock.mdb", "copy"};

static char directory[PATH_MAX], planted[PATH_MAX + 32], victim[PATH_MAX], nothing[PATH_MAX];
static char bytes[VICTIM_SIZE];

/* ---- what must not change */

struct watched {
	int fd; /* O_PATH for what cannot be opened */
	struct stat before;
	bool has_bytes;
};

static void make_victim(const char *path, uid_t owner)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)('a' + i % 23);
	EXPECT(fd >= 0 && write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
	EXPECT(fchmod(fd, 0600) == 0 && fchown(fd, owner, owner) == 0);
	close(fd);
}

static struct watched watch(const char *path, bool has_bytes)
{
	struct watched watched = {.has_bytes = has_bytes};

	watched.fd = open(path, (has_bytes ? O_RDONLY : O_PATH) | O_NOFOLLOW | O_CLOEXEC);
	EXPECT(watched.fd >= 0 && fstat(watched.fd, &watched.before) == 0);
	return watched;
}

static void expect_unchanged(struct watched *watched, const char *what)
{
	static char after[VICTIM_SIZE + 1];
	struct stat now;

	EXPECT(fstat(watched->fd, &now) == 0);
	if (now.st_mode != watched->before.st_mode || now.st_uid != watched->before.st_uid ||
	    now.st_gid != watched->before.st_gid || now.st_size != watched->before.st_size)
		test_fail(__FILE__, __LINE__, "%s: mode %o, size %lld, owner %u", what, now.st_mode,
			  (long long)now.st_size, now.st_uid);
	if (watched->has_bytes &&
	    (pread(watched->fd, after, sizeof after, 0) != (ssize_t)sizeof bytes ||
	     memcmp(after, bytes, sizeof bytes) != 0))
		test_fail(__FILE__, __LINE__, "%s: its bytes were changed", what);
	close(watched->fd);
}

/* ---- the user */

/* Makes an environment that is shared with a group, and has be-boot, and ends. */
static int make_environment(int index, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	(void)index;
	(void)context;
	EXPECT(setresgid(USER, USER, USER) == 0 && setresuid(USER, USER, USER) == 0);
	options.mode = 0660;
	options.durability = BE_DURABILITY_PROCESS;
	EXPECT_OK(be_open(directory, &options, &handle));
	EXPECT_OK(be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	return 0;
}

static void make_directory(bool is_new)
{
	pid_t child;

	EXPECT(mkdir(directory, 0770) == 0 && chown(directory, USER, USER) == 0);
	EXPECT(chmod(directory, 02770) == 0);
	if (is_new)
		return;
	child = child_start(make_environment, 0, NULL);
	EXPECT_EQUAL(child_wait(child), 0);
}

static void plant(enum plant how)
{
	unlink(planted);
	switch (how) {
	case LINK:
		EXPECT(symlink(victim, planted) == 0);
		break;
	case DANGLING_LINK:
		EXPECT(symlink(nothing, planted) == 0);
		break;
	case HARD_LINK:
		EXPECT(link(victim, planted) == 0);
		break;
	case FIFO:
		EXPECT(mkfifo(planted, 0600) == 0);
		break;
	case DIRECTORY:
		EXPECT(mkdir(planted, 0700) == 0);
		break;
	case DEVICE:
		EXPECT(mknod(planted, S_IFCHR | 0600, makedev(1, 3)) == 0);
		break;
	default:
		make_victim(planted, how == MOVED ? 0 : STRANGER);
	}
}

/* ---- root */

static void use(struct be_enforcer *handle)
{
	char copy[PATH_MAX + 32];
	uint64_t id;

	if (be_envelope_ensure(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL) == BE_OK &&
	    be_commit(handle, "llm", 1, NULL, &id) == BE_OK)
		EXPECT_OK(be_release(handle, id));
	EXPECT(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &id) != BE_OK);
	snprintf(copy, sizeof copy, "%s/copy", directory);
	(void)!be_backup(handle, copy);
}

/* Its exit status is the number of openings that were refused. */
static int use_as_root(int index, void *context)
{
	static const struct {
		enum be_durability durability;
		uint32_t flags;
	} ways[] = {
		{BE_DURABILITY_PROCESS, BE_OPEN_READ_ONLY},
		{BE_DURABILITY_PROCESS, 0},
		{BE_DURABILITY_FULL, BE_OPEN_DIRECT},
	};
	int refused = 0;

	(void)context;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct be_options options = BE_OPTIONS_INIT;
		struct be_enforcer *handle;

		options.mode = 0660;
		options.durability = ways[i].durability;
		options.flags = ways[i].flags;
		if (be_open(directory, &options, &handle) == BE_OK) {
			use(handle);
			be_close(handle);
			continue;
		}
		refused++;
		if (i == 1)
			printf("%s: %s\n", plants[index], be_last_error() + strlen(directory) + 1);
	}
	return refused;
}

/* Which of them a process can do without or replace; the others are refused. */
static bool is_survived(const char *name, enum plant how)
{
	if (strcmp(name, "be-boot.new") == 0)
		return true;
	if (strcmp(name, "be-counts") == 0 || strcmp(name, "copy") == 0)
		return true;
	return how == MOVED && strcmp(name, "be-boot") != 0 && strcmp(name, "data.mdb") != 0;
}

static void try(const char *name, enum plant how, bool is_new)
{
	struct watched watched_victim, watched_plant;
	char what[200];
	int refused;

	snprintf(planted, sizeof planted, "%s/%s", directory, name);
	make_directory(is_new);
	make_victim(victim, 0);
	plant(how);
	watched_victim = watch(victim, true);
	watched_plant = watch(planted, how == STRANGERS || how == MOVED || how == HARD_LINK);
	refused = child_wait(child_start(use_as_root, how, NULL));
	snprintf(what, sizeof what, "%s is %s, %s", name, plants[how], is_new ? "new" : "in use");
	if (refused > 3)
		test_fail(__FILE__, __LINE__, "%s: ended by %d", what, refused);
	if (!is_new && is_survived(name, how) != (refused < 2))
		test_fail(__FILE__, __LINE__, "%s: refused %d times", what, refused);
	expect_unchanged(&watched_victim, what);
	expect_unchanged(&watched_plant, what);
	if (access(nothing, F_OK) == 0)
		test_fail(__FILE__, __LINE__, "%s: made a file elsewhere", what);
	test_remove(directory);
	unlink(victim);
}

/* ---- the user who is quick */

/* Puts a link to root's file in the place of one of ours, and back, again and again. */
static int exchange(int index, void *context)
{
	char name[PATH_MAX + 32], link[PATH_MAX + 64];

	(void)context;
	EXPECT(setresgid(USER, USER, USER) == 0 && setresuid(USER, USER, USER) == 0);
	EXPECT(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* which was forgotten with the user */
	snprintf(name, sizeof name, "%s/%s", directory, names[index]);
	snprintf(link, sizeof link, "%s.link", name);
	EXPECT(symlink(victim, link) == 0);
	for (;;)
		(void)!renameat2(AT_FDCWD, link, AT_FDCWD, name, RENAME_EXCHANGE);
}

static int open_again_and_again(int index, void *context)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	int *opened = context;

	(void)index;
	options.mode = 0660;
	for (int i = 0; i < OPENINGS; i++) {
		options.durability = i % 2 ? BE_DURABILITY_PROCESS : BE_DURABILITY_FULL;
		if (be_open(directory, &options, &handle) != BE_OK)
			continue;
		++*opened;
		use(handle);
		be_close(handle);
	}
	return 0;
}

static void race(int index)
{
	int *opened = shared_make(sizeof *opened);
	struct watched watched;
	pid_t user;

	make_directory(false);
	make_victim(victim, 0);
	watched = watch(victim, true);
	user = child_start(exchange, index, NULL);
	EXPECT_EQUAL(child_wait(child_start(open_again_and_again, 0, opened)), 0);
	EXPECT(kill(user, SIGKILL) == 0);
	EXPECT_EQUAL(child_wait(user), 128 + SIGKILL);
	printf("opened %d of %d times while %s was a link for moments\n", *opened, OPENINGS,
	       names[index]);
	expect_unchanged(&watched, names[index]);
	test_remove(directory);
	unlink(victim);
}

int main(void)
{
	int tried = 0;

	test_begin(90);
	if (geteuid() != 0)
		test_skip("only root can use what is another user's");
	EXPECT(chmod(test_directory(), 0711) == 0);
	test_path(directory, "budget");
	test_path(victim, "victim");
	test_path(nothing, "nothing");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (int how = 0; how < PLANTS; how++)
			for (int is_new = 0; is_new < 2; is_new++, tried++)
				try(names[i], (enum plant)how, is_new);
	printf("%d plants\n", tried);
	for (int i = 0; i < 7; i++)
		race(i);
	return 0;
}
