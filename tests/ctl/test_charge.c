/* SPDX-License-Identifier: Apache-2.0 */
/* What a program tells that it has cost: every way in which programs print numbers, exactly, and
 * rounded up where it has more digits than there are nanos. */
#include "charge.h"
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAD INT64_MIN

static const struct {
	const char *text;
	int64_t amount; /* BAD: it cannot be read */
} numbers[] = {
	{"0", 0},
	{"0.40", 400000000},
	{"5e-05", 50000},
	{"5E-5", 50000},
	{".5", 500000000},
	{"5.", 5000000000},
	{"+1", 1000000000},
	{"-0", 0},
	{"-0.0e5", 0},
	{"1e3", 1000000000000},
	{"1e+0003", 1000000000000},
	{"1.25e-9", 2},
	{"1e-9", 1},
	{"1.0000000000e-9", 1},
	{"1e-10", 1},
	{"1e-400", 1},
	{"0e-400", 0},
	{"0e99999999999999999999", 0},
	{"1e-99999999999999999999", 1},
	{"0.30000000000000004", 300000001},
	{"0.1000000000000000055511151231257827", 100000001},
	{"0.000000000", 0},
	{"00000000000000000000000000000000000000001", 1000000000},
	{"0.00000000000000000000000000000000000000001e41", 1000000000},
	{"9223372036.854775807", INT64_MAX},
	{"9223372036854775807e-9", INT64_MAX},
	{"9223372036.8547758070", INT64_MAX},
	{"9223372036.8547758071", BAD},
	{"9223372036.854775808", BAD},
	{"1e10", BAD},
	{"1e99999999999999999999", BAD},
	{"-0.1", BAD},
	{"-1e-30", BAD},
	{"-1e30", BAD},
	{"", BAD},
	{".", BAD},
	{"-", BAD},
	{"e5", BAD},
	{".e5", BAD},
	{"1e", BAD},
	{"1e+", BAD},
	{"1e5.0", BAD},
	{"1.2.3", BAD},
	{"1,5", BAD},
	{"1_000", BAD},
	{"0x10", BAD},
	{"inf", BAD},
	{"nan", BAD},
	{"null", BAD},
	{"1 2", BAD},
	{" 1", BAD},
	{"$1", BAD},
	{"--1", BAD},
};

static void check_numbers(void)
{
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		int64_t amount = -1;
		const char *why = charge_parse(numbers[i].text, strlen(numbers[i].text), &amount);

		if (numbers[i].amount == BAD ? !why || amount != 0
					     : why || amount != numbers[i].amount) {
			test_fail(__FILE__, __LINE__, "'%s' is read as %" PRId64 ": %s",
				  numbers[i].text, amount, why ? why : "no complaint");
		}
	}
}

/* Whatever be_amount_parse() accepts means the same here. */
static void check_strict(void)
{
	uint64_t random = test_seed();

	for (int i = 0; i < 100000; i++) {
		char text[BE_AMOUNT_TEXT_SIZE];
		int64_t strict = (int64_t)(test_random(&random) >> (1 + i % 63)), lenient;

		EXPECT(be_amount_format(strict, text, sizeof text) == BE_OK);
		EXPECT(!charge_parse(text, strlen(text), &lenient));
		EXPECT(lenient == strict);
	}
}

/* A file of these bytes. */
static struct charge read_file(const char *bytes, size_t size)
{
	struct charge charge;
	FILE *file = tmpfile();

	EXPECT(file && fwrite(bytes, 1, size, file) == size && fflush(file) == 0);
	EXPECT(charge_read(fileno(file), &charge));
	fclose(file);
	return charge;
}

static void check_lines(void)
{
	static const struct {
		const char *text;
		int64_t amount;
		size_t told, bad, bad_line;
		const char *bad_text;
	} files[] = {
		{"", 0, 0, 0, 0, ""},
		{" \t\r\n\n", 0, 0, 0, 0, ""},
		{" 0.5\t\r\n", 500000000, 1, 0, 0, ""},
		{"0.1\n\n0.2", 300000000, 2, 0, 0, ""},
		{"0.1\nno cost\n0.2\n-1\n", 300000000, 2, 2, 2, "no cost"},
		{"9223372036\n9223372036\n", 9223372036000000000, 1, 1, 2, "9223372036"},
	};

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct charge charge = read_file(files[i].text, strlen(files[i].text));

		EXPECT(charge.amount == files[i].amount && charge.told == files[i].told);
		EXPECT(charge.bad == files[i].bad && charge.bad_line == files[i].bad_line);
		EXPECT_TEXT(charge.text, files[i].bad_text);
	}
}

/* Lines longer than any number, NULs, and bytes across the borders of what is read at once. */
static void check_hostile(void)
{
	size_t size = 1 << 20;
	char *bytes = malloc(size);
	struct charge charge;

	EXPECT(bytes);
	memset(bytes, '1', size);
	charge = read_file(bytes, size);
	EXPECT(charge.told == 0 && charge.bad == 1 && strlen(charge.text) == CHARGE_TEXT_SIZE - 1);
	charge = read_file("1\0"
			   "2\n3\n",
			   6);
	EXPECT(charge.amount == 3000000000 && charge.bad == 1);
	EXPECT_TEXT(charge.text, "1");
	for (size_t i = 0; i < size; i++)
		bytes[i] = "1e-9\n"[i % 5];
	charge = read_file(bytes, size - size % 5);
	EXPECT(charge.bad == 0 && charge.amount == (int64_t)(size / 5));
	free(bytes);
}

int main(void)
{
	check_numbers();
	check_strict();
	check_lines();
	check_hostile();
	puts("costs are read exactly, and rounded up");
	return 0;
}
