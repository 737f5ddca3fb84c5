/* SPDX-License-Identifier: Apache-2.0 */
/* A report adds up the ledger: each line once, whatever is above its envelope, exactly, whatever it
 * comes to, and by the calendar of the zone that is asked for. */
#include "inspects.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOUR_NS (3600 * SECOND_NS)
/* 2023-10-28 22:30 UTC: in Berlin the day is one on already, and has an hour more than others. */
#define EVENING_NS (INT64_C(1698532200) * SECOND_NS)

static char path[PATH_MAX];

static void expect_text_of(const char *expected, const char *by, const char *option,
			   const char *value)
{
	char *text = inspect_text("--csv", "--by", by, path, "report", option, value, NULL);

	EXPECT_TEXT(text, expected);
	free(text);
}

/* An envelope, one below it, and one below that in another namespace; and two that are alone. */
static void fill(struct be_enforcer *handle, struct be_enforcer *task)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	uint64_t id;

	EXPECT_OK(be_envelope_create(handle, "llm", 100 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	below.parent_category = "llm";
	EXPECT_OK(be_envelope_create(handle, "chat", 100 * BE_UNIT, BE_PERIOD_TOTAL, &below));
	below.parent_category = "chat";
	below.parent_namespace = "";
	EXPECT_OK(be_envelope_create(task, "chat", 100 * BE_UNIT, BE_PERIOD_TOTAL, &below));
	EXPECT_OK(be_envelope_create(handle, "search", 100 * BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(handle, "llm", BE_UNIT, "a, \"b\"", NULL));
	EXPECT_OK(be_record(handle, "chat", 2 * BE_UNIT, "", NULL));
	EXPECT_OK(be_commit(task, "chat", 5 * BE_UNIT, "c", &id));
	EXPECT_OK(be_settle(task, id, 4 * BE_UNIT + 1, NULL, NULL));
	EXPECT_OK(be_record(handle, "search", 0, "free", NULL));
}

static void check_groups(void)
{
	expect_text_of("row,namespace,category,count,sum,mean,share_percent\n"
		       "group,task,chat,1,4.000000001,4.000000001,57.14\n"
		       "group,,chat,1,2,2,28.57\n"
		       "group,,llm,1,1,1,14.28\n"
		       "group,,search,1,0,0,0.00\n"
		       "total,,,4,7.000000001,1.75,100.00\n",
		       "namespace,category", "--zone", "UTC");
	expect_text_of("row,description,count,sum,mean,share_percent\n"
		       "group,c,1,4.000000001,4.000000001,57.14\n"
		       "group,,1,2,2,28.57\n"
		       "group,\"a, \"\"b\"\"\",1,1,1,14.28\n"
		       "group,free,1,0,0,0.00\n"
		       "total,,4,7.000000001,1.75,100.00\n",
		       "description", "--zone", "UTC");
	expect_text_of("row,kind,category,count,sum,mean,share_percent\n"
		       "group,settle,chat,1,4.000000001,4.000000001,57.14\n"
		       "other,,,3,3,1,42.85\n"
		       "total,,,4,7.000000001,1.75,100.00\n",
		       "kind,category", "--top", "1");
	/* One series, and so nothing else, in however many spans. */
	expect_text_of("row,day,category,count,sum,mean,share_percent\n"
		       "group,2023-10-28,chat,2,6.000000001,3,85.71\n"
		       "other,2023-10-28,,2,1,0.5,14.28\n"
		       "total,,,4,7.000000001,1.75,100.00\n",
		       "day,category", "--top", "1");
	expect_text_of("row,category,count,sum,mean,share_percent\n"
		       "group,chat,2,6.000000001,3,100.00\n"
		       "total,,2,6.000000001,3,100.00\n",
		       "category", "--below", "chat");
	expect_text_of("row,category,count,sum,mean,share_percent\n"
		       "total,,0,0,,\n",
		       "category", "--category", "none");
}

static void check_document(void)
{
	json_t *document = inspect_json("--json", "--by", "day,namespace", "--below", "llm", path,
					"report", NULL);
	json_t *report = json_object_get(document, "report"), *group;

	EXPECT_JSON(report, "by", "[\"day\",\"namespace\"]");
	EXPECT_JSON(report, "zone", "\"UTC\"");
	EXPECT_EQUAL(json_array_size(json_object_get(report, "groups")), 2);
	group = json_array_get(json_object_get(report, "groups"), 1);
	EXPECT_JSON(group, "day", "\"2023-10-28\"");
	EXPECT_JSON(group, "namespace", "\"\"");
	EXPECT_JSON(group, "sum", "\"3\"");
	EXPECT_JSON(json_object_get(report, "total"), "sum", "\"7.000000001\"");
	json_decref(document);
}

/* What is lost to --below is told. */
static void check_removed(struct be_enforcer *handle, struct be_enforcer *task)
{
	struct ending ending;

	EXPECT_OK(be_envelope_remove(task, "chat"));
	inspect(&ending, "--raw", "-H", "--by", "category", "--below", "llm", path, "report", NULL);
	EXPECT_EQUAL(ending.status, 0);
	EXPECT_TEXT(ending.output, "chat 1 2 2 66.66\nllm 1 1 1 33.33\nTOTAL 2 3 1.5 100.00\n");
	EXPECT_CONTAINS(ending.errors, "1 transactions of envelopes that were removed are left out,"
				       " 4.000000001 in all");
	ending_free(&ending);
	EXPECT_REFUSED(3, "--below: there is no envelope 'chat' in namespace 'task'", "--below",
		       "chat", "--below-namespace", "task", path, "report");
	EXPECT_OK(be_record(handle, "llm", 0, NULL, NULL));
}

/* What was charged to an envelope stays its own under another name, and is not that of the next one
 * of the old name. */
static void check_renamed(void)
{
	struct be_envelope_options below = BE_ENVELOPE_OPTIONS_INIT;
	struct be_settings settings = BE_SETTINGS_INIT;
	struct be_enforcer *handle;
	struct ending ending;
	char place[PATH_MAX];

	test_path(place, "renamed");
	handle = test_open(place, BE_DURABILITY_PROCESS);
	EXPECT_OK(be_envelope_create(handle, "team", 100, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "other", 100, BE_PERIOD_TOTAL, NULL));
	below.parent_category = "team";
	EXPECT_OK(be_envelope_create(handle, "llm", 100, BE_PERIOD_TOTAL, &below));
	EXPECT_OK(be_record(handle, "llm", 7 * BE_UNIT, NULL, NULL));
	settings.mask = BE_SET_NAME;
	settings.new_category = "models";
	EXPECT_OK(be_envelope_set(handle, "llm", &settings, NULL));
	below.parent_category = "other";
	EXPECT_OK(be_envelope_create(handle, "llm", 100, BE_PERIOD_TOTAL, &below));
	EXPECT_OK(be_record(handle, "llm", 2 * BE_UNIT, NULL, NULL));
	be_close(handle);
	inspect(&ending, "--raw", "-H", "--by", "namespace", "--below", "team", place, "report",
		NULL);
	EXPECT_TEXT(ending.output, "- 1 7 7 100.00\nTOTAL 1 7 7 100.00\n");
	EXPECT_TEXT(ending.errors, "");
	ending_free(&ending);
	inspect(&ending, "--raw", "-H", "--by", "namespace", "--below", "other", place, "report",
		NULL);
	EXPECT_TEXT(ending.output, "- 1 2 2 100.00\nTOTAL 1 2 2 100.00\n");
	ending_free(&ending);
}

/* The clock shows the same hour twice, and the day has 25 of them. */
static void check_zone(struct be_enforcer *handle, int64_t *now_ns)
{
	*now_ns = EVENING_NS + 2 * HOUR_NS;
	EXPECT_OK(be_record(handle, "search", 10 * BE_UNIT, "zone", NULL));
	*now_ns += HOUR_NS;
	EXPECT_OK(be_record(handle, "search", 20 * BE_UNIT, "zone", NULL));
	*now_ns = EVENING_NS + 25 * HOUR_NS;
	EXPECT_OK(be_record(handle, "search", 40 * BE_UNIT, "zone", NULL));
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
		printf("skipped: there are no time zones here (Debian package tzdata)\n");
		return;
	}
	char *text = inspect_text("--raw", "-H", "--by", "hour", "-o", "hour,sum", "--category",
				  "search", "--zone", "Europe/Berlin", path, "report", NULL);
	EXPECT_TEXT(text, "2023-10-29T00:00+02:00 0\n2023-10-29T02:00+02:00 10\n"
			  "2023-10-29T02:00+01:00 20\n2023-10-30T00:00+01:00 40\nTOTAL 70\n");
	free(text);
	text = inspect_text("--raw", "-H", "--by", "day", "-o", "day,sum", "--category", "search",
			    "--since", "2023-10-29", "--until", "2023-10-30 00:00", "--zone",
			    "Europe/Berlin", path, "report", NULL);
	EXPECT_TEXT(text, "2023-10-29 30\nTOTAL 30\n");
	free(text);
	text = inspect_text("--raw", "-H", "--by", "week", "-o", "week,sum", "--category", "search",
			    "--zone", "Europe/Berlin", path, "report", NULL);
	EXPECT_TEXT(text, "2023-10-23 30\n2023-10-30 40\nTOTAL 70\n");
	free(text);
	text = inspect_text("--raw", "-H", "--by", "month", "-o", "month,sum", "--category",
			    "search", path, "report", NULL);
	EXPECT_TEXT(text, "2023-10 70\nTOTAL 70\n");
	free(text);
}

/* What was pruned is in each report that days can answer, to the nano, and all else is told. */
static void check_pruned(struct be_enforcer *handle, int64_t now_ns)
{
	static const char *const by[] = {"day",  "week",         "month",         "namespace",
					 "kind", "day,category", "namespace,kind"};
	char *before[sizeof by / sizeof *by];
	struct ending ending;

	for (size_t i = 0; i < sizeof by / sizeof *by; i++)
		before[i] = inspect_text("--csv", "--by", by[i], path, "report", NULL);
	EXPECT_OK(be_prune(handle, now_ns - HOUR_NS, NULL, NULL, NULL));
	for (size_t i = 0; i < sizeof by / sizeof *by; i++)
		expect_text_of(before[i], by[i], "--zone", "UTC");
	EXPECT_OK(be_prune(handle, now_ns + 1, NULL, NULL, NULL));
	for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
		expect_text_of(before[i], by[i], "--zone", "UTC");
		free(before[i]);
	}
	expect_text_of("row,hour,count,sum\n"
		       "group,2023-10-28T22:00Z,5,7.000000001\n"
		       "pruned,,3,70\n"
		       "total,,8,77.000000001\n",
		       "hour", "--output", "row,hour,count,sum");
	expect_text_of("row,category,description,count,sum\n"
		       "pruned,search,,4,70\n"
		       "pruned,chat,,2,6.000000001\n"
		       "pruned,llm,,2,1\n"
		       "total,,,8,77.000000001\n",
		       "category,description", "--output", "row,category,description,count,sum");
	inspect(&ending, "--raw", "-H", "--by", "hour", "-o", "hour,sum", "--since",
		"2023-10-29 01:00", path, "report", NULL);
	EXPECT_TEXT(ending.output, "TOTAL 0\n");
	EXPECT_CONTAINS(ending.errors, "3 transactions that were pruned are left out, 70 in all");
	ending_free(&ending);
	inspect(&ending, "--svg", "--by", "hour", path, "report", NULL);
	EXPECT_CONTAINS(ending.output, "Not drawn: 70, which was pruned");
	ending_free(&ending);
}

static size_t show(unsigned short columns, char *shown, size_t size)
{
	struct winsize window = {.ws_row = 24, .ws_col = columns};
	size_t used = 0, longest = 0;
	int terminal, inside;
	ssize_t got;
	pid_t child;

	EXPECT(openpty(&terminal, &inside, NULL, NULL, &window) == 0);
	EXPECT(fcntl(terminal, F_SETFD, FD_CLOEXEC) == 0 &&
	       fcntl(inside, F_SETFD, FD_CLOEXEC) == 0);
	child = inspect_start(inside, path, "report", "--by", "day,category", NULL);
	close(inside);
	while ((got = read(terminal, shown + used, size - 1 - used)) > 0)
		used += (size_t)got;
	shown[used] = '\0';
	EXPECT_EQUAL(child_wait(child), 0);
	close(terminal);
	for (const char *line = shown; *line; line += used + strspn(line + used, "\r\n")) {
		used = strcspn(line, "\r\n");
		longest = used > longest ? used : longest;
	}
	return longest;
}

/* Sums that no amount could be lose no digit, on any terminal. */
static void check_large(struct be_enforcer *handle)
{
	static const unsigned short widths[] = {40, 80, 200};
	char shown[8192];

	EXPECT_OK(be_envelope_create(handle, "large-one", INT64_MAX, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_envelope_create(handle, "large-two", INT64_MAX, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_record(handle, "large-one", INT64_MAX, NULL, NULL));
	EXPECT_OK(be_record(handle, "large-two", INT64_MAX, NULL, NULL));
	for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
		EXPECT(show(widths[i], shown, sizeof shown) <= widths[i]);
		EXPECT_CONTAINS(shown, " 9223372036.854775807");
		EXPECT_CONTAINS(shown, "18446744150.709551615");
		if (widths[i] == 200)
			EXPECT_CONTAINS(shown, " ########################################");
	}
}

static void check_arguments(void)
{
	EXPECT_REFUSED(2, "--by: 'colour' is none of hour, day, week, month, namespace, category,",
		       "--by", "colour", path, "report");
	EXPECT_REFUSED(2, "--by: 'sum' is none of", "--by", "day,sum", path, "report");
	EXPECT_REFUSED(2, "--by: '' is none of", "--by", "", path, "report");
	EXPECT_REFUSED(2, "--by: 'kind' stands there twice", "--by", "kind,kind", path, "report");
	EXPECT_REFUSED(2, "--by: one of hour, day, week and month at a time", "--by", "day,month",
		       path, "report");
	EXPECT_REFUSED(2, "--top: '0': ", "--top", "0", path, "report");
	EXPECT_REFUSED(2, "--zone: 'Mars/Base': no such time zone", "--zone", "Mars/Base", path,
		       "report");
	EXPECT_REFUSED(2, "--zone: '../localtime': no time zone", "--zone", "../localtime", path,
		       "report");
	EXPECT_REFUSED(2, "envelopes has no --by", "--by", "day", path);
	EXPECT_REFUSED(2, "report has no --sort", "--sort", "sum", path, "report");
	EXPECT_REFUSED(2, "--output: kind is not among what --by names", "-o", "kind", path,
		       "report");
	EXPECT_REFUSED(2, "--output: only a table has bars", "--csv", "-o", "bar", path, "report");
	EXPECT_REFUSED(2, "--below-namespace goes with --below", "--below-namespace", "x", path,
		       "report");
}

int main(int argc, char **argv)
{
	int64_t now_ns = EVENING_NS;
	struct be_enforcer *handle, *task;

	inspects_begin(argc, argv, 60);
	unsetenv("COLUMNS");
	handle = inspected_open("", &now_ns, path);
	task = inspected_open("task", &now_ns, NULL);
	fill(handle, task);
	check_groups();
	check_document();
	check_removed(handle, task);
	check_renamed();
	check_zone(handle, &now_ns);
	check_pruned(handle, now_ns);
	check_large(handle);
	check_arguments();
	be_close(task);
	be_close(handle);
	return 0;
}
