/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library does with a storage that answers with conflicts, that does not hear what became
 * of its commits, that wants to be told beforehand what is read, that has a clock, and that falls
 * back to an earlier state. The one here stands before the one in memory.
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WANTED_MAX 256

enum doubt {
	NO_DOUBT,
	KEPT,     /* the txn was committed, but the answer is lost */
	DROPPED,  /* it was not, and the answer is lost, too */
	NOT_SENT, /* as DROPPED, and the storage cannot be reached any more */
	CUT_OFF,  /* as KEPT, likewise */
	REPLACED, /* as KEPT, and the storage's standby takes over before it is asked */
};

static struct {
	const struct be_storage *inner;
	bool writing;
	int calls;             /* of write txns, since it was set to 0 */
	int conflict_at;       /* this call of a write txn conflicts; 0: none, -1: each does */
	int reads_in_vain;     /* so many calls of read txns conflict from now on */
	int reads;             /* gets and looks of read txns, since it was set to 0 */
	int read_conflicts_at; /* this one of them conflicts; 0: none */
	enum doubt doubt;      /* of the next commit */
	useconds_t doubt_lasts_us;
	void (*meanwhile)(void); /* once, before a commit is answered */
	bool is_cut_off;
	unsigned percent; /* of calls and commits that go wrong at random */
	uint64_t random;
	unsigned conflicts, doubts; /* so far */
	int64_t now_ns;             /* by its clock */
	uint64_t history;
	struct be_storage *standby; /* a copy of a moment; NULL: there is none */
	bool fails_over;            /* when the next write txn begins, but not before this: */
	_Atomic bool may_fail_over;
	size_t wanted_count, misses;
	struct {
		size_t size;
		unsigned char bytes[BE_STORAGE_KEY_MAX];
	} wanted[WANTED_MAX];
} shaky;

static unsigned roll(void)
{
	shaky.random = shaky.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(shaky.random >> 33) % 100;
}

static bool conflicts(void)
{
	bool now = shaky.conflict_at == -1 || ++shaky.calls == shaky.conflict_at ||
		   (shaky.percent > 0 && roll() < shaky.percent);

	shaky.conflicts += now;
	return now;
}

static bool read_conflicts(void)
{
	return !shaky.writing && ++shaky.reads == shaky.read_conflicts_at;
}

/* Whatever it had acknowledged since the copy was made is gone. */
static void fail_over(void)
{
	cr_assert_not_null(shaky.standby);
	shaky.inner = shaky.standby;
	shaky.standby = NULL;
	shaky.history++;
	shaky.fails_over = false;
}

static int shaky_begin(void *self, bool write, void **txn)
{
	int answer;

	(void)self;
	if (shaky.is_cut_off)
		return BE_UNREACHABLE;
	if (write && shaky.fails_over) {
		while (!shaky.may_fail_over)
			usleep(1000);
		fail_over();
	}
	if (write && conflicts())
		return BE_STORAGE_CONFLICT;
	answer = shaky.inner->ops->begin(shaky.inner->self, write, txn);
	if (answer == 0)
		shaky.writing = write;
	shaky.wanted_count = 0;
	return answer;
}

static enum doubt next_doubt(void)
{
	enum doubt doubt = shaky.doubt;

	if (doubt == NO_DOUBT && shaky.percent > 0 && roll() < shaky.percent)
		doubt = roll() % 2 ? KEPT : DROPPED;
	shaky.doubt = NO_DOUBT;
	shaky.doubts += doubt != NO_DOUBT;
	return doubt;
}

static void run_meanwhile(void)
{
	void (*run)(void) = shaky.meanwhile;

	shaky.meanwhile = NULL;
	run();
}

static int shaky_commit(void *self, void *txn)
{
	enum doubt doubt;

	(void)self;
	if (conflicts()) {
		shaky.inner->ops->abort(shaky.inner->self, txn);
		return BE_STORAGE_CONFLICT;
	}
	doubt = next_doubt();
	shaky.is_cut_off = doubt == NOT_SENT || doubt == CUT_OFF;
	if (doubt == DROPPED || doubt == NOT_SENT)
		shaky.inner->ops->abort(shaky.inner->self, txn);
	else
		assert_number(shaky.inner->ops->commit(shaky.inner->self, txn), 0);
	if (shaky.meanwhile)
		run_meanwhile();
	if (doubt != NO_DOUBT)
		usleep(shaky.doubt_lasts_us);
	if (doubt == REPLACED)
		fail_over();
	return doubt == NO_DOUBT ? 0 : BE_STORAGE_IN_DOUBT;
}

static void shaky_abort(void *self, void *txn)
{
	(void)self;
	shaky.inner->ops->abort(shaky.inner->self, txn);
}

static int shaky_get(void *self, void *txn, struct be_bytes key, struct be_bytes *value)
{
	bool is_wanted = false;

	(void)self;
	for (size_t i = 0; i < shaky.wanted_count; i++)
		is_wanted |= shaky.wanted[i].size == key.size &&
			     memcmp(shaky.wanted[i].bytes, key.data, key.size) == 0;
	shaky.misses += !is_wanted;
	if (shaky.writing && conflicts())
		return BE_STORAGE_CONFLICT;
	if (!shaky.writing && shaky.reads_in_vain > 0) {
		shaky.reads_in_vain--;
		return BE_STORAGE_CONFLICT;
	}
	if (read_conflicts())
		return BE_STORAGE_CONFLICT;
	return shaky.inner->ops->get(shaky.inner->self, txn, key, value);
}

static int shaky_put(void *self, void *txn, struct be_bytes key, struct be_bytes value)
{
	(void)self;
	if (conflicts())
		return BE_STORAGE_CONFLICT;
	return shaky.inner->ops->put(shaky.inner->self, txn, key, value);
}

static int shaky_del(void *self, void *txn, struct be_bytes key)
{
	(void)self;
	if (conflicts())
		return BE_STORAGE_CONFLICT;
	return shaky.inner->ops->del(shaky.inner->self, txn, key);
}

static int shaky_next(void *self, void *txn, struct be_bytes from, struct be_bytes *key,
		      struct be_bytes *value)
{
	(void)self;
	if ((shaky.writing && conflicts()) || read_conflicts())
		return BE_STORAGE_CONFLICT;
	return shaky.inner->ops->next(shaky.inner->self, txn, from, key, value);
}

static int shaky_prefetch(void *self, void *txn, const struct be_bytes *keys, size_t count)
{
	(void)self;
	(void)txn;
	cr_assert(count <= WANTED_MAX);
	for (size_t i = 0; i < count; i++) {
		cr_assert(keys[i].size >= 1 && keys[i].size <= BE_STORAGE_KEY_MAX);
		shaky.wanted[i].size = keys[i].size;
		memcpy(shaky.wanted[i].bytes, keys[i].data, keys[i].size);
	}
	shaky.wanted_count = count;
	return shaky.writing && conflicts() ? BE_STORAGE_CONFLICT : 0;
}

static int shaky_now(void *self, void *txn, int64_t *now_ns)
{
	(void)self;
	(void)txn;
	*now_ns = shaky.now_ns;
	return 0;
}

static int shaky_history(void *self, void *txn, uint64_t *history)
{
	(void)self;
	(void)txn;
	*history = shaky.history;
	return 0;
}

/* Names a place that no other test has. */
static const char *shaky_where(void *self)
{
	(void)self;
	return fixture.directory;
}

static struct be_storage_ops shaking = {
	.size = sizeof(struct be_storage_ops),
	.begin = shaky_begin,
	.commit = shaky_commit,
	.abort = shaky_abort,
	.get = shaky_get,
	.put = shaky_put,
	.del = shaky_del,
	.next = shaky_next,
	.prefetch = shaky_prefetch,
	.traits = BE_STORAGE_MAY_DOUBT,
};

static struct be_storage shaky_storage = {&shaking, NULL};

static void begin(void)
{
	fixture_begin_memory();
	shaky.inner = fixture.storage;
}

static struct be_enforcer *open_shaky(void)
{
	struct be_options options = fixture_options();

	options.storage = &shaky_storage;
	return fixture_open_with(&options);
}

/* Records of hosts; each process that wrote has one. */
static const unsigned char first_host[] = {3, 0};

static int count_hosts(void)
{
	unsigned char from[BE_STORAGE_KEY_MAX + 1];
	struct be_bytes at = {first_host, sizeof first_host}, key, value;
	void *txn;
	int count = 0;

	assert_number(shaky.inner->ops->begin(shaky.inner->self, false, &txn), 0);
	while (shaky.inner->ops->next(shaky.inner->self, txn, at, &key, &value) == 0 &&
	       *(const unsigned char *)key.data == 3) {
		memcpy(from, key.data, key.size);
		from[key.size] = 0;
		at = (struct be_bytes){from, key.size + 1};
		count++;
	}
	shaky.inner->ops->abort(shaky.inner->self, txn);
	return count;
}

/* ---------------------------------------------------------------- conflicts */

static uint64_t pending;

static enum be_status do_commit(struct be_enforcer *handle)
{
	return be_commit(handle, "llm", TENTH, NULL, &pending);
}

static enum be_status do_settle(struct be_enforcer *handle)
{
	return be_settle(handle, pending, TENTH / 2, NULL, NULL);
}

static enum be_status do_record(struct be_enforcer *handle)
{
	return be_record(handle, "llm", TENTH, NULL, NULL);
}

static enum be_status do_apply(struct be_enforcer *handle)
{
	struct be_envelope_change changes[] = {BE_ENVELOPE_CHANGE_INIT, BE_ENVELOPE_CHANGE_INIT};

	changes[0].category = "one";
	changes[1].category = "two";
	for (int i = 0; i < 2; i++) {
		changes[i].operation = BE_OPERATION_ENSURE;
		changes[i].limit = BE_UNIT;
		changes[i].period = BE_PERIOD_DAILY;
	}
	return be_envelopes_apply(handle, changes, 2, NULL);
}

static enum be_status do_prune(struct be_enforcer *handle)
{
	struct be_pruning pruned = BE_PRUNING_INIT;
	enum be_status status;

	fixture_advance(3 * DAY_NS);
	status = be_prune(handle, fixture.now_ns - DAY_NS, NULL, NULL, &pruned);
	if (status == BE_OK)
		cr_assert(pruned.transactions > 0 && pruned.commits > 0);
	return status;
}

static const struct {
	const char *name;
	enum be_status (*run)(struct be_enforcer *handle);
} steps[] = {
	{"commit", do_commit}, {"settle", do_settle}, {"record", do_record},
	{"apply", do_apply},   {"prune", do_prune},
};

Test(doubts, a_conflict_at_any_call_is_tried_again, .init = begin, .fini = fixture_end)
{
	unsigned before = 0;

	/* Until a run makes fewer calls. */
	for (int at = 1; at == 1 || before < shaky.conflicts; at++) {
		struct be_storage *fresh;
		struct be_options options = fixture_options();
		struct be_enforcer *handle;

		assert_ok(be_storage_memory_create(&fresh));
		shaky.inner = options.storage = fresh;
		options.storage = &shaky_storage;
		before = shaky.conflicts;
		shaky.calls = 0;
		shaky.conflict_at = at;
		assert_ok(be_open(NULL, &options, &handle));
		assert_ok(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
		for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
			cr_assert(steps[i].run(handle) == BE_OK, "%s, call %d: %s", steps[i].name,
				  at, be_last_error());
		assert_ok(be_verify(handle, NULL, NULL, NULL));
		be_close(handle);
		be_storage_memory_destroy(fresh);
	}
	printf("%u calls conflicted in turn\n", shaky.conflicts);
	cr_assert(shaky.conflicts > 40);
	shaky.inner = fixture.storage;
	shaky.conflict_at = 0;
}

Test(doubts, a_check_whose_read_conflicts_is_made_again, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_shaky();
	struct be_decision decision = BE_DECISION_INIT;

	fixture_create(handle, "llm", 10);
	for (int i = 1; i < 10; i++) {
		shaky.reads_in_vain = i;
		assert_ok(be_check(handle, "llm", 10, &decision));
		cr_assert_eq(decision.available, 10);
		cr_assert_eq(shaky.reads_in_vain, 0);
		shaky.reads_in_vain = i;
		assert_status(be_check(handle, "llm", 11, &decision), BE_EXCEEDS_BUDGET);
	}
	shaky.reads_in_vain = 1000;
	assert_status(be_check(handle, "llm", 10, &decision), BE_CONFLICT);
	shaky.reads_in_vain = 0;
	assert_ok(be_check(handle, "llm", 10, &decision));
}

static void count_sentence(void *context, const char *sentence)
{
	(void)sentence;
	++*(int *)context;
}

static void remove_first_from(struct be_bytes from)
{
	unsigned char bytes[BE_STORAGE_KEY_MAX];
	struct be_bytes key, value;
	void *txn;

	assert_number(shaky.inner->ops->begin(shaky.inner->self, true, &txn), 0);
	assert_number(shaky.inner->ops->next(shaky.inner->self, txn, from, &key, &value), 0);
	memcpy(bytes, key.data, key.size);
	key.data = bytes;
	assert_number(shaky.inner->ops->del(shaky.inner->self, txn, key), 0);
	assert_number(shaky.inner->ops->commit(shaky.inner->self, txn), 0);
}

/* The first record of a type. */
static void remove_first(unsigned char type)
{
	remove_first_from((struct be_bytes){&type, 1});
}

/* Charges with all that is read beside them, of which some is missing. */
static void make_what_differs(struct be_enforcer *handle)
{
	struct be_envelope_name also = {.category = "day"};
	struct be_label label = {"customer", "acme"};
	struct be_charge_options charge = BE_CHARGE_OPTIONS_INIT;
	struct be_commit_options hold = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	fixture_create(handle, "llm", BE_UNIT);
	fixture_create(handle, "day", BE_UNIT);
	hold.labels = &label;
	hold.label_count = 1;
	charge.also = &also;
	charge.also_count = 1;
	charge.labels = &label;
	charge.label_count = 1;
	for (int i = 0; i < 5; i++) {
		assert_ok(be_record_with(handle, "llm", 1, NULL, &charge, NULL));
		assert_ok(be_commit_with(handle, "day", 1, NULL, &hold, &id, NULL));
	}
	assert_ok(be_verify(handle, NULL, NULL, NULL));
	remove_first(64); /* a transaction */
	remove_first(34); /* the labels of a commit */
}

Test(doubts, verifying_goes_on_when_others_get_in_the_way_at_any_read, .init = begin,
     .fini = fixture_end)
{
	struct be_enforcer *handle = open_shaky();
	struct be_verification found = BE_VERIFICATION_INIT;
	int sentences = 0, told, at = 1;
	uint64_t differences;

	make_what_differs(handle);
	cr_assert_neq(be_verify(handle, count_sentence, &sentences, &found), BE_OK);
	cr_assert_gt(sentences, 1);
	differences = found.differences;
	do {
		shaky.reads = 0;
		shaky.read_conflicts_at = at;
		told = 0;
		cr_assert_neq(be_verify(handle, count_sentence, &told, &found), BE_CONFLICT,
			      "read %d: %s", at, be_last_error());
		assert_number(told, sentences);
		assert_number(found.differences, differences);
		assert_number(found.transactions, 4);
	} while (shaky.reads >= at++);
	shaky.read_conflicts_at = 0;
	cr_assert_gt(at, 30);
}

Test(doubts, conflicts_without_end_are_told_and_nothing_is_done, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_shaky();
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	char *before, *after;

	fixture_create(handle, "llm", BE_UNIT);
	before = fixture_state();
	shaky.conflict_at = -1;
	assert_status(be_record(handle, "llm", TENTH, NULL, &transaction), BE_CONFLICT);
	cr_assert(be_last_error()[0] && transaction.id == 0);
	shaky.conflict_at = 0;
	after = fixture_state();
	assert_text(after, before);
	free(before);
	free(after);
	assert_ok(be_record(handle, "llm", TENTH, NULL, &transaction));
	assert_number(transaction.id, 1);
}

/* ------------------------------------------------------------------- doubts */

Test(doubts, a_change_in_doubt_is_made_once, .init = begin, .fini = fixture_end)
{
	static const enum doubt doubts[] = {KEPT, DROPPED};
	struct be_enforcer *handle = open_shaky();
	uint64_t last = 0;

	fixture_create(handle, "llm", BE_UNIT);
	for (int i = 0; i < 2; i++) {
		uint64_t id;

		shaky.doubt = doubts[i];
		assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
		assert_number(id, ++last);
		assert_balance(handle, "llm", i * TENTH, TENTH);
		shaky.doubt = doubts[i];
		assert_ok(be_settle(handle, id, TENTH, NULL, NULL));
		assert_balance(handle, "llm", (i + 1) * TENTH, 0);
		assert_status(be_settle(handle, id, TENTH, NULL, NULL), BE_ALREADY_SETTLED);
	}
	assert_number(shaky.doubts, 4);
	assert_number(count_hosts(), 1);
	fixture_check_balances();
}

Test(doubts, what_cannot_be_told_is_an_unknown_outcome, .init = begin, .fini = fixture_end)
{
	static const enum doubt doubts[] = {NOT_SENT, CUT_OFF};
	struct be_enforcer *handle = open_shaky();
	uint64_t id = 77;

	fixture_create(handle, "llm", BE_UNIT);
	for (int i = 0; i < 2; i++) {
		shaky.doubt = doubts[i];
		assert_status(be_commit(handle, "llm", TENTH, NULL, &id), BE_UNKNOWN_OUTCOME);
		assert_number(id, 0);
		cr_assert(strstr(be_last_error(), "looked up"));
		assert_status(be_commit(handle, "llm", TENTH, NULL, &id), BE_UNREACHABLE);
		shaky.is_cut_off = false;
		assert_balance(handle, "llm", 0, i * TENTH);
	}
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	assert_balance(handle, "llm", 0, 2 * TENTH);
}

Test(doubts, a_storage_without_the_trait_keeps_no_record_and_is_not_asked, .init = begin,
     .fini = fixture_end)
{
	struct be_enforcer *handle;

	shaking.traits = 0;
	shaking.prefetch = NULL;
	handle = open_shaky();
	fixture_create(handle, "llm", BE_UNIT);
	shaky.doubt = KEPT;
	assert_status(be_record(handle, "llm", TENTH, NULL, NULL), BE_UNKNOWN_OUTCOME);
	assert_balance(handle, "llm", TENTH, 0);
	assert_number(count_hosts(), 0);
}

/* The environment is empty, and even its header is in doubt. */
Test(doubts, opening_survives_them, .init = begin, .fini = fixture_end)
{
	static const enum doubt doubts[] = {KEPT, DROPPED};

	for (int i = 0; i < 2; i++) {
		struct be_options options = BE_OPTIONS_INIT;
		struct be_enforcer *handle;
		struct be_storage *fresh;

		assert_ok(be_storage_memory_create(&fresh));
		shaky.inner = fresh;
		options.storage = &shaky_storage;
		shaky.doubt = doubts[i];
		assert_ok(be_open(NULL, &options, &handle));
		assert_number(shaky.doubt, NO_DOUBT);
		fixture_create(handle, "llm", BE_UNIT);
		be_close(handle);
		be_storage_memory_destroy(fresh);
	}
	shaky.inner = fixture.storage;
}

/* Of a txn that changes nothing it does not matter whether it was kept. */
Test(doubts, an_answer_that_changes_nothing_is_in_no_doubt, .init = begin, .fini = fixture_end)
{
	static const enum doubt doubts[] = {KEPT, DROPPED};
	struct be_enforcer *handle = open_shaky();
	uint64_t id;

	fixture_create(handle, "llm", BE_UNIT);
	for (int i = 0; i < 2; i++) {
		shaky.doubt = doubts[i];
		assert_refused(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
		shaky.doubt = doubts[i];
		assert_refused(be_release(handle, 9), BE_NO_COMMIT);
		assert_number(shaky.doubt, NO_DOUBT);
	}
}

/* What is acknowledged is what was granted, and is what is there. */
Test(doubts, at_random_nothing_is_lost_and_nothing_done_twice, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_shaky();
	int64_t spent = 0, committed = 0;
	int granted = 0;

	shaky.random = getenv("TEST_SEED") ? strtoull(getenv("TEST_SEED"), NULL, 10)
					   : (uint64_t)time(NULL);
	printf("TEST_SEED=%" PRIu64 "\n", shaky.random);
	fixture_create(handle, "day", 100 * BE_UNIT);
	fixture_create_below(handle, "llm", 50 * BE_UNIT, NULL, "day");
	shaky.percent = 3;
	for (int i = 0; i < 2000; i++) {
		enum be_status status;
		uint64_t id;

		status = be_commit(handle, "llm", TENTH, NULL, &id);
		if (status == BE_EXCEEDS_BUDGET)
			break;
		assert_ok(status);
		assert_number(id, ++granted);
		committed += TENTH;
		if (roll() < 70)
			continue;
		assert_ok(be_settle(handle, id, TENTH / 2, NULL, NULL));
		committed -= TENTH;
		spent += TENTH / 2;
	}
	shaky.percent = 0;
	printf("%d granted, %u conflicts, %u doubts\n", granted, shaky.conflicts, shaky.doubts);
	cr_assert(shaky.doubts > 4 && shaky.conflicts > 100);
	assert_balance(handle, "llm", spent, committed);
	assert_balance(handle, "day", spent, committed);
	cr_assert(50 * BE_UNIT - spent - committed < TENTH);
	fixture_check_balances();
}

/* ----------------------------------------------------------- read beforehand */

Test(doubts, what_a_chain_reads_is_wanted_beforehand, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_shaky();
	uint64_t id;

	fixture_create(handle, "year", BE_UNIT);
	fixture_create_below(handle, "month", BE_UNIT, NULL, "year");
	fixture_create_below(handle, "day", BE_UNIT, NULL, "month");
	assert_ok(be_commit(handle, "day", TENTH, NULL, &id));
	for (int i = 0; i < 3; i++) {
		shaky.misses = 0;
		assert_ok(be_check(handle, "day", TENTH, NULL));
		assert_number(shaky.misses, 0);
		assert_ok(be_settle(handle, id, TENTH, NULL, NULL));
		/* That it has not ended yet is all that it did not know. */
		assert_number(shaky.misses, 0);
		assert_ok(be_commit(handle, "day", TENTH, NULL, &id));
		assert_number(shaky.misses, 0);
	}
}

/* ------------------------------------------------------------------ the clock */

Test(doubts, its_time_counts_and_not_that_of_the_machine, .init = begin, .fini = fixture_end)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_commit_options hold = BE_COMMIT_OPTIONS_INIT;
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	struct be_enforcer *handle, *other;
	uint64_t id, reaped;

	shaking.now = shaky_now;
	shaky.now_ns = BEGINNING_NS; /* years ago */
	options.storage = &shaky_storage;
	assert_ok(be_open(NULL, &options, &handle));
	assert_ok(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_DAILY, NULL));
	assert_number(fixture_envelope(handle, "llm").period_start_ns, BEGINNING_NS);
	hold.ttl_ms = 1000;
	assert_ok(be_commit_with(handle, "llm", BE_UNIT, NULL, &hold, &id, NULL));
	shaky.now_ns += SECOND_NS - 1;
	assert_ok(be_record(handle, "llm", 0, NULL, &transaction));
	assert_number(transaction.at_ns, shaky.now_ns);
	assert_status(be_commit(handle, "llm", 1, NULL, &id), BE_EXCEEDS_BUDGET);
	shaky.now_ns += 10 * SECOND_NS;
	assert_ok(be_open(NULL, &options, &other)); /* asks what time it is, and reaps */
	assert_ok(be_reap(other, &reaped));
	assert_number(fixture_envelope(other, "llm").committed, 0);
	assert_ok(be_record(other, "llm", TENTH, NULL, NULL));
	/* Two days later the window is another one, and old hosts are forgotten. */
	shaky.now_ns += 2 * DAY_NS;
	assert_number(count_hosts(), 2);
	be_close(handle);
	be_close(other);
	assert_ok(be_open(NULL, &options, &handle));
	assert_ok(be_commit(handle, "llm", BE_UNIT, NULL, &id));
	assert_number(count_hosts(), 1);
	be_close(handle);
	shaking.now = NULL;
}

/* ------------------------------------------------------- what processes leave behind */

#define MINUTE_NS (60 * SECOND_NS)

/* One handle is as good as one process. */
static void write_and_end(int times, bool commits)
{
	struct be_options options = BE_OPTIONS_INIT;
	uint64_t id;

	options.storage = &shaky_storage;
	for (int i = 0; i < times; i++) {
		struct be_enforcer *handle;

		assert_ok(be_open(NULL, &options, &handle));
		if (commits)
			assert_ok(be_commit(handle, "llm", 1, NULL, &id));
		else
			assert_ok(be_record(handle, "llm", 0, NULL, NULL));
		be_close(handle);
	}
}

static void begin_at_its_time(void)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	begin();
	shaking.now = shaky_now;
	shaky.now_ns = BEGINNING_NS;
	options.storage = &shaky_storage;
	assert_ok(be_open(NULL, &options, &handle));
	assert_ok(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
}

static void end_at_its_time(void)
{
	shaking.now = NULL;
	fixture_end();
}

/* Wherever theirs lie among those of others, which are too young to go. */
Test(doubts, records_of_processes_that_have_ended_go_after_an_hour, .init = begin_at_its_time,
     .fini = end_at_its_time)
{
	write_and_end(100, false);
	shaky.now_ns += 50 * MINUTE_NS;
	write_and_end(100, false);
	assert_number(count_hosts(), 201);
	shaky.now_ns += 11 * MINUTE_NS;
	write_and_end(60, false);
	cr_assert_leq(count_hosts(), 160 + 16);
}

Test(doubts, with_what_a_host_held_its_record_goes, .init = begin_at_its_time,
     .fini = end_at_its_time)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	write_and_end(100, true);
	assert_number(count_hosts(), 101);
	shaky.now_ns += 2 * DAY_NS;
	options.storage = &shaky_storage;
	assert_ok(be_open(NULL, &options, &handle)); /* reaps */
	/* Its own, and perhaps that of the one which made the envelope. */
	cr_assert_leq(count_hosts(), 2);
	assert_number(fixture_envelope(handle, "llm").committed, 0);
	assert_ok(be_verify(handle, NULL, NULL, NULL));
	be_close(handle);
}

/* Half of a lease after a txn in doubt began others may have removed its record, so that one which
 * is missing tells nothing. */
Test(doubts, a_doubt_that_lasts_is_not_resolved_by_what_is_missing, .init = begin_at_its_time,
     .fini = end_at_its_time)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	uint64_t id;

	options.storage = &shaky_storage;
	options.lease_ms = 1000;
	assert_ok(be_open(NULL, &options, &handle));
	shaky.doubt = DROPPED;
	shaky.doubt_lasts_us = 600000;
	assert_status(be_commit(handle, "llm", 1, NULL, &id), BE_UNKNOWN_OUTCOME);
	be_close(handle);
	shaky.doubt_lasts_us = 0;
	options.lease_ms = 0;
	assert_ok(be_open(NULL, &options, &handle));
	shaky.doubt = DROPPED;
	assert_ok(be_commit(handle, "llm", 1, NULL, &id));
	be_close(handle);
}

static void remove_hosts(void)
{
	while (count_hosts() > 0)
		remove_first_from((struct be_bytes){first_host, sizeof first_host});
}

static void leap_and_remove_hosts(void)
{
	shaky.now_ns += 2 * 60 * MINUTE_NS;
	remove_hosts();
}

/* A server that took over may be hours ahead, and others remove by its clock what is young by that
 * of this machine. What was made must not be made again. */
Test(doubts, a_record_removed_by_a_clock_ahead_tells_nothing, .init = begin_at_its_time,
     .fini = end_at_its_time)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;

	options.storage = &shaky_storage;
	assert_ok(be_open(NULL, &options, &handle));
	assert_ok(be_record(handle, "llm", 1, NULL, NULL));
	shaky.doubt = KEPT;
	shaky.meanwhile = leap_and_remove_hosts;
	assert_status(be_record(handle, "llm", TENTH, NULL, NULL), BE_UNKNOWN_OUTCOME);
	assert_number(fixture_envelope(handle, "llm").spent, TENTH + 1);
	be_close(handle);
}

static struct be_enforcer *patient;
static pthread_t patience;

static void *commit_patiently(void *none)
{
	uint64_t id;

	assert_ok(be_commit(patient, "llm", 1, NULL, &id));
	return none;
}

/* A record whose lease is short goes although its host would now write a longer one. */
static void ask_for_a_longer_lease(void)
{
	remove_hosts();
	assert_number(pthread_create(&patience, NULL, commit_patiently, NULL), 0);
}

Test(doubts, a_record_removed_after_a_shorter_lease_tells_nothing, .init = begin_at_its_time,
     .fini = end_at_its_time)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *handle;
	char path[128];
	uint64_t id;

	shaking.where = shaky_where;
	snprintf(path, sizeof path, "%s/run", fixture.directory);
	cr_assert(mkdir(path, 0700) == 0);
	setenv("BUDGET_ENFORCER_RUNTIME_DIR", path, 1);
	options.storage = &shaky_storage;
	options.lease_ms = 1000;
	assert_ok(be_open(NULL, &options, &handle));
	assert_ok(be_commit(handle, "llm", 1, NULL, &id));
	options.lease_ms = 600000;
	assert_ok(be_open(NULL, &options, &patient));
	shaky.doubt = KEPT;
	shaky.doubt_lasts_us = 600000;
	shaky.meanwhile = ask_for_a_longer_lease;
	assert_status(be_commit(handle, "llm", TENTH, NULL, &id), BE_UNKNOWN_OUTCOME);
	assert_number(pthread_join(patience, NULL), 0);
	assert_number(fixture_envelope(handle, "llm").committed, TENTH + 2);
	be_close(handle);
	be_close(patient);
	shaking.where = NULL;
}

#define CROWD 4
#define CROWD_RECORDS 40

static struct {
	struct be_enforcer *handle;
	int unknown, others; /* answers of all threads */
	int commits;
} crowd;
static pthread_mutex_t crowd_lock = PTHREAD_MUTEX_INITIALIZER;

static void *record_in_crowd(void *none)
{
	for (int i = 0; i < CROWD_RECORDS; i++) {
		enum be_status status = be_record(crowd.handle, "llm", 1, NULL, NULL);

		pthread_mutex_lock(&crowd_lock);
		crowd.unknown += status == BE_UNKNOWN_OUTCOME;
		crowd.others += status != BE_OK && status != BE_UNKNOWN_OUTCOME;
		pthread_mutex_unlock(&crowd_lock);
	}
	return none;
}

/* Meanwhile others post, so that the next batch carries several. */
static void lose_the_record_once(void)
{
	usleep(2000);
	if (++crowd.commits == 10) {
		shaky.doubt = KEPT; /* of the next one */
	} else if (crowd.commits == 11) {
		leap_and_remove_hosts();
		return;
	}
	shaky.meanwhile = lose_the_record_once;
}

/* Who had something in the batch is told so, and the group goes on. */
Test(doubts, a_group_goes_on_behind_a_batch_of_which_nobody_knows, .init = begin_at_its_time,
     .fini = end_at_its_time)
{
	struct be_options options = BE_OPTIONS_INIT;
	pthread_t threads[CROWD];
	char path[128];

	shaking.where = shaky_where;
	snprintf(path, sizeof path, "%s/run", fixture.directory);
	cr_assert(mkdir(path, 0700) == 0);
	setenv("BUDGET_ENFORCER_RUNTIME_DIR", path, 1);
	options.storage = &shaky_storage;
	assert_ok(be_open(NULL, &options, &crowd.handle));
	shaky.meanwhile = lose_the_record_once;
	for (int i = 0; i < CROWD; i++)
		assert_number(pthread_create(&threads[i], NULL, record_in_crowd, NULL), 0);
	for (int i = 0; i < CROWD; i++)
		assert_number(pthread_join(threads[i], NULL), 0);
	printf("%d of %d not known\n", crowd.unknown, CROWD * CROWD_RECORDS);
	cr_assert(crowd.unknown >= 1 && crowd.unknown <= CROWD);
	assert_number(crowd.others, 0);
	assert_number(fixture_envelope(crowd.handle, "llm").spent, CROWD * CROWD_RECORDS);
	be_close(crowd.handle);
	shaking.where = NULL;
}

/* ---------------------------------------------------------------- histories */

#define LEAP (UINT64_C(1) << 32)
static struct be_storage *copies[8];
static size_t copy_count;

/* Record by record, as replication does it. */
static void copy_to_standby(void)
{
	unsigned char from[BE_STORAGE_KEY_MAX + 1];
	struct be_bytes at = {"", 0}, key, value;
	const struct be_storage *inner = shaky.inner;
	struct be_storage *copy;
	void *txn, *made;

	cr_assert(copy_count < sizeof copies / sizeof *copies);
	assert_ok(be_storage_memory_create(&copy));
	copies[copy_count++] = shaky.standby = copy;
	assert_number(inner->ops->begin(inner->self, false, &txn), 0);
	assert_number(copy->ops->begin(copy->self, true, &made), 0);
	while (inner->ops->next(inner->self, txn, at, &key, &value) == 0) {
		assert_number(copy->ops->put(copy->self, made, key, value), 0);
		memcpy(from, key.data, key.size);
		from[key.size] = 0;
		at = (struct be_bytes){from, key.size + 1};
	}
	inner->ops->abort(inner->self, txn);
	assert_number(copy->ops->commit(copy->self, made), 0);
}

static void begin_with_history(void)
{
	begin();
	shaking.history = shaky_history;
	shaking.now = shaky_now;
	shaky.history = 1;
	shaky.now_ns = BEGINNING_NS;
	setenv("BUDGET_ENFORCER_RUNTIME_DIR", "", 1);
}

/* The same by group commit. */
static void begin_in_group(void)
{
	char path[128];

	begin_with_history();
	shaking.where = shaky_where;
	snprintf(path, sizeof path, "%s/run", fixture.directory);
	cr_assert(mkdir(path, 0700) == 0);
	setenv("BUDGET_ENFORCER_RUNTIME_DIR", path, 1);
}

static struct be_enforcer *open_by_its_clock(void)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.storage = &shaky_storage;
	return fixture_open_with(&options);
}

static void end_copies(void)
{
	for (size_t i = 0; i < sizeof fixture.more / sizeof *fixture.more; i++)
		if (fixture.more[i])
			fixture_close(fixture.more[i]);
	for (size_t i = 0; i < copy_count; i++)
		be_storage_memory_destroy(copies[i]);
	fixture_end();
}

static struct be_statistics statistics_of(struct be_enforcer *handle)
{
	struct be_statistics statistics = BE_STATISTICS_INIT;

	assert_ok(be_stats(handle, &statistics));
	return statistics;
}

#define HISTORY_TEST(name)                                                                         \
	static void name(void);                                                                    \
	Test(doubts, name##_alone, .init = begin_with_history, .fini = end_copies)                 \
	{                                                                                          \
		name();                                                                            \
	}                                                                                          \
	Test(doubts, name##_in_group, .init = begin_in_group, .fini = end_copies)                  \
	{                                                                                          \
		name();                                                                            \
	}                                                                                          \
	static void name(void)

HISTORY_TEST(another_history_lets_ids_leap)
{
	struct be_enforcer *handle;
	uint64_t id, changes;

	shaky.history = 0;
	handle = open_by_its_clock();
	fixture_create(handle, "llm", BE_UNIT);
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	assert_number(id, 1);
	shaky.history = 5; /* known for the first time */
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	assert_number(id, 2);
	changes = statistics_of(handle).changes;
	shaky.history = 6;
	assert_status(be_commit(handle, "llm", 2 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	assert_number(statistics_of(handle).changes, changes);
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	cr_assert(id >= LEAP);
	assert_number(statistics_of(handle).history_changes, 1);
	assert_number(statistics_of(handle).losses, 0);
	assert_number(statistics_of(handle).next_commit_id, id + 1);
	shaky.history = 0; /* it does not say so now */
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	shaky.history = 6;
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	assert_number(statistics_of(handle).next_commit_id, id + 1);
	assert_number(statistics_of(handle).history_changes, 1);
	assert_number(statistics_of(handle).changes, changes + 3);
	assert_ok(be_verify(handle, NULL, NULL, NULL));
}

HISTORY_TEST(what_was_acknowledged_and_is_gone_is_told_once)
{
	struct be_enforcer *loser = open_by_its_clock(), *other;
	uint64_t first, second, id, reaped;

	fixture_create(loser, "llm", BE_UNIT);
	assert_ok(be_commit(loser, "llm", TENTH, NULL, &first));
	other = open_by_its_clock();
	assert_ok(be_record(other, "llm", TENTH, NULL, NULL));
	copy_to_standby();
	assert_ok(be_commit(loser, "llm", 2 * TENTH, NULL, &second));
	fail_over();
	assert_ok(be_reap(loser, &reaped));
	assert_balance(loser, "llm", TENTH, TENTH);
	assert_status(be_commit(loser, "llm", TENTH, NULL, &id), BE_CHANGES_LOST);
	assert_number(id, 0);
	cr_assert(strstr(be_last_error(), "look at what is there"));
	assert_balance(loser, "llm", TENTH, TENTH);
	assert_number(statistics_of(loser).losses, 1);
	assert_status(be_settle(loser, second, TENTH, NULL, NULL), BE_NO_COMMIT);
	assert_ok(be_commit(loser, "llm", TENTH, NULL, &id));
	cr_assert(id >= second + LEAP);
	assert_ok(be_settle(loser, first, TENTH, NULL, NULL));
	/* The other has lost nothing. */
	assert_ok(be_commit(other, "llm", TENTH, NULL, &id));
	assert_number(statistics_of(other).losses, 1);
	assert_number(statistics_of(other).history_changes, 1);
	assert_ok(be_verify(other, NULL, NULL, NULL));
}

/* Not even its record is there. And it happens again and again, also to one that sleeps through. */
HISTORY_TEST(it_is_told_after_each_loss)
{
	struct be_enforcer *loser = open_by_its_clock(), *sleeper;
	uint64_t id, last = 0, reaped;

	fixture_create(fixture.handle, "llm", BE_UNIT);
	sleeper = open_by_its_clock();
	for (int i = 0; i < 4; i++) {
		copy_to_standby();
		if (i == 1)
			assert_ok(be_record(sleeper, "llm", 1, NULL, NULL));
		assert_ok(be_commit(loser, "llm", 1, NULL, &id));
		cr_assert(id > last);
		last = id;
		shaky.now_ns += SECOND_NS;
		fail_over();
		assert_status(be_commit(loser, "llm", 1, NULL, &id), BE_CHANGES_LOST);
		assert_ok(be_commit(loser, "llm", 1, NULL, &id));
		cr_assert(id > last);
		last = id;
	}
	assert_ok(be_reap(sleeper, &reaped));
	assert_status(be_record(sleeper, "llm", 1, NULL, NULL), BE_CHANGES_LOST);
	assert_ok(be_record(sleeper, "llm", 1, NULL, NULL));
	assert_ok(be_verify(sleeper, NULL, NULL, NULL));
}

/* Also by what a process of a group does alone. */
HISTORY_TEST(it_is_told_by_whatever_changes_something)
{
	struct be_enforcer *handle = open_by_its_clock();
	struct be_envelope envelope = BE_ENVELOPE_INIT;

	fixture_create(handle, "llm", BE_UNIT);
	copy_to_standby();
	assert_ok(be_record(handle, "llm", TENTH, NULL, NULL));
	fail_over();
	assert_status(do_apply(handle), BE_CHANGES_LOST);
	assert_status(be_utilization(handle, "one", &envelope), BE_NO_ENVELOPE);
	assert_ok(do_apply(handle));
	assert_ok(be_record(handle, "one", TENTH, NULL, NULL));
	copy_to_standby();
	assert_ok(be_record(handle, "one", TENTH, NULL, NULL));
	fail_over();
	assert_status(do_prune(handle), BE_CHANGES_LOST);
	assert_ok(be_record(handle, "one", TENTH, NULL, NULL));
	assert_ok(be_verify(handle, NULL, NULL, NULL));
}

/* Nobody but the process itself can know that. In a group others, or its own next call, notice that
 * there is another history. */
HISTORY_TEST(what_a_process_did_alone_and_is_gone_is_told_soon)
{
	struct be_enforcer *handle = open_by_its_clock();
	int told = 0;

	fixture_create(handle, "llm", BE_UNIT);
	copy_to_standby();
	assert_ok(do_apply(handle));
	fail_over();
	for (int i = 0; i < 4; i++)
		told += be_record(handle, "llm", 1, NULL, NULL) == BE_CHANGES_LOST;
	assert_number(told, 1);
	assert_balance(handle, "llm", 3, 0);
	assert_ok(be_verify(handle, NULL, NULL, NULL));
}

/* The server is the same, but its files are older. */
HISTORY_TEST(a_loss_lets_ids_leap_where_the_history_says_nothing)
{
	struct be_enforcer *handle = open_by_its_clock();
	uint64_t id, lost;

	fixture_create(handle, "llm", BE_UNIT);
	copy_to_standby();
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &lost));
	fail_over();
	shaky.history = 1;
	assert_status(be_commit(handle, "llm", TENTH, NULL, &id), BE_CHANGES_LOST);
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	cr_assert(id >= lost + LEAP);
	assert_number(statistics_of(handle).history_changes, 0);
	assert_number(statistics_of(handle).losses, 1);
}

/* What is in doubt when the other takes over is made once; or not at all, when what was
 * acknowledged before it is gone, too. */
HISTORY_TEST(a_doubt_is_resolved_in_another_history)
{
	struct be_enforcer *handle = open_by_its_clock();
	uint64_t id;

	fixture_create(handle, "llm", BE_UNIT);
	assert_ok(be_commit(handle, "llm", TENTH, NULL, &id));
	copy_to_standby();
	shaky.doubt = REPLACED;
	assert_ok(be_record(handle, "llm", TENTH, NULL, NULL));
	assert_balance(handle, "llm", TENTH, TENTH);
	assert_number(statistics_of(handle).losses, 0);
	copy_to_standby();
	assert_ok(be_record(handle, "llm", TENTH, NULL, NULL));
	shaky.doubt = REPLACED;
	assert_status(be_record(handle, "llm", TENTH, NULL, NULL), BE_CHANGES_LOST);
	assert_balance(handle, "llm", TENTH, TENTH);
	assert_ok(be_record(handle, "llm", TENTH, NULL, NULL));
	assert_balance(handle, "llm", 2 * TENTH, TENTH);
	assert_number(statistics_of(handle).history_changes, 2);
	assert_number(statistics_of(handle).losses, 1);
	assert_ok(be_verify(handle, NULL, NULL, NULL));
}

/* Hosts' records are removed in time, and what is gone then was not lost. */
HISTORY_TEST(a_record_that_was_removed_is_no_loss)
{
	struct be_enforcer *idle = open_by_its_clock(), *other;

	fixture_create(idle, "llm", BE_UNIT);
	shaky.now_ns += 2 * DAY_NS;
	shaking.where = NULL;
	other = open_by_its_clock();
	assert_ok(be_record(other, "llm", 1, NULL, NULL));
	assert_number(count_hosts(), 1);
	assert_ok(be_record(idle, "llm", 1, NULL, NULL));
	assert_number(statistics_of(idle).losses, 0);
}

static struct {
	struct be_enforcer *handle, *observer;
	pthread_t thread;
} impatient;

static void *wait_for_money(void *none)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	options.wait_ms = BE_WAIT_FOREVER;
	assert_ok(be_commit_with(impatient.handle, "llm", 4, NULL, &options, &id, NULL));
	pthread_testcancel();
	return none;
}

/* The thread is told that it was granted, and would give that back, when the standby takes over. */
static void cancel_when_granted(void)
{
	if (fixture_envelope(impatient.observer, "llm").committed == 4) {
		assert_number(pthread_cancel(impatient.thread), 0);
		shaky.fails_over = true;
	} else {
		shaky.meanwhile = cancel_when_granted;
	}
}

Test(doubts, what_a_cancelled_thread_gives_back_tells_nobody, .init = begin_in_group,
     .fini = end_copies)
{
	uint64_t id;

#if defined __SANITIZE_ADDRESS__ && !defined __clang__
	cr_skip_test(
		"gcc's AddressSanitizer takes the frames that a cancellation leaves for an error");
#endif
	impatient.handle = open_by_its_clock();
	impatient.observer = open_by_its_clock();
	fixture_create(impatient.handle, "llm", 10);
	assert_ok(be_commit(impatient.handle, "llm", 10, NULL, &id));
	copy_to_standby();
	assert_number(pthread_create(&impatient.thread, NULL, wait_for_money, NULL), 0);
	while (statistics_of(impatient.handle).waiting == 0)
		usleep(1000);
	shaky.meanwhile = cancel_when_granted;
	assert_ok(be_release(impatient.handle, id));
	shaky.may_fail_over = true;
	assert_number(pthread_join(impatient.thread, NULL), 0);
	assert_status(be_record(impatient.handle, "llm", 0, NULL, NULL), BE_CHANGES_LOST);
	assert_ok(be_record(impatient.handle, "llm", 0, NULL, NULL));
	assert_balance(impatient.handle, "llm", 0, 10);
}

HISTORY_TEST(a_fork_child_is_told_what_it_has_lost_itself)
{
	struct be_enforcer *handle = open_by_its_clock();
	int status;
	pid_t child;

	fixture_create(handle, "llm", BE_UNIT);
	child = fork();
	if (child == 0) { /* with a copy of the storage in memory */
		bool is_told = be_record(handle, "llm", TENTH, NULL, NULL) == BE_OK;

		copy_to_standby();
		is_told = is_told && be_record(handle, "llm", TENTH, NULL, NULL) == BE_OK;
		fail_over();
		is_told = is_told && be_record(handle, "llm", 1, NULL, NULL) == BE_CHANGES_LOST &&
			  be_record(handle, "llm", 1, NULL, NULL) == BE_OK;
		_exit(is_told ? 0 : 1);
	}
	assert_number(waitpid(child, &status, 0), child);
	assert_number(status, 0);
}

/* ---------------------------------------------------------------------- fork */

Test(doubts, a_fork_child_writes_under_a_name_of_its_own, .init = begin, .fini = fixture_end)
{
	struct be_enforcer *handle = open_shaky();
	int status;
	pid_t child;

	fixture_create(handle, "llm", BE_UNIT);
	child = fork();
	if (child == 0) {
		shaky.doubt = KEPT; /* its copy of the storage in memory */
		_exit(be_record(handle, "llm", TENTH, NULL, NULL) == BE_OK && count_hosts() == 2
			      ? 0
			      : 1);
	}
	assert_number(waitpid(child, &status, 0), child);
	assert_number(status, 0);
	assert_ok(be_record(handle, "llm", TENTH, NULL, NULL));
	assert_number(count_hosts(), 1);
}
