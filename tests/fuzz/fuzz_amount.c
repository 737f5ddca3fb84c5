/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amounts: a text is accepted exactly when it looks like one, as told by a second look that knows
 * nothing of the parser; what was accepted comes back as the same digits; and any number can be
 * written and, when it is not below zero, read again.
 */
#include "fuzz.h"

#include <budget_enforcer.h>
#include <stdbool.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits, or digits, a point and one to nine digits. */
static bool looks_like_an_amount(const char *text)
{
	const char *point = strchr(text, '.');
	size_t length = strlen(text), whole = point ? (size_t)(point - text) : length;

	if (whole == 0 || (point && (length - whole < 2 || length - whole > 10)))
		return false;
	for (size_t i = 0; i < length; i++)
		if (i != whole && !is_digit(text[i]))
			return false;
	return true;
}

/* Shortens a text that looks like an amount to the one text in which it may be written. */
static void make_shortest(char *text)
{
	size_t zeros = 0, length;

	while (text[zeros] == '0' && is_digit(text[zeros + 1]))
		zeros++;
	memmove(text, text + zeros, strlen(text + zeros) + 1);
	if (!strchr(text, '.'))
		return;
	length = strlen(text);
	while (text[length - 1] == '0')
		length--;
	if (text[length - 1] == '.')
		length--;
	text[length] = '\0';
}

static void parse_and_format(char *text)
{
	enum be_status status, formatted;
	int64_t amount = 4711;
	char written[BE_AMOUNT_TEXT_SIZE];

	status = be_amount_parse(text, &amount);
	if (status != BE_OK) {
		assert(amount == 0);
		assert(be_last_error()[0] != '\0');
		assert(status <= BE_AMOUNT_NEGATIVE && status >= BE_AMOUNT_TOO_LARGE);
		assert((status == BE_AMOUNT_TOO_LARGE) == looks_like_an_amount(text));
		return;
	}
	assert(amount >= 0);
	assert(looks_like_an_amount(text));
	formatted = be_amount_format(amount, written, sizeof written);
	assert(formatted == BE_OK);
	make_shortest(text);
	assert(strcmp(written, text) == 0);
}

static void format_and_parse(int64_t amount, size_t room)
{
	char *text = malloc(room + 1), exact[BE_AMOUNT_TEXT_SIZE];
	enum be_status status;
	int64_t back;

	assert(text);
	status = be_amount_format(amount, exact, sizeof exact);
	assert(status == BE_OK);
	status = be_amount_parse(exact, &back);
	assert(status == (amount < 0 ? BE_AMOUNT_NEGATIVE : BE_OK));
	assert(back == (amount < 0 ? 0 : amount));

	status = be_amount_format(amount, text, room + 1);
	assert(status == (strlen(exact) <= room ? BE_OK : BE_INVALID_ARGUMENT));
	assert(strcmp(text, status == BE_OK ? exact : "") == 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	int64_t amount;

	parse_and_format(text);
	free(text);
	if (size >= sizeof amount) {
		memcpy(&amount, data, sizeof amount);
		format_and_parse(amount, size - sizeof amount);
	}
	return 0;
}
