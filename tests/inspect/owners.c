/* SPDX-License-Identifier: Apache-2.0 */
/* The view of owners: who has the environment open, idle or not, and what the dead still hold. */
#include "inspects.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CHILDREN 3

static atomic_int *ready;

/* Child 0 holds nothing; the others hold as many commits as their number says. */
static int hold(int index, void *context)
{
	struct be_enforcer *handle = context;
	struct be_envelope envelope = BE_ENVELOPE_INIT;
	uint64_t id;

	prctl(PR_SET_NAME, "a \"worker\"");
	EXPECT_OK(be_utilization(handle, "llm", &envelope));
	for (int i = 0; i < index; i++)
		EXPECT_OK(be_commit(handle, "llm", BE_UNIT / 2, NULL, &id));
	atomic_fetch_add(ready, 1);
	pause(); /* until it is killed */
	return 0;
}

static json_t *row_of(const json_t *rows, pid_t pid)
{
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row) if (json_integer_value(json_object_get(row, "pid")) ==
					     pid) return row;
	return NULL;
}

static void check(const char *path, const pid_t *children)
{
	json_t *document = inspect_json("--json", path, "owners", NULL);
	json_t *rows = json_object_get(document, "owners"), *row;
	static const char *const held[] = {"\"0\"", "\"0.5\"", "\"1\""};
	char count[2] = "0";

	/* And this process, which made the environment. */
	EXPECT_EQUAL(json_array_size(rows), CHILDREN + 1);
	for (int i = 0; i < CHILDREN; i++) {
		row = row_of(rows, children[i]);
		EXPECT(row);
		EXPECT_EQUAL(json_object_size(row), 8);
		EXPECT_EQUAL(json_integer_value(json_object_get(row, "pid_here")), children[i]);
		EXPECT(json_integer_value(json_object_get(row, "pid_namespace")) > 0);
		EXPECT_JSON(row, "alive", "true");
		count[0] = (char)('0' + i);
		EXPECT_JSON(row, "commits", count);
		EXPECT_JSON(row, "held", held[i]);
		EXPECT_JSON(row, "command", "\"a \\\"worker\\\"\"");
		EXPECT_EQUAL(json_is_null(json_object_get(row, "oldest_seconds")), i == 0);
	}
	EXPECT_JSON(row_of(rows, getpid()), "commits", "0");
	json_decref(document);
}

/* The dead are shown for as long as they hold something. */
static void check_dead(const char *path, const pid_t *children)
{
	json_t *document =
		inspect_json("--json", "--sort", "-held", "--limit", "1", path, "owners", NULL);
	json_t *row = json_array_get(json_object_get(document, "owners"), 0);

	EXPECT_EQUAL(json_integer_value(json_object_get(row, "pid")), children[2]);
	EXPECT_JSON(row, "alive", "false");
	EXPECT_JSON(row, "held", "\"1\"");
	EXPECT_JSON(row, "command", "\"\"");
	json_decref(document);
	document = inspect_json("--json", path, "owners", NULL);
	EXPECT_EQUAL(json_array_size(json_object_get(document, "owners")), 3);
	EXPECT(!row_of(json_object_get(document, "owners"), children[0]));
	json_decref(document);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	pid_t children[CHILDREN];
	char path[PATH_MAX];

	inspects_begin(argc, argv, 60);
	ready = shared_make(sizeof *ready);
	handle = inspected_open(NULL, &now_ns, path);
	EXPECT_OK(be_envelope_create(handle, "llm", 10 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	for (int i = 0; i < CHILDREN; i++)
		children[i] = child_start(hold, i, handle);
	while (atomic_load(ready) < CHILDREN)
		usleep(1000);
	check(path, children);
	for (int i = 0; i < CHILDREN; i += 2) {
		kill(children[i], SIGKILL);
		EXPECT_EQUAL(child_wait(children[i]), 128 + SIGKILL);
	}
	check_dead(path, children);
	kill(children[1], SIGKILL);
	EXPECT_EQUAL(child_wait(children[1]), 128 + SIGKILL);
	be_close(handle);
	return 0;
}
