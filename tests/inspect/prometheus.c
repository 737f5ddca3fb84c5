/* SPDX-License-Identifier: Apache-2.0 */
/* --prometheus: promtool finds nothing to complain of, whatever the names are; the figures are
 * true; counters never go back, also when an envelope is removed and made anew. */
#include "inspects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make(struct be_enforcer *handle, const char *category, const char *parent)
{
	struct be_envelope_options options = BE_ENVELOPE_OPTIONS_INIT;

	options.parent_category = parent;
	EXPECT_OK(be_envelope_create(handle, category, 10 * BE_UNIT, BE_PERIOD_TOTAL, &options));
}

/* The value behind budget_enforcer_NAME{environment="PATH"LABELS}; NULL when there is no such
 * series. Valid until the next call. */
static const char *value_of(const char *text, const char *path, const char *name,
			    const char *labels)
{
	static char value[64];
	char series[2 * PATH_MAX];
	const char *found;

	snprintf(series, sizeof series, "\nbudget_enforcer_%s{environment=\"%s\"%s} ", name, path,
		 labels);
	found = strstr(text, series);
	if (!found)
		return NULL;
	found += strlen(series);
	snprintf(value, sizeof value, "%.*s", (int)strcspn(found, "\n"), found);
	return value;
}

#define EXPECT_VALUE(name, labels, expected)                                                       \
	do {                                                                                       \
		const char *found_value = value_of(text, path, (name), (labels));                  \
		EXPECT_TEXT(found_value ? found_value : "no such series", (expected));             \
	} while (0)

static void check_figures(struct be_enforcer *handle, const char *path)
{
	char *text = inspect_text("--prometheus", path, NULL);
	const char *age;
	uint64_t id;

#define TOP ",namespace=\"\",category=\"top\",id=\"1\",parent=\"\",root=\"top\""
#define BELOW ",namespace=\"\",category=\"below\",id=\"2\",parent=\"top\",root=\"top\""
	EXPECT_VALUE("envelope_limit", TOP, "10");
	EXPECT_VALUE("envelope_spent", TOP, "1.25");
	EXPECT_VALUE("envelope_committed", TOP, "0.5");
	EXPECT_VALUE("envelope_available", TOP, "8.25");
	EXPECT_VALUE("envelope_pending_commits", TOP, "1");
	EXPECT_VALUE("envelope_pending_commits", BELOW, "1");
	EXPECT_VALUE("envelope_commits_granted_total", TOP, "3");
	EXPECT_VALUE("envelope_commits_granted_total", BELOW, "2");
	EXPECT_VALUE("envelope_suspended", TOP, "0");
	EXPECT_VALUE("envelope_refusals_total", TOP ",reason=\"exceeds_budget\"", "2");
	EXPECT_VALUE("envelope_refusals_total", TOP ",reason=\"suspended\"", "0");
	EXPECT_VALUE("envelope_refusals_total", BELOW ",reason=\"exceeds_budget\"", "0");
	EXPECT_VALUE("no_envelope_refusals_total", "", "1");
	EXPECT_VALUE("transactions_total", "", "2");
	EXPECT_VALUE("commits_total", "", "3");
	EXPECT_VALUE("owners", "", "1");
	age = value_of(text, path, "envelope_oldest_pending_commit_age_seconds", TOP);
	/* From the test's clock to the real one. */
	EXPECT(age && strtod(age, NULL) > 3600);
	EXPECT_VALUE("envelope_oldest_pending_commit_age_seconds",
		     ",namespace=\"\",category=\"gone\",id=\"3\",parent=\"\",root=\"gone\"",
		     "0.000");
	free(text);

	EXPECT_OK(be_commit(handle, "gone", 1, NULL, &id));
	EXPECT_OK(be_release(handle, id));
	EXPECT_STATUS(be_check(handle, "gone", 11 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	EXPECT_OK(be_envelope_suspend(handle, "below"));
	EXPECT_STATUS(be_check(handle, "below", 11 * BE_UNIT, NULL), BE_SUSPENDED);
	EXPECT_OK(be_envelope_remove(handle, "gone"));
	make(handle, "gone", NULL);
	text = inspect_text("--prometheus", path, NULL);
	EXPECT_VALUE("envelope_suspended", BELOW, "1");
	EXPECT_VALUE("commits_total", "", "4");
	EXPECT_VALUE("envelope_commits_granted_total",
		     ",namespace=\"\",category=\"gone\",id=\"4\",parent=\"\",root=\"gone\"", "0");
	EXPECT_VALUE("envelope_refusals_total",
		     ",namespace=\"\",category=\"gone\",id=\"4\",parent=\"\",root=\"gone\",reason="
		     "\"exceeds_budget\"",
		     "0");
	EXPECT_VALUE("envelope_refusals_total", BELOW ",reason=\"suspended\"", "1");
	EXPECT_VALUE("envelope_refusals_total", TOP ",reason=\"exceeds_budget\"", "2");
	EXPECT_LACKS(text, ",id=\"3\"");
	free(text);
}

static void check_names(struct be_enforcer *handle, const char *path)
{
	char *text;

	make(handle, "C:\\n \"quoted\"", NULL);
	make(handle, "{a=\"b\"} 1", NULL);
	make(handle, "\u65e5\u672c\u8a9e", NULL);
	text = inspect_text("--prometheus", path, NULL);
	EXPECT_VALUE("envelope_limit",
		     ",namespace=\"\",category=\"C:\\\\n "
		     "\\\"quoted\\\"\",id=\"5\",parent=\"\",root=\"C:\\\\n \\\"quoted\\\"\"",
		     "10");
	EXPECT_VALUE("envelope_limit",
		     ",namespace=\"\",category=\"{a=\\\"b\\\"} "
		     "1\",id=\"6\",parent=\"\",root=\"{a=\\\"b\\\"} 1\"",
		     "10");
	EXPECT_VALUE("envelope_limit",
		     ",namespace=\"\",category=\"\u65e5\u672c\u8a9e\",id=\"7\",parent=\"\",root="
		     "\"\u65e5\u672c\u8a9e\"",
		     "10");
	free(text);
}

static int run_promtool(int index, void *context)
{
	const char *path = context;

	(void)index;
	if (!freopen(path, "r", stdin))
		return 126;
	dup2(STDOUT_FILENO, STDERR_FILENO);
	execlp("promtool", "promtool", "check", "metrics", (char *)NULL);
	return 127;
}

static void check_with_promtool(const char *path)
{
	char *text = inspect_text("--prometheus", path, NULL), file[PATH_MAX];
	FILE *stream;
	int status;

	test_path(file, "metrics.prom");
	stream = fopen(file, "w");
	EXPECT(stream && fputs(text, stream) >= 0 && fclose(stream) == 0);
	free(text);
	status = child_wait(child_start(run_promtool, 0, file));
	if (status == 127)
		test_skip("promtool is missing (Debian package prometheus); all else was as it "
			  "should be");
	EXPECT_EQUAL(status, 0);
}

static void expect_file(const char *file, const char *part, bool wanted)
{
	char text[1 << 16] = "";
	FILE *stream = fopen(file, "r");

	EXPECT(stream && fread(text, 1, sizeof text - 1, stream) > 0 && fclose(stream) == 0);
	expect_contains(__FILE__, __LINE__, text, part, wanted);
}

/* A file is replaced when the new one is whole, and stays as it is when there is none; nothing is
 * left beside it. */
static void check_file(const char *path)
{
	char file[PATH_MAX], option[PATH_MAX + 64], missing[PATH_MAX + 32];
	struct stat before, after;
	struct ending ending;
	char *text;

	test_path(file, "budget.prom");
	snprintf(option, sizeof option, "--prometheus=%s", file);
	text = inspect_text(option, path, NULL);
	EXPECT_TEXT(text, "");
	free(text);
	expect_file(file, "category=\"below\"", true);
	EXPECT(stat(file, &before) == 0 && (before.st_mode & 0777) == 0644);
	text = inspect_text(option, "--category", "top", path, NULL);
	free(text);
	expect_file(file, "category=\"below\"", false);
	expect_file(file, "\nbudget_enforcer_transactions_total{", true);
	EXPECT(stat(file, &after) == 0 && after.st_ino != before.st_ino);
	EXPECT_REFUSED(3, "/missing", option, "/dev/shm/missing");
	EXPECT_REFUSED(3, "--below: there is no envelope 'none'", option, "--below", "none", path);
	EXPECT(stat(file, &before) == 0 && after.st_ino == before.st_ino);
	snprintf(missing, sizeof missing, "--prometheus=%s/none/budget.prom", test_directory());
	inspect(&ending, missing, path, NULL);
	EXPECT_EQUAL(ending.status, 3);
	EXPECT_CONTAINS(ending.errors, "No such file or directory");
	ending_free(&ending);
	/* What is no file stays what it is. */
	snprintf(missing, sizeof missing, "%s.link", file);
	EXPECT(symlink("budget.prom", missing) == 0);
	snprintf(option, sizeof option, "--prometheus=%s", missing);
	EXPECT_REFUSED(3, "no regular file, so it is not replaced", option, path);
	EXPECT(lstat(missing, &after) == 0 && S_ISLNK(after.st_mode));
}

/* Which envelopes have series; those of the environment are always there. */
static void check_choice(struct be_enforcer *handle, const char *path)
{
	char *text = inspect_text("--prometheus", "--below", "top", path, NULL);

	EXPECT_CONTAINS(text, "category=\"top\"");
	EXPECT_CONTAINS(text, "category=\"below\"");
	EXPECT_LACKS(text, "category=\"gone\"");
	free(text);
	EXPECT_OK(be_record(handle, "gone", 9 * BE_UNIT, NULL, NULL));
	text = inspect_text("--prometheus", "--top", "1", path, NULL);
	EXPECT_CONTAINS(text, "category=\"gone\"");
	EXPECT_LACKS(text, "category=\"top\"");
	EXPECT_CONTAINS(text, "\nbudget_enforcer_transactions_total{");
	free(text);
	make(handle, "a/b", "gone");
	text = inspect_text("--prometheus", "--category", "a/b", path, NULL);
	EXPECT_CONTAINS(text, "category=\"a/b\",id=\"8\",parent=\"gone\",root=\"gone\"} 10\n");
	free(text);
	make(handle, "c", "a/b");
	text = inspect_text("--prometheus", "--category", "c", path, NULL);
	EXPECT_CONTAINS(text, ",parent=\"\\\"a/b\\\"\",root=\"gone\"} 10\n");
	free(text);
}

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_enforcer *handle;
	char path[PATH_MAX];
	uint64_t id;

	inspects_begin(argc, argv, 60);
	handle = inspected_open(NULL, &now_ns, path);
	make(handle, "top", NULL);
	make(handle, "below", "top");
	make(handle, "gone", NULL);
	EXPECT_OK(be_commit(handle, "top", 1, NULL, &id));
	EXPECT_OK(be_settle(handle, id, BE_UNIT, NULL, NULL));
	EXPECT_OK(be_commit(handle, "below", 1, NULL, &id));
	EXPECT_OK(be_settle(handle, id, BE_UNIT / 4, NULL, NULL));
	EXPECT_OK(be_commit(handle, "below", BE_UNIT / 2, NULL, &id));
	/* Refused by the one above. */
	EXPECT_STATUS(be_check(handle, "below", 9 * BE_UNIT, NULL), BE_EXCEEDS_BUDGET);
	EXPECT_STATUS(be_commit(handle, "below", 9 * BE_UNIT, NULL, &id), BE_EXCEEDS_BUDGET);
	EXPECT_STATUS(be_check(handle, "none", 1, NULL), BE_NO_ENVELOPE);
	check_figures(handle, path);
	check_names(handle, path);
	EXPECT_REFUSED(3, "/missing", "--prometheus", "/dev/shm/missing");
	check_file(path);
	check_choice(handle, path);
	check_with_promtool(path);
	be_close(handle);
	return 0;
}
