/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meta pages of a data file: any bytes are judged, with a text that names the file when they
 * are refused, and what is let through names pages that are in the file. The first four bytes are
 * the size of the file in units of 64 bytes.
 */
#include "fuzz.h"

#include "base/error.h"
#include "storage/lmdb/pages.h"
#include "storage/lmdb/preflight.h"

static void expect_sound(const uint8_t *head, size_t head_size, uint64_t file_size)
{
	struct meta_page metas[2];
	const struct meta_page *newest;
	uint64_t pages;

	assert(head_size >= sizeof metas[0]);
	memcpy(&metas[0], head, sizeof metas[0]);
	assert(metas[0].magic == LMDB_MAGIC && metas[0].trees[0].pad >= LMDB_PAGE_MIN);
	assert(metas[0].trees[0].pad + sizeof metas[1] <= head_size);
	memcpy(&metas[1], head + metas[0].trees[0].pad, sizeof metas[1]);
	newest = &metas[metas[0].txn < metas[1].txn];
	pages = file_size / metas[0].trees[0].pad;
	assert(pages >= 2);
	for (size_t i = 0; i < 2; i++)
		assert(newest->trees[i].depth == 0 ||
		       (newest->trees[i].root > 1 && newest->trees[i].root < pages &&
			newest->trees[i].root <= newest->last_page));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t units;
	uint64_t file_size;
	enum be_status status;
	uint8_t *head;

	if (size < sizeof units)
		return 0;
	memcpy(&units, data, sizeof units);
	file_size = (uint64_t)units * 64;
	size -= sizeof units;
	if (size > file_size)
		size = (size_t)file_size;
	head = malloc(size > 0 ? size : 1);
	assert(head);
	if (size > 0)
		memcpy(head, data + sizeof units, size);
	error_clear();
	status = preflight_meta_pages("some/data.mdb", head, size, file_size);
	if (status == BE_OK)
		expect_sound(head, size, file_size);
	else
		assert(strncmp(be_last_error(), "some/data.mdb: ", 15) == 0);
	assert(status == BE_OK || status == BE_NOT_AN_ENVIRONMENT || status == BE_NEWER_FORMAT ||
	       status == BE_DAMAGED);
	free(head);
	return 0;
}
