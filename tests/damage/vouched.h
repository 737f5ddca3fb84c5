/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An environment of bare LMDB without flushes, whose records vouch for themselves in a format of
 * this test's own: a header record with the txn's number and a digest. And a look at the bytes of
 * its file: which of them mean something.
 */
#ifndef VOUCHED_H
#define VOUCHED_H

#include "storage/lmdb/newest.h"

#include <lmdb.h>

#define PAGE 4096
#define SECTOR 512
#define VALUE_MAX 600
#define HEADER_KEY "!header"

extern const struct vouching vouched;

struct vouched_header {
	uint64_t txn;
	uint64_t digest;
	uint64_t other; /* which only the checksum knows */
	uint64_t checksum;
};

uint64_t vouched_checksum(const struct vouched_header *header);

struct vouched_env {
	MDB_env *env;
	MDB_dbi dbi;
	int fd;
	char path[512];
	MDB_txn *txn;
	uint64_t digest;
};

/* Opens or makes an environment. */
void vouched_open(struct vouched_env *env, const char *directory);
void vouched_close(struct vouched_env *env);

/* A txn: any number of puts and deletes between the two. */
void vouched_begin(struct vouched_env *env);
void vouched_put(struct vouched_env *env, const char *key, const void *value, size_t size);
void vouched_delete(struct vouched_env *env, const char *key);
void vouched_commit(struct vouched_env *env);

/* Asks for the verdict on a file. */
enum be_status vouched_prove(int fd, bool *may_go_back, struct pages_fault *fault);

/* A file in memory. */
struct bytes {
	unsigned char *data;
	size_t size;
};

struct bytes bytes_of(int fd);
const struct meta_page *bytes_meta(const struct bytes *file, int slot);
const struct meta_page *bytes_newest(const struct bytes *file);

/* The bytes of a sound file that its newest txn has a use for, a flag for each; and in *records a
 * digest of all records in their order. Free lists' ends, gaps, padding and what LMDB ignores are
 * no use. */
unsigned char *bytes_used(const struct bytes *file, uint64_t *records);

#endif
