/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An environment that reaches its map_size says BE_MAP_FULL, changes nothing and goes on being
 * read; when another process has opened it with a larger one, it goes on in all.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define SMALL (1 << 20)
#define LARGE (64 << 20)

static char environment[PATH_MAX];

static enum be_status open_sized(uint64_t map_size, struct be_enforcer **handle)
{
	struct be_options options = BE_OPTIONS_INIT;

	options.map_size = map_size;
	options.durability = BE_DURABILITY_PROCESS;
	return be_open(environment, &options, handle);
}

/* Records until it cannot, or so many times. */
static enum be_status record_often(struct be_enforcer *handle, int most, int64_t *recorded)
{
	char description[BE_DESCRIPTION_SIZE];
	enum be_status status = BE_OK;

	memset(description, 'd', sizeof description - 1);
	description[sizeof description - 1] = '\0';
	for (int i = 0; i < most && status == BE_OK; i++) {
		status = be_record(handle, "llm", 1, description, NULL);
		*recorded += status == BE_OK;
	}
	return status;
}

static int outgrow(int records, void *context)
{
	struct be_enforcer *handle;

	EXPECT_OK(open_sized(LARGE, &handle));
	EXPECT_OK(record_often(handle, records, context));
	be_close(handle);
	return 0;
}

static void expect_told(enum be_status status)
{
	EXPECT_STATUS(status, BE_MAP_FULL);
	EXPECT(strstr(be_last_error(), environment) != NULL &&
	       strstr(be_last_error(), "map_size") != NULL);
}

int main(void)
{
	int64_t *recorded = shared_make(sizeof *recorded);
	struct be_enforcer *handle;

	test_begin(60);
	test_path(environment, "environment");
	EXPECT_OK(open_sized(SMALL, &handle));
	EXPECT_OK(be_envelope_create(handle, "llm", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	expect_told(record_often(handle, 100000, recorded));
	expect_told(record_often(handle, 1, recorded));
	EXPECT_BALANCE(handle, "llm", *recorded, 0);
	EXPECT_VERIFIED(handle);
	printf("%d records fill a map of %d bytes\n", (int)*recorded, SMALL);

	/* The other process has a larger map, and room. */
	EXPECT_EQUAL(child_wait(child_start(outgrow, 2000, recorded)), 0);
	EXPECT_BALANCE(handle, "llm", *recorded, 0);
	EXPECT_OK(record_often(handle, 100, recorded));
	EXPECT_VERIFIED(handle);
	be_close(handle);

	EXPECT_OK(open_sized(LARGE, &handle));
	EXPECT_OK(record_often(handle, 100, recorded));
	EXPECT_BALANCE(handle, "llm", *recorded, 0);
	EXPECT_VERIFIED(handle);
	be_close(handle);
	/* Too small a map for what is there is raised, to what is there, and to what others had. */
	EXPECT_OK(open_sized(SMALL, &handle));
	EXPECT_BALANCE(handle, "llm", *recorded, 0);
	EXPECT_VERIFIED(handle);
	EXPECT_OK(record_often(handle, 1000, recorded));
	EXPECT_BALANCE(handle, "llm", *recorded, 0);
	be_close(handle);
	return 0;
}
