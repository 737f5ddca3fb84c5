/* SPDX-License-Identifier: Apache-2.0 */
#include "vouched.h"

#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPECT_LMDB(call) EXPECT_EQUAL(call, 0)

/* ---- records */

static uint64_t mix(uint64_t sum, const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		sum = (sum ^ ((const unsigned char *)data)[i]) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
	}
	return sum;
}

static uint64_t digest(struct be_bytes key, struct be_bytes value)
{
	return mix(mix(key.size, key.data, key.size), value.data, value.size);
}

static bool is_header(struct be_bytes key)
{
	return key.size == strlen(HEADER_KEY) && memcmp(key.data, HEADER_KEY, key.size) == 0;
}

uint64_t vouched_checksum(const struct vouched_header *header)
{
	return mix(1, header, offsetof(struct vouched_header, checksum));
}

static bool read_header(struct be_bytes key, struct be_bytes value, uint64_t *txn, uint64_t *sum)
{
	struct vouched_header header;

	(void)key;
	if (value.size != sizeof header)
		return false;
	memcpy(&header, value.data, sizeof header);
	*txn = header.txn;
	*sum = header.digest;
	return header.checksum == vouched_checksum(&header);
}

static bool is_foreign(struct be_bytes value)
{
	(void)value;
	return false;
}

const struct vouching vouched = {
	digest, is_header, read_header, {HEADER_KEY, sizeof HEADER_KEY - 1}, is_foreign,
};

/* ---- txns */

void vouched_open(struct vouched_env *env, const char *directory)
{
	MDB_txn *txn;
	MDB_val key = {strlen(HEADER_KEY), (void *)(uintptr_t)HEADER_KEY}, value;

	*env = (struct vouched_env){.fd = -1};
	mkdir(directory, 0700);
	snprintf(env->path, sizeof env->path, "%s/data.mdb", directory);
	EXPECT_LMDB(mdb_env_create(&env->env));
	EXPECT_LMDB(mdb_env_set_mapsize(env->env, (size_t)8 << 30));
	EXPECT_LMDB(mdb_env_open(env->env, directory, MDB_NOSYNC | MDB_NOTLS, 0600));
	EXPECT_LMDB(mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn));
	EXPECT_LMDB(mdb_dbi_open(txn, NULL, 0, &env->dbi));
	if (mdb_get(txn, env->dbi, &key, &value) == 0)
		memcpy(&env->digest, (char *)value.mv_data + 8, 8);
	mdb_txn_abort(txn);
	env->fd = open(env->path, O_RDWR | O_CLOEXEC);
	EXPECT(env->fd >= 0);
}

void vouched_close(struct vouched_env *env)
{
	mdb_env_close(env->env);
	close(env->fd);
}

void vouched_begin(struct vouched_env *env)
{
	EXPECT_LMDB(mdb_txn_begin(env->env, NULL, 0, &env->txn));
}

static struct be_bytes as_bytes(MDB_val value)
{
	return (struct be_bytes){value.mv_data, value.mv_size};
}

static bool subtract(struct vouched_env *env, MDB_val key)
{
	MDB_val old;

	if (mdb_get(env->txn, env->dbi, &key, &old) != 0)
		return false;
	env->digest -= digest(as_bytes(key), as_bytes(old));
	return true;
}

void vouched_put(struct vouched_env *env, const char *name, const void *data, size_t size)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name};
	MDB_val value = {size, (void *)(uintptr_t)data};

	subtract(env, key);
	env->digest += digest(as_bytes(key), as_bytes(value));
	EXPECT_LMDB(mdb_put(env->txn, env->dbi, &key, &value, 0));
}

void vouched_delete(struct vouched_env *env, const char *name)
{
	MDB_val key = {strlen(name), (void *)(uintptr_t)name};

	if (subtract(env, key))
		EXPECT_LMDB(mdb_del(env->txn, env->dbi, &key, NULL));
}

void vouched_commit(struct vouched_env *env)
{
	struct vouched_header header = {.txn = mdb_txn_id(env->txn), .digest = env->digest};
	MDB_val key = {strlen(HEADER_KEY), (void *)(uintptr_t)HEADER_KEY};
	MDB_val value = {sizeof header, &header};

	header.other = header.txn * 3;
	header.checksum = vouched_checksum(&header);
	EXPECT_LMDB(mdb_put(env->txn, env->dbi, &key, &value, 0));
	EXPECT_LMDB(mdb_txn_commit(env->txn));
}

enum be_status vouched_prove(int fd, bool *may_go_back, struct pages_fault *fault)
{
	struct meta_page metas[2];
	struct stat state;

	EXPECT_EQUAL(fstat(fd, &state), 0);
	for (int i = 0; i < 2; i++)
		EXPECT_EQUAL(pread(fd, &metas[i], sizeof metas[i], (off_t)i * PAGE),
			     sizeof metas[i]);
	return newest_prove(fd, metas, (uint64_t)state.st_size / PAGE, &vouched, may_go_back,
			    fault);
}

/* ---- files */

struct bytes bytes_of(int fd)
{
	struct bytes file;
	struct stat state;

	EXPECT_EQUAL(fstat(fd, &state), 0);
	file.size = (size_t)state.st_size;
	file.data = malloc(file.size);
	EXPECT(file.data);
	EXPECT_EQUAL(pages_read(fd, file.data, file.size, 0), file.size);
	return file;
}

const struct meta_page *bytes_meta(const struct bytes *file, int slot)
{
	return (const struct meta_page *)(const void *)(file->data + (size_t)slot * PAGE);
}

const struct meta_page *bytes_newest(const struct bytes *file)
{
	return bytes_meta(file, bytes_meta(file, 0)->txn < bytes_meta(file, 1)->txn);
}

struct marking {
	const struct bytes *file;
	unsigned char *used;
	uint64_t records;
};

static void mark(struct marking *marking, size_t offset, size_t size)
{
	EXPECT(offset + size <= marking->file->size);
	memset(marking->used + offset, 1, size);
}

static void mark_list(struct marking *marking, size_t list)
{
	uint64_t count;

	memcpy(&count, marking->file->data + list, sizeof count);
	mark(marking, list, (size_t)(count + 1) * sizeof count);
}

static void mark_value(struct marking *marking, int tree, const struct node_header *node,
		       size_t key)
{
	size_t value = key + node->key_size;
	size_t size = node->low | (size_t)node->high << 16;
	uint64_t first;

	mark(marking, key, node->key_size);
	if (tree == 1) {
		mark(marking, value, size);
		marking->records =
			mix(marking->records, marking->file->data + key, node->key_size + size);
	} else if (node->flags & LMDB_OVERFLOW_NODE) {
		memcpy(&first, marking->file->data + value, sizeof first);
		mark(marking, value, sizeof first);
		mark(marking, first * PAGE, 8);
		mark(marking, first * PAGE + 10, 6);
		mark_list(marking, first * PAGE + 16);
	} else {
		mark_list(marking, value);
	}
}

static void mark_page(struct marking *marking, int tree, uint64_t number, unsigned levels)
{
	const unsigned char *page = marking->file->data + number * PAGE;
	size_t start = (size_t)number * PAGE;
	struct page_header header;

	memcpy(&header, page, sizeof header);
	EXPECT_EQUAL(header.number, number);
	mark(marking, start, 8);
	mark(marking, start + 10, header.lower - 10u);
	for (size_t i = 0; i < (header.lower - sizeof header) / 2; i++) {
		struct node_header node;
		uint16_t offset;

		memcpy(&offset, page + sizeof header + i * 2, sizeof offset);
		memcpy(&node, page + offset, sizeof node);
		mark(marking, start + offset, sizeof node);
		if (levels == 1) {
			mark_value(marking, tree, &node, start + offset + sizeof node);
			continue;
		}
		if (i > 0)
			mark(marking, start + offset + sizeof node, node.key_size);
		mark_page(marking, tree,
			  node.low | (uint64_t)node.high << 16 | (uint64_t)node.flags << 32,
			  levels - 1);
	}
}

unsigned char *bytes_used(const struct bytes *file, uint64_t *records)
{
	const struct meta_page *meta = bytes_newest(file);
	struct marking marking = {file, calloc(file->size, 1), 0};

	EXPECT(marking.used);
	for (int tree = 0; tree < 2; tree++)
		if (meta->trees[tree].depth > 0)
			mark_page(&marking, tree, meta->trees[tree].root, meta->trees[tree].depth);
	*records = marking.records;
	return marking.used;
}
