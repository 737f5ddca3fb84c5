/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Daily sums: what pruning has removed is in them, once, to the nano; and what it has not removed
 * is not.
 */
#include "fixture.h"

struct found {
	struct be_daily_sum sums[64]; /* without the names of further envelopes */
	char also[64][128];
	size_t count;
	uint64_t last_id;
};

static bool keep(void *context, const struct be_daily_sum *sum)
{
	struct found *found = context;
	char *also = found->also[found->count];

	cr_assert(found->count < 64);
	assert_number(sum->size, sizeof *sum);
	found->sums[found->count] = *sum;
	*also = '\0';
	for (uint32_t i = 0; i < sum->also_count; i++)
		snprintf(also + strlen(also), 128 - strlen(also), "%s/%s ",
			 sum->also[i].namespace_name, sum->also[i].category);
	found->count++;
	return true;
}

static struct found list(struct be_enforcer *budget, const struct be_filter *filter)
{
	struct found found = {.count = 0};

	assert_ok(be_daily_sums_each(budget, filter, keep, &found, &found.last_id));
	return found;
}

static struct be_pruning prune(struct be_enforcer *budget)
{
	struct be_pruning pruning = BE_PRUNING_INIT;

	assert_ok(be_prune(budget, fixture.now_ns, NULL, NULL, &pruning));
	return pruning;
}

#define assert_sum(sum, kind_, category_, amount_, count_)                                         \
	do {                                                                                       \
		assert_number((sum).kind, kind_);                                                  \
		assert_text((sum).category, category_);                                            \
		assert_number((sum).amount, amount_);                                              \
		assert_number((sum).count, count_);                                                \
	} while (0)

BEHAVIOUR_TEST(days, each_day_kind_and_envelope_has_its_sum)
{
	int64_t day_ns = BEGINNING_NS / DAY_NS * DAY_NS;
	struct found found;
	uint64_t id;

	fixture_create(budget, "llm", 1000);
	fixture_create_below(fixture_open("task"), "llm", 500, "", "llm");
	cr_assert(list(budget, NULL).count == 0 && list(budget, NULL).last_id == 0);
	for (int i = 0; i < 3; i++)
		assert_ok(be_record(budget, "llm", 2, "words", NULL));
	id = fixture_commit(budget, "llm", 9);
	fixture_advance(5);
	assert_ok(be_settle(budget, id, 7, NULL, NULL));
	assert_ok(be_record(fixture.more[0], "llm", 4, NULL, NULL));
	fixture_advance(day_ns + DAY_NS - fixture.now_ns); /* midnight */
	assert_ok(be_record(budget, "llm", 11, NULL, NULL));
	fixture_advance(1);
	assert_number(prune(budget).transactions, 6);
	found = list(budget, NULL);
	assert_number(found.last_id, 6);
	assert_number(found.count, 4);
	for (size_t i = 0; i < 3; i++)
		assert_number(found.sums[i].day_ns, day_ns);
	assert_number(found.sums[0].kind + found.sums[1].kind, 2 * BE_TRANSACTION_RECORD);
	id = *found.sums[0].namespace_name ? 1 : 0;
	assert_sum(found.sums[id], BE_TRANSACTION_RECORD, "llm", 6, 3);
	assert_number(found.sums[id].first_ns, BEGINNING_NS);
	assert_number(found.sums[id].last_ns, BEGINNING_NS);
	assert_sum(found.sums[1 - id], BE_TRANSACTION_RECORD, "llm", 4, 1);
	assert_text(found.sums[1 - id].namespace_name, "task");
	assert_sum(found.sums[2], BE_TRANSACTION_SETTLE, "llm", 7, 1);
	assert_number(found.sums[2].first_ns, BEGINNING_NS + 5);
	assert_sum(found.sums[3], BE_TRANSACTION_RECORD, "llm", 11, 1);
	assert_number(found.sums[3].day_ns, day_ns + DAY_NS);
}

BEHAVIOUR_TEST(days, later_prunings_add_to_the_same_sums)
{
	struct found found;

	fixture_create(budget, "llm", 100000);
	for (int i = 1; i <= 300; i++) {
		assert_ok(be_record(budget, "llm", i, NULL, NULL));
		fixture_advance(1);
		if (i % 100 == 0)
			assert_number(prune(budget).transactions, 100);
	}
	assert_number(prune(budget).transactions, 0);
	found = list(budget, NULL);
	assert_number(found.count, 1);
	assert_sum(found.sums[0], BE_TRANSACTION_RECORD, "llm", 300 * 301 / 2, 300);
	assert_number(found.sums[0].first_ns, BEGINNING_NS);
	assert_number(found.sums[0].last_ns, BEGINNING_NS + 299);
	assert_number(found.last_id, 300);
}

BEHAVIOUR_TEST(days, an_envelope_made_anew_has_sums_of_its_own)
{
	struct found found;

	fixture_create(budget, "llm", 1000);
	assert_ok(be_record(budget, "llm", 5, NULL, NULL));
	assert_ok(be_envelope_remove(budget, "llm"));
	fixture_create(budget, "llm", 1000);
	assert_ok(be_record(budget, "llm", 7, NULL, NULL));
	fixture_advance(1);
	prune(budget);
	found = list(budget, NULL);
	assert_number(found.count, 2);
	assert_sum(found.sums[0], BE_TRANSACTION_RECORD, "llm", 5, 1);
	assert_sum(found.sums[1], BE_TRANSACTION_RECORD, "llm", 7, 1);
	assert_number(found.sums[0].envelope_id, 1);
	assert_number(found.sums[1].envelope_id, 2);
}

BEHAVIOUR_TEST(days, corrections_are_sums_below_zero)
{
	struct found found;

	fixture_create(budget, "llm", 1000);
	assert_ok(be_record(budget, "llm", 50, NULL, NULL));
	assert_ok(be_correct(budget, 1, 20, NULL, NULL));
	fixture_advance(1);
	prune(budget);
	found = list(budget, NULL);
	assert_number(found.count, 2);
	assert_sum(found.sums[0], BE_TRANSACTION_RECORD, "llm", 50, 1);
	assert_sum(found.sums[1], BE_TRANSACTION_CORRECTION, "llm", -20, 1);
	assert_balance(budget, "llm", 30, 0);
}

BEHAVIOUR_TEST(days, one_sum_holds_no_more_than_an_amount)
{
	struct found found;
	int64_t left = 0;

	assert_ok(be_envelope_create(budget, "llm", INT64_MAX, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < 5; i++) {
		assert_ok(be_record(budget, "llm", INT64_MAX - 3, NULL, NULL));
		assert_ok(be_envelope_reset(budget, "llm"));
		assert_ok(be_record(budget, "llm", 2, NULL, NULL));
		fixture_advance(1);
		if (i % 2 == 0)
			prune(budget);
	}
	found = list(budget, NULL);
	assert_number(found.count, 5);
	for (size_t i = 0; i < 5; i++) {
		cr_assert(found.sums[i].amount >= INT64_MAX - 3);
		left += found.sums[i].amount - (INT64_MAX - 3);
	}
	assert_number(left, 10);
}

BEHAVIOUR_TEST(days, all_envelopes_that_were_named_are_kept)
{
	static const struct be_envelope_name also[] = {{NULL, "model"}, {"other", "day"}};
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	struct be_filter filter = BE_FILTER_INIT;
	struct found found;

	fixture_create(budget, "customer", 1000);
	fixture_create(budget, "model", 1000);
	fixture_create(fixture_open("other"), "day", 1000);
	options.also = also;
	options.also_count = 2;
	assert_ok(be_record_with(budget, "customer", 3, NULL, &options, NULL));
	assert_ok(be_record_with(budget, "customer", 4, NULL, &options, NULL));
	options.also_count = 1;
	assert_ok(be_record_with(budget, "customer", 5, NULL, &options, NULL));
	assert_ok(be_record(budget, "customer", 6, NULL, NULL));
	fixture_advance(1);
	prune(budget);
	assert_number(list(budget, NULL).count, 3);
	filter.namespace_name = "other";
	found = list(budget, &filter);
	assert_number(found.count, 1);
	assert_sum(found.sums[0], BE_TRANSACTION_RECORD, "customer", 7, 2);
	assert_text(found.also[0], "/model other/day ");
	filter = (struct be_filter)BE_FILTER_INIT;
	filter.category = "model";
	found = list(budget, &filter);
	assert_number(found.count, 2);
	assert_number(found.sums[0].amount + found.sums[1].amount, 12);
	filter.max_count = 1;
	assert_number(list(budget, &filter).count, 1);
}

/* Sixteen of the longest names do not fit into one record. */
BEHAVIOUR_TEST(days, names_may_be_as_long_and_as_many_as_there_are)
{
	char names[BE_ENVELOPES_MAX][BE_NAME_SIZE];
	struct be_envelope_name also[BE_ENVELOPES_MAX - 1];
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	struct be_prune_options pruning = BE_PRUNE_OPTIONS_INIT;
	struct be_enforcer *task;
	struct found found;

	for (int i = 0; i < BE_ENVELOPES_MAX; i++) {
		memset(names[i], 'a' + i, BE_NAME_SIZE - 1);
		names[i][BE_NAME_SIZE - 1] = '\0';
	}
	task = fixture_open(names[0]);
	for (int i = 0; i < BE_ENVELOPES_MAX; i++) {
		fixture_create(task, names[i], 1000);
		if (i > 0)
			also[i - 1] = (struct be_envelope_name){names[0], names[i]};
	}
	options.also = also;
	options.also_count = BE_ENVELOPES_MAX - 1;
	for (int i = 0; i < 3; i++) {
		assert_ok(be_record_with(task, names[0], 3, NULL, &options, NULL));
		fixture_advance(1);
		prune(budget);
	}
	found = list(budget, NULL);
	assert_number(found.count, 1);
	assert_sum(found.sums[0], BE_TRANSACTION_RECORD, names[0], 9, 3);
	assert_number(found.sums[0].also_count, BE_ENVELOPES_MAX - 1);
	assert_ok(be_verify(budget, NULL, NULL, NULL));
	pruning.sums_before_ns = fixture.now_ns + DAY_NS;
	assert_ok(be_prune_with(budget, &pruning, NULL));
	assert_number(list(budget, NULL).count, 0);
}

BEHAVIOUR_TEST(days, a_dry_run_counts_and_removes_nothing)
{
	struct be_prune_options dry = BE_PRUNE_OPTIONS_INIT;
	struct be_pruning pruning = BE_PRUNING_INIT, done;
	struct be_options options = fixture_options();
	struct be_enforcer *reader;

	fixture_create(budget, "llm", 1000);
	for (int i = 0; i < 150; i++)
		assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	assert_ok(be_release(budget, fixture_commit(budget, "llm", 1)));
	fixture_advance(1);
	dry.dry_run = true;
	dry.before_ns = fixture.now_ns;
	options.flags |= BE_OPEN_READ_ONLY;
	reader = fixture_open_with(&options);
	assert_refused(be_prune_with(reader, &dry, &pruning), BE_OK);
	assert_number(pruning.transactions, 150);
	assert_number(pruning.commits, 1);
	assert_number(list(budget, NULL).count, 0);
	done = prune(budget);
	assert_number(done.transactions, 150);
	assert_number(done.commits, 1);
	dry.sums_before_ns = fixture.now_ns + DAY_NS;
	assert_refused(be_prune_with(reader, &dry, &pruning), BE_OK);
	assert_number(pruning.transactions, 0);
	assert_number(pruning.daily_sums, 1);
	assert_number(list(budget, NULL).count, 1);
}

BEHAVIOUR_TEST(days, no_more_is_removed_than_up_to_an_id)
{
	struct be_prune_options options = BE_PRUNE_OPTIONS_INIT;
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_pruning pruning = BE_PRUNING_INIT;

	fixture_create(budget, "llm", 1000);
	for (int i = 0; i < 100; i++)
		assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	fixture_advance(1);
	options.before_ns = fixture.now_ns;
	options.below_id = 91;
	assert_ok(be_prune_with(budget, &options, &pruning));
	assert_number(pruning.transactions, 90);
	assert_number(list(budget, NULL).last_id, 90);
	assert_ok(be_stats(budget, &stats));
	assert_number(stats.pruned_id, 90);
}

BEHAVIOUR_TEST(days, sums_of_old_days_can_be_removed)
{
	struct be_prune_options options = BE_PRUNE_OPTIONS_INIT;
	struct be_pruning pruning = BE_PRUNING_INIT;
	struct be_filter filter = BE_FILTER_INIT;
	struct found found;

	fixture_create(budget, "llm", 1000);
	for (int i = 0; i < 200; i++) {
		assert_ok(be_record(budget, "llm", 1, NULL, NULL));
		fixture_advance(DAY_NS / 4);
	}
	prune(budget);
	filter.since_ns = BEGINNING_NS + DAY_NS;
	filter.until_ns = filter.since_ns + 2 * DAY_NS;
	found = list(budget, &filter);
	assert_number(found.count, 3); /* 13:46 to 13:46: of the first and the last day a part */
	options.sums_before_ns = BEGINNING_NS + 10 * DAY_NS;
	assert_ok(be_prune_with(budget, &options, &pruning));
	assert_number(pruning.daily_sums, 10);
	found = list(budget, NULL);
	assert_number(found.sums[0].day_ns, (BEGINNING_NS / DAY_NS + 10) * DAY_NS);
	assert_number(found.last_id, 200);
}

static bool stop(void *context, const struct be_daily_sum *sum)
{
	(void)sum;
	++*(int *)context;
	return false;
}

BEHAVIOUR_TEST(days, wrong_arguments_are_refused)
{
	struct be_prune_options options = BE_PRUNE_OPTIONS_INIT;
	struct be_filter filter = BE_FILTER_INIT;
	int calls = 0;

	fixture_create(budget, "llm", 1000);
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	fixture_advance(1);
	assert_status(be_prune_with(NULL, &options, NULL), BE_INVALID_ARGUMENT);
	assert_refused(be_prune_with(budget, NULL, NULL), BE_INVALID_ARGUMENT);
	options.before_ns = fixture.now_ns;
	options.reserved[1] = 1;
	assert_refused(be_prune_with(budget, &options, NULL), BE_INVALID_SIZE);
	assert_status(be_daily_sums_each(NULL, NULL, stop, &calls, NULL), BE_INVALID_ARGUMENT);
	assert_status(be_daily_sums_each(budget, NULL, NULL, &calls, NULL), BE_INVALID_ARGUMENT);
	filter.size = 1;
	assert_status(be_daily_sums_each(budget, &filter, stop, &calls, NULL), BE_INVALID_SIZE);
	prune(budget);
	assert_number(calls, 0);
	assert_status(be_daily_sums_each(budget, NULL, stop, &calls, NULL), BE_STOPPED);
	assert_number(calls, 1);
}
