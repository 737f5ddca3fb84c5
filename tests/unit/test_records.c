/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things stand in a record that every version must find; what a record counts for in the
 * digest; and that the digest in the header is that of all other records after each txn, whatever
 * the txn wrote, over LMDB and memory alike, so that each proves itself.
 */
#include "records/ledger.h"
#include "storage/lmdb/lmdb.h"
#include "storage/lmdb/newest.h"
#include "storage/lmdb/pages.h"
#include "support.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct be_bytes bytes_of(const struct record_value *value)
{
	return (struct be_bytes){value->bytes, value->size};
}

static void make_header(struct record_key *key, struct record_value *value)
{
	struct header header = {.next_envelope_id = 1,
				.next_commit_id = 2,
				.next_transaction_id = 3,
				.next_alert_id = 4,
				.digest = UINT64_C(0x123456789abcdef0),
				.txn = 77};

	record_key_header(key);
	record_encode_header(value, &header);
}

Test(records, type_format_and_size_stand_where_they_always_stood)
{
	struct record_value value;
	struct record_key key;
	uint16_t size;

	make_header(&key, &value);
	memcpy(&size, value.bytes + 6, sizeof size);
	cr_assert_eq(value.bytes[4], RECORD_HEADER);
	cr_assert_eq(value.bytes[5], RECORD_FORMAT);
	cr_assert_eq(size, value.size);
}

Test(records, a_header_of_format_2_is_an_older_one)
{
	/* Its head had no more than a checksum of 32 bits. */
	uint8_t bytes[120] = {1, 2, 3, 4, RECORD_HEADER, 2, sizeof bytes, 0, 'b', 'u', 'd'};
	struct header header;

	cr_assert_eq(record_decode_header((struct be_bytes){bytes, sizeof bytes}, &header),
		     BE_OLDER_FORMAT);
}

Test(records, the_header_tells_txn_and_digest_unless_a_bit_of_it_has_changed)
{
	struct record_value value;
	struct record_key key, other;
	uint64_t txn = 0, digest = 0;

	make_header(&key, &value);
	cr_assert(record_is_header(record_key_bytes(&key)));
	cr_assert(record_read_header(record_key_bytes(&key), bytes_of(&value), &txn, &digest));
	cr_assert_eq(txn, 77);
	cr_assert_eq(digest, UINT64_C(0x123456789abcdef0));
	for (size_t bit = 0; bit < (size_t)8 * value.size; bit++) {
		value.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		cr_assert(!record_read_header(record_key_bytes(&key), bytes_of(&value), &txn,
					      &digest));
		value.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (uint16_t size = 0; size < value.size; size++)
		cr_assert(!record_read_header(record_key_bytes(&key),
					      (struct be_bytes){value.bytes, size}, &txn, &digest));
	record_key_id(&other, RECORD_COMMIT, 1);
	cr_assert(!record_is_header(record_key_bytes(&other)));
	cr_assert(!record_read_header(record_key_bytes(&other), bytes_of(&value), &txn, &digest));
}

Test(records, every_bit_of_key_and_value_counts_in_the_digest)
{
	struct record_value value;
	struct record_key key;
	uint64_t digest;

	make_header(&key, &value);
	digest = record_digest(record_key_bytes(&key), bytes_of(&value));
	cr_assert_eq(digest, record_part(record_key_bytes(&key), bytes_of(&value)));
	for (size_t bit = 0; bit < (size_t)8 * value.size; bit++) {
		value.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		cr_assert_neq(record_digest(record_key_bytes(&key), bytes_of(&value)), digest);
		value.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	record_key_deadline(&key, 1000, 1);
	digest = record_digest(record_key_bytes(&key), (struct be_bytes){"", 0});
	cr_assert_eq(digest, record_part(record_key_bytes(&key), (struct be_bytes){"", 0}));
	for (size_t bit = 0; bit < (size_t)8 * key.size; bit++) {
		key.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		cr_assert_neq(record_digest(record_key_bytes(&key), (struct be_bytes){"", 0}),
			      digest);
		key.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

/* ---- the digest in the header */

/* Of all records but the header, recomputed from their bytes, in a txn that is open. */
static uint64_t digest_of_all(struct ledger *ledger)
{
	struct record_key from = {.size = 1, .bytes = {0}};
	struct be_bytes key, value;
	uint64_t digest = 0;

	while (ledger_next(ledger, record_key_bytes(&from), &key, &value) == 0) {
		if (!record_is_header(key))
			digest += record_digest(key, value);
		memcpy(from.bytes, key.data, key.size);
		from.bytes[key.size] = 0;
		from.size = (uint16_t)(key.size + 1);
	}
	return digest;
}

/* As its meta pages say; it proves itself by what records vouch for. */
static uint64_t newest_txn(const char *directory)
{
	struct pages_fault fault;
	struct meta_page metas[2];
	char path[PATH_MAX];
	bool may_go_back;
	uint64_t pages;
	int fd;

	snprintf(path, sizeof path, "%s/data.mdb", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0 && pread(fd, &metas[0], sizeof metas[0], 0) == sizeof metas[0]);
	cr_assert(pread(fd, &metas[1], sizeof metas[1], metas[0].trees[0].pad) == sizeof metas[1]);
	pages = (uint64_t)lseek(fd, 0, SEEK_END) / metas[0].trees[0].pad;
	cr_assert_eq(newest_prove(fd, metas, pages, &record_vouching, &may_go_back, &fault), BE_OK);
	close(fd);
	return metas[0].txn < metas[1].txn ? metas[1].txn : metas[0].txn;
}

/* `directory` is NULL for a storage that has no numbers. */
static void expect_true_header(const struct be_storage *storage, const char *directory)
{
	struct ledger ledger;

	cr_assert_eq(ledger_begin(&ledger, storage, false), BE_OK);
	cr_assert_eq(ledger_header(&ledger), BE_OK);
	cr_assert_eq(ledger.header.digest, digest_of_all(&ledger));
	cr_assert_eq(ledger.header.txn, directory ? newest_txn(directory) : 0);
	ledger_abort(&ledger);
}

static const struct name llm = {.category = "llm", .category_size = 3};

typedef enum be_status step(struct ledger *ledger);

static enum be_status initialise(struct ledger *ledger)
{
	return ledger_initialise(ledger, 1);
}

static enum be_status make_envelope(struct ledger *ledger)
{
	struct envelope envelope = {.id = 1, .tally = 1, .limit = 10, .window_first = 1};

	name_copy(&envelope.name, &llm);
	return ledger_envelope_put(ledger, &envelope);
}

/* Twice by way of one structure. */
static enum be_status change_envelope(struct ledger *ledger)
{
	struct envelope envelope;
	enum be_status status = (enum be_status)ledger_envelope_get(ledger, &llm, &envelope);

	for (int i = 0; status == BE_OK && i < 2; i++) {
		envelope.spent++;
		status = ledger_envelope_put(ledger, &envelope);
	}
	return status;
}

static enum be_status remove_envelope(struct ledger *ledger)
{
	struct envelope envelope;
	enum be_status status = (enum be_status)ledger_envelope_get(ledger, &llm, &envelope);

	return status == BE_OK ? ledger_envelope_del(ledger, &envelope) : status;
}

static enum be_status make_commit(struct ledger *ledger)
{
	struct commit commit = {.id = 1, .envelope_id = 1, .amount = 1, .deadline_ns = 5};

	name_copy(&commit.name, &llm);
	return ledger_commit_put(ledger, &commit);
}

static enum be_status extend_commit(struct ledger *ledger)
{
	struct commit commit;
	enum be_status status = (enum be_status)ledger_commit_get(ledger, 1, &commit);

	commit.deadline_ns = 7;
	return status == BE_OK ? ledger_commit_replace(ledger, &commit, 5) : status;
}

static enum be_status reap_commit(struct ledger *ledger)
{
	struct commit commit;
	enum be_status status = (enum be_status)ledger_commit_get(ledger, 1, &commit);

	commit.state = BE_COMMIT_EXPIRED;
	return status == BE_OK ? ledger_commit_end(ledger, &commit) : status;
}

static enum be_status settle_late(struct ledger *ledger)
{
	struct commit commit;
	enum be_status status = (enum be_status)ledger_commit_get(ledger, 1, &commit);

	commit.state = BE_COMMIT_SETTLED;
	return status == BE_OK ? ledger_commit_put(ledger, &commit) : status;
}

static enum be_status forget_commit(struct ledger *ledger)
{
	return ledger_ended_del(ledger, 1);
}

static enum be_status charge(struct ledger *ledger)
{
	struct transaction transaction = {
		.id = 1, .kind = BE_TRANSACTION_RECORD, .amount = 1, .depth = 1, .chain = {1}};

	name_copy(&transaction.name, &llm);
	return ledger_transaction_put(ledger, &transaction);
}

static enum be_status forget_charge(struct ledger *ledger)
{
	return ledger_transaction_del(ledger, 1);
}

static enum be_status leap(struct ledger *ledger)
{
	return ledger_leap(ledger, 1);
}

static void take_steps(const struct be_storage *storage, const char *directory)
{
	static step *const steps[] = {
		initialise,    make_envelope, change_envelope, make_commit,
		extend_commit, reap_commit,   charge,          settle_late,
		leap,          forget_commit, forget_charge,   remove_envelope,
	};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct ledger ledger;

		/* What is dropped leaves no trace. */
		cr_assert_eq(ledger_begin(&ledger, storage, true), BE_OK);
		cr_assert_eq(steps[i](&ledger), BE_OK, "step %zu: %s", i, be_last_error());
		ledger_abort(&ledger);
		if (i > 0)
			expect_true_header(storage, directory);
		cr_assert_eq(ledger_begin(&ledger, storage, true), BE_OK);
		cr_assert_eq(steps[i](&ledger), BE_OK);
		cr_assert_eq(ledger_commit(&ledger, 0), BE_OK);
		expect_true_header(storage, directory);
	}
}

Test(records, the_header_knows_digest_and_number_after_each_txn_of_lmdb)
{
	char directory[256];
	struct lmdb_settings settings = {
		.path = directory, .create = true, .mode = 0600, .map_size = 1 << 30};
	struct lmdb_storage *lmdb;

	test_make_directory(directory, sizeof directory, "records");
	cr_assert_eq(lmdb_storage_open(&settings, &lmdb), BE_OK, "%s", be_last_error());
	take_steps(lmdb_storage_interface(lmdb), directory);
	lmdb_storage_close(lmdb);
	test_remove(directory);
}

Test(records, the_header_knows_the_digest_after_each_txn_in_memory)
{
	struct be_storage *storage;

	cr_assert_eq(be_storage_memory_create(&storage), BE_OK);
	take_steps(storage, NULL);
	be_storage_memory_destroy(storage);
}
