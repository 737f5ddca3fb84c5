/* SPDX-License-Identifier: Apache-2.0 */
/* What the dead hold, and what is held past its deadline, is told apart from what the living hold:
 * in its envelope and those above it, whatever their namespaces, in each form. */
#include "inspects.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int *ready;

static void make(struct be_enforcer *handle, const char *category, const char *parent)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_namespace = parent ? "" : NULL;
	options.parent_category = parent;
	EXPECT_OK(be_envelope_create(handle, category, 10 * BE_UNIT, BE_PERIOD_TOTAL, &options));
}

/* Holds 2 and 0.5 in the task, the latter for ever, and 1 above it, until it is killed. */
static int hold(int index, void *context)
{
	struct be_commit_options detached = BE_COMMIT_OPTIONS_INIT;
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle = inspected_open(NULL, &now_ns, NULL),
			   *task = inspected_open("task", &now_ns, NULL);
	uint64_t id;

	(void)index;
	(void)context;
	detached.detached = true;
	EXPECT_OK(be_commit(task, "step", 2 * BE_UNIT, "dies", &id));
	EXPECT_OK(be_commit_with(task, "step", BE_UNIT / 2, "stays", &detached, &id, NULL));
	EXPECT_OK(be_commit(handle, "day", BE_UNIT, "dies, too", &id));
	atomic_store(ready, 1);
	pause();
	return 0;
}

static json_t *envelope_of(const json_t *document, const char *category)
{
	size_t i;
	json_t *row;

	json_array_foreach(json_object_get(document, "envelopes"), i,
			   row) if (strcmp(json_string_value(json_object_get(row, "category")),
					   category) == 0) return row;
	test_fail(__FILE__, __LINE__, "no %s", category);
}

static void check_json(const char *path)
{
	json_t *document = inspect_json("--json", path, NULL);
	static const char *const expected[][3] = {
		{"day", "\"0.25\"", "\"3\""},
		{"step", "\"0.25\"", "\"2\""},
		{"other", "\"0\"", "\"0\""},
	};

	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
		json_t *envelope = envelope_of(document, expected[i][0]);

		EXPECT_JSON(envelope, "held_expired", expected[i][1]);
		EXPECT_JSON(envelope, "held_orphaned", expected[i][2]);
	}
	EXPECT_JSON(envelope_of(document, "day"), "committed", "\"7.75\"");
	json_decref(document);
}

static void check_table(const char *path)
{
	struct ending ending;
	char *text =
		inspect_text("-o", "category,committed,held-expired,held_orphaned", path, NULL);

	EXPECT_TEXT(text, "CATEGORY COMMITTED HELD-EXPIRED HELD-ORPHANED\n"
			  "day           7.75         0.25             3\n"
			  "\u2514\u2500step        2.75         0.25             2\n"
			  "other            0            0             0\n");
	free(text);
	text = inspect_text("--csv", "-o", "category,held_orphaned", "--sort=-held_orphaned",
			    "--limit=1", path, NULL);
	EXPECT_TEXT(text, "category,held_orphaned\nday,3\n");
	free(text);
	inspect(&ending, path, NULL);
	EXPECT_EQUAL(ending.status, 0);
	EXPECT_CONTAINS(ending.errors, "of what is committed, 3 is held by dead owners and 0.25 by "
				       "commits past their deadline");
	ending_free(&ending);
	text = inspect_text("--raw", "-H", "-o", "amount,state,description", path, "commits", NULL);
	EXPECT_TEXT(text, "4 pending lives\n"
			  "2 orphaned dies\n"
			  "0.5 pending stays\n"
			  "1 orphaned dies,\\x20too\n"
			  "0.25 expired expires\n");
	free(text);
	/* What is overdue is not at its deadline for ever. */
	text = inspect_text("--raw", "-H", "-o", "expires", path, "commits", NULL);
	EXPECT_CONTAINS(text, "-\n-\n-\n-\n-");
	EXPECT_LACKS(text, "0s");
	free(text);
}

static void check_metrics(const char *path)
{
	char *text = inspect_text("--prometheus", path, NULL), series[2 * PATH_MAX];

	snprintf(series, sizeof series,
		 "\nbudget_enforcer_envelope_held_orphaned{environment=\"%s\",namespace=\"\","
		 "category=\"day\",id=\"1\",parent=\"\",root=\"day\"} 3\n",
		 path);
	EXPECT_CONTAINS(text, series);
	snprintf(series, sizeof series,
		 "\nbudget_enforcer_envelope_held_expired{environment=\"%s\",namespace=\"task\","
		 "category=\"step\",id=\"2\",parent=\"day\",root=\"day\"} 0.25\n",
		 path);
	EXPECT_CONTAINS(text, series);
	free(text);
}

/* Once they are reaped, nothing is said. */
static void check_reaped(struct be_enforcer *handle, const char *path)
{
	uint64_t reaped;
	char *text;

	EXPECT_OK(be_reap(handle, &reaped));
	EXPECT_EQUAL(reaped, 3);
	text = inspect_text(path, NULL);
	EXPECT_CONTAINS(text, "4.5");
	free(text);
}

int main(int argc, char **argv)
{
	struct be_commit_options brief = BE_COMMIT_OPTIONS_INIT;
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle, *task;
	char path[PATH_MAX];
	uint64_t id;
	pid_t child;

	inspects_begin(argc, argv, 60);
	ready = shared_make(sizeof *ready);
	handle = inspected_open(NULL, &now_ns, path);
	task = inspected_open("task", &now_ns, NULL);
	make(handle, "day", NULL);
	make(task, "step", "day");
	make(handle, "other", NULL);
	EXPECT_OK(be_commit(handle, "day", 4 * BE_UNIT, "lives", &id));
	child = child_start(hold, 0, NULL);
	while (!atomic_load(ready))
		usleep(1000);
	kill(child, SIGKILL);
	EXPECT_EQUAL(child_wait(child), 128 + SIGKILL);
	/* By the test's clock; by the program's it ended long ago. */
	brief.ttl_ms = 1000;
	EXPECT_OK(be_commit_with(task, "step", BE_UNIT / 4, "expires", &brief, &id, NULL));
	check_json(path);
	check_table(path);
	check_metrics(path);
	now_ns += 2 * SECOND_NS;
	check_reaped(handle, path);
	be_close(task);
	be_close(handle);
	return 0;
}
