/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Utilization, listings and verification: what a filter lets through and in which order, lists
 * longer than a page, callbacks that stop and callbacks that call the library, and what verify
 * counts.
 */
#include "fixture.h"

#include <unistd.h>

/* What a listing showed, in words: "a/llm a/web " for envelopes, "1 2 3 " for the others. */
struct shown {
	char text[256];
	size_t used;
};

static void show(struct shown *shown, const char *word)
{
	int added =
		snprintf(shown->text + shown->used, sizeof shown->text - shown->used, "%s ", word);

	shown->used += (size_t)added;
	cr_assert(shown->used < sizeof shown->text, "more was shown than any test expects");
}

static bool show_envelope(void *context, const struct be_envelope *envelope)
{
	char word[2 * BE_NAME_SIZE + 1];

	assert_number(envelope->size, sizeof *envelope);
	snprintf(word, sizeof word, "%s/%s", envelope->namespace_name, envelope->category);
	show(context, word);
	return true;
}

static bool show_commit(void *context, const struct be_commit_info *commit)
{
	char word[24];

	assert_number(commit->size, sizeof *commit);
	assert_number(commit->state, BE_COMMIT_PENDING);
	snprintf(word, sizeof word, "%" PRIu64, commit->id);
	show(context, word);
	return true;
}

static bool show_transaction(void *context, const struct be_transaction *transaction)
{
	char word[24];

	assert_number(transaction->size, sizeof *transaction);
	snprintf(word, sizeof word, "%" PRIu64, transaction->id);
	show(context, word);
	return true;
}

#define assert_lists(list, each, filter, wanted)                                                   \
	do {                                                                                       \
		struct shown shown_ = {0};                                                         \
		assert_ok(list(budget, filter, each, &shown_));                                    \
		assert_text(shown_.text, wanted);                                                  \
	} while (0)

#define FILTER(...) (&(const struct be_filter){.size = sizeof(struct be_filter), __VA_ARGS__})

/* ----------------------------------------------------------------- filters */

/* Envelopes of limit 1 to 5, made a second apart, in an order that is not the one they are listed
 * in. */
static void make_five(struct be_enforcer *budget)
{
	static const char *const names[][2] = {
		{"b", "llm"}, {"", "web"}, {"a", "llm"}, {"", "llm"}, {"a", "web"}};

	for (int i = 0; i < 5; i++) {
		struct be_enforcer *handle = fixture_open(names[i][0]);

		fixture_create(handle, names[i][1], (i + 1) * BE_UNIT);
		fixture_close(handle);
		fixture_advance(SECOND_NS);
	}
	(void)budget;
}

BEHAVIOUR_TEST(queries, envelopes_can_be_listed_in_pages)
{
	make_five(budget);
	assert_lists(be_envelopes_each, show_envelope, FILTER(.max_count = 2), "/llm /web ");
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.max_count = 2, .after_category = "web"), "a/llm a/web ");
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.max_count = 2, .after_namespace = "a", .after_category = "web"),
		     "b/llm ");
	/* It need not be there. */
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.after_namespace = "a", .after_category = "m"), "a/web b/llm ");
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.category = "llm", .after_category = "a"), "/llm a/llm b/llm ");
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.after_namespace = "b", .after_category = "llm"), "");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.after_namespace = "b"),
		     "/llm /web a/llm a/web b/llm ");
	assert_refused(be_envelopes_each(budget, FILTER(.after_category = ""), show_envelope, NULL),
		       BE_INVALID_NAME);
}

BEHAVIOUR_TEST(queries, envelopes_come_in_order_of_namespace_and_category)
{
	make_five(budget);
	assert_lists(be_envelopes_each, show_envelope, NULL, "/llm /web a/llm a/web b/llm ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(), "/llm /web a/llm a/web b/llm ");
}

BEHAVIOUR_TEST(queries, envelopes_are_filtered_by_name_limit_time_and_number)
{
	make_five(budget);
	assert_lists(be_envelopes_each, show_envelope, FILTER(.namespace_name = "a"),
		     "a/llm a/web ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.namespace_name = ""), "/llm /web ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.namespace_name = "c"), "");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.category = "llm"),
		     "/llm a/llm b/llm ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.category = "ll"), "");
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.namespace_name = "", .category = "web"), "/web ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.min_amount = 3 * BE_UNIT),
		     "/llm a/llm a/web ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.max_amount = 3 * BE_UNIT),
		     "/web a/llm b/llm ");
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.min_amount = 2 * BE_UNIT, .max_amount = 4 * BE_UNIT),
		     "/llm /web a/llm ");
	assert_lists(be_envelopes_each, show_envelope,
		     FILTER(.since_ns = BEGINNING_NS + 3 * SECOND_NS), "/llm a/web ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.until_ns = BEGINNING_NS + SECOND_NS),
		     "b/llm ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.max_count = 2), "/llm /web ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.max_count = 2, .category = "llm"),
		     "/llm a/llm ");
	assert_lists(be_envelopes_each, show_envelope, FILTER(.max_count = 9),
		     "/llm /web a/llm a/web b/llm ");
}

/* Commits 1 to 6 of 0.1 to 0.6 and as many records, a second apart, alternating between "llm" of
 * the default namespace and "web" of "a". */
static void make_six(struct be_enforcer *budget)
{
	struct be_enforcer *other = fixture_open("a");

	fixture_create(budget, "llm", 100 * BE_UNIT);
	fixture_create(other, "web", 100 * BE_UNIT);
	for (int i = 1; i <= 6; i++) {
		struct be_enforcer *handle = i % 2 ? budget : other;
		const char *category = i % 2 ? "llm" : "web";

		assert_number(fixture_commit(handle, category, i * TENTH), i);
		assert_ok(be_record(handle, category, i * TENTH, NULL, NULL));
		fixture_advance(SECOND_NS);
	}
}

BEHAVIOUR_TEST(queries, commits_and_transactions_come_in_order_of_id_and_are_filtered)
{
	const struct {
		const struct be_filter *filter;
		const char *ids;
	} rows[] = {
		{NULL, "1 2 3 4 5 6 "},
		{FILTER(), "1 2 3 4 5 6 "},
		{FILTER(.namespace_name = ""), "1 3 5 "},
		{FILTER(.namespace_name = "a"), "2 4 6 "},
		{FILTER(.category = "web"), "2 4 6 "},
		{FILTER(.namespace_name = "", .category = "web"), ""},
		{FILTER(.namespace_name = "a", .category = "web", .max_count = 2), "2 4 "},
		{FILTER(.min_amount = 5 * TENTH), "5 6 "},
		{FILTER(.max_amount = 2 * TENTH), "1 2 "},
		{FILTER(.min_amount = 3 * TENTH, .max_amount = 3 * TENTH), "3 "},
		{FILTER(.since_ns = BEGINNING_NS + 4 * SECOND_NS), "5 6 "},
		{FILTER(.until_ns = BEGINNING_NS + 2 * SECOND_NS), "1 2 "},
		{FILTER(.since_ns = BEGINNING_NS + SECOND_NS,
			.until_ns = BEGINNING_NS + 3 * SECOND_NS),
		 "2 3 "},
		{FILTER(.after_id = 4), "5 6 "},
		{FILTER(.after_id = 1, .category = "llm", .max_count = 1), "3 "},
		{FILTER(.after_id = 6), ""},
		{FILTER(.max_count = 3), "1 2 3 "},
	};

	make_six(budget);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_lists(be_commits_each, show_commit, rows[i].filter, rows[i].ids);
		assert_lists(be_transactions_each, show_transaction, rows[i].filter, rows[i].ids);
	}
	/* Only what is pending is a commit to be listed. */
	assert_ok(be_release(budget, 2));
	assert_ok(be_settle(budget, 5, TENTH, NULL, NULL));
	assert_lists(be_commits_each, show_commit, NULL, "1 3 4 6 ");
	assert_lists(be_transactions_each, show_transaction, NULL, "1 2 3 4 5 6 7 ");
}

static bool keep_commit(void *context, const struct be_commit_info *commit)
{
	*(struct be_commit_info *)context = *commit;
	return true;
}

static bool keep_transaction(void *context, const struct be_transaction *transaction)
{
	*(struct be_transaction *)context = *transaction;
	return true;
}

BEHAVIOUR_TEST(queries, a_commit_is_listed_with_all_there_is_to_know)
{
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	struct be_commit_info commit = {0};
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	options.ttl_ms = 90000;
	options.detached = true;
	options.reap_policy = BE_REAP_CHARGE;
	assert_ok(be_commit_with(budget, "llm", 3 * TENTH, "for a while", &options, &id, NULL));
	assert_ok(be_commits_each(budget, NULL, keep_commit, &commit));
	assert_number(commit.size, sizeof commit);
	assert_number(commit.state, BE_COMMIT_PENDING);
	assert_number(commit.reap_policy, BE_REAP_CHARGE);
	assert_number(commit.id, id);
	assert_number(commit.amount, 3 * TENTH);
	assert_number(commit.created_ns, BEGINNING_NS);
	assert_number(commit.deadline_ns, BEGINNING_NS + 90 * SECOND_NS);
	cr_assert(commit.detached);
	cr_assert(commit.owner_alive);
	assert_text(commit.namespace_name, "");
	assert_text(commit.category, "llm");
	assert_text(commit.description, "for a while");
	if (fixture.lmdb)
		assert_number(commit.owner_pid, getpid());

	assert_ok(be_release(budget, id));
	id = fixture_commit(budget, "llm", TENTH);
	assert_ok(be_commits_each(budget, NULL, keep_commit, &commit));
	assert_number(commit.id, id);
	assert_number(commit.reap_policy, BE_REAP_RELEASE);
	assert_number(commit.deadline_ns, 0);
	cr_assert(!commit.detached);
}

BEHAVIOUR_TEST(queries, a_transaction_is_listed_as_it_was_handed_out)
{
	struct be_transaction handed = BE_TRANSACTION_INIT, listed = {0};
	uint64_t id;

	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_commit(budget, "llm", 3 * TENTH, "estimate", &id));
	assert_ok(be_settle(budget, id, 2 * TENTH, NULL, &handed));
	assert_ok(be_transactions_each(budget, NULL, keep_transaction, &listed));
	assert_number(listed.size, handed.size);
	assert_number(listed.kind, handed.kind);
	assert_number(listed.id, handed.id);
	assert_number(listed.commit_id, handed.commit_id);
	assert_number(listed.amount, handed.amount);
	assert_number(listed.held, handed.held);
	assert_number(listed.at_ns, handed.at_ns);
	assert_number(listed.late, handed.late);
	assert_text(listed.namespace_name, handed.namespace_name);
	assert_text(listed.category, handed.category);
	assert_text(listed.description, handed.description);
}

/* --------------------------------------------------------- long listings */

#define MANY 1100

struct ascending {
	uint64_t count, last;
	char name[BE_NAME_SIZE];
};

static bool ascend(struct ascending *seen, uint64_t id)
{
	cr_assert(id > seen->last, "id %" PRIu64 " came after %" PRIu64, id, seen->last);
	seen->last = id;
	seen->count++;
	return true;
}

static bool ascend_commits(void *context, const struct be_commit_info *commit)
{
	return ascend(context, commit->id);
}

static bool ascend_transactions(void *context, const struct be_transaction *transaction)
{
	return ascend(context, transaction->id);
}

static bool ascend_names(void *context, const struct be_envelope *envelope)
{
	struct ascending *seen = context;

	cr_assert(strcmp(envelope->category, seen->name) > 0);
	snprintf(seen->name, sizeof seen->name, "%s", envelope->category);
	seen->count++;
	return true;
}

BEHAVIOUR_TEST(queries, listings_longer_than_a_page_are_complete_and_in_order)
{
	struct ascending seen = {0};

	budget = fixture_reopen_unflushed();
	fixture_create(budget, "llm", MANY * BE_UNIT);
	for (int i = 0; i < MANY; i++) {
		fixture_commit(budget, "llm", TENTH);
		assert_ok(be_record(budget, "llm", 0, "a description that takes its place", NULL));
	}
	assert_ok(be_commits_each(budget, NULL, ascend_commits, &seen));
	assert_number(seen.count, MANY);
	seen = (struct ascending){0};
	assert_ok(be_transactions_each(budget, NULL, ascend_transactions, &seen));
	assert_number(seen.count, MANY);
	seen = (struct ascending){0};
	assert_ok(be_transactions_each(budget, FILTER(.max_count = MANY - 1), ascend_transactions,
				       &seen));
	assert_number(seen.count, MANY - 1);

	/* The caller's own pages, as after_id allows: each goes on where the one before ended. */
	seen = (struct ascending){0};
	for (uint64_t before = UINT64_MAX; before != seen.count;) {
		before = seen.count;
		assert_ok(be_transactions_each(budget,
					       FILTER(.max_count = 250, .after_id = seen.last),
					       ascend_transactions, &seen));
	}
	assert_number(seen.count, MANY);
}

BEHAVIOUR_TEST(queries, more_envelopes_than_a_page_are_complete_and_in_order)
{
	struct ascending seen = {0};
	char category[16];

	budget = fixture_reopen_unflushed();
	for (int i = 0; i < MANY; i++) {
		snprintf(category, sizeof category, "c%05d", i * 7919 % MANY);
		fixture_create(budget, category, BE_UNIT);
	}
	assert_ok(be_envelopes_each(budget, NULL, ascend_names, &seen));
	assert_number(seen.count, MANY);
}

/* ------------------------------------------------------------- callbacks */

static bool stop_at_third(void *context, const struct be_transaction *transaction)
{
	(void)transaction;
	return ++*(int *)context < 3;
}

static bool stop_at_first_commit(void *context, const struct be_commit_info *commit)
{
	(void)commit;
	++*(int *)context;
	return false;
}

static bool stop_at_first_envelope(void *context, const struct be_envelope *envelope)
{
	(void)envelope;
	++*(int *)context;
	return false;
}

BEHAVIOUR_TEST(queries, a_callback_that_returns_false_is_the_last_one)
{
	int calls = 0;

	make_six(budget);
	assert_status(be_transactions_each(budget, NULL, stop_at_third, &calls), BE_STOPPED);
	assert_number(calls, 3);
	calls = 0;
	assert_status(be_commits_each(budget, NULL, stop_at_first_commit, &calls), BE_STOPPED);
	assert_number(calls, 1);
	calls = 0;
	assert_status(be_envelopes_each(budget, NULL, stop_at_first_envelope, &calls), BE_STOPPED);
	assert_number(calls, 1);
	assert_ok(be_envelopes_each(budget, FILTER(.namespace_name = "absent"),
				    stop_at_first_envelope, &calls));
	assert_number(calls, 1);
}

static bool release_it(void *context, const struct be_commit_info *commit)
{
	struct be_enforcer *budget = context;
	struct shown shown = {0};

	assert_ok(be_release(budget, commit->id));
	/* Listings nest, too, and show what has just been changed. */
	assert_ok(be_commits_each(budget, FILTER(.after_id = commit->id - 1, .max_count = 1),
				  show_commit, &shown));
	if (commit->id < 6) {
		char next[24];
		snprintf(next, sizeof next, "%" PRIu64 " ", commit->id + 1);
		assert_text(shown.text, next);
	}
	return true;
}

static bool record_and_look(void *context, const struct be_envelope *envelope)
{
	struct be_enforcer *budget = context;

	if (envelope->namespace_name[0] != '\0')
		return true;
	assert_ok(be_record(budget, envelope->category, TENTH, NULL, NULL));
	assert_number(fixture_envelope(budget, envelope->category).spent, envelope->spent + TENTH);
	return true;
}

BEHAVIOUR_TEST(queries, a_callback_may_call_the_library)
{
	make_six(budget);
	assert_ok(be_commits_each(budget, NULL, release_it, budget));
	assert_balance(budget, "llm", 9 * TENTH, 0);
	assert_ok(be_envelopes_each(budget, NULL, record_and_look, budget));
	assert_balance(budget, "llm", 10 * TENTH, 0);
}

BEHAVIOUR_TEST(queries, what_is_wrong_is_refused)
{
	struct be_filter filter = BE_FILTER_INIT;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	struct be_verification verification = BE_VERIFICATION_INIT;
	struct shown shown = {0};

	make_six(budget);
	assert_status(be_envelopes_each(NULL, NULL, show_envelope, &shown), BE_INVALID_ARGUMENT);
	assert_status(be_commits_each(NULL, NULL, show_commit, &shown), BE_INVALID_ARGUMENT);
	assert_status(be_transactions_each(NULL, NULL, show_transaction, &shown),
		      BE_INVALID_ARGUMENT);
	assert_status(be_envelopes_each(budget, NULL, NULL, &shown), BE_INVALID_ARGUMENT);
	assert_status(be_commits_each(budget, NULL, NULL, &shown), BE_INVALID_ARGUMENT);
	assert_status(be_transactions_each(budget, NULL, NULL, &shown), BE_INVALID_ARGUMENT);
	filter.size = 1;
	assert_status(be_envelopes_each(budget, &filter, show_envelope, &shown), BE_INVALID_SIZE);
	assert_status(be_commits_each(budget, &filter, show_commit, &shown), BE_INVALID_SIZE);
	assert_status(be_transactions_each(budget, &filter, show_transaction, &shown),
		      BE_INVALID_SIZE);
	assert_text(shown.text, "");

	assert_status(be_utilization(NULL, "llm", &envelope), BE_INVALID_ARGUMENT);
	assert_status(be_utilization(budget, NULL, &envelope), BE_INVALID_ARGUMENT);
	assert_status(be_utilization(budget, "llm", NULL), BE_INVALID_ARGUMENT);
	assert_status(be_utilization(budget, "absent", &envelope), BE_NO_ENVELOPE);
	envelope.size = 1;
	assert_status(be_utilization(budget, "llm", &envelope), BE_INVALID_SIZE);
	assert_status(be_verify(NULL, NULL, NULL, NULL), BE_INVALID_ARGUMENT);
	verification.size = 1;
	assert_status(be_verify(budget, NULL, NULL, &verification), BE_INVALID_SIZE);
}

/* ---------------------------------------------------------------- verify */

BEHAVIOUR_TEST(queries, verify_counts_what_it_looked_at)
{
	struct be_verification verification = BE_VERIFICATION_INIT;

	fixture_fill(&verification, sizeof verification);
	assert_ok(be_verify(budget, NULL, NULL, &verification));
	assert_number(verification.envelopes, 0);
	assert_number(verification.commits, 0);
	assert_number(verification.transactions, 0);
	make_six(budget);
	assert_ok(be_release(budget, 1));
	assert_ok(be_settle(budget, 2, TENTH, NULL, NULL));
	assert_ok(be_verify(budget, NULL, NULL, &verification));
	assert_number(verification.size, sizeof verification);
	assert_number(verification.envelopes, 2);
	assert_number(verification.commits, 4);
	assert_number(verification.transactions, 7);
	assert_number(verification.differences, 0);
}
