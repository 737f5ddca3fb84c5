/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another program writes to be-group: sizes that lie, numbers of every kind, texts without an end,
 * slots of users that are dead, locks that nobody took. The fuzz target's body is run on inputs
 * made at random, so that it is seen wherever the tests run; see fuzz_group.c.
 */
#include "support.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	INPUTS = TEST_SANITIZED ? 1000 : 6000,
	CHANGES = 6
};

/* Bytes that are more likely than others to mean something. */
static uint8_t byte(uint64_t *random)
{
	static const uint8_t telling[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xff};
	uint64_t number = test_random(random);

	return number % 2 ? telling[number / 2 % sizeof telling] : (uint8_t)(number >> 8);
}

/* One change: what, which, where (its beginning most often, where sizes lie), how many bytes. */
static size_t make_change(uint8_t *at, uint64_t *random)
{
	uint64_t number = test_random(random);
	size_t count = 1 + (number >> 8) % 16;

	at[0] = (uint8_t)(number % 4);
	at[1] = (uint8_t)(number >> 16);
	at[2] = number >> 24 & 1 ? (uint8_t)((number >> 32) % 14) : 0;
	at[3] = (uint8_t)(number >> 40);
	at[4] = (uint8_t)count;
	for (size_t i = 0; i < count; i++)
		at[5 + i] = byte(random);
	return 5 + count;
}

int main(void)
{
	uint8_t input[CHANGES * 32];
	int inputs = INPUTS * (test_is_long() ? 50 : 1);
	uint64_t random;

	test_begin(100);
	random = test_seed();
	for (int i = 0; i < inputs; i++) {
		size_t size = 0;

		for (int changes = 0; changes < CHANGES; changes++)
			size += make_change(input + size, &random);
		LLVMFuzzerTestOneInput(input, size);
	}
	printf("%d files were worked through\n", inputs);
	return 0;
}
