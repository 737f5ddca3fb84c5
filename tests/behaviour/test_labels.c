/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of commits and transactions: kept, added to, shown and filtered by. */
#include "fixture.h"

static const struct be_label task_of_ann[] = {{"task", "t-7"}, {"customer", "Ann"}};

static struct be_commit_options labelled(const struct be_label *labels, uint32_t count)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;

	options.labels = labels;
	options.label_count = count;
	return options;
}

static struct be_charge_options charged_with(const struct be_label *labels, uint32_t count)
{
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;

	options.labels = labels;
	options.label_count = count;
	return options;
}

static uint64_t commit_labelled(struct be_enforcer *budget, int64_t amount, uint64_t ttl_ms,
				enum be_reap_policy policy)
{
	struct be_commit_options options = labelled(task_of_ann, 2);
	uint64_t id;

	options.ttl_ms = ttl_ms;
	options.reap_policy = policy;
	assert_ok(be_commit_with(budget, "llm", amount, "a task", &options, &id, NULL));
	return id;
}

/* ---- what listings show */

struct shown {
	unsigned count;
	char text[8][2048];
};

static void note(struct shown *shown, const struct be_label *labels, uint32_t count)
{
	char *at = shown->text[shown->count++];

	cr_assert(shown->count <= 8 && (labels == NULL) == (count == 0));
	*at = '\0';
	for (uint32_t i = 0; i < count; i++)
		at += sprintf(at, "%s%s=%s", i > 0 ? " " : "", labels[i].key, labels[i].value);
}

static bool see_commit(void *context, const struct be_commit_info *info)
{
	note(context, info->labels, info->label_count);
	return true;
}

static bool see_transaction(void *context, const struct be_transaction *transaction)
{
	note(context, transaction->labels, transaction->label_count);
	return true;
}

static struct shown commits(struct be_enforcer *budget, const struct be_filter *filter)
{
	struct shown shown = {0};

	assert_ok(be_commits_each(budget, filter, see_commit, &shown));
	return shown;
}

static struct shown transactions(struct be_enforcer *budget, const struct be_filter *filter)
{
	struct shown shown = {0};

	assert_ok(be_transactions_each(budget, filter, see_transaction, &shown));
	return shown;
}

#define assert_last(shown_, wanted)                                                                \
	do {                                                                                       \
		struct shown all_ = (shown_);                                                      \
		cr_assert(all_.count > 0);                                                         \
		assert_text(all_.text[all_.count - 1], wanted);                                    \
	} while (0)

BEHAVIOUR_TEST(labels, a_commit_shows_them_sorted_and_its_lines_have_them)
{
	uint64_t id;

	fixture_create(budget, "llm", 100);
	id = commit_labelled(budget, 10, 0, BE_REAP_RELEASE);
	assert_last(commits(budget, NULL), "customer=Ann task=t-7");
	assert_ok(be_charge(budget, id, 2, NULL, NULL));
	assert_last(transactions(budget, NULL), "customer=Ann task=t-7");
	assert_ok(be_extend(budget, id, 20, 0, NULL));
	assert_last(commits(budget, NULL), "customer=Ann task=t-7");
	assert_ok(be_settle(budget, id, 4, NULL, NULL));
	assert_last(transactions(budget, NULL), "customer=Ann task=t-7");
	/* Others have none. */
	fixture_commit(budget, "llm", 1);
	assert_last(commits(budget, NULL), "");
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	assert_last(transactions(budget, NULL), "");
}

BEHAVIOUR_TEST(labels, what_is_given_later_is_added_for_that_line)
{
	struct be_transaction line = BE_TRANSACTION_INIT;
	static const struct be_label more[] = {{"task", "t-8"}, {"model", "small"}, {"a", ""}};
	struct be_charge_options options = charged_with(more, 3);
	uint64_t id;

	fixture_create(budget, "llm", 100);
	id = commit_labelled(budget, 10, 0, BE_REAP_RELEASE);
	assert_ok(be_charge_with(budget, id, 2, NULL, &options, NULL));
	assert_last(transactions(budget, NULL), "a= customer=Ann model=small task=t-8");
	assert_last(commits(budget, NULL), "customer=Ann task=t-7");
	options.label_count = 1;
	assert_ok(be_settle_with(budget, id, 2, NULL, &options, &line));
	cr_assert_gt(line.label_count, 0);
	cr_assert_null(line.labels);
	assert_last(transactions(budget, NULL), "customer=Ann task=t-8");
	options.label_count = 3;
	assert_ok(be_record_with(budget, "llm", 2, NULL, &options, NULL));
	assert_last(transactions(budget, NULL), "a= model=small task=t-8");
	/* To a commit without any, too. */
	id = fixture_commit(budget, "llm", 1);
	assert_ok(be_settle_with(budget, id, 2, NULL, &options, NULL));
	assert_last(transactions(budget, NULL), "a= model=small task=t-8");
}

BEHAVIOUR_TEST(labels, what_is_reaped_keeps_them_in_its_lines)
{
	static const struct be_label more[] = {{"model", "small"}};
	struct be_charge_options options = charged_with(more, 1);
	uint64_t id;

	fixture_create(budget, "llm", 100);
	(void)commit_labelled(budget, 10, 1000, BE_REAP_CHARGE);
	id = commit_labelled(budget, 20, 1000, BE_REAP_RELEASE);
	fixture_advance(SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	assert_number(transactions(budget, NULL).count, 1);
	assert_last(transactions(budget, NULL), "customer=Ann task=t-7");
	/* Late, and still known. */
	assert_ok(be_settle_with(budget, id, 15, NULL, &options, NULL));
	assert_last(transactions(budget, NULL), "customer=Ann model=small task=t-7");
}

BEHAVIOUR_TEST(labels, a_correction_has_those_of_what_it_corrects)
{
	struct be_charge_options options = charged_with(task_of_ann, 2);
	struct be_transaction charge = BE_TRANSACTION_INIT;

	fixture_create(budget, "llm", 100);
	assert_ok(be_record_with(budget, "llm", 9, NULL, &options, &charge));
	cr_assert(charge.labels == NULL && charge.label_count == 2);
	assert_refused(be_correct_with(budget, charge.id, 4, NULL, &options, NULL),
		       BE_INVALID_ARGUMENT);
	assert_ok(be_correct(budget, charge.id, 4, "too much", NULL));
	assert_number(transactions(budget, NULL).count, 2);
	assert_last(transactions(budget, NULL), "customer=Ann task=t-7");
}

BEHAVIOUR_TEST(labels, a_commit_over_several_envelopes_has_them_once)
{
	static const struct be_envelope_name also[] = {{NULL, "day"}, {NULL, "model"}};
	struct be_commit_options options = labelled(task_of_ann, 2);
	uint64_t id;

	fixture_create(budget, "llm", 100);
	fixture_create(budget, "day", 100);
	fixture_create(budget, "model", 100);
	options.also = also;
	options.also_count = 2;
	assert_ok(be_commit_with(budget, "llm", 5, NULL, &options, &id, NULL));
	assert_last(commits(budget, NULL), "customer=Ann task=t-7");
	assert_ok(be_settle(budget, id, 5, NULL, NULL));
	assert_number(transactions(budget, NULL).count, 1);
	assert_last(transactions(budget, NULL), "customer=Ann task=t-7");
}

BEHAVIOUR_TEST(labels, listings_are_filtered_by_all_that_are_named)
{
	static const struct be_label given[][2] = {
		{{"customer", "Ann"}, {"model", "small"}},
		{{"customer", "Bob"}, {"model", "small"}},
		{{"customer", "Ann"}, {"model", "large"}},
	};
	struct be_label wanted[] = {{"customer", "Ann"}, {"model", NULL}};
	struct be_filter filter = BE_FILTER_INIT;
	uint64_t id;

	fixture_create(budget, "llm", 100);
	for (size_t i = 0; i < 3; i++) {
		struct be_charge_options charge = charged_with(given[i], 2);
		struct be_commit_options commit = labelled(given[i], 2);

		assert_ok(be_record_with(budget, "llm", 1, NULL, &charge, NULL));
		assert_ok(be_commit_with(budget, "llm", 1, NULL, &commit, &id, NULL));
	}
	assert_ok(be_record(budget, "llm", 1, NULL, NULL));
	fixture_commit(budget, "llm", 1);
	filter.labels = wanted;
	filter.label_count = 1;
	assert_number(transactions(budget, &filter).count, 2);
	assert_number(commits(budget, &filter).count, 2);
	filter.label_count = 2; /* any model */
	assert_number(transactions(budget, &filter).count, 2);
	wanted[1].value = "small";
	assert_number(transactions(budget, &filter).count, 1);
	assert_last(commits(budget, &filter), "customer=Ann model=small");
	wanted[0] = (struct be_label){"customer", NULL};
	wanted[1] = (struct be_label){"task", NULL};
	filter.label_count = 1;
	assert_number(commits(budget, &filter).count, 3);
	filter.label_count = 2;
	assert_number(commits(budget, &filter).count, 0);
	/* A prefix, or another case, is another key and value. */
	wanted[0] = (struct be_label){"custome", NULL};
	filter.label_count = 1;
	assert_number(commits(budget, &filter).count, 0);
	wanted[0] = (struct be_label){"customer", "ann"};
	assert_number(commits(budget, &filter).count, 0);
	wanted[0].key = NULL;
	assert_status(be_commits_each(budget, &filter, see_commit, NULL), BE_INVALID_ARGUMENT);
	filter.labels = NULL;
	assert_status(be_commits_each(budget, &filter, see_commit, NULL), BE_INVALID_ARGUMENT);
}

/* ---- limits */

static void assert_bad(struct be_enforcer *budget, const struct be_label *labels, uint32_t count,
		       enum be_status wanted)
{
	struct be_commit_options commit = labelled(labels, count);
	struct be_charge_options charge = charged_with(labels, count);
	uint64_t id;

	assert_refused(be_commit_with(budget, "llm", 1, NULL, &commit, &id, NULL), wanted);
	assert_refused(be_record_with(budget, "llm", 1, NULL, &charge, NULL), wanted);
	assert_refused(be_settle_with(budget, 1, 1, NULL, &charge, NULL), wanted);
	assert_refused(be_charge_with(budget, 1, 1, NULL, &charge, NULL), wanted);
}

BEHAVIOUR_TEST(labels, malformed_ones_are_refused_with_a_reason)
{
	static const struct be_label twice[] = {{"a", "1"}, {"b", "1"}, {"a", "2"}};
	static const struct be_label many[] = {{"a", ""}, {"b", ""}, {"c", ""},
					       {"d", ""}, {"e", ""}, {"f", ""},
					       {"g", ""}, {"h", ""}, {"i", ""}};
	char key[BE_LABEL_KEY_SIZE + 1], value[BE_LABEL_VALUE_SIZE + 1];
	struct be_charge_options options = BE_CHARGE_OPTIONS_INIT;
	struct be_label label = {"", "x"};

	fixture_create(budget, "llm", 100);
	fixture_commit(budget, "llm", 1);
	assert_bad(budget, &label, 1, BE_INVALID_LABEL);
	label.key = "new\nline";
	assert_bad(budget, &label, 1, BE_INVALID_LABEL);
	label = (struct be_label){"model", "\xc3"};
	assert_bad(budget, &label, 1, BE_INVALID_LABEL);
	options.labels = &label;
	options.label_count = 1;
	assert_status(be_record_with(budget, "llm", 1, NULL, &options, NULL), BE_INVALID_LABEL);
	cr_assert(strstr(be_last_error(), "\"model\""), "%s", be_last_error());
	memset(key, 'k', sizeof key);
	key[sizeof key - 1] = '\0';
	label = (struct be_label){key, "x"};
	assert_bad(budget, &label, 1, BE_INVALID_LABEL);
	memset(value, 'v', sizeof value);
	value[sizeof value - 1] = '\0';
	label = (struct be_label){"key", value};
	assert_bad(budget, &label, 1, BE_INVALID_LABEL);
	assert_bad(budget, twice, 3, BE_INVALID_LABEL);
	assert_bad(budget, many, 9, BE_INVALID_LABEL);
	assert_bad(budget, many, UINT32_MAX, BE_INVALID_LABEL);
	assert_bad(budget, NULL, 1, BE_INVALID_ARGUMENT);
	assert_bad(budget, &(struct be_label){NULL, "x"}, 1, BE_INVALID_ARGUMENT);
	assert_bad(budget, &(struct be_label){"x", NULL}, 1, BE_INVALID_ARGUMENT);
}

/* Eight, each as long as may be. */
static void make_longest(char keys[BE_LABELS_MAX][BE_LABEL_KEY_SIZE],
			 char value[BE_LABEL_VALUE_SIZE], struct be_label labels[BE_LABELS_MAX])
{
	memset(value, 'v', BE_LABEL_VALUE_SIZE - 1);
	value[BE_LABEL_VALUE_SIZE - 1] = '\0';
	for (int i = 0; i < BE_LABELS_MAX; i++) {
		memset(keys[i], 'k', BE_LABEL_KEY_SIZE - 1);
		keys[i][BE_LABEL_KEY_SIZE - 1] = '\0';
		keys[i][BE_LABEL_KEY_SIZE - 2] = (char)('h' - i);
		labels[i] = (struct be_label){keys[i], value};
	}
}

BEHAVIOUR_TEST(labels, eight_of_the_longest_fit_and_a_ninth_is_refused)
{
	static char keys[BE_LABELS_MAX][BE_LABEL_KEY_SIZE], value[BE_LABEL_VALUE_SIZE];
	struct be_label labels[BE_LABELS_MAX], ninth = {"z", ""}, same;
	struct be_commit_options commit = labelled(labels, BE_LABELS_MAX);
	struct be_charge_options charge = charged_with(&ninth, 1);
	struct be_filter filter = BE_FILTER_INIT;
	uint64_t id;

	make_longest(keys, value, labels);
	fixture_create(budget, "llm", 100);
	assert_ok(be_commit_with(budget, "llm", 10, NULL, &commit, &id, NULL));
	filter.labels = labels;
	filter.label_count = BE_LABELS_MAX;
	assert_number(commits(budget, &filter).count, 1);
	/* The commit is as it was. */
	assert_refused(be_charge_with(budget, id, 1, NULL, &charge, NULL), BE_INVALID_LABEL);
	assert_refused(be_settle_with(budget, id, 1, NULL, &charge, NULL), BE_INVALID_LABEL);
	same = (struct be_label){keys[3], "other"};
	charge.labels = &same;
	assert_ok(be_settle_with(budget, id, 1, NULL, &charge, NULL));
	assert_number(transactions(budget, NULL).count, 1);
	assert_number(transactions(budget, &filter).count, 0);
	filter.labels = &same;
	filter.label_count = 1;
	assert_number(transactions(budget, &filter).count, 1);
}

/* ---- with keys, and after pruning */

BEHAVIOUR_TEST(labels, a_repeat_with_other_labels_is_another_request)
{
	static const struct be_label other_order[] = {{"customer", "Ann"}, {"task", "t-7"}};
	static const struct be_label other_cut[] = {{"customer", "Anntask"}, {"t", "-7"}};
	struct be_charge_options options = charged_with(task_of_ann, 2);
	struct be_transaction first = BE_TRANSACTION_INIT, again = BE_TRANSACTION_INIT;

	fixture_create(budget, "llm", 100);
	options.key = "k";
	assert_ok(be_record_with(budget, "llm", 7, NULL, &options, &first));
	options.labels = other_order;
	assert_refused(be_record_with(budget, "llm", 7, NULL, &options, &again), BE_OK);
	cr_assert(memcmp(&first, &again, sizeof first) == 0);
	options.labels = other_cut;
	assert_refused(be_record_with(budget, "llm", 7, NULL, &options, NULL), BE_KEY_REUSED);
	options.label_count = 0;
	assert_refused(be_record_with(budget, "llm", 7, NULL, &options, NULL), BE_KEY_REUSED);
}

BEHAVIOUR_TEST(labels, pruning_leaves_none_behind)
{
	struct be_charge_options options = charged_with(task_of_ann, 2);
	struct be_statistics stats = BE_STATISTICS_INIT;
	struct be_prune_options all = BE_PRUNE_OPTIONS_INIT;
	uint64_t records;

	fixture_create(budget, "llm", 100);
	assert_ok(be_stats(budget, &stats));
	records = stats.records;
	for (int i = 0; i < 3; i++)
		assert_ok(be_record_with(budget, "llm", 1, NULL, &options, NULL));
	(void)commit_labelled(budget, 1, 1000, BE_REAP_CHARGE);
	(void)commit_labelled(budget, 1, 1000, BE_REAP_RELEASE);
	assert_ok(be_release(budget, commit_labelled(budget, 1, 0, BE_REAP_RELEASE)));
	assert_ok(be_settle(budget, commit_labelled(budget, 1, 0, BE_REAP_RELEASE), 1, NULL, NULL));
	fixture_advance(2 * SECOND_NS);
	assert_ok(be_reap(budget, NULL));
	fixture_advance(SECOND_NS);
	all.before_ns = fixture.now_ns;
	all.sums_before_ns = fixture.now_ns + DAY_NS;
	assert_ok(be_prune_with(budget, &all, NULL));
	assert_number(transactions(budget, NULL).count, 0);
	assert_ok(be_stats(budget, &stats));
	assert_number(stats.records, records);
}
