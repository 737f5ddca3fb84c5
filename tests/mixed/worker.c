/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of a pool of several languages: worker ROLE ENVIRONMENT. worker.py and worker.js do the
 * same.
 *
 *   race    spends tenths until nothing is left, and prints how many
 *   hold    holds 3, prints a word, and waits to be killed
 *   churn   reserves and settles for ever, and prints a word first
 *   check   prints the nanoseconds of a check: the least of many short rounds
 */
#include <budget_enforcer.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s\n", be_last_error());
	exit(1);
}

static void race(struct be_enforcer *budget)
{
	enum be_status status;
	uint64_t id;
	int granted = 0;

	while ((status = be_commit(budget, "llm", BE_UNIT / 10, NULL, &id)) == BE_OK) {
		must(be_settle(budget, id, BE_UNIT / 10, NULL, NULL));
		granted++;
	}
	if (status != BE_EXCEEDS_BUDGET)
		must(status);
	printf("%d\n", granted);
}

static void hold(struct be_enforcer *budget)
{
	uint64_t id;

	must(be_commit(budget, "llm", 3 * BE_UNIT, NULL, &id));
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}

static void churn(struct be_enforcer *budget)
{
	uint64_t id;

	puts("churning");
	fflush(stdout);
	for (;;) {
		must(be_commit(budget, "llm", 1, NULL, &id));
		must(be_settle(budget, id, 0, NULL, NULL));
	}
}

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * BE_UNIT + now.tv_nsec;
}

static void check(struct be_enforcer *budget)
{
	enum {
		ROUNDS = 300,
		CHECKS = 2000
	};
	struct be_decision decision = BE_DECISION_INIT;
	int64_t least = INT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = clock_ns(), took;

		for (int i = 0; i < CHECKS; i++)
			must(be_check(budget, "llm", BE_UNIT / 10, &decision));
		took = clock_ns() - start;
		if (took < least)
			least = took;
	}
	printf("%" PRId64 "\n", least / CHECKS);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*play)(struct be_enforcer *budget);
	} roles[] = {{"race", race}, {"hold", hold}, {"churn", churn}, {"check", check}};
	struct be_options options = BE_OPTIONS_INIT;
	struct be_enforcer *budget;

	if (argc != 3)
		return 2;
	options.durability = BE_DURABILITY_PROCESS;
	must(be_open(argv[2], &options, &budget));
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (strcmp(argv[1], roles[i].name) == 0)
			roles[i].play(budget);
	be_close(budget);
	return 0;
}
