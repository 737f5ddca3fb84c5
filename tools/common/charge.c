/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads costs. A number is taken apart into its digits and the place of its point, and never passes
 * through floating point: 5e-05 is 50000 nanos.
 */
#include "charge.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define DECIMALS 9
/* Longer ones are no numbers that anybody prints. */
#define LINE_MAX_SIZE 1024
/* Beyond it, an exponent makes every number that fits on a line too large, or rounds it up to one
 * nano. */
#define EXPONENT_MAX 1000000L

static const char no_number[] = "it is no decimal number";
static const char too_large[] = "it is more than 9223372036.854775807";

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A number without its sign: the digits of text, the point apart, are d1 d2 ... dn, and its value
 * is 0.d1d2...dn times 10^place. */
struct number {
	const char *first; /* the digits, with at most one point among them */
	const char *end;
	long place;
};

/* "e-05". The whole rest must be that. */
static bool take_exponent(const char *at, const char *end, long *exponent)
{
	bool negative = false;

	*exponent = 0;
	if (at == end)
		return true;
	if (*at != 'e' && *at != 'E')
		return false;
	at++;
	if (at < end && (*at == '+' || *at == '-'))
		negative = *at++ == '-';
	if (at == end)
		return false;
	for (; at < end; at++) {
		if (!is_digit(*at))
			return false;
		if (*exponent < EXPONENT_MAX)
			*exponent = *exponent * 10 + (*at - '0');
	}
	if (negative)
		*exponent = -*exponent;
	return true;
}

static bool take_apart(const char *text, const char *end, struct number *number)
{
	size_t digits = 0;
	bool point = false;
	const char *at;
	long exponent;

	*number = (struct number){.first = text};
	for (at = text; at < end && (is_digit(*at) || (*at == '.' && !point)); at++) {
		if (*at == '.') {
			point = true;
		} else {
			digits++;
			number->place += !point;
		}
	}
	number->end = at;
	if (digits == 0 || !take_exponent(at, end, &exponent))
		return false;
	number->place += exponent;
	return true;
}

/* Digits up to the last nano are taken, and one of the others that is not 0 rounds up. False: too
 * large. */
static bool to_nanos(const struct number *number, int64_t *nanos)
{
	long left = number->place + DECIMALS;
	bool more = false;

	*nanos = 0;
	for (const char *at = number->first; at < number->end; at++) {
		if (*at == '.')
			continue;
		if (left <= 0)
			more = more || *at != '0';
		else if (__builtin_mul_overflow(*nanos, 10, nanos) ||
			 __builtin_add_overflow(*nanos, *at - '0', nanos))
			return false;
		left--;
	}
	if (*nanos == 0 && !more)
		return true;
	for (; left > 0; left--)
		if (__builtin_mul_overflow(*nanos, 10, nanos))
			return false;
	return !__builtin_add_overflow(*nanos, more, nanos);
}

const char *charge_parse(const char *text, size_t size, int64_t *amount)
{
	const char *end = text + size;
	bool negative = size > 0 && *text == '-';
	struct number number;
	int64_t nanos;

	*amount = 0;
	if (size > 0 && (*text == '+' || *text == '-'))
		text++;
	if (!take_apart(text, end, &number))
		return no_number;
	if (!to_nanos(&number, &nanos))
		return negative ? "it is less than 0" : too_large;
	if (negative && nanos > 0)
		return "it is less than 0";
	*amount = nanos;
	return NULL;
}

/* ---- lines */

static bool is_white(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The line that is being read. */
struct cost_line {
	size_t number;
	size_t size;
	bool cut; /* it was longer */
	char text[LINE_MAX_SIZE];
};

static void take_line(struct charge *charge, const struct cost_line *line)
{
	const char *text = line->text, *why;
	size_t size = line->size;
	int64_t amount = 0;

	for (; size > 0 && is_white(*text); size--)
		text++;
	while (size > 0 && is_white(text[size - 1]))
		size--;
	if (size == 0 && !line->cut)
		return;
	why = line->cut ? no_number : charge_parse(text, size, &amount);
	if (!why && __builtin_add_overflow(charge->amount, amount, &amount))
		why = "the sum is more than 9223372036.854775807";
	if (!why) {
		charge->amount = amount;
		charge->told++;
		return;
	}
	if (charge->bad++ > 0)
		return;
	charge->bad_line = line->number;
	charge->why = why;
	if (size >= sizeof charge->text)
		size = sizeof charge->text - 1;
	for (size_t i = 0; i < size; i++)
		charge->text[i] = text[i];
	charge->text[size] = '\0'; /* a NUL in it ends it before */
}

static void take_bytes(struct charge *charge, struct cost_line *line, const char *bytes,
		       size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n') {
			take_line(charge, line);
			*line = (struct cost_line){.number = line->number + 1};
		} else if (line->size < sizeof line->text) {
			line->text[line->size++] = bytes[i];
		} else {
			line->cut = true;
		}
	}
}

bool charge_read(int fd, struct charge *charge)
{
	struct cost_line line = {.number = 1};
	char bytes[4096];
	off_t offset = 0;
	ssize_t got;

	memset(charge, 0, sizeof *charge);
	while ((got = pread(fd, bytes, sizeof bytes, offset)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		take_bytes(charge, &line, bytes, (size_t)got);
		offset += got;
	}
	take_line(charge, &line);
	return true;
}
