/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts: text to nanos and back is exact or refused, each refusal says why, and the arithmetic of
 * balances never leaves the range of int64_t.
 */
#include "rules/amount.h"
#include "support.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	const char *text;
	enum be_status status;
	int64_t amount;
};

static void expect(const struct reading *readings, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct reading *r = &readings[i];
		int64_t amount = 4711;
		enum be_status status = be_amount_parse(r->text, &amount);

		cr_expect_eq(status, r->status, "\"%s\" is %s, not %s", r->text,
			     be_status_name(status), be_status_name(r->status));
		cr_expect_eq(amount, r->amount, "\"%s\" gave %" PRId64, r->text, amount);
		if (status == BE_OK)
			cr_expect_str_empty(be_last_error());
		else
			cr_expect(strlen(be_last_error()) > 0, "\"%s\" was refused without a text",
				  r->text);
	}
}

#define EXPECT_READINGS(readings) expect(readings, sizeof(readings) / sizeof((readings)[0]))

Test(amounts, what_cannot_be_read_exactly_has_a_status_of_its_own)
{
	static const struct reading readings[] = {
		{"0.40", BE_OK, 400000000},
		{"1e3", BE_AMOUNT_EXPONENT, 0},
		{"0.0000000001", BE_AMOUNT_TOO_PRECISE, 0},
		{"", BE_AMOUNT_EMPTY, 0},
		{" 1", BE_AMOUNT_SPACE, 0},
		{"NaN", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"9999999999999", BE_AMOUNT_TOO_LARGE, 0},
		{"-1", BE_AMOUNT_NEGATIVE, 0},
	};
	const size_t count = sizeof readings / sizeof readings[0];

	EXPECT_READINGS(readings);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			cr_expect_neq(readings[i].status, readings[j].status);
}

Test(amounts, digits_with_a_point_between_them_are_read_exactly)
{
	static const struct reading readings[] = {
		{"0", BE_OK, 0},
		{"0.0", BE_OK, 0},
		{"000", BE_OK, 0},
		{"007", BE_OK, 7 * BE_UNIT},
		{"007.50", BE_OK, 7500000000},
		{"1", BE_OK, BE_UNIT},
		{"0.1", BE_OK, 100000000},
		{"0.000000001", BE_OK, 1},
		{"0.100000000", BE_OK, 100000000},
		{"123456789.987654321", BE_OK, 123456789987654321},
		{"9223372036", BE_OK, 9223372036 * BE_UNIT},
		{"9223372036.854775807", BE_OK, INT64_MAX},
		{"0000000000000000000000000000000009223372036.854775807", BE_OK, INT64_MAX},
	};

	EXPECT_READINGS(readings);
}

Test(amounts, what_is_more_than_fits_is_refused_at_the_very_border)
{
	static const struct reading readings[] = {
		{"9223372036.854775808", BE_AMOUNT_TOO_LARGE, 0},
		{"9223372036.9", BE_AMOUNT_TOO_LARGE, 0},
		{"9223372037", BE_AMOUNT_TOO_LARGE, 0},
		{"18446744073.709551617", BE_AMOUNT_TOO_LARGE, 0},
		{"18446744073709551617", BE_AMOUNT_TOO_LARGE, 0},
		{"9223372036854775807", BE_AMOUNT_TOO_LARGE, 0},
		{"99999999999999999999999999999999999999999999999", BE_AMOUNT_TOO_LARGE, 0},
	};

	EXPECT_READINGS(readings);
}

Test(amounts, a_tenth_decimal_is_refused_even_when_it_is_zero)
{
	static const struct reading readings[] = {
		{"0.4000000000", BE_AMOUNT_TOO_PRECISE, 0},
		{"0.0000000000", BE_AMOUNT_TOO_PRECISE, 0},
		{"1.1234567891", BE_AMOUNT_TOO_PRECISE, 0},
		{"0.99999999999999999999999999999999", BE_AMOUNT_TOO_PRECISE, 0},
	};

	EXPECT_READINGS(readings);
}

Test(amounts, the_first_thing_wrong_in_the_documented_order_is_reported)
{
	static const struct reading readings[] = {
		{" ", BE_AMOUNT_SPACE, 0},
		{"1 ", BE_AMOUNT_SPACE, 0},
		{"1 000", BE_AMOUNT_SPACE, 0},
		{"1\n", BE_AMOUNT_SPACE, 0},
		{"\t1", BE_AMOUNT_SPACE, 0},
		{"1\r", BE_AMOUNT_SPACE, 0},
		{"\v", BE_AMOUNT_SPACE, 0},
		{"\f1", BE_AMOUNT_SPACE, 0},
		{"- 1", BE_AMOUNT_SPACE, 0},
		{"rubbish, and more", BE_AMOUNT_SPACE, 0},
		{"-0", BE_AMOUNT_NEGATIVE, 0},
		{"-0.5", BE_AMOUNT_NEGATIVE, 0},
		{"-1e3", BE_AMOUNT_NEGATIVE, 0},
		{"-0.00000000000", BE_AMOUNT_NEGATIVE, 0},
		{"-99999999999999999999", BE_AMOUNT_NEGATIVE, 0},
		{"-", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"--1", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"-NaN", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"-1.", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1E3", BE_AMOUNT_EXPONENT, 0},
		{"1e+3", BE_AMOUNT_EXPONENT, 0},
		{"1.5e-30", BE_AMOUNT_EXPONENT, 0},
		{"0.0000000001e9", BE_AMOUNT_EXPONENT, 0},
		{"99999999999999999999e0", BE_AMOUNT_EXPONENT, 0},
		{"99999999999.0000000001", BE_AMOUNT_TOO_PRECISE, 0},
	};

	EXPECT_READINGS(readings);
}

Test(amounts, everything_else_is_not_a_number)
{
	static const struct reading readings[] = {
		{"+1", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1,5", BE_AMOUNT_NOT_A_NUMBER, 0},
		{".", BE_AMOUNT_NOT_A_NUMBER, 0},
		{".5", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"5.", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1..2", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1.2.3", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1.-2", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"0x10", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1_000", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"inf", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"e3", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1e", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1e+", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1e3.5", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"$1", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"1$", BE_AMOUNT_NOT_A_NUMBER, 0},
		{"\xD9\xA1", BE_AMOUNT_NOT_A_NUMBER, 0}, /* ARABIC-INDIC DIGIT ONE */
		{"\xFF", BE_AMOUNT_NOT_A_NUMBER, 0},
	};

	EXPECT_READINGS(readings);
}

Test(amounts, null_is_an_invalid_argument)
{
	int64_t amount = 4711;
	char text[BE_AMOUNT_TEXT_SIZE] = "untouched";

	cr_expect_eq(be_amount_parse(NULL, &amount), BE_INVALID_ARGUMENT);
	cr_expect_eq(amount, 0);
	cr_expect_eq(be_amount_parse("1", NULL), BE_INVALID_ARGUMENT);
	cr_expect_eq(be_amount_format(1, NULL, sizeof text), BE_INVALID_ARGUMENT);
	cr_expect(strlen(be_last_error()) > 0);
	cr_expect_eq(be_amount_format(1, text, 0), BE_INVALID_ARGUMENT);
	cr_expect_str_eq(text, "untouched");
}

Test(amounts, a_text_of_a_mebibyte_is_answered_like_any_other)
{
	const size_t size = 1 << 20;
	char *text = malloc(size + 1);
	int64_t amount;

	cr_assert(text);
	text[size] = '\0';

	memset(text, '9', size);
	cr_expect_eq(be_amount_parse(text, &amount), BE_AMOUNT_TOO_LARGE);
	text[1] = '.';
	cr_expect_eq(be_amount_parse(text, &amount), BE_AMOUNT_TOO_PRECISE);
	memset(text, '0', size);
	text[size - 1] = '7';
	cr_expect_eq(be_amount_parse(text, &amount), BE_OK);
	cr_expect_eq(amount, 7 * BE_UNIT);
	text[size - 1] = 'x';
	cr_expect_eq(be_amount_parse(text, &amount), BE_AMOUNT_NOT_A_NUMBER);
	free(text);
}

Test(amounts, the_shortest_exact_text_is_written)
{
	static const struct {
		int64_t amount;
		const char *text;
	} cases[] = {
		{0, "0"},
		{1, "0.000000001"},
		{-1, "-0.000000001"},
		{400000000, "0.4"},
		{BE_UNIT, "1"},
		{10 * BE_UNIT, "10"},
		{-100 * BE_UNIT, "-100"},
		{57868362000, "57.868362"},
		{1000000010, "1.00000001"},
		{INT64_MAX, "9223372036.854775807"},
		{INT64_MIN, "-9223372036.854775808"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[BE_AMOUNT_TEXT_SIZE];

		cr_expect_eq(be_amount_format(cases[i].amount, text, sizeof text), BE_OK);
		cr_expect_str_eq(text, cases[i].text);
	}
}

Test(amounts, a_text_that_does_not_fit_is_refused_and_empty)
{
	static const int64_t amounts[] = {0, 400000000, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
		char exact[BE_AMOUNT_TEXT_SIZE], text[BE_AMOUNT_TEXT_SIZE];

		cr_assert_eq(be_amount_format(amounts[i], exact, sizeof exact), BE_OK);
		for (size_t size = 1; size <= sizeof text; size++) {
			bool fits = size > strlen(exact);

			memset(text, '#', sizeof text);
			cr_expect_eq(be_amount_format(amounts[i], text, size),
				     fits ? BE_OK : BE_INVALID_ARGUMENT, "%s in %zu bytes", exact,
				     size);
			cr_expect_str_eq(text, fits ? exact : "");
			if (size < sizeof text)
				cr_expect_eq(text[size], '#', "%s was written past %zu bytes",
					     exact, size);
		}
	}
}

Test(amounts, ten_times_a_tenth_is_one)
{
	int64_t tenth, sum = 0;
	char text[BE_AMOUNT_TEXT_SIZE];

	cr_assert_eq(be_amount_parse("0.1", &tenth), BE_OK);
	for (int i = 0; i < 10; i++)
		cr_assert(amount_add(sum, tenth, &sum));
	cr_expect_eq(sum, BE_UNIT);
	cr_assert_eq(be_amount_format(sum, text, sizeof text), BE_OK);
	cr_expect_str_eq(text, "1");
}

Test(amounts, random_amounts_survive_the_way_to_text_and_back)
{
	uint64_t state = test_seed();

	fflush(stdout);
	for (int i = 0; i < 200000; i++) {
		/* Shifted, so that amounts of every length come up. */
		uint64_t shift = 1 + test_random(&state) % 63;
		int64_t amount = (int64_t)(test_random(&state) >> shift), back;
		char text[BE_AMOUNT_TEXT_SIZE], padded[BE_AMOUNT_TEXT_SIZE + 16];

		cr_assert_eq(be_amount_format(amount, text, sizeof text), BE_OK);
		cr_assert_eq(be_amount_parse(text, &back), BE_OK, "%s (%s)", text, be_last_error());
		cr_assert_eq(back, amount, "%s came back as %" PRId64, text, back);

		/* The same amount with all nine decimals and zeros before it. */
		snprintf(padded, sizeof padded, "000%" PRId64 ".%09" PRId64, amount / BE_UNIT,
			 amount % BE_UNIT);
		cr_assert_eq(be_amount_parse(padded, &back), BE_OK, "%s", padded);
		cr_assert_eq(back, amount, "%s came back as %" PRId64, padded, back);
	}
}

Test(amounts, a_sum_out_of_range_is_refused_and_left_alone)
{
	int64_t sum = 4711;

	cr_expect_not(amount_add(INT64_MAX, 1, &sum));
	cr_expect_not(amount_add(INT64_MIN, -1, &sum));
	cr_expect_eq(sum, 4711);
	cr_expect(amount_add(INT64_MAX - 1, 1, &sum));
	cr_expect_eq(sum, INT64_MAX);
	cr_expect(amount_add(INT64_MAX, INT64_MIN, &sum));
	cr_expect_eq(sum, -1);
}

Test(amounts, what_is_available_is_never_below_zero_and_never_overflows)
{
	static const struct {
		int64_t limit, spent, committed, available;
	} cases[] = {
		{10, 0, 0, 10},
		{10, 3, 4, 3},
		{10, 3, 7, 0},
		{10, 3, 8, 0},
		{10, 11, 0, 0},
		{10, 0, 11, 0},
		{10, INT64_MAX, INT64_MAX, 0},
		{INT64_MAX, INT64_MAX, INT64_MAX, 0},
		{INT64_MAX, 0, INT64_MAX, 0},
		{INT64_MAX, 0, 0, INT64_MAX},
		{INT64_MAX, 1, 1, INT64_MAX - 2},
		{0, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_eq(amount_available(cases[i].limit, cases[i].spent, cases[i].committed),
			     cases[i].available, "case %zu", i);
}

Test(amounts, utilization_is_rounded_down_and_saturates)
{
	static const struct {
		int64_t limit, spent, committed, ppm;
	} cases[] = {
		{10, 0, 0, 0},
		{10, 5, 0, 500000},
		{10, 2, 3, 500000},
		{10, 10, 0, 1000000},
		{10, 25, 0, 2500000},
		{3, 1, 0, 333333},
		{3, 1, 1, 666666},
		{INT64_MAX, INT64_MAX - 1, 0, 999999},
		{INT64_MAX, INT64_MAX, INT64_MAX, 2000000},
		{1, INT64_MAX, 0, INT64_MAX},
		{1, INT64_MAX, INT64_MAX, INT64_MAX},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect_eq(
			amount_utilization_ppm(cases[i].limit, cases[i].spent, cases[i].committed),
			cases[i].ppm, "case %zu", i);
}

static const struct {
	uint64_t tokens;
	int64_t price;
} most = {UINT64_MAX, INT64_MAX};

Test(amounts, cost_is_exact_and_rounded_up_once)
{
	static const struct {
		struct {
			uint64_t tokens;
			int64_t price;
		} parts[3];
		int64_t total;
	} cases[] = {
		{{{0, 0}}, 0},
		{{{1, 0}}, 0},
		{{{1, 1}}, 1}, /* a millionth of a nano */
		{{{1, 1}, {1, 1}, {1, 1}}, 1},
		{{{1, 999999}, {1, 1}}, 1},
		{{{1, 999999}, {1, 2}}, 2},
		{{{1, 400000}, {1, 400000}, {1, 400000}}, 2}, /* 3 when each is rounded */
		{{{1200, 2500000000}, {300, 10 * BE_UNIT}}, 6000000},
		{{{1000000, INT64_MAX}}, INT64_MAX},
		{{{999999, INT64_MAX}, {INT64_MAX, 1}}, INT64_MAX},
		{{{UINT64_MAX, 500000}}, -1}, /* a nano more, and a half */
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct be_cost cost = BE_COST_INIT;
		int64_t total;

		for (size_t part = 0; part < 3; part++)
			cr_assert_eq(be_cost_add(&cost, cases[i].parts[part].tokens,
						 cases[i].parts[part].price),
				     BE_OK);
		cr_assert_eq(be_cost_total(&cost, &total),
			     cases[i].total < 0 ? BE_OVERFLOW : BE_OK);
		cr_expect_eq(total, cases[i].total < 0 ? 0 : cases[i].total, "case %zu: %lld", i,
			     (long long)total);
	}
}

Test(amounts, cost_that_cannot_be_counted_is_refused_and_unchanged)
{
	struct be_cost cost = BE_COST_INIT, before;
	int64_t total = 1;

	cr_expect_eq(be_cost_add(NULL, 1, 1), BE_INVALID_ARGUMENT);
	cr_expect_eq(be_cost_add(&cost, 1, -1), BE_AMOUNT_NEGATIVE);
	cr_expect_eq(be_cost_total(NULL, &total), BE_INVALID_ARGUMENT);
	cr_expect_eq(total, 0);
	cr_expect_eq(be_cost_total(&cost, NULL), BE_INVALID_ARGUMENT);
	cr_assert_eq(be_cost_add(&cost, most.tokens, most.price), BE_OK);
	cr_assert_eq(be_cost_add(&cost, most.tokens, most.price), BE_OK);
	before = cost;
	cr_expect_eq(be_cost_add(&cost, most.tokens, most.price), BE_OVERFLOW);
	cr_expect(cost.low == before.low && cost.high == before.high);
	cr_expect_eq(be_cost_total(&cost, &total), BE_OVERFLOW);
	cr_expect_eq(total, 0);
}
