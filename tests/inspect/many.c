/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Very many envelopes, a third of them in trees: every form shows all of them, in order, and takes
 * little memory for each, whatever the form; none where nothing is sorted, or little is shown.
 * Memory is compared with what the program takes to show a single envelope: how much that is
 * differs from one release of a system to the next.
 */
#include "inspects.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENVELOPES 60000
#define AT_ONCE 10000
/* Some megabytes of the file that it is reading, and what an envelope may take where all are
 * sorted, in KiB. */
#define READING_KIB (8 * 1024)
#define SORTED_KIB (ENVELOPES * 130L / 1024)

static char path[PATH_MAX], first_lines[1024];
static int lines;
static long base_kib;

/* ---- the environment */

static void name_envelope(int number, char name[BE_NAME_SIZE])
{
	snprintf(name, BE_NAME_SIZE, "task-%06d", number);
}

/* Each is used by as many millionths as its number says; number 3n + 2 is below 3n + 1. */
static int fill(int index, void *context)
{
	static struct be_envelope_change changes[AT_ONCE];
	static struct be_envelope_options below[AT_ONCE];
	static char names[AT_ONCE][BE_NAME_SIZE], parents[AT_ONCE][BE_NAME_SIZE];
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);

	(void)index;
	(void)context;
	for (int number = 0; number < ENVELOPES; number += AT_ONCE) {
		for (int i = 0; i < AT_ONCE; i++) {
			changes[i] = (struct be_envelope_change)BE_ENVELOPE_CHANGE_INIT;
			below[i] = (struct be_envelope_options)BE_ENVELOPE_OPTIONS_INIT;
			name_envelope(number + i, names[i]);
			changes[i].operation = BE_OPERATION_CREATE;
			changes[i].category = names[i];
			changes[i].limit = (1 + (number + i) % 997) * BE_UNIT;
			changes[i].period = BE_PERIOD_TOTAL;
			if ((number + i) % 3 != 2)
				continue;
			name_envelope(number + i - 1, parents[i]);
			below[i].parent_category = parents[i];
			changes[i].options = &below[i];
		}
		EXPECT_OK(be_envelopes_apply(handle, changes, AT_ONCE, NULL));
	}
	name_envelope(7, names[0]);
	EXPECT_OK(be_record(handle, names[0], 4 * BE_UNIT, NULL, NULL));
	be_close(handle);
	return 0;
}

static int make_one(int index, void *context)
{
	struct be_enforcer *handle = test_open(path, BE_DURABILITY_PROCESS);

	(void)index;
	(void)context;
	EXPECT_OK(be_envelope_create(handle, "one", BE_UNIT, BE_PERIOD_TOTAL, NULL));
	be_close(handle);
	return 0;
}

/* ---- looking */

/* Runs it, and returns how many KiB of memory it had at most. Its lines are counted, and the first
 * ones kept. */
static long memory_of(const char *option, const char *more)
{
	struct rusage usage;
	char bytes[65536];
	size_t used = 0;
	int ends[2], how;
	ssize_t got;
	pid_t child;

	EXPECT(pipe2(ends, O_CLOEXEC) == 0);
	child = inspect_start(ends[1], option, path, more, NULL);
	close(ends[1]);
	lines = 0;
	memset(first_lines, 0, sizeof first_lines);
	while ((got = read(ends[0], bytes, sizeof bytes)) > 0)
		for (ssize_t i = 0; i < got; i++) {
			if (used + 1 < sizeof first_lines)
				first_lines[used++] = bytes[i];
			lines += bytes[i] == '\n';
		}
	close(ends[0]);
	EXPECT_EQUAL(wait4(child, &how, 0, &usage), child);
	EXPECT(WIFEXITED(how) && WEXITSTATUS(how) == 0);
	return usage.ru_maxrss;
}

static void expect_first_lines(const char *expected)
{
	first_lines[strlen(expected)] = '\0';
	EXPECT_TEXT(first_lines, expected);
}

static void check(const char *option, const char *more, int expected, long most_kib)
{
	long memory_kib = memory_of(option, more);

	printf("%s %s: %ld KiB\n", option, more ? more : "", memory_kib);
	EXPECT_EQUAL(lines, expected);
	if (memory_kib > most_kib)
		test_fail(__FILE__, __LINE__, "%s took %ld KiB, and %ld are allowed", option,
			  memory_kib, most_kib);
}

int main(int argc, char **argv)
{
	inspects_begin(argc, argv, 300);
	if (TEST_SANITIZED)
		test_skip("a sanitizer takes memory of its own");
	test_path(path, "small");
	EXPECT_EQUAL(child_wait(child_start(make_one, 0, NULL)), 0);
	base_kib = memory_of("--csv", NULL);
	printf("of one envelope: %ld KiB\n", base_kib);
	base_kib += READING_KIB;
	test_path(path, "environment");
	EXPECT_EQUAL(child_wait(child_start(fill, 0, NULL)), 0);
	check("--csv", NULL, ENVELOPES + 1, base_kib);
	check("--json", NULL, ENVELOPES + 2, base_kib);
	check("--json", "--sort=-limit", ENVELOPES + 2, base_kib + SORTED_KIB);
	check("--csv", "--sort=category", ENVELOPES + 1, base_kib + SORTED_KIB);
	check("--sort=-spent", "--limit=2", 3, base_kib + SORTED_KIB);
	check("--raw", "--limit=2", 3, base_kib);
	expect_first_lines("NAMESPACE CATEGORY LIMIT SPENT COMMITTED AVAILABLE USED% REFUSED "
			   "PERIOD ENDS STATE PARENT\n"
			   "- task-000007 8 4 0 4 50.00 0 total - active -\n"
			   "- task-000000 1 0 0 1 0.00 0 total - active -\n");
	check("--output=category,spent", NULL, ENVELOPES + 1, base_kib + SORTED_KIB);
	expect_first_lines("CATEGORY      SPENT\n"
			   "task-000007       4\n"
			   "\u2514\u2500task-000008     0\n"
			   "task-000000       0\n"
			   "task-000001       0\n"
			   "\u2514\u2500task-000002     0\n"
			   "task-000003       0\n");
	check("--raw", NULL, ENVELOPES + 1, base_kib + SORTED_KIB);
	EXPECT(memory_of("--prometheus", NULL) <= base_kib + SORTED_KIB);
	EXPECT(lines > 10 * ENVELOPES);
	return 0;
}
