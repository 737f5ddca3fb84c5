/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library does with a storage: it keeps the contract of budget_enforcer_storage.h itself,
 * it survives one that fails at any call, and it believes nothing that one returns. The storage
 * here stands before the one in memory, watches what passes and can be told to fail or to lie.
 */
#include "fixture.h"

static struct {
	const struct be_storage *inner;
	int open_txns;
	bool writing;
	int calls;       /* since watch_from_now() */
	int fail_at;     /* this call fails; 0: none does */
	int failure;     /* and returns this */
	unsigned broken; /* promises of the library that were not kept */
} watched;

/* Counts a call; true when it is the one that fails. */
static bool fails(void)
{
	return ++watched.calls == watched.fail_at;
}

static void promise(bool kept, const char *what)
{
	if (!kept)
		fprintf(stderr, "the library broke its side: %s\n", what);
	watched.broken += !kept;
}

static void check_sizes(struct be_bytes key, struct be_bytes value)
{
	promise(key.size >= 1 && key.size <= BE_STORAGE_KEY_MAX, "size of a key");
	promise(value.size <= BE_STORAGE_VALUE_MAX, "size of a value");
}

static int watch_begin(void *self, bool write, void **txn)
{
	int result;

	(void)self;
	promise(watched.open_txns == 0, "a thread has one txn at a time");
	if (fails())
		return watched.failure;
	result = watched.inner->ops->begin(watched.inner->self, write, txn);
	if (result == 0) {
		watched.open_txns++;
		watched.writing = write;
	}
	return result;
}

static int watch_commit(void *self, void *txn)
{
	(void)self;
	promise(watched.writing, "only write txns are committed");
	watched.open_txns--;
	if (fails()) {
		watched.inner->ops->abort(watched.inner->self, txn);
		return watched.failure;
	}
	return watched.inner->ops->commit(watched.inner->self, txn);
}

static void watch_abort(void *self, void *txn)
{
	(void)self;
	watched.open_txns--;
	watched.inner->ops->abort(watched.inner->self, txn);
}

static int watch_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	(void)self;
	check_sizes(key, (struct be_bytes){NULL, 0});
	return fails() ? watched.failure
		       : watched.inner->ops->get(watched.inner->self, txn, key, value);
}

static int watch_put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	(void)self;
	promise(watched.writing, "puts are made in write txns");
	check_sizes(key, value);
	return fails() ? watched.failure
		       : watched.inner->ops->put(watched.inner->self, txn, key, value);
}

static int watch_del(void *self, void *txn, struct be_bytes key)
{
	(void)self;
	promise(watched.writing, "dels are made in write txns");
	check_sizes(key, (struct be_bytes){NULL, 0});
	return fails() ? watched.failure : watched.inner->ops->del(watched.inner->self, txn, key);
}

static int watch_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		      struct be_bytes *value)
{
	(void)self;
	check_sizes(from, (struct be_bytes){NULL, 0});
	return fails() ? watched.failure
		       : watched.inner->ops->next(watched.inner->self, txn, from, key, value);
}

static const struct be_storage_ops watching = {
	.size = sizeof(struct be_storage_ops),
	.begin = watch_begin,
	.commit = watch_commit,
	.abort = watch_abort,
	.get = watch_get,
	.put = watch_put,
	.del = watch_del,
	.next = watch_next,
};

static struct be_storage watching_storage = {&watching, NULL};

static void watch_from_now(int fail_at, int failure)
{
	watched.calls = 0;
	watched.fail_at = fail_at;
	watched.failure = failure;
}

static void begin_watching(void)
{
	fixture_begin_memory();
	watched.inner = fixture.storage;
}

/* A handle through the watching storage, on what the fixture's own handle sees directly. */
static struct be_enforcer *open_watched(void)
{
	struct be_options options = fixture_options();

	options.storage = &watching_storage;
	return fixture_open_with(&options);
}

/* -------------------------------------------------------- every operation */

struct step {
	const char *name;
	enum be_status (*run)(struct be_enforcer *handle);
};

/* What the steps work on; made by prepare(). */
static uint64_t pending, growing;

static void prepare(struct be_enforcer *handle)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(handle, "day", 10 * BE_UNIT);
	fixture_create_below(handle, "llm", 5 * BE_UNIT, NULL, "day");
	fixture_create(handle, "spare", BE_UNIT);
	pending = fixture_commit(handle, "llm", TENTH);
	growing = fixture_commit(handle, "llm", TENTH);
	options.ttl_ms = 1;
	options.reap_policy = BE_REAP_CHARGE;
	assert_ok(be_commit_with(handle, "llm", TENTH, NULL, &options, &id, NULL));
	assert_ok(be_record(handle, "llm", TENTH, NULL, NULL));
	fixture_advance(SECOND_NS);
}

static enum be_status run_check(struct be_enforcer *handle)
{
	return be_check(handle, "llm", TENTH, NULL);
}

static enum be_status run_commit(struct be_enforcer *handle)
{
	uint64_t id = 77;
	enum be_status status = be_commit(handle, "llm", TENTH, NULL, &id);

	cr_assert((id != 0) == (status == BE_OK));
	return status;
}

static enum be_status run_release(struct be_enforcer *handle)
{
	return be_release(handle, pending);
}

static enum be_status run_record(struct be_enforcer *handle)
{
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	enum be_status status = be_record(handle, "llm", TENTH, NULL, &transaction);

	cr_assert(fixture_is_zeroed(&transaction, sizeof transaction) == (status != BE_OK));
	return status;
}

static enum be_status run_settle(struct be_enforcer *handle)
{
	return be_settle(handle, pending, TENTH, NULL, NULL);
}

static enum be_status run_extend(struct be_enforcer *handle)
{
	return be_extend(handle, growing, 2 * TENTH, 5000, NULL);
}

static enum be_status run_reap(struct be_enforcer *handle)
{
	uint64_t reaped = 77;
	enum be_status status = be_reap(handle, &reaped);

	assert_number(reaped, status == BE_OK);
	return status;
}

static enum be_status run_create(struct be_enforcer *handle)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_category = "day";
	return be_envelope_create(handle, "new", BE_UNIT, BE_PERIOD_DAILY, &options);
}

static enum be_status run_ensure(struct be_enforcer *handle)
{
	return be_envelope_ensure(handle, "new", BE_UNIT, BE_PERIOD_DAILY, NULL);
}

static enum be_status run_set_limit(struct be_enforcer *handle)
{
	return be_envelope_set_limit(handle, "llm", 7 * BE_UNIT);
}

static enum be_status run_suspend(struct be_enforcer *handle)
{
	return be_envelope_suspend(handle, "llm");
}

static enum be_status run_resume(struct be_enforcer *handle)
{
	return be_envelope_resume(handle, "llm");
}

static enum be_status run_reset(struct be_enforcer *handle)
{
	return be_envelope_reset(handle, "llm");
}

static enum be_status run_remove(struct be_enforcer *handle)
{
	return be_envelope_remove(handle, "spare");
}

static enum be_status run_utilization(struct be_enforcer *handle)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	enum be_status status = be_utilization(handle, "llm", &envelope);

	cr_assert(fixture_is_zeroed(&envelope, sizeof envelope) == (status != BE_OK));
	return status;
}

static bool see_no_txn_open(void *context, const struct be_envelope *envelope)
{
	(void)context;
	(void)envelope;
	promise(watched.open_txns == 0, "no txn is open while a callback runs");
	return true;
}

static enum be_status run_list(struct be_enforcer *handle)
{
	return be_envelopes_each(handle, NULL, see_no_txn_open, NULL);
}

static enum be_status run_verify(struct be_enforcer *handle)
{
	return be_verify(handle, NULL, NULL, NULL);
}

static const struct step steps[] = {
	{"check", run_check},         {"commit", run_commit},   {"release", run_release},
	{"record", run_record},       {"settle", run_settle},   {"extend", run_extend},
	{"reap", run_reap},           {"create", run_create},   {"ensure", run_ensure},
	{"set_limit", run_set_limit}, {"suspend", run_suspend}, {"resume", run_resume},
	{"reset", run_reset},         {"remove", run_remove},   {"utilization", run_utilization},
	{"list", run_list},           {"verify", run_verify},
};
#define STEPS (sizeof steps / sizeof steps[0])

/* Fails every call that a step makes to the storage, one run after the other, until a run needs
 * fewer. */
static int fail_everywhere(const struct step *step, struct be_enforcer *handle, int failure,
			   enum be_status wanted)
{
	int at = 0;

	for (enum be_status status = wanted; status != BE_OK;) {
		char *before = fixture_state(), *after;

		watch_from_now(++at, failure);
		status = step->run(handle);
		watch_from_now(0, 0);
		cr_assert(at < 200, "%s makes more calls than it should", step->name);
		cr_assert(status == BE_OK || status == wanted, "%s gave %s when call %d failed",
			  step->name, be_status_name(status), at);
		assert_number(watched.open_txns, 0);
		if (status != BE_OK) {
			cr_assert(be_last_error()[0] != '\0');
			after = fixture_state();
			cr_assert(strcmp(before, after) == 0,
				  "%s changed\n%sinto\n%s when call %d failed", step->name, before,
				  after, at);
			free(after);
		}
		free(before);
	}
	return at - 1;
}

Test(storages, one_that_fails_at_any_call_loses_nothing, .init = begin_watching,
     .fini = fixture_end)
{
	struct be_enforcer *handle = open_watched();

	prepare(handle);
	for (size_t i = 0; i < STEPS; i++) {
		int calls = fail_everywhere(&steps[i], handle, BE_IO_ERROR, BE_IO_ERROR);

		printf("%s: %d calls of the storage\n", steps[i].name, calls);
		cr_assert(calls >= 2);
		if (i == 4) /* settle has no pending commit after release */
			continue;
		if (i == 2)
			pending = fixture_commit(handle, "llm", TENTH);
	}
	assert_number(watched.broken, 0);
	fixture_check_balances();
}

Test(storages, the_faults_of_one_are_passed_on_and_all_else_is_its_mistake, .init = begin_watching,
     .fini = fixture_end)
{
	static const struct {
		int returned;
		enum be_status given;
	} rows[] = {
		{BE_PERMISSION, BE_PERMISSION},
		{BE_DISK_FULL, BE_DISK_FULL},
		{BE_MAP_FULL, BE_MAP_FULL},
		{BE_IO_ERROR, BE_IO_ERROR},
		{BE_NO_MEMORY, BE_NO_MEMORY},
		{BE_TOO_MANY_PROCESSES, BE_TOO_MANY_PROCESSES},
		{4, BE_STORAGE_FAILED},
		{1000, BE_STORAGE_FAILED},
		{BE_EXCEEDS_BUDGET, BE_STORAGE_FAILED},
		{BE_NO_ENVELOPE, BE_STORAGE_FAILED},
		{BE_OVERFLOW, BE_STORAGE_FAILED},
		{-5000, BE_STORAGE_FAILED},
	};
	struct be_enforcer *handle = open_watched();

	prepare(handle);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t k = 0; k < 2; k++)
			fail_everywhere(&steps[k], handle, rows[i].returned, rows[i].given);
	assert_number(watched.broken, 0);
}

Test(storages, opening_one_that_fails_is_told_and_leaves_it_usable, .init = begin_watching,
     .fini = fixture_end)
{
	struct be_storage *fresh;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	enum be_status status = BE_IO_ERROR;
	int at = 0;

	assert_ok(be_storage_memory_create(&fresh));
	watched.inner = fresh;
	options.storage = &watching_storage;
	while (status != BE_OK) {
		watch_from_now(++at, BE_IO_ERROR);
		status = be_open(NULL, &options, &handle);
		watch_from_now(0, 0);
		cr_assert(status == BE_OK || (status == BE_IO_ERROR && handle == NULL));
		assert_number(watched.open_txns, 0);
	}
	cr_assert(at > 3);
	fixture_create(handle, "llm", BE_UNIT);
	assert_number(fixture_commit(handle, "llm", TENTH), 1);
	assert_ok(be_verify(handle, NULL, NULL, NULL));
	be_close(handle);
	be_storage_memory_destroy(fresh);
	assert_number(watched.broken, 0);
}

/* --------------------------------------------------------------- observers */

static void observe_no_txn_open(void *context, const struct be_event *event)
{
	(void)event;
	++*(int *)context;
	promise(watched.open_txns == 0, "no txn is open while the observer runs");
}

Test(storages, no_txn_is_open_while_the_observer_runs, .init = begin_watching, .fini = fixture_end)
{
	struct be_options options = fixture_options();
	struct be_enforcer *handle;
	int events = 0;

	options.storage = &watching_storage;
	options.observe = observe_no_txn_open;
	options.observe_context = &events;
	handle = fixture_open_with(&options);
	prepare(handle);
	for (size_t i = 0; i < STEPS; i++)
		if (steps[i].run(handle) != BE_OK)
			cr_assert(strcmp(steps[i].name, "settle") == 0 ||
				  strcmp(steps[i].name, "ensure") == 0);
	cr_assert(events >= 14, "%d events", events);
	assert_number(watched.broken, 0);
}

/* ----------------------------------------------------------------- damage */

#define RECORDS_MAX 32

static struct {
	size_t key_size, value_size;
	unsigned char key[BE_STORAGE_KEY_MAX], value[BE_STORAGE_VALUE_MAX];
} records[RECORDS_MAX];

static size_t copy_records(const struct be_storage *storage)
{
	struct be_bytes from = {"", 1}, key, value;
	unsigned char behind[BE_STORAGE_KEY_MAX + 1];
	size_t count = 0;
	void *txn;

	cr_assert(storage->ops->begin(storage->self, false, &txn) == 0);
	while (storage->ops->next(storage->self, txn, from, &key, &value) == 0) {
		cr_assert(count < RECORDS_MAX);
		records[count].key_size = key.size;
		records[count].value_size = value.size;
		memcpy(records[count].key, key.data, key.size);
		memcpy(records[count].value, value.data, value.size);
		memcpy(behind, key.data, key.size);
		behind[key.size] = 0;
		from = (struct be_bytes){behind, key.size + 1};
		count++;
	}
	storage->ops->abort(storage->self, txn);
	return count;
}

static void put_record(const struct be_storage *storage, size_t i, size_t value_size)
{
	struct be_bytes key = {records[i].key, records[i].key_size},
			value = {records[i].value, value_size};
	void *txn;

	cr_assert(storage->ops->begin(storage->self, true, &txn) == 0);
	cr_assert(storage->ops->put(storage->self, txn, key, value) == 0);
	cr_assert(storage->ops->commit(storage->self, txn) == 0);
}

static void remove_record(const struct be_storage *storage, size_t i)
{
	struct be_bytes key = {records[i].key, records[i].key_size};
	void *txn;

	cr_assert(storage->ops->begin(storage->self, true, &txn) == 0);
	cr_assert(storage->ops->del(storage->self, txn, key) == 0);
	cr_assert(storage->ops->commit(storage->self, txn) == 0);
}

static void count_sentence(void *context, const char *sentence)
{
	cr_assert(strlen(sentence) > 0);
	++*(int *)context;
}

static enum be_status verify(struct be_enforcer *handle)
{
	struct be_verification verification = BE_VERIFICATION_INIT;
	int sentences = 0;
	enum be_status status = be_verify(handle, count_sentence, &sentences, &verification);

	if (status == BE_OK || status == BE_UNBALANCED || sentences > 0)
		assert_number(verification.differences, sentences);
	cr_assert((status == BE_OK) == (be_last_error()[0] == '\0'));
	return status;
}

Test(storages, every_byte_that_changes_is_found_by_verify, .init = begin_watching,
     .fini = fixture_end)
{
	size_t count, bytes = 0;

	prepare(fixture.handle);
	assert_ok(be_release(fixture.handle, pending));
	count = copy_records(fixture.storage);
	cr_assert(count >= 8);
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < records[i].value_size; k++, bytes++) {
			unsigned char was = records[i].value[k];

			records[i].value[k] ^= (unsigned char)(1U << (k % 8));
			put_record(fixture.storage, i, records[i].value_size);
			enum be_status status = verify(fixture.handle);
			cr_assert(status == BE_DAMAGED || status == BE_NEWER_FORMAT,
				  "byte %zu of record %zu (type %d): %s", k, i, records[i].key[0],
				  be_status_name(status));
			records[i].value[k] = was;
		}
		put_record(fixture.storage, i, records[i].value_size);
		/* Cut short by one byte, too. */
		if (records[i].value_size > 0) {
			put_record(fixture.storage, i, records[i].value_size - 1);
			assert_status(verify(fixture.handle), BE_DAMAGED);
			put_record(fixture.storage, i, records[i].value_size);
		}
	}
	printf("%zu bytes of %zu records\n", bytes, count);
	assert_ok(verify(fixture.handle));
}

/* Also one whose absence leaves all balances right, such as an ended commit's. */
Test(storages, a_record_that_is_gone_is_found_by_verify, .init = begin_watching,
     .fini = fixture_end)
{
	size_t count;

	prepare(fixture.handle);
	assert_ok(be_release(fixture.handle, pending)); /* one ended commit */
	count = copy_records(fixture.storage);
	for (size_t i = 0; i < count; i++) {
		bool header = records[i].key[0] == 3;

		remove_record(fixture.storage, i);
		assert_status(verify(fixture.handle), header ? BE_NOT_AN_ENVIRONMENT : BE_DAMAGED);
		put_record(fixture.storage, i, records[i].value_size);
	}
	assert_ok(verify(fixture.handle));
}

/* The record of an envelope as it was before, and all balances add up. */
Test(storages, a_record_that_is_an_old_one_is_found_by_verify, .init = begin_watching,
     .fini = fixture_end)
{
	size_t count, i = 0;

	prepare(fixture.handle);
	count = copy_records(fixture.storage);
	while (i < count && records[i].key[0] != 4)
		i++;
	cr_assert(i < count && records[i].key[1] == '\0'); /* in no namespace */
	records[i].key[records[i].key_size] = '\0';
	assert_ok(be_envelope_suspend(fixture.handle, (const char *)records[i].key + 2));
	assert_ok(verify(fixture.handle));
	put_record(fixture.storage, i, records[i].value_size);
	assert_status(verify(fixture.handle), BE_DAMAGED);
}

static void put_bytes(struct be_storage *storage, struct be_bytes key, struct be_bytes value)
{
	void *txn;

	cr_assert(storage->ops->begin(storage->self, true, &txn) == 0);
	cr_assert(storage->ops->put(storage->self, txn, key, value) == 0);
	cr_assert(storage->ops->commit(storage->self, txn) == 0);
}

/* Under keys of every first byte, and behind the header's. */
Test(storages, a_record_too_much_is_found_by_verify, .init = begin_watching, .fini = fixture_end)
{
	prepare(fixture.handle);
	for (unsigned first = 0; first <= UINT8_MAX; first++) {
		unsigned char bytes[] = {(unsigned char)first, 0};
		struct be_bytes key = {bytes, sizeof bytes};
		struct be_storage *storage = fixture.storage;
		void *txn;

		put_bytes(storage, key, (struct be_bytes){"", 0});
		assert_status(verify(fixture.handle), BE_DAMAGED);
		cr_assert(storage->ops->begin(storage->self, true, &txn) == 0);
		cr_assert(storage->ops->del(storage->self, txn, key) == 0);
		cr_assert(storage->ops->commit(storage->self, txn) == 0);
	}
	assert_ok(verify(fixture.handle));
}

/* ------------------------------------------------------- tables of functions */

/* The table as it was when it came, written down: it stays as it is when that of the header
 * grows. */
struct first_ops {
	uint32_t size;
	uint32_t reserved;
	int (*begin)(void *self, bool write, void **txn);
	int (*commit)(void *self, void *txn);
	void (*abort)(void *self, void *txn);
	int (*get)(void *self, void *txn, struct be_bytes key, struct be_bytes *value);
	int (*put)(void *self, void *txn, struct be_bytes key, struct be_bytes value);
	int (*del)(void *self, void *txn, struct be_bytes key);
	int (*next)(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		    struct be_bytes *value);
};

/* A storage that was compiled against the first header goes on working: what its table lacks is
 * taken as absent, and what lies behind it is not called. The table may go when the handle is
 * there. */
Test(storages, a_table_of_the_first_release_keeps_working, .init = begin_watching,
     .fini = fixture_end)
{
	struct be_options options = fixture_options();
	struct be_storage storage = {.self = NULL};
	struct be_enforcer *handle;
	struct {
		struct first_ops ops;
		void *behind[128];
	} *table = malloc(sizeof *table);

	cr_assert(table);
	memset(table, 0x5a, sizeof *table);
	table->ops = (struct first_ops){
		.size = sizeof table->ops,
		.begin = watch_begin,
		.commit = watch_commit,
		.abort = watch_abort,
		.get = watch_get,
		.put = watch_put,
		.del = watch_del,
		.next = watch_next,
	};
	storage.ops = (const struct be_storage_ops *)table;
	options.storage = &storage;
	assert_ok(be_open(NULL, &options, &handle));
	memset(table, 0x5a, sizeof *table);
	free(table);
	prepare(handle);
	assert_ok(verify(handle));
	be_close(handle);
}

Test(storages, a_table_that_lacks_a_function_is_refused, .init = begin_watching,
     .fini = fixture_end)
{
	struct be_options options = fixture_options();
	struct be_storage storage = {.self = NULL};
	struct be_enforcer *handle;

	options.storage = &storage;
	assert_status(be_open(NULL, &options, &handle), BE_INVALID_ARGUMENT);
	for (size_t at = offsetof(struct first_ops, begin); at < sizeof(struct first_ops);
	     at += sizeof(void *)) {
		struct be_storage_ops table = watching;

		memset((char *)&table + at, 0, sizeof(void *));
		storage.ops = &table;
		assert_status(be_open(NULL, &options, &handle), BE_INVALID_ARGUMENT);
		cr_assert(!handle);
	}
}

/* ------------------------------------------------------------ what is kept */

Test(storages, a_memory_storage_outlives_its_handles_and_ends_on_demand, .init = begin_watching,
     .fini = fixture_end)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	assert_status(be_storage_memory_create(NULL), BE_INVALID_ARGUMENT);
	assert_ok(be_storage_memory_create(&options.storage));
	assert_ok(be_open(NULL, &options, &handle));
	fixture_create(handle, "llm", BE_UNIT);
	be_close(handle);
	assert_ok(be_open(NULL, &options, &handle));
	assert_balance(handle, "llm", 0, 0);
	be_close(handle);
	be_storage_memory_destroy(options.storage);
	be_storage_memory_destroy(NULL);
}

/* A slip in a URL makes no environment. */
Test(storages, one_that_is_empty_is_no_existing_environment, .init = begin_watching,
     .fini = fixture_end)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	assert_ok(be_storage_memory_create(&options.storage));
	options.flags = BE_OPEN_EXISTING;
	for (int i = 0; i < 2; i++)
		assert_status(be_open(NULL, &options, &handle), BE_NOT_AN_ENVIRONMENT);
	options.flags = 0;
	assert_ok(be_open(NULL, &options, &handle));
	be_close(handle);
	options.flags = BE_OPEN_EXISTING;
	assert_ok(be_open(NULL, &options, &handle));
	be_close(handle);
	be_storage_memory_destroy(options.storage);
}

Test(storages, the_url_of_a_server_is_no_path, .init = begin_watching, .fini = fixture_end)
{
	struct be_enforcer *handle;

	assert_status(be_open("postgresql://db.example/pool", NULL, &handle), BE_NOT_FOUND);
	cr_assert(strstr(be_last_error(), "be_storage_postgres_open"));
	assert_status(be_open("unix:///run/redis.sock", NULL, &handle), BE_NOT_FOUND);
	cr_assert(strstr(be_last_error(), "be_storage_redis_open"));
}
