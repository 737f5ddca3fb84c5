/* SPDX-License-Identifier: Apache-2.0 */
/* The environment from outside: the same figures as text, JSON and CSV, and they are those of the
 * files. */
#include "inspects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int64_t now_ns = INSPECTED_NS;
	struct be_statistics known = BE_STATISTICS_INIT;
	struct be_enforcer *handle;
	char path[PATH_MAX], file[PATH_MAX + 16], *text;
	json_t *document, *stats;
	struct stat about;
	uint64_t id;

	inspects_begin(argc, argv, 60);
	handle = inspected_open(NULL, &now_ns, path);
	EXPECT_OK(be_envelope_create(handle, "llm", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	EXPECT_OK(be_commit(handle, "llm", 1, NULL, &id));
	EXPECT_OK(be_record(handle, "llm", 1, NULL, NULL));
	EXPECT_STATUS(be_check(handle, "none", 1, NULL), BE_NO_ENVELOPE);
	EXPECT_STATUS(be_commit(handle, "none", 1, NULL, &id), BE_NO_ENVELOPE);
	EXPECT_OK(be_stats(handle, &known));
	snprintf(file, sizeof file, "%s/data.mdb", path);
	EXPECT(stat(file, &about) == 0);

	document = inspect_json("--json", path, "stats", NULL);
	stats = json_object_get(document, "stats");
	EXPECT_EQUAL(json_object_size(stats), 32);
	EXPECT_EQUAL(json_integer_value(json_object_get(stats, "format_version")),
		     known.format_version);
	EXPECT_JSON(stats, "created", "\"" INSPECTED "\"");
	EXPECT_JSON(stats, "durability", "\"full\"");
	EXPECT_EQUAL(json_integer_value(json_object_get(stats, "file_bytes")), about.st_size);
	EXPECT_EQUAL(json_integer_value(json_object_get(stats, "page_bytes")),
		     sysconf(_SC_PAGESIZE));
	EXPECT_JSON(stats, "records", "4"); /* header, envelope, commit, transaction */
	EXPECT_JSON(stats, "next_envelope_id", "2");
	EXPECT_JSON(stats, "next_commit_id", "2");
	EXPECT_JSON(stats, "next_transaction_id", "2");
	EXPECT_JSON(stats, "pruned_id", "0");
	EXPECT_JSON(stats, "orphaned_charged", "0");
	EXPECT_JSON(stats, "settled_late", "0");
	EXPECT_JSON(stats, "history_changes", "0");
	EXPECT_JSON(stats, "losses", "0");
	EXPECT_JSON(stats, "owners", "1");
	EXPECT_JSON(stats, "refused_no_envelope", "2");
	EXPECT_JSON(stats, "refusals_known", "true");
	EXPECT_JSON(stats, "went_back", "false");
	EXPECT_JSON(stats, "reads_exclude_writes", "false");
	EXPECT_JSON(stats, "waiting", "0");
	EXPECT_JSON(stats, "stale_readers", "0");
	EXPECT_JSON(stats, "lagging_pid", "null");
	json_decref(document);

	text = inspect_text(path, "stats", "-o", "records,durability,lagging_pid", NULL);
	EXPECT_TEXT(text, "records              4\n"
			  "durability           full\n"
			  "lagging_pid          -\n");
	free(text);
	text = inspect_text("--csv", path, "stats", "-o", "records,durability,lagging", NULL);
	EXPECT_TEXT(text, "records,durability,lagging_pid\n4,full,\n");
	free(text);
	be_close(handle);
	snprintf(file, sizeof file, "%s/be-counts", path);
	EXPECT_EQUAL(unlink(file), 0);
	text = inspect_text(path, "stats", "-o", "refused_no_envelope,refusals_known", NULL);
	EXPECT_TEXT(text, "refused_no_envelope  0\n"
			  "refusals_known       no\n");
	free(text);
	return 0;
}
