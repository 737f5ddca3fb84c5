/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact money: amounts as text, and checked arithmetic on nanos.
 *
 * Text is accepted in one form only, digits with at most one point between two of them. What is
 * refused is never guessed at: a tenth decimal is refused even when it is a zero, because a text
 * with ten decimals counts in other units than we do. Nothing here depends on the locale.
 */
#include "rules/amount.h"
#include "base/error.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DECIMALS 9
#define DIGITS "0123456789"
#define WHITE_SPACE " \t\n\v\f\r"

/* Everything that may be wrong with the form is found before the value is looked at, in the order
 * EMPTY, SPACE, NOT_A_NUMBER, NEGATIVE, EXPONENT, TOO_PRECISE, TOO_LARGE. "-0" is NEGATIVE too: a
 * sign has no place in an amount. */
static enum be_status parse(const char *text, int64_t *amount)
{
	const char *first = text + (text[0] == '-'), *end, *at;
	size_t whole, decimals = 0;
	bool exponent = false;
	int64_t nanos = 0;

	if (text[0] == '\0')
		return BE_AMOUNT_EMPTY;
	if (strpbrk(text, WHITE_SPACE))
		return BE_AMOUNT_SPACE;

	whole = strspn(first, DIGITS);
	if (whole == 0)
		return BE_AMOUNT_NOT_A_NUMBER;
	end = first + whole;
	if (*end == '.') {
		decimals = strspn(end + 1, DIGITS);
		if (decimals == 0)
			return BE_AMOUNT_NOT_A_NUMBER;
		end += 1 + decimals;
	}
	at = end;
	if (*at == 'e' || *at == 'E') {
		exponent = true;
		at++;
		if (*at == '+' || *at == '-')
			at++;
		if (strspn(at, DIGITS) == 0)
			return BE_AMOUNT_NOT_A_NUMBER;
		at += strspn(at, DIGITS);
	}
	if (*at != '\0')
		return BE_AMOUNT_NOT_A_NUMBER;
	if (text[0] == '-')
		return BE_AMOUNT_NEGATIVE;
	if (exponent)
		return BE_AMOUNT_EXPONENT;
	if (decimals > DECIMALS)
		return BE_AMOUNT_TOO_PRECISE;

	for (at = first; at < end; at++) {
		if (*at != '.' && (__builtin_mul_overflow(nanos, 10, &nanos) ||
				   __builtin_add_overflow(nanos, *at - '0', &nanos)))
			return BE_AMOUNT_TOO_LARGE;
	}
	for (; decimals < DECIMALS; decimals++) {
		if (__builtin_mul_overflow(nanos, 10, &nanos))
			return BE_AMOUNT_TOO_LARGE;
	}
	*amount = nanos;
	return BE_OK;
}

enum be_status be_amount_parse(const char *text, int64_t *amount)
{
	error_clear();
	if (amount)
		*amount = 0;
	if (!text || !amount)
		return error_set(BE_INVALID_ARGUMENT,
				 "be_amount_parse: text and amount must not be NULL");
	return error_default(parse(text, amount));
}

enum be_status(be_amount_format)(int64_t amount, char *text, size_t size)
{
	uint64_t nanos = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
	uint64_t whole = nanos / BE_UNIT, decimals = nanos % BE_UNIT;
	char exact[BE_AMOUNT_TEXT_SIZE], *end = exact + sizeof exact - 1, *first = end;
	size_t length;

	error_clear();
	if (!text || size == 0)
		return error_set(BE_INVALID_ARGUMENT,
				 "be_amount_format: there is no room for the text");
	text[0] = '\0';
	/* From the last digit to the first; listings of millions of amounts are made of this. */
	*end = '\0';
	for (int place = 0; place < 9; place++, decimals /= 10)
		if (first < end || decimals % 10 != 0)
			*--first = (char)('0' + decimals % 10);
	if (first < end)
		*--first = '.';
	do
		*--first = (char)('0' + whole % 10);
	while ((whole /= 10) != 0);
	if (amount < 0)
		*--first = '-';
	length = (size_t)(end - first);
	if (length >= size)
		return error_set(BE_INVALID_ARGUMENT,
				 "be_amount_format: %s needs %zu bytes, there are %zu; "
				 "BE_AMOUNT_TEXT_SIZE always suffices",
				 first, length + 1, size);
	memcpy(text, first, length + 1);
	return BE_OK;
}

bool amount_add(int64_t a, int64_t b, int64_t *sum)
{
	int64_t result;

	if (__builtin_add_overflow(a, b, &result))
		return false;
	*sum = result;
	return true;
}

int64_t amount_utilization_ppm(int64_t limit, int64_t spent, int64_t committed)
{
	/* The dividend is below 2^64 x 10^6, which is below 2^84. */
	__extension__ unsigned __int128 ppm = (uint64_t)spent + (uint64_t)committed;

	assert(limit > 0);
	ppm = ppm * 1000000 / (uint64_t)limit;
	return ppm > INT64_MAX ? INT64_MAX : (int64_t)ppm;
}
