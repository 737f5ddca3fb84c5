/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statuses and the other sets of numbers have a word for each number and none for any other. The
 * numbers come from the public header itself, read as text, so that one added there without its
 * words makes this fail.
 */
#include <budget_enforcer.h>

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MANY 256

struct constant {
	char name[64]; /* in lower case, without what all of the set begin with */
	int number;
};

/* Reads the constants of `enum <set>` whose names begin with `prefix`; how many there are. */
static size_t read_constants(const char *set, const char *prefix, struct constant constants[MANY])
{
	FILE *header = fopen(PUBLIC_HEADER, "r");
	char line[512], opening[80];
	bool inside = false;
	size_t count = 0;

	cr_assert(header, "cannot read %s", PUBLIC_HEADER);
	snprintf(opening, sizeof opening, "enum %s {", set);
	while (fgets(line, sizeof line, header)) {
		char word[64];
		int number;

		if (strncmp(line, opening, strlen(opening)) == 0)
			inside = true;
		else if (line[0] == '}')
			inside = false;
		else if (inside && sscanf(line, " %63[A-Z0-9_] = %d ,", word, &number) == 2) {
			struct constant *constant = &constants[count++];

			cr_assert_lt(count, MANY);
			cr_assert_eq(strncmp(word, prefix, strlen(prefix)), 0, "%s", word);
			for (size_t i = strlen(prefix); i <= strlen(word); i++)
				constant->name[i - strlen(prefix)] =
					(char)tolower((unsigned char)word[i]);
			constant->number = number;
		}
	}
	fclose(header);
	return count;
}

static const struct constant *find(const struct constant *constants, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		if (constants[i].number == number)
			return &constants[i];
	return NULL;
}

/* Every number from -1000 to 1000 and some far out has the name it has in the header, or none. */
static void expect_names(const char *set, const char *prefix, const char *(*name_of)(int number))
{
	static const int far[] = {INT32_MIN, INT32_MIN + 1, -65536, 65536, INT32_MAX};
	struct constant constants[MANY];
	size_t count = read_constants(set, prefix, constants);

	printf("%s: %zu constants\n", set, count);
	cr_assert_gt(count, 3, "enum %s was not found in %s", set, PUBLIC_HEADER);
	for (int number = -1000; number <= 1000; number++) {
		const struct constant *constant = find(constants, count, number);

		cr_expect_str_eq(name_of(number), constant ? constant->name : "unknown",
				 "enum %s, %d", set, number);
	}
	for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
		cr_expect_str_eq(name_of(far[i]), "unknown");
	for (size_t i = 0; i < count; i++)
		cr_expect_eq(find(constants, count, constants[i].number), &constants[i],
			     "%s is a number taken", constants[i].name);
}

static const char *status_name(int number)
{
	return be_status_name((enum be_status)number);
}

static const char *operation_name(int number)
{
	return be_operation_name((enum be_operation)number);
}

static const char *transaction_kind_name(int number)
{
	return be_transaction_kind_name((enum be_transaction_kind)number);
}

static const char *period_name(int number)
{
	return be_period_name((enum be_period)number);
}

Test(statuses, each_is_named_like_its_constant)
{
	expect_names("be_status", "BE_", status_name);
}

Test(statuses, operations_kinds_and_periods_are_named_like_their_constants)
{
	expect_names("be_operation", "BE_OPERATION_", operation_name);
	expect_names("be_transaction_kind", "BE_TRANSACTION_", transaction_kind_name);
	expect_names("be_period", "BE_PERIOD_", period_name);
}

Test(statuses, each_has_a_sentence_of_its_own_without_a_full_stop)
{
	struct constant constants[MANY];
	size_t count = read_constants("be_status", "BE_", constants);

	for (size_t i = 0; i < count; i++) {
		const char *text = be_status_text((enum be_status)constants[i].number);
		size_t length = strlen(text);

		cr_expect(isupper((unsigned char)text[0]), "%s: \"%s\"", constants[i].name, text);
		cr_expect_gt(length, 3);
		cr_expect_neq(text[length - 1], '.', "%s: \"%s\"", constants[i].name, text);
		for (size_t j = 0; j < i; j++)
			cr_expect_str_neq(text,
					  be_status_text((enum be_status)constants[j].number));
		cr_expect_str_neq(text, be_status_text((enum be_status)1));
	}
	cr_expect(strlen(be_status_text((enum be_status)1)) > 0);
	cr_expect(strlen(be_status_text((enum be_status)INT32_MIN)) > 0);
}

Test(statuses, only_ok_is_not_negative)
{
	struct constant constants[MANY];
	size_t count = read_constants("be_status", "BE_", constants);

	for (size_t i = 0; i < count; i++)
		cr_expect((constants[i].number == 0) == (strcmp(constants[i].name, "ok") == 0) &&
				  constants[i].number <= 0,
			  "%s is %d", constants[i].name, constants[i].number);
}

Test(statuses, refusals_are_those_from_minus_1_to_minus_99)
{
	cr_expect_not(be_status_is_refusal(BE_OK));
	cr_expect(be_status_is_refusal(BE_EXCEEDS_BUDGET));
	cr_expect(be_status_is_refusal(BE_ALREADY_CHARGED));
	cr_expect_not(be_status_is_refusal(BE_INVALID_ARGUMENT));
	cr_expect_not(be_status_is_refusal(BE_STORAGE_FAILED));
	for (int number = -1000; number <= 1000; number++)
		cr_expect_eq(be_status_is_refusal((enum be_status)number),
			     number <= -1 && number >= -99, "%d", number);
	cr_expect_not(be_status_is_refusal((enum be_status)INT32_MIN));
	cr_expect_not(be_status_is_refusal((enum be_status)INT32_MAX));
}

/* A caller prints the name and the text of a status next to what be_last_error() says of it. */
Test(statuses, asking_for_words_keeps_the_last_error)
{
	char before[1024];
	int64_t amount;

	cr_assert_eq(be_amount_parse("x", &amount), BE_AMOUNT_NOT_A_NUMBER);
	snprintf(before, sizeof before, "%s", be_last_error());
	cr_assert(strlen(before) > 0);
	be_status_name(BE_DAMAGED);
	be_status_text(BE_DAMAGED);
	be_status_is_refusal(BE_DAMAGED);
	be_period_name(BE_PERIOD_DAILY);
	be_operation_name(BE_OPERATION_CHECK);
	be_transaction_kind_name(BE_TRANSACTION_RECORD);
	cr_expect_str_eq(be_last_error(), before);
}
