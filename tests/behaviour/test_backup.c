/* SPDX-License-Identifier: Apache-2.0 */
/* Backups and copies: what they hold, what is never written over, and environments made of them. */
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

	options.storage = NULL;
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

#define LEAP (UINT64_C(1) << 32)
#define EXACT (UINT64_C(1) << 53) /* in all readers of JSON */

/* What the original gives out after the backup, its copy never does; what it gave out before is
 * known in both. */
LMDB_TEST(backup, ids_of_a_copy_leap_over_those_of_the_original)
{
	char copy[128], directory[128], again[128];
	struct be_transaction charged = BE_TRANSACTION_INIT;
	struct be_statistics stats = BE_STATISTICS_INIT, twice = BE_STATISTICS_INIT;
	struct be_envelope old = BE_ENVELOPE_INIT, new = BE_ENVELOPE_INIT;
	struct be_commit_options detached = BE_COMMIT_OPTIONS_INIT;
	struct be_pruning pruned = BE_PRUNING_INIT;
	struct be_enforcer *restored;
	uint64_t before, after, id;

	detached.detached = true;
	fixture_create(budget, "llm", 1000);
	assert_ok(be_commit_with(budget, "llm", 5, "before", &detached, &before, NULL));
	assert_ok(be_backup(budget, beside(copy, "copy")));
	assert_ok(be_commit_with(budget, "llm", 5, "after", &detached, &after, NULL));

	assert_ok(be_restore(copy, beside(directory, "restored")));
	restored = open_restored(directory);
	assert_ok(be_commit(restored, "llm", 1, "a stranger's", &id));
	cr_assert(id >= after + LEAP && id < EXACT);
	assert_refused(be_settle(restored, after, 5, NULL, NULL), BE_NO_COMMIT);
	assert_ok(be_settle(restored, before, 5, NULL, &charged));
	cr_assert(charged.id >= LEAP && charged.id < EXACT);
	assert_ok(be_settle(restored, id, 1, NULL, NULL));

	/* Refusals are counted in envelopes from before and after. */
	fixture_create(restored, "new", 1);
	assert_refused(be_check(restored, "llm", 2000, NULL), BE_EXCEEDS_BUDGET);
	assert_refused(be_commit(restored, "new", 2, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_ok(be_utilization(restored, "llm", &old));
	assert_ok(be_utilization(restored, "new", &new));
	cr_assert(old.id == 1 && new.id >= LEAP &&new.id < EXACT);
	assert_number(old.refused_exceeds_budget, 1);
	assert_number(new.refused_exceeds_budget, 1);

	/* A copy of the copy leaps again, and gaps are nothing to wonder at. */
	assert_ok(be_stats(restored, &stats));
	cr_assert(unlink(copy) == 0);
	assert_ok(be_backup(restored, copy));
	assert_ok(be_verify(restored, NULL, NULL, NULL));
	be_close(restored);
	assert_ok(be_restore(copy, beside(again, "again")));
	restored = open_restored(again);
	assert_ok(be_stats(restored, &twice));
	cr_assert(twice.next_commit_id >= stats.next_commit_id + LEAP);
	cr_assert(twice.next_transaction_id >= stats.next_transaction_id + LEAP);
	cr_assert(twice.next_envelope_id >= stats.next_envelope_id + LEAP);
	cr_assert(twice.next_commit_id < EXACT && twice.next_envelope_id < EXACT);
	fixture_create(restored, "newer", 1);
	assert_refused(be_commit(restored, "newer", 2, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_ok(be_prune(restored, INT64_MAX, NULL, NULL, &pruned));
	assert_number(pruned.transactions, 2);
	assert_ok(be_verify(restored, NULL, NULL, NULL));
	be_close(restored);
	assert_ok(be_release(budget, after));
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

/* ---- copies */

/* Something of all that there is. */
static void spend_in_many_ways(struct be_enforcer *budget)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 10000);
	fixture_create_below(budget, "task", 100, "", "llm");
	options.detached = true;
	assert_ok(be_commit_with(budget, "llm", 5, "held", &options, &id, NULL));
	options.key = "once";
	assert_ok(be_commit_with(budget, "task", 7, "", &options, &id, NULL));
	assert_ok(be_settle(budget, id, 6, NULL, NULL));
	for (int i = 0; i < 1200; i++)
		assert_ok(be_record(budget, "llm", 1 + i % 3, NULL, NULL));
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	assert_ok(be_record(budget, "task", 2, "after", NULL));
}

static struct be_enforcer *open_copy(struct be_storage *storage)
{
	struct be_options options = fixture_options();
	struct be_enforcer *handle;

	options.storage = storage;
	options.flags |= BE_OPEN_EXISTING;
	assert_ok(be_open(NULL, &options, &handle));
	return handle;
}

static void assert_alike(struct be_enforcer *copy, struct be_enforcer *budget)
{
	struct be_verification found = BE_VERIFICATION_INIT;
	struct be_envelope here = BE_ENVELOPE_INIT, there = BE_ENVELOPE_INIT;
	struct be_statistics before = BE_STATISTICS_INIT, after = BE_STATISTICS_INIT;
	const char *names[] = {"llm", "task"};

	assert_ok(be_verify(copy, NULL, NULL, &found));
	assert_number(found.transactions, 1);
	for (int i = 0; i < 2; i++) {
		assert_ok(be_utilization(budget, names[i], &here));
		assert_ok(be_utilization(copy, names[i], &there));
		assert_number(there.spent, here.spent);
		assert_number(there.committed, here.committed);
	}
	assert_ok(be_stats(budget, &before));
	assert_ok(be_stats(copy, &after));
	cr_assert_gt(after.next_commit_id, before.next_commit_id + (UINT64_C(1) << 32) - 1);
}

BEHAVIOUR_TEST(backup, a_copy_in_another_storage_is_the_same_and_goes_back_again)
{
	struct be_storage *storage;
	struct be_enforcer *copied, *back;
	char file[128], directory[128];

	spend_in_many_ways(budget);
	assert_ok(be_storage_memory_create(&storage));
	assert_ok(be_copy(budget, storage, NULL, NULL));
	copied = open_copy(storage);
	assert_alike(copied, budget);
	assert_ok(be_backup(copied, beside(file, "back")));
	assert_ok(be_restore(file, beside(directory, "restored")));
	back = open_restored(directory);
	assert_alike(back, copied);
	be_close(back);
	be_close(copied);
	be_storage_memory_destroy(storage);
}

static bool stop_at_once(void *context, uint64_t records)
{
	*(uint64_t *)context = records;
	return false;
}

BEHAVIOUR_TEST(backup, a_copy_that_was_broken_off_is_nothing_and_makes_room)
{
	struct be_options options = fixture_options();
	struct be_storage *storage;
	struct be_enforcer *copied;
	uint64_t records = 0;

	spend_in_many_ways(budget);
	for (int i = 0; i < 1100; i++)
		assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	assert_ok(be_storage_memory_create(&storage));
	assert_status(be_copy(budget, storage, stop_at_once, &records), BE_STOPPED);
	cr_assert_gt(records, 0);
	options.storage = storage;
	assert_status(be_open(NULL, &options, &copied), BE_NOT_AN_ENVIRONMENT);
	/* What is not in the second copy must not stay there from the first. */
	fixture_advance(1);
	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, NULL));
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	assert_ok(be_copy(budget, storage, NULL, NULL));
	copied = open_copy(storage);
	assert_alike(copied, budget);
	be_close(copied);
	be_storage_memory_destroy(storage);
}

BEHAVIOUR_TEST(backup, nothing_is_copied_over)
{
	struct be_storage *storage;
	void *txn;

	spend(budget);
	assert_ok(be_storage_memory_create(&storage));
	assert_ok(be_copy(budget, storage, NULL, NULL));
	assert_status(be_copy(budget, storage, NULL, NULL), BE_ALREADY_THERE);
	be_storage_memory_destroy(storage);
	assert_ok(be_storage_memory_create(&storage));
	assert_number(storage->ops->begin(storage->self, true, &txn), 0);
	assert_number(storage->ops->put(storage->self, txn, (struct be_bytes){"x", 1},
					(struct be_bytes){"y", 1}),
		      0);
	assert_number(storage->ops->commit(storage->self, txn), 0);
	assert_status(be_copy(budget, storage, NULL, NULL), BE_NOT_AN_ENVIRONMENT);
	assert_status(be_copy(NULL, storage, NULL, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_copy(budget, NULL, NULL, NULL), BE_INVALID_ARGUMENT);
	be_storage_memory_destroy(storage);
}
