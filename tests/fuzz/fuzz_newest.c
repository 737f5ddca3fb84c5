/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of the newest txn over any bytes: it answers, reads only what it has, and ends. An
 * input is a list of changes to a real file: place, length, bytes. The file has both trees, branch
 * pages, and lists of free pages inline and on pages of their own. Nothing else than a sound file
 * may be accepted, as far as pages_check() can tell. Bytes that mean nothing may differ.
 */
#include "fuzz.h"

#include "base/error.h"
#include "storage/lmdb/newest.h"
#include "storage/lmdb/preflight.h"

#include <lmdb.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 22)

static unsigned char *base;
static size_t base_size;
static int file = -1;

/* Accepts all records, so that what comes after them is reached. */
static uint64_t no_digest(struct be_bytes key, struct be_bytes value)
{
	uint64_t sum = 0;

	/* Reads all of both, as a checksum would. */
	for (size_t i = 0; i < key.size; i++)
		sum += ((const unsigned char *)key.data)[i];
	for (size_t i = 0; i < value.size; i++)
		sum += ((const unsigned char *)value.data)[i];
	return sum - sum;
}

static bool is_header(struct be_bytes key)
{
	return key.size == 1 && *(const char *)key.data == 'h';
}

static bool read_header(struct be_bytes key, struct be_bytes value, uint64_t *txn, uint64_t *digest)
{
	(void)key;
	*digest = 0;
	if (value.size != sizeof *txn)
		return false;
	memcpy(txn, value.data, sizeof *txn);
	return true;
}

static bool is_foreign(struct be_bytes value)
{
	return value.size == 0;
}

static void write_txn(MDB_env *env, unsigned first, unsigned step, unsigned count)
{
	char name[16], bytes[300] = "value";
	MDB_val key = {1, (void *)(uintptr_t) "h"}, value = {8, NULL};
	uint64_t number;
	MDB_txn *txn;
	MDB_dbi dbi;

	assert(mdb_txn_begin(env, NULL, 0, &txn) == 0);
	assert(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
	number = mdb_txn_id(txn);
	value.mv_data = &number;
	assert(mdb_put(txn, dbi, &key, &value, 0) == 0);
	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof name, "k%08u", first + i * step);
		key = (MDB_val){strlen(name), name};
		value = (MDB_val){sizeof bytes, bytes};
		assert(mdb_put(txn, dbi, &key, &value, 0) == 0);
	}
	assert(mdb_txn_commit(txn) == 0);
}

static void make_base(void)
{
	char directory[] = "/tmp/fuzz-newest-XXXXXX", path[64];
	MDB_env *env;
	FILE *data;

	assert(mkdtemp(directory));
	assert(mdb_env_create(&env) == 0);
	assert(mdb_env_set_mapsize(env, FILE_MAX * 4) == 0);
	assert(mdb_env_open(env, directory, MDB_NOSYNC, 0600) == 0);
	write_txn(env, 0, 1, 4000);
	write_txn(env, 0, 11, 360); /* a leaf each: their list has pages of its own */
	write_txn(env, 5, 40, 8);
	write_txn(env, 7, 300, 6);
	mdb_env_close(env);
	snprintf(path, sizeof path, "%s/data.mdb", directory);
	data = fopen(path, "rb");
	base = malloc(FILE_MAX);
	assert(data && base);
	base_size = fread(base, 1, FILE_MAX, data);
	fclose(data);
	unlink(path);
	snprintf(path, sizeof path, "%s/lock.mdb", directory);
	unlink(path);
	rmdir(directory);
	assert(base_size > 0 && base_size < FILE_MAX);
	file = memfd_create("newest", MFD_CLOEXEC);
	assert(file >= 0 && pwrite(file, base, base_size, 0) == (ssize_t)base_size);
}

struct place {
	uint32_t offset;
	uint8_t from_page; /* a page number, and the offset is one within it */
	uint8_t size;
};

/* Applies the changes, or undoes them. */
static void change(const uint8_t *data, size_t size, bool undo)
{
	struct place place;

	for (; size >= sizeof place; data += place.size, size -= place.size) {
		size_t at;

		memcpy(&place, data, sizeof place);
		data += sizeof place;
		size -= sizeof place;
		if (place.size > size)
			place.size = (uint8_t)size;
		at = place.from_page < 32 ? place.from_page * 4096u + place.offset % 4096
					  : place.offset % base_size;
		if (place.size > base_size - at)
			continue;
		assert(pwrite(file, undo ? base + at : data, place.size, (off_t)at) == place.size);
	}
}

static void prove(void)
{
	static const struct vouching all = {
		no_digest, is_header, read_header, {"h", 1}, is_foreign,
	};
	size_t head_size = LMDB_PAGE_MAX + sizeof(struct meta_page);
	unsigned char *head = malloc(head_size);
	struct pages_fault fault;
	struct meta_page metas[2];
	enum be_status status;
	bool may_go_back;
	uint32_t page_size;
	uint64_t pages;

	assert(head && pread(file, head, head_size, 0) == (ssize_t)head_size);
	error_clear();
	if (preflight_meta_pages("data.mdb", head, head_size, base_size) != BE_OK)
		goto out;
	memcpy(&metas[0], head, sizeof metas[0]);
	page_size = metas[0].trees[0].pad;
	memcpy(&metas[1], head + page_size, sizeof metas[1]);
	pages = base_size / page_size;
	status = newest_prove(file, metas, pages, &all, &may_go_back, &fault);
	assert(status == BE_OK || status == BE_DAMAGED || status == BE_NO_MEMORY);
	assert((status == BE_DAMAGED) == (fault.text[0] != '\0'));
	assert(!may_go_back || status == BE_DAMAGED);
	/* Whatever is wrong with the bytes, they may be written again. */
	assert(newest_rewrite(file, metas, pages, &all, &fault) == status);
out:
	free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!base)
		make_base();
	change(data, size, false);
	prove();
	assert(pwrite(file, base, 8192, 0) == 8192);
	change(data, size, true);
	return 0;
}
