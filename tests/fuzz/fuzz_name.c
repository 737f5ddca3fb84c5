/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: what is accepted is what a second, slow decoder accepts, which puts each code point
 * together, bit by bit, and then asks whether it may be there and was written in the shortest way.
 */
#include "fuzz.h"
#include "records/name.h"

#include <stdbool.h>

/* Decodes one character of at most `size` bytes: how many it takes, or 0 when there is none. */
static size_t decode(const uint8_t *data, size_t size, uint32_t *point)
{
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t ones = 0;

	while (ones < 8 && (data[0] >> (7 - ones) & 1))
		ones++;
	if (ones == 0) {
		*point = data[0];
		return 1;
	}
	if (ones == 1 || ones > 4 || ones > size)
		return 0;
	*point = data[0] & ((1u << (7 - ones)) - 1);
	for (size_t i = 1; i < ones; i++) {
		if (data[i] >> 6 != 2)
			return 0;
		*point = *point * 64 + data[i] % 64;
	}
	return *point >= smallest[ones] ? ones : 0;
}

static bool is_acceptable(const uint8_t *data, size_t size)
{
	while (size > 0) {
		uint32_t point = 0;
		size_t taken = decode(data, size, &point);

		if (taken == 0 || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
			return false;
		if (point < 32 || (point >= 127 && point < 160))
			return false;
		data += taken;
		size -= taken;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), description[BE_DESCRIPTION_SIZE];
	size_t length = strlen(text);
	bool good = is_acceptable((const uint8_t *)text, length);
	struct name name, copy;
	enum be_status status;
	uint16_t stored;

	/* The bytes themselves: no NUL stands behind them to end what is cut. */
	assert(name_text_is_valid((const char *)data, size) == is_acceptable(data, size));

	status = name_set_category(&name, text);
	assert(status == (good && length > 0 && length < BE_NAME_SIZE ? BE_OK : BE_INVALID_NAME));
	assert(name.category_size == (status == BE_OK ? length : 0));
	assert(strcmp(name.category, status == BE_OK ? text : "") == 0);

	status = name_set_namespace(&name, text);
	assert(status == (good && length < BE_NAME_SIZE ? BE_OK : BE_INVALID_NAME));
	assert(name.namespace_size == (status == BE_OK ? length : 0));
	assert(strcmp(name.namespace_name, status == BE_OK ? text : "") == 0);

	name_copy(&copy, &name);
	assert(name_equal(&copy, &name));

	status = name_set_description(description, &stored, text);
	assert(status == (good && length < BE_DESCRIPTION_SIZE ? BE_OK : BE_INVALID_DESCRIPTION));
	assert(stored == (status == BE_OK ? length : 0));
	assert(strcmp(description, status == BE_OK ? text : "") == 0);
	free(text);
	return 0;
}
