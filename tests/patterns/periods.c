/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Total against rolling periods: a total envelope is for one purpose and never starts again, while
 * an hourly, daily, weekly or monthly one begins each window with nothing spent. Windows follow
 * each other without drift, however long nobody looked. The clock is injected here, so that an hour
 * takes no time; programs normally leave options.now alone.
 */
#include <budget_enforcer.h>
#include <stdio.h>
#include <stdlib.h>

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	exit(EXIT_FAILURE);
}

static int64_t clock_now(void *context)
{
	return *(int64_t *)context;
}

int main(int argc, char **argv)
{
	int64_t now_ns = INT64_C(1700000000) * 1000000000;
	const int64_t hour_ns = be_period_seconds(BE_PERIOD_HOURLY) * 1000000000;
	struct be_enforcer *budget = NULL;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_envelope hourly = BE_ENVELOPE_INIT;
	const int64_t started_ns = now_ns;

	options.now = clock_now;
	options.now_context = &now_ns;
	must(be_open(argc > 1 ? argv[1] : "budget", &options, &budget));
	must(be_envelope_ensure(budget, "project", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	must(be_envelope_ensure(budget, "chat", BE_UNIT, BE_PERIOD_HOURLY, NULL));
	must(be_record(budget, "project", 900000000, "analysis", NULL));
	must(be_record(budget, "chat", 900000000, "small talk", NULL));

	enum be_status chat_before = be_check(budget, "chat", 500000000, NULL);
	now_ns += 5 * hour_ns / 2; /* two windows have ended, and the third is half over */
	enum be_status chat_after = be_check(budget, "chat", 500000000, NULL);
	enum be_status project_after = be_check(budget, "project", 500000000, NULL);
	printf("chat: %s, later %s; project, later: %s\n", be_status_name(chat_before),
	       be_status_name(chat_after), be_status_name(project_after));

	must(be_utilization(budget, "chat", &hourly));
	be_close(budget);
	bool as_expected = chat_before == BE_EXCEEDS_BUDGET && chat_after == BE_OK &&
			   project_after == BE_EXCEEDS_BUDGET &&
			   hourly.period_start_ns == started_ns + 2 * hour_ns;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
