/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON documents: version, time, every field under its name, amounts as exact text. */
#include "inspects.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static time_t began; /* the test */

static void fill(struct be_enforcer *handle)
{
	struct be_envelope_options child = BE_ENVELOPE_OPTIONS_INIT;
	struct be_commit_options options = BE_COMMIT_OPTIONS_INIT;
	uint64_t id;

	child.parent_category = "day";
	child.suspended = true;
	options.ttl_ms = 1500;
	options.detached = true;
	options.reap_policy = BE_REAP_CHARGE;
	EXPECT_OK(be_envelope_create(handle, "day", 10 * BE_UNIT, BE_PERIOD_DAILY, NULL));
	EXPECT_OK(be_envelope_create(handle, "total", 1, BE_PERIOD_TOTAL, &child));
	EXPECT_OK(be_commit(handle, "day", BE_UNIT, "said \"hi\"\\", &id));
	EXPECT_OK(be_commit_with(handle, "day", 3 * BE_UNIT, "", &options, &id, NULL));
	EXPECT_OK(be_commit(handle, "day", 1, "kept", &id));
	EXPECT_OK(be_settle(handle, id, 0, NULL, NULL));
	EXPECT_OK(be_record(handle, "total", 7, "direct", NULL));
	EXPECT_STATUS(be_commit(handle, "day", 10 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	for (int i = 0; i < 2; i++)
		EXPECT_STATUS(be_check(handle, "day", 10 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	EXPECT_STATUS(be_check(handle, "total", 1, NULL), BE_SUSPENDED);
}

/* The only array of the document, after a look at what is around it. */
static json_t *rows(json_t *document, const char *view, size_t count)
{
	json_t *array = json_object_get(document, view);
	struct tm fields = {0};
	const char *at, *rest;

	EXPECT_EQUAL(json_object_size(document), 3);
	EXPECT_JSON(document, "version", "1");
	at = json_string_value(json_object_get(document, "at"));
	rest = strptime(at, "%Y-%m-%dT%H:%M:%S.", &fields);
	EXPECT(rest && strlen(rest) == 10 && rest[9] == 'Z' && strspn(rest, "0123456789") == 9);
	EXPECT(timegm(&fields) >= began && timegm(&fields) <= time(NULL));
	EXPECT(json_is_array(array));
	EXPECT_EQUAL(json_array_size(array), count);
	return array;
}

/* A window of a day from the test's clock is over by the real one, and what was spent in it with
 * it. */
static void check_envelopes(const char *path)
{
	json_t *document = inspect_json("--json", path, NULL),
	       *array = rows(document, "envelopes", 2);
	json_t *day = json_array_get(array, 0), *total = json_array_get(array, 1);
	const char *start, *end;

	EXPECT_EQUAL(json_object_size(day), 39);
	EXPECT_JSON(day, "id", "1");
	EXPECT_JSON(day, "namespace", "\"\"");
	EXPECT_JSON(day, "category", "\"day\"");
	EXPECT_JSON(day, "limit", "\"10\"");
	EXPECT_JSON(day, "spent", "\"0\"");
	EXPECT_JSON(day, "committed", "\"4\"");
	EXPECT_JSON(day, "available", "\"6\"");
	EXPECT_JSON(day, "utilization_percent", "\"40.00\"");
	EXPECT_JSON(day, "period", "\"daily\"");
	EXPECT_JSON(day, "suspended", "false");
	EXPECT_JSON(day, "parent", "null");
	EXPECT_JSON(day, "pending_commits", "2");
	EXPECT_JSON(day, "commits_granted", "3");
	EXPECT_JSON(day, "refused", "3");
	EXPECT_JSON(day, "refused_exceeds_budget", "3");
	EXPECT_JSON(day, "refused_suspended", "0");
	EXPECT_JSON(day, "expired_released", "0");
	EXPECT_JSON(day, "settled_late", "0");
	EXPECT_JSON(day, "children", "1");
	EXPECT_JSON(day, "created", "\"" INSPECTED "\"");
	start = json_string_value(json_object_get(day, "period_start"));
	end = json_string_value(json_object_get(day, "period_end"));
	EXPECT(strcmp(start, "2024") > 0);
	EXPECT_TEXT(strchr(start, 'T'), strchr(INSPECTED, 'T'));
	EXPECT_TEXT(strchr(end, 'T'), strchr(INSPECTED, 'T'));
	EXPECT(strcmp(start, end) < 0);

	EXPECT_JSON(total, "limit", "\"0.000000001\"");
	EXPECT_JSON(total, "spent", "\"0.000000007\"");
	EXPECT_JSON(total, "available", "\"0\"");
	EXPECT_JSON(total, "utilization_percent", "\"700.00\"");
	EXPECT_JSON(total, "period_start", "\"" INSPECTED "\"");
	EXPECT_JSON(total, "period_end", "null");
	EXPECT_JSON(total, "suspended", "true");
	EXPECT_JSON(total, "refused", "1");
	EXPECT_JSON(total, "refused_exceeds_budget", "0");
	EXPECT_JSON(total, "refused_suspended", "1");
	EXPECT_JSON(total, "parent", "{\"namespace\":\"\",\"category\":\"day\"}");
	json_decref(document);
}

static void check_commits(const char *path)
{
	json_t *document = inspect_json("--json", path, "commits", NULL),
	       *array = rows(document, "commits", 2);
	json_t *tied = json_array_get(array, 0), *detached = json_array_get(array, 1);
	const int64_t created = INSPECTED_NS / SECOND_NS;
	char pid[16];
	int64_t age;

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	EXPECT_EQUAL(json_object_size(tied), 15);
	EXPECT_JSON(tied, "also", "[]");
	EXPECT_JSON(tied, "labels", "{}");
	EXPECT_JSON(tied, "id", "1");
	EXPECT_JSON(tied, "namespace", "\"\"");
	EXPECT_JSON(tied, "category", "\"day\"");
	EXPECT_JSON(tied, "amount", "\"1\"");
	EXPECT_JSON(tied, "created", "\"" INSPECTED "\"");
	age = json_integer_value(json_object_get(tied, "age_seconds"));
	EXPECT(age >= began - 1 - created && age <= time(NULL) - created);
	EXPECT_JSON(tied, "deadline", "null");
	EXPECT_JSON(tied, "detached", "false");
	EXPECT_JSON(tied, "owner_pid", pid);
	EXPECT_JSON(tied, "owner_alive", "true");
	EXPECT_JSON(tied, "state", "\"pending\"");
	EXPECT_JSON(tied, "reap_policy", "\"release\"");
	EXPECT_JSON(tied, "description", "\"said \\\"hi\\\"\\\\\"");
	EXPECT_JSON(detached, "deadline", "\"2023-11-16T18:15:48.180000000Z\"");
	EXPECT_JSON(detached, "detached", "true");
	EXPECT_JSON(detached, "reap_policy", "\"charge\"");
	EXPECT_JSON(detached, "description", "\"\"");
	json_decref(document);
}

static void check_transactions(const char *path)
{
	json_t *document = inspect_json("--json", path, "transactions", NULL);
	json_t *array = rows(document, "transactions", 2);
	json_t *settled = json_array_get(array, 0), *recorded = json_array_get(array, 1);

	EXPECT_EQUAL(json_object_size(settled), 14);
	EXPECT_JSON(settled, "labels", "{}");
	EXPECT_JSON(settled, "also", "[]");
	EXPECT_JSON(settled, "id", "1");
	EXPECT_JSON(settled, "commit_id", "3");
	EXPECT_JSON(settled, "kind", "\"settle\"");
	EXPECT_JSON(settled, "amount", "\"0\"");
	EXPECT_JSON(settled, "held", "\"0.000000001\"");
	EXPECT_JSON(settled, "at", "\"" INSPECTED "\"");
	EXPECT_JSON(settled, "late", "false");
	EXPECT_JSON(settled, "namespace", "\"\"");
	EXPECT_JSON(settled, "category", "\"day\"");
	EXPECT_JSON(settled, "description", "\"kept\"");
	EXPECT_JSON(recorded, "commit_id", "null");
	EXPECT_JSON(recorded, "kind", "\"record\"");
	EXPECT_JSON(recorded, "amount", "\"0.000000007\"");
	EXPECT_JSON(recorded, "held", "\"0\"");
	json_decref(document);
}

/* An array without rows is there all the same, and --output chooses members. */
static void check_selections(const char *path)
{
	json_t *document = inspect_json("--json", path, "commits", "--category", "nothing", NULL);

	rows(document, "commits", 0);
	json_decref(document);
	document = inspect_json("-j", "-o", "COMMITTED,category", path, NULL);
	EXPECT_JSON(document, "envelopes",
		    "[{\"committed\":\"4\",\"category\":\"day\"},{\"committed\":\"0\",\"category\":"
		    "\"total\"}]");
	json_decref(document);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	char path[PATH_MAX];

	inspects_begin(argc, argv, 60);
	began = time(NULL);
	handle = inspected_open(NULL, &now_ns, path);
	fill(handle);
	check_envelopes(path);
	check_commits(path);
	check_transactions(path);
	check_selections(path);
	be_close(handle);
	return 0;
}
