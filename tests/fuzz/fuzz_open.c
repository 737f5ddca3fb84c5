/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole data file. The library's own reading of it judges any bytes, and ends. LMDB, which trusts
 * its pages, could crash on most of them and so sees only what was found whole: that opens, can be
 * listed and verified, whatever its records say, without a crash.
 */
#include "fuzz.h"

#include "storage/lmdb/pages.h"
#include "storage/lmdb/preflight.h"

#include <budget_enforcer.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[256], data_file[288];

static void remove_directory(void)
{
	static const char *const names[] = {"data.mdb", "lock.mdb", "be-owners", "be-group"};
	char path[288];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
}

static void make_directory(void)
{
	const char *parent = getenv("TMPDIR");

	if (directory[0])
		return;
	snprintf(directory, sizeof directory, "%s/be-fuzz-open-XXXXXX", parent ? parent : "/tmp");
	assert(mkdtemp(directory));
	atexit(remove_directory);
	snprintf(data_file, sizeof data_file, "%s/data.mdb", directory);
}

static bool ignore_envelope(void *context, const struct be_envelope *envelope)
{
	(void)context;
	return envelope->size > 0;
}

static bool ignore_commit(void *context, const struct be_commit_info *commit)
{
	(void)context;
	return commit->size > 0;
}

static bool ignore_transaction(void *context, const struct be_transaction *transaction)
{
	(void)context;
	return transaction->size > 0;
}

/* Any status will do. */
static void read_through_lmdb(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.flags = BE_OPEN_READ_ONLY;
	options.map_size = 1 << 22;
	if (be_open(directory, &options, &handle) != BE_OK)
		return;
	(void)!be_envelopes_each(handle, NULL, ignore_envelope, NULL);
	(void)!be_commits_each(handle, NULL, ignore_commit, NULL);
	(void)!be_transactions_each(handle, NULL, ignore_transaction, NULL);
	(void)!be_verify(handle, NULL, NULL, NULL);
	be_close(handle);
}

static uint64_t newest_txn(const uint8_t *data)
{
	struct meta_page metas[2];

	memcpy(&metas[0], data, sizeof metas[0]);
	memcpy(&metas[1], data + metas[0].trees[0].pad, sizeof metas[1]);
	return metas[0].txn < metas[1].txn ? metas[1].txn : metas[0].txn;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum be_status status;
	bool exists, outdated;
	int fd;

	make_directory();
	fd = open(data_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	status = preflight_data_file(data_file, fd, &exists);
	if (status == BE_OK && exists) {
		status = preflight_all_pages(data_file, fd, newest_txn(data), &outdated);
		assert(!outdated && (status == BE_OK || status == BE_DAMAGED));
		/* What is found whole when all is read is not found cut short when little is. */
		assert(status != BE_OK ||
		       preflight_pages(data_file, fd, newest_txn(data)) == BE_OK);
		if (status == BE_OK)
			read_through_lmdb();
	}
	close(fd);
	return 0;
}
