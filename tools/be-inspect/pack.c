/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records kept small: pairs of a run of zeros and a run of other bytes, until the record is whole.
 * Each pair has two bytes for the lengths, at most RUN, and then the other bytes. A single zero or
 * two would cost as much as a new pair, and stay among the others.
 */
#include "pack.h"

#include "tool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RUN 255
#define SHORT_RUN 2

static bool are_zeros(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return word == 0;
}

/* Zeros from `at` on, at most RUN. */
static size_t zeros_at(const unsigned char *record, size_t at, size_t size)
{
	size_t end = size - at < RUN ? size : at + RUN, first = at;

	while (at + sizeof(uint64_t) <= end && are_zeros(record + at))
		at += sizeof(uint64_t);
	while (at < end && record[at] == 0)
		at++;
	return at - first;
}

/* Bytes from `at` on, at most RUN, up to the next zeros that are worth a pair. */
static size_t others_at(const unsigned char *record, size_t at, size_t size)
{
	size_t end = size - at < RUN ? size : at + RUN, first = at, zeros = 0;

	for (; at < end && zeros <= SHORT_RUN; at++)
		zeros = record[at] == 0 ? zeros + 1 : 0;
	/* Those at the end of the record go with the others only if they are few. */
	return zeros > SHORT_RUN ? at - zeros - first : at - first;
}

size_t pack_add(struct pack *pack, const void *record)
{
	/* A pair for every run there can be. */
	size_t most = 2 * pack->record_size + 2, place = pack->used, at = 0;
	const unsigned char *bytes = record;
	unsigned char *to;

	if (pack->room - pack->used < most) {
		pack->room = pack->room + pack->room / 2 + 16 * most;
		pack->bytes = realloc(pack->bytes, pack->room);
		if (!pack->bytes)
			tool_out_of_memory();
	}
	to = pack->bytes + place;
	while (at < pack->record_size) {
		size_t zeros = zeros_at(bytes, at, pack->record_size), others;

		at += zeros;
		others = others_at(bytes, at, pack->record_size);
		*to++ = (unsigned char)zeros;
		*to++ = (unsigned char)others;
		to = mempcpy(to, bytes + at, others);
		at += others;
	}
	pack->used = (size_t)(to - pack->bytes);
	return place;
}

void pack_read(const struct pack *pack, size_t place, void *record)
{
	const unsigned char *from = pack->bytes + place;
	unsigned char *bytes = record;
	size_t at = 0;

	memset(record, 0, pack->record_size);
	while (at < pack->record_size) {
		at += *from++;
		memcpy(bytes + at, from + 1, *from);
		at += *from;
		from += 1 + *from;
	}
}
