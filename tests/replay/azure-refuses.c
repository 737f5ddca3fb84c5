/* SPDX-License-Identifier: Apache-2.0 */
/* The real trace under a limit that it reaches: another process, which looks at the envelope all
 * the time, never sees more than the limit spent, nor spent and reserved together. */
#include "replays.h"

#include <stdio.h>
#include <sys/wait.h>

#define TOTAL INT64_C(57868362000)
#define LIMIT (20 * BE_UNIT)

/* Looks until the run has ended; returns how many different amounts spent it has seen. */
static int watch(struct be_enforcer *handle, pid_t pid, uint64_t *looks)
{
	siginfo_t ended = {0};
	int64_t last = 0;
	int different = 0;

	while (ended.si_pid == 0) {
		struct be_envelope envelope = BE_ENVELOPE_INIT;
		enum be_status status = be_utilization(handle, "llm", &envelope);

		EXPECT(status == BE_OK || status == BE_NO_ENVELOPE);
		EXPECT(envelope.spent <= LIMIT);
		EXPECT(envelope.spent + envelope.committed <= LIMIT);
		/* It may go back by a txn: a reader of LMDB's that is preempted while it begins may
		 * see what the next one does not see yet. */
		different += envelope.spent != last;
		last = envelope.spent;
		(*looks)++;
		if (*looks % 16 == 0)
			EXPECT(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0);
	}
	return different;
}

/* Replays into an environment of its own, and returns how many different amounts spent were
 * seen. */
static int replay(int number)
{
	char directory[PATH_MAX];
	struct be_enforcer *handle;
	struct run run;
	json_t *summary;
	uint64_t looks = 0;
	int different;
	int64_t spent;

	test_path(directory, "environment-%d", number);
	handle = test_open(directory, BE_DURABILITY_FULL);
	run_start(&run, -1, "--json", "--workers", "4", "--trace", replays_real_trace(),
		  "--price-in", "3", "--price-out", "15", "--limit", "20", "--period", "total",
		  "--speed", "0", directory, NULL);
	different = watch(handle, run.pid, &looks);
	EXPECT_EQUAL(run_wait(&run), 0);

	summary = run_json(&run);
	spent = json_amount(summary, "spent");
	EXPECT_EQUAL(json_count(summary, "permitted") + json_count(summary, "refused"), 8819);
	EXPECT(json_count(summary, "refused") > 0);
	EXPECT_EQUAL(spent + json_amount(summary, "refused_cost"), TOTAL);
	/* What is left is less than the largest request of the trace reserves. */
	EXPECT(spent <= LIMIT && spent > LIMIT - BE_UNIT / 10);
	EXPECT_BALANCE(handle, "llm", spent, 0);
	EXPECT_EQUAL(verified_transactions(handle), json_count(summary, "permitted"));
	be_close(handle);
	printf("%llu looks, %d different amounts; %lld permitted, %lld refused\n",
	       (unsigned long long)looks, different, (long long)json_count(summary, "permitted"),
	       (long long)json_count(summary, "refused"));
	json_decref(summary);
	return different;
}

int main(int argc, char **argv)
{
	int different = 0;

	replays_begin(argc, argv, 240);
	/* A watcher that saw only the beginning and the end has proved nothing; that may happen on
	 * a busy machine, because the whole run takes a tenth of a second. */
	for (int i = 0; i < 20 && different < 100; i++)
		different += replay(i);
	EXPECT(different >= 100);
	return 0;
}
