/* SPDX-License-Identifier: Apache-2.0 */
/* Backups: what a copy holds, what is never written over, and environments made of copies. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *beside(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", fixture.directory, name);
	return path;
}

static struct be_enforcer *open_restored(const char *path)
{
	struct be_options options = fixture_options();
	struct be_enforcer *handle;

	options.flags |= BE_OPEN_EXISTING;
	assert_ok(be_open(path, &options, &handle));
	return handle;
}

static void spend(struct be_enforcer *budget)
{
	fixture_create(budget, "llm", 1000);
	assert_ok(be_record(budget, "llm", 30, "before", NULL));
	fixture_commit(budget, "llm", 5);
}

LMDB_TEST(backup, a_copy_is_an_environment_of_its_own)
{
	char copy[128], directory[128];
	struct be_verification found = BE_VERIFICATION_INIT;
	struct be_envelope llm = BE_ENVELOPE_INIT;
	struct be_enforcer *restored;

	spend(budget);
	assert_ok(be_backup(budget, beside(copy, "copy")));
	assert_ok(be_record(budget, "llm", 100, "afterwards", NULL));
	assert_ok(be_restore(copy, beside(directory, "restored")));
	restored = open_restored(directory);
	assert_ok(be_verify(restored, NULL, NULL, &found));
	assert_number(found.transactions, 1);
	assert_ok(be_utilization(restored, "llm", &llm));
	assert_number(llm.spent, 30);
	assert_number(llm.committed, 0); /* its owner counts as dead there */
	assert_ok(be_record(restored, "llm", 1, NULL, NULL));
	be_close(restored);
	assert_balance(budget, "llm", 130, 5);
}

LMDB_TEST(backup, an_unflushed_environment_gives_a_sound_copy)
{
	char copy[128], directory[128];
	struct be_options options = fixture_options();
	struct be_enforcer *unflushed, *restored;
	char path[128];

	options.durability = BE_DURABILITY_PROCESS;
	assert_ok(be_open(beside(path, "unflushed"), &options, &unflushed));
	spend(unflushed);
	assert_ok(be_backup(unflushed, beside(copy, "copy")));
	be_close(unflushed);
	assert_ok(be_restore(copy, beside(directory, "restored")));
	restored = open_restored(directory); /* in full durability */
	assert_ok(be_record(restored, "llm", 1, NULL, NULL));
	be_close(restored);
}

LMDB_TEST(backup, nothing_is_written_over)
{
	char copy[128], directory[128], file[160];
	int fd;

	spend(budget);
	assert_ok(be_backup(budget, beside(copy, "copy")));
	assert_status(be_backup(budget, copy), BE_ALREADY_THERE);
	assert_refused(be_restore(copy, fixture_path()), BE_ALREADY_THERE);
	beside(directory, "taken");
	cr_assert(mkdir(directory, 0700) == 0);
	snprintf(file, sizeof file, "%s/file", directory);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	cr_assert(fd >= 0 && close(fd) == 0);
	assert_status(be_restore(copy, directory), BE_ALREADY_THERE);
	cr_assert(access(file, F_OK) == 0);
	assert_status(be_restore(copy, file), BE_ALREADY_THERE);
	cr_assert(unlink(file) == 0);
	assert_ok(be_restore(copy, directory)); /* empty now */
	cr_assert(access(copy, F_OK) == 0);
}

LMDB_TEST(backup, no_file_beside_the_copy_is_touched)
{
	char copy[128], other[128], text[16] = "";
	int fd;

	spend(budget);
	beside(other, "copy.part");
	fd = open(other, O_RDWR | O_CREAT, 0600);
	cr_assert(fd >= 0 && write(fd, "mine", 4) == 4);
	assert_ok(be_backup(budget, beside(copy, "copy")));
	cr_assert(pread(fd, text, sizeof text, 0) == 4 && access(other, F_OK) == 0);
	assert_text(text, "mine");
	close(fd);
}

/* From now on files without names, and flags of renameat2(), are answered as NFS does. */
static void forbid_what_is_local(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 1, 2),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof steps / sizeof *steps, steps};

	cr_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	cr_assert(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

LMDB_TEST(backup, a_copy_may_go_to_a_network_file_system)
{
	char copy[128], directory[128];

	spend(budget);
	forbid_what_is_local();
	assert_ok(be_backup(budget, beside(copy, "copy")));
	assert_status(be_backup(budget, copy), BE_ALREADY_THERE);
	assert_ok(be_restore(copy, beside(directory, "restored")));
}

LMDB_TEST(backup, what_is_no_backup_is_told)
{
	char copy[128], directory[128];
	int fd;

	spend(budget);
	assert_status(be_restore(beside(copy, "none"), beside(directory, "restored")),
		      BE_NOT_FOUND);
	fd = open(copy, O_RDWR | O_CREAT, 0600);
	cr_assert(fd >= 0);
	assert_status(be_restore(copy, directory), BE_NOT_AN_ENVIRONMENT);
	cr_assert(write(fd, "no environment", 14) == 14);
	assert_status(be_restore(copy, directory), BE_NOT_AN_ENVIRONMENT);
	close(fd);
	cr_assert(access(directory, F_OK) != 0);
	assert_status(be_backup(budget, beside(copy, "no/such/directory")), BE_NOT_FOUND);
	assert_status(be_backup(NULL, copy), BE_INVALID_ARGUMENT);
	assert_status(be_backup(budget, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_restore(NULL, directory), BE_INVALID_ARGUMENT);
	assert_status(be_restore(copy, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_restore(copy, ""), BE_INVALID_ARGUMENT);
}

BEHAVIOUR_TEST(backup, only_directories_are_backed_up)
{
	char copy[128];

	if (!fixture.lmdb)
		assert_status(be_backup(budget, beside(copy, "copy")), BE_INVALID_ARGUMENT);
}
