/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A budget for each task, inside the day's: the day's envelope lies in the default namespace, and
 * every task opens a handle with a namespace of its own, in which its envelope names the day's as
 * its parent. A commit of the task must fit both, holds money in both, and a refusal says which of
 * them refused. (Opening the same environment again is cheap: a process maps it once.)
 */
#include <budget_enforcer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(enum be_status status)
{
	if (status == BE_OK)
		return;
	fprintf(stderr, "%s: %s\n", be_status_name(status), be_last_error());
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "budget";
	struct be_enforcer *day = NULL, *task = NULL;
	struct be_options options = BE_OPTIONS_INIT;
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	struct be_decision by_task = BE_DECISION_INIT, by_day = BE_DECISION_INIT;
	struct be_envelope today = BE_ENVELOPE_INIT;
	uint64_t id, other;

	must(be_open(path, NULL, &day));
	must(be_envelope_ensure(day, "llm", 10 * BE_UNIT, BE_PERIOD_DAILY, NULL));

	options.namespace_name = "task-42";
	must(be_open(path, &options, &task));
	below.parent_namespace = "";
	below.parent_category = "llm";
	must(be_envelope_ensure(task, "llm", 2 * BE_UNIT, BE_PERIOD_TOTAL, &below));

	must(be_commit(task, "llm", 1500000000, "plan", &id));
	enum be_status over_task =
		be_commit_with(task, "llm", BE_UNIT, "draft", NULL, &other, &by_task);
	printf("%s by '%s'\n", be_status_name(over_task), by_task.namespace_name);

	must(be_record(day, "llm", 8300000000, "everybody else", NULL));
	enum be_status over_day =
		be_commit_with(task, "llm", 400000000, "draft", NULL, &other, &by_day);
	printf("%s by '%s'\n", be_status_name(over_day), by_day.namespace_name);

	must(be_settle(task, id, 1400000000, NULL, NULL));
	must(be_utilization(day, "llm", &today));
	be_close(task);
	be_close(day);
	bool as_expected =
		over_task == BE_EXCEEDS_BUDGET && strcmp(by_task.namespace_name, "task-42") == 0 &&
		over_day == BE_EXCEEDS_BUDGET && strcmp(by_day.namespace_name, "") == 0 &&
		today.spent == 9700000000 && today.committed == 0;
	return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
