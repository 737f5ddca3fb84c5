/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fuzz targets share. A target is one function that libFuzzer calls with bytes it made up; a
 * failed assert() is a finding, and so is whatever the sanitizers see. Assertions hold in every
 * build type.
 */
#ifndef FUZZ_H
#define FUZZ_H

#undef NDEBUG
#include <assert.h>

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes as a text of its own, ended with a NUL where its allocation ends, so that a read behind
 * it is seen. The caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
