/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures that begin with their size, in every call that takes one. The size of this release is
 * taken, and larger ones that a later release may have. A size that no release can have meant is
 * refused, and neither the structure nor what lies behind it is touched. Sizes of older releases
 * are a matter of tests/unit/test_sized.c: so far there are none.
 */
#include "fixture.h"

/* ---- the calls: each is given one structure, to read or to fill */

static bool any_envelope(void *context, const struct be_envelope *envelope)
{
	(void)context;
	(void)envelope;
	return true;
}

static bool any_commit(void *context, const struct be_commit_info *commit)
{
	(void)context;
	(void)commit;
	return true;
}

static bool any_transaction(void *context, const struct be_transaction *transaction)
{
	(void)context;
	(void)transaction;
	return true;
}

static enum be_status open_with(struct be_enforcer *budget, void *options)
{
	struct be_enforcer *handle;
	enum be_status status = be_open(fixture_path(), options, &handle);

	(void)budget;
	be_close(handle);
	return status;
}

static enum be_status open_storage(struct be_enforcer *budget, void *ops)
{
	struct be_options options = BE_OPTIONS_INIT;
	struct be_storage given, *memory;
	struct be_enforcer *handle;
	enum be_status status;

	(void)budget;
	assert_ok(be_storage_memory_create(&memory));
	given = (struct be_storage){ops, memory->self};
	options.storage = &given;
	status = be_open(NULL, &options, &handle);
	be_close(handle);
	be_storage_memory_destroy(memory);
	return status;
}

static enum be_status check(struct be_enforcer *budget, void *decision)
{
	return be_check(budget, "llm", TENTH, decision);
}

static enum be_status commit(struct be_enforcer *budget, void *decision)
{
	uint64_t id;

	return be_commit_with(budget, "llm", TENTH, NULL, NULL, &id, decision);
}

static enum be_status commit_with(struct be_enforcer *budget, void *options)
{
	uint64_t id;

	return be_commit_with(budget, "llm", TENTH, NULL, options, &id, NULL);
}

static enum be_status extend(struct be_enforcer *budget, void *decision)
{
	return be_extend(budget, 1, TENTH, 0, decision);
}

static enum be_status record(struct be_enforcer *budget, void *transaction)
{
	return be_record(budget, "llm", TENTH, NULL, transaction);
}

static enum be_status record_with(struct be_enforcer *budget, void *options)
{
	return be_record_with(budget, "llm", TENTH, NULL, options, NULL);
}

static enum be_status settle(struct be_enforcer *budget, void *transaction)
{
	static uint64_t id = 2;
	enum be_status status = be_settle(budget, id, TENTH, NULL, transaction);

	if (status == BE_OK)
		id++;
	return status;
}

static enum be_status create(struct be_enforcer *budget, void *options)
{
	static int number;
	char name[16];

	snprintf(name, sizeof name, "e%d", number++);
	return be_envelope_create(budget, name, 1, BE_PERIOD_TOTAL, options);
}

static enum be_status ensure(struct be_enforcer *budget, void *options)
{
	return be_envelope_ensure(budget, "llm", 1, BE_PERIOD_TOTAL, options);
}

static enum be_status apply(struct be_enforcer *budget, void *change)
{
	return be_envelopes_apply(budget, change, 1, NULL);
}

static enum be_status apply_options(struct be_enforcer *budget, void *options)
{
	struct be_envelope_change change = BE_ENVELOPE_CHANGE_INIT;

	change.operation = BE_OPERATION_ENSURE;
	change.category = "llm";
	change.limit = 1;
	change.options = options;
	return be_envelopes_apply(budget, &change, 1, NULL);
}

static enum be_status utilization(struct be_enforcer *budget, void *envelope)
{
	return be_utilization(budget, "llm", envelope);
}

static enum be_status envelopes(struct be_enforcer *budget, void *filter)
{
	return be_envelopes_each(budget, filter, any_envelope, NULL);
}

static enum be_status commits(struct be_enforcer *budget, void *filter)
{
	return be_commits_each(budget, filter, any_commit, NULL);
}

static enum be_status transactions(struct be_enforcer *budget, void *filter)
{
	return be_transactions_each(budget, filter, any_transaction, NULL);
}

static enum be_status stats(struct be_enforcer *budget, void *statistics)
{
	return be_stats(budget, statistics);
}

static enum be_status verify(struct be_enforcer *budget, void *verification)
{
	return be_verify(budget, NULL, NULL, verification);
}

static enum be_status prune(struct be_enforcer *budget, void *pruning)
{
	return be_prune(budget, 1, NULL, NULL, pruning);
}

static struct be_prune_options prune_options = BE_PRUNE_OPTIONS_INIT;

static enum be_status prune_with(struct be_enforcer *budget, void *given)
{
	return be_prune_with(budget, given, NULL);
}

static bool any_daily_sum(void *context, const struct be_daily_sum *sum)
{
	(void)context;
	(void)sum;
	return true;
}

static enum be_status daily_sums(struct be_enforcer *budget, void *filter)
{
	return be_daily_sums_each(budget, filter, any_daily_sum, NULL, NULL);
}

/* ---- the table */

/* What is read, as it is passed; what is filled is passed as zeros. */
static struct be_options options;
static struct be_storage_ops ops;
static struct be_envelope_change change = BE_ENVELOPE_CHANGE_INIT;
static struct be_commit_options commit_options = BE_COMMIT_OPTIONS_INIT;
static struct be_charge_options charge_options = BE_CHARGE_OPTIONS_INIT;
static struct be_envelope_options envelope_options = BE_ENVELOPE_OPTIONS_INIT;
static struct be_filter filter = BE_FILTER_INIT;

static const struct taker {
	const char *name;
	enum be_status (*call)(struct be_enforcer *budget, void *structure);
	size_t size;
	const void *passed; /* NULL: it is filled */
} takers[] = {
	{"be_open", open_with, sizeof options, &options},
	{"be_open of a storage", open_storage, sizeof ops, &ops},
	{"be_check", check, sizeof(struct be_decision), NULL},
	{"be_commit_with", commit, sizeof(struct be_decision), NULL},
	{"be_commit_with options", commit_with, sizeof commit_options, &commit_options},
	{"be_extend", extend, sizeof(struct be_decision), NULL},
	{"be_record", record, sizeof(struct be_transaction), NULL},
	{"be_record_with options", record_with, sizeof charge_options, &charge_options},
	{"be_settle", settle, sizeof(struct be_transaction), NULL},
	{"be_envelope_create", create, sizeof envelope_options, &envelope_options},
	{"be_envelope_ensure", ensure, sizeof envelope_options, &envelope_options},
	{"be_envelopes_apply", apply, sizeof change, &change},
	{"be_envelopes_apply options", apply_options, sizeof envelope_options, &envelope_options},
	{"be_utilization", utilization, sizeof(struct be_envelope), NULL},
	{"be_envelopes_each", envelopes, sizeof filter, &filter},
	{"be_commits_each", commits, sizeof filter, &filter},
	{"be_transactions_each", transactions, sizeof filter, &filter},
	{"be_stats", stats, sizeof(struct be_statistics), NULL},
	{"be_verify", verify, sizeof(struct be_verification), NULL},
	{"be_prune", prune, sizeof(struct be_pruning), NULL},
	{"be_prune_with options", prune_with, sizeof prune_options, &prune_options},
	{"be_daily_sums_each", daily_sums, sizeof filter, &filter},
};

#define TAKERS (sizeof takers / sizeof *takers)
#define ROOM 70000
#define GROWTH_MAX 1024

/* Of the first release, from which some have grown. */
static uint32_t first_size(const struct taker *taker)
{
	if (taker->passed == &ops)
		return offsetof(struct be_storage_ops, prefetch);
	if (taker->passed == &options)
		return offsetof(struct be_options, lease_ms);
	if (taker->call == stats)
		return offsetof(struct be_statistics, history_changes);
	return (uint32_t)taker->size;
}

static void begin(struct be_enforcer *budget)
{
	struct be_storage *memory;

	options = fixture_options();
	assert_ok(be_storage_memory_create(&memory));
	ops = *memory->ops;
	be_storage_memory_destroy(memory);
	change.operation = BE_OPERATION_ENSURE;
	change.category = "llm";
	change.limit = 1;
	fixture_create(budget, "llm", 10 * BE_UNIT);
	for (uint64_t id = 1; id <= 4; id++)
		assert_number(fixture_commit(budget, "llm", TENTH), id);
}

/* Makes a structure of `size` in `room` bytes of the heap, where sanitizers see what is touched
 * behind them. One that is filled holds rubbish. */
static unsigned char *make_structure(const struct taker *taker, uint32_t size, size_t room)
{
	unsigned char *made = malloc(room);

	cr_assert(made);
	memset(made, taker->passed ? 0 : 0xaa, room);
	if (taker->passed)
		memcpy(made, taker->passed, taker->size);
	memcpy(made, &size, sizeof size);
	return made;
}

BEHAVIOUR_TEST(sizes, those_that_no_release_can_have_are_refused_and_nothing_is_touched)
{
	begin(budget);
	for (const struct taker *taker = takers; taker < takers + TAKERS; taker++) {
		uint32_t own = first_size(taker);
		uint32_t large = (uint32_t)taker->size + GROWTH_MAX + 1;
		const uint32_t wrong[] = {0,     1,       3,       4,         5,
					  8,     own / 2, own - 8, own - 4,   own - 1,
					  large, 65535,   65536,   UINT32_MAX};

		for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
			unsigned char *structure = make_structure(taker, wrong[i], ROOM);
			unsigned char *before = make_structure(taker, wrong[i], ROOM);
			enum be_status status = taker->call(budget, structure);

			cr_assert(status == BE_INVALID_SIZE, "%s of %u bytes: %s", taker->name,
				  wrong[i], be_status_name(status));
			cr_assert(memcmp(before, structure, ROOM) == 0,
				  "%s wrote to a structure that says it has %u bytes", taker->name,
				  wrong[i]);
			free(before);
			free(structure);
		}
	}
	assert_balance(budget, "llm", 0, 4 * TENTH);
}

BEHAVIOUR_TEST(sizes, this_releases_and_larger_ones_are_taken)
{
	static const size_t more[] = {0, 8, GROWTH_MAX};

	begin(budget);
	for (const struct taker *taker = takers; taker < takers + TAKERS; taker++)
		for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
			size_t size = taker->size + more[i];
			unsigned char *structure = make_structure(taker, (uint32_t)size, size);
			enum be_status status = taker->call(budget, structure);
			uint32_t size_after;

			cr_assert(status == BE_OK, "%s of %zu bytes: %s (%s)", taker->name, size,
				  be_status_name(status), be_last_error());
			memcpy(&size_after, structure, sizeof size_after);
			assert_number(size_after, size);
			for (size_t j = taker->size; j < size; j++)
				cr_assert(structure[j] == 0, "%s leaves rubbish at byte %zu",
					  taker->name, j);
			free(structure);
		}
}

/* A program of a later release sets an option that this one does not have. */
BEHAVIOUR_TEST(sizes, an_option_that_is_not_known_is_refused)
{
	begin(budget);
	for (const struct taker *taker = takers; taker < takers + TAKERS; taker++) {
		size_t size = taker->size + 8;
		unsigned char *structure = make_structure(taker, (uint32_t)size, size);
		bool is_storage = taker->passed == &ops; /* its later functions are not called */

		if (taker->passed) {
			structure[size - 1] = 1;
			assert_status(taker->call(budget, structure),
				      is_storage ? BE_OK : BE_INVALID_SIZE);
		}
		free(structure);
	}
	assert_balance(budget, "llm", 0, 4 * TENTH);
}

BEHAVIOUR_TEST(sizes, what_is_reserved_is_zero)
{
	struct be_envelope_change reserved_change;

	begin(budget);
	reserved_change = change;
	reserved_change.reserved = 1;
	assert_refused(apply(budget, &reserved_change), BE_INVALID_SIZE);
	ops.reserved = 1;
	assert_refused(open_storage(budget, &ops), BE_INVALID_SIZE);
	filter.reserved = 1;
	assert_refused(envelopes(budget, &filter), BE_INVALID_SIZE);
	assert_refused(transactions(budget, &filter), BE_INVALID_SIZE);
	commit_options.reserved[sizeof commit_options.reserved - 1] = 1;
	assert_refused(commit_with(budget, &commit_options), BE_INVALID_SIZE);
	charge_options.reserved = 1;
	assert_refused(record_with(budget, &charge_options), BE_INVALID_SIZE);
	envelope_options.reserved[sizeof envelope_options.reserved - 1] = 1;
	assert_refused(create(budget, &envelope_options), BE_INVALID_SIZE);
	assert_refused(apply_options(budget, &envelope_options), BE_INVALID_SIZE);
}

/* ---- what callbacks are given */

static bool envelope_has_its_size(void *context, const struct be_envelope *envelope)
{
	++*(int *)context;
	return envelope->size == sizeof *envelope;
}

static bool commit_has_its_size(void *context, const struct be_commit_info *commit_info)
{
	++*(int *)context;
	return commit_info->size == sizeof *commit_info;
}

static bool transaction_has_its_size(void *context, const struct be_transaction *transaction)
{
	++*(int *)context;
	return transaction->size == sizeof *transaction;
}

static bool owner_has_its_size(void *context, const struct be_owner_info *owner)
{
	++*(int *)context;
	return owner->size == sizeof *owner;
}

static bool pruning_has_its_size(void *context, const struct be_pruning *pruning)
{
	++*(int *)context;
	return pruning->size == sizeof *pruning;
}

static void event_has_its_size(void *context, const struct be_event *event)
{
	++*(int *)context;
	cr_assert(event->size == sizeof *event);
	cr_assert(event->reserved[0] == 0 && event->reserved[1] == 0 && event->reserved[2] == 0);
	cr_assert(!event->envelope || event->envelope->size == sizeof *event->envelope);
}

BEHAVIOUR_TEST(sizes, callbacks_are_told_the_sizes)
{
	struct be_enforcer *observed;
	int calls = 0;

	begin(budget);
	assert_ok(record(budget, NULL));
	options.observe = event_has_its_size;
	options.observe_context = &calls;
	observed = fixture_open_with(&options);
	assert_ok(check(observed, NULL));
	assert_ok(record(observed, NULL));
	assert_ok(be_envelopes_each(budget, NULL, envelope_has_its_size, &calls));
	assert_ok(be_commits_each(budget, NULL, commit_has_its_size, &calls));
	assert_ok(be_transactions_each(budget, NULL, transaction_has_its_size, &calls));
	assert_ok(be_owners_each(budget, owner_has_its_size, &calls));
	assert_ok(be_prune(budget, fixture.now_ns + 1, pruning_has_its_size, &calls, NULL));
	cr_assert(calls >= 2 + 1 + 4 + 2);
}
