/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces, categories and descriptions: how long they may be, what may be in them, that all of
 * it comes back as it was given, and that namespaces know nothing of each other.
 */
#include "fixture.h"

static const char *const malformed[] = {
	"\x80",             /* a continuation on its own */
	"\xc3",             /* cut short */
	"a\xe2\x82",        /* cut short */
	"\xf0\x9f\x98z",    /* a letter where a continuation should be */
	"\xc0\xaf",         /* '/' in two bytes */
	"\xe0\x80\xaf",     /* '/' in three */
	"\xf0\x80\x80\xaf", /* '/' in four */
	"\xed\xa0\x80",     /* a surrogate, U+D800 */
	"\xf4\x90\x80\x80", /* U+110000 */
	"\xf8\x88\x80\x80\x80",
	"\xff",
	"\xfe",
	"\n",
	"tab\t",
	"\x01",
	"\x1f",
	"\x7f",
	"escape\x1b[31m",
	"\xc2\x80", /* U+0080 */
	"\xc2\x9f", /* U+009F */
};
#define MALFORMED (sizeof malformed / sizeof malformed[0])

static const char *const well_formed[] = {
	"a",
	"llm-inference",
	"with space",
	" ",
	"a/b:c\\\"'",
	"\xc2\xa0",
	"\xc3\xa9t\xc3\xa9",
	"\xe6\x97\xa5\xe6\x9c\xac",
	"\xf0\x9f\x98\x80",
	"\xed\x9f\xbf",
	"\xee\x80\x80",
	"\xef\xbf\xbd",
	"\xf4\x8f\xbf\xbf",
	"~",
};
#define WELL_FORMED (sizeof well_formed / sizeof well_formed[0])

static const char *repeated(char *text, size_t size, const char *letter)
{
	size_t width = strlen(letter);

	for (size_t i = 0; i < size; i++)
		text[i] = letter[i % width];
	text[size] = '\0';
	return text;
}

static enum be_status open_and_close(const char *namespace_name)
{
	struct be_options options = fixture_options();
	struct be_enforcer *handle = NULL;
	enum be_status status;

	options.namespace_name = namespace_name;
	status = be_open(fixture_path(), &options, &handle);
	cr_assert((handle != NULL) == (status == BE_OK));
	be_close(handle);
	return status;
}

BEHAVIOUR_TEST(names, are_as_long_as_the_header_says)
{
	char longest[200], too_long[200], two_bytes[200];
	struct be_enforcer *task;
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_envelope envelope;

	repeated(longest, 127, "n");
	repeated(too_long, 128, "n");
	repeated(two_bytes, 128, "\xc3\xa9"); /* 64 letters, and still 128 bytes */
	task = fixture_open(longest);
	fixture_create(task, longest, BE_UNIT);
	envelope = fixture_envelope(task, longest);
	assert_text(envelope.namespace_name, longest);
	assert_text(envelope.category, longest);
	fixture_create_below(budget, "child", BE_UNIT, longest, longest);
	assert_text(fixture_envelope(budget, "child").parent_namespace, longest);
	assert_text(fixture_envelope(budget, "child").parent_category, longest);
	fixture_commit(budget, "child", TENTH);
	assert_balance(task, longest, 0, TENTH);

	assert_status(open_and_close(too_long), BE_INVALID_NAME);
	assert_status(open_and_close(two_bytes), BE_INVALID_NAME);
	assert_refused(be_envelope_create(budget, too_long, 1, BE_PERIOD_TOTAL, NULL),
		       BE_INVALID_NAME);
	assert_refused(be_envelope_create(budget, two_bytes, 1, BE_PERIOD_TOTAL, NULL),
		       BE_INVALID_NAME);
	assert_refused(be_check(task, too_long, 1, NULL),
		       BE_INVALID_NAME); /* not cut to what exists */
	options.parent_category = too_long;
	assert_refused(be_envelope_create(budget, "c", 1, BE_PERIOD_TOTAL, &options),
		       BE_INVALID_NAME);
	options.parent_category = longest;
	options.parent_namespace = too_long;
	assert_refused(be_envelope_create(budget, "c", 1, BE_PERIOD_TOTAL, &options),
		       BE_INVALID_NAME);
}

BEHAVIOUR_TEST(names, a_category_is_not_empty_and_a_namespace_may_be)
{
	uint64_t id;

	assert_refused(be_envelope_create(budget, "", 1, BE_PERIOD_TOTAL, NULL), BE_INVALID_NAME);
	assert_refused(be_check(budget, "", 1, NULL), BE_INVALID_NAME);
	assert_refused(be_commit(budget, "", 1, NULL, &id), BE_INVALID_NAME);
	assert_ok(open_and_close(""));
	assert_ok(open_and_close(NULL));
	fixture_create(budget, "llm", BE_UNIT);
	assert_text(fixture_envelope(fixture_open(""), "llm").namespace_name, "");
}

BEHAVIOUR_TEST(names, malformed_ones_are_refused_by_every_call)
{
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	uint64_t id;

	for (size_t i = 0; i < MALFORMED; i++) {
		const char *bad = malformed[i];
		struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

		assert_status(open_and_close(bad), BE_INVALID_NAME);
		assert_status(be_envelope_create(budget, bad, 1, BE_PERIOD_TOTAL, NULL),
			      BE_INVALID_NAME);
		assert_status(be_envelope_ensure(budget, bad, 1, BE_PERIOD_TOTAL, NULL),
			      BE_INVALID_NAME);
		options.parent_category = bad;
		assert_status(be_envelope_create(budget, "a", 1, BE_PERIOD_TOTAL, &options),
			      BE_INVALID_NAME);
		options.parent_category = "a";
		options.parent_namespace = bad;
		assert_status(be_envelope_create(budget, "a", 1, BE_PERIOD_TOTAL, &options),
			      BE_INVALID_NAME);
		assert_status(be_envelope_set_limit(budget, bad, 1), BE_INVALID_NAME);
		assert_status(be_envelope_suspend(budget, bad), BE_INVALID_NAME);
		assert_status(be_envelope_resume(budget, bad), BE_INVALID_NAME);
		assert_status(be_envelope_reset(budget, bad), BE_INVALID_NAME);
		assert_status(be_envelope_remove(budget, bad), BE_INVALID_NAME);
		assert_status(be_check(budget, bad, 1, NULL), BE_INVALID_NAME);
		assert_status(be_commit(budget, bad, 1, NULL, &id), BE_INVALID_NAME);
		assert_status(be_record(budget, bad, 1, NULL, NULL), BE_INVALID_NAME);
		assert_status(be_utilization(budget, bad, &envelope), BE_INVALID_NAME);
	}
}

BEHAVIOUR_TEST(names, well_formed_ones_come_back_as_they_were_given)
{
	for (size_t i = 0; i < WELL_FORMED; i++) {
		const char *good = well_formed[i];
		struct be_enforcer *task = fixture_open(good);
		struct be_transaction transaction = BE_TRANSACTION_INIT;
		struct be_envelope envelope;

		fixture_create(task, good, BE_UNIT);
		envelope = fixture_envelope(task, good);
		assert_text(envelope.namespace_name, good);
		assert_text(envelope.category, good);
		assert_ok(be_record(task, good, TENTH, good, &transaction));
		assert_text(transaction.namespace_name, good);
		assert_text(transaction.category, good);
		assert_text(transaction.description, good);
		fixture_close(task);
	}
}

BEHAVIOUR_TEST(names, descriptions_are_as_long_as_the_header_says)
{
	char longest[600], too_long[600];
	struct be_transaction transaction = BE_TRANSACTION_INIT;
	uint64_t id, pending;

	repeated(longest, 512, "\xe2\x82\xac!"); /* 128 of these */
	repeated(too_long, 513, "d");
	fixture_create(budget, "llm", BE_UNIT);
	assert_ok(be_record(budget, "llm", TENTH, longest, &transaction));
	assert_text(transaction.description, longest);
	assert_ok(be_commit(budget, "llm", TENTH, longest, &id));
	assert_ok(be_settle(budget, id, TENTH, NULL, &transaction));
	assert_text(transaction.description, longest);

	pending = fixture_commit(budget, "llm", TENTH);
	assert_refused(be_commit(budget, "llm", TENTH, too_long, &id), BE_INVALID_DESCRIPTION);
	assert_number(id, 0);
	assert_refused(be_record(budget, "llm", TENTH, too_long, NULL), BE_INVALID_DESCRIPTION);
	assert_refused(be_settle(budget, pending, TENTH, too_long, NULL), BE_INVALID_DESCRIPTION);
	for (size_t i = 0; i < MALFORMED; i++) {
		assert_status(be_commit(budget, "llm", TENTH, malformed[i], &id),
			      BE_INVALID_DESCRIPTION);
		assert_status(be_record(budget, "llm", TENTH, malformed[i], NULL),
			      BE_INVALID_DESCRIPTION);
		assert_status(be_settle(budget, pending, TENTH, malformed[i], NULL),
			      BE_INVALID_DESCRIPTION);
	}
	assert_ok(be_record(budget, "llm", TENTH, "", &transaction));
	assert_text(transaction.description, "");
	assert_ok(be_record(budget, "llm", TENTH, NULL, &transaction));
	assert_text(transaction.description, "");
}

BEHAVIOUR_TEST(names, namespaces_know_nothing_of_each_other)
{
	struct be_enforcer *one = fixture_open("one"), *two = fixture_open("two");
	uint64_t id;

	fixture_create(one, "llm", BE_UNIT);
	assert_refused(be_check(two, "llm", TENTH, NULL), BE_NO_ENVELOPE);
	assert_refused(be_check(budget, "llm", TENTH, NULL), BE_NO_ENVELOPE);
	fixture_create(two, "llm", 2 * BE_UNIT);
	fixture_create(budget, "llm", 3 * BE_UNIT);
	assert_ok(be_record(one, "llm", BE_UNIT, NULL, NULL));
	assert_refused(be_commit(one, "llm", TENTH, NULL, &id), BE_EXCEEDS_BUDGET);
	fixture_commit(two, "llm", TENTH);
	assert_ok(be_envelope_suspend(budget, "llm"));
	assert_balance(one, "llm", BE_UNIT, 0);
	assert_balance(two, "llm", 0, TENTH);
	assert_balance(budget, "llm", 0, 0);
	assert_ok(be_check(two, "llm", TENTH, NULL));
	assert_ok(be_envelope_remove(one, "llm"));
	assert_balance(two, "llm", 0, TENTH);
}

BEHAVIOUR_TEST(names, where_a_namespace_ends_and_a_category_begins_is_never_mistaken)
{
	static const char *const pairs[][2] = {{"", "abc"},  {"a", "bc"}, {"ab", "c"},
					       {"ab", "cd"}, {"a", "b"},  {"b", "a"}};
	size_t count = sizeof pairs / sizeof pairs[0];

	for (size_t i = 0; i < count; i++) {
		struct be_enforcer *handle = fixture_open(pairs[i][0]);

		fixture_create(handle, pairs[i][1], (int64_t)(i + 1) * BE_UNIT);
		fixture_close(handle);
	}
	for (size_t i = 0; i < count; i++) {
		struct be_enforcer *handle = fixture_open(pairs[i][0]);

		assert_number(fixture_envelope(handle, pairs[i][1]).limit,
			      (int64_t)(i + 1) * BE_UNIT);
		fixture_close(handle);
	}
}
