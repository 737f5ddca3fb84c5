/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every storage promises (budget_enforcer_storage.h), over LMDB and memory alike: order, own
 * changes, abort, one state per read txn, one writer at a time. Each test runs once per storage, in
 * a process of its own; and over a server instead, where place.h has one. Threads
 * count their findings; only the main thread asserts.
 */
#include "place.h"
#include "storage/lmdb/lmdb.h"
#include "support.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind {
	LMDB,
	MEMORY,
	SERVER
};

static const char *const kind_names[] = {"LMDB", "memory", "server"};

struct fixture {
	enum kind kind;
	char directory[256];
	struct lmdb_storage *lmdb;
	struct be_storage *storage;
};

#define STORAGE_TEST(name)                                                                         \
	ParameterizedTestParameters(storages, name)                                                \
	{                                                                                          \
		static enum kind kinds[] = {LMDB, MEMORY};                                         \
		static enum kind server[] = {SERVER};                                              \
                                                                                                   \
		return place_server() ? cr_make_param_array(enum kind, server, 1)                  \
				      : cr_make_param_array(enum kind, kinds, 2);                  \
	}                                                                                          \
	ParameterizedTest(enum kind *kind, storages, name)

/* An environment of this test's. */
static void setup_server(struct fixture *f)
{
	char name[32];

	snprintf(name, sizeof name, "t%d", (int)getpid());
	cr_assert_eq(place_open(place_server(), name, &f->storage), BE_OK, "%s", be_last_error());
}

static void setup(struct fixture *f, enum kind kind)
{
	struct lmdb_settings settings = {
		.path = f->directory, .create = true, .mode = 0600, .map_size = 1 << 30};

	memset(f, 0, sizeof *f);
	f->kind = kind;
	if (kind == SERVER) {
		setup_server(f);
		return;
	}
	if (kind == MEMORY) {
		cr_assert_eq(be_storage_memory_create(&f->storage), BE_OK);
		return;
	}
	test_make_directory(f->directory, sizeof f->directory, "storages");
	cr_assert_eq(lmdb_storage_open(&settings, &f->lmdb), BE_OK, "%s", be_last_error());
	f->storage = lmdb_storage_interface(f->lmdb);
}

static void teardown(struct fixture *f)
{
	if (f->kind == SERVER) {
		place_close(f->storage);
		return;
	}
	if (f->kind == MEMORY) {
		be_storage_memory_destroy(f->storage);
		return;
	}
	lmdb_storage_close(f->lmdb);
	test_remove(f->directory);
}

/* ------------------------------------------------------------- short forms */

static struct be_bytes text(const char *string)
{
	return (struct be_bytes){.data = string, .size = strlen(string)};
}

static bool equal(struct be_bytes a, struct be_bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void *begin(struct fixture *f, bool write)
{
	void *txn = NULL;

	cr_assert_eq(f->storage->ops->begin(f->storage->self, write, &txn), 0, "%s",
		     be_last_error());
	return txn;
}

static void commit(struct fixture *f, void *txn)
{
	cr_assert_eq(f->storage->ops->commit(f->storage->self, txn), 0, "%s", be_last_error());
}

static void end(struct fixture *f, void *txn)
{
	f->storage->ops->abort(f->storage->self, txn);
}

static int get(struct fixture *f, void *txn, struct be_bytes key, struct be_bytes *value)
{
	return f->storage->ops->get(f->storage->self, txn, key, value);
}

static void put(struct fixture *f, void *txn, struct be_bytes key, struct be_bytes value)
{
	cr_assert_eq(f->storage->ops->put(f->storage->self, txn, key, value), 0, "%s",
		     be_last_error());
}

static int del(struct fixture *f, void *txn, struct be_bytes key)
{
	return f->storage->ops->del(f->storage->self, txn, key);
}

static int next(struct fixture *f, void *txn, struct be_bytes from, struct be_bytes *key,
		struct be_bytes *value)
{
	return f->storage->ops->next(f->storage->self, txn, from, key, value);
}

static void expect_value(struct fixture *f, void *txn, struct be_bytes key,
			 struct be_bytes expected)
{
	struct be_bytes value = {NULL, 0};

	cr_assert_eq(get(f, txn, key, &value), 0, "no such key");
	cr_assert(equal(value, expected), "%zu bytes, expected %zu", value.size, expected.size);
}

static void expect_absent(struct fixture *f, void *txn, struct be_bytes key)
{
	struct be_bytes value;

	cr_assert_eq(get(f, txn, key, &value), BE_STORAGE_NOT_FOUND);
}

/* The record after `key`: a walk begins at the empty key and appends a zero byte to each. */
static int after(struct fixture *f, void *txn, struct be_bytes *key, struct be_bytes *value)
{
	unsigned char from[BE_STORAGE_KEY_MAX + 1];

	cr_assert_leq(key->size, BE_STORAGE_KEY_MAX);
	if (key->size == 0)
		return next(f, txn, (struct be_bytes){from, 0}, key, value);
	memcpy(from, key->data, key->size);
	from[key->size] = 0;
	return next(f, txn, (struct be_bytes){from, key->size + 1}, key, value);
}

/* ------------------------------------------------------------------ records */

STORAGE_TEST(an_empty_storage_has_nothing)
{
	struct fixture f;
	struct be_bytes key = {NULL, 0};
	struct be_bytes value;
	void *txn;

	setup(&f, *kind);
	for (int write = 0; write < 2; write++) {
		txn = begin(&f, write);
		expect_absent(&f, txn, text("a"));
		cr_assert_eq(next(&f, txn, text("a"), &key, &value), BE_STORAGE_NOT_FOUND);
		cr_assert_eq(after(&f, txn, &(struct be_bytes){NULL, 0}, &value),
			     BE_STORAGE_NOT_FOUND);
		if (write)
			cr_assert_eq(del(&f, txn, text("a")), BE_STORAGE_NOT_FOUND);
		end(&f, txn);
	}
	teardown(&f);
}

STORAGE_TEST(keys_are_ordered_by_their_bytes_and_a_prefix_comes_first)
{
	static const struct be_bytes ordered[] = {
		{"\0", 1},    {"\0\0", 2}, {"\0\1", 2}, {"\1", 1},     {"a", 1},        {"a\0", 2},
		{"a\0\0", 3}, {"a\0b", 3}, {"a\1", 2},  {"aa", 2},     {"ab", 2},       {"b", 1},
		{"\x7f", 1},  {"\x80", 1}, {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff", 2},
	};
	static const size_t count = sizeof ordered / sizeof *ordered;
	struct be_bytes key = {NULL, 0};
	struct be_bytes value;
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	for (size_t i = 0; i < count; i++) /* 7 and 17 have no common divisor: all, out of order */
		put(&f, txn, ordered[i * 7 % count], ordered[i * 7 % count]);
	commit(&f, txn);
	for (int write = 0; write < 2; write++) {
		txn = begin(&f, write);
		key = (struct be_bytes){NULL, 0};
		for (size_t i = 0; i < count; i++) {
			cr_assert_eq(after(&f, txn, &key, &value), 0, "the walk ended at %zu", i);
			cr_assert(equal(key, ordered[i]), "record %zu is another one", i);
			cr_assert(equal(value, ordered[i]), "record %zu has another's value", i);
		}
		cr_assert_eq(after(&f, txn, &key, &value), BE_STORAGE_NOT_FOUND);
		end(&f, txn);
	}
	teardown(&f);
}

STORAGE_TEST(next_finds_the_key_itself_or_the_one_after_it)
{
	struct be_bytes key;
	struct be_bytes value;
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	put(&f, txn, text("b"), text("1"));
	put(&f, txn, text("d"), text("2"));
	commit(&f, txn);
	txn = begin(&f, false);
	cr_assert_eq(next(&f, txn, text("d"), &key, &value), 0);
	cr_assert(equal(key, text("d")) && equal(value, text("2")));
	cr_assert_eq(next(&f, txn, text("a"), &key, &value), 0, "also backwards");
	cr_assert(equal(key, text("b")) && equal(value, text("1")));
	cr_assert_eq(next(&f, txn, text("c"), &key, &value), 0);
	cr_assert(equal(key, text("d")));
	cr_assert_eq(next(&f, txn, text("e"), &key, &value), BE_STORAGE_NOT_FOUND);
	cr_assert_eq(next(&f, txn, text("b"), &key, &value), 0, "also after the end");
	cr_assert(equal(key, text("b")));
	end(&f, txn);
	teardown(&f);
}

STORAGE_TEST(a_value_may_be_replaced_by_one_of_any_size)
{
	static const size_t sizes[] = {5, 5, 1500, 0, 1, 0, 700, 1500, 1500, 3};
	static const size_t count = sizeof sizes / sizeof *sizes;
	char bytes[1500];
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	for (int in_one_txn = 0; in_one_txn < 2; in_one_txn++) {
		txn = begin(&f, true);
		for (size_t i = 0; i < count; i++) {
			memset(bytes, 'a' + (int)i, sizeof bytes);
			put(&f, txn, text("k"), (struct be_bytes){bytes, sizes[i]});
			put(&f, txn, text("l"), (struct be_bytes){bytes, sizes[count - 1 - i]});
			if (!in_one_txn) {
				commit(&f, txn);
				txn = begin(&f, true);
			}
			expect_value(&f, txn, text("k"), (struct be_bytes){bytes, sizes[i]});
			expect_value(&f, txn, text("l"),
				     (struct be_bytes){bytes, sizes[count - 1 - i]});
		}
		end(&f, txn);
	}
	teardown(&f);
}

STORAGE_TEST(the_largest_keys_and_values_fit)
{
	unsigned char key[BE_STORAGE_KEY_MAX];
	unsigned char value[BE_STORAGE_VALUE_MAX];
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	for (int i = 0; i < 200; i++) {
		memset(key, 0xff, sizeof key);
		key[sizeof key - 1] = (unsigned char)i;
		memset(value, i, sizeof value);
		put(&f, txn, (struct be_bytes){key, sizeof key},
		    (struct be_bytes){value, sizeof value});
	}
	commit(&f, txn);
	txn = begin(&f, false);
	for (int i = 0; i < 200; i++) {
		key[sizeof key - 1] = (unsigned char)i;
		memset(value, i, sizeof value);
		expect_value(&f, txn, (struct be_bytes){key, sizeof key},
			     (struct be_bytes){value, sizeof value});
	}
	end(&f, txn);
	teardown(&f);
}

STORAGE_TEST(put_copies_the_key_and_the_value)
{
	char key[] = "key";
	char value[] = "value";
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	put(&f, txn, text(key), text(value));
	memset(key, 'x', 3);
	memset(value, 'x', 5);
	expect_value(&f, txn, text("key"), text("value"));
	commit(&f, txn);
	txn = begin(&f, false);
	expect_value(&f, txn, text("key"), text("value"));
	end(&f, txn);
	teardown(&f);
}

/* ------------------------------------------------------------------- txns */

STORAGE_TEST(a_write_txn_sees_its_own_changes_wherever_it_looks)
{
	struct be_bytes key;
	struct be_bytes value;
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	put(&f, txn, text("a"), text("1"));
	put(&f, txn, text("c"), text("3"));
	cr_assert_eq(next(&f, txn, text("b"), &key, &value), 0);
	cr_assert(equal(key, text("c")));
	put(&f, txn, text("b"), text("2"));
	cr_assert_eq(next(&f, txn, text("b"), &key, &value), 0);
	cr_assert(equal(key, text("b")) && equal(value, text("2")));
	cr_assert_eq(del(&f, txn, text("b")), 0);
	cr_assert_eq(del(&f, txn, text("b")), BE_STORAGE_NOT_FOUND);
	expect_absent(&f, txn, text("b"));
	cr_assert_eq(next(&f, txn, text("b"), &key, &value), 0);
	cr_assert(equal(key, text("c")) && equal(value, text("3")));
	put(&f, txn, text("c"), text("4"));
	cr_assert_eq(next(&f, txn, text("b"), &key, &value), 0);
	cr_assert(equal(value, text("4")));
	cr_assert_eq(del(&f, txn, text("c")), 0);
	cr_assert_eq(next(&f, txn, text("b"), &key, &value), BE_STORAGE_NOT_FOUND);
	end(&f, txn);
	teardown(&f);
}

/* Reaping walks and removes what it finds, in one txn. */
STORAGE_TEST(a_walk_that_removes_what_it_finds_finds_all)
{
	struct be_bytes key = {NULL, 0};
	struct be_bytes value;
	unsigned char from[BE_STORAGE_KEY_MAX];
	size_t from_size;
	struct fixture f;
	char name[32];
	int found = 0;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "%08d", i * 7919 % 5000);
		put(&f, txn, text(name), text(name));
	}
	while (after(&f, txn, &key, &value) == 0) {
		snprintf(name, sizeof name, "%08d", found++);
		cr_assert(equal(key, text(name)));
		from_size = key.size;
		memcpy(from, key.data, from_size);
		cr_assert_eq(del(&f, txn, (struct be_bytes){from, from_size}), 0);
		key = (struct be_bytes){from, from_size};
	}
	cr_assert_eq(found, 5000);
	cr_assert_eq(next(&f, txn, text("0"), &key, &value), BE_STORAGE_NOT_FOUND);
	commit(&f, txn);
	teardown(&f);
}

STORAGE_TEST(abort_restores_and_commit_keeps)
{
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	put(&f, txn, text("kept"), text("1"));
	put(&f, txn, text("removed"), text("1"));
	commit(&f, txn);
	txn = begin(&f, true);
	put(&f, txn, text("kept"), text("another value"));
	put(&f, txn, text("kept"), text(""));
	put(&f, txn, text("added"), text("1"));
	cr_assert_eq(del(&f, txn, text("removed")), 0);
	put(&f, txn, text("removed"), text("2"));
	cr_assert_eq(del(&f, txn, text("removed")), 0);
	end(&f, txn);
	txn = begin(&f, false);
	expect_value(&f, txn, text("kept"), text("1"));
	expect_value(&f, txn, text("removed"), text("1"));
	expect_absent(&f, txn, text("added"));
	end(&f, txn);
	teardown(&f);
}

static void put_numbers(struct fixture *f, int from, int to, int step, const char *value)
{
	void *txn = begin(f, true);
	char name[32];

	for (int i = from; i < to; i += step) {
		snprintf(name, sizeof name, "%08d", i);
		put(f, txn, text(name), text(value));
	}
	commit(f, txn);
}

static void delete_numbers(struct fixture *f, int from, int to, int step)
{
	void *txn = begin(f, true);
	char name[32];

	for (int i = from; i < to; i += step) {
		snprintf(name, sizeof name, "%08d", i);
		cr_assert_eq(del(f, txn, text(name)), 0);
	}
	commit(f, txn);
}

/* Memory excludes writers meanwhile. */
STORAGE_TEST(a_walk_sees_one_state_whatever_others_change)
{
	struct be_bytes key = {NULL, 0};
	struct be_bytes value;
	struct fixture f;
	char name[32];
	void *txn;

	if (*kind == MEMORY)
		return;
	setup(&f, *kind);
	put_numbers(&f, 0, 1000, 2, "old");
	txn = begin(&f, false);
	for (int i = 0; i < 500; i++) {
		cr_assert_eq(after(&f, txn, &key, &value), 0, "the walk ended at %d", i);
		snprintf(name, sizeof name, "%08d", 2 * i);
		cr_assert(equal(key, text(name)) && equal(value, text("old")), "%d", i);
		if (i == 10) {
			put_numbers(&f, 1, 1000, 2, "new");  /* between all */
			put_numbers(&f, 0, 1000, 6, "new");  /* in the place of some */
			delete_numbers(&f, 2, 1000, 6);      /* others are gone */
			delete_numbers(&f, 0, 1000, 12);     /* what was replaced, too */
			put_numbers(&f, 2, 1000, 12, "new"); /* what was gone is back */
		}
		if (i == 100)
			delete_numbers(&f, 401, 1000, 2);
	}
	cr_assert_eq(after(&f, txn, &key, &value), BE_STORAGE_NOT_FOUND);
	expect_value(&f, txn, text("00000000"), text("old"));
	expect_absent(&f, txn, text("00000003"));
	end(&f, txn);
	txn = begin(&f, false);
	expect_absent(&f, txn, text("00000000"));
	expect_value(&f, txn, text("00000002"), text("new"));
	expect_value(&f, txn, text("00000003"), text("new"));
	end(&f, txn);
	teardown(&f);
}

/* -------------------------------------------------------- against a model */

#define MODEL_MAX 512

/* Records in an array, in no order: slow, and too simple to be wrong. */
struct record {
	size_t key_size;
	size_t value_size;
	unsigned char key[4];
	uint64_t value_seed;
};

struct model {
	size_t count;
	struct record records[MODEL_MAX];
};

static unsigned char value_bytes[BE_STORAGE_VALUE_MAX];

static struct be_bytes value_of(const struct record *record)
{
	uint64_t state = record->value_seed;

	for (size_t i = 0; i < record->value_size; i++)
		value_bytes[i] =
			(unsigned char)(i % 8 == 0 ? test_random(&state) : state >> i % 8 * 8);
	return (struct be_bytes){value_bytes, record->value_size};
}

static struct be_bytes key_of(const struct record *record)
{
	return (struct be_bytes){record->key, record->key_size};
}

static int order(struct be_bytes a, struct be_bytes b)
{
	int by_bytes = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

	return by_bytes ? by_bytes : (a.size > b.size) - (a.size < b.size);
}

static struct record *model_find(struct model *model, struct be_bytes key)
{
	for (size_t i = 0; i < model->count; i++)
		if (equal(key_of(&model->records[i]), key))
			return &model->records[i];
	return NULL;
}

/* The least key that is `from` or after it. */
static struct record *model_next(struct model *model, struct be_bytes from)
{
	struct record *least = NULL;

	for (size_t i = 0; i < model->count; i++) {
		struct record *one = &model->records[i];

		if (order(key_of(one), from) >= 0 &&
		    (!least || order(key_of(one), key_of(least)) < 0))
			least = one;
	}
	return least;
}

/* Few different bytes and lengths, so that keys meet and are prefixes of each other. */
static struct record random_record(uint64_t *random)
{
	static const unsigned char bytes[] = {0, 1, 'a', 0x80, 0xff};
	struct record record = {.key_size = 1 + test_random(random) % 4};

	for (size_t i = 0; i < record.key_size; i++)
		record.key[i] = bytes[test_random(random) % sizeof bytes];
	record.value_size = test_random(random) % 4
				    ? test_random(random) % 100
				    : test_random(random) % (BE_STORAGE_VALUE_MAX + 1);
	record.value_seed = test_random(random);
	return record;
}

static void model_step(struct fixture *f, void *txn, struct model *model, uint64_t *random)
{
	struct record record = random_record(random);
	struct record *present = model_find(model, key_of(&record));
	struct be_bytes key;
	struct be_bytes value;

	switch (test_random(random) % 8) {
	case 0:
	case 1:
	case 2:
		if (!present && model->count == MODEL_MAX)
			return;
		put(f, txn, key_of(&record), value_of(&record));
		*(present ? present : &model->records[model->count++]) = record;
		return;
	case 3:
	case 4:
		cr_assert_eq(del(f, txn, key_of(&record)), present ? 0 : BE_STORAGE_NOT_FOUND);
		if (present)
			*present = model->records[--model->count];
		return;
	case 5:
		if (present)
			expect_value(f, txn, key_of(present), value_of(present));
		else
			expect_absent(f, txn, key_of(&record));
		return;
	default:
		present = model_next(model, key_of(&record));
		cr_assert_eq(next(f, txn, key_of(&record), &key, &value),
			     present ? 0 : BE_STORAGE_NOT_FOUND);
		if (present)
			cr_assert(equal(key, key_of(present)) && equal(value, value_of(present)));
	}
}

static void expect_same(struct fixture *f, struct model *model)
{
	struct be_bytes key = {NULL, 0};
	unsigned char from[5] = {0};
	size_t from_size = 1;
	size_t seen = 0;
	struct be_bytes value;
	void *txn = begin(f, false);

	while (after(f, txn, &key, &value) == 0) {
		struct record *expected = model_next(model, (struct be_bytes){from, from_size});

		cr_assert_not_null(expected, "the storage has more records than the model");
		cr_assert(equal(key, key_of(expected)) && equal(value, value_of(expected)));
		memcpy(from, key.data, key.size);
		from[key.size] = 0;
		from_size = key.size + 1;
		seen++;
	}
	cr_assert_eq(seen, model->count, "%zu records, expected %zu", seen, model->count);
	end(f, txn);
}

STORAGE_TEST(random_txns_do_what_a_simple_model_does)
{
	static struct model model;
	static struct model before;
	uint64_t random = test_seed();
	int operations = 0;
	int aborted = 0;
	struct fixture f;
	void *txn;

	setup(&f, *kind);
	for (int round = 0; round < 400; round++) {
		int steps = 1 + (int)(test_random(&random) % 60);

		before = model;
		txn = begin(&f, true);
		for (int i = 0; i < steps; i++)
			model_step(&f, txn, &model, &random);
		operations += steps;
		if (test_random(&random) % 3) {
			commit(&f, txn);
		} else {
			end(&f, txn);
			model = before;
			aborted++;
		}
		expect_same(&f, &model);
	}
	printf("%s: %d operations in 400 txns, %d of them aborted; %zu records at the end\n",
	       kind_names[*kind], operations, aborted, model.count);
	teardown(&f);
}

STORAGE_TEST(a_hundred_thousand_records_are_found_quickly)
{
	int64_t start = test_monotonic_ns();
	struct be_bytes key = {NULL, 0};
	struct be_bytes value;
	struct fixture f;
	char name[32];
	int count = *kind == SERVER ? 8000 : 100000; /* there each del is a trip */
	int found = 0;
	void *txn;

	setup(&f, *kind);
	txn = begin(&f, true);
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "%08d", (int)(i * INT64_C(7919) % count));
		put(&f, txn, text(name), text(name));
	}
	commit(&f, txn);
	txn = begin(&f, false);
	while (after(&f, txn, &key, &value) == 0)
		found++;
	end(&f, txn);
	cr_assert_eq(found, count);
	txn = begin(&f, true);
	for (int i = 0; i < count; i += 2) {
		snprintf(name, sizeof name, "%08d", i);
		cr_assert_eq(del(&f, txn, text(name)), 0);
	}
	end(&f, txn);
	txn = begin(&f, false);
	expect_value(&f, txn, text("00000000"), text("00000000"));
	snprintf(name, sizeof name, "%08d", count - 2);
	expect_value(&f, txn, text(name), text(name));
	end(&f, txn);
	printf("%s: stored, walked, half removed and restored in %.2f s\n", kind_names[*kind],
	       test_seconds_since(start));
	teardown(&f);
}

/* ---------------------------------------------------------------- threads */

#define THREADS 4

struct shared {
	struct fixture *fixture;
	int rounds;
	atomic_int inside; /* a write txn */
	atomic_int wrong;
	atomic_bool stop;
};

static bool raw_begin(struct shared *s, bool write, void **txn)
{
	struct be_storage *storage = s->fixture->storage;

	if (storage->ops->begin(storage->self, write, txn) == 0)
		return true;
	atomic_fetch_add(&s->wrong, 1);
	return false;
}

/* Reads a number from each of two records: 0, BE_STORAGE_CONFLICT, or -1. */
static int raw_read(struct shared *s, void *txn, uint64_t *first, uint64_t *second)
{
	struct be_storage *storage = s->fixture->storage;
	uint64_t *numbers[] = {first, second};
	const char *names[] = {"first", "second"};

	for (int i = 0; i < 2; i++) {
		struct be_bytes value;
		int status = storage->ops->get(storage->self, txn, text(names[i]), &value);

		if (status != 0 || value.size != 8)
			return status == BE_STORAGE_CONFLICT ? status : -1;
		memcpy(numbers[i], value.data, 8);
	}
	return 0;
}

/* Adds one to both numbers in a txn, and ends it. False: there was a conflict. */
static bool add_one(struct shared *s, bool keeps)
{
	struct be_storage *storage = s->fixture->storage;
	bool takes_turns = s->fixture->kind != SERVER; /* where others conflict instead */
	uint64_t first = 0, second = 0;
	int status;
	void *txn;

	if (!raw_begin(s, true, &txn))
		return true;
	/* A storage may wait with the first read, and not before. */
	status = raw_read(s, txn, &first, &second);
	if (status == BE_STORAGE_CONFLICT) {
		storage->ops->abort(storage->self, txn);
		return false;
	}
	if (status != 0 || first != second || (takes_turns && atomic_fetch_add(&s->inside, 1) != 0))
		atomic_fetch_add(&s->wrong, 1);
	first++;
	if (storage->ops->put(storage->self, txn, text("first"), (struct be_bytes){&first, 8}) !=
		    0 ||
	    storage->ops->put(storage->self, txn, text("second"), (struct be_bytes){&first, 8}) !=
		    0)
		atomic_fetch_add(&s->wrong, 1);
	if (takes_turns)
		atomic_fetch_sub(&s->inside, 1);
	if (!keeps) {
		storage->ops->abort(storage->self, txn);
		return true;
	}
	status = storage->ops->commit(storage->self, txn);
	if (status != 0 && status != BE_STORAGE_CONFLICT)
		atomic_fetch_add(&s->wrong, 1);
	return status != BE_STORAGE_CONFLICT;
}

/* Adds one to both numbers, `rounds` times, each in a txn; every fifth txn is begun in vain. */
static void *add_up(void *context)
{
	struct shared *s = context;

	for (int i = 0; i < s->rounds; i++)
		while (!add_one(s, i % 5 != 4))
			;
	return NULL;
}

/* In every read txn both numbers are the same, and stay so, and do not go back from one txn to the
 * next. With LMDB they may go back by one: a reader that loses the processor between two loads of
 * mdb_txn_begin() can see a txn whose writer has written the meta page and not yet said so; the
 * next reader does not. */
static void *look_on(void *context)
{
	struct shared *s = context;
	uint64_t back = s->fixture->lmdb ? 1 : 0;
	uint64_t first;
	uint64_t second;
	uint64_t again;
	uint64_t highest = 0;
	void *txn;

	while (!atomic_load(&s->stop)) {
		if (!raw_begin(s, false, &txn))
			return NULL;
		if (raw_read(s, txn, &first, &second) != 0 || first != second ||
		    first + back < highest || raw_read(s, txn, &again, &second) != 0 ||
		    again != first)
			atomic_fetch_add(&s->wrong, 1);
		highest = first;
		s->fixture->storage->ops->abort(s->fixture->storage->self, txn);
	}
	return NULL;
}

STORAGE_TEST(writers_take_turns_and_readers_see_one_state)
{
	struct shared s = {.rounds = 500};
	pthread_t writers[THREADS];
	pthread_t readers[THREADS];
	struct fixture f;
	uint64_t expected = THREADS * 400; /* of 500 rounds each fifth was aborted */
	uint64_t none = 0;
	void *txn;

	setup(&f, *kind);
	s.fixture = &f;
	txn = begin(&f, true);
	put(&f, txn, text("first"), (struct be_bytes){&none, 8});
	put(&f, txn, text("second"), (struct be_bytes){&none, 8});
	commit(&f, txn);
	for (int i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_create(&readers[i], NULL, look_on, &s), 0);
		cr_assert_eq(pthread_create(&writers[i], NULL, add_up, &s), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&s.stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(readers[i], NULL);
	cr_assert_eq(atomic_load(&s.wrong), 0, "%d findings", atomic_load(&s.wrong));
	txn = begin(&f, false);
	expect_value(&f, txn, text("first"), (struct be_bytes){&expected, 8});
	end(&f, txn);
	teardown(&f);
}

/* ----------------------------------------------------------------- memory */

/* After a fork each side has its own copy, whole even if other threads were in the midst of a
 * txn. */
static int use_the_copy(int index, void *context)
{
	struct shared *s = context;
	uint64_t first;
	uint64_t second;
	void *txn;

	(void)index;
	s->rounds = 10;
	if (!raw_begin(s, false, &txn) || raw_read(s, txn, &first, &second) != 0 || first != second)
		return 1;
	s->fixture->storage->ops->abort(s->fixture->storage->self, txn);
	atomic_store(&s->inside, 0); /* as it stood for the parent's threads */
	atomic_store(&s->wrong, 0);
	add_up(s);
	return atomic_load(&s->wrong) ? 2 : 0;
}

Test(memory, a_fork_amid_txns_of_other_threads_leaves_two_whole_copies)
{
	struct shared s = {.rounds = 20000};
	pthread_t writers[2];
	pthread_t reader;
	struct fixture f;
	uint64_t expected = 2 * 16000;
	uint64_t none = 0;
	pid_t child;
	void *txn;

	setup(&f, MEMORY);
	s.fixture = &f;
	txn = begin(&f, true);
	put(&f, txn, text("first"), (struct be_bytes){&none, 8});
	put(&f, txn, text("second"), (struct be_bytes){&none, 8});
	commit(&f, txn);
	cr_assert_eq(pthread_create(&reader, NULL, look_on, &s), 0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&writers[i], NULL, add_up, &s), 0);
	for (int i = 0; i < 50; i++) {
		child = child_start(use_the_copy, i, &s);
		cr_assert_eq(child_wait(child), 0, "child %d", i);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&s.stop, true);
	pthread_join(reader, NULL);
	cr_assert_eq(atomic_load(&s.wrong), 0);
	txn = begin(&f, false);
	expect_value(&f, txn, text("first"), (struct be_bytes){&expected, 8});
	end(&f, txn);
	teardown(&f);
}

Test(memory, create_refuses_null_and_destroy_bears_it)
{
	cr_assert_eq(be_storage_memory_create(NULL), BE_INVALID_ARGUMENT);
	be_storage_memory_destroy(NULL);
}
