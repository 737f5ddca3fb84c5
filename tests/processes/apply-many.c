/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hundred thousand changes of envelopes in one call, while another thread spends. The call takes
 * memory for what the txn writes and not for its changes, because everybody waits while it is
 * filled. How long writers waited is printed, and judged by nobody.
 */
#include "support.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CHANGES 100000
/* Of what LMDB keeps until it writes, and of what it reads. Operations and results of the changes
 * would be 280 MiB. */
#define MEMORY_MIB 96

static struct be_enforcer *budget;
static atomic_bool is_over;
static int64_t longest_ns;

static void *spend(void *context)
{
	uint64_t *count = context;

	while (!atomic_load(&is_over)) {
		int64_t begun_ns = test_monotonic_ns(), took_ns;

		EXPECT_OK(be_record(budget, "base", 1, "", NULL));
		took_ns = test_monotonic_ns() - begun_ns;
		if (took_ns > longest_ns)
			longest_ns = took_ns;
		++*count;
	}
	return NULL;
}

static size_t peak_mib(void)
{
	struct rusage usage;

	EXPECT(getrusage(RUSAGE_SELF, &usage) == 0);
	return (size_t)usage.ru_maxrss / 1024;
}

static struct be_envelope_change *make_changes(const struct be_envelope_options *options,
					       char (*names)[16])
{
	struct be_envelope_change *changes = calloc(CHANGES, sizeof *changes);

	EXPECT(changes);
	for (size_t i = 0; i < CHANGES; i++) {
		snprintf(names[i], sizeof names[i], "task-%zu", i);
		changes[i] = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
		changes[i].operation = BE_OPERATION_CREATE;
		changes[i].namespace_name = names[i];
		changes[i].category = "llm";
		changes[i].limit = BE_UNIT;
		changes[i].options = options;
	}
	return changes;
}

int main(void)
{
	static char names[CHANGES][16];
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;
	struct be_envelope base = BE_ENVELOPE_INIT;
	struct be_envelope_change *changes;
	uint64_t spent = 0;
	char path[PATH_MAX];
	size_t before, failed;
	pthread_t spender;

	test_begin(140);
	test_path(path, "environment");
	budget = test_open(path, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(budget, "base", 1000000 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	options.parent_namespace = "";
	options.parent_category = "base";
	changes = make_changes(&options, names);
	EXPECT(pthread_create(&spender, NULL, spend, &spent) == 0);
	before = peak_mib();
	EXPECT_OK(be_envelopes_apply(budget, changes, CHANGES, &failed));
	printf("%d changes took %zu MiB\n", CHANGES, peak_mib() - before);
	if (!TEST_SANITIZED)
		EXPECT(peak_mib() - before <= MEMORY_MIB);
	/* None of them, if one cannot be. */
	changes[CHANGES - 1].category = "new";
	EXPECT_STATUS(be_envelopes_apply(budget, changes, CHANGES, &failed), BE_ENVELOPE_EXISTS);
	EXPECT_EQUAL(failed, 0);
	changes[CHANGES - 1].category = "";
	EXPECT_STATUS(be_envelopes_apply(budget, changes, CHANGES, &failed), BE_INVALID_NAME);
	EXPECT_EQUAL(failed, CHANGES - 1);
	atomic_store(&is_over, true);
	EXPECT(pthread_join(spender, NULL) == 0);
	printf("a writer waited for at most %.3f s\n", (double)longest_ns / 1e9);
	EXPECT_OK(be_utilization(budget, "base", &base));
	EXPECT_EQUAL(base.children, CHANGES);
	EXPECT_EQUAL(base.spent, spent);
	EXPECT_VERIFIED(budget);
	be_close(budget);
	free(changes);
	return 0;
}
