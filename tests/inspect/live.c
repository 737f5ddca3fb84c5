/* SPDX-License-Identifier: Apache-2.0 */
/* It works while the pool runs: every document that it prints meanwhile is whole and within the
 * limit, and the balances always verify. */
#include "inspects.h"

#include <stdatomic.h>
#include <stdio.h>

#define WORKERS 4
#define ROUNDS 12
#define LIMIT (10 * BE_UNIT)

struct shared {
	atomic_bool over;
	atomic_uint_fast64_t settled;
};

static int work(int index, void *context)
{
	struct shared *shared = context;
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle = inspected_open(NULL, &now_ns, NULL);
	uint64_t id;

	while (!atomic_load(&shared->over)) {
		enum be_status status = be_commit(handle, "llm", BE_UNIT * (index + 1), NULL, &id);

		EXPECT(status == BE_OK || status == BE_EXCEEDS_BUDGET);
		if (status == BE_OK) {
			EXPECT_OK(be_settle(handle, id, 1, NULL, NULL));
			atomic_fetch_add(&shared->settled, 1);
		}
	}
	be_close(handle);
	return 0;
}

static void look(const char *path)
{
	json_t *document = inspect_json("--json", path, NULL), *envelope;
	int64_t figures[3];
	static const char *const keys[] = {"spent", "committed", "available"};

	envelope = json_array_get(json_object_get(document, "envelopes"), 0);
	for (int i = 0; i < 3; i++)
		EXPECT_OK(be_amount_parse(json_string_value(json_object_get(envelope, keys[i])),
					  &figures[i]));
	EXPECT_EQUAL(figures[0] + figures[1] + figures[2], LIMIT);
	json_decref(document);

	document = inspect_json("--json", path, "verify", NULL);
	EXPECT_JSON(json_object_get(document, "verify"), "ok", "true");
	json_decref(document);
	json_decref(inspect_json("--json", path, "commits", NULL));
	json_decref(inspect_json("--json", "--limit", "20", path, "transactions", NULL));
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct shared *shared;
	struct be_enforcer *handle;
	pid_t workers[WORKERS];
	char path[PATH_MAX];

	inspects_begin(argc, argv, 120);
	shared = shared_make(sizeof *shared);
	handle = inspected_open(NULL, &now_ns, path);
	EXPECT_OK(be_envelope_create(handle, "llm", LIMIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < WORKERS; i++)
		workers[i] = child_start(work, i, shared);
	for (int i = 0; i < ROUNDS; i++)
		look(path);
	atomic_store(&shared->over, true);
	for (int i = 0; i < WORKERS; i++)
		EXPECT_EQUAL(child_wait(workers[i]), 0);
	printf("%d rounds of looks during %llu settlements\n", ROUNDS,
	       (unsigned long long)atomic_load(&shared->settled));
	EXPECT_BALANCE(handle, "llm", (int64_t)atomic_load(&shared->settled), 0);
	be_close(handle);
	return 0;
}
