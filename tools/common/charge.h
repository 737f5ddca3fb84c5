/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads leniently what a program says it has cost. Such text comes from Python, jq and shell
 * scripts, which print 5e-05, .5 or more digits than there are nanos. The money is spent already,
 * so refusing the text gains nothing. be_amount_parse() refuses all of that, since it reads what a
 * user wants to be done.
 */
#ifndef CHARGE_H
#define CHARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of what is kept of a line that cannot be read. */
#define CHARGE_TEXT_SIZE 64

struct charge {
	int64_t amount;              /* sum of the lines that can be read, in nanos */
	size_t told;                 /* how many those are */
	size_t bad;                  /* lines that cannot be read */
	size_t bad_line;             /* number of the first of them, from 1 */
	const char *why;             /* what is wrong with it; static storage */
	char text[CHARGE_TEXT_SIZE]; /* how it begins */
};

/* Parses one decimal number, with or without point and exponent, that is 0 or more: NULL, or what
 * is wrong with it. Exact, and rounded up to the next nano where it has more digits. */
const char *charge_parse(const char *text, size_t size, int64_t *amount);

/* Reads a regular file from its beginning, wherever others who have it open stand in it: one number
 * a line, white space around it, empty lines between. False with errno: it cannot be read. */
bool charge_read(int fd, struct charge *charge);

#endif
